// SPDX-License-Identifier: BSD-3-Clause
// The image of one rank: an ELF core file.  What gdb and readelf want is where they look for it; what a restart needs is in
// notes named "MANA".  All structures are fixed-width and only ever grow at the end or by new note types; kImageVersion
// changes when an older reader would misread.
//
//   ELF header | program headers | PT_NOTE: standard notes, then ours | page-aligned data of the PT_LOADs
//
// Regions lie in the file in order of address.  A stretch of memory that was never touched is a PT_LOAD with p_filesz 0; short
// ones, and pages of zeroes, are holes of the file.  Every byte of the file is covered by a checksum: the first bytes up to the end
// of the notes by ImageHeader::notes_checksum, everything behind by the table of blocks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mana::image {

inline constexpr uint32_t kImageVersion = 2;  // 2: shorter descriptors
inline constexpr uint64_t kImageMagic = 0x4547414d49414e4d;  // "MNAIMAGE"
inline constexpr char kNoteName[] = "MANA";
inline constexpr uint64_t kBlockBytes = 4 << 20;

enum class NoteType : uint32_t {
  header = 1,   // ImageHeader
  segments,     // SegmentRecord[]
  blocks,       // BlockRecord[]
  threads,      // ThreadState[], main thread first
  gate,         // loader::GateState
  descriptors,  // loader::Descriptor, each only up to the end of its path and padded to 8 bytes
  strings,      // zero-terminated; offsets point here
  process,      // ProcessState
  contents,     // what of a descriptor open() does not bring back: ContentsRecord, then its ItemRecords with their bytes
  pending_signals = 32,  // PendingSignal[]
  posix_timers,          // PosixTimer[]
  attributes,            // ThreadAttributes[], one per ThreadState
  limits,                // Limit[]
  memory_flags,          // MemoryFlags[]
  system_v_segments,     // SystemVSegment[]
  shared_mappings,       // SharedMapping[]
  memory_policies,       // MemoryPolicy[]
  descriptor_signals,    // DescriptorSignals[]
};

// Instruction sets that code in the image may have chosen at its start, by CPUID: leaf 1, leaf 7, extended leaf 1, XCR0.
struct CpuFeatures {
  uint32_t leaf1_ecx, leaf1_edx, leaf7_ebx, leaf7_ecx, leaf7_edx, extended_ecx;
  uint64_t xcr0;
  uint32_t xsave_bytes;  // size of the area for XCR0: signal frames and lazy binding in the image assume it
  uint32_t reserved;
};

struct ImageHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t header_bytes;
  uint64_t notes_checksum;  // XXH3-64 of the file up to the end of the notes, with this word 0
  uint64_t file_bytes;
  uint64_t job;             // the same at all ranks of one generation
  uint64_t generation;
  int32_t rank, size;       // in the job; 0 of 1 without MPI
  int32_t process;          // pid at the checkpoint
  uint32_t argument_count;
  // Offsets into the strings note.
  uint32_t program, arguments, front_end, front_end_path, mpi, mpi_version, kernel, host;
  CpuFeatures cpu;
  uint64_t upper_interface; // address of the UpperInterface, 0: no MPI
  uint32_t interface_version;
  uint32_t mpi_initialized, mpi_finalized;
  int32_t thread_level;     // neutral ABI value
  int64_t realtime_ns;
  // The clocks that the application has seen (kernel-loader/clocks.h).  Equal identities at two ranks: it was one clock.
  int64_t monotonic_ns, raw_ns, boot_ns, ticks;
  uint64_t clock_identity;
  uint64_t reserved[4];
};

// Kernel state of the whole process that is neither memory nor descriptors.
struct ProcessState {
  uint32_t working_directory;  // into the strings
  uint32_t file_mode_mask;     // umask
  struct Timer {
    int64_t interval_us, value_us;
  } timers[3];                 // setitimer: ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF
  uint64_t extended_states;    // XSAVE features that it may use (ARCH_GET_XCOMP_PERM)
  uint32_t child_subreaper, without_huge_pages;  // PR_SET_CHILD_SUBREAPER, what PR_GET_THP_DISABLE says
  uint32_t barrier_registrations;  // commands of membarrier(2)
  uint32_t directory_was_removed;  // the working directory; its mode is in removed_directory_mode
  int32_t out_of_memory_score;     // /proc/self/oom_score_adj, if has_out_of_memory_score
  uint32_t has_out_of_memory_score;
  uint32_t reserved, removed_directory_mode;
  uint32_t leads_own_session, leads_own_group;  // setsid, setpgid
  uint32_t core_dump_filter;               // /proc/self/coredump_filter, and kHasCoreDumpFilter if it is not what the launcher gave
  uint32_t not_dumpable, memory_merges;    // PR_SET_DUMPABLE 0, PR_SET_MEMORY_MERGE
  uint32_t write_or_execute;               // PR_SET_MDWE
};

