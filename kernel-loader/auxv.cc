// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/auxv.h"

#include "kernel-loader/sys.h"

namespace mana::loader {

Outcome read_auxv(Auxv& auxv) {
  const long descriptor = sys::open_read("/proc/self/auxv");
  if (sys::failed(descriptor)) {
    return Error{"open", sys::error_of(descriptor)}.at("/proc/self/auxv").so("mount /proc");
  }
  // The last pair stays zero: AT_NULL, whatever comes.
  const long got = sys::read(static_cast<int>(descriptor), auxv.words, sizeof auxv.words - 16);
  sys::close(static_cast<int>(descriptor));
  if (got <= 0) return Error{"read", sys::error_of(got)}.at("/proc/self/auxv");
  return Done{};
}

}  // namespace mana::loader
