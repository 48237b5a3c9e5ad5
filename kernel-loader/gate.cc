// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/gate.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <cerrno>

#include "kernel-loader/arena.h"
#include "kernel-loader/caught_calls.h"
#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/gate_data.h"
#include "kernel-loader/ids.h"
#include "kernel-loader/inherited.h"
#include "kernel-loader/loader.h"
#include "kernel-loader/protection_keys.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

constinit GateState live{};
constinit GateHooks hooks{};

constexpr uint64_t kSameStack = 64 << 10;
constexpr uint64_t kRedZone = 128;

long do_rseq(CaughtCall& call) {
  const long got = call.pass();
  constexpr uint64_t kUnregister = 1;
  if (!sys::failed(got) && (call.argument(2) & kUnregister) == 0 && in_original_process()) {
    live.rseq_offset = static_cast<int64_t>(call.argument(0) - sys::fs_base());
    live.rseq_length = static_cast<uint32_t>(call.argument(1));
    live.rseq_signature = static_cast<uint32_t>(call.argument(3));
  }
  return got;
}

long do_exit_group(CaughtCall& call) {
  if (ids_are_translated()) leave_robust_locks();
  if (hooks.on_exit_group != nullptr && in_original_process())
    hooks.on_exit_group(static_cast<int>(call.argument(0)));
  for (;;) call.pass();
}

long do_register(CaughtCall& call) {
  if (hooks.on_register == nullptr) return -ENOSYS;
  return hooks.on_register(sys::pointer<UpperInterface>(call.argument(0)));
}

// Those that are caught in a restarted process only (ids.h, clocks.h).
bool is_caught_after_restart_only(long number) {
  for (const CaughtCallRule& rule : kCaughtCalls) {
    if (rule.number == static_cast<uint64_t>(number)) return rule.in == In::restarted || rule.in == In::named_host;
  }
  return false;
}

// The calls of caught_calls.h.
long do_call(CaughtCall& call) {
  if (is_caught_after_restart_only(call.number())) return do_id_call(call);
  switch (call.number()) {
    case __NR_getrlimit:
    case __NR_setrlimit:
    case __NR_prlimit64:
      return do_file_limit(call);
    case __NR_mmap:
      return do_mmap(call);
    case __NR_munmap:
      return do_munmap(call);
    case __NR_mremap:
      return do_mremap(call);
    case __NR_brk:
      return do_brk(call);
    case __NR_shmget:
    case __NR_semget:
    case __NR_msgget:
      return do_get_system_v(call);
    case __NR_shmat:
      return do_shmat(call);
    case __NR_shmdt:
      return do_shmdt(call);
    case __NR_madvise:
    case __NR_mlock:
    case __NR_mlock2:
    case __NR_mlockall:
    case __NR_munlockall:
    case kSealMemory:
      return do_flag_memory(call);
    case kProcessMadvise:
      return do_process_madvise(call);
    case __NR_rt_sigaction:
      return do_rt_sigaction(call);
    case __NR_rt_sigprocmask:
      return do_rt_sigprocmask(call);
    case __NR_rt_sigsuspend:
      return do_call_with_mask(call, 0, 1);
    case __NR_rt_sigtimedwait:
      return do_call_with_mask(call, 0, 3);
    case __NR_ppoll:
      return do_call_with_mask(call, 3, 4);
    case __NR_epoll_pwait:
    case kEpollPwait2:
      return do_call_with_mask(call, 4, 5);
    case __NR_pselect6:
      return do_pselect6(call);
    case __NR_poll:
    case __NR_epoll_wait:
    case __NR_nanosleep:
      return wait_for_span(call);
    case __NR_futex:
      return do_futex(call);
    case __NR_clock_nanosleep:
      return do_clock_nanosleep(call);
    case __NR_signalfd:
    case __NR_signalfd4:
      return do_signalfd(call);
    case __NR_open:
      return do_open(call, 0);
    case __NR_openat:
    case __NR_openat2:
      return do_open(call, 1);
    case __NR_close:
    case __NR_dup:
      return do_at_the_line(call);
    case __NR_fcntl:
      if (watches_folder(call)) return do_lasting(call);
      return commands_ids(call) ? do_fcntl_of_ids(call) : do_at_the_line(call);
    case __NR_dup2:
    case __NR_dup3:
      return do_dup_onto(call);
    case __NR_close_range:
      return do_close_range(call);
    case __NR_readlink:
      return do_readlink(call, 0);
    case __NR_readlinkat:
      return do_readlink(call, 1);
    case __NR_read:
    case __NR_pread64:
    case __NR_readv:
    case __NR_preadv:
    case __NR_preadv2:
      return do_read(call);
    case __NR_recvmsg:
    case __NR_recvmmsg:
    case __NR_accept:
    case __NR_accept4:
      return wait_for_ids(call);
    case __NR_sendmsg:
      return do_sendmsg(call);
    case __NR_getdents:
    case __NR_getdents64:
      return do_read_folder(call);
    case __NR_execve:
      return do_execve(call, 0);
    case __NR_execveat:
      return do_execve(call, 1);
    case __NR_exit_group:
      return do_exit_group(call);
    case __NR_ptrace:
    case __NR_pivot_root:
    case __NR_iopl:
    case __NR_ioperm:
    case __NR_chroot:
    case __NR_unshare:
    case __NR_setns:
    case __NR_seccomp:
    case __NR_io_setup:
    case __NR_mbind:
    case __NR_set_mempolicy:
    case kSetHomeNode:
    case __NR_add_key:
    case __NR_request_key:
    case __NR_keyctl:
    case __NR_pkey_alloc:
    case __NR_pkey_free:
    case kLandlockRestrictSelf:
      return do_lasting(call);
    case __NR_setsockopt:
      return call.argument(2) == SO_PASSCRED ? do_id_call(call) : do_lasting(call);
    case __NR_prctl:
      return call.argument(0) == PR_SET_PTRACER ? do_choose_tracer(call) : do_lasting(call);
    case __NR_arch_prctl:
      return -EOPNOTSUPP;
    case __NR_rseq:
      return do_rseq(call);
    case kFrontEndCall:
      return do_register(call);
    default:  // not on our list: a filter of the program that executed this one
      return call.pass();
  }
}

}  // namespace

