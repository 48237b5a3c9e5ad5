// SPDX-License-Identifier: BSD-3-Clause
#include "lower/session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "kernel-loader/ids.h"
#include "kernel-loader/sys.h"
#include "lower/descriptor_contents.h"
#include "lower/proc_file.h"

namespace mana::lower {
namespace {

// "4711 (a name) S parent group session terminal ..." (proc_pid_stat(5)); 0: none.
int controlling_terminal() {
  const std::string stat = read_proc_file("/proc/thread-self/stat");
  const std::size_t name_end = stat.rfind(')');
  int terminal = 0;
  if (name_end != std::string::npos) std::sscanf(stat.c_str() + name_end + 1, " %*c %*d %*d %*d %d", &terminal);
  return terminal;
}

struct Launched {
  pid_t session, group;
  int terminal;
};
Launched launched{};
// By the image, whether or not this launcher made it necessary.
bool asked_for_session = false, asked_for_group = false;
bool led_session_at_start = false, led_group_at_start = false;  // as far as the application knew

// One that its launcher made a leader may have taken a terminal without a session of its own (Hydra makes each rank one).
bool has_own_terminal() {
  const int terminal = controlling_terminal();
  return getsid(0) == getpid() && terminal != 0 && terminal != launched.terminal;
}

// A leader has its launcher's terminal until it gives that up, which its group is told by signals: to be ignored, and, where they are
// blocked, to be forgotten, as ignoring them once more does.
void give_up_terminal() {
  const int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return;
  constexpr int kTold[] = {SIGHUP, SIGCONT};
  constexpr uint64_t kIgnore = 1;  // SIG_IGN
  const sys::KernelAction ignored{kIgnore, 0, 0, 0};
  sys::KernelAction before[2] = {};
  for (int i = 0; i < 2; ++i) sys::rt_sigaction(kTold[i], &ignored, &before[i]);
  ioctl(terminal, TIOCNOTTY);
  for (int i = 0; i < 2; ++i) {
    sys::rt_sigaction(kTold[i], &ignored, nullptr);
    sys::rt_sigaction(kTold[i], &before[i], nullptr);
  }
  close(terminal);
}

}  // namespace

// What the application has asked for, and had unknowingly (gate_ids.cc), has its number in the application's eyes.
bool leads(pid_t real, loader::IdKind kind) { return loader::seen_id(real, kind) == loader::seen_id(getpid()); }

void note_launched_session() {
  launched = {getsid(0), getpgrp(), controlling_terminal()};
  led_session_at_start = launched.session == getpid();
  led_group_at_start = launched.group == getpid();
}

bool leads_own_session() {
  const bool has_made_one = leads(getsid(0), loader::IdKind::session) && !led_session_at_start;
  return asked_for_session || getsid(0) != launched.session || has_made_one || has_own_terminal();
}

void read_session(image::ProcessState& state) {
  state.leads_own_session = leads_own_session();
  const bool has_made_one = leads(getpgrp(), loader::IdKind::group) && !led_group_at_start;
  state.leads_own_group = getpgrp() == getpid() && (asked_for_group || launched.group != getpid() || has_made_one);
}

void restore_session(const image::ProcessState& state, const loader::GateState& gate) {
  led_session_at_start = gate.session == gate.process;
  led_group_at_start = gate.group == gate.process;
  asked_for_group = state.leads_own_group != 0;
  if (asked_for_group) setpgid(0, 0);
  if (state.leads_own_session == 0) return;
  asked_for_session = true;
  if (getsid(0) == getpid()) return give_up_terminal();
  // The leader of a group, as which Open MPI and shells start processes, may not make a session: it goes to its parent's group before.
  if (setsid() < 0) setpgid(0, getpgid(getppid()));
  if (getsid(0) != getpid() && setsid() < 0)
    say_at_restart(std::string("the application led a session of its own, and stays in its launcher's now: ") + std::strerror(errno));
}

}  // namespace mana::lower
