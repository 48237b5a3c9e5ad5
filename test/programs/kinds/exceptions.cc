// SPDX-License-Identifier: BSD-3-Clause
// C++: everything happens inside of a handler, so an exception is always being handled, another one is kept by an exception_ptr,
// and threads throw through futures.  As worker.c otherwise.
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <future>
#include <iomanip>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#ifdef WITH_MPI
#include <mpi.h>
#endif

namespace {

constexpr int kRounds = 100;

uint64_t mix(uint64_t value) { return (value ^ value >> 29) * 0xbf58476d1ce4e5b9u; }

struct Found : std::runtime_error {
  Found(int depth, uint64_t value) : std::runtime_error("at depth " + std::to_string(depth)), value(value) {}
  uint64_t value;
};

struct Counted {
  explicit Counted(int& count) : count_(count) { ++count_; }
  ~Counted() { --count_; }
  int& count_;
};

[[gnu::noinline]] uint64_t descend(int depth, uint64_t value, int& alive) {
  const Counted here(alive);
  if (depth == 0) throw Found(depth, mix(value));
  try {
    return descend(depth - 1, mix(value + static_cast<uint64_t>(depth)), alive) + 1;
  } catch (const std::logic_error&) {
    return 0;
  }
}

uint64_t computed(uint64_t seed) {
  for (int i = 0; i < 8000000; ++i) seed = mix(seed + static_cast<uint64_t>(i));
  if (seed % 2 == 0) throw Found(-1, seed);
  return seed;
}

uint64_t in_a_thread(uint64_t seed) {
  std::future<uint64_t> later = std::async(std::launch::async, computed, seed);
  try {
    return later.get();
  } catch (const Found& found) {
    return found.value + 1;
  }
}

uint64_t one_round(int round, uint64_t state, std::map<std::string, int>& seen) {
  int alive = 0;
  try {
    descend(40 + round % 7, state, alive);
  } catch (const Found& found) {
    ++seen[found.what()];
    state = found.value + static_cast<uint64_t>(alive);
  }
  try {
    try {
      throw std::out_of_range("inner");
    } catch (const std::exception&) {
      std::throw_with_nested(std::runtime_error("outer"));
    }
  } catch (const std::exception& outer) {
    try {
      std::rethrow_if_nested(outer);
    } catch (const std::out_of_range& inner) {
      ++seen[std::string(outer.what()) + inner.what()];
    }
  }
  state = mix(state + in_a_thread(state));
#ifdef WITH_MPI
  uint64_t mine = state;
  MPI_Allreduce(&mine, &state, 1, MPI_UINT64_T, MPI_BXOR, MPI_COMM_WORLD);
#endif
  return state;
}

void work(int rank, const std::exception_ptr& kept) {
  std::ofstream out("out." + std::to_string(rank));
  std::map<std::string, int> seen;
  uint64_t state = static_cast<uint64_t>(rank) + 1;
  for (int round = 1; round <= kRounds; ++round) {
    state = one_round(round, state, seen);
    out << round << ' ' << std::hex << std::setw(16) << std::setfill('0') << state << std::dec << std::endl;
  }
  while (!std::filesystem::exists("finish")) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  for (const auto& [what, times] : seen) out << what << ' ' << times << '\n';
  try {
    std::rethrow_exception(kept);
  } catch (const Found& found) {
    out << "kept " << found.what() << ' ' << found.value << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  int rank = 0;
#ifdef WITH_MPI
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
#endif
  (void)argc, (void)argv;
  const std::exception_ptr kept = std::make_exception_ptr(Found(3, 33));
  try {
    throw Found(1, 11);
  } catch (const Found& handled) {
    work(rank, kept);
    if (std::uncaught_exceptions() != 0 || handled.value != 11) return 3;
    try {
      throw;
    } catch (const Found& again) {
      if (&again != &handled) return 4;
    }
  }
#ifdef WITH_MPI
  MPI_Finalize();
#endif
}
