# SPDX-License-Identifier: BSD-3-Clause
"""A C++ file that compiles only where the original's mpi.h agrees with the description: prototypes and constants.

A prototype is compared as the calling convention sees it: d for 32-bit integers, q for 64-bit integers and addresses, f
for double.
"""
import description
import entry_points
import kinds

HEAD = '''\
// SPDX-License-Identifier: BSD-3-Clause
// Generated from mpi_wrappers/description by generator/header_check.py.
#include <mpi.h>

#include <cstdint>
#include <type_traits>

template <class T>
constexpr char letter() {
  if (std::is_floating_point_v<T>) return 'f';
  if (std::is_pointer_v<T> || sizeof(T) == 8) return 'q';
  return 'd';
}
template <class R, class... A, unsigned kSize>
constexpr bool is(R (*)(A...), const char (&text)[kSize]) {
  const char letters[] = {letter<R>(), letter<A>()..., 0};
  if (sizeof letters != kSize) return false;
  for (unsigned i = 0; i < kSize; ++i) {
    if (letters[i] != text[i]) return false;
  }
  return true;
}
'''
HEADER_NAMES = {'FILE_SEEK_CUR': 'SEEK_CUR', 'FILE_SEEK_END': 'SEEK_END', 'FILE_SEEK_SET': 'SEEK_SET',
                'TWO_INT': '2INT', 'TWO_REAL': '2REAL', 'TWO_DOUBLE_PRECISION': '2DOUBLE_PRECISION', 'TWO_INTEGER': '2INTEGER'}


def letter(c_type, abi):
    if c_type.startswith('HandleOf<') and not c_type.endswith('*'):
        return 'q' if abi == 'openmpi' or 'File' in c_type else 'd'
    if c_type in ('int', 'const int'):
        return 'd'
    return 'f' if c_type == 'double' else 'q'


def generate(functions, abi, folder):
    tables, _, handles = description.read_constants(folder)
    text = [HEAD]
    for function in functions:
        if function.answered in ('front_end',) or function.chapter == 'extensions':
            continue
        for symbol, large in function.exported_by(abi):
            parameters = [p for p in function.parameters if large or not p.large_only]
            letters = letter(kinds.RETURN_TYPES[function.returns], abi) + ''.join(
                letter(entry_points.c_type(function, p, large), abi) for p in parameters)
            if function.chapter == 'removed' and abi == 'openmpi':
                continue  # its header turns those names into errors
            text.append(f'static_assert(is(&{symbol}, "{letters}"), "{symbol}: {function.where}");')
    for constants in tables.values():
        for c in constants:
            if getattr(c, abi) is not None:
                text.append(f'static_assert((long long)(MPI_{HEADER_NAMES.get(c.name, c.name)}) == {getattr(c, abi)});')
    if abi == 'mpich':
        for h in handles:
            if h.mpich is not None and h.kind != 'file':
                text.append(f'static_assert(static_cast<uint32_t>(MPI_{HEADER_NAMES.get(h.name, h.name)}) == 0x{h.mpich:08x});')
    return '\n'.join(text) + '\n'
