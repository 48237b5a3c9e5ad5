// SPDX-License-Identifier: BSD-3-Clause
// Monotonic clocks and deadlines.  In the modes restart and migrate the runner resumes the job on hosts that seem to have been
// booted long before the first one, or after it (harness/world.py), so a clock or a deadline of the wrong host is off by days.
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "test/scenario.h"

namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kDay = 86'400 * kSecond;  // less than what hosts differ by, more than any test takes
constexpr int64_t kNear = 1 * kSecond, kFar = 3600 * kSecond;

int64_t nanoseconds(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }
timespec time_of(int64_t nanoseconds) { return {nanoseconds / kSecond, nanoseconds % kSecond}; }

int64_t now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return nanoseconds(time);
}
int64_t now_by_call(clockid_t clock) {
  timespec time{};
  syscall(SYS_clock_gettime, clock, &time);
  return nanoseconds(time);
}
int64_t uptime() {
  struct sysinfo system {};
  sysinfo(&system);
  return system.uptime * kSecond;
}
int64_t ticks() { return times(nullptr) * (kSecond / sysconf(_SC_CLK_TCK)); }
int64_t wtime() { return static_cast<int64_t>(MPI_Wtime() * 1e9); }

constexpr clockid_t kClocks[] = {CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM};

// Of all that tells a monotonic time, each twice.
std::vector<int64_t> all_times() {
  std::vector<int64_t> told;
  for (const clockid_t clock : kClocks) told.insert(told.end(), {now(clock), now_by_call(clock), now(clock)});
  told.insert(told.end(), {uptime(), uptime(), uptime(), ticks(), ticks(), ticks(), wtime(), wtime(), wtime()});
  return told;
}

void check_order(mana::test::Job& job, const std::vector<int64_t>& before, const std::vector<int64_t>& after) {
  for (std::size_t i = 0; i < after.size(); i++) {
    mana::test::check_equal(job, __FILE__, __LINE__, ("back: " + std::to_string(i)).c_str(), after[i] < before[i] ? before[i] - after[i] : 0, 0);
    mana::test::check_equal(job, __FILE__, __LINE__, ("ahead: " + std::to_string(i)).c_str(), after[i] > before[i] + kDay ? after[i] - before[i] : 0, 0);
    if (i % 3 != 0) CHECK(after[i] >= after[i - 1]);  // by the vdso, by the call, by the vdso
  }
}

