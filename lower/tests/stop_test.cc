// SPDX-License-Identifier: BSD-3-Clause
// Stopping and resuming threads below the line, wherever they are: computing, sleeping, waiting for a futex or for input.
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <thread>

#include "kernel-loader/gate.h"
#include "kernel-loader/layout.h"
#include "lower/core_functions.h"
#include "lower/stop.h"
#include "lower/threads.h"
#include "trampolines/callback.h"
#include "trampolines/cross.h"
#include "trampolines/signal_entry.h"

namespace mana::lower {
namespace {

// A pthread whose stack and TLS lie below the line: to the code under test, a thread of the application.
class UpperThread {
 public:
  explicit UpperThread(std::function<void()> body) : body_(std::move(body)) {
    static uint64_t next = 0x190000000000;
    void* stack = mmap(reinterpret_cast<void*>(next), kStack, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    next += 2 * kStack;
    REQUIRE(stack != MAP_FAILED);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, kStack);
    REQUIRE(pthread_create(&thread_, &attributes, [](void* self) -> void* {
      static_cast<UpperThread*>(self)->body_();
      return nullptr;
    }, this) == 0);
    pthread_attr_destroy(&attributes);
  }
  ~UpperThread() { pthread_join(thread_, nullptr); }

 private:
  static constexpr std::size_t kStack = 1 << 20;
  std::function<void()> body_;
  pthread_t thread_{};
};

void set_up() {
  static bool done = false;
  if (done) return;
  done = true;
  add_lower_thread(gettid());
  start_lending();
  prepare_stopping();
  struct sigaction action {};
  action.sa_sigaction = reinterpret_cast<void (*)(int, siginfo_t*, void*)>(mana_park_handler);
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  sigdelset(&action.sa_mask, SIGSYS);
  sigaction(loader::kCheckpointSignal, &action, nullptr);
}

void stop_all() {
  request_stop();
  while (!poll_stop().empty()) wait_for_parking(50);
}

// A front end's memory, as small as it can be.
struct FakeUpper {
  UpperInterface interface{};
  std::atomic<int> progressed{0};
  static inline FakeUpper* current = nullptr;
  FakeUpper() {
    current = this;
    interface.service = [](ServiceCall* call) {
      if (call->what == Service::progress) ++current->progressed;
      call->done = 1;
      call->pending = static_cast<uint32_t>(__builtin_thread_pointer() != nullptr && loader::in_upper_half(fs()));
    };
    stop_set_upper(&interface);
  }
  ~FakeUpper() { stop_set_upper(nullptr); }
  static uint64_t fs() { return reinterpret_cast<uint64_t>(__builtin_thread_pointer()); }
  void add(ThreadRecord& record) {
    record.upper_fs = fs();
    record.tid = static_cast<uint32_t>(gettid());
    record.next = interface.threads.load();
    interface.threads = &record;
    core::AttachThread block{&record};
    REQUIRE(attach_thread(&block) == 0);
  }
};

}  // namespace

TEST_CASE("threads_stop_wherever_they_are_and_notice_nothing") {
  set_up();
  std::atomic<bool> end{false};
  std::atomic<uint64_t> turns{0}, sleeps{0};
  std::atomic<uint32_t> word{0};
  int sleep_error = 0, futex_error = 0, read_error = 0, poll_error = 0;
  int input[2];
  REQUIRE(pipe(input) == 0);
  {
    UpperThread computing([&] { while (!end) ++turns; });
    UpperThread sleeping([&] {
      while (!end) {
        const timespec time{0, 3000000};
        if (nanosleep(&time, nullptr) != 0) sleep_error = errno;
        ++sleeps;
      }
    });
    UpperThread waiting([&] {
      if (syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, nullptr) != 0) futex_error = errno;
    });
    UpperThread reading([&] {
      char byte;
      if (read(input[0], &byte, 1) != 1) read_error = errno;
      pollfd ready{input[0], POLLIN, 0};
      if (poll(&ready, 1, -1) != 1) poll_error = errno;
    });
    for (int round = 0; round < 200; ++round) {
      stop_all();
      CHECK(parked_threads().size() == 4);
      const uint64_t turns_before = turns;
      for (int i = 0; i < 1000; ++i) asm volatile("pause");
      CHECK(turns == turns_before);
      resume();
      while (turns == turns_before) std::this_thread::yield();
      if (round == 100) CHECK(write(input[1], "x", 1) == 1);
    }
    CHECK(write(input[1], "x", 1) == 1);
    word = 1;
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1);
    end = true;
  }
  CHECK(sleep_error == 0);
  CHECK((futex_error == 0 || futex_error == EAGAIN));  // made again after the word has changed
  CHECK(read_error == 0);
  CHECK(poll_error == 0);
  close(input[0]);
  close(input[1]);
}

