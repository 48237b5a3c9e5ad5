# SPDX-License-Identifier: BSD-3-Clause
"""abi_constants_ABI.h: an ABI's constants and predefined handles against the neutral ones, for a front end."""
import description

def function_names(table):
    return f'{table}_to_neutral', f'{table}_to_application'


def one_way(name, pairs, flags, other):
    """A conversion function; `pairs` are (from, to, identical, negative) as text, `other` what becomes of other values."""
    if flags:
        lines = [f'constexpr int {name}(int value) {{', '  int flags = 0;']
        lines += [f'  if (value & {p[0]}) flags |= {p[1]};' for p in pairs]
        return '\n'.join(lines + ['  return flags;', '}'])
    if all(p[2] for p in pairs):
        return f'constexpr int {name}(int value) {{ return value; }}'
    lines = [f'constexpr int {name}(int value) {{']
    if all(p[3] for p in pairs):  # ranks and tags: the usual value is not negative
        lines.append('  if (value >= 0) [[likely]] return value;')
    lines.append('  switch (value) {')
    lines += [f'    case {p[0]}: return {p[1]};' for p in pairs]
    lines += [f'    default: return {other};', '  }', '}']
    return '\n'.join(lines)


def conversions(tables, flags, abi):
    text = []
    for table, constants in tables.items():
        if table in ('limit', 'error', 'displacement'):  # not conversions of ints: see below
            continue
        inward, outward = {}, {}  # several names may share a value: the first counts
        for c in constants:
            application = getattr(c, abi)
            if application is not None:
                facts = (application == c.neutral, application < 0 and c.neutral < 0)
                inward.setdefault(application, (str(application), 'abi::' + c.name, *facts))
                outward.setdefault(c.neutral, ('abi::' + c.name, str(application), *facts))
        other = 'kInvalid' if table in ('rank', 'tag') else 'value'
        names = function_names(table)
        text.append(f'// [{table}]')
        text.append(one_way(names[0], list(inward.values()), table in flags, other))
        text.append(one_way(names[1], list(outward.values()), table in flags, 'value'))
    return '\n'.join(text)


def errors(tables, abi):
    constants = [c for c in tables['error'] if getattr(c, abi) is not None and c.name != 'ERR_LASTCODE']
    last = next(getattr(c, abi) for c in tables['error'] if c.name == 'ERR_LASTCODE')
    other = next(getattr(c, abi) for c in constants if c.name == 'ERR_OTHER')
    text = [f'inline constexpr int kLastCode = {last};', f'inline constexpr int kErrorOther = {other};',
            'struct ErrorPair { int16_t neutral, application; };', 'inline constexpr ErrorPair kErrors[] = {']
    line = '  '
    for c in constants:
        item = f'{{{c.neutral}, {getattr(c, abi)}}}, '
        if len(line) + len(item) > 100:
            text.append(line.rstrip())
            line = '  '
        line += item
    return '\n'.join(text + [line.rstrip(), '};'])


def limits(tables, abi):
    return '\n'.join(f'inline constexpr int k{camel(c.name)} = {getattr(c, abi)};'
                     for c in tables['limit'] + tables['displacement'] if getattr(c, abi) is not None)


def camel(name):
    return ''.join(w.capitalize() for w in name.split('_'))


def mpich_handles(handles):
    text = ['// Predefined handles by kind: value in the MPICH ABI, constant of abi.h.  The first of each kind is its null handle.',
            'struct HandlePair { uint32_t application; int32_t neutral; };']
    for kind in dict.fromkeys(h.kind for h in handles):
        pairs = dict.fromkeys((h.mpich, h.neutral) for h in handles if h.kind == kind and h.mpich is not None)
        text.append(f'inline constexpr HandlePair k{kind.capitalize()}Handles[] = {{')
        text.append('  ' + ', '.join(f'{{0x{a:08x}, 0x{n:03x}}}' for a, n in pairs) + '};')
    return '\n'.join(text)


def openmpi_handles(handles):
    text = ['// The exported objects that predefined handles point to: name, constant of abi.h, size, Fortran handle.',
            '#define MANA_PREDEFINED_OBJECTS(X) \\']
    seen, rows = set(), []
    for h in handles:
        if h.symbol and h.size and h.symbol not in seen:
            seen.add(h.symbol)
            rows.append(f'  X({h.symbol}, 0x{h.neutral:03x}, {h.size}, {-1 if h.fortran is None else h.fortran})')
    text.append(' \\\n'.join(rows))
    for kind in dict.fromkeys(h.kind for h in handles):
        null = next((h for h in handles if h.kind == kind and h.name.endswith('NULL')), None)
        if null and null.symbol:
            text.append(f'inline constexpr int k{kind.capitalize()}Null = 0x{null.neutral:03x};')
    return '\n'.join(text)


def generate(functions, abi, folder):
    tables, flags, handles = description.read_constants(folder)
    text = ['// SPDX-License-Identifier: BSD-3-Clause',
            '// Generated from mpi_wrappers/description/constants.txt by generator/constants.py.',
            f'// The constants of the {abi} ABI against the neutral ones.', '#pragma once', '',
            '#include <cstdint>', '', '#include "upper/abi.h"', '', f'namespace mana::{abi} {{', '',
            '// For ranks and tags that are in no table: negative, and a constant of no ABI, so it is refused above.',
            'inline constexpr int kInvalid = -0x40000000;', '',
            conversions(tables, flags, abi), '', errors(tables, abi), '', limits(tables, abi), '',
            mpich_handles(handles) if abi == 'mpich' else openmpi_handles(handles), '',
            f'}}  // namespace mana::{abi}', '']
    return '\n'.join(text)
