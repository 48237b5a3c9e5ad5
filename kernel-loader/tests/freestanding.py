#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""freestanding.py ARCHIVE: the zone's promise, checked on the objects: no symbol of a libc, no TLS, no static constructor."""
import re
import subprocess
import sys

archive = sys.argv[1]
undefined = subprocess.run(['nm', '-u', archive], capture_output=True, text=True, check=True).stdout.split()
foreign = sorted({name for name in undefined if re.match(r'^[a-z_]\w*$', name, re.I) and name != 'U'
                  and not re.match(r'^(_ZN4mana|_ZNK4mana|_ZTv|mana_|_GLOBAL_OFFSET_TABLE_$)', name)})
sections = subprocess.run(['objdump', '-h', archive], capture_output=True, text=True, check=True).stdout
code = subprocess.run(['objdump', '-d', '--no-show-raw-insn', archive], capture_output=True, text=True, check=True).stdout
problems = [f'undefined symbol {name}' for name in foreign]
problems += [f'section {name}' for name in sorted(set(re.findall(r'\.(?:tdata|tbss|init_array|ctors)\S*', sections)))]
problems += [f'reads %fs: {line.strip()}' for line in code.splitlines() if '%fs:' in line]
for problem in problems:
    print(problem)
sys.exit(1 if problems else 0)