GateState& live_state() { return live; }
const GateHooks& gate_hooks() { return hooks; }

BlockingCall& CaughtCall::block(uint64_t bytes) {
  // Where the waiting thread keeps its data: on its own stack.  When the handler runs on that stack
  // too, the room is the handler's own (nothing above it is written to again); else it is below the
  // red zone of the interrupted code.
  const auto here = reinterpret_cast<uint64_t>(context_);
  BlockingCall* blocking = &spare_->blocking;
  if (here > stack_pointer() || stack_pointer() - here > kSameStack) {
    blocking = sys::pointer<BlockingCall>((stack_pointer() - kRedZone - bytes) &
                                          ~uint64_t{15});
  }
  for (int i = 0; i < 6; i++) blocking->arguments[i] = argument(i);
  blocking->finish = FINISH_NEVER;
  blocking->number = static_cast<uint64_t>(number_);
  blocking->until = 0;
  blocking->return_rip = reg(REG_RIP);
  blocking->return_rsp = stack_pointer();
  set_reg(REG_RAX, static_cast<uint64_t>(number_));
  set_reg(REG_RSP, sys::bits(blocking));
  set_reg(REG_RIP, live.vdso + vdso_table(live.vdso)->blocking_call);
  redirected_ = true;
  return *blocking;
}

namespace {

// What the call came to: the application's result, or (false) the thread makes another.
bool finish_result(CaughtCall& call, BlockingCall& blocking, long& result) {
  switch (blocking.number) {
    case __NR_rt_sigtimedwait:
      if (blocking.arguments[1] != 0) tell_sender(sys::pointer<void>(blocking.arguments[1]));
      return true;
    case __NR_futex:
      return finish_futex(call, blocking, result);
    case __NR_poll:
      finish_socket_wait(blocking, result);
      return true;
    default:
      finish_ids(blocking, static_cast<uint64_t>(result));
      return true;
  }
}

}  // namespace

void finish_blocking_call(CaughtCall& call) {
  auto* blocking = sys::pointer<BlockingCall>(call.stack_pointer());
  auto result = static_cast<long>(blocking->result);
  if (!finish_result(call, *blocking, result)) {
    call.set_reg(REG_RAX, blocking->number);
    call.set_reg(REG_RIP, live.vdso + vdso_table(live.vdso)->blocking_call);
    return;
  }
  for (int i = 0; i < 6; i++) call.set_argument(i, blocking->arguments[i]);
  call.set_reg(REG_EFL, blocking->flags);
  call.set_reg(REG_RIP, blocking->return_rip);
  call.set_reg(REG_RSP, blocking->return_rsp);
  call.set_reg(REG_RAX, static_cast<uint64_t>(result));
}

