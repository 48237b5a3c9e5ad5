// SPDX-License-Identifier: BSD-3-Clause
#include "lower/image_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "kernel-loader/checksum.h"
#include "kernel-loader/layout.h"
#include "kernel-loader/sys.h"
#include "lower/clone.h"
#include "lower/memory_flags.h"

namespace mana::lower {
namespace {

using image::BlockRecord;
using image::Checksum;
using image::SegmentKind;
using image::SegmentRecord;
using loader::kPage;

// Checksum and write of one piece follow each other while it is in the cache.
constexpr uint64_t kPieceBytes = 1 << 20;
constexpr std::size_t kRun = 4;  // blocks that a writer takes at once

constexpr int kMostWriters = 4;
constexpr std::size_t kStackBytes = 64 << 10;

// Several threads write, each other blocks.  They are the kernel's only, without anything of libc's: no errno, no %fs of their own.
struct Writer {
  int file;
  uint64_t stored_bytes;
  int error;             // errno; 0: none
  std::atomic<uint32_t> runs;  // the kernel's word for its end
  alignas(64) char read_back[kPieceBytes];
  alignas(64) char stack[kStackBytes];
};
constinit Writer writers[kMostWriters]{};

// One more thread sends what has been written on its way to the disk, run by run, so that the fsync at the end finds little to do.  Whoever sends
// waits where the disk's queue is full; the writers go on meanwhile, unless they are too far ahead: what waits for the disk uses memory that cannot
// be had back at once, and when it is much, the kernel slows down everybody's writing, the application's too.
// Nobody waits for ever: whoever waits with the lowest number has all before it in the ring, and the sender comes to those.
struct Sender {
  static constexpr uint32_t kMostAhead = 64;  // runs, 1 GiB
  struct Slot {
    std::atomic<uint32_t> filled;  // its run's number and one
    uint64_t from, bytes;
  };
  int file;
  uint32_t most_ahead;
  std::atomic<uint32_t> written, sent;  // how many runs; modulo 2^32
  std::atomic<uint32_t> runs;
  Slot ring[kMostAhead];
  alignas(64) char stack[kStackBytes];
};
constinit Sender sender{};

struct Work {
  ImagePlan* plan;
  bool urgent, in_place;
  const MemoryRoom* room;
  std::atomic<bool> gave_up;
  std::atomic<std::size_t> next;  // block
};
constinit Work work{};

void complain(ChildReport& report, const char* doing, int code) {
  if (report.error[0] != '\0') return;
  char* at = report.error;
  char* end = at + sizeof report.error - 1;
  const char* text = strerrordesc_np(code);
  const char* advice = code == EFBIG ? "; raise the limit of a file's size (ulimit -f)" : "";
  for (const char* part : {doing, ": ", text != nullptr ? text : "unknown error", advice}) {
    while (*part != '\0' && at < end) *at++ = *part++;
  }
}

// 0 or an errno: EFAULT when memory cannot be read.
int write_all(Writer& writer, const char* from, uint64_t bytes, uint64_t offset) {
  while (bytes > 0) {
    const long put = sys::raw(__NR_pwrite64, static_cast<uint64_t>(writer.file), sys::bits(from), bytes, offset);
    if (put == -EINTR) continue;
    if (put <= 0) return put == 0 ? EIO : sys::error_of(put);
    from += put;
    bytes -= static_cast<uint64_t>(put);
    offset += static_cast<uint64_t>(put);
    writer.stored_bytes += static_cast<uint64_t>(put);
  }
  return 0;
}

// The first touch of a page in a new process takes long (its translation, the bit "accessed"), but that of the next need not wait for it.
void touch(const char* memory, uint64_t bytes) {
  for (uint64_t at = 0; at < bytes; at += kPage) static_cast<void>(*static_cast<const volatile char*>(memory + at));
}

bool is_zero(const char* page) {
  uint64_t first[8];
  std::memcpy(first, page, sizeof first);
  if ((first[0] | first[1] | first[2] | first[3] | first[4] | first[5] | first[6] | first[7]) != 0) return false;
  return std::memcmp(page, page + sizeof first, kPage - sizeof first) == 0;
}

// Runs of pages that are not zero; the rest are holes.
int write_anonymous(Writer& writer, const char* from, uint64_t bytes, uint64_t offset) {
  uint64_t at = 0;
  while (at < bytes) {
    while (at < bytes && is_zero(from + at)) at += kPage;
    const uint64_t begin = at;
    while (at < bytes && !is_zero(from + at)) at += kPage;
    if (at == begin) continue;
    if (const int code = write_all(writer, from + begin, at - begin, offset + begin); code != 0) return code;
  }
  return 0;
}

// Pages of a mapped file that lie behind its end cannot be read (SIGBUS for us, EFAULT for the kernel): they become holes.
int write_mapped_file(Writer& writer, const char* from, uint64_t bytes, uint64_t offset) {
  if (const int code = write_all(writer, from, bytes, offset); code != EFAULT) return code;
  for (uint64_t at = 0; at < bytes; at += kPage) {
    if (const int code = write_all(writer, from + at, kPage, offset + at); code != 0 && code != EFAULT) return code;
  }
  return 0;
}

// The checksum of what is in the file now.
int read_back(Writer& writer, uint64_t bytes, uint64_t offset, Checksum& checksum) {
  uint64_t done = 0;
  while (done < bytes) {
    const long got = sys::pread(writer.file, writer.read_back + done, bytes - done, offset + done);
    if (got == -EINTR) continue;
    if (sys::failed(got)) return sys::error_of(got);
    if (got == 0) break;
    done += static_cast<uint64_t>(got);
  }
  std::memset(writer.read_back + done, 0, bytes - done);  // holes at the end: the file gets its length last
  checksum.update(writer.read_back, bytes);
  return 0;
}

// Written before the application goes on: the fork has made no copy of it, or, of private huge pages, one that the kernel takes away
// from us when the application writes and no huge page is free.
bool is_urgent(SegmentKind kind) { return kind != SegmentKind::anonymous && kind != SegmentKind::file; }
bool has_holes(SegmentKind kind) { return kind == SegmentKind::shared_anonymous || kind == SegmentKind::huge_pages; }

int write_block(Writer& writer, const SegmentRecord& segment, BlockRecord& block) {
  Checksum checksum;
  const char* memory = reinterpret_cast<const char*>(segment.begin + (block.file_offset - segment.file_offset));
  for (uint64_t at = 0; at < block.bytes; at += kPieceBytes) {
    const uint64_t bytes = std::min(kPieceBytes, block.bytes - at);
    const uint64_t offset = block.file_offset + at;
    int code;
    if (segment.kind == SegmentKind::anonymous) {
      touch(memory + at, bytes);
      checksum.update(memory + at, bytes);
      code = write_anonymous(writer, memory + at, bytes, offset);
    } else {
      // Others may change it (children, who maps the same file): the checksum is of what was written, not of what is there now.
      code = has_holes(segment.kind) ? write_anonymous(writer, memory + at, bytes, offset)
                                     : write_mapped_file(writer, memory + at, bytes, offset);
      if (code == 0) code = read_back(writer, bytes, offset, checksum);
    }
    if (code != 0) return code;
  }
  block.checksum = checksum.value();
  // This copy is not needed any more: the application need not copy such a page again before it writes to it.
  if (segment.kind == SegmentKind::anonymous && !work.in_place) sys::raw(__NR_madvise, sys::bits(memory), block.bytes, MADV_DONTNEED);
  return 0;
}

// Looking takes some 10 us, writing a block some milliseconds.  One of them looks, as long as the application goes on.
bool must_give_up(const Writer& writer) {
  const bool application_goes_on = !work.urgent && !work.in_place;
  if (&writer == &writers[0] && application_goes_on && memory_is_short(*work.room)) work.gave_up.store(true);
  return work.gave_up.load();
}

void wait_while(std::atomic<uint32_t>& word, uint32_t value) { sys::raw(__NR_futex, sys::bits(&word), FUTEX_WAIT, value, 0); }
void wake(std::atomic<uint32_t>& word) { sys::raw(__NR_futex, sys::bits(&word), FUTEX_WAKE, kMostWriters); }

void give_to_the_sender(uint64_t from, uint64_t bytes) {
  if (sender.runs.load() == 0) return;
  const uint32_t number = sender.written.fetch_add(1);
  for (;;) {
    const uint32_t sent = sender.sent.load();
    if (number - sent < sender.most_ahead) break;
    wait_while(sender.sent, sent);
  }
  Sender::Slot& slot = sender.ring[number % Sender::kMostAhead];
  slot.from = from;
  slot.bytes = bytes;
  slot.filled.store(number + 1);
  wake(slot.filled);
}

void write_blocks(Writer& writer) {
  std::vector<BlockRecord>& blocks = work.plan->blocks;
  const SegmentRecord* segment = work.plan->segments.data();  // a writer's blocks come in ascending order
  for (;;) {
    const std::size_t begin = work.next.fetch_add(kRun), end = std::min(begin + kRun, blocks.size());
    if (begin >= end) return;
    for (std::size_t i = begin; i < end; ++i) {
      while (segment->file_offset + segment->stored_bytes <= blocks[i].file_offset) ++segment;
      if (is_urgent(segment->kind) != work.urgent) continue;
      writer.error = must_give_up(writer) ? ENOMEM : write_block(writer, *segment, blocks[i]);
      if (writer.error == 0) continue;
      work.next.store(blocks.size());
      return;
    }
    const uint64_t from = blocks[begin].file_offset;
    give_to_the_sender(from, blocks[end - 1].file_offset + blocks[end - 1].bytes - from);
  }
}

void write_blocks_and_exit(void* writer) {
  write_blocks(*static_cast<Writer*>(writer));
  for (;;) sys::raw(__NR_exit, 0);
}

// Until the process ends.  What fails is told by the fsync.
void send(void*) {
  for (uint32_t number = 0;; ++number) {
    Sender::Slot& slot = sender.ring[number % Sender::kMostAhead];
    for (uint32_t filled; (filled = slot.filled.load()) != number + 1;) wait_while(slot.filled, filled);
    sys::raw(__NR_sync_file_range, static_cast<uint64_t>(sender.file), slot.from, slot.bytes, SYNC_FILE_RANGE_WRITE);
    sender.sent.store(number + 1);
    wake(sender.sent);
  }
}

// One that cannot be started is not missed: the others take its blocks, and the fsync sends what was not sent.
template <class Thread>
void start(Thread& thread, void (*run)(void*)) {
  constexpr uint64_t kFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
  thread.runs.store(1);
  const long made = mana_clone(kFlags, thread.stack + kStackBytes, nullptr, &thread, run, &thread.runs);
  if (sys::failed(made)) thread.runs.store(0);
}

void start_sender(const ImageWork& image) {
  sender.file = image.file;
  sender.most_ahead = static_cast<uint32_t>(std::clamp<uint64_t>(image.most_ahead / (kRun * image::kBlockBytes), 1, Sender::kMostAhead));
  sender.written.store(0);
  sender.sent.store(0);
  for (Sender::Slot& slot : sender.ring) slot.filled.store(0);  // in place it has been used before
  start(sender, send);
}

void wait_for_the_end_of(Writer& writer) {
  while (writer.runs.load() != 0) wait_while(writer.runs, 1);
}

bool is_unreadable(const SegmentRecord& segment) { return segment.stored_bytes != 0 && (segment.protection & PROT_READ) == 0; }

long protect(const SegmentRecord& segment, uint64_t protection) { return sys::raw(__NR_mprotect, segment.begin, segment.bytes, protection); }

bool write_data(ChildReport& report, const ImageWork& image, bool urgent) {
  ImagePlan& plan = *image.plan;
  const auto is_now = [urgent](const SegmentRecord& segment) { return segment.stored_bytes != 0 && is_urgent(segment.kind) == urgent; };
  if (std::none_of(plan.segments.begin(), plan.segments.end(), is_now)) return true;
  for (const SegmentRecord& segment : plan.segments) {
    if (!is_now(segment) || !is_unreadable(segment)) continue;
    const long made = protect(segment, PROT_READ);
    if (!sys::failed(made)) continue;
    complain(report, "make memory readable", sys::error_of(made));
    return false;
  }
  work.plan = &plan;
  work.urgent = urgent;
  work.in_place = image.in_place;
  work.room = &image.room;
  work.gave_up.store(false);
  work.next.store(0);
  for (int i = 1; i < std::min(image.threads, kMostWriters); ++i) start(writers[i], write_blocks_and_exit);
  write_blocks(writers[0]);
  for (Writer& writer : writers) wait_for_the_end_of(writer);
  report.stored_bytes = 0;
  report.gave_up = work.gave_up.load();
  for (const Writer& writer : writers) {
    report.stored_bytes += writer.stored_bytes;
    if (writer.error != 0) complain(report, report.gave_up ? "write the image from a copy of the memory, of which little is left" : "write the image", writer.error);
  }
  // Ours no longer, so the application's next write takes no second huge page.
  for (const SegmentRecord& segment : plan.segments) {
    if (urgent && !image.in_place && segment.kind == SegmentKind::huge_pages) sys::munmap(segment.begin, segment.bytes);
  }
  return report.error[0] == '\0';
}

int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// The checksums are known now: the notes are written last, so that an unfinished file has none.
bool write_front(ChildReport& report, ImagePlan& plan, int file) {
  char* front = plan.front.data();
  std::memcpy(front + plan.blocks_at, plan.blocks.data(), plan.blocks.size() * sizeof(BlockRecord));
  report.checksum = image::checksum_of(front, plan.notes_end);
  std::memcpy(front + plan.header_at + offsetof(image::ImageHeader, notes_checksum), &report.checksum, sizeof report.checksum);
  Writer& writer = writers[0];
  if (const int code = write_all(writer, front, plan.front.size(), 0); code != 0) {
    complain(report, "write the image", code);
    return false;
  }
  report.stored_bytes += plan.front.size();
  const long made = sys::raw(__NR_ftruncate, static_cast<uint64_t>(file), plan.file_bytes);
  if (sys::failed(made)) complain(report, "write the image", sys::error_of(made));
  return !sys::failed(made);
}

void make_durable(ChildReport& report, int file) {
  const int64_t begin = monotonic_ns();
  const long made = sys::raw(__NR_fsync, static_cast<uint64_t>(file));
  report.sync_ns = monotonic_ns() - begin;
  if (sys::failed(made)) complain(report, "make the image durable", sys::error_of(made));
}

// What the application or the MPI library closes meanwhile is closed: a peer sees the end of its connection.
void close_all_but(const ImageWork& image) {
  std::array<int, 3 + MemoryRoom::kMostFiles> kept{image.file, image.report_pipe, image.shared_pipe};
  const auto files = image.room.files();
  std::copy(files.begin(), files.end(), kept.begin() + 3);
  std::sort(kept.begin(), kept.end());
  uint64_t begin = 0;
  for (const int one : kept) {
    if (one < 0) continue;
    const auto number = static_cast<uint64_t>(one);
    if (number > begin) sys::raw(__NR_close_range, begin, number - 1, 0);
    begin = number + 1;
  }
  sys::raw(__NR_close_range, begin, ~0U, 0);
}

// The image is ours, and so is its size: the application's limit is for its own files.
void raise_file_size_limit() {
  rlimit limit{};
  if (sys::failed(sys::raw(__NR_prlimit64, 0, RLIMIT_FSIZE, 0, sys::bits(&limit)))) return;
  limit.rlim_cur = limit.rlim_max;
  sys::raw(__NR_prlimit64, 0, RLIMIT_FSIZE, sys::bits(&limit), 0);
}

// Where memory runs out, this process is to be killed, not the application.
void be_the_first_to_go() {
  const long file = sys::raw(__NR_openat, static_cast<uint64_t>(AT_FDCWD), sys::bits("/proc/self/oom_score_adj"), O_WRONLY | O_CLOEXEC, 0);
  if (sys::failed(file)) return;
  constexpr std::string_view kMost = "1000";
  sys::raw(__NR_write, static_cast<uint64_t>(file), sys::bits(kMost.data()), kMost.size());
  sys::close(static_cast<int>(file));
}

ImageWork work_in_place;
alignas(64) char stack_in_place[2 * kStackBytes];

void write_in_place(void*) { write_image_and_exit(work_in_place); }

}  // namespace

long start_writing_in_place(const ImageWork& image) {
  work_in_place = image;
  return mana_clone(CLONE_VM, stack_in_place + sizeof stack_in_place, nullptr, nullptr, write_in_place, nullptr);
}

void undo_changes_in_place(const ImagePlan& plan) {
  for (const SegmentRecord& segment : plan.segments) {
    if (is_unreadable(segment)) protect(segment, segment.protection & (PROT_READ | PROT_WRITE | PROT_EXEC));
  }
  close_guards(plan.memory_flags);
}

void write_image_and_exit(const ImageWork& image) {
  sys::raw(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);  // a killed rank leaves no writer behind
  sys::raw(__NR_setpgid, 0, 0);  // signals to the application's group are not for it; nor does it keep the group there when that is left
  close_all_but(image);
  raise_file_size_limit();
  if (!image.in_place) be_the_first_to_go();  // who shares memory shares the score
  open_guards(image.plan->memory_flags);
  for (Writer& writer : writers) {  // in place they have written before
    writer.file = image.file;
    writer.error = 0;
    writer.stored_bytes = 0;
  }
  start_sender(image);
  ChildReport report{};
  const bool shared_written = write_data(report, image, true);
  sys::close(image.shared_pipe);
  if (shared_written && write_data(report, image, false) && write_front(report, *image.plan, image.file)) make_durable(report, image.file);
  long sent;
  do sent = sys::raw(__NR_write, static_cast<uint64_t>(image.report_pipe), sys::bits(&report), sizeof report);
  while (sent == -EINTR);
  for (;;) sys::raw(__NR_exit_group, 0);
}

}  // namespace mana::lower
