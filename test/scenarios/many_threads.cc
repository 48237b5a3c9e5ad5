// SPDX-License-Identifier: BSD-3-Clause
// Many threads, each with something of its own, and threads that begin and end while checkpoints are taken.
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "test/scenario.h"

namespace {

thread_local int own_number = -1;
thread_local std::string own_text;
std::atomic<int> destroyed{0};

struct Crowd {
  std::mutex lock;
  std::condition_variable changed;
  int ready = 0;
  bool released = false;
  pthread_key_t key{};
  std::atomic<int> wrong{0};
};

// Waits on a condition, in a call of the kernel, with memory on its stack and in TLS, a name, a signal mask and a word for its key.
void stand_in(Crowd& crowd, int number) {
  char on_stack[5000];
  for (std::size_t i = 0; i < sizeof on_stack; i++) on_stack[i] = static_cast<char>(i * 7 + static_cast<std::size_t>(number));
  own_number = number;
  own_text = "thread number " + std::to_string(number);
  pthread_setspecific(crowd.key, &own_number);
  pthread_setname_np(pthread_self(), ("crowd-" + std::to_string(number)).c_str());
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGRTMIN + number % 20);
  pthread_sigmask(SIG_BLOCK, &mask, nullptr);
  const long id = syscall(SYS_gettid);
  {
    std::unique_lock<std::mutex> held(crowd.lock);
    crowd.ready++;
    crowd.changed.notify_all();
    crowd.changed.wait(held, [&] { return crowd.released; });
  }
  bool same = own_number == number && own_text == "thread number " + std::to_string(number) && syscall(SYS_gettid) == id;
  for (std::size_t i = 0; i < sizeof on_stack; i++) same &= on_stack[i] == static_cast<char>(i * 7 + static_cast<std::size_t>(number));
  same &= pthread_getspecific(crowd.key) == &own_number;
  char name[16] = {};
  pthread_getname_np(pthread_self(), name, sizeof name);
  same &= name == "crowd-" + std::to_string(number);
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  for (int i = 0; i < 20; i++) same &= sigismember(&mask, SIGRTMIN + i) == (i == number % 20);
  if (!same) crowd.wrong++;
}

SCENARIO(each_of_many_threads_keeps_what_is_its_own, .ranks = 2) {
  constexpr int kThreads = 100;
  Crowd crowd;
  destroyed = 0;
  pthread_key_create(&crowd.key, [](void*) { destroyed++; });
  std::deque<std::thread> threads;
  for (int i = 0; i < kThreads; i++) threads.emplace_back(stand_in, std::ref(crowd), i);
  {
    std::unique_lock<std::mutex> held(crowd.lock);
    crowd.changed.wait(held, [&] { return crowd.ready == kThreads; });
  }
  job.checkpoint_here();
  {
    const std::lock_guard<std::mutex> held(crowd.lock);
    crowd.released = true;
  }
  crowd.changed.notify_all();
  for (std::thread& thread : threads) thread.join();  // by the words that the kernel clears
  CHECK_EQ(crowd.wrong.load(), 0);
  CHECK_EQ(destroyed.load(), kThreads);
  pthread_key_delete(crowd.key);
}

// Joined and detached ones, from several threads at once, all through three checkpoints.
SCENARIO(threads_begin_and_end_all_the_while, .ranks = 2) {
  std::atomic<bool> over{false};
  std::atomic<long> wrong{0}, made{0}, detached{0}, ended{0};
  const auto child = [&](long number, std::atomic<long>* result) {
    own_number = static_cast<int>(number);
    own_text = std::string(200, static_cast<char>('a' + number % 26));
    sched_yield();
    if (own_number != static_cast<int>(number) || own_text[199] != static_cast<char>('a' + number % 26)) wrong++;
    if (result != nullptr) *result = number * 2;
  };
  const auto parent = [&] {
    while (!over) {
      std::atomic<long> results[3] = {};
      const long number = made.fetch_add(3);
      {
        std::deque<std::thread> children;
        for (long i = 0; i < 3; i++) children.emplace_back(child, number + i, &results[i]);
        for (std::thread& one : children) one.join();
      }
      for (long i = 0; i < 3; i++) wrong += results[i] != (number + i) * 2;
      detached++;
      std::thread([&, number] {
        child(number, nullptr);
        ended++;
      }).detach();
      // Not as fast as it can: threads that live for microseconds starve whoever shares the core to which Open MPI binds a rank.
      do usleep(1000);
      while (detached - ended > 20);
    }
  };
  std::thread parents[] = {std::thread(parent), std::thread(parent)};
  for (int step = 0; step < 3; step++) {
    const long before = made;
    while (made < before + 10) usleep(1000);
    job.checkpoint_here();
  }
  const long before = made;
  while (made < before + 10) usleep(1000);
  over = true;
  for (std::thread& one : parents) one.join();
  while (ended < detached) usleep(1000);
  CHECK_EQ(wrong.load(), 0);
}

}  // namespace
