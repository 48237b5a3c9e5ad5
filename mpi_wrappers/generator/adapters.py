# SPDX-License-Identifier: BSD-3-Clause
"""adapter_MPI.cc: the lower half's generated functions for one MPI library, neutral block to native call.

A function that the library does not export is not in its table; the upper half then says so.  Counts beyond an int go to
the _c variant where the library has it, else the call fails with MPI_ERR_COUNT.
"""
import pathlib
import subprocess

import blocks
import kinds
from upper_api import wrapped

HEAD = '''\
// SPDX-License-Identifier: BSD-3-Clause
// Generated from mpi_wrappers/description by generator/adapters.py, for {library}.
#include "mpi_wrappers/adapters/native_arguments.h"

namespace mana::lower {{
namespace generated {{
'''
NATIVE = {'COMMUNICATOR': 'comm', 'DATATYPE': 'datatype', 'OPERATION': 'op', 'REQUEST': 'request', 'INFO': 'info',
          'WINDOW': 'window', 'FILE': 'file', 'MESSAGE': 'message'}
C_HANDLE = {'COMMUNICATOR': 'MPI_Comm', 'REQUEST': 'MPI_Request', 'WINDOW': 'MPI_Win', 'FILE': 'MPI_File', 'INFO': 'MPI_Info',
            'DATATYPE': 'MPI_Datatype'}
TOOL_C = {'TOOLS_ENUM': 'MPI_T_enum', 'CVAR': 'MPI_T_cvar_handle', 'PVAR': 'MPI_T_pvar_handle',
          'PVAR_SESSION': 'MPI_T_pvar_session'}
TABLES = {'file_mode': 'kFileModes', 'seek': 'kFileSeeks', 'window_assert': 'kWindowAsserts', 'lock_type': 'kLockTypes',
          'split_type': 'kSplitTypes', 'thread_level': 'kThreadLevels', 'keyval': 'kKeyvals', 'tool_bind': 'kToolBinds',
          'tool_pvar_class': 'kToolClasses', 'tool_verbosity': 'kToolVerbosities', 'tool_scope': 'kToolScopes',
          'comparison': 'kComparisons', 'topology': 'kTopologies'}
FLAGS = ('file_mode', 'window_assert')


def to_native(table, value):
    if table in ('rank', 'tag'):
        return f'native_{table}({value})'
    if table == 'undefined':
        return f'({value} == abi::UNDEFINED ? MPI_UNDEFINED : {value})'
    return f'{"flags_" if table in FLAGS else ""}to_native({TABLES[table]}, {value})'


def to_neutral(table, value):
    if table in ('rank', 'tag'):
        return f'neutral_{table}({value})'
    if table == 'undefined':
        return f'({value} == MPI_UNDEFINED ? abi::UNDEFINED : {value})'
    if table == 'error':
        return f'neutral_error({value})'
    return f'{"flags_" if table in FLAGS else ""}to_neutral({TABLES[table]}, {value})'


