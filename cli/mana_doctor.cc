// SPDX-License-Identifier: BSD-3-Clause
// mana doctor: what this machine offers.  Exit code 1 when jobs cannot be checkpointed here at all.
#include <fmt/format.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "cli/launcher.h"
#include "cli/mana.h"

namespace mana::cli {

namespace {

struct Finding {
  const char* what;
  bool good;
  bool needed;
  std::string detail;
};

Finding look_at_seccomp() {
  const uint32_t trap = SECCOMP_RET_TRAP;
  const bool good = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &trap) == 0;
  return {"seccomp filters", good, true,
          good ? "SECCOMP_RET_TRAP"
               : std::string(std::strerror(errno)) +
                     ": needs CONFIG_SECCOMP_FILTER, and a container that allows seccomp(2)"};
}

Finding look_at_membarrier() {
  const long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  const bool good = commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0;
  return {"membarrier", good, true,
          good ? "private expedited" : "needs Linux 4.14 with CONFIG_MEMBARRIER"};
}

Finding look_at_fsgsbase() {
  constexpr unsigned long kFsgsbase = 2;  // AT_HWCAP2, Documentation/arch/x86/x86_64/fsgs.rst
  const bool good = (getauxval(AT_HWCAP2) & kFsgsbase) != 0;
  return {"wrfsbase", good, false,
          good ? "a crossing needs no system call"
               : "Linux 5.9 or newer: crossings use two system calls (arch_prctl) instead of two instructions"};
}

Finding look_at(Mpi mpi) {
  const std::string program = lower_program(mpi);
  return {name_of(mpi), !program.empty(), false, program.empty() ? "not built" : program};
}

void doctor() {
  utsname kernel{};
  uname(&kernel);
  fmt::print("kernel           {} {} {}\n", kernel.sysname, kernel.release, kernel.machine);
  bool an_mpi = false;
  for (const Mpi mpi : {Mpi::mpich, Mpi::openmpi}) an_mpi = an_mpi || !lower_program(mpi).empty();
  const Finding findings[] = {look_at_seccomp(), look_at_membarrier(), look_at_fsgsbase(),
                              look_at(Mpi::mpich), look_at(Mpi::openmpi)};
  bool good = an_mpi;
  for (const Finding& finding : findings) {
    fmt::print("{:<16} {:<4} {}\n", finding.what, finding.good ? "yes" : "no", finding.detail);
    good = good && (finding.good || !finding.needed);
  }
  if (!an_mpi)
    return complain("doctor",
                    "no lower half is built: install mpich or openmpi with their development "
                    "packages and build again");
  if (!good) complain("doctor", "this machine lacks something that checkpoints need (see above)");
}

}  // namespace

void add_doctor(CLI::App& mana) {
  mana.add_subcommand("doctor", "Says what this machine offers")->callback(doctor);
}

}  // namespace mana::cli
