// SPDX-License-Identifier: BSD-3-Clause
#include "lower/image_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "kernel-loader/layout.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace mana::lower {
namespace {

using image::BlockRecord;
using image::SegmentKind;
using image::SegmentRecord;
using loader::kPage;

// Checksum and write of one piece follow each other while it is in the cache.
constexpr uint64_t kPieceBytes = 1 << 20;
constexpr uint64_t kStartWriteBackEvery = 16 << 20;

struct Output {
  int file;
  ChildReport report;
  uint64_t written_back = 0, written = 0;
};

void complain(Output& out, const char* doing, int code) {
  if (out.report.error[0] != '\0') return;
  char* at = out.report.error;
  char* end = at + sizeof out.report.error - 1;
  const char* text = strerrordesc_np(code);
  for (const char* part : {doing, ": ", text != nullptr ? text : "unknown error"}) {
    while (*part != '\0' && at < end) *at++ = *part++;
  }
}

// False with errno: EFAULT when memory cannot be read.
bool write_all(Output& out, const char* from, uint64_t bytes, uint64_t offset) {
  while (bytes > 0) {
    const ssize_t put = pwrite(out.file, from, bytes, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    from += put;
    bytes -= static_cast<uint64_t>(put);
    offset += static_cast<uint64_t>(put);
    out.report.stored_bytes += static_cast<uint64_t>(put);
  }
  // The disk starts now, not at the fsync.
  out.written = offset;
  if (out.written - out.written_back >= kStartWriteBackEvery) {
    sync_file_range(out.file, static_cast<off_t>(out.written_back), static_cast<off_t>(out.written - out.written_back), SYNC_FILE_RANGE_WRITE);
    out.written_back = out.written;
  }
  return true;
}

bool is_zero(const char* page) {
  uint64_t first[8];
  std::memcpy(first, page, sizeof first);
  if ((first[0] | first[1] | first[2] | first[3] | first[4] | first[5] | first[6] | first[7]) != 0) return false;
  return std::memcmp(page, page + sizeof first, kPage - sizeof first) == 0;
}

// Runs of pages that are not zero; the rest are holes.
bool write_anonymous(Output& out, const char* from, uint64_t bytes, uint64_t offset) {
  uint64_t at = 0;
  while (at < bytes) {
    while (at < bytes && is_zero(from + at)) at += kPage;
    const uint64_t begin = at;
    while (at < bytes && !is_zero(from + at)) at += kPage;
    if (at > begin && !write_all(out, from + begin, at - begin, offset + begin)) return false;
  }
  return true;
}

// Pages of a mapped file that lie behind its end cannot be read (SIGBUS for us, EFAULT for the kernel): they become holes.
bool write_mapped_file(Output& out, const char* from, uint64_t bytes, uint64_t offset) {
  if (write_all(out, from, bytes, offset)) return true;
  if (errno != EFAULT) return false;
  for (uint64_t at = 0; at < bytes; at += kPage) {
    if (!write_all(out, from + at, kPage, offset + at) && errno != EFAULT) return false;
  }
  return true;
}

// The checksum of what is in the file now.
bool read_back(const Output& out, uint64_t bytes, uint64_t offset, XXH3_state_t* checksum) {
  static char piece[kPieceBytes];
  uint64_t done = 0;
  while (done < bytes) {
    const ssize_t got = pread(out.file, piece + done, bytes - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    if (got == 0) break;
    done += static_cast<uint64_t>(got);
  }
  std::memset(piece + done, 0, bytes - done);  // holes at the end: the file gets its length last
  XXH3_64bits_update(checksum, piece, bytes);
  return true;
}

// Written before the application goes on: the fork has made no copy of it, or, of private huge pages, one that the kernel takes away
// from us when the application writes and no huge page is free.
bool is_urgent(SegmentKind kind) { return kind != SegmentKind::anonymous && kind != SegmentKind::file; }
bool has_holes(SegmentKind kind) { return kind == SegmentKind::shared_anonymous || kind == SegmentKind::huge_pages; }

bool write_block(Output& out, const SegmentRecord& segment, BlockRecord& block) {
  XXH3_state_t checksum;
  XXH3_64bits_reset(&checksum);
  const char* memory = reinterpret_cast<const char*>(segment.begin + (block.file_offset - segment.file_offset));
  for (uint64_t at = 0; at < block.bytes; at += kPieceBytes) {
    const uint64_t bytes = std::min(kPieceBytes, block.bytes - at);
    const uint64_t offset = block.file_offset + at;
    if (segment.kind == SegmentKind::anonymous) {
      XXH3_64bits_update(&checksum, memory + at, bytes);
      if (!write_anonymous(out, memory + at, bytes, offset)) return false;
      continue;
    }
    // Others may change it (children, who maps the same file): the checksum is of what was written, not of what is there now.
    const bool written = has_holes(segment.kind) ? write_anonymous(out, memory + at, bytes, offset)
                                                 : write_mapped_file(out, memory + at, bytes, offset);
    if (!written || !read_back(out, bytes, offset, &checksum)) return false;
  }
  block.checksum = XXH3_64bits_digest(&checksum);
  // This copy is not needed any more: the application need not copy such a page again before it writes to it.
  if (segment.kind == SegmentKind::anonymous) madvise(const_cast<char*>(memory), block.bytes, MADV_DONTNEED);
  return true;
}

bool write_data(Output& out, ImagePlan& plan, bool urgent) {
  std::size_t next = 0;
  for (const SegmentRecord& segment : plan.segments) {
    if (segment.stored_bytes == 0) continue;
    if (is_urgent(segment.kind) != urgent) {
      while (next < plan.blocks.size() && plan.blocks[next].file_offset < segment.file_offset + segment.stored_bytes) ++next;
      continue;
    }
    if ((segment.protection & PROT_READ) == 0 &&
        mprotect(reinterpret_cast<void*>(segment.begin), segment.bytes, PROT_READ) != 0) {
      complain(out, "make memory readable", errno);
      return false;
    }
    while (next < plan.blocks.size() && plan.blocks[next].file_offset < segment.file_offset + segment.stored_bytes) {
      if (write_block(out, segment, plan.blocks[next++])) continue;
      complain(out, "write the image", errno);
      return false;
    }
    // Ours no longer, so the application's next write takes no second huge page.
    if (segment.kind == SegmentKind::huge_pages) munmap(reinterpret_cast<void*>(segment.begin), segment.bytes);
  }
  return true;
}

// The checksums are known now: the notes are written last, so that an unfinished file has none.
bool write_front(Output& out, ImagePlan& plan) {
  char* front = plan.front.data();
  std::memcpy(front + plan.blocks_at, plan.blocks.data(), plan.blocks.size() * sizeof(BlockRecord));
  out.report.checksum = XXH3_64bits(front, plan.notes_end);
  std::memcpy(front + plan.header_at + offsetof(image::ImageHeader, notes_checksum), &out.report.checksum, sizeof out.report.checksum);
  if (!write_all(out, front, plan.front.size(), 0)) {
    complain(out, "write the image", errno);
    return false;
  }
  if (ftruncate(out.file, static_cast<off_t>(plan.file_bytes)) != 0 || fsync(out.file) != 0) {
    complain(out, "make the image durable", errno);
    return false;
  }
  return true;
}

// What the application or the MPI library closes meanwhile is closed: a peer sees the end of its connection.
void close_all_but(std::array<int, 3> kept) {
  std::sort(kept.begin(), kept.end());
  unsigned begin = 0;
  for (const int one : kept) {
    if (static_cast<unsigned>(one) > begin) syscall(SYS_close_range, begin, static_cast<unsigned>(one) - 1, 0);
    begin = static_cast<unsigned>(one) + 1;
  }
  syscall(SYS_close_range, begin, ~0U, 0);
}

}  // namespace

void write_image_and_exit(ImagePlan& plan, int file, int report_pipe, int shared_pipe) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a killed rank leaves no writer behind
  close_all_but({file, report_pipe, shared_pipe});
  Output out{file, {}};
  const bool shared_written = write_data(out, plan, true);
  close(shared_pipe);
  if (shared_written && write_data(out, plan, false)) write_front(out, plan);
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  out.report.finished_at_ns = now.tv_sec * 1'000'000'000LL + now.tv_nsec;
  ssize_t sent;
  do sent = write(report_pipe, &out.report, sizeof out.report);
  while (sent < 0 && errno == EINTR);
  for (;;) syscall(SYS_exit_group, 0);
}

}  // namespace mana::lower
