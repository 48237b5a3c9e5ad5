// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/loader.h"

#include <elf.h>
#include <sys/mman.h>

#include <cerrno>

#include "kernel-loader/arena.h"
#include "kernel-loader/elf_headers.h"
#include "kernel-loader/gate.h"
#include "kernel-loader/gate_data.h"
#include "kernel-loader/initial_stack.h"
#include "kernel-loader/segments.h"
#include "kernel-loader/sys.h"
#include "kernel-loader/text.h"
#include "kernel-loader/vdso.h"

namespace mana::loader {
namespace {

// Where things go in the arena, from low to high: program, heap, (mappings, growing down from)
// placement_top, stack.  The random parts are what the kernel's address randomisation would give,
// or more.
constexpr uint64_t kProgramOffset = uint64_t{64} << 30;
constexpr uint64_t kProgramSpread = uint64_t{1} << 40;
constexpr uint64_t kHeapSpread = 32 << 20;
constexpr uint64_t kHeapRoom = uint64_t{4} << 40;
constexpr uint64_t kStackSpread = uint64_t{16} << 30;
constexpr uint64_t kMappingSpread = uint64_t{64} << 30;
constexpr uint64_t kStackPointerSpread = 8192;
constexpr uint64_t kGuard = 1 << 20;  // the kernel's stack_guard_gap
constexpr uint64_t kUnlimitedStack = uint64_t{1} << 30;
constexpr uint64_t kLeastStack = 128 << 10;
constexpr uint64_t kMostStack = uint64_t{1} << 40;

struct Randomness {
  uint64_t program, heap, stack, mappings, stack_pointer;
};

Randomness roll() {
  Randomness dice{};
  constexpr uint64_t kNoRandomize =
      0x0040000;  // personality(ADDR_NO_RANDOMIZE): setarch -R, debuggers
  const long persona = sys::raw(__NR_personality, 0xffffffff);
  if (!sys::failed(persona) && (static_cast<uint64_t>(persona) & kNoRandomize) != 0) return dice;
  sys::raw(__NR_getrandom, sys::bits(&dice), sizeof dice, 0);
  dice.program = page_down(dice.program % kProgramSpread);
  dice.heap = page_down(dice.heap % kHeapSpread);
  dice.stack = page_down(dice.stack % kStackSpread);
  dice.mappings = page_down(dice.mappings % kMappingSpread);
  dice.stack_pointer = (dice.stack_pointer % kStackPointerSpread) & ~uint64_t{15};
  return dice;
}

struct OpenFile {
  explicit OpenFile(const char* path) : descriptor(static_cast<int>(sys::open_read(path))) {}
  ~OpenFile() {
    if (descriptor >= 0) sys::close(descriptor);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  const int descriptor;
};

struct LoadedElf {
  PlacedElf placed;
  uint32_t header_count;
  bool executable_stack;
};

Result<LoadedElf> load_file(const char* path, uint64_t wanted) {
  const OpenFile file(path);
  if (file.descriptor < 0) return Error{"open", -file.descriptor}.at(path);
  ElfHeaders headers;
  if (Outcome read = read_elf_headers(file.descriptor, headers); !read.ok())
    return read.error().at(path);
  const Result<PlacedElf> placed = place_segments(file.descriptor, headers, wanted);
  if (!placed.ok()) return placed.error().at(path);
  const Elf64_Phdr* stack = headers.find(PT_GNU_STACK);
  return LoadedElf{placed.value(), headers.file.e_phnum,
                   stack != nullptr && (stack->p_flags & PF_X) != 0};
}

// The stack is mapped whole, as far as the application's limit allows it to grow, and takes memory
// page by page.  Huge pages are kept off it: the kernel's own stacks start too small for them, and
// an image would be megabytes larger.
Result<Region> map_stack(const Randomness& dice, uint64_t limit, bool executable) {
  uint64_t size = limit == kUnlimited ? kUnlimitedStack : page_up(limit);
  if (size < kLeastStack) size = kLeastStack;
  if (size > kMostStack) size = kMostStack;
  const int protection = PROT_READ | PROT_WRITE | (executable ? PROT_EXEC : 0);
  const uint64_t high = kArenaHigh - kGuard - dice.stack;
  long got = -ENOMEM;
  for (; size >= kLeastStack; size /= 2) {
    size = page_up(size);
    got = sys::mmap(high - size, size, protection,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK | MAP_FIXED_NOREPLACE);
    if (!sys::failed(got)) {
      sys::raw(__NR_madvise, high - size, size, MADV_NOHUGEPAGE);
      return Region{high - size, high};
    }
  }
  return Error{"map the application's stack", sys::error_of(got), high - size, size};
}

Auxv application_auxv(const LoadedElf& program, const LoadedElf& interpreter, uint64_t vdso,
                      const Auxv& own) {
  Auxv auxv = own;
  for (int i = 0; auxv.words[i] != AT_NULL; i += 2) {
    uint64_t& value = auxv.words[i + 1];
    switch (auxv.words[i]) {
      case AT_SYSINFO_EHDR:
        value = vdso;
        break;
      case AT_PHDR:
        value = program.placed.program_headers;
        break;
      case AT_PHENT:
        value = sizeof(Elf64_Phdr);
        break;
      case AT_PHNUM:
        value = program.header_count;
        break;
      case AT_BASE:
        value = interpreter.placed.bias;
        break;
      case AT_ENTRY:
        value = program.placed.entry;
        break;
      case AT_SECURE:
        value = 0;
        break;
      default:
        break;
    }
  }
  if (auxv.value(AT_SYSINFO_EHDR) == 0) {
    int end = 0;
    while (auxv.words[end] != AT_NULL) end += 2;
    if (end + 3 < Auxv::kWords) {
      auxv.words[end] = AT_SYSINFO_EHDR;
      auxv.words[end + 1] = vdso;
    }
  }
  return auxv;
}

// The rooms are kept free before anything is placed by the allocator.
void plan_arena(const PlacedElf& program, bool position_independent, const Region& stack,
                const Randomness& dice, GateState& state) {
  const uint64_t program_end =
      position_independent ? program.high : kArenaLow + kProgramOffset + dice.program;
  state.brk_start = state.brk_current = program_end + dice.heap;
  state.brk_limit = program_end + kHeapRoom;
  state.stack_low = stack.low;
  state.stack_high = stack.high;
  state.placement_top = stack.low - kGuard - dice.mappings;
  set_arena_plan(
      {state.placement_top, {program_end, state.brk_limit}, {stack.low - kGuard, kArenaHigh}});
}

Program inspected;  // 12 KiB: too large for small stacks

}  // namespace

Result<LoadedProgram> load_program(const LaunchPlan& plan) {
  GateState& state = live_state();
  if (Outcome ready = init_arena(); !ready.ok()) return ready.error();
  static char found[kPathSize];
  const char* search = nullptr;
  for (char* const* variable = plan.environment; *variable != nullptr; variable++) {
    if (starts_with(*variable, "PATH=")) search = *variable + 5;
  }
  if (Outcome looked = find_program(plan.program, search, found); !looked.ok())
    return looked.error();
  if (Outcome looked = inspect_program(found, inspected); !looked.ok()) return looked.error();

  Auxv own;
  if (Outcome read = read_auxv(own); !read.ok()) return read.error();
  const Randomness dice = roll();
  const Result<LoadedElf> program =
      load_file(inspected.path, kArenaLow + kProgramOffset + dice.program);
  if (!program.ok()) return program.error();
  const Result<Region> stack = map_stack(dice, plan.stack_limit, program.value().executable_stack);
  if (!stack.ok()) return stack.error();
  plan_arena(program.value().placed, inspected.position_independent, stack.value(), dice, state);
  const Result<LoadedElf> interpreter = load_file(inspected.interpreter, 0);
  if (!interpreter.ok()) return interpreter.error();
  const Result<Vdso> vdso = place_vdso();
  if (!vdso.ok()) return vdso.error();
  if (Outcome filled = fill_vdso(vdso.value().address, VdsoClock::kernels); !filled.ok()) return filled.error();

  StackContent content{
      &inspected,
      found,
      plan.arguments,
      plan.environment,
      application_auxv(program.value(), interpreter.value(), vdso.value().address, own),
      dice.stack_pointer};
  const Result<InitialStack> built = build_stack(stack.value(), content);
  if (!built.ok()) return built.error();
  state.argument_start = built.value().arguments.low;
  state.argument_end = built.value().arguments.high;
  state.environment_start = built.value().environment.low;
  state.environment_end = built.value().environment.high;
  state.vdso = vdso.value().address;
  state.vdso_length = vdso.value().length;
  state.stack_limit = plan.stack_limit;
  __builtin_memcpy(state.auxv, content.auxv.words, sizeof state.auxv);
  static_assert(sizeof state.auxv == sizeof content.auxv.words);
  copy_text(inspected.path, state.program, sizeof state.program);
  copy_text(last_part(found), state.name, sizeof state.name);
  state.stack_pointer = built.value().pointer;
  show_command(state);
  return LoadedProgram{interpreter.value().placed.entry, built.value().pointer, plan.stack_limit};
}

void unregister_rseq(const LowerRseq& rseq) {
  // glibc registers with its own signature; a size of 0 means that nothing is registered.
  constexpr uint64_t kUnregister = 1;
  constexpr uint64_t kGlibcSignature = 0x53053053;
  if (rseq.size == 0) return;
  // The kernel wants the length of the registration, which glibc's __rseq_size tells only for some
  // versions.
  for (const uint64_t length : {uint64_t{rseq.size}, uint64_t{32}}) {
    if (sys::raw(__NR_rseq, rseq.address, length, kUnregister, kGlibcSignature) == 0) return;
  }
}

void start_program(const LoadedProgram& program, const LowerRseq& rseq) {
  unregister_rseq(rseq);
  show_identity();
  // %fs = 0, as execve leaves it, also says from here on that this thread is in the upper half.
  // %rdx = 0: no function for atexit (System V ABI); %rbp = 0: the outermost frame.
  __asm__ volatile(
      "movl $158, %%eax\n\t"  // arch_prctl(ARCH_SET_FS, 0)
      "movl $0x1002, %%edi\n\t"
      "xorl %%esi, %%esi\n\t"
      "syscall\n\t"
      "movq %0, %%rsp\n\t"
      "movq %1, %%rcx\n\t"
      "xorl %%eax, %%eax\n\t"
      "xorl %%ebx, %%ebx\n\t"
      "xorl %%edx, %%edx\n\t"
      "xorl %%esi, %%esi\n\t"
      "xorl %%edi, %%edi\n\t"
      "xorl %%ebp, %%ebp\n\t"
      "jmp *%%rcx"
      :
      : "r"(program.stack), "r"(program.entry)
      : "memory", "rax", "rcx", "rdx", "rsi", "rdi", "r11");
  __builtin_unreachable();
}

}  // namespace mana::loader
