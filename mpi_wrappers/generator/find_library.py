# SPDX-License-Identifier: BSD-3-Clause
"""find_library.py COMPILER NAME...: path of the first of these libraries where the MPI compiler wrapper or the loader finds one.

Prints nothing when there is none.
"""
import pathlib
import shlex
import shutil
import subprocess
import sys


def wrapper_folders(compiler):
    if not shutil.which(compiler):
        return []
    shown = subprocess.run([compiler, '-show'], capture_output=True, text=True)
    return [word[2:] for word in shlex.split(shown.stdout) if word.startswith('-L')] if shown.returncode == 0 else []


def loader_paths(name):
    listing = subprocess.run(['/sbin/ldconfig', '-p'], capture_output=True, text=True)
    return [line.split(' => ')[1] for line in listing.stdout.splitlines() if line.split()[:1] == [name] and ' => ' in line]


if __name__ == '__main__':
    compiler, *names = sys.argv[1:]
    for name in names:
        candidates = [str(pathlib.Path(folder) / name) for folder in wrapper_folders(compiler)] + loader_paths(name)
        existing = [path for path in candidates if pathlib.Path(path).exists()]
        if existing:
            print(existing[0])
            break
