// SPDX-License-Identifier: BSD-3-Clause
// The seccomp filter.  It first looks only at the call's number, so that the kernel knows calls
// that are not on the list as always allowed and does not run the filter for them; then at where
// the call was made; then at arguments.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <cstddef>
#include <span>

#include "kernel-loader/caught_calls.h"
#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/gate_data.h"

namespace mana::loader {
namespace {

constexpr uint32_t high_word(uint64_t value) { return static_cast<uint32_t>(value >> 32); }
constexpr uint32_t low_word(uint64_t value) { return static_cast<uint32_t>(value); }
static_assert(low_word(kArenaLow) == 0 && low_word(kArenaHigh) == 0);

class FilterProgram {
 public:
  FilterProgram(uint64_t vdso, In process)
      : vdso_(vdso), line_(static_cast<uint32_t>(first_lower_descriptor())), restarted_(process == In::restarted || process == In::named_host) {
    for (const CaughtCallRule& rule : kCaughtCalls) {
      const bool applies = process == In::watched ? rule.in == In::watched : rule.in <= process;
      if (!applies) continue;
      if (call_count_ == 0 || calls_[call_count_ - 1].rules[0]->number != rule.number) call_count_++;
      Call& call = calls_[call_count_ - 1];
      call.rules[call.count++] = &rule;
    }
  }

  const sock_fprog* build() {
    load(offsetof(seccomp_data, arch));
    jump(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0);
    give(SECCOMP_RET_ALLOW);
    load(offsetof(seccomp_data, nr));
    search(0, call_count_);
    program_ = {static_cast<unsigned short>(count_), code_};
    return &program_;
  }

 private:
  static constexpr int kMostRules = 8;  // of one call
  struct Call {
    const CaughtCallRule* rules[kMostRules];
    int count;
  };

