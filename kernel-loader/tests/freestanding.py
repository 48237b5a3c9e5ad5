#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""freestanding.py ARCHIVE: the promise of the zone "freestanding", checked on the objects.

No symbol of a libc, no TLS, no static constructor."""
import re
import subprocess
import sys

# __start_ and __stop_ of a section of ours the linker defines.
OURS = re.compile(r'^(_ZN4mana|_ZNK4mana|_ZTv|mana_|__start_mana_|__stop_mana_|_GLOBAL_OFFSET_TABLE_$)')


def output(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


archive = sys.argv[1]
undefined = {line.split()[1] for line in output('nm', '-u', archive).splitlines()
             if line.strip().startswith('U ')}
headers = output('objdump', '-h', archive)
sections = set(re.findall(r'\.(?:tdata|tbss|init_array|ctors)\S*', headers))
code = output('objdump', '-d', '--no-show-raw-insn', archive).splitlines()
problems = [f'undefined symbol {name}' for name in sorted(undefined) if not OURS.match(name)]
problems += [f'section {name}' for name in sorted(sections)]
problems += [f'reads %fs: {line.strip()}' for line in code if '%fs:' in line]
for problem in problems:
    print(problem)
sys.exit(1 if problems else 0)
