# SPDX-License-Identifier: BSD-3-Clause
"""agrees_with_header.py CHECK.cc COMPILER: the original's mpi.h has the prototypes and constants of the description.

Skipped (exit code 77) where that compiler wrapper is not installed.
"""
import shutil
import subprocess
import sys

check, compiler = sys.argv[1:]
if not shutil.which(compiler):
    print(f'{compiler} is not installed')
    sys.exit(77)
flags = ['-x', 'c++', '-std=c++20', '-fsyntax-only', '-Wno-deprecated-declarations',
         '-DMPICH_SKIP_MPICXX', '-DOMPI_SKIP_MPICXX']  # no old C++ bindings
sys.exit(subprocess.run([compiler, *flags, check]).returncode)