inline constexpr uint32_t kHasCoreDumpFilter = 0x80000000;

enum class SegmentKind : uint32_t {
  anonymous = 1,
  file,           // private mapping of a file: saved in full, the file is not needed
  shared_file,    // MAP_SHARED: the file is mapped again, and gets these bytes if it was writable
  shared_memory,  // MAP_SHARED without a file that can be opened again: anonymous from now on
  shared_anonymous,  // MAP_SHARED | MAP_ANONYMOUS
  shared_segment,    // of System V, whole; mapped_offset is its id as the application knows it
  huge_pages,         // MAP_HUGETLB, private; mapped_offset: bytes of a page
  shared_huge_pages,  // MAP_HUGETLB | MAP_SHARED
};
inline constexpr bool is_huge(SegmentKind kind) { return kind == SegmentKind::huge_pages || kind == SegmentKind::shared_huge_pages; }
// In SegmentRecord::protection: the mapping was made with MAP_GROWSDOWN.
inline constexpr uint32_t kGrowsDown = 0x01000000;  // PROT_GROWSDOWN
// With MAP_DROPPABLE: never stored, because the kernel may at any time take away what is there (the application sees zeroes).
inline constexpr uint32_t kDroppable = 0x04000000;
// One stretch of memory.  Stretches of one region touch each other and have the same `region`.
struct SegmentRecord {
  uint64_t begin, bytes;
  uint64_t file_offset;
  uint64_t stored_bytes;  // 0: zeroes (never touched); else == bytes
  uint32_t protection;    // PROT_*
  SegmentKind kind;
  uint32_t path;          // into the strings: file, "[heap]", "[stack]" or ""
  uint32_t region;        // number of the region in the order of addresses
  uint64_t mapped_offset; // of the file that was mapped; of huge pages: their size
};

// A shared memory segment that only this process had attached.
struct SystemVSegment {
  int32_t seen, real;   // its id, as the application and as the kernel knew it
  int32_t key;          // 0: IPC_PRIVATE
  uint32_t mode;        // SHM_DEST: removed, it goes with its last attachment
  uint64_t bytes;
  int64_t changed;      // shm_ctime, shm_cpid: tell whether a segment that is found is this one
  int32_t creator;
  uint32_t reserved;
};

// A shared mapping of something that no path or descriptor leads to, of which the process has more than one: they show the same memory.
struct SharedMapping {
  uint64_t begin;       // of a region
  uint32_t object;      // equal numbers: the same memory, at SegmentRecord::mapped_offset of it
  uint32_t reserved;
};

struct BlockRecord {
  uint64_t file_offset, bytes;
  uint64_t checksum;      // XXH3-64; holes count as zeroes
};

// What rt_sigreturn does not bring back.
struct ThreadState {
  int32_t tid;
  uint32_t is_main;
  uint64_t fs, gs;
  uint64_t context;       // address of the ucontext in the frame of the checkpoint signal
  uint64_t robust_list, robust_bytes;
  uint64_t tid_address;
  uint64_t record;        // address of the ThreadRecord, 0: has never called MPI
  char name[16];
  uint32_t without_rseq;  // 1: it had not (yet) registered restartable sequences
  uint8_t no_new_privileges, flushes_io;  // PR_SET_NO_NEW_PRIVS, PR_SET_IO_FLUSHER
  uint8_t reserved[2];
  uint64_t timer_slack;   // PR_SET_TIMERSLACK, nanoseconds
  uint32_t death_signal;  // PR_SET_PDEATHSIG; 0: none
  uint8_t speculation[4]; // PR_SET_SPECULATION_CTRL: what PR_GET_SPECULATION_CTRL says of each misfeature; 0: what the launcher gave
  uint32_t personality;
  uint8_t secure_bits;    // PR_SET_SECUREBITS, PR_SET_KEEPCAPS
  uint8_t memory_errors;  // PR_MCE_KILL; 0: unknown, else one more than its value
  uint8_t without_tsc, without_cpuid;  // PR_SET_TSC, ARCH_SET_CPUID: the instruction gives SIGSEGV
};

