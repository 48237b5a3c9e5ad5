#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks that a program's dynamic symbol table defines exactly the symbols of its list of exports."""
import re
import subprocess
import sys


def main() -> int:
    program, exports = sys.argv[1:3]
    with open(exports, encoding="ascii") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    allowed = set(re.findall(r"\w+", text))
    output = subprocess.run(["nm", "-D", "--defined-only", program], check=True, capture_output=True, text=True).stdout
    defined = {line.split()[-1].split("@")[0] for line in output.splitlines()}
    for symbol in sorted(defined - allowed):
        print(f"{program} exports {symbol}, which is not in {exports}")
    for symbol in sorted(allowed - defined):
        print(f"{program} does not export {symbol}, which is in {exports}")
    return 0 if defined == allowed else 1


sys.exit(main())
