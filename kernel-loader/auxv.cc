// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/auxv.h"

#include "kernel-loader/sys.h"

namespace mana::loader {

namespace {
constinit Auxv given{};
}

Outcome read_auxv(Auxv& auxv) {
  auxv = given;
  if (given.words[0] != 0) return Done{};
  const long descriptor = sys::open_read("/proc/self/auxv");
  if (sys::failed(descriptor)) {
    return Error{"open", sys::error_of(descriptor)}.at("/proc/self/auxv").so("mount /proc");
  }
  // The last pair stays zero: AT_NULL, whatever comes.
  const long got = sys::read(static_cast<int>(descriptor), given.words, sizeof given.words - 16);
  sys::close(static_cast<int>(descriptor));
  if (got <= 0) return Error{"read", sys::error_of(got)}.at("/proc/self/auxv");
  auxv = given;
  return Done{};
}

}  // namespace mana::loader