// What a descriptor is made again from (lower/descriptor_contents.h says what the words and items of each kind mean).  One for an
// open file, at the lowest number that refers to it.
struct ContentsRecord {
  int32_t number;
  uint32_t kind;
  uint32_t item_count;
  uint32_t reserved;
  uint64_t words[8];
};
// Followed by `bytes` bytes, padded to 8.
struct ItemRecord {
  uint32_t kind;
  uint32_t reserved;
  uint64_t words[4];
  uint64_t bytes;
};

static_assert(sizeof(ContentsRecord) == 80);
static_assert(sizeof(ItemRecord) == 48);
// A signal that was pending.  In the order in which they are to be queued again.
struct PendingSignal {
  int32_t thread;  // index into the threads; -1: for the process
  int32_t signal;
  uint64_t info[16];  // siginfo_t, as the kernel gave it
};

// timer_create.  Remaining time 0: not armed.
struct PosixTimer {
  int32_t id, clock;
  int32_t notify, signal;  // SIGEV_*
  uint64_t value;          // sigev_value
  int32_t thread;          // SIGEV_THREAD_ID: index into the threads; else -1
  uint32_t reserved;
  int64_t remaining_ns, interval_ns;
};

// What a thread has made different from what it was started with.  (What the launcher gave, it gives anew.)
inline constexpr uint32_t kHasIoPriority = 0x80000000;
struct ThreadAttributes {
  uint8_t own_cpus, own_utilization;
  uint16_t utilization_min;  // struct sched_attr
  uint16_t own_scheduling, utilization_max;
  uint64_t cpus[128];      // sched_setaffinity: 8192 bits
  uint32_t policy;         // struct sched_attr
  int32_t nice;
  uint64_t flags;
  uint32_t priority, own_io_priority;  // ioprio_set, and kHasIoPriority if it is not what the launcher gave
  uint64_t runtime, deadline, period;
};

// Limits that are not what the launcher gave.
inline constexpr uint32_t kHardLimit = 0x80000000;
struct Limit {
  uint32_t resource, reserved;  // RLIMIT_*; with kHardLimit the hard one
  uint64_t value;
};

// Of a stretch of memory: what madvise and mlock have said of it.
struct MemoryFlags {
  enum : uint32_t {
    dont_dump = 1,
    dont_fork = 2,
    wipe_on_fork = 4,
    locked = 8,
    locked_on_fault = 16,
    huge_pages = 32,
    no_huge_pages = 64,
    mergeable = 128,
    guard = 1024,                // MADV_GUARD_INSTALL
    lock_future = 256,           // no stretch: mlockall(MCL_FUTURE)
    lock_future_on_fault = 512,
    sealed = 2048,               // mseal
  };
  uint64_t begin, bytes;
  uint32_t flags, reserved;
};

// A NUMA policy that the application has set: of a stretch of memory (mbind), or of a thread (set_mempolicy).
struct MemoryPolicy {
  uint64_t begin, bytes;  // 0: of a thread
  int32_t thread;         // index into the threads
  uint32_t mode;          // MPOL_*, with its flags
  uint64_t nodes[16];     // 1024 bits
};

// What an open file sends when it is ready (F_SETSIG, F_SETOWN_EX, O_ASYNC), at the lowest number that refers to it.
struct DescriptorSignals {
  int32_t number, signal;     // 0: SIGIO
  int32_t owner_type, owner;  // F_OWNER_*, and its id as the application knows it; 0: nobody
  uint32_t asynchronous, owner_is_another;
};

static_assert(sizeof(DescriptorSignals) == 24);
static_assert(sizeof(MemoryPolicy) == 152);
static_assert(sizeof(PendingSignal) == 136);
static_assert(sizeof(PosixTimer) == 48);
static_assert(sizeof(ThreadAttributes) == 1080);
static_assert(sizeof(MemoryFlags) == 24);
static_assert(sizeof(CpuFeatures) == 40);
static_assert(sizeof(SegmentRecord) == 56);
static_assert(sizeof(BlockRecord) == 24);
static_assert(sizeof(ThreadState) == 112);
static_assert(offsetof(ImageHeader, notes_checksum) == 16);
static_assert(sizeof(ImageHeader) == 240);
static_assert(sizeof(ProcessState) == 120);

}  // namespace mana::image
