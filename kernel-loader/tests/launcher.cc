// SPDX-License-Identifier: BSD-3-Clause
// The least lower half: loads a program and starts it behind the gate, with no MPI and no
// trampolines.
//   launcher [--stack-limit BYTES|unlimited] PROGRAM ARGS...
#include <sys/resource.h>
#include <sys/rseq.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "kernel-loader/gate.h"
#include "kernel-loader/loader.h"
#include "kernel-loader/report.h"

using namespace mana::loader;

namespace {

[[noreturn]] void give_up(const Error& error) {
  report("launch", error);
  std::_Exit(1);
}

void check(const Outcome& outcome) {
  if (!outcome.ok()) give_up(outcome.error());
}

LowerRseq own_rseq() {
  if (__rseq_size == 0) return {};
  return {
      reinterpret_cast<uint64_t>(__builtin_thread_pointer()) + static_cast<uint64_t>(__rseq_offset),
      __rseq_size};
}

}  // namespace

int main(int, char** arguments, char** environment) {
  arguments++;
  rlimit stack{};
  getrlimit(RLIMIT_STACK, &stack);
  uint64_t stack_limit = stack.rlim_cur;
  if (*arguments != nullptr && std::strcmp(*arguments, "--stack-limit") == 0) {
    stack_limit = std::string(arguments[1]) == "unlimited"
                      ? kUnlimited
                      : std::strtoull(arguments[1], nullptr, 10);
    arguments += 2;
  }
  check(check_kernel());
  check(begin_lower_half());
  const Result<LoadedProgram> loaded =
      load_program({arguments[0], arguments, environment, stack_limit});
  if (!loaded.ok()) give_up(loaded.error());
  GateHooks hooks{};
  hooks.front_end_mpich = std::getenv("TEST_FRONT_END");
  hooks.front_end_openmpi = hooks.front_end_mpich;
  check(install_gate(hooks));
  start_program(loaded.value(), own_rseq());
}
