# SPDX-License-Identifier: BSD-3-Clause
"""needs_no_library.py FRONT_END SONAME: a front end has no DT_NEEDED, no undefined symbol and the original's SONAME."""
import subprocess
import sys

front_end, soname = sys.argv[1:]


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


dynamic = run('readelf', '-d', front_end)
undefined = run('nm', '-D', '--undefined-only', front_end)
faults = [line.strip() for line in dynamic.splitlines() if '(NEEDED)' in line or '(TEXTREL)' in line]
faults += ['undefined: ' + line.strip() for line in undefined.splitlines() if ' w ' not in line]
if f'Library soname: [{soname}]' not in dynamic:
    faults.append(f'the SONAME is not {soname}')
sys.exit('\n'.join(faults) or 0)