// The handler of SIGSYS.
extern "C" void mana_gate_sigsys(int, siginfo_t* info, void* context);
extern "C" void mana_gate_sigsys(int, siginfo_t* info, void* context) {
  constexpr int kFromFilter = 1;  // SYS_SECCOMP
  auto* interrupted = static_cast<ucontext_t*>(context);
  if (info->si_code != kFromFilter) {
    handle_own_sigsys(info, interrupted);
    return;
  }
  if ((lasting_effects() & kProtectionKeys) != 0) allow_all_protection_keys();  // arguments may lie in such memory
  WaitRoom spare;
  CaughtCall call(info->si_syscall, interrupted, &spare);
  if (call.number() == static_cast<long>(kFinishCall)) {
    const uint64_t expected = live.vdso + vdso_table(live.vdso)->blocking_call_finish;
    if (call.reg(REG_RIP) == expected)
      finish_blocking_call(call);
    else
      call.set_reg(REG_RAX, static_cast<uint64_t>(-ENOSYS));
    return;
  }
  const long result = do_call(call);
  if (!call.redirected() || sys::failed(result))
    call.set_reg(REG_RAX, static_cast<uint64_t>(result));
}

Outcome begin_lower_half() {
  if (Outcome ready = init_arena(); !ready.ok()) return ready.error();
  if (Outcome settled = settle_file_limit(); !settled.ok()) return settled;
  return note_inherited();
}

namespace {

// Launch: what the process inherited.  Restart: what the image says.
void settle_actions(bool restart) {
  for (int signal = 1; signal < kSignals; signal++) {
    if (signal == SIGKILL || signal == SIGSTOP || signal == kSigSys || signal == kCheckpointSignal)
      continue;
    sys::KernelAction now{};
    if (sys::failed(sys::rt_sigaction(signal, nullptr, &now))) continue;
    AppAction& known = mana_app_actions[signal];
    if (!restart) {
      if (now.handler <= 1) known = {now.handler, now.flags, now.restorer, now.mask};
      continue;
    }
    sys::KernelAction wanted{known.handler, known.flags, known.restorer, known.mask & ~kOurSignals};
    if (known.handler > 1 && hooks.signal_entry != 0) wanted.handler = hooks.signal_entry;
    sys::rt_sigaction(signal, &wanted, nullptr);
  }
}

constinit bool restored = false;

void note_host() {
  utsname system;
  if (!sys::failed(sys::raw(__NR_uname, sys::bits(&system)))) copy_text(system.nodename, live.host, sizeof live.host);
}

}  // namespace

Outcome install_gate(const GateHooks& given) {
  hooks = given;
  if (live.vdso == 0) return Error{"no program is loaded yet"};
  if (Outcome installed = install_handlers(); !installed.ok()) return installed.error();
  settle_actions(restored);
  assert_gate_handlers();
  if (!restored) note_host();
  const In process = !restored ? In::any_process : host_is_named() ? In::named_host : In::restarted;
  if (Outcome installed = install_filter(live.vdso, process); !installed.ok()) return installed;
  if (restored) catch_reads_of_restored();
  return Done{};
}

bool in_original_process() { return process_kind() == ProcessKind::original; }

bool gate_may_park(uint64_t rip, int64_t rax) {
  if (live.vdso == 0 || rip < live.vdso || rip >= live.vdso + kVdsoTableOffset) return true;
  const VdsoTable* table = vdso_table(live.vdso);
  const uint64_t at = rip - live.vdso;
  if (at == table->blocking_call_done) return rax < 0;
  return at < table->blocking_call_done || at > table->blocking_call_finish;
}

int64_t blocking_call_at(uint64_t rip, uint64_t rsp) {
  if (live.vdso == 0 || rip != live.vdso + vdso_table(live.vdso)->blocking_call_done) return -1;
  return static_cast<int64_t>(sys::pointer<const BlockingCall>(rsp)->number);
}

