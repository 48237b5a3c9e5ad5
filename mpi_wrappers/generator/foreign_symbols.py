# SPDX-License-Identifier: BSD-3-Clause
"""Symbols of the original library that are no MPI functions: data with the original's sizes, functions by name only."""
import pathlib

import description

HEAD = '''\
// SPDX-License-Identifier: BSD-3-Clause
// Generated from mpi_wrappers/description/{abi}_symbols.txt by generator/foreign_symbols.py.
// Other libraries of {abi} (its C++ and Fortran bindings) must find these names when they are loaded.
#include "mpi_wrappers/front_ends/internal_symbol.h"

extern "C" {{
'''


def generate(functions, abi, folder):
    handles = {h.symbol for h in description.read_constants(folder)[2] if h.symbol and h.size}
    text = [HEAD.format(abi=abi)]
    path = pathlib.Path(folder) / f'{abi}_symbols.txt'
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split()
        if not words or line.startswith('#'):
            continue
        if words[0] == 'function' and len(words) == 2:
            text.append(f'MANA_SHOWN void {words[1]}() {{ mana::application::internal_symbol("{words[1]}"); }}')
        elif words[0] == 'data' and len(words) == 3:
            name, size = words[1], words[2]
            base = name.removesuffix('_addr')
            if base != name and base in handles:
                text.append(f'extern char {base}[];\nMANA_SHOWN void* {name} = {base};')
            else:
                text.append(f'MANA_SHOWN alignas({32 if int(size) >= 32 else 8}) char {name}[{size}] = {{}};')
        else:
            description.stop(f'{path.name}:{number}', f'not understood: {line}')
    return '\n'.join(text) + '\n}\n'
