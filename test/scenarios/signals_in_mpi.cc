// SPDX-License-Identifier: BSD-3-Clause
// Signals that come while a thread is inside MPI, and while a checkpoint is taken.
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <ctime>
#include <thread>

#include "test/scenario.h"
#include "test/scenarios/signals.h"

namespace {

thread_local int own_number = 0;
std::atomic<int> handled{0}, in_wrong_thread{0}, ticks{0};

// As an application's handler may: its own TLS and errno, memory, a look at the clock.
void on_signal(int) {
  const int error = errno;
  if (own_number != 4711) in_wrong_thread++;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  close(-1);
  errno = error;
  handled++;
}
void on_tick(int) {
  errno = ENOTTY;
  ticks++;
}

// The main threads stand in a receive until both helpers are done; every signal of the helpers is handled meanwhile.
SCENARIO(handlers_run_while_the_thread_is_inside_mpi, .ranks = 2, .threads = MPI_THREAD_MULTIPLE) {
  const mana::test::Handled user(SIGUSR1, on_signal, SA_RESTART);
  handled = in_wrong_thread = 0;
  own_number = 4711;
  const pthread_t main_thread = pthread_self();
  int sent = 0;
  job.announce();
  std::thread helper([&] {
    const auto signal_some = [&] {
      for (int i = 0; i < 50; i++) {
        pthread_kill(main_thread, SIGUSR1);
        sent++;
        while (handled < sent) sched_yield();
      }
    };
    signal_some();
    job.wait_until_over();
    signal_some();
    const int value = 10 + job.rank;
    int theirs = -1;  // the other's helper is done, too
    MPI_Sendrecv(&value, 1, MPI_INT, 1 - job.rank, 6, &theirs, 1, MPI_INT, 1 - job.rank, 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Send(&value, 1, MPI_INT, 1 - job.rank, 5, MPI_COMM_WORLD);
  });
  int got = 0;
  errno = EDOM;
  MPI_Recv(&got, 1, MPI_INT, 1 - job.rank, 5, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  CHECK_EQ(handled.load(), 100);  // all of them before the receive returned
  helper.join();
  CHECK_EQ(got, 11 - job.rank);
  CHECK_EQ(in_wrong_thread.load(), 0);
}

// An interval timer goes off all the while: in short calls, in blocking ones, in collectives.
SCENARIO(interval_timer_ticks_through_calls_of_mpi, .ranks = 2) {
  const mana::test::Handled alarmed(SIGALRM, on_tick, SA_RESTART);
  ticks = 0;
  const itimerval often{{0, 500}, {0, 500}}, off{};
  CHECK_EQ(setitimer(ITIMER_REAL, &often, nullptr), 0);
  job.announce();
  long wrong = 0;
  const auto exchange = [&](int round) {
    int all = 0, theirs = -1;
    MPI_Sendrecv(&round, 1, MPI_INT, 1 - job.rank, 3, &theirs, 1, MPI_INT, 1 - job.rank, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    wrong += theirs != round;
    MPI_Allreduce(&job.rank, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    wrong += all != 1;
  };
  for (int round = 0, everybody = 0; !everybody; round++) {
    exchange(round);
    const int mine = job.over();
    MPI_Allreduce(&mine, &everybody, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  }
  const int before = ticks;
  for (int round = 0, everybody = 0; !everybody; round++) {
    exchange(round);
    const int mine = ticks >= before + 50;
    MPI_Allreduce(&mine, &everybody, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  }
  CHECK_EQ(setitimer(ITIMER_REAL, &off, nullptr), 0);
  CHECK_EQ(wrong, 0);
}

// The kernel arms such a timer again when its signal is taken: until then it says that no time is left.
SCENARIO(periodic_timer_whose_signal_is_blocked_goes_on, .ranks = 2) {
  const mana::test::Handled alarmed(SIGALRM, on_tick, SA_RESTART);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  const itimerval often{{0, 100}, {0, 100}}, off{};
  CHECK_EQ(setitimer(ITIMER_REAL, &often, nullptr), 0);
  job.checkpoint_here();
  ticks = 0;
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  while (ticks < 5) sched_yield();
  itimerval now{};
  CHECK_EQ(getitimer(ITIMER_REAL, &now), 0);
  CHECK_EQ(now.it_interval.tv_usec, 100);
  CHECK_EQ(setitimer(ITIMER_REAL, &off, nullptr), 0);
}

std::atomic<int> next_value{0}, out_of_order{0};
void on_value(int, siginfo_t* info, void*) {
  if (info->si_value.sival_int != next_value++) out_of_order++;
}

// Real-time signals are queued: none is lost or doubled, and they come in order, however many are pending when a checkpoint comes.
SCENARIO(signals_queued_during_a_checkpoint_come_once_and_in_order, .ranks = 2) {
  const int signal = SIGRTMIN + 7;
  struct sigaction action = {}, before = {};
  action.sa_sigaction = on_value;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaction(signal, &action, &before);
  next_value = out_of_order = 0;
  const pthread_t main_thread = pthread_self();
  std::atomic<bool> over{false};
  int sent = 0;
  job.announce();
  std::thread sender([&] {
    while (!over || sent < 1000) {
      if (sent - next_value > 50) {
        sched_yield();
        continue;
      }
      sigval value{};
      value.sival_int = sent;
      if (pthread_sigqueue(main_thread, signal, value) == 0) sent++;
    }
  });
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  while (!job.over() || next_value < 500) {  // some wait for a while
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    for (int i = 0; i < 100; i++) sched_yield();
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  }
  over = true;
  sender.join();
  CHECK_EQ(next_value.load(), sent);
  CHECK_EQ(out_of_order.load(), 0);
  sigaction(signal, &before, nullptr);
}

}  // namespace
