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
  FilterProgram(uint64_t vdso, bool restarted)
      : vdso_(vdso), line_(static_cast<uint32_t>(first_lower_descriptor())), restarted_(restarted) {
    for (const CaughtCallRule& rule : kCaughtCalls) {
      if (restarted || !rule.restarted_only) rules_[rule_count_++] = &rule;
    }
  }

  const sock_fprog* build() {
    load(offsetof(seccomp_data, arch));
    jump(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0);
    give(SECCOMP_RET_ALLOW);
    load(offsetof(seccomp_data, nr));
    search(0, rule_count_);
    program_ = {static_cast<unsigned short>(count_), code_};
    return &program_;
  }

 private:
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

  // The number is in the accumulator; rules [from, until) may match.  Jumps over the lower half are
  // of any length (BPF_JA).
  void search(int from, int until) {
    if (until - from == 1) {
      const CaughtCallRule& rule = *rules_[from];
      jump(BPF_JEQ, rule.number, 1, 0);
      give(SECCOMP_RET_ALLOW);
      matched(rule);
      return;
    }
    const int middle = (from + until) / 2;
    jump(BPF_JGE, rules_[middle]->number, 0, 1);
    const int over = count_;
    put(BPF_JMP | BPF_JA, 0);
    search(from, middle);
    code_[over].k = static_cast<uint32_t>(count_ - over - 1);
    search(middle, until);
  }

  // The program between here and the end of the rule is at most this long, so 8-bit jumps reach.
  void matched(const CaughtCallRule& rule) {
    // seccomp reports the address behind the instruction.
    load(offsetof(seccomp_data, instruction_pointer) + 4);
    jump(BPF_JGE, high_word(kArenaLow), 1, 0);
    give(SECCOMP_RET_ALLOW);
    jump(BPF_JGE, high_word(kArenaHigh), 0, 1);
    give(SECCOMP_RET_ALLOW);
    if (waits_in_vdso(rule)) {
      const VdsoTable* table = vdso_table(vdso_);
      const uint64_t exempt = vdso_ + (rule.number == __NR_munmap ? table->unmap_own_stack_done
                                                                  : table->blocking_call_done);
      jump(BPF_JEQ, high_word(exempt), 0, 3);
      load(offsetof(seccomp_data, instruction_pointer));
      jump(BPF_JEQ, low_word(exempt), 0, 1);
      give(SECCOMP_RET_ALLOW);
    }
    switch (restarted_ && rule.always_in_restarted ? Catch::always : rule.when) {
      case Catch::always:
        break;
      case Catch::argument_set:
        allow_unless_set(rule.index);
        break;
      case Catch::argument_equals:
        load(argument(rule.index, false));
        jump(BPF_JEQ, rule.value, 1, 0);
        give(SECCOMP_RET_ALLOW);
        break;
      case Catch::lower_number:  // -1 and its like the kernel refuses
        load(argument(rule.index, false));
        jump(BPF_JGE, line_, 0, 1);
        jump(BPF_JGE, 0x80000000, 0, 1);
        give(SECCOMP_RET_ALLOW);
        break;
      case Catch::lower_last:
        load(argument(1, false));
        jump(BPF_JGE, line_, 3, 0);
        load(argument(2, false));
        jump(BPF_JSET, CLOSE_RANGE_UNSHARE, 1, 0);
        give(SECCOMP_RET_ALLOW);
        break;
      case Catch::path_may_matter:
        allow_unless_path_matters(rule);
        break;
      case Catch::argument_between:
        load(argument(rule.index, false));
        jump(BPF_JGE, rule.value, 1, 0);
        give(SECCOMP_RET_ALLOW);
        jump(BPF_JGT, rule.last, 0, 1);
        give(SECCOMP_RET_ALLOW);
        break;
      case Catch::argument_differs:
        allow_unless_set(1);
        load(argument(rule.index, false));
        jump(BPF_JEQ, rule.value, 0, 1);
        give(SECCOMP_RET_ALLOW);
        break;
      case Catch::argument_negative:
        load(argument(rule.index, false));
        jump(BPF_JGE, 0x80000000, 1, 0);
        give(SECCOMP_RET_ALLOW);
        break;
      case Catch::refuse:
        give(SECCOMP_RET_ERRNO | rule.value);
        return;
    }
    give(SECCOMP_RET_TRAP);
  }

  void allow_unless_set(int index) {
    load(argument(index, false));
    jump(BPF_JEQ, 0, 0, 3);
    load(argument(index, true));
    jump(BPF_JEQ, 0, 0, 1);
    give(SECCOMP_RET_ALLOW);
  }

  void allow_unless_path_matters(const CaughtCallRule& rule) {
    if (rule.number == __NR_openat) {
      load(argument(0, false));
      jump(BPF_JEQ, static_cast<uint32_t>(AT_FDCWD), 1, 0);
      give(SECCOMP_RET_ALLOW);
    }
    if (restarted_) return;
    load(argument(rule.index, false));
    jump(BPF_JSET, kPathDoesNotMatter, 0, 1);
    give(SECCOMP_RET_ALLOW);
  }

  static bool waits_in_vdso(const CaughtCallRule& rule) {
    switch (rule.number) {
      case __NR_munmap:
      case __NR_open:
      case __NR_openat:
      case __NR_openat2:
      case __NR_ppoll:
      case __NR_pselect6:
      case __NR_epoll_pwait:
      case 441:
      case __NR_rt_sigsuspend:
      case __NR_rt_sigtimedwait:
        return true;
      default:
        return false;
    }
  }

  uint64_t vdso_;
  uint32_t line_;
  bool restarted_;
  const CaughtCallRule* rules_[kCaughtCallCount];
  int rule_count_ = 0;
  sock_filter code_[1600];
  int count_ = 0;
  sock_fprog program_{};
};

long install(const sock_fprog* program, uint64_t flags) {
  return sys::raw(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, sys::bits(program));
}

}  // namespace

Outcome install_filter(uint64_t vdso, bool restarted) {
  FilterProgram builder(vdso, restarted);
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
