// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/protection_keys.h"

#include <cpuid.h>

#include <cstring>

namespace mana::loader {
namespace {

// The frame's floating-point state: what FXSAVE writes, in it what the kernel tells (struct _fpx_sw_bytes), and after it the header and the
// rest of what XSAVE writes, each part where CPUID says.
constexpr int kToldAt = 464, kHeaderAt = 512;
constexpr uint32_t kMagic = 0x46505853;  // FP_XSTATE_MAGIC1
constexpr uint32_t kRegister = 9;        // PKRU's number among the parts
struct Told {
  uint32_t magic, extended_bytes;
  uint64_t parts;
};

}  // namespace

void allow_all_protection_keys() { asm volatile("wrpkru" : : "a"(0), "c"(0), "d"(0) : "memory"); }

void set_key_rights(ucontext_t& context, uint32_t key, uint32_t rights) {
  auto* area = reinterpret_cast<char*>(context.uc_mcontext.fpregs);
  if (area == nullptr) return;
  Told told;
  std::memcpy(&told, area + kToldAt, sizeof told);
  constexpr uint64_t kPart = uint64_t{1} << kRegister;
  if (told.magic != kMagic || (told.parts & kPart) == 0) return;
  unsigned bytes = 0, at = 0, c = 0, d = 0;
  __cpuid_count(0xd, kRegister, bytes, at, c, d);
  uint64_t present;
  std::memcpy(&present, area + kHeaderAt, sizeof present);
  uint32_t value = 0;  // of a part that is not present
  if ((present & kPart) != 0) std::memcpy(&value, area + at, sizeof value);
  const uint32_t shift = 2 * key;
  value = (value & ~(3U << shift)) | (rights & 3U) << shift;
  present |= kPart;
  std::memcpy(area + at, &value, sizeof value);
  std::memcpy(area + kHeaderAt, &present, sizeof present);
}

}  // namespace mana::loader
