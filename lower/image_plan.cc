// SPDX-License-Identifier: BSD-3-Clause
#include "lower/image_plan.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#include "kernel-loader/gate.h"
#include "kernel-loader/ids.h"
#include "kernel-loader/image_cpu.h"
#include "kernel-loader/layout.h"
#include "lower/clocks.h"
#include "lower/core_notes.h"
#include "lower/descriptor_contents.h"
#include "lower/memory_flags.h"
#include "lower/memory_map.h"
#include "lower/memory_policies.h"
#include "lower/pending_signals.h"
#include "lower/posix_timers.h"
#include "lower/process_attributes.h"
#include "lower/refusals.h"
#include "lower/removed_directory.h"
#include "lower/session.h"
#include "lower/stop.h"
#include "lower/task_attributes.h"

namespace mana::lower {
namespace {

using image::BlockRecord;
using image::ImageHeader;
using image::NoteType;
using image::SegmentKind;
using image::SegmentRecord;
using loader::page_up;

// Untouched stretches of this length become segments of their own; more, and fewer of them, when there are very many (a process
// may have 65,530 mappings, and each segment may become one).
constexpr uint64_t kSmallestHole = 64 << 10;
constexpr std::size_t kManySegments = 16 << 10;

// The strings note: every string once.
class Strings {
 public:
  Strings() : bytes_(1, '\0') {}
  uint32_t add(const std::string& text) {
    if (text.empty()) return 0;
    const auto known = known_.find(text);
    if (known != known_.end()) return known->second;
    return known_[text] = append(text);
  }
  uint32_t append(const std::string& text) {
    const auto at = static_cast<uint32_t>(bytes_.size());
    bytes_ += text;
    bytes_ += '\0';
    return at;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  std::map<std::string, uint32_t> known_;
};

SegmentRecord segment(const UpperRegion& region, uint32_t number, uint64_t begin, uint64_t end, bool stored, Strings& strings) {
  SegmentRecord record{};
  record.begin = begin;
  record.bytes = end - begin;
  record.stored_bytes = stored ? record.bytes : 0;
  record.protection = region.protection;
  record.kind = region.kind;
  record.path = strings.add(region.name);
  record.region = number;
  record.mapped_offset = image::is_huge(region.kind) ? region.offset : region.offset + (begin - region.begin);
  return record;
}

void add_region(const UpperRegion& region, uint32_t number, uint64_t smallest_hole, Strings& strings,
                std::vector<SegmentRecord>& segments) {
  if (region.kind != SegmentKind::anonymous && region.kind != SegmentKind::huge_pages) {
    const bool file_is_the_truth = region.kind == SegmentKind::shared_file && (region.protection & PROT_WRITE) == 0;
    segments.push_back(segment(region, number, region.begin, region.end, !file_is_the_truth && !region.saved_elsewhere, strings));
    return;
  }
  uint64_t at = region.begin;
  const bool nothing_to_keep = (region.protection & image::kDroppable) != 0;
  for (const TouchedRange& range : nothing_to_keep ? std::vector<TouchedRange>{} : touched_ranges(region, smallest_hole)) {
    const uint64_t begin = range.begin - at < smallest_hole ? at : range.begin;
    if (begin > at) segments.push_back(segment(region, number, at, begin, false, strings));
    segments.push_back(segment(region, number, begin, range.end, true, strings));
    at = range.end;
  }
  if (at < region.end) segments.push_back(segment(region, number, at, region.end, false, strings));
}

std::vector<SegmentRecord> make_segments(const std::vector<UpperRegion>& regions, Strings& strings) {
  std::vector<SegmentRecord> segments;
  for (uint64_t smallest_hole = kSmallestHole;; smallest_hole *= 4) {
    segments.clear();
    uint32_t number = 0;
    for (const UpperRegion& region : regions) add_region(region, number++, smallest_hole, strings, segments);
    if (segments.size() <= regions.size() + kManySegments) return segments;
  }
}

std::vector<BlockRecord> make_blocks(const std::vector<SegmentRecord>& segments) {
  std::vector<BlockRecord> blocks;
  for (const SegmentRecord& segment : segments) {
    for (uint64_t at = 0; at < segment.stored_bytes; at += image::kBlockBytes) {
      blocks.push_back({segment.file_offset + at, std::min(image::kBlockBytes, segment.stored_bytes - at), 0});
    }
  }
  return blocks;
}

std::string thread_table(const UpperInterface* upper, std::string* error) {
  std::string bytes;
  bool has_main = false;
  for (const ParkSlot* slot : parked_threads()) {
    if (!loader::is_application_memory(slot->context)) {
      *error = "thread " + std::to_string(slot->tid.load()) + " stands on a stack of the lower half, which is not saved";
    }
    image::ThreadState state{};
    state.tid = loader::seen_id(slot->tid.load());
    state.is_main = slot->tid.load() == getpid();
    has_main |= state.is_main != 0;
    state.fs = slot->fs;
    state.gs = slot->gs;
    state.context = slot->context;
    state.robust_list = slot->robust_list;
    state.robust_bytes = slot->robust_length;
    state.tid_address = slot->tid_address;
    state.timer_slack = slot->timer_slack;
    state.death_signal = static_cast<uint32_t>(slot->death_signal);
    note_own_speculation(slot->speculation, state);
    state.personality = slot->personality;
    state.secure_bits = slot->secure_bits;
    state.memory_errors = slot->memory_errors;
    state.without_tsc = slot->without_tsc;
    state.without_cpuid = slot->without_cpuid;
    state.no_new_privileges = slot->no_new_privileges;
    state.flushes_io = slot->flushes_io;
    state.record = reinterpret_cast<uint64_t>(slot->record);
    state.without_rseq = slot->has_rseq ? 0 : 1;
    std::memcpy(state.name, slot->name, sizeof state.name);
    bytes.append(reinterpret_cast<const char*>(&state), sizeof state);
  }
  // MPI's calls of the other threads borrow what belongs to the main one.
  if (!has_main && upper != nullptr) *error = "the application's main thread has ended (pthread_exit), which an MPI program cannot be restarted without";
  return bytes;
}

int64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

void read_interval_timers(image::ProcessState& state) {
  for (int which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
    itimerval timer{};
    getitimer(static_cast<__itimer_which_t>(which), &timer);
    state.timers[which] = {timer.it_interval.tv_sec * 1'000'000LL + timer.it_interval.tv_usec,
                           timer.it_value.tv_sec * 1'000'000LL + timer.it_value.tv_usec};
  }
}

// A timer that goes off while this is read would be lost with its signal, or be there twice: then it is read again.
struct SignalsAndTimers {
  std::vector<image::PosixTimer> timers;
  std::vector<image::PendingSignal> signals;
  image::ProcessState interval{};
};
SignalsAndTimers signals_and_timers(std::string* error) {
  constexpr int kAttempts = 100;  // a timer of some microseconds always goes off
  SignalsAndTimers all;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    read_interval_timers(all.interval);
    all.timers = posix_timers(error);
    all.signals = pending_signals();
    image::ProcessState after{};
    read_interval_timers(after);
    const std::vector<image::PosixTimer> timers_after = posix_timers(error);
    const auto went_off = [](int64_t before, int64_t now) { return now > before || (now == 0 && before != 0); };
    bool again = timers_after.size() != all.timers.size();
    for (std::size_t i = 0; !again && i < timers_after.size(); ++i) {
      again = went_off(all.timers[i].remaining_ns, timers_after[i].remaining_ns);
    }
    for (int which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
      again = again || went_off(all.interval.timers[which].value_us, after.timers[which].value_us);
    }
    if (!again) break;
  }
  return all;
}

void add_removed_directory(image::ProcessState& state, Strings& strings) {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/thread-self/cwd", path, sizeof path);
  struct stat status {};
  if (length <= 0 || stat(".", &status) != 0) return;
  std::string name(path, static_cast<std::size_t>(length));
  strip_deleted(name);
  state.working_directory = strings.add(name);
  state.directory_was_removed = 1;
  state.removed_directory_mode = status.st_mode & 07777;
}

image::ProcessState process_state(Strings& strings) {
  image::ProcessState state{};
  char* directory = getcwd(nullptr, 0);
  if (directory != nullptr) state.working_directory = strings.add(directory);
  if (directory == nullptr && errno == ENOENT) add_removed_directory(state, strings);
  std::free(directory);
  state.file_mode_mask = umask(0);
  umask(state.file_mode_mask);
  read_process_attributes(state);
  read_session(state);
  return state;
}

ImageHeader make_header(const ImageIdentity& identity, const UpperInterface* upper, Strings& strings) {
  ImageHeader header{};
  header.magic = image::kImageMagic;
  header.version = image::kImageVersion;
  header.header_bytes = sizeof header;
  header.job = identity.job;
  header.generation = identity.generation;
  header.rank = identity.rank;
  header.size = identity.size;
  header.process = getpid();
  utsname system{};
  uname(&system);
  header.program = strings.add(identity.program);
  header.front_end = strings.add(identity.front_end);
  header.front_end_path = strings.add(identity.front_end_path);
  header.mpi = strings.add(identity.mpi);
  header.mpi_version = strings.add(identity.mpi_version);
  header.kernel = strings.add(std::string(system.sysname) + " " + system.release + " " + system.version);
  header.host = strings.add(system.nodename);
  header.argument_count = static_cast<uint32_t>(identity.arguments.size());
  for (std::size_t i = 0; i < identity.arguments.size(); ++i) {
    const uint32_t at = strings.append(identity.arguments[i]);  // one behind the other
    if (i == 0) header.arguments = at;
  }
  header.cpu = image::this_cpu();
  header.realtime_ns = clock_ns(CLOCK_REALTIME);
  save_clocks(header);  // when all remaining times are read: none is then less than is left until its deadline
  if (upper != nullptr) {
    header.upper_interface = reinterpret_cast<uint64_t>(upper);
    header.interface_version = upper->version;
    header.mpi_initialized = upper->initialized;
    header.mpi_finalized = upper->finalized;
    header.thread_level = upper->thread_level;
  }
  return header;
}

uint32_t flags_of(uint32_t protection) {
  return ((protection & PROT_READ) ? PF_R : 0) | ((protection & PROT_WRITE) ? PF_W : 0) | ((protection & PROT_EXEC) ? PF_X : 0);
}

// ELF header and program headers.  More than 65,534 of these are counted in section header 0 (gABI, "e_phnum").
std::string elf_headers(const std::vector<SegmentRecord>& segments, uint64_t notes_at, uint64_t notes_bytes) {
  const std::size_t count = segments.size() + 1;
  Elf64_Ehdr elf{};
  std::memcpy(elf.e_ident, ELFMAG, SELFMAG);
  elf.e_ident[EI_CLASS] = ELFCLASS64;
  elf.e_ident[EI_DATA] = ELFDATA2LSB;
  elf.e_ident[EI_VERSION] = EV_CURRENT;
  elf.e_type = ET_CORE;
  elf.e_machine = EM_X86_64;
  elf.e_version = EV_CURRENT;
  elf.e_phoff = sizeof elf + sizeof(Elf64_Shdr);
  elf.e_ehsize = sizeof elf;
  elf.e_phentsize = sizeof(Elf64_Phdr);
  elf.e_phnum = count < PN_XNUM ? static_cast<uint16_t>(count) : PN_XNUM;
  Elf64_Shdr section{};
  if (count >= PN_XNUM) {
    elf.e_shoff = sizeof elf;
    elf.e_shentsize = sizeof section;
    elf.e_shnum = 1;
    section.sh_info = static_cast<uint32_t>(count);
  }
  std::string bytes(reinterpret_cast<const char*>(&elf), sizeof elf);
  bytes.append(reinterpret_cast<const char*>(&section), sizeof section);
  Elf64_Phdr notes{};
  notes.p_type = PT_NOTE;
  notes.p_offset = notes_at;
  notes.p_filesz = notes_bytes;
  notes.p_align = 4;
  bytes.append(reinterpret_cast<const char*>(&notes), sizeof notes);
  for (const SegmentRecord& segment : segments) {
    Elf64_Phdr load{};
    load.p_type = PT_LOAD;
    load.p_flags = flags_of(segment.protection);
    load.p_offset = segment.file_offset;
    load.p_vaddr = segment.begin;
    load.p_filesz = segment.stored_bytes;
    load.p_memsz = segment.bytes;
    load.p_align = loader::kPage;
    bytes.append(reinterpret_cast<const char*>(&load), sizeof load);
  }
  return bytes;
}

void add_standard_notes(CoreNotes& notes, const ImageIdentity& identity, const loader::GateState& gate,
                        const std::vector<UpperRegion>& regions) {
  // gdb takes the first thread's registers as the current ones; NT_PRPSINFO may stand anywhere.
  for (const ParkSlot* slot : parked_threads()) notes.add_thread(*slot);
  notes.add_process(identity.program, identity.arguments);
  std::size_t words = 0;
  while (words + 2 < std::size(gate.auxv) && gate.auxv[words] != 0) words += 2;
  notes.add("CORE", NT_AUXV, gate.auxv, (words + 2) * sizeof gate.auxv[0]);
  std::vector<CoreNotes::MappedFile> files;
  for (const UpperRegion& region : regions) {
    if (region.name.empty() || region.name[0] != '/') continue;
    files.push_back({region.begin, region.end, region.offset, region.name});
  }
  notes.add_files(files);
}

}  // namespace

ImagePlan plan_image(const ImageIdentity& identity, UpperInterface* upper) {
  ImagePlan plan;
  Strings strings;
  static loader::GateState gate;  // large
  loader::save_gate_state(gate);
  std::vector<UpperRegion> regions = upper_regions(&plan.error);
  std::vector<image::SystemVSegment> system_v;
  if (std::string why = note_system_v(regions, system_v); !why.empty()) plan.error = why;
  if (std::string why = lasting_refusal(gate); !why.empty()) plan.error = why;
  plan.memory_flags = memory_flags(gate, regions, &plan.error);
  const SavedDescriptors descriptors = save_descriptors();
  if (plan.error.empty()) plan.error = descriptors.error;
  for (UpperRegion& region : regions) region.saved_elsewhere |= descriptors.mapped.count(region.begin) != 0;
  const std::string threads = thread_table(upper, &plan.error);
  if (!plan.error.empty()) return plan;
  const SignalsAndTimers kernel = signals_and_timers(&plan.error);
  if (!plan.error.empty()) return plan;
  const std::vector<image::ThreadAttributes> attributes = thread_attributes();
  const std::vector<image::Limit> limits = own_limits();
  plan.segments = make_segments(regions, strings);
  const ImageHeader header = make_header(identity, upper, strings);

  std::size_t block_count = 0;
  for (const SegmentRecord& segment : plan.segments) {
    block_count += (segment.stored_bytes + image::kBlockBytes - 1) / image::kBlockBytes;
  }
  CoreNotes notes;
  add_standard_notes(notes, identity, gate, regions);
  const auto add = [&notes](NoteType type, const void* data, std::size_t bytes) {
    return notes.add(image::kNoteName, static_cast<uint32_t>(type), data, bytes);
  };
  plan.header_at = add(NoteType::header, &header, sizeof header);
  add(NoteType::threads, threads.data(), threads.size());
  add(NoteType::gate, &gate, sizeof gate);
  add(NoteType::descriptors, descriptors.table.data(), descriptors.table.size());
  add(NoteType::contents, descriptors.contents.data(), descriptors.contents.size());
  image::ProcessState process = process_state(strings);
  std::memcpy(process.timers, kernel.interval.timers, sizeof process.timers);
  add(NoteType::process, &process, sizeof process);
  const auto add_all = [&add](NoteType type, const auto& records) {
    if (!records.empty()) add(type, records.data(), records.size() * sizeof records[0]);
  };
  add_all(NoteType::pending_signals, kernel.signals);
  add_all(NoteType::posix_timers, kernel.timers);
  add_all(NoteType::attributes, attributes);
  add_all(NoteType::limits, limits);
  add_all(NoteType::memory_flags, plan.memory_flags);
  add_all(NoteType::system_v_segments, system_v);
  add_all(NoteType::shared_mappings, shared_mappings(regions));
  add_all(NoteType::descriptor_signals, descriptors.signals);
  add_all(NoteType::memory_policies, memory_policies(gate, regions));
  add(NoteType::strings, strings.bytes().data(), strings.bytes().size());
  const std::size_t segments_at = add(NoteType::segments, plan.segments.data(), plan.segments.size() * sizeof(SegmentRecord));
  const std::vector<BlockRecord> none(block_count);
  plan.blocks_at = add(NoteType::blocks, none.data(), none.size() * sizeof(BlockRecord));

  const std::size_t notes_at = elf_headers(plan.segments, 0, 0).size();
  plan.notes_end = notes_at + notes.bytes().size();
  uint64_t offset = page_up(plan.notes_end);
  for (SegmentRecord& segment : plan.segments) {
    segment.file_offset = offset;
    offset += segment.stored_bytes;
  }
  plan.file_bytes = offset;
  plan.blocks = make_blocks(plan.segments);
  std::memcpy(notes.bytes().data() + segments_at, plan.segments.data(), plan.segments.size() * sizeof(SegmentRecord));
  std::memcpy(notes.bytes().data() + plan.header_at + offsetof(ImageHeader, file_bytes), &plan.file_bytes, sizeof plan.file_bytes);
  plan.front = elf_headers(plan.segments, notes_at, notes.bytes().size()) + notes.bytes();
  plan.header_at += notes_at;
  plan.blocks_at += notes_at;
  plan.front.resize(page_up(plan.front.size()));
  return plan;
}

}  // namespace mana::lower
