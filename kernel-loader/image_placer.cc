// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/image_placer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "kernel-loader/image_shared.h"
#include "kernel-loader/report.h"

namespace mana::image {
namespace {

using loader::Done;
using loader::Error;
using loader::Outcome;

// Shorter ones are read: a mapping of its own costs a VMA, keeps the region from being one for mremap, and a page fault per 16 pages.
constexpr uint64_t kMapFrom = 1 << 20;

Error failure(const char* what, const SegmentRecord& segment, const std::string& name) {
  const Error error{what, errno, segment.begin, segment.bytes};
  return name.empty() ? error : error.at(name.c_str());
}

char* memory(const SegmentRecord& segment) { return reinterpret_cast<char*>(segment.begin); }

bool read_piece(int descriptor, char* to, uint64_t bytes, uint64_t offset) {
  for (uint64_t done = 0; done < bytes;) {
    const ssize_t got = pread(descriptor, to + done, bytes - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<uint64_t>(got);
  }
  return true;
}

Outcome read_segment(int descriptor, const SegmentRecord& segment, const std::string& name, int threads) {
  constexpr uint64_t kPiece = 8 << 20;
  std::atomic<uint64_t> next{0};
  std::atomic<int> error{-1};
  const auto work = [&] {
    for (uint64_t at = next.fetch_add(kPiece); at < segment.bytes && error < 0; at = next.fetch_add(kPiece)) {
      if (!read_piece(descriptor, memory(segment) + at, std::min(kPiece, segment.bytes - at), segment.file_offset + at)) error = errno;
    }
  };
  std::vector<std::thread> helpers;
  for (int i = 1; i < threads && static_cast<uint64_t>(i) * kPiece < segment.bytes; ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  errno = error;
  return error < 0 ? Outcome{Done{}} : failure("read memory from the image", segment, name);
}

// Memory that is mapped from a file has none.
constexpr uint64_t kHugePage = 2 << 20;
enum class HugePages { never, where_asked_for, everywhere };

HugePages huge_pages(const ImageFile& image) {
  char words[64] = {};
  const int file = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
  if (file < 0) return HugePages::never;
  const bool known = read(file, words, sizeof words - 1) > 0;
  close(file);
  const uint32_t without = image.process().without_huge_pages;
  if (!known || std::strstr(words, "[never]") != nullptr || without == 1) return HugePages::never;
  return without == 0 && std::strstr(words, "[always]") != nullptr ? HugePages::everywhere : HugePages::where_asked_for;
}

// Their size is the mapping's own; 0: this machine has not so many of them.
void* map_huge_pages(const SegmentRecord& whole, int protection, int flags) {
  constexpr int kSizeShift = 26;  // MAP_HUGE_SHIFT: above it lies the logarithm of the size
  const int size = whole.mapped_offset == 0 ? 0 : __builtin_ctzll(whole.mapped_offset) << kSizeShift;
  // Reserved at once: a page that is not there when it is touched ends the process.
  void* placed = mmap(memory(whole), whole.bytes, protection, (flags & ~MAP_NORESERVE) | MAP_HUGETLB | size, -1, 0);
  if (placed != MAP_FAILED) return placed;
  loader::report("restart", Error{"place memory in huge pages of the size it had", errno, whole.begin, whole.bytes}.so(
                                "it lies in ordinary pages now; reserve some (vm.nr_hugepages)"));
  return mmap(memory(whole), whole.bytes, protection, flags, -1, 0);
}

// Before Linux 6.11 there are no mappings whose memory may be dropped: what else is true of them is asked for.
void* map_droppable(const SegmentRecord& whole, int protection, int flags) {
  constexpr int kMapDroppable = 0x08;  // MAP_DROPPABLE
  void* placed = mmap(memory(whole), whole.bytes, protection, (flags & ~MAP_PRIVATE) | kMapDroppable, -1, 0);
  if (placed != MAP_FAILED) return placed;
  loader::report("restart", Error{"map memory that the kernel may drop (MAP_DROPPABLE)", errno, whole.begin, whole.bytes}.so("it stays now"));
  placed = mmap(memory(whole), whole.bytes, protection, flags, -1, 0);
  if (placed != MAP_FAILED && (madvise(placed, whole.bytes, MADV_WIPEONFORK) != 0 || madvise(placed, whole.bytes, MADV_DONTDUMP) != 0)) return MAP_FAILED;
  return placed;
}

bool gets_huge_pages(const ImageFile& image, const SegmentRecord& whole, HugePages huge) {
  if (huge == HugePages::never || whole.bytes < kHugePage) return false;
  const auto covers = [&whole](const MemoryFlags& range) { return range.begin <= whole.begin && whole.begin + whole.bytes <= range.begin + range.bytes; };
  const auto touches = [&whole](const MemoryFlags& range) { return range.begin < whole.begin + whole.bytes && whole.begin < range.begin + range.bytes; };
  bool asked_for = false, forbidden = false;
  for (const MemoryFlags& range : image.memory_flags()) {
    asked_for |= (range.flags & MemoryFlags::huge_pages) != 0 && touches(range);
    forbidden |= (range.flags & MemoryFlags::no_huge_pages) != 0 && covers(range);
  }
  return asked_for || (huge == HugePages::everywhere && !forbidden);
}

// What the application has called it (PR_SET_VMA_ANON_NAME, Linux 5.17), of what /proc/self/maps shows; empty: nothing.
std::string given_name(const std::string& shown) {
  for (const char* kind : {"[anon:", "[anon_shmem:"}) {
    const std::size_t length = std::strlen(kind);
    if (shown.compare(0, length, kind) == 0 && shown.back() == ']') return shown.substr(length, shown.size() - length - 1);
  }
  return {};
}

void give_name(const SegmentRecord& whole, const std::string& name) {
  constexpr int kSetVma = 0x53564d41;  // PR_SET_VMA; of its commands 0 is PR_SET_VMA_ANON_NAME
  if (prctl(kSetVma, 0, whole.begin, whole.bytes, name.c_str()) == 0) return;
  static bool told = false;
  if (!told) loader::report("restart", failure("give memory its name (PR_SET_VMA_ANON_NAME) again", whole, name).so("goes on without such names"));
  told = true;
}

// A file's memory has no name, MADV_WIPEONFORK is refused for it, its pages lie on the nodes where they were read, and are small ones: that
// would cost a program that computes with much memory more for as long as it runs than reading it costs once.
bool must_be_anonymous(const ImageFile& image, const SegmentRecord& whole, HugePages huge) {
  const auto concerns = [&whole](const auto& range) { return range.begin < whole.begin + whole.bytes && whole.begin < range.begin + range.bytes; };
  return std::any_of(image.memory_policies().begin(), image.memory_policies().end(), concerns) ||
         std::any_of(image.memory_flags().begin(), image.memory_flags().end(),
                     [&](const MemoryFlags& range) { return (range.flags & MemoryFlags::wipe_on_fork) != 0 && concerns(range); }) ||
         !given_name(image.text(whole.path)).empty() || gets_huge_pages(image, whole, huge);
}

// Before it is read.
void ask_for_huge_pages(const ImageFile& image, const SegmentRecord& whole) {
  for (const MemoryFlags& range : image.memory_flags()) {
    const uint64_t begin = std::max(range.begin, whole.begin), end = std::min(range.begin + range.bytes, whole.begin + whole.bytes);
    if (begin >= end) continue;
    const int advice = (range.flags & MemoryFlags::huge_pages) != 0 ? MADV_HUGEPAGE : (range.flags & MemoryFlags::no_huge_pages) != 0 ? MADV_NOHUGEPAGE : 0;
    if (advice != 0) madvise(reinterpret_cast<void*>(begin), end - begin, advice);
  }
}

// The stretches [first, last) of one anonymous region: anonymous memory, covered by the file where that pays.
Outcome place_private(const ImageFile& image, std::size_t first, std::size_t last, bool map_file, SharedObjects& objects,
                      SystemVSegments& system_v, HugePages huge_pages, int threads) {
  const auto& segments = image.segments();
  SegmentRecord whole = segments[first];
  whole.bytes = segments[last - 1].begin + segments[last - 1].bytes - whole.begin;
  const std::string name = image.text(whole.path);
  const int protection = static_cast<int>(whole.protection & ~(kGrowsDown | kDroppable));
  const bool segment_of_system_v = whole.kind == SegmentKind::shared_segment;
  const bool huge = is_huge(whole.kind);
  const bool mapped_twice = objects.has(whole);
  const bool shared = whole.kind == SegmentKind::shared_anonymous || whole.kind == SegmentKind::shared_memory ||
                      whole.kind == SegmentKind::shared_huge_pages || segment_of_system_v;
  const bool grows_down = (whole.protection & kGrowsDown) != 0;
  const bool droppable = (whole.protection & kDroppable) != 0;
  if (shared || grows_down || huge || must_be_anonymous(image, whole, huge_pages)) map_file = false;  // must be one anonymous mapping
  bool reads = false;
  for (std::size_t i = first; i < last; ++i) reads |= segments[i].stored_bytes != 0;
  const int writable = reads ? protection | PROT_READ | PROT_WRITE : protection;
  // MAP_NORESERVE: what was reserved and never touched may be more than this machine has.
  const int flags = MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE | (shared ? MAP_SHARED : MAP_PRIVATE) |
                    (grows_down ? MAP_GROWSDOWN : 0);
  void* placed = segment_of_system_v ? system_v.attach(whole)
                 : mapped_twice      ? objects.map(whole)
                 : huge              ? map_huge_pages(whole, writable, flags)
                 : droppable         ? map_droppable(whole, writable, flags)
                                     : mmap(memory(whole), whole.bytes, writable, flags, -1, 0);
  if (placed != memory(whole)) return failure("place memory", whole, name);
  if (whole.bytes >= kHugePage) ask_for_huge_pages(image, whole);
  bool must_protect = segment_of_system_v || mapped_twice;
  for (std::size_t i = first; i < last; ++i) {
    const SegmentRecord& segment = segments[i];
    if (segment.stored_bytes == 0) {
      must_protect |= writable != protection;
    } else if (map_file && segment.bytes >= kMapFrom) {
      if (mmap(memory(segment), segment.bytes, protection, MAP_PRIVATE | MAP_FIXED, image.descriptor(),
               static_cast<off_t>(segment.file_offset)) == MAP_FAILED) {
        return failure("map memory from the image", segment, name);
      }
    } else {
      must_protect |= writable != protection;
      if (Outcome read = read_segment(image.descriptor(), segment, name, threads); !read.ok()) return read;
    }
  }
  if (must_protect && mprotect(memory(whole), whole.bytes, protection) != 0) return failure("protect memory", whole, name);
  if (const std::string given = given_name(name); !given.empty()) give_name(whole, given);
  return Done{};
}

// The file is mapped again where it can be.  A writable mapping gets the bytes that the application saw; of a read-only one the
// file is the truth.
Outcome place_shared_file(const ImageFile& image, const SegmentRecord& segment, int threads) {
  const std::string path = image.path(segment.path);
  const bool writable = (segment.protection & PROT_WRITE) != 0;
  // Of a mapping that is read-only today the application may make a writable one tomorrow, if it has opened the file so.
  int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0 && !writable) file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return failure("open a file that the application had mapped", segment, path);
  void* at = mmap(memory(segment), segment.bytes, static_cast<int>(segment.protection), MAP_SHARED | MAP_FIXED_NOREPLACE, file,
                  static_cast<off_t>(segment.mapped_offset));
  struct stat status {};
  const bool known = fstat(file, &status) == 0;
  close(file);
  if (at != memory(segment)) return failure("map a file that the application had mapped", segment, path);
  if (!writable || segment.stored_bytes == 0 || !known) return Done{};
  SegmentRecord inside = segment;  // behind the end of the file there is no memory to write to
  const uint64_t file_bytes = static_cast<uint64_t>(status.st_size);
  inside.bytes = file_bytes <= segment.mapped_offset ? 0 : std::min(segment.bytes, file_bytes - segment.mapped_offset);
  return read_segment(image.descriptor(), inside, path, threads);
}

}  // namespace

Outcome place_image(const ImageFile& image, bool map_file, SystemVSegments& system_v, int threads) {
  const auto& segments = image.segments();
  const HugePages huge = huge_pages(image);
  SharedObjects objects(image);
  for (std::size_t first = 0; first < segments.size();) {
    std::size_t last = first + 1;
    while (last < segments.size() && segments[last].region == segments[first].region) ++last;
    if (segments[first].kind == SegmentKind::shared_file) {
      for (std::size_t i = first; i < last; ++i) {
        if (Outcome placed = place_shared_file(image, segments[i], threads); !placed.ok()) return placed;
      }
    } else if (Outcome placed = place_private(image, first, last, map_file, objects, system_v, huge, threads); !placed.ok()) {
      return placed;
    }
    first = last;
  }
  return Done{};
}

bool mapping_is_safe(int descriptor) {
  struct statfs status {};
  if (fstatfs(descriptor, &status) != 0) return false;
  constexpr long kLustre = 0x0bd00bd0, kGpfs = 0x47504653, kBeeGfs = 0x19830326, kCifs = 0xff534d42, kSmb2 = 0xfe534d42,
                 kCeph = 0x00c36400, kAfs = 0x5346414f, k9p = 0x01021997;
  const auto type = static_cast<unsigned long>(status.f_type) & 0xffffffffUL;
  for (const long remote : {long{NFS_SUPER_MAGIC}, long{FUSE_SUPER_MAGIC}, kLustre, kGpfs, kBeeGfs, kCifs, kSmb2, kCeph, kAfs, k9p}) {
    if (type == static_cast<unsigned long>(remote)) return false;
  }
  return true;
}

}  // namespace mana::image
