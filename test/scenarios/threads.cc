// SPDX-License-Identifier: BSD-3-Clause
// MPI_THREAD_MULTIPLE: threads in collectives, in receives and in computations when the checkpoint comes.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "test/scenarios/collectives.h"

namespace {

using namespace mana::test;

SCENARIO(one_thread_in_a_collective_one_waiting_one_computing, .ranks = 2, .threads = MPI_THREAD_MULTIPLE) {
  MPI_Comm comm, messages;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  MPI_Comm_dup(MPI_COMM_WORLD, &messages);
  int sum = 0, got = -1;
  long turns = 0;
  job.announce();
  std::thread collective([&] {
    if (job.rank == 1) job.wait_until_underway();
    MPI_Allreduce(&job.rank, &sum, 1, MPI_INT, MPI_SUM, comm);
  });
  std::thread receiver([&] { MPI_Recv(&got, 1, MPI_INT, 1 - job.rank, 3, messages, MPI_STATUS_IGNORE); });
  while (!job.over()) turns++;
  const int value = job.rank + 10;
  MPI_Send(&value, 1, MPI_INT, 1 - job.rank, 3, messages);
  collective.join();
  receiver.join();
  CHECK_EQ(sum, 1);
  CHECK_EQ(got, 11 - job.rank);
  check_all_blocking(job, comm);
  MPI_Comm_free(&comm);
  MPI_Comm_free(&messages);
}

SCENARIO(two_threads_in_collectives_on_different_communicators, .ranks = 2, .threads = MPI_THREAD_MULTIPLE) {
  MPI_Comm comms[2];
  for (auto& comm : comms) MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  std::atomic<int> wrong{0};
  job.announce();
  const auto work = [&](MPI_Comm comm) {
    for (int round = 0, everybody = 0; !everybody; round++) {
      int mine = job.over(), sum = 0, value = round + job.rank;
      MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, comm);
      if (sum != 2 * round + 1) wrong++;
      MPI_Allreduce(&mine, &everybody, 1, MPI_INT, MPI_MIN, comm);
    }
  };
  std::thread second(work, comms[1]);
  work(comms[0]);
  second.join();
  CHECK_EQ(wrong.load(), 0);
  for (auto& comm : comms) MPI_Comm_free(&comm);
}

SCENARIO(three_threads_exchange_messages, .ranks = 2, .threads = MPI_THREAD_MULTIPLE) {
  std::atomic<int> wrong{0};
  std::atomic<bool> stop{false};
  job.announce();
  const auto exchange = [&](int tag) {
    for (int round = 0, last = 0; !last; round++) {
      int mine[2] = {round, stop.load()}, theirs[2] = {-1, 0};
      MPI_Sendrecv(mine, 2, MPI_INT, 1 - job.rank, tag, theirs, 2, MPI_INT, 1 - job.rank, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      if (theirs[0] != round) wrong++;
      last = mine[1] && theirs[1];
    }
  };
  std::thread first(exchange, 1), second(exchange, 2), third(exchange, 3);
  job.wait_until_over();
  stop = true;
  first.join(), second.join(), third.join();
  CHECK_EQ(wrong.load(), 0);
}

SCENARIO(threads_that_wait_outside_mpi_are_not_woken, .ranks = 2, .threads = MPI_THREAD_MULTIPLE) {
  std::mutex lock;
  std::condition_variable changed;
  bool released = false;
  std::atomic<int> early{0}, interrupted{0};
  static thread_local int own = 0;
  std::thread sleeper([&] {
    own = 5;
    std::unique_lock<std::mutex> held(lock);
    changed.wait(held, [&] { return released; });
    if (!job.over()) early++;
    if (own != 5) early++;
  });
  std::thread napper([&] {
    own = 6;
    while (!job.over()) {
      timespec nap{0, 50000000};
      if (nanosleep(&nap, nullptr) != 0) interrupted++;
    }
    if (own != 6) early++;
    int flag = 0;
    MPI_Iprobe(MPI_ANY_SOURCE, 77, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);  // its first MPI call, after the restart
    if (flag) early++;
  });
  own = 7;
  job.checkpoint_here();
  {
    std::lock_guard<std::mutex> held(lock);
    released = true;
  }
  changed.notify_all();
  sleeper.join();
  napper.join();
  CHECK_EQ(early.load(), 0);
  CHECK_EQ(interrupted.load(), 0);
  CHECK_EQ(own, 7);
  int sum = 0;
  std::thread later([&] { MPI_Allreduce(&job.rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD); });
  later.join();
  CHECK_EQ(sum, 1);
}

SCENARIO(thread_level_and_main_thread_are_remembered, .ranks = 2, .threads = MPI_THREAD_MULTIPLE) {
  job.checkpoint_here();
  int level = -1, here = 0, there = 1;
  MPI_Query_thread(&level);
  CHECK_EQ(level, MPI_THREAD_MULTIPLE);
  MPI_Is_thread_main(&here);
  std::thread other([&] { MPI_Is_thread_main(&there); });
  other.join();
  CHECK_EQ(here * 10 + there, 10);
}

}  // namespace
