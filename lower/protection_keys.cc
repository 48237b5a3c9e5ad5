// SPDX-License-Identifier: BSD-3-Clause
#include "lower/protection_keys.h"

#include <errno.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <memory>

namespace mana::lower {
namespace {

constexpr int kKeys = 16;

bool holds(const loader::GateState& gate, int key) { return (gate.lasting & loader::protection_key(static_cast<uint64_t>(key))) != 0; }

}  // namespace

bool memory_has_protection_key(const loader::GateState& gate) {
  if ((gate.lasting & loader::kProtectionKeys) == 0) return false;
  const std::unique_ptr<FILE, int (*)(FILE*)> maps(std::fopen("/proc/thread-self/smaps", "re"), std::fclose);
  char line[1024];
  int key = 0;
  while (maps != nullptr && std::fgets(line, sizeof line, maps.get()) != nullptr) {
    if (std::sscanf(line, "ProtectionKey: %d", &key) == 1 && key > 0 && key < kKeys && holds(gate, key)) return true;
  }
  return maps == nullptr;
}

// The kernel gives the lowest that is free.
loader::Outcome restore_protection_keys(const loader::GateState& gate) {
  bool got[kKeys] = {};
  for (int wanted = 1; wanted < kKeys; ++wanted) {
    while (holds(gate, wanted) && !got[wanted]) {
      const int key = pkey_alloc(0, 0);
      if (key < 0) return loader::Error{"hold the application's protection keys (pkey_alloc) again", errno}.so("restart where the kernel gives them, and no library of the MPI holds them");
      got[key] = true;
    }
  }
  for (int key = 1; key < kKeys; ++key) {
    if (got[key] && !holds(gate, key)) pkey_free(key);
  }
  return loader::Done{};
}

}  // namespace mana::lower
