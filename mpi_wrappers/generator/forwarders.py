# SPDX-License-Identifier: BSD-3-Clause
"""upper_forwarders.cc: functions that the upper half only passes on, and those that are refused."""
import blocks
import kinds
from upper_api import declaration

HEAD = '''\
// SPDX-License-Identifier: BSD-3-Clause
// Generated from mpi_wrappers/description by generator/forwarders.py.
#include "mpi_wrappers/forwarders/support.h"

namespace mana::upper {
'''
MAIN = {'COMMUNICATOR': 'ERR_COMM', 'WINDOW': 'ERR_WIN', 'FILE': 'ERR_FILE', 'REQUEST': 'ERR_REQUEST'}


def main_object(function):
    """The object whose error handler hears of a failure."""
    for kind in ('WINDOW', 'FILE', 'COMMUNICATOR', 'REQUEST'):
        for p in function.parameters:
            if p.kind == kind and p.direction != 'out' and not p.is_array:
                return p
    return None


class Forwarder:
    def __init__(self, function):
        self.function = function
        self.tool = function.chapter == 'tools'
        self.outer, self.fill, self.after, self.inside = [], [], [], []

    def parameter(self, p):
        name, is_out = p.name, p.direction != 'in'
        if p.kind == 'GROUP':
            self.fill += [f'block.{name}_world_ranks = {name} ? {name}->world_ranks : nullptr;',
                          f'block.{name}_size = {name} ? {name}->size : -1;']
        elif p.kind == 'INFO' and p.is_array:
            self.fill += [f'LowerArray<Info> {name}_lower({name}, {p.array});',
                          f'block.{name} = {name}_lower.data();', f'block.{name}_length = {p.array};']
        elif p.kind == 'INFO' and is_out:
            self.outer.append(f'char {name}_text[kInfoText];')
            self.fill += [f'block.{name} = {name}_text;', f'block.{name}_room = kInfoText;']
            self.after.append(f'if ({name} != nullptr) *{name} = info_from_text({name}_text);')
        elif p.kind == 'DATATYPE' and is_out:
            self.after.append(f'if ({name} != nullptr) *{name} = static_cast<Datatype*>(predefined(block.{name}));')
        elif p.kind == 'COMMUNICATOR' and is_out:
            self.after.append(f'*{name} = adopt_foreign_comm(block.{name}, refusal_of(Creator::{self.function.upper_name}));')
        elif p.kind == 'REQUEST' and is_out:
            refusal = f'refusal_of(Creator::{self.function.upper_name}), true' if 'refusal' in self.function.properties else 'nullptr'
            self.after.append(f'*{name} = new_forwarded_request(block.{name}, {refusal});')
        elif p.kind in kinds.HANDLES:
            self.fill.append(f'block.{name} = lower_bits({name});')
        elif p.kind in kinds.TOOL_HANDLES:
            if is_out:
                self.fill.append(f'block.{name} = {name} ? *{name} : 0;')
                self.after.append(f'if ({name} != nullptr) *{name} = block.{name};')
            else:
                self.fill.append(f'block.{name} = {name};')
        elif p.kind == 'STATUS':
            self.status(p)
        elif p.kind == 'TOOL_MPI_OBJ':
            self.fill += [f'block.{name} = lower_bits_of_any(static_cast<Object*>({name}));',
                          f'block.{name}_kind = {name} ? static_cast<int32_t>(static_cast<Object*>({name})->kind) : 0;']
        elif kinds.is_poly(p.kind) or p.kind in kinds.WIDE or p.kind in kinds.INTEGERS:
            self.number(p)
        else:
            self.fill.append(f'block.{name} = {name};')

    def number(self, p):
        name = p.name
        if p.is_array or p.direction == 'in':
            self.fill.append(f'block.{name} = {name};')
            return
        check = f'if ({name} != nullptr) ' if self.tool else ''
        if p.direction == 'inout':
            self.fill.append(f'block.{name} = {name} ? *{name} : 0;' if self.tool else f'block.{name} = *{name};')
        self.after.append(f'{check}*{name} = block.{name};')

    def status(self, p):
        self.inside.append(f'copy_status({p.name}, block.{p.name});')

    def text(self):
        function = self.function
        name = function.upper_name
        for p in function.parameters:
            self.parameter(p)
        main = main_object(function)
        lines = [f'// {function.name}, {function.where}', declaration(function, tail=') {')]
        if main:
            lines.append(f'  if ({main.name} == nullptr) return raise(abi::{MAIN[main.kind]}, "{function.name}");')
        lines += ['  Held held;', f'  ops::{name} block = {{}};', '  int error;']
        lines += ['  ' + line for line in self.outer] + ['  {', '    Call call;']
        lines += ['    ' + line for line in self.fill]
        collective = function.properties.get('collective')
        if collective:
            counted = f'{collective}->counter' if any(
                p.name == collective and p.kind == 'COMMUNICATOR' for p in function.parameters) else f'{collective}->comm->counter'
            blocking = 'true' if 'blocking' in function.properties else 'false'
            lines.append(f'    begin_collective(call, {counted}, {blocking});')
        lines.append(f'    error = forward(call, GeneratedOp::{name}, &block);')
        if collective and 'blocking' in function.properties:
            lines.append('    end_collective(call);')
        lines += ['    ' + line for line in self.inside]
        lines.append('  }')
        after = list(self.after)
        if name == 'T_init_thread':
            after.append('refusal_of(Creator::T_init_thread)->alive.fetch_add(1);')
        if name == 'T_finalize':
            after.append('refusal_of(Creator::T_init_thread)->alive.fetch_sub(1);')
        if after:
            lines += ['  if (error == 0) {'] + ['    ' + line for line in after] + ['  }']
        if self.tool:
            lines.append('  return error;')
        elif main and main.kind != 'REQUEST':
            lines.append(f'  return raise({main.name}, error, "{function.name}");')
        else:
            lines.append(f'  return raise(error, "{function.name}");')
        return '\n'.join(lines + ['}', ''])


def refused(function):
    types = ', '.join(t for t, _ in kinds.upper_parameters(function))
    tool = 'true' if function.chapter == 'tools' else 'false'
    return '\n'.join([
        f'// {function.name}, {function.where}',
        f'int {function.upper_name}({types}) {{',
        f'  return refuse("{function.name}", "{function.properties["reason"]}", {tool});', '}', ''])


def generate(functions):
    text = [HEAD]
    for function in functions:
        if function.answered == 'forwarded' and not function.by_hand:
            text.append(Forwarder(function).text())
        elif function.answered == 'refused':
            text.append(refused(function))
    return '\n'.join(text) + '}  // namespace mana::upper\n'
