# SPDX-License-Identifier: BSD-3-Clause
"""exports_what_the_original_does.py FRONT_END ORIGINAL: every MPI symbol of the original is there, data with its size.

Copy relocations make a program's loader copy as many bytes as the original's header promised: sizes must be equal.
"""
import re
import subprocess
import sys

WANTED = re.compile(r'^(P?MPIX?_|OMPI_C_MPI_|ompi_mpi_|MPIR_C_MPI_|MPIR_F08_|MPIR_Dup_fn)')
NOT_WANTED = re.compile(r'_F90$')  # Fortran's own entry points: they come with the Fortran bindings


def symbols(path):
    listing = subprocess.run(['nm', '-D', '-S', '--defined-only', path], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in listing.splitlines():
        words = line.split()
        name, kind = words[-1].split('@')[0], words[-2]
        if WANTED.match(name) and not NOT_WANTED.search(name):
            found[name] = 'function' if kind in 'TW' else int(words[1], 16)
    return found


front_end, original = sys.argv[1:]
ours, theirs = symbols(front_end), symbols(original)
faults = [f'{name}: missing' for name in theirs if name not in ours]
faults += [f'{name}: {ours[name]} here, {what} in the original' for name, what in theirs.items()
           if name in ours and ours[name] != what]
print(f'{len(theirs)} symbols compared')
sys.exit('\n'.join(sorted(faults)) or 0)
