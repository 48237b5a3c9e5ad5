// SPDX-License-Identifier: BSD-3-Clause
// The checkpoint signal's handler: decides whether the thread can be parked where it stands, makes its frame fit to be
// taken up in another process, and waits.
#include "lower/park.h"

#include <asm/prctl.h>
#include <linux/futex.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <ucontext.h>

#include "kernel-loader/gate.h"
#include "kernel-loader/ids.h"
#include "kernel-loader/layout.h"
#include "kernel-loader/sys.h"
#include "lower/numa_policy.h"
#include "trampolines/signal_entry.h"

extern "C" {
extern const char mana_park_here_begin[], mana_park_here_end[];
void mana_on_stack(void (*function)(void*), void* argument, void* stack_top);
mana::ThreadRecord* mana_record_below();
}

namespace mana::lower {

ParkControl park_control;

namespace {

constexpr int kEintr = 4;
constexpr int kSiQueue = -1;
constexpr int kPrGetTidAddress = 40;

using loader::in_upper_half;
using loader::page_down;
using sys::bits;

bool within(uint64_t address, const char* begin, const char* end) {
  return address >= bits(begin) && address < bits(end);
}

void announce() {
  park_control.arrivals.fetch_add(1);
  sys::raw(__NR_futex, bits(&park_control.arrivals), FUTEX_WAKE_PRIVATE, 1);
}

void answer(ParkSlot* slot, ParkState state) {
  slot->state.store(state);
  announce();
}

ThreadRecord* record_of(uint64_t fs) {
  if (park_control.upper == nullptr) return nullptr;
  ThreadRecord* record = park_control.upper->threads.load(std::memory_order_acquire);
  while (record != nullptr && (record->upper_fs != fs || record->tid.load() == 0)) record = record->next;
  return record;
}

// The number of the system call that was interrupted: one that the gate knows, what the agent saw the thread blocked in, if it is this
// call, or the constant that the instruction before `syscall` loads.  -1: unknown.
int64_t interrupted_call(const ParkSlot* slot, const greg_t* registers) {
  const auto pc = static_cast<uint64_t>(registers[REG_RIP]);
  if (const int64_t call = loader::blocking_call_at(pc, static_cast<uint64_t>(registers[REG_RSP])); call >= 0) return call;
  if (slot != nullptr && slot->blocked_call.load() >= 0 && slot->blocked_pc == pc &&
      slot->blocked_sp == static_cast<uint64_t>(registers[REG_RSP])) {
    return slot->blocked_call.load();
  }
  constexpr uint64_t kMovEax = 7;  // b8 imm32, 0f 05
  if (page_down(pc - kMovEax) != page_down(pc - 1)) return -1;  // the page before may not be there
  const auto* code = reinterpret_cast<const uint8_t*>(pc - kMovEax);
  if (code[0] != 0xb8) return -1;
  return code[1] | code[2] << 8 | code[3] << 16 | static_cast<int64_t>(code[4]) << 24;
}

// A blocking system call that the signal has interrupted is made again: the application asked for no signal, so it sees no
// EINTR.  (SA_RESTART covers only some calls.)  A relative sleep goes on with what the kernel said is left of it.
void issue_again(const ParkSlot* slot, ucontext_t* context, loader::StackRoom& room) {
  greg_t* registers = context->uc_mcontext.gregs;
  const auto pc = static_cast<uint64_t>(registers[REG_RIP]);
  if (registers[REG_RAX] != -kEintr || static_cast<uint64_t>(registers[REG_RCX]) != pc) return;
  const auto* instruction = reinterpret_cast<const uint8_t*>(pc - 2);
  if (instruction[0] != 0x0f || instruction[1] != 0x05) return;
  const int64_t call = interrupted_call(slot, registers);
  if (call < 0 || loader::wait_in_vdso(call, context, room)) return;
  if (call == __NR_nanosleep && registers[REG_RSI] != 0) registers[REG_RDI] = registers[REG_RSI];
  if (call == __NR_clock_nanosleep && registers[REG_RSI] == 0 && registers[REG_R10] != 0) {
    registers[REG_RDX] = registers[REG_R10];
  }
  registers[REG_RAX] = call;
  registers[REG_RIP] -= 2;
}

bool in_park_here(const greg_t* registers) {
  return within(static_cast<uint64_t>(registers[REG_RIP]), mana_park_here_begin, mana_park_here_end);
}

// As if park_here had returned 0.  It touches no stack, so this is right at each of its instructions.
void return_from_park_here(greg_t* registers) {
  registers[REG_RIP] = *reinterpret_cast<const greg_t*>(registers[REG_RSP]);
  registers[REG_RSP] += 8;
  registers[REG_RAX] = 0;
}

// Not what an instruction may have done, and not what comes once (SA_RESETHAND): the kernel has set the action back already.
bool can_wait(int signal) {
  const bool may_be_fault = signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE || signal == SIGTRAP;
  return !may_be_fault && (loader::mana_app_actions[signal].flags & SA_RESETHAND) == 0;
}

// For itself: the kernel takes any siginfo.  It gives none to a handler without SA_SIGINFO.
bool queue_again(int signal, const siginfo_t* info) {
  siginfo_t plain = {};
  plain.si_signo = signal;
  plain.si_code = SI_KERNEL;
  if ((loader::mana_app_actions[signal].flags & SA_SIGINFO) == 0) info = &plain;
  const auto process = static_cast<uint64_t>(sys::getpid()), thread = static_cast<uint64_t>(sys::gettid());
  return !sys::failed(sys::raw(__NR_rt_tgsigqueueinfo, process, thread, static_cast<uint64_t>(signal), bits(info)));
}

enum class Left { was_not_there, at_handler, signal_waits };

// As if mana_signal_entry had done its work (signal_entry.h).  The kernel puts a thread there with several signals at once: the
// handler of the last runs first, on top of frames that begin there.
Left leave_signal_entry(greg_t* registers) {
  if (!within(static_cast<uint64_t>(registers[REG_RIP]), mana_signal_entry_begin, mana_signal_entry_end)) return Left::was_not_there;
  if (leave_before_handler(static_cast<int>(registers[REG_RDI]), reinterpret_cast<void*>(registers[REG_RSI]),
                           reinterpret_cast<void*>(registers[REG_RDX]))) {
    registers[REG_RIP] = *reinterpret_cast<const greg_t*>(registers[REG_RSP]);  // the restorer
    registers[REG_RSP] += 8;
    return Left::signal_waits;
  }
  if (mana_signal_entry_tells_sender != 0) loader::tell_sender(reinterpret_cast<void*>(registers[REG_RSI]));
  registers[REG_RIP] = static_cast<greg_t>(loader::mana_signal_handlers[registers[REG_RDI]]);
  return Left::at_handler;
}

// Puts the frame where a later process can take it up.  False: nobody can be parked at this instruction.
bool leave_lower_text(ucontext_t* context) {
  greg_t* registers = context->uc_mcontext.gregs;
  const auto pc = static_cast<uint64_t>(registers[REG_RIP]);
  if (in_park_here(registers)) {
    return_from_park_here(registers);
    return true;
  }
  const Left left = leave_signal_entry(registers);
  // On the way from the restorer to where the signal waits nothing may park it either.
  if (left == Left::signal_waits) *reinterpret_cast<uint64_t*>(&context->uc_sigmask) = loader::kWaitingMask;
  if (left != Left::was_not_there) return left == Left::at_handler;
  // Above the line only the kernel's vdso, the shifted clock and attach_thread are left.
  return in_upper_half(pc) && loader::gate_may_park(pc, registers[REG_RAX]);
}

void note_rare_state(ParkSlot* slot) {
  constexpr uint64_t kAsk = 0xffffffff, kGetCpuid = 0x1011;
  slot->personality = static_cast<uint32_t>(sys::raw(__NR_personality, kAsk));
  slot->secure_bits = static_cast<uint8_t>(sys::raw(__NR_prctl, PR_GET_SECUREBITS));
  const long errors = sys::raw(__NR_prctl, PR_MCE_KILL_GET, 0, 0, 0, 0);
  slot->memory_errors = sys::failed(errors) ? 0 : static_cast<uint8_t>(errors + 1);
  int tsc = PR_TSC_ENABLE;
  sys::raw(__NR_prctl, PR_GET_TSC, bits(&tsc));
  slot->without_tsc = tsc == PR_TSC_SIGSEGV;
  slot->without_cpuid = sys::raw(__NR_arch_prctl, kGetCpuid) == 0;
  slot->speculation = read_speculation();
  slot->no_new_privileges = sys::raw(__NR_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
  slot->flushes_io = sys::raw(__NR_prctl, PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1;
}

// Asks, and makes none.  Each thread's, that of the process too, is told to it alone.
bool has_key_ring(int which) { return !sys::failed(sys::raw(__NR_keyctl, KEYCTL_GET_KEYRING_ID, static_cast<uint64_t>(which), 0)); }

void note_kernel_state(ParkSlot* slot) {
  slot->robust_list = slot->robust_length = slot->tid_address = slot->gs = 0;
  sys::raw(__NR_get_robust_list, 0, bits(&slot->robust_list), bits(&slot->robust_length));
  sys::raw(__NR_prctl, kPrGetTidAddress, bits(&slot->tid_address));
  sys::raw(__NR_arch_prctl, ARCH_GET_GS, bits(&slot->gs));
  sys::raw(__NR_prctl, PR_GET_NAME, bits(slot->name));
  sys::raw(__NR_prctl, PR_GET_PDEATHSIG, bits(&slot->death_signal));
  const long slack = sys::raw(__NR_prctl, PR_GET_TIMERSLACK);
  slot->timer_slack = sys::failed(slack) ? 0 : static_cast<uint64_t>(slack);
  slot->has_rseq = loader::has_rseq(slot->fs);
  note_rare_state(slot);
  const uint64_t effects = loader::lasting_effects();
  if ((effects & loader::kMemoryPolicies) != 0) read_policy(slot->policy);
  slot->has_key_ring = (effects & loader::kKeyRings) != 0 && (has_key_ring(KEY_SPEC_THREAD_KEYRING) || has_key_ring(KEY_SPEC_PROCESS_KEYRING));
}

// One signal of ours.  `release` was read before `stop`: whoever resumes clears `stop` first, so a thread that comes late
// either sees no stop or sees that it has been released already.
void consider(siginfo_t* info, ucontext_t* context, loader::StackRoom& room) {
  const uint32_t release = park_control.release.load();
  greg_t* registers = context->uc_mcontext.gregs;
  const bool stop = park_control.stop.load() != 0;
  const auto tid = sys::gettid();
  ParkSlot* slot = stop ? find_or_add_slot(tid) : find_slot(tid);
  const uint64_t fs = sys::fs_base();
  if (!in_upper_half(fs)) {
    if (slot == nullptr || !stop) return;
    const bool main_thread = tid == sys::getpid();
    const ThreadRecord* borrower = mana_record_below();  // of this %fs: of this task, or of one that it is lent to
    const bool crossing = borrower != nullptr && borrower->tid.load() == static_cast<uint32_t>(tid);
    answer(slot, crossing ? ParkState::in_wrapper : main_thread ? ParkState::retry : ParkState::foreign);
    return;
  }
  const auto pc = static_cast<uint64_t>(registers[REG_RIP]);
  if (in_upper_half(pc)) {
    issue_again(slot, context, room);
    loader::shorten_wait(context);
  }
  if (slot == nullptr || !stop) return;

  ThreadRecord* record = record_of(fs);
  const bool in_wrapper = record != nullptr && (record->lower_fs == 0 ||  // about to be lent its lower thread
                                                (record->depth.load() > 0 && record->safe_point.load() == 0));
  if (in_wrapper && !in_park_here(registers)) return answer(slot, ParkState::in_wrapper);
  if (!leave_lower_text(context)) return answer(slot, ParkState::retry);
  slot->fs = fs;
  slot->record = record;
  slot->context = bits(context);
  slot->siginfo = bits(info);
  note_kernel_state(slot);
  slot->release.store(release);
  answer(slot, ParkState::parked);
  wait_parked(slot);
  loader::shorten_wait(context);  // time went on
}

void run_service(ServiceCall* call) {
  mana_on_stack(reinterpret_cast<void (*)(void*)>(park_control.upper->service), call,
                reinterpret_cast<void*>(park_control.service_stack_top));
}

// Executes what there is to do as the service thread.  False: nothing.
bool serve() {
  if (ServiceCall* call = park_control.command.exchange(nullptr)) {
    run_service(call);
    park_control.answered.fetch_add(1);
    sys::raw(__NR_futex, bits(&park_control.answered), FUTEX_WAKE_PRIVATE, 1);
    return true;
  }
  if (park_control.progressing.load() == 0) return false;
  ServiceCall progress{};
  progress.what = Service::progress;
  run_service(&progress);
  sys::raw(__NR_sched_yield);
  return true;
}

// Only the thread itself can: nobody else reads what is pending for one thread.
void take_pending(TakenSignals* taken) {
  constexpr uint64_t kMaskBytes = 8;
  const uint64_t no_time[2] = {0, 0};
  while (taken->count < taken->room &&
         sys::raw(__NR_rt_sigtimedwait, bits(&taken->set), bits(taken->info[taken->count]), bits(no_time), kMaskBytes) > 0) {
    ++taken->count;
  }
  for (uint32_t i = 0; i < taken->count; ++i) {
    const auto signal = static_cast<uint32_t>(taken->info[i][0]);
    sys::raw(__NR_rt_tgsigqueueinfo, static_cast<uint64_t>(sys::getpid()), static_cast<uint64_t>(sys::gettid()), signal,
             bits(taken->info[i]));
  }
  taken->done.store(1);
  sys::raw(__NR_futex, bits(&taken->done), FUTEX_WAKE_PRIVATE, 1);
}

uint32_t first_place(int32_t tid) {
  return (static_cast<uint32_t>(tid) * 2654435761u) & (park_control.slot_count - 1);
}

}  // namespace

ParkSlot* find_slot(int32_t tid) {
  uint32_t place = first_place(tid);
  for (uint32_t i = 0; i < park_control.slot_count; ++i, place = (place + 1) & (park_control.slot_count - 1)) {
    const int32_t owner = park_control.slots[place].tid.load();
    if (owner == tid) return &park_control.slots[place];
    if (owner == 0) return nullptr;
  }
  return nullptr;
}

ParkSlot* find_or_add_slot(int32_t tid) {
  uint32_t place = first_place(tid);
  for (uint32_t i = 0; i < park_control.slot_count; ++i, place = (place + 1) & (park_control.slot_count - 1)) {
    int32_t owner = park_control.slots[place].tid.load();
    if (owner == 0 && park_control.slots[place].tid.compare_exchange_strong(owner, tid)) owner = tid;
    if (owner == tid) return &park_control.slots[place];
  }
  return nullptr;
}

void wait_parked(ParkSlot* slot) {
  for (;;) {
    const uint32_t wake = slot->wake.load();
    if (park_control.release.load() != slot->release.load()) {
      ParkState mine = ParkState::parked;  // if it is still said of this thread, it came after resume() had looked
      slot->state.compare_exchange_strong(mine, ParkState::none);
      return;
    }
    if (TakenSignals* taken = slot->take.exchange(nullptr)) {
      take_pending(taken);
      continue;
    }
    const bool serving = park_control.service_tid.load() == slot->tid.load();
    if (serving && serve()) continue;
    sys::raw(__NR_futex, bits(&slot->wake), FUTEX_WAIT_PRIVATE, wake, 0);
  }
}

// A handler of the application is about to run on top of park_here, or of another signal's entry.  It may stay long, and the thread
// be parked in it: so park_here returns first (its caller sees that `stop` is still set, or the agent asks again), and the entry goes on
// to its handler.
// A signal that has to wait is queued again while all are blocked (with SA_NODEFER it would come at once), before anything is changed.
bool leave_before_handler(int signal, void* info, void* context) {
  auto* interrupted = static_cast<ucontext_t*>(context);
  greg_t* registers = interrupted->uc_mcontext.gregs;
  if (in_park_here(registers)) return_from_park_here(registers);
  const Left below = leave_signal_entry(registers);
  uint64_t* return_address = below == Left::was_not_there ? loader::return_from_kernel(context) : nullptr;
  if ((below != Left::signal_waits && return_address == nullptr) || !can_wait(signal)) return false;
  uint64_t before = 0;
  sys::rt_sigprocmask(SIG_SETMASK, &loader::kWaitingMask, &before);
  if (!queue_again(signal, static_cast<const siginfo_t*>(info))) {
    sys::rt_sigprocmask(SIG_SETMASK, &before, nullptr);
    return false;
  }
  if (return_address != nullptr)
    loader::wait_for_return(context, return_address);
  else
    *reinterpret_cast<uint64_t*>(&interrupted->uc_sigmask) = loader::kWaitingMask;
  return true;
}

extern "C" void mana_park_handler(int signal, void* info, void* context) {
  auto* details = static_cast<siginfo_t*>(info);
  if (details->si_code != kSiQueue || bits(details->si_value.sival_ptr) != kCheckpointMagic) {
    // The application uses this signal number too.
    if (loader::mana_app_actions[signal].handler > 1) mana_signal_entry(signal, info, context);
    return;
  }
  park_control.handlers.fetch_add(1);
  loader::StackRoom room;  // the thread may wait in it when this handler has returned
  consider(details, static_cast<ucontext_t*>(context), room);
  park_control.handlers.fetch_sub(1);
}

}  // namespace mana::lower
