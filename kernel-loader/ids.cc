// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/ids.h"

#include "kernel-loader/sys.h"

namespace mana::loader {
namespace {

// Filled before the application runs, constant from then on: no lock.
struct Pair {
  int32_t seen, real;
  IdKind kind;
  uint64_t fs;
};
constexpr uint64_t kMost = 1 << 16;  // threads and a few groups; pages that are not used cost nothing
constinit Pair pairs[kMost] = {};
constinit uint64_t count = 0;

}  // namespace

bool add_id(IdKind kind, int32_t seen, int32_t real, uint64_t fs) {
  if (seen <= 0 || real <= 0) return true;  // a parent or a session outside this namespace is 0 on both sides
  for (uint64_t i = 0; i < count; i++) {
    if (pairs[i].kind == kind && pairs[i].seen == seen) return true;
  }
  if (count == kMost) return false;
  pairs[count++] = {seen, real, kind, fs};
  return true;
}

int32_t real_id(int32_t seen, IdKind kind) {
  for (uint64_t i = 0; i < count; i++) {
    if (pairs[i].kind == kind && pairs[i].seen == seen) return pairs[i].real;
  }
  return seen;
}

int32_t seen_id(int32_t real, IdKind kind) {
  for (uint64_t i = 0; i < count; i++) {
    if (pairs[i].kind == kind && pairs[i].real == real) return pairs[i].seen;
  }
  return real;
}

int32_t seen_id_of_this_thread() {
  const int32_t real = sys::gettid();
  for (uint64_t i = 0; i < count; i++) {
    if (pairs[i].kind != IdKind::task || pairs[i].real != real) continue;
    if (pairs[i].fs == 0 || pairs[i].fs == sys::fs_base()) return pairs[i].seen;
  }
  return real;
}

bool ids_are_translated() { return count != 0; }

}  // namespace mana::loader
