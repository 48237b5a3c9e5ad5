// SPDX-License-Identifier: BSD-3-Clause
// Pseudo-terminals that the application has made: whose they are, and the session that one of them controls.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "test/scenarios/descriptor_calls.h"

namespace {

using namespace mana::test;

int master_of_new_terminal() {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  return grantpt(master) == 0 && unlockpt(master) == 0 ? master : -1;
}

std::string slave_of(int master) {
  char name[64] = {};
  return ptsname_r(master, name, sizeof name) == 0 ? name : "";
}

SCENARIO(slave_of_a_pseudo_terminal_keeps_owner_and_mode, .ranks = 2) {
  const int open_one = master_of_new_terminal(), other = master_of_new_terminal();  // of the other no slave is open
  const int slave = open(slave_of(open_one).c_str(), O_RDWR | O_NOCTTY);
  const bool may = geteuid() == 0;
  const uid_t user = may ? 4711 : geteuid();
  const gid_t group = may ? 4712 : getegid();
  CHECK_EQ(fchown(slave, user, group), 0);
  CHECK_EQ(fchmod(slave, 0604), 0);
  CHECK_EQ(chmod(slave_of(other).c_str(), 0666), 0);
  struct stat default_of_other {};
  CHECK_EQ(stat(slave_of(other).c_str(), &default_of_other), 0);
  job.checkpoint_here();
  struct stat status {};
  CHECK_EQ(fstat(slave, &status), 0);
  CHECK_EQ(status.st_uid, user);
  CHECK_EQ(status.st_gid, group);
  CHECK_EQ(status.st_mode & 07777, 0604u);
  CHECK_EQ(stat(slave_of(other).c_str(), &status), 0);
  CHECK_EQ(status.st_uid, default_of_other.st_uid);
  CHECK_EQ(status.st_gid, default_of_other.st_gid);
  CHECK_EQ(status.st_mode & 07777, 0666u);
  close_all({open_one, other, slave});
}

std::atomic<int> seen[65];
void on_signal(int number) { seen[number]++; }

class Counted {
 public:
  explicit Counted(int number) : number_(number) {
    struct sigaction action = {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    seen[number] = 0;
    sigaction(number, &action, &old_);
  }
  ~Counted() { sigaction(number_, &old_, nullptr); }
  // Natively it may be another thread that takes it.
  bool came(int times) const {
    while (seen[number_] < times) sched_yield();
    return seen[number_] == times;
  }

 private:
  int number_;
  struct sigaction old_ = {};
};

// Hydra has made each rank a leader; the leader of a group, as which Open MPI starts them, leaves it first.
bool lead_a_session() {
  if (getsid(0) != getpid() && setsid() < 0) setpgid(0, getpgid(getppid()));
  return getsid(0) == getpid() || setsid() == getpid();
}

// Hydra had launched it and Open MPI has restarted it: it was made a leader, and is none.  Its child is told the kernel's numbers.
bool leads_in_name_only() {
  return getsid(0) == getpid() && std::system("read -r line </proc/$PPID/stat; set -- ${line##*) }; [ \"$4\" = $PPID ]") != 0;
}

SCENARIO(own_terminal_controls_the_session, .ranks = 2) {
  if (leads_in_name_only()) return job.checkpoint_here();
  const Counted resized(SIGWINCH), interrupted(SIGINT), hung_up(SIGHUP), user(SIGUSR1);
  CHECK(lead_a_session());
  const int low = open("/dev/null", O_RDWR), master = master_of_new_terminal();
  const int slave = open(slave_of(master).c_str(), O_RDWR), by_name = open("/dev/tty", O_RDWR | O_NOCTTY);
  CHECK(slave >= 0 && by_name >= 0 && dup2(slave, low) == low);  // its number is below the master's
  close(slave);
  int times = 0;
  const auto ask = [&] {
    times++;
    CHECK_EQ(getsid(0), getpid());
    CHECK_EQ(getpgrp(), getpid());
    CHECK_EQ(tcgetsid(low), getpid());
    CHECK_EQ(tcgetpgrp(low), getpid());
    CHECK_EQ(tcgetpgrp(by_name), getpid());
    CHECK_EQ(tcsetpgrp(low, getpgrp()), 0);
    const int again = open("/dev/tty", O_RDWR | O_NOCTTY);
    for (const int one : {low, by_name, again}) {
      CHECK(put(one, "said\n"));
      CHECK_EQ(hear(master, 6), "said\r\n");
    }
    close(again);
    const winsize size{static_cast<unsigned short>(30 + times), 100, 0, 0};
    CHECK_EQ(ioctl(master, TIOCSWINSZ, &size), 0);
    CHECK(resized.came(times));
    CHECK(put(master, "\003"));  // ^C
    CHECK(interrupted.came(times));
    CHECK_EQ(hear(master, 2), "^C");
    CHECK_EQ(kill(0, SIGUSR1), 0);  // nobody else is in its group
    CHECK(user.came(times));
  };
  ask();
  job.checkpoint_here();
  ask();
  close(master);
  CHECK(hung_up.came(1));
  CHECK(open("/dev/tty", O_RDWR) < 0 && errno == ENXIO);
  close_all({low, by_name});
}

}  // namespace