  void put(uint16_t operation, uint32_t value, int if_true = 0, int if_false = 0) {
    code_[count_++] = {operation, static_cast<uint8_t>(if_true), static_cast<uint8_t>(if_false),
                       value};
  }
  void load(size_t offset) { put(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  void jump(int test, uint32_t value, int if_true, int if_false) {
    put(static_cast<uint16_t>(BPF_JMP | test | BPF_K), value, if_true, if_false);
  }
  void give(uint32_t action) { put(BPF_RET | BPF_K, action); }
  static size_t argument(int index, bool high) {
    return offsetof(seccomp_data, args) + static_cast<size_t>(index) * 8 + (high ? 4 : 0);
  }

  // The number is in the accumulator; calls [from, until) may match.  Jumps over the lower half are
  // of any length (BPF_JA).
  void search(int from, int until) {
    if (until - from == 1) {
      const Call& call = calls_[from];
      jump(BPF_JEQ, call.rules[0]->number, 1, 0);
      give(SECCOMP_RET_ALLOW);
      matched(call);
      return;
    }
    const int middle = (from + until) / 2;
    jump(BPF_JGE, calls_[middle].rules[0]->number, 0, 1);
    const int over = count_;
    put(BPF_JMP | BPF_JA, 0);
    search(from, middle);
    code_[over].k = static_cast<uint32_t>(count_ - over - 1);
    search(middle, until);
  }

  void matched(const Call& call) {
    // seccomp reports the address behind the instruction.
    load(offsetof(seccomp_data, instruction_pointer) + 4);
    jump(BPF_JGE, high_word(kArenaLow), 1, 0);
    give(SECCOMP_RET_ALLOW);
    jump(BPF_JGE, high_word(kArenaHigh), 0, 1);
    give(SECCOMP_RET_ALLOW);
    if (const uint64_t exempt = made_in_vdso(call.rules[0]->number)) {
      jump(BPF_JEQ, high_word(vdso_ + exempt), 0, 3);
      load(offsetof(seccomp_data, instruction_pointer));
      jump(BPF_JEQ, low_word(vdso_ + exempt), 0, 1);
      give(SECCOMP_RET_ALLOW);
    }
    bool always = false;
    for (int i = 0; i < call.count; i++) {
      require(*call.rules[i]);
      give(call.rules[i]->when == Catch::refuse ? SECCOMP_RET_ERRNO | call.rules[i]->value : SECCOMP_RET_TRAP);
      always = require_count_ == 0;
      for (int r = 0; r < require_count_; r++) fail_to_here(requires_[r]);
      require_count_ = 0;
    }
    if (!always) give(SECCOMP_RET_ALLOW);
  }

  // What follows is reached only when the rule holds; otherwise what comes after the next instruction but these is.
  void require(const CaughtCallRule& rule) {
    switch (rule.when) {
      case Catch::always:
      case Catch::refuse:
        break;
      case Catch::argument_set:
        require_set(rule.index);
        break;
      case Catch::argument_equals:
        load(argument(rule.index, false));
        require(BPF_JEQ, rule.value, true);
        break;
      case Catch::lower_number:  // -1 and its like the kernel refuses
        load(argument(rule.index, false));
        require(BPF_JGE, line_, true);
        require(BPF_JGE, 0x80000000, false);
        break;
      case Catch::lower_last:
        load(argument(1, false));
        jump(BPF_JGE, line_, 2, 0);
        load(argument(2, false));
        require(BPF_JSET, CLOSE_RANGE_UNSHARE, true);
        break;
      case Catch::path_may_matter:
        require_path_matters(rule);
        break;
      case Catch::argument_between:
        load(argument(rule.index, false));
        if (rule.mask != 0xffffffff) put(BPF_ALU | BPF_AND | BPF_K, rule.mask);
        require(BPF_JGE, rule.value, true);
        require(BPF_JGT, rule.last, false);
        break;
      case Catch::argument_differs:
        require_set(1);
        load(argument(rule.index, false));
        require(BPF_JEQ, rule.value, false);
        break;
      case Catch::argument_negative:
        load(argument(rule.index, false));
        require(BPF_JGE, 0x80000000, true);
        break;
      case Catch::argument_has:
        load(argument(rule.index, false));
        require(BPF_JSET, rule.value, true);
        break;
      case Catch::timed:
        require_set(static_cast<int>(rule.last));
        load(argument(rule.index, false));
        put(BPF_ALU | BPF_AND | BPF_K, rule.mask);
        require(BPF_JEQ, rule.value, true);
        break;
    }
  }

  void require_set(int index) {
    load(argument(index, false));
    jump(BPF_JEQ, 0, 0, 2);
    load(argument(index, true));
    require(BPF_JEQ, 0, false);
  }

  // A test that must come out as `wanted`.  Rules are short, so 8-bit jumps reach.
  void require(int test, uint32_t value, bool wanted) {
    requires_[require_count_++] = count_;
    jump(test, value, wanted ? 0 : kUnknown, wanted ? kUnknown : 0);
  }
  static constexpr int kUnknown = 0xff;
  void fail_to_here(int at) {
    const int distance = count_ - at - 1;
    uint8_t& target = code_[at].jt == kUnknown ? code_[at].jt : code_[at].jf;
    target = static_cast<uint8_t>(distance);
  }

  // Offset behind the instruction in the vdso that makes this call for the gate; 0: none does.
  uint64_t made_in_vdso(uint32_t number) const {
    const VdsoTable* table = vdso_table(vdso_);
    if (number == __NR_munmap) return table->unmap_own_stack_done;
    if (number == __NR_exit) return table->exit_done;
    return waits_in_vdso(number) ? table->blocking_call_done : 0;
  }

  void require_path_matters(const CaughtCallRule& rule) {
    if (rule.number == __NR_openat) {
      load(argument(0, false));
      require(BPF_JEQ, static_cast<uint32_t>(AT_FDCWD), true);
    }
    if (restarted_) return;
    load(argument(rule.index, false));
    require(BPF_JSET, kPathDoesNotMatter, false);
  }

  static bool waits_in_vdso(uint32_t number) {
    switch (number) {
      case __NR_open:
      case __NR_openat:
      case __NR_openat2:
      case __NR_poll:
      case __NR_ppoll:
      case __NR_pselect6:
      case __NR_epoll_wait:
      case __NR_epoll_pwait:
      case kEpollPwait2:
      case __NR_rt_sigsuspend:
      case __NR_rt_sigtimedwait:
      case __NR_futex:
      case __NR_wait4:
      case __NR_waitid:
      case __NR_ioctl:
      case __NR_nanosleep:
      case __NR_clock_nanosleep:
      case kFutexWaitv:
      case kFutexWait:
        return true;
      default:
        return false;
    }
  }

  uint64_t vdso_;
  uint32_t line_;
  bool restarted_;
  Call calls_[kCaughtCallCount] = {};
  int call_count_ = 0;
  sock_filter code_[2400];
  int count_ = 0;
  int requires_[4];  // tests of the rule that is being written
  int require_count_ = 0;
  sock_fprog program_{};
};

long install(const sock_fprog* program, uint64_t flags) {
  return sys::raw(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, sys::bits(program));
}

// For calls on some numbers of the application's (gate_read_ids.cc).
class NumbersProgram {
 public:
  // A count of 0: all numbers.
  NumbersProgram(uint64_t vdso, std::span<const uint32_t> calls, const uint16_t* numbers, int count) {
    put(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
    put(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, kAllow);
    put(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
    for (const uint32_t number : calls) put(BPF_JMP | BPF_JEQ | BPF_K, number, number == __NR_fcntl ? kDuplicates : kMatched);
    put(BPF_JMP | BPF_JA, 0);
    const int over = count_;
    set_jumps(kDuplicates);
    load_argument(1);
    put(BPF_JMP | BPF_JEQ | BPF_K, F_DUPFD, kMatched);
    put(BPF_JMP | BPF_JEQ | BPF_K, F_DUPFD_CLOEXEC, kMatched);
    code_[over - 1].k = static_cast<uint32_t>(count_ - over);
    put(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    set_jumps(kMatched);
    // As FilterProgram::matched.
    const uint64_t exempt = vdso + vdso_table(vdso)->blocking_call_done;
    put(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, instruction_pointer) + 4);
    put(BPF_JMP | BPF_JGE | BPF_K, high_word(kArenaLow), 0, kAllow);
    put(BPF_JMP | BPF_JGE | BPF_K, high_word(kArenaHigh), kAllow);
    put(BPF_JMP | BPF_JEQ | BPF_K, high_word(exempt), 0, 2);
    put(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, instruction_pointer));
    put(BPF_JMP | BPF_JEQ | BPF_K, low_word(exempt), kAllow);
    load_argument(0);
    for (int i = 0; i < count; i++) put(BPF_JMP | BPF_JEQ | BPF_K, numbers[i], kTrap);
    if (count == 0) put(BPF_JMP | BPF_JGE | BPF_K, static_cast<uint32_t>(first_lower_descriptor()), 0, kTrap);
    set_jumps(kAllow);
    put(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    set_jumps(kTrap);
    put(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    program_ = {static_cast<unsigned short>(count_), code_};
  }
  const sock_fprog* program() const { return &program_; }

 private:
  // Jumps to what is written later; other distances are smaller.
  static constexpr uint8_t kAllow = 0xfc, kTrap = 0xfd, kMatched = 0xfe, kDuplicates = 0xff;

  void put(uint16_t operation, uint64_t value, uint8_t if_true = 0, uint8_t if_false = 0) {
    code_[count_++] = {operation, if_true, if_false, static_cast<uint32_t>(value)};
  }
  void load_argument(int index) { put(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args) + static_cast<size_t>(index) * 8); }
  void set_jumps(uint8_t mark) {
    for (int i = 0; i < count_; i++) {
      const auto distance = static_cast<uint8_t>(count_ - i - 1);
      if (code_[i].jt == mark) code_[i].jt = distance;
      if (code_[i].jf == mark) code_[i].jf = distance;
    }
  }

  sock_filter code_[kMostNumbersOfFilter + 48];
  int count_ = 0;
  sock_fprog program_{};
};

}  // namespace

namespace {

bool install_for_all_threads(const NumbersProgram& built) {
  const long got = install(built.program(), SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW);
  // A thread with a filter of its own keeps to that.
  return got <= 0 ? !sys::failed(got) : !sys::failed(install(built.program(), SECCOMP_FILTER_FLAG_SPEC_ALLOW));
}

}  // namespace

bool install_filter_of_numbers(const uint16_t* numbers, int count) {
  static constexpr uint32_t kCalls[] = {
      __NR_read,   __NR_pread64,  __NR_readv,      __NR_preadv, __NR_preadv2,    __NR_getdents, __NR_getdents64,  // what tells ids
      __NR_openat, __NR_newfstatat, __NR_statx,    __NR_faccessat, __NR_faccessat2,                                 // from a folder of /proc
      __NR_recvmsg, __NR_recvmmsg, __NR_accept,    __NR_accept4,                                                    // sockets
      __NR_dup,    __NR_fcntl};
  return install_for_all_threads({live_state().vdso, kCalls, numbers, count});
}

bool install_filter_of_sends() {
  static constexpr uint32_t kCalls[] = {__NR_sendmsg};
  return install_for_all_threads({live_state().vdso, kCalls, nullptr, 0});
}

Outcome install_filter(uint64_t vdso, In process) {
  FilterProgram builder(vdso, process);
  const sock_fprog* program = builder.build();
  // SPEC_ALLOW: the filter is no sandbox and must not cost the application its speculative store
  // bypass (Linux 4.17).
  constexpr uint64_t kFlags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  long got = install(program, kFlags);
  if (sys::failed(got)) {
    // An ordinary user must promise that no setuid program gains rights from here on.
    const long promised = sys::raw(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (sys::failed(promised)) return Error{"prctl(PR_SET_NO_NEW_PRIVS)", sys::error_of(promised)};
    got = install(program, kFlags);
  }
  if (got > 0) return Error{"install the seccomp filter in thread", 0, static_cast<uint64_t>(got)};
  if (sys::failed(got)) {
    return Error{"install the seccomp filter", sys::error_of(got)}.so(
        "the kernel needs CONFIG_SECCOMP_FILTER, and a container must allow seccomp(2)");
  }
  return Done{};
}

}  // namespace mana::loader
