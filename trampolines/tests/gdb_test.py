# SPDX-License-Identifier: BSD-3-Clause
"""gdb's backtrace goes through a callback and a crossing, in both ways of setting %fs."""
import shutil
import subprocess
import sys

if shutil.which('gdb') is None:
    print('skipped: gdb is not installed')
    sys.exit(77)

program = sys.argv[1]
out = subprocess.run(
    ['gdb', '-nx', '-batch', '-ex', 'set breakpoint pending on', '-ex', 'break application_operator',
     '-ex', 'run', '-ex', 'bt', '-ex', 'continue', '-ex', 'bt', program],
    capture_output=True, text=True, timeout=100)
frames = [line for line in out.stdout.splitlines() if line.startswith('#')]
wanted = ['application_operator', 'mana_call_upper', 'run_op', 'lower_reduce', 'mana_cross', 'application_main',
          'upper_main']
walks = 0
position = 0
for line in frames:
    if line.startswith('#0'):
        position = 0
    if position < len(wanted) and wanted[position] in line:
        position += 1
        walks += position == len(wanted)
if walks != 2:
    print(out.stdout, out.stderr)
    sys.exit(f'expected 2 complete backtraces, got {walks}')