// The kernel's functions are leaves with small frames, so the first such word above the stack pointer is the return address: those of
// calls that have returned are wiped (vdso_x86_64.S).
uint64_t* return_from_kernel(const void* context) {
  const auto* registers = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  if (live.vdso == 0 || !in_kernel_vdso(static_cast<uint64_t>(registers[REG_RIP]))) return nullptr;
  const VdsoTable* table = vdso_table(live.vdso);
  constexpr int kMostWords = 128;
  auto* word = sys::pointer<uint64_t>(static_cast<uint64_t>(registers[REG_RSP]));
  for (int i = 0; i < kMostWords; i++, word++) {
    const uint64_t offset = *word - live.vdso;
    if ((offset > table->forward_begin && offset < table->forward_end) || offset == table->after_kernel_call) return word;
  }
  return nullptr;
}

void wait_for_return(void* context, uint64_t* return_address) {
  auto* mask = reinterpret_cast<uint64_t*>(&static_cast<ucontext_t*>(context)->uc_sigmask);
  const uint64_t after = live.vdso + vdso_table(live.vdso)->after_kernel_call;
  if (*return_address != after) return_address[1] = *mask;  // else it waits already
  *return_address = after;
  *mask = kWaitingMask;
}

bool has_rseq(uint64_t fs) {
  if (live.rseq_length == 0) return false;
  // Asked to unregister, the kernel compares the address (EINVAL) before the signature (EPERM): with a wrong one it changes nothing.
  constexpr uint64_t kUnregister = 1;
  return sys::raw(__NR_rseq, fs + static_cast<uint64_t>(live.rseq_offset), live.rseq_length, kUnregister, ~live.rseq_signature) == -EPERM;
}

void take_up_thread(void* context) {
  CaughtCall call(0, static_cast<ucontext_t*>(context), nullptr);
  const uint64_t at = call.reg(REG_RIP) - live.vdso;
  const VdsoTable* table = vdso_table(live.vdso);
  if (at != table->blocking_call && at != table->blocking_call_done) return;
  take_up_blocking_call(call, *sys::pointer<BlockingCall>(call.stack_pointer()));
}

void shorten_wait(void* context) {
  CaughtCall call(0, static_cast<ucontext_t*>(context), nullptr);
  if (live.vdso == 0 || call.reg(REG_RIP) != live.vdso + vdso_table(live.vdso)->blocking_call) return;
  auto* blocking = sys::pointer<BlockingCall>(call.stack_pointer());
  if (blocking->until != 0) set_rest_of_span(call, *blocking);
}

void save_gate_state(GateState& state) {
  live.magic = kGateMagic;
  live.version = kGateVersion;
  live.size = sizeof live;
  __builtin_memcpy(live.actions, mana_app_actions, sizeof live.actions);
  live.process = seen_id(sys::getpid());
  live.parent = seen_id(static_cast<int32_t>(sys::raw(__NR_getppid)));
  live.group = seen_id(static_cast<int32_t>(sys::raw(__NR_getpgrp)), IdKind::group);
  live.session = seen_id(static_cast<int32_t>(sys::raw(__NR_getsid)), IdKind::session);
  state = live;
}

namespace {

// The threads' follow when they are made.
void restore_ids() {
  add_process(live.process, sys::getpid());
  add_process(live.parent, static_cast<int32_t>(sys::raw(__NR_getppid)));
  add_id(IdKind::group, live.group, static_cast<int32_t>(sys::raw(__NR_getpgrp)));
  add_id(IdKind::session, live.session, static_cast<int32_t>(sys::raw(__NR_getsid)));
}

}  // namespace

Outcome restore_gate_state(const GateState& state) {
  if (state.magic != kGateMagic || state.version != kGateVersion || state.size != sizeof state) {
    return Error{"the gate's state in the image is of an unknown version", 0, state.version,
                 state.size};
  }
  if (Outcome ready = init_arena(); !ready.ok()) return ready.error();
  live = state;
  restored = true;
  restore_ids();
  for (int signal = 1; signal < kSignals; signal++) remember_action(signal, live.actions[signal]);
  constexpr uint64_t kGuard = 1 << 20;
  const uint64_t heap_low = page_down(live.brk_start);
  set_arena_plan(
      {live.placement_top, {heap_low, live.brk_limit}, {live.stack_low - kGuard, kArenaHigh}});
  relearn_arena();
  show_identity();
  return fill_vdso(live.vdso, VdsoClock::shifted);
}

}  // namespace mana::loader