SCENARIO(clocks_go_on_where_they_were, .ranks = 2) {
  const std::vector<int64_t> before = all_times();
  job.checkpoint_here();
  const std::vector<int64_t> between = all_times();
  check_order(job, before, between);
  job.checkpoint_here();
  check_order(job, between, all_times());
  const int64_t last = now(CLOCK_MONOTONIC);
  const pid_t child = fork();
  if (child == 0) {
    const int64_t first = now(CLOCK_MONOTONIC), second = now_by_call(CLOCK_MONOTONIC);
    _exit(last <= first && first <= second && second < last + kDay ? 0 : 1);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

// Ranks that told each other times go on doing so: on one host they have one clock.
SCENARIO(ranks_of_one_host_have_one_clock, .ranks = 2) {
  for (int step = 0; step < 2; step++) {
    for (int turn = 0; turn < 100; turn++) {
      int64_t told = 0;
      if (turn % 2 == job.rank) {
        told = now(CLOCK_MONOTONIC);
        MPI_Send(&told, 1, MPI_INT64_T, 1 - job.rank, 1, MPI_COMM_WORLD);
      } else {
        MPI_Recv(&told, 1, MPI_INT64_T, 1 - job.rank, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        const int64_t here = now(CLOCK_MONOTONIC);
        mana::test::check_equal(job, __FILE__, __LINE__, "told by the other rank before its time", here < told ? told - here : 0, 0);
      }
    }
    if (step == 0) job.checkpoint_here();
  }
}

// One kind of wait.  `until` gives 0 when it was woken, or ETIMEDOUT.
struct Kind {
  const char* name;
  clockid_t clock;
  std::function<int(const timespec&)> until;
};

class Waiter {
 public:
  Waiter(const Kind& kind, int64_t from_now)
      : kind_(kind), deadline_(now(kind.clock) + from_now), thread_([this] {
          const timespec at = time_of(deadline_);
          tid_ = static_cast<int>(syscall(SYS_gettid));
          const int got = kind_.until(at);
          ended_at_ = now(kind_.clock);
          result_ = got;
        }) {
    while (!asleep()) usleep(500);
  }
  bool waits() const { return result_ == kWaits; }
  int join() { return thread_.join(), result_.load(); }
  bool was_early() const { return ended_at_ < deadline_; }
  pthread_t native() { return thread_.native_handle(); }
  const char* name() const { return kind_.name; }

 private:
  static constexpr int kWaits = -1;
  bool asleep() const {
    if (tid_ == 0) return false;
    if (!waits()) return true;
    char path[64], text[256] = "";
    std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid_.load());
    if (FILE* file = std::fopen(path, "r")) {
      if (std::fgets(text, sizeof text, file) == nullptr) text[0] = 0;
      std::fclose(file);
    }
    const char* after_name = std::strrchr(text, ')');
    return after_name != nullptr && after_name[2] == 'S';
  }

  const Kind& kind_;
  const int64_t deadline_;
  int64_t ended_at_ = 0;
  std::atomic<int> tid_{0}, result_{kWaits};
  std::thread thread_;
};

int of_errno(long got) { return got == 0 ? 0 : errno; }

// futex2(2), as of Linux 5.16.
struct WaitOn {
  uint64_t value, address;
  uint32_t flags, reserved;
};
constexpr long kFutexWaitv = 449;
constexpr uint32_t kWord32 = 2;

// What the waiters wait for.  Held, locked, or 0 until wake().
class Things {
 public:
  Things() {
    pthread_mutexattr_t inherits;
    pthread_mutexattr_init(&inherits);
    pthread_mutexattr_setprotocol(&inherits, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&inheriting_, &inherits);
    pthread_mutexattr_destroy(&inherits);
    pthread_mutex_lock(&inheriting_);
    pthread_mutex_lock(&mutex_);
    sem_init(&semaphore_, 0, 0);
    promised_ = promise_.get_future().share();
    struct sigaction quiet {};
    quiet.sa_handler = [](int) {};
    sigaction(SIGUSR2, &quiet, nullptr);
    kinds_ = {
        {"condition", CLOCK_MONOTONIC,
         [this](const timespec& at) {
           pthread_mutex_lock(&guard_);
           int got = 0;
           while (!woken_ && got == 0) got = pthread_cond_clockwait(&condition_, &guard_, CLOCK_MONOTONIC, &at);
           pthread_mutex_unlock(&guard_);
           return got;
         }},
        {"future", CLOCK_MONOTONIC,
         [this](const timespec& at) {
           const auto left = std::chrono::nanoseconds(nanoseconds(at) - now(CLOCK_MONOTONIC));
           return promised_.wait_for(left) == std::future_status::ready ? 0 : ETIMEDOUT;
         }},
        {"semaphore", CLOCK_MONOTONIC, [this](const timespec& at) { return of_errno(sem_clockwait(&semaphore_, CLOCK_MONOTONIC, &at)); }},
        {"mutex", CLOCK_MONOTONIC, [this](const timespec& at) { return lock(mutex_, at); }},
        {"mutex with inheritance", CLOCK_MONOTONIC, [this](const timespec& at) { return lock(inheriting_, at); }},
        {"FUTEX_WAIT_BITSET", CLOCK_MONOTONIC,
         [this](const timespec& at) {
           return of_errno(syscall(SYS_futex, &word_, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, &at, nullptr, FUTEX_BITSET_MATCH_ANY));
         }},
        {"sleep", CLOCK_MONOTONIC, [](const timespec& at) { return sleep_until(CLOCK_MONOTONIC, at); }},
        {"sleep by CLOCK_BOOTTIME", CLOCK_BOOTTIME, [](const timespec& at) { return sleep_until(CLOCK_BOOTTIME, at); }},
        {"sleep by the time of day", CLOCK_REALTIME, [](const timespec& at) { return sleep_until(CLOCK_REALTIME, at); }},
    };
    const WaitOn none{};
    const timespec past{};
    if (syscall(kFutexWaitv, &none, 1, 0, &past, CLOCK_MONOTONIC) == 0 || errno == ENOSYS) return;
    kinds_.push_back({"futex_waitv", CLOCK_MONOTONIC, [this](const timespec& at) {
                        const WaitOn one{0, reinterpret_cast<uint64_t>(&word_), kWord32 | FUTEX_PRIVATE_FLAG, 0};
                        const long got = syscall(kFutexWaitv, &one, 1, 0, &at, CLOCK_MONOTONIC);
                        return got >= 0 ? 0 : errno;
                      }});
  }
  ~Things() { sem_destroy(&semaphore_); }
  Things(const Things&) = delete;
  Things& operator=(const Things&) = delete;

  const std::vector<Kind>& kinds() const { return kinds_; }

  void wake(std::deque<Waiter>& waiters) {
    pthread_mutex_lock(&guard_);
    woken_ = true;
    pthread_cond_broadcast(&condition_);
    pthread_mutex_unlock(&guard_);
    promise_.set_value();
    sem_post(&semaphore_);
    pthread_mutex_unlock(&mutex_);
    pthread_mutex_unlock(&inheriting_);
    syscall(SYS_futex, &word_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 100, nullptr, nullptr, 0);
    for (Waiter& waiter : waiters) {
      if (std::string(waiter.name()).rfind("sleep", 0) == 0) pthread_kill(waiter.native(), SIGUSR2);
    }
  }

 private:
  static int lock(pthread_mutex_t& mutex, const timespec& at) {
    const int got = pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &at);
    if (got == 0) pthread_mutex_unlock(&mutex);
    return got;
  }
  static int sleep_until(clockid_t clock, const timespec& at) {
    const int got = clock_nanosleep(clock, TIMER_ABSTIME, &at, nullptr);
    return got == 0 ? ETIMEDOUT : got == EINTR ? 0 : got;
  }

  pthread_mutex_t guard_ = PTHREAD_MUTEX_INITIALIZER, mutex_ = PTHREAD_MUTEX_INITIALIZER, inheriting_;
  pthread_cond_t condition_ = PTHREAD_COND_INITIALIZER;
  bool woken_ = false;
  sem_t semaphore_;
  std::promise<void> promise_;
  std::shared_future<void> promised_;
  uint32_t word_ = 0;
  std::vector<Kind> kinds_;
};

// None is cut short, and none goes on for days, however often the job moves meanwhile; also those begun after a restart.
SCENARIO(timed_waits_keep_their_deadlines, .ranks = 2) {
  for (int round = 0; round < 2; round++) {
    Things things;
    std::deque<Waiter> near, far;
    for (const Kind& kind : things.kinds()) {
      near.emplace_back(kind, kNear);
      far.emplace_back(kind, kFar);
    }
    job.checkpoint_here();
    job.checkpoint_here();
    for (Waiter& waiter : near) {
      mana::test::check_equal(job, __FILE__, __LINE__, waiter.name(), waiter.join(), ETIMEDOUT);
      mana::test::check_equal(job, __FILE__, __LINE__, (std::string("early: ") + waiter.name()).c_str(), waiter.was_early(), false);
    }
    for (const Waiter& waiter : far) mana::test::check_equal(job, __FILE__, __LINE__, waiter.name(), waiter.waits(), true);
    things.wake(far);
    for (Waiter& waiter : far) mana::test::check_equal(job, __FILE__, __LINE__, waiter.name(), waiter.join(), 0);
  }
}

// A deadline that has passed, that never comes, or is none.
SCENARIO(deadlines_that_are_none, .ranks = 2) {
  job.checkpoint_here();
  uint32_t word = 0;
  const auto wait = [&word](const timespec& at) {
    return of_errno(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, &at, nullptr, FUTEX_BITSET_MATCH_ANY));
  };
  CHECK_EQ(wait({0, 0}), ETIMEDOUT);
  CHECK_EQ(wait({1, 0}), ETIMEDOUT);
  CHECK_EQ(wait({-1, 0}), EINVAL);
  CHECK_EQ(wait({1, kSecond}), EINVAL);
  CHECK_EQ(of_errno(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, 1L, nullptr, FUTEX_BITSET_MATCH_ANY)), EFAULT);
  CHECK_EQ(of_errno(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, 1L)), EFAULT);
  const timespec past{1, 0}, invalid{1, kSecond};
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, nullptr), 0);
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &invalid, nullptr), EINVAL);
  CHECK_EQ(of_errno(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, 1L, nullptr)), EFAULT);
  const timespec never{INT64_MAX, 0};
  std::atomic<int> got{-1};
  std::thread waits([&] { got = wait(never); });
  while (syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0) == 0 && got == -1) usleep(500);
  waits.join();
  CHECK_EQ(got.load(), 0);
}