class Adapter:
    def __init__(self, function, library, large):
        self.function, self.library, self.large = function, library, large
        self.before, self.arguments, self.after = [], [], []
        self.fits = []  # scalars that must fit an int in the plain call

    def parameter(self, p):
        field, is_out = 'b.' + p.name, p.direction != 'in'
        if p.kind == 'GROUP':
            self.before.append(f'const WorldGroup {p.name}({field}_world_ranks, {field}_size);')
            self.arguments.append(f'{p.name}.native()')
        elif p.kind == 'INFO' and is_out:
            self.before.append(f'MPI_Info {p.name} = MPI_INFO_NULL;')
            self.arguments.append('&' + p.name)
            self.after.append(f'write_info({p.name}, {field}, {field}_room);')
        elif p.kind == 'DATATYPE' and is_out:
            self.before.append(f'MPI_Datatype {p.name} = MPI_DATATYPE_NULL;')
            self.arguments.append('&' + p.name)
            self.after.append(f'{field} = told_datatype({p.name});')
        elif p.kind in kinds.HANDLES and p.is_array:
            self.arguments.append(f'native_array<{C_HANDLE[p.kind]}>({field}, {field}_length)')
        elif p.kind in kinds.HANDLES:
            self.handle(p, field, is_out)
        elif p.kind in kinds.TOOL_HANDLES:
            self.tool_handle(p, field, is_out)
        elif kinds.is_poly(p.kind):
            self.poly(p, field, is_out)
        elif p.kind in kinds.WIDE:
            self.wide(p, field, is_out)
        elif p.kind in kinds.INTEGERS:
            self.integer(p, field, is_out)
        else:
            self.other(p, field)

    def handle(self, p, field, is_out):
        kind, c_type = NATIVE[p.kind], C_HANDLE.get(p.kind)
        if not is_out:
            self.arguments.append(f'native_{kind}({field})')
        elif p.kind == 'COMMUNICATOR' and blocks.is_nonblocking(self.function):
            self.arguments.append(f'reinterpret_cast<MPI_Comm*>({field})')
        else:
            start = f'native_{kind}({field})' if p.direction == 'inout' else {'MPI_Comm': 'MPI_COMM_NULL',
                'MPI_Request': 'MPI_REQUEST_NULL', 'MPI_Win': 'MPI_WIN_NULL', 'MPI_File': 'MPI_FILE_NULL'}[c_type]
            self.before.append(f'{c_type} {p.name} = {start};')
            self.arguments.append('&' + p.name)
            if p.kind in ('COMMUNICATOR', 'WINDOW', 'FILE') and p.direction == 'out':
                self.after.append(f'{kind}_returns_errors({p.name});')
            self.after.append(f'{field} = {kind}_bits({p.name});')

    def tool_handle(self, p, field, is_out):
        c_type = TOOL_C[p.kind]
        if not is_out:
            self.arguments.append(f'tool_handle<{c_type}>({field})')
        else:
            self.before.append(f'{c_type} {p.name} = tool_handle<{c_type}>({field});')
            self.arguments.append('&' + p.name)
            self.after.append(f'{field} = tool_bits({p.name});')

    def poly(self, p, field, is_out):
        narrow = p.kind in kinds.POLY_INT and not self.large
        if p.is_array:
            if narrow:
                self.before.append(f'Ints {p.name}({field}, {field}_width, {field}_length, '
                                   f'{"true" if blocks.is_nonblocking(self.function) else "false"});')
                self.before.append(f'if (!{p.name}.fit()) return abi::ERR_COUNT;')
                self.arguments.append(f'{p.name}.data()')
            else:
                self.arguments.append(f'static_cast<const {"MPI_Aint" if p.kind == "POLYDISPLACEMENT" else "MPI_Count"}*>({field})')
        elif is_out:
            c_type = 'int' if narrow else 'MPI_Aint' if p.kind == 'POLYRMA_DISPLACEMENT' or not self.large else 'MPI_Count'
            self.before.append(f'{c_type} {p.name} = 0;')
            self.arguments.append('&' + p.name)
            self.after.append(f'{field} = {p.name};')
        elif narrow:
            self.fits.append(field)
            self.arguments.append(f'static_cast<int>({field})')
        else:
            self.arguments.append(field)

    def wide(self, p, field, is_out):
        c_type = {'OFFSET': 'MPI_Offset', 'XFER_NUM_ELEM_NNI': 'MPI_Count'}.get(p.kind, 'MPI_Aint')
        if p.is_array:
            self.arguments.append(f'reinterpret_cast<const {c_type}*>({field})')
        elif is_out:
            self.before.append(f'{c_type} {p.name} = 0;')
            self.arguments.append('&' + p.name)
            self.after.append(f'{field} = {p.name};')
        elif p.kind == 'OFFSET' and p.name == 'disp':
            self.arguments.append(f'native_displacement({field})')
        else:
            self.arguments.append(field)

    def integer(self, p, field, is_out):
        table = kinds.CONSTANTS.get(p.kind)
        if p.kind == 'WEIGHT':
            self.arguments.append(f'native_weights({field})')
        elif p.is_array:  # some prototypes of the standard lack the const
            self.arguments.append(f'const_cast<int*>({field})' if not is_out else field)
            if table == 'error' and is_out:
                self.after.append(f'neutral_errors({field}, {"b.maxprocs" if self.function.upper_name == "Comm_spawn" else "0"});')
        elif not is_out:
            self.arguments.append(to_native(table, field) if table else field)
        else:
            self.arguments.append('&' + field)
            if table:
                self.after.append(f'{field} = {to_neutral(table, field)};')

    def other(self, p, field):
        if p.kind == 'BUFFER':
            self.arguments.append(f'native_buffer({field})' if p.const or self.function.chapter.startswith('coll') else field)
        elif p.kind in ('C_BUFFER', 'C_BUFFER2'):
            self.arguments.append('&' + field)
        elif p.kind == 'STATUS':
            self.before.append(f'MPI_Status {p.name};')
            self.arguments.append('&' + p.name)
            self.after.append(f'neutral_status({p.name}, &{field});')
        elif p.kind == 'ATTRIBUTE_VAL':
            self.before.append('void* value = nullptr;')
            self.arguments.append('&value')
            self.after.append('if (b.flag) b.attribute_val = window_attribute(b.win_keyval, value);')
        elif p.kind == 'TOOL_MPI_OBJ':
            self.before.append(f'ToolObject {p.name}({field}, {field}_kind);')
            self.arguments.append(f'{p.name}.address()')
        elif p.kind == 'STRING' and p.direction == 'out' and self.function.chapter != 'tools':
            self.arguments.append(field)
        else:
            self.arguments.append(field)

    def body(self):
        for p in self.function.parameters:
            self.parameter(p)
        symbol = self.function.name + ('_c' if self.large else '')
        lines = []
        if self.fits:
            lines.append(f'if (!fit_int({", ".join(self.fits)})) return abi::ERR_COUNT;')
        lines += self.before
        lines.append(wrapped(f'const int code = {symbol}(', self.arguments, ');', indent='      '))
        if self.after:
            lines.append('if (code == MPI_SUCCESS) {')
            lines += ['  ' + line for line in self.after] + ['}']
        lines.append('return neutral_tool_error(code);' if self.function.chapter == 'tools' else 'return neutral_error(code);')
        return lines