TEST_CASE("threads_that_come_and_go_are_all_stopped") {
  set_up();
  std::atomic<bool> end{false};
  std::atomic<uint64_t> born{0};
  {
    UpperThread parent([&] {
      while (!end) {
        UpperThread child([&] { ++born; });
      }
    });
    for (int round = 0; round < 50; ++round) {
      stop_all();
      const uint64_t before = born;
      for (int i = 0; i < 1000; ++i) asm volatile("pause");
      CHECK(born == before);
      resume();
      while (born == before) std::this_thread::yield();
    }
    end = true;
  }
}

TEST_CASE("a_thread_in_a_wrapper_parks_by_itself") {
  set_up();
  FakeUpper upper;
  std::atomic<bool> end{false}, attached{false};
  std::atomic<uint64_t> parked_in_wrapper{0}, calls{0};
  ThreadRecord record{};
  {
    UpperThread caller([&] {
      upper.add(record);
      attached = true;
      while (!end) {
        record.depth = 1;
        if (record.safe_point != 0) ++parked_in_wrapper;
        mana_cross([](void*) { for (int i = 0; i < 100; ++i) asm volatile("pause"); return 0; }, nullptr, &record);
        ++calls;
        record.depth = 0;
        if (upper.interface.control.stop) park_here(nullptr);
      }
    });
    while (!attached) std::this_thread::yield();
    for (int round = 0; round < 500; ++round) {
      stop_all();
      const auto parked = parked_threads();
      REQUIRE(parked.size() == 1);
      CHECK(parked[0]->record == &record);
      const auto* context = reinterpret_cast<const ucontext_t*>(parked[0]->context);
      const auto pc = static_cast<uint64_t>(context->uc_mcontext.gregs[REG_RIP]);
      CHECK((pc < reinterpret_cast<uint64_t>(&park_here) || pc > reinterpret_cast<uint64_t>(&park_here) + 40));
      CHECK(record.depth == 0);
      ServiceCall call{};
      call.what = Service::drain;
      CHECK(service(call));
      CHECK(call.done == 1);
      CHECK(call.pending == 1);  // ran with the upper %fs
      if (round % 100 == 0) {
        const int before = upper.progressed;
        keep_progressing(true);
        while (upper.progressed < before + 3) std::this_thread::yield();
        keep_progressing(false);
      }
      const uint64_t before = calls;
      resume();
      while (calls == before) std::this_thread::yield();
    }
    end = true;
  }
}

TEST_CASE("a_storm_of_other_signals_does_not_disturb_the_stopping") {
  set_up();
  FakeUpper upper;
  std::atomic<bool> end{false}, attached{false};
  std::atomic<uint64_t> handled{0};
  static std::atomic<uint64_t>* count = &handled;
  count = &handled;
  ThreadRecord record{};
  loader::mana_signal_handlers[SIGUSR1] = reinterpret_cast<uint64_t>(+[](int) { ++*count; });
  struct sigaction action {};
  action.sa_sigaction = reinterpret_cast<void (*)(int, siginfo_t*, void*)>(mana_signal_entry);
  action.sa_flags = SA_RESTART | SA_SIGINFO;
  sigaction(SIGUSR1, &action, nullptr);
  {
    std::atomic<pid_t> target{0};
    UpperThread caller([&] {
      upper.add(record);
      target = gettid();
      attached = true;
      while (!end) {
        record.depth = 1;
        mana_cross([](void*) { return 0; }, nullptr, &record);
        record.depth = 0;
        if (upper.interface.control.stop) park_here(nullptr);
      }
    });
    while (!attached) std::this_thread::yield();
    std::thread shooter([&] {
      add_lower_thread(gettid());
      while (!end) syscall(SYS_tgkill, getpid(), target.load(), SIGUSR1);
    });
    for (int round = 0; round < 300 || handled < 500; ++round) {
      stop_all();
      for (const auto* slot : parked_threads()) {
        const auto* context = reinterpret_cast<const ucontext_t*>(slot->context);
        const auto pc = static_cast<uint64_t>(context->uc_mcontext.gregs[REG_RIP]);
        CHECK((pc < reinterpret_cast<uint64_t>(&park_here) || pc > reinterpret_cast<uint64_t>(&park_here) + 40));
        CHECK(pc != reinterpret_cast<uint64_t>(&mana_signal_entry));
      }
      resume();
    }
    end = true;
    shooter.join();
  }
}

}  // namespace mana::lower
