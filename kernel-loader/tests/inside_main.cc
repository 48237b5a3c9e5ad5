// SPDX-License-Identifier: BSD-3-Clause
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "kernel-loader/tests/inside.h"

namespace inside {

static std::vector<Entry>& entries() {
  static std::vector<Entry> all;
  return all;
}

Register::Register(const char* name, Claim claim) { entries().push_back({name, claim}); }

bool launched() {
  int here = 0;
  return reinterpret_cast<uint64_t>(&here) < 0x2a00'0000'0000;
}

}  // namespace inside

int main(int count, char** words) {
  close_range(3, ~0U,
              0);  // what the test runner left open would be in the way of "the lowest number"
  for (const auto& entry : inside::entries()) {
    if (count > 1 && std::strcmp(words[1], entry.name) != 0) continue;
    entry.claim();
    std::printf("ok %s\n", entry.name);
    std::fflush(stdout);
    if (count > 1) return 0;
  }
  return count > 1 ? 77 : 0;
}
