// SPDX-License-Identifier: BSD-3-Clause
// Random programs under the real protocol (model.h).  Usage: closure_model_test [runs] [first-seed] [--no-edges] [--verbose]
// Every failure prints its seed; `closure_model_test 1 SEED` runs it again.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "control/tests/model.h"

namespace {

using namespace mana::control;
using namespace mana::control::model;

int below(std::mt19937_64& random, int limit) {
  return static_cast<int>(random() % static_cast<uint64_t>(limit));
}

Options make_options(std::mt19937_64& random, const Program& program, bool edges) {
  Options options;
  options.rules.point_to_point_edges = edges;
  int first = 1 + below(random, 400);
  options.happenings.push_back({Happening::What::checkpoint, first, 0});
  if (!edges) {
    options.step_limit = 100000;
    return options;
  }
  int more = below(random, 3);
  for (int i = 0; i < more; ++i) {
    options.happenings.push_back({Happening::What::checkpoint, 1 + below(random, 3000), 0});
  }
  if (below(random, 4) == 0) options.happenings.push_back({Happening::What::cancel, first + 1 + below(random, 600), 0});
  if (below(random, 6) == 0) {
    options.happenings.push_back({Happening::What::death, first + below(random, 800), below(random, program.ranks)});
  }
  if (below(random, 8) == 0) options.happenings.push_back({Happening::What::stop, 1 + below(random, 2000), 0});
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  bool edges = true, verbose = false;
  long numbers[2] = {3000, 0};
  int given = 0;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--no-edges")) edges = false;
    else if (!std::strcmp(argv[i], "--verbose")) verbose = true;
    else if (given < 2) numbers[given++] = std::atol(argv[i]);
  }
  long failed = 0, commits = 0, refused = 0;
  for (long seed = numbers[1]; seed < numbers[1] + numbers[0]; ++seed) {
    std::mt19937_64 random(static_cast<uint64_t>(seed));
    Program program = make_program(random, true);
    Options options = make_options(random, program, edges);
    bool disturbed = options.happenings.size() > 1;
    World world(std::move(program), static_cast<uint64_t>(seed), std::move(options));
    std::string wrong = world.run();
    for (const auto& seen : world.answers()) {
      if (verbose) std::printf("seed %ld step %d: %s %s\n", seed, seen.step, seen.answer.ok ? "ok" : "no", seen.answer.text.c_str());
      if (!seen.answer.ok) ++refused;
      bool late = seen.answer.text.find("MPI_Finalize") != std::string::npos;
      if (wrong.empty() && !disturbed && !seen.answer.ok && !late) wrong = "seed " + std::to_string(seed) + ": refused: " + seen.answer.text;
      if (wrong.empty() && seen.answer.text.find("waits for itself") != std::string::npos) {
        wrong = "seed " + std::to_string(seed) + ": held to be deadlocked: " + seen.answer.text;
      }
      if (wrong.empty() && seen.answer.text.find("fault of mana") != std::string::npos) wrong = "seed " + std::to_string(seed) + ": " + seen.answer.text;
    }
    commits += world.commits();
    if (wrong.empty()) continue;
    ++failed;
    if (failed <= 10) std::printf("%s\n", wrong.c_str());
  }
  std::printf("%ld programs, %ld failed, %ld generations committed, %ld commands refused\n", numbers[0], failed, commits, refused);
  if (!edges) return failed > 0 ? 0 : 1;  // without rule 5 the model must find programs that hang
  return failed > 0 || commits == 0;
}
