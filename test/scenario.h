// SPDX-License-Identifier: BSD-3-Clause
// A scenario is an ordinary MPI program in the body of SCENARIO(name, .ranks = N): it includes mpi.h and this file, knows
// nothing of checkpoints but the moment at which one is welcome, and checks what it receives.  test/run runs the same
// binary in the modes plain, launch, continue, restart, migrate (README.md).  Compiled once per MPI ABI.
#pragma once

#include <mpi.h>

#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "test/rendezvous.h"

namespace mana::test {

class Job {
 public:
  int rank = 0;
  int size = 1;

  // Every rank comes here; the checkpoint is taken while all of them wait (in user code, not in MPI).
  void checkpoint_here() {
    announce();
    wait_until_over();
  }
  // Asks for the checkpoint and goes on at once, for instance into a call that blocks.  All ranks, as often as each other.
  void announce() { rendezvous_announce(&meeting_, scenario_.c_str()); }
  void wait_until_underway() const { rendezvous_wait_underway(&meeting_); }  // asked for, not yet taken
  void wait_until_over() const { rendezvous_wait_over(&meeting_); }
  bool over() const { return rendezvous_over(&meeting_) != 0; }
  bool plain() const { return meeting_.folder == nullptr; }

  void fail(const char* file, int line, const std::string& what);
  void begin(const std::string& scenario) { scenario_ = scenario, failures_ = 0; }
  void open() {
    meeting_ = rendezvous_open(rank);
    meeting_.nudge = [] {
      int flag = 0;
      MPI_Iprobe(MPI_ANY_SOURCE, 32001, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);  // a tag that nobody uses
    };
  }
  int failures() const { return failures_; }

 private:
  Rendezvous meeting_{nullptr, 0, 0, nullptr};
  std::string scenario_;
  int failures_ = 0;
};

struct Needs {
  int ranks = 2;
  int threads = MPI_THREAD_SINGLE;
};
using Body = void (*)(Job&);
struct Scenario {
  const char* name;
  Needs needs;
  Body body;
  const char* file;
};
inline std::vector<Scenario>& all_scenarios() {
  static std::vector<Scenario> list;
  return list;
}
struct Registration {
  Registration(const Scenario& scenario) { all_scenarios().push_back(scenario); }
};

template <class T>
void show(std::ostream& out, const T& value) {
  if constexpr (requires { out << value; }) {
    out << value;
  } else if constexpr (requires { value.begin(); }) {
    out << "[" << value.size() << " elements:";
    std::size_t shown = 0;
    for (const auto& element : value) {
      if (++shown > 8) break;
      out << ' ' << element;
    }
    out << "]";
  } else {
    out << "?";
  }
}

template <class Got, class Expected>
void check_equal(Job& job, const char* file, int line, const char* text, const Got& got, const Expected& expected) {
  if (got == expected) return;
  std::ostringstream message;
  message << "CHECK_EQ(" << text << "): ";
  show(message, got);
  message << " != ";
  show(message, expected);
  job.fail(file, line, message.str());
}

// n values that depend on `seed`.
template <class T = int>
std::vector<T> pattern(std::size_t n, int seed) {
  std::vector<T> values(n);
  for (std::size_t i = 0; i < n; i++) values[i] = static_cast<T>((i * 31 + static_cast<std::size_t>(seed) * 7919) % 251);
  return values;
}

}  // namespace mana::test

#define SCENARIO(NAME, ...)                                                                                        \
  static void NAME([[maybe_unused]] mana::test::Job& job);                                                         \
  static const mana::test::Registration registration_of_##NAME{{#NAME, {__VA_ARGS__}, NAME, __FILE__}};            \
  static void NAME([[maybe_unused]] mana::test::Job& job)

#define CHECK_EQ(GOT, EXPECTED) \
  mana::test::check_equal(job, __FILE__, __LINE__, #GOT ", " #EXPECTED, (GOT), (EXPECTED))
#define CHECK(CONDITION)                                                     \
  do {                                                                       \
    if (!(CONDITION)) job.fail(__FILE__, __LINE__, "CHECK(" #CONDITION ")"); \
  } while (0)
