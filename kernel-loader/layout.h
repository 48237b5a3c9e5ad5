// SPDX-License-Identifier: BSD-3-Clause
// Where the two halves lie (x86-64), and the types for their addresses.  Everything below the line
// is upper half and is saved; everything above is the lower half's and the kernel's, but for two
// windows (kWindows).  Used by all zones; no code, no libc.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace mana::loader {

inline constexpr uint64_t kLine = 0x2a00'0000'0000;
inline constexpr uint64_t kArenaLow = 0x1600'0000'0000;
inline constexpr uint64_t kArenaHigh = kLine;
// The vdso is at the same place in every process: a filter outlives execve, and the one of the program before would not know the
// calls that this vdso makes for the gate.
inline constexpr uint64_t kVdsoAddress = kArenaLow;
inline constexpr uint64_t kPage = 4096;
inline constexpr uint64_t kHugePage = 2 << 20;
inline constexpr uint64_t kUnlimited = ~uint64_t{0};  // RLIM_INFINITY

constexpr uint64_t page_down(uint64_t value) { return value & ~(kPage - 1); }
constexpr uint64_t page_up(uint64_t value) { return (value + kPage - 1) & ~(kPage - 1); }
constexpr bool in_upper_half(uint64_t address) { return address < kLine; }
constexpr bool in_arena(uint64_t address) { return address >= kArenaLow && address < kArenaHigh; }

// The numbers from 0 to this one (excluded) are the application's descriptors; the lower half's are from here up (descriptor_line.h).
// The same on every lower half as long as the hard limit of open files is.  More than the bound would cost every fork: the kernel
// copies its table up to the highest number that is open.
inline constexpr int kMostApplicationDescriptors = 8192;
constexpr int first_lower_descriptor(uint64_t hard_limit) {
  return hard_limit / 2 < kMostApplicationDescriptors ? static_cast<int>(hard_limit / 2)
                                                      : kMostApplicationDescriptors;
}

// The system call number with which a front end's constructor hands its UpperInterface to the gate
// (rdi), the kRegisterCall of upper/interface.h.  No kernel has such a call.
inline constexpr long kFrontEndCall = 0x4d414e41;

// A range of addresses that somebody saw.  Owns nothing.
struct Region {
  uint64_t low = 0;
  uint64_t high = 0;  // excluded
  constexpr uint64_t length() const { return high - low; }
  constexpr bool contains(uint64_t address) const { return address >= low && address < high; }
  constexpr bool overlaps(const Region& other) const {
    return low < other.high && other.low < high;
  }
};

// Memory of the application above the line: the allocators of AddressSanitizer and LeakSanitizer map 4 TiB and a little there with
// MAP_FIXED (kAllocatorSpace: in the second one; in the first one since LLVM 18 and GCC 14).  Data only: no text, stack or TLS, so the
// halves are still told apart by the line alone where code or %fs is looked at.
// Nothing of the lower half is ever there: what the kernel places grows down from 0x7fff_ffff_f000 by at most 16 TiB of
// randomness and what the process maps, the legacy layout grows up from 0x2aaa_aaaa_a000, and a program starts between
// 0x5555_5555_4000 and 0x6555_5555_4000 (vm.mmap_rnd_bits 32; the default of 28 ends at 0x5655_5555_4000).  A lower program that
// finds itself in a window executes itself again (must_lie_elsewhere).
inline constexpr Region kWindows[] = {{0x5000'0000'0000, 0x5500'0000'0000}, {0x6000'0000'0000, 0x6500'0000'0000}};

constexpr bool is_application_memory(uint64_t address) {
  for (const Region& window : kWindows) {
    if (window.contains(address)) return true;
  }
  return address < kLine;
}
// All of it: below the line, or in one window.
constexpr bool is_application_memory(uint64_t address, uint64_t length) {
  for (const Region& window : kWindows) {
    if (window.contains(address)) return page_up(length) >= length && page_up(length) <= window.high - address;
  }
  return address < kLine && page_up(length) >= length && page_up(length) <= kLine - address;
}
// Some of it.
constexpr bool touches_application_memory(const Region& range) {
  for (const Region& window : kWindows) {
    if (window.overlaps(range)) return true;
  }
  return range.low < kLine;
}

// `text`: of the lower program.  Its heap (brk) follows it, and has this much room.
constexpr bool must_lie_elsewhere(uint64_t text) {
  constexpr uint64_t kHeapRoom = uint64_t{64} << 30;
  return touches_application_memory({text, text + kHeapRoom});
}

// An address of the upper half, or of an image not yet placed.  There is no operator*: the memory
// may not be there.
class UpperAddress {
 public:
  constexpr UpperAddress() = default;
  constexpr explicit UpperAddress(uint64_t bits) : bits_(bits) {}
  constexpr uint64_t bits() const { return bits_; }
  constexpr UpperAddress operator+(uint64_t length) const { return UpperAddress(bits_ + length); }
  constexpr auto operator<=>(const UpperAddress&) const = default;

 private:
  uint64_t bits_ = 0;
};

}  // namespace mana::loader
