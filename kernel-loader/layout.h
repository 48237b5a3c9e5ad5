// SPDX-License-Identifier: BSD-3-Clause
// Where the two halves lie (x86-64), and the types for their addresses.  Everything below the line
// is upper half and is saved; everything above is the lower half's and the kernel's.  Used by all
// zones; no code, no libc.
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

}  // namespace mana::loader