def needs_large(function):
    """In C++: whether the arguments came from a _c call or do not fit an int; '' when there is nothing to ask."""
    arrays = [p for p in function.parameters if p.is_array and kinds.is_poly(p.kind)]
    if arrays:
        return f'b.{arrays[0].name}_width == 8'
    scalars = [f'b.{p.name}' for p in function.parameters if p.kind in kinds.POLY_INT and p.direction == 'in']
    return f'!fit_int({", ".join(scalars)})' if scalars else ''


def adapter(function, library, symbols):
    lines = [f'// {function.name}, {function.where}', f'int {function.upper_name}(void* arguments) {{']
    if function.parameters:
        lines.append(f'  auto& b = *static_cast<ops::{function.upper_name}*>(arguments);')
    else:
        lines[-1] = lines[-1].replace('void* arguments', 'void*')
    large = needs_large(function)
    if large and library + '_c' in function.libraries and exported(function.name + '_c', symbols):
        lines.append(f'  if ({large}) {{')
        lines += ['    ' + line for line in Adapter(function, library, True).body()]
        lines.append('  }')
    lines += ['  ' + line for line in Adapter(function, library, False).body()]
    return '\n'.join(lines + ['}', ''])


def exported(symbol, symbols):
    return not symbols or symbol in symbols


def real_symbols(path):
    """What the installed library exports (empty: not known, the description is believed)."""
    if not path or not pathlib.Path(path).exists():
        return set()
    listing = subprocess.run(['nm', '-D', '--defined-only', path], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].split('@')[0] for line in listing.splitlines()}


def generate(functions, library, path=''):
    symbols = real_symbols(path)
    chosen = [f for f in blocks.with_blocks(functions) if library in f.libraries and exported(f.name, symbols)]
    text = [HEAD.format(library=library)]
    text += [adapter(f, library, symbols) for f in chosen]
    text.append('}  // namespace generated\n')
    text.append('const TableEntry generated_functions[] = {')
    text += [f'    {{"{f.upper_name}", &generated::{f.upper_name}}},' for f in chosen]
    text += ['};', 'const uint32_t generated_function_count = sizeof generated_functions / sizeof generated_functions[0];', '',
             '}  // namespace mana::lower', '']
    return '\n'.join(text)