// A timer's remaining time and its deadline agree: it goes off when that has come, not before.
template <class Set, class Left, class Wait>
void check_timer(mana::test::Job& job, clockid_t clock, Set set, Left left, Wait wait) {
  const int64_t far = now(clock) + kFar;
  CHECK_EQ(set(far), 0);
  for (int step = 0; step < 2; step++) {
    job.checkpoint_here();
    const int64_t before = now(clock), remaining = left(), after = now(clock);
    CHECK(remaining > 0);
    CHECK(after + remaining >= far);
    CHECK(before + remaining <= far + kDay);
  }
  CHECK_EQ(set(0), 0);  // disarms it
  CHECK_EQ(left(), 0);
  CHECK_EQ(set(now(clock) + kFar), 0);
  CHECK(left() <= kFar);
  CHECK(left() > 0);
  CHECK_EQ(set(1), 0);  // long ago
  wait();
  const int64_t soon = now(clock) + kSecond / 50;
  CHECK_EQ(set(soon), 0);
  wait();
  CHECK(now(clock) >= soon);
  const int64_t over_the_checkpoint = now(clock) + kNear;
  CHECK_EQ(set(over_the_checkpoint), 0);
  job.checkpoint_here();
  wait();
  CHECK(now(clock) >= over_the_checkpoint);
}

