# SPDX-License-Identifier: BSD-3-Clause
"""The C entry points of one ABI: handles to objects, constants to neutral ones, the call, and back.

Each MPI function is a strong PMPI_X with a weak MPI_X on the same code, as the MPI profiling interface wants it.
Functions marked `front_end` in the description are written by hand in front_ends/.
"""
import kinds
from upper_api import wrapped

HEAD = '''\
// SPDX-License-Identifier: BSD-3-Clause
// Generated from mpi_wrappers/description by generator/entry_points.py.
#include "mpi_wrappers/front_ends/{abi}_abi.h"
#include "mpi_wrappers/front_ends/entry.h"

using namespace mana;
using namespace mana::application;

'''
ROOTED_SEND = ('Scatter', 'Iscatter')    # send arguments significant at the root only
ROOTED_RECV = ('Gather', 'Igather')
TRANSFERS = ('collectives', 'point_to_point', 'one_sided', 'files', 'partitioned', 'datatypes', 'operators')
NO_BUFFER_MARKS = ('Get_address', 'Free_mem', 'Win_attach', 'Win_detach', 'Buffer_attach', 'Win_create')
FLAGGED_STATUS = ('Test', 'Testany', 'Iprobe', 'Improbe', 'Request_get_status')
STATUS_COUNT = {'Waitall': 'count', 'Testall': '*flag ? count : 0', 'Waitsome': '*outcount', 'Testsome': '*outcount'}


def c_type(function, p, large):
    """The parameter's type in the application's C prototype (as far as the calling convention can tell)."""
    if p.kind in kinds.HANDLES:
        handle = f'HandleOf<{kinds.HANDLES[p.kind]}>'
        if p.is_array:
            return ('const ' if p.direction == 'in' else '') + handle + '*'
        return handle if p.direction == 'in' else handle + '*'
    if kinds.is_poly(p.kind):
        base = 'int' if p.kind in kinds.POLY_INT and not large else 'int64_t'
        return f'const {base}*' if p.is_array else base if p.direction == 'in' else base + '*'
    if p.kind == 'STATUS':
        return 'const Status*' if p.direction == 'in' else 'Status*'
    return kinds.upper_type(function, p)


