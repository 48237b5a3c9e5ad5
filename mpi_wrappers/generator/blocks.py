# SPDX-License-Identifier: BSD-3-Clause
"""Argument blocks of generated lower operations (generated_ops.h) and the upper half's calls (generated_calls.h)."""
import kinds

HEAD = '''\
// SPDX-License-Identifier: BSD-3-Clause
// Generated from mpi_wrappers/description by generator/blocks.py.
// Argument blocks of the lower half's generated functions, in the shape of upper/core_ops.h: integers are neutral, handles are
// the lower library's bits (0: the null handle).  Field names are the standard's parameter names, and:
//   counts[]      void* counts; int32_t counts_width (4 or 8), counts_length.  Width 8 in a nonblocking call: the array is
//                 private to the request and lives until that is complete; it may be narrowed in place.
//   datatypes[]   uint64_t* types; int32_t types_length.  Private as above in every call: converted in place.
//   group         const int32_t* group_world_ranks; int32_t group_size (-1: MPI_GROUP_NULL).
//   info, out     char* info; int32_t info_room: key, value, key, value, each zero-terminated, ended by an empty key.
//   datatype, out constant of abi.h (only predefined ones are ever told), 0: none.
// Statuses are always filled (all but `error`).  Communicators of nonblocking constructors: a zeroed word of the caller's
// that lives until the request is complete.
#pragma once

#include <cstdint>

#include "upper/abi.h"
#include "upper/core_ops.h"

namespace mana::ops {
'''


def is_nonblocking(function):
    return any(p.kind == 'REQUEST' and p.direction == 'out' for p in function.parameters)


def fields(function, p):
    """The (type, name) pairs that a parameter becomes."""
    name, is_out = p.name, p.direction != 'in'
    if p.kind == 'GROUP' and not is_out:
        return [('const int32_t*', name + '_world_ranks'), ('int32_t', name + '_size')]
    if p.kind == 'INFO' and is_out:
        return [('char*', name), ('int32_t', name + '_room')]
    if p.kind == 'DATATYPE' and is_out:
        return [('int32_t*' if p.is_array else 'int32_t', name)]
    if p.kind in kinds.HANDLES:
        if p.is_array:
            return [('uint64_t*', name), ('int32_t', name + '_length')]
        if p.kind == 'COMMUNICATOR' and is_out and is_nonblocking(function):
            return [('uint64_t*', name)]
        return [('uint64_t', name)]
    if p.kind in kinds.TOOL_HANDLES:
        return [('uint64_t', name)]
    if kinds.is_poly(p.kind):
        if p.is_array:
            return [('void*', name), ('int32_t', name + '_width'), ('int32_t', name + '_length')]
        return [('int64_t', name)]
    if p.kind in kinds.WIDE or p.kind in kinds.INTEGERS:
        base = 'int64_t' if p.kind in kinds.WIDE else 'int32_t'
        if p.is_array:
            return [(('const ' if not is_out else '') + base + '*', name)]
        return [(base, name)]
    if p.kind == 'BUFFER':
        return [('const void*' if p.const else 'void*', name)]
    if p.kind in ('C_BUFFER', 'C_BUFFER2'):
        return [('void*', name)]
    if p.kind == 'ATTRIBUTE_VAL':
        return [('int64_t', name)]
    if p.kind == 'STATUS':
        return [('abi::Status', name)]
    if p.kind == 'STRING':
        return [('const char*' if not is_out else 'char*', name)]
    if p.kind == 'STRING_ARRAY':
        return [('char**', name)]
    if p.kind == 'STRING_2DARRAY':
        return [('char***', name)]
    if p.kind == 'TOOL_MPI_OBJ':
        return [('uint64_t', name), ('int32_t', name + '_kind')]
    kinds.unknown(f'{p.kind} in a block ({function.name})')


def block_fields(function):
    return [pair for p in function.parameters for pair in fields(function, p)] or [('int32_t', 'dummy')]


def struct(function):
    outs = [p.name for p in function.parameters if p.direction != 'in' and p.kind not in ('BUFFER', 'STRING')]
    text = f'struct {function.upper_name} {{  // {function.name}, {function.where}'
    if outs:
        text += f'; out: {", ".join(outs)}'
    line = '\n '
    for field_type, name in block_fields(function):
        item = f' {field_type} {name};'
        if len(line) + len(item) > 100:
            text += line
            line = '\n '
        line += item
    return text + line + '\n};'


def with_blocks(functions):
    return [f for f in functions if f.has_block]


def x_macro(name, items):
    lines, line = [f'#define {name}(X)'], ' '
    for item in items:
        if len(line) + len(item) + 1 > 96:
            lines.append(line)
            line = ' '
        line += ' ' + item
    lines.append(line)
    return ' \\\n'.join(lines)


def generate(functions):
    chosen = with_blocks(functions)
    text = [HEAD]
    text += [struct(f) for f in chosen]
    text.append('\n}  // namespace mana::ops\n')
    text.append('// Name in the function table, block in mana::ops.  The table is: MANA_CORE_OPS, then these.')
    text.append(x_macro('MANA_GENERATED_OPS', [f'X({f.upper_name}, {f.upper_name})' for f in chosen]))
    return '\n'.join(text) + '\n'