SCENARIO(absolute_timers_keep_their_deadlines, .ranks = 2) {
  sigset_t signals, before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGRTMIN + 3);
  pthread_sigmask(SIG_BLOCK, &signals, &before);
  for (const clockid_t clock : {CLOCK_MONOTONIC, CLOCK_BOOTTIME}) {
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;  // threads of an MPI library do not block it
    event._sigev_un._tid = static_cast<int>(syscall(SYS_gettid));
    event.sigev_signo = SIGRTMIN + 3;
    timer_t timer, other;
    CHECK_EQ(timer_create(CLOCK_REALTIME, &event, &other), 0);  // so that another one is listed first
    CHECK_EQ(timer_create(clock, &event, &timer), 0);
    const auto set = [&](int64_t at) {
      const itimerspec times{{}, time_of(at)};
      return timer_settime(timer, TIMER_ABSTIME, &times, nullptr);
    };
    const auto left = [&] {
      itimerspec times{};
      timer_gettime(timer, &times);
      return nanoseconds(times.it_value);
    };
    const auto wait = [&] {
      int signal = 0;
      CHECK_EQ(sigwait(&signals, &signal), 0);
    };
    check_timer(job, clock, set, left, wait);
    CHECK_EQ(timer_delete(timer), 0);
    CHECK_EQ(timer_delete(other), 0);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

SCENARIO(absolute_timer_descriptors_keep_their_deadlines, .ranks = 2) {
  for (const clockid_t clock : {CLOCK_MONOTONIC, CLOCK_BOOTTIME}) {
    const int timer = timerfd_create(clock, TFD_CLOEXEC);
    const auto set = [&](int64_t at) {
      const itimerspec times{{}, time_of(at)};
      return timerfd_settime(timer, TFD_TIMER_ABSTIME, &times, nullptr);
    };
    const auto left = [&] {
      itimerspec times{};
      timerfd_gettime(timer, &times);
      return nanoseconds(times.it_value);
    };
    const auto wait = [&] {
      uint64_t expirations = 0;
      CHECK_EQ(read(timer, &expirations, sizeof expirations), static_cast<ssize_t>(sizeof expirations));
      CHECK_EQ(expirations, 1u);
    };
    check_timer(job, clock, set, left, wait);
    CHECK_EQ(close(timer), 0);
  }
}

}  // namespace
