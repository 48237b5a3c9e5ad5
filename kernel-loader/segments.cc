// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/segments.h"

#include <sys/mman.h>

#include <cerrno>

#include "kernel-loader/arena.h"
#include "kernel-loader/sys.h"

namespace mana::loader {
namespace {

struct Span {
  uint64_t low = ~uint64_t{0}, high = 0, alignment = kPage;
};

Result<Span> span_of(const ElfHeaders& headers) {
  Span span;
  for (int i = 0; i < headers.file.e_phnum; i++) {
    const Elf64_Phdr& segment = headers.segments[i];
    if (segment.p_type != PT_LOAD || segment.p_memsz == 0) continue;
    if (segment.p_filesz > segment.p_memsz || segment.p_vaddr + segment.p_memsz < segment.p_vaddr ||
        (segment.p_vaddr - segment.p_offset) % kPage != 0) {
      return Error{"unusable PT_LOAD segment", ENOEXEC, segment.p_vaddr, segment.p_memsz};
    }
    if (page_down(segment.p_vaddr) < span.low) span.low = page_down(segment.p_vaddr);
    if (page_up(segment.p_vaddr + segment.p_memsz) > span.high)
      span.high = page_up(segment.p_vaddr + segment.p_memsz);
    const bool power_of_two = (segment.p_align & (segment.p_align - 1)) == 0;
    if (power_of_two && segment.p_align > span.alignment) span.alignment = segment.p_align;
  }
  if (span.high <= span.low) return Error{"no PT_LOAD segment", ENOEXEC};
  return span;
}

int protection_of(const Elf64_Phdr& segment) {
  return ((segment.p_flags & PF_R) != 0 ? PROT_READ : 0) |
         ((segment.p_flags & PF_W) != 0 ? PROT_WRITE : 0) |
         ((segment.p_flags & PF_X) != 0 ? PROT_EXEC : 0);
}

// The kernel gives bss whole pages, and clears what the file's last page holds beyond the data, to
// the end of the page: glibc's loader keeps its first heap there and relies on the zeros.
Outcome map_segment(int descriptor, const Elf64_Phdr& segment, uint64_t bias) {
  const uint64_t start = bias + segment.p_vaddr;
  const uint64_t file_end = start + segment.p_filesz;
  const int protection = protection_of(segment);
  if (segment.p_filesz > 0) {
    const uint64_t low = page_down(start);
    const long got = sys::mmap(low, file_end - low, protection, MAP_PRIVATE | MAP_FIXED, descriptor,
                               page_down(segment.p_offset));
    if (sys::failed(got)) return Error{"map segment", sys::error_of(got), low, file_end - low};
    if ((segment.p_flags & PF_W) != 0 && segment.p_memsz > segment.p_filesz) {
      __builtin_memset(sys::pointer<void>(file_end), 0, page_up(file_end) - file_end);
    }
  }
  const uint64_t bss_low = segment.p_filesz > 0 ? page_up(file_end) : page_down(start);
  const uint64_t bss_high = page_up(start + segment.p_memsz);
  if (bss_high > bss_low) {
    const long got =
        sys::mmap(bss_low, bss_high - bss_low, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
    if (sys::failed(got)) return Error{"map bss", sys::error_of(got), bss_low, bss_high - bss_low};
  }
  return Done{};
}

// Reserves the whole range without access, so that nothing comes between the segments.
Result<uint64_t> reserve(const ElfHeaders& headers, const Span& span, uint64_t wanted) {
  const uint64_t length = span.high - span.low;
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  if (headers.file.e_type == ET_DYN && wanted == 0) {
    const long got = map_in_arena(length, PROT_NONE, kFlags, -1, 0, span.alignment);
    if (sys::failed(got)) return Error{"find room in the arena", sys::error_of(got), 0, length};
    return static_cast<uint64_t>(got);
  }
  const uint64_t at = headers.file.e_type == ET_DYN
                          ? (wanted + span.alignment - 1) & ~(span.alignment - 1)
                          : span.low;
  if (!in_upper_half(at) || !in_upper_half(at + length)) {
    return Error{"its link address belongs to the lower half", 0, at, length}.so(
        "link it position-independent (-pie)");
  }
  const long got = sys::mmap(at, length, PROT_NONE, kFlags | MAP_FIXED_NOREPLACE);
  if (sys::failed(got)) return Error{"reserve its address range", sys::error_of(got), at, length};
  note_mapped(at, length);
  return at;
}

void give_back_holes(const ElfHeaders& headers, uint64_t bias, const Span& span) {
  uint64_t covered = span.low;  // PT_LOAD entries are in ascending order (ELF specification)
  for (int i = 0; i < headers.file.e_phnum; i++) {
    const Elf64_Phdr& segment = headers.segments[i];
    if (segment.p_type != PT_LOAD || segment.p_memsz == 0) continue;
    const uint64_t low = page_down(segment.p_vaddr);
    if (low > covered) sys::munmap(bias + covered, low - covered);
    const uint64_t high = page_up(segment.p_vaddr + segment.p_memsz);
    if (high > covered) covered = high;
  }
}

}  // namespace

Result<PlacedElf> place_segments(int descriptor, const ElfHeaders& headers, uint64_t wanted) {
  const Result<Span> found = span_of(headers);
  if (!found.ok()) return found.error();
  const Span span = found.value();
  const Result<uint64_t> at = reserve(headers, span, wanted);
  if (!at.ok()) return at.error();
  PlacedElf placed{};
  placed.bias = at.value() - span.low;
  placed.low = at.value();
  placed.high = at.value() + (span.high - span.low);
  placed.entry = placed.bias + headers.file.e_entry;
  for (int i = 0; i < headers.file.e_phnum; i++) {
    const Elf64_Phdr& segment = headers.segments[i];
    if (segment.p_type == PT_PHDR) placed.program_headers = placed.bias + segment.p_vaddr;
    if (segment.p_type != PT_LOAD || segment.p_memsz == 0) continue;
    if (Outcome mapped = map_segment(descriptor, segment, placed.bias); !mapped.ok())
      return mapped.error();
    if (placed.program_headers == 0 && headers.file.e_phoff - segment.p_offset < segment.p_filesz) {
      placed.program_headers =
          placed.bias + segment.p_vaddr + (headers.file.e_phoff - segment.p_offset);
    }
  }
  give_back_holes(headers, placed.bias, span);
  return placed;
}

}  // namespace mana::loader
