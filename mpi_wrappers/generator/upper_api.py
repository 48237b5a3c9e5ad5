# SPDX-License-Identifier: BSD-3-Clause
"""upper_api.h: what the front ends call, implemented in upper/ and, for what is only passed on, by forwarders.py."""
import kinds

HEAD = '''\
// SPDX-License-Identifier: BSD-3-Clause
// Generated from mpi_wrappers/description by generator/upper_api.py.
// The MPI functions as the upper half implements them: handles are objects (nullptr: the null handle), constants and error
// classes are those of abi.h, counts are 64 bits.  One function serves a plain MPI function and its _c variant.
// Returns 0 or a neutral error code that has been through the error handler already.
// BOTTOM is nullptr, IN_PLACE (void*)1, UNWEIGHTED (const int*)10, WEIGHTS_EMPTY (const int*)11, STATUS(ES)_IGNORE nullptr.
// Parameters that only the _c variant has are nullptr or 0 in a plain call.
#pragma once

#include <cstddef>
#include <cstdint>

#include "upper/abi.h"
#include "upper/objects.h"

namespace mana::upper {

using Function = void (*)();  // a function of the application, in its own ABI

// An array of counts or displacements as the application gave it.
struct Counts {
  const void* p;
  int width;  // 4 or 8 bytes an element
  int64_t operator[](size_t i) const {
    return width == 4 ? static_cast<const int32_t*>(p)[i] : static_cast<const int64_t*>(p)[i];
  }
  explicit operator bool() const { return p != nullptr; }
};
'''


def wrapped(head, items, tail, width=100, indent='    '):
    """A declaration or call broken at commas, continuation lines indented."""
    lines, line = [], head
    for i, item in enumerate(items):
        text = item + (',' if i + 1 < len(items) else tail)
        if len(line) + len(text) + 1 > width and line.strip():
            lines.append(line.rstrip())
            line = indent
        line += text + ' '
    if not items:
        line += tail
    lines.append(line.rstrip())
    return '\n'.join(lines)


def declaration(function, prefix='', tail=');'):
    result = kinds.RETURN_TYPES[function.returns]
    return wrapped(f'{result} {prefix}{function.upper_name}(',
                   [f'{t} {n}' for t, n in kinds.upper_parameters(function)], tail)


def implemented_above(function):
    return function.answered in ('above', 'core', 'forwarded', 'refused')


def generate(functions):
    text = [HEAD]
    who = [('above', lambda f: f.answered == 'above', 'Answered above: no crossing, except to resolve what a call needs'),
           ('core', lambda f: f.answered == 'core', 'Point to point, requests, collectives, communicators, life'),
           ('forwarded', lambda f: f.answered == 'forwarded', 'Passed on (forwarders.cc, generated, and front_ends/forwarders_*.cc)'),
           ('refused', lambda f: f.answered == 'refused', 'Refused by name and reason (generated)')]
    for _, chosen, title in who:
        text.append(f'\n// --- {title}')
        chapter = None
        for function in functions:
            if chosen(function):
                if function.chapter != chapter:
                    chapter = function.chapter
                    text.append(f'\n// {chapter}.api')
                text.append(declaration(function))
    text.append('\n}  // namespace mana::upper\n')
    return '\n'.join(text)