class Entry:
    """Collects the statements of one entry point while it walks the parameters."""

    def __init__(self, function, symbol, large, target):
        self.function, self.symbol, self.large, self.target = function, symbol, large, target
        self.before, self.arguments, self.after, self.always = [], [], [], []
        self.name = function.upper_name

    def take(self, p, source, name):
        kind = kinds.HANDLES[p.kind]
        self.before.append(f'{kind}* {name};')
        self.before.append(f'if (!take({source}, &{name})) return bad_handle<{kind}>("{self.symbol}");')

    def significant(self, p):
        """A condition in C++ when a datatype or argument may be anything at some ranks, else ''."""
        if self.function.chapter not in ('collectives', 'collectives_nonblocking', 'collectives_persistent', 'extensions'):
            return ''
        if p.kind != 'DATATYPE' or p.name not in ('sendtype', 'recvtype'):
            return ''
        stem = self.target.upper_name.replace('_init', '').rstrip('v')
        side = p.name[:4]
        if (side == 'send' and stem in ROOTED_SEND) or (side == 'recv' and stem in ROOTED_RECV):
            return 'at_root'
        if any(q.name == 'root' for q in self.function.parameters):
            return f'(at_root || neutral_root >= 0) && !is_in_place({side}buf)'
        return f'!is_in_place({side}buf)' if side == 'send' else ''

    def handle(self, p):
        kind, name = kinds.HANDLES[p.kind], p.name + '_object'
        if p.is_array:
            return self.handle_array(p, kind)
        if p.direction == 'in':
            if condition := self.significant(p):
                self.before.append(f'{kind}* {name} = nullptr;')
                self.before.append(
                    f'if (({condition}) && !take({p.name}, &{name})) return bad_handle<{kind}>("{self.symbol}");')
            else:
                self.take(p, p.name, name)
            self.arguments.append(name)
        elif p.direction == 'out':
            self.before.append(f'{kind}* {name} = nullptr;')
            self.arguments.append('&' + name)
            self.after.append(f'*{p.name} = handle_of({name});')
        else:
            self.take(p, '*' + p.name, name)
            self.arguments.append('&' + name)
            self.always.append(f'if ({name} == nullptr) *{p.name} = null_handle<{kind}>();')

    def handle_array(self, p, kind):
        name = p.name + '_objects'
        if p.direction == 'out':
            self.before.append(f'ObjectsOut<{kind}> {name}({self.array_length(p)});')
            self.after.append(f'{name}.store({p.name});')
        else:
            self.before.append(f'Objects<{kind}> {name}({self.array_source(p)}, {self.array_length(p)});')
            self.before.append(f'if (!{name}.ok()) return bad_handle<{kind}>("{self.symbol}");')
            if p.direction == 'inout':
                self.always.append(f'{name}.store_nulls({p.name});')
        self.arguments.append(name + '.data()')

    def array_source(self, p):
        if p.name == 'sendtypes':
            return f'is_in_place(to_neutral_buffer(sendbuf)) ? nullptr : {p.name}'
        return p.name

    def array_length(self, p):
        length = next((q for q in self.function.parameters if q.name == p.array), None)
        if length and length.direction != 'in':
            return f'{p.array} ? *{p.array} : 0'
        if p.array != '*':
            return p.array
        if 'eighbor' in self.name:
            return f'degrees(comm_object).{"destinations" if p.name == "sendtypes" else "sources"}'
        return 'peers(comm_object)'

    def poly(self, p):
        narrow = p.kind in kinds.POLY_INT and not self.large
        if p.is_array:
            self.arguments.append(f'{{{p.name}, {4 if narrow else 8}}}')
        elif p.direction == 'in' or not narrow:
            self.arguments.append(p.name)
        else:
            value = p.name + '_value'
            self.before.append(f'int64_t {value} = {"*" + p.name if p.direction == "inout" else 0};')
            self.arguments.append('&' + value)
            self.after.append(f'*{p.name} = narrow({value});')

    def integer(self, p):
        table = kinds.CONSTANTS.get(p.kind)
        to_neutral, to_application = (table + '_to_neutral', table + '_to_application') if table else (None, None)
        if table == 'error':
            to_neutral, to_application = 'upper::front_end::neutral_error', 'error_code'
        if table is None or table == 'undefined':
            self.arguments.append(p.name)
        elif p.is_array:
            self.integer_array(p, to_neutral, to_application)
        elif p.direction == 'in':
            if p.name == 'root':
                self.before.insert(0, f'const int neutral_root = {to_neutral}(root);')
                self.arguments.append('neutral_root')
            else:
                self.arguments.append(f'{to_neutral}({p.name})')
        elif p.direction == 'inout':
            self.before.append(f'int neutral_{p.name} = {to_neutral}(*{p.name});')
            self.arguments.append('&neutral_' + p.name)
            self.after.append(f'*{p.name} = {to_application}(neutral_{p.name});')
        else:
            self.arguments.append(p.name)
            check = f'if ({p.name} != nullptr) ' if self.function.chapter == 'tools' else ''
            self.after.append(f'{check}*{p.name} = {to_application}(*{p.name});')

    def integer_array(self, p, to_neutral, to_application):
        # Arrays whose length is no parameter (or three per entry) hold plain ranks: no constant may stand there.
        known = p.array.isidentifier()
        if p.direction == 'in' and known:
            self.before.append(f'Ints {p.name}_neutral({p.name}, {p.array}, {to_neutral});')
            self.arguments.append(f'{p.name}_neutral.data()')
            return
        self.arguments.append(p.name)
        if p.direction != 'in' and (known or self.name == 'Comm_spawn'):
            length = p.array if known else 'maxprocs'
            self.after.append(f'for (int i = 0; {p.name} != nullptr && i < {length}; ++i) '
                              f'{p.name}[i] = {to_application}({p.name}[i]);')

    def status(self, p):
        name = p.name + '_out'
        if p.direction == 'in':
            self.before.append(f'StatusIn {name}({p.name});')
        elif p.direction == 'inout':
            self.before.append(f'StatusIn {name}({p.name});')
            self.after.append(f'{name}.store({p.name});')
        elif p.is_array:
            count = STATUS_COUNT[self.name]
            self.before.append(f'StatusesOut {name}({p.name}, {"incount" if "some" in self.name else "count"});')
            self.always.append(f'{name}.store({count}, outcome);')
        else:
            self.before.append(f'StatusOut {name}({p.name});')
            self.always.append(('if (*flag) ' if self.name in FLAGGED_STATUS else '') + f'{name}.store();')
        self.arguments.append(name + '.neutral()')

    def walk(self):
        parameters = [p for p in self.function.parameters if self.large or not p.large_only]
        # A rooted collective's communicator says which other arguments mean anything: it comes first.
        for p in parameters:
            if p.kind == 'COMMUNICATOR' and p.direction == 'in':
                self.handle(p)
                self.arguments.pop()
        if any(self.significant(p) and 'root' in self.significant(p) for p in parameters):
            self.before.append('const bool at_root = is_root(comm_object, neutral_root);')
        for p in self.function.parameters:
            if p.large_only and not self.large:
                self.arguments.append('nullptr' if p.direction == 'out' else '0')
            elif p.kind == 'COMMUNICATOR' and p.direction == 'in':
                self.arguments.append(p.name + '_object')
            elif p.kind in kinds.HANDLES:
                self.handle(p)
            elif kinds.is_poly(p.kind):
                self.poly(p)
            elif p.kind in kinds.INTEGERS:
                self.integer(p)
            elif p.kind == 'STATUS':
                self.status(p)
            elif p.kind == 'BUFFER' and self.marked_buffer(p):
                self.before.insert(0, f'{p.name} = to_neutral_buffer({p.name});')
                self.arguments.append(p.name)
            elif p.kind == 'WEIGHT' or (p.kind == 'TOOL_MPI_OBJ'):
                self.arguments.append(f'any_object({p.name})')
            elif p.kind == 'PVAR' and p.direction == 'in':
                self.arguments.append(f'neutral_pvar({p.name})')
            elif p.kind == 'OFFSET' and p.name == 'disp' and p.direction == 'in':
                self.arguments.append('neutral_displacement(disp)')
            else:
                self.arguments.append(p.name)
        if kinds.needs_large_flag(self.target):
            self.arguments.append('true' if self.large else 'false')

    def marked_buffer(self, p):
        return self.name not in NO_BUFFER_MARKS and not self.function.chapter == 'tools' and \
            self.target.upper_name not in NO_BUFFER_MARKS

    def direct_read(self):
        """Property `reads: OBJECT FIELD`: the answer is a field of a valid object, so not even a call is made."""
        if 'reads' not in self.function.properties:
            return []
        name, field = self.function.properties['reads'].split()
        out = self.function.parameters[-1]
        value = f'{name}_object->{field}'
        if kinds.is_poly(out.kind) and not self.large:
            value = f'narrow({value})'
        return [f'if ({name}_object != nullptr) [[likely]] {{', f'  *{out.name} = {value};', '  return 0;', '}']

    def text(self):
        self.walk()
        weights = [p for p in self.function.parameters if p.kind == 'WEIGHT']
        arguments = list(self.arguments)
        for p in weights:
            arguments[self.function.parameters.index(p)] = f'to_neutral_weights({p.name})'
        parameters = [p for p in self.function.parameters if self.large or not p.large_only]
        result = kinds.RETURN_TYPES[self.function.returns]
        lines = [f'// {self.function.where}',
                 wrapped(f'MANA_EXPORT {result} P{self.symbol}(',
                         [f'{c_type(self.function, p, self.large)} {p.name}' for p in parameters], ') {')]
        body = list(self.before) + self.direct_read()
        call = wrapped(f'upper::{self.target.upper_name}(', arguments, ')', indent='      ')
        if self.function.returns not in ('ERROR_CODE', 'ERROR_CLASS'):
            body.append(f'return {call};')
        elif not self.after and not self.always:
            body.append(f'return error_code({call});')
        else:
            body.append(f'const int outcome = {call};')
            body += self.always
            if len(self.after) == 1 and not self.after[0].startswith(('for', 'if')):
                body.append(f'if (outcome == 0) {self.after[0]}')
            elif self.after:
                body += ['if (outcome == 0) {'] + ['  ' + a for a in self.after] + ['}']
            body.append('return error_code(outcome);')
        lines += ['  ' + line for line in body]
        lines.append('}')
        types = ', '.join(c_type(self.function, p, self.large) for p in parameters)
        lines.append(f'MANA_EXPORT __attribute__((weak, alias("P{self.symbol}"))) {result} {self.symbol}({types});\n')
        return '\n'.join(lines)


def generate(functions, abi):
    by_name = {f.name: f for f in functions}
    text = [HEAD.format(abi=abi)]
    for function in functions:
        if function.answered == 'front_end':
            continue
        target = by_name[function.alias_of] if function.alias_of else function
        for symbol, large in function.exported_by(abi):
            text.append(Entry(function, symbol, large, target).text())
    return '\n'.join(text)
