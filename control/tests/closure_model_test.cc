// SPDX-License-Identifier: BSD-3-Clause
// Random programs under the real protocol (model.h).  Usage: closure_model_test [runs] [first-seed]
// [--no-edges | --deadlocks] [--verbose] Every failure prints its seed; `closure_model_test 1 SEED`
// runs it again.
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
  if (below(random, 4) == 0)
    options.happenings.push_back({Happening::What::cancel, first + 1 + below(random, 600), 0});
  if (below(random, 6) == 0) {
    options.happenings.push_back(
        {Happening::What::death, first + below(random, 800), below(random, program.ranks)});
  }
  if (below(random, 8) == 0)
    options.happenings.push_back({Happening::What::stop, 1 + below(random, 2000), 0});
  return options;
}

struct Mode {
  bool edges = true, deadlocks = false, verbose = false;
};

// What is wrong with how commands were answered; empty: nothing.
std::string judge(const World& world, const Mode& mode, bool disturbed) {
  for (const auto& seen : world.answers()) {
    const std::string& text = seen.answer.text;
    bool stuck = text.find("the program waits for itself: rank") == 0;
    if (text.find("fault of mana") != std::string::npos) return text;
    if (stuck && !mode.deadlocks) return "held to be deadlocked: " + text;
    bool late = text.find("MPI_Finalize") != std::string::npos;
    if (!disturbed && !seen.answer.ok && !late && !stuck) return "refused: " + text;
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  Mode mode;
  long numbers[2] = {3000, 0};
  int given = 0;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--no-edges"))
      mode.edges = false;
    else if (!std::strcmp(argv[i], "--deadlocks"))
      mode.deadlocks = true;
    else if (!std::strcmp(argv[i], "--verbose"))
      mode.verbose = true;
    else if (given < 2)
      numbers[given++] = std::atol(argv[i]);
  }
  long failed = 0, hung = 0, commits = 0, refused = 0, stuck = 0;
  for (long seed = numbers[1]; seed < numbers[1] + numbers[0]; ++seed) {
    std::mt19937_64 random(static_cast<uint64_t>(seed));
    Program program = make_program(random, true);
    Options options = make_options(random, program, mode.edges);
    options.may_hang = mode.deadlocks;
    if (mode.deadlocks) {
      // A thread that is done looks as if it computed, and one that polls moves for ever: both may
      // still do something, so there is no verdict (only the status that says whom the checkpoint
      // waits for).
      if (program.threads > 1) continue;
      add_deadlock(random, program);
    }
    bool disturbed = options.happenings.size() > 1;
    World world(std::move(program), static_cast<uint64_t>(seed), std::move(options));
    std::string wrong = world.run();
    for (const auto& seen : world.answers()) {
      if (mode.verbose)
        std::printf("seed %ld step %d: %s %s\n", seed, seen.step, seen.answer.ok ? "ok" : "no",
                    seen.answer.text.c_str());
      if (!seen.answer.ok) ++refused;
      if (seen.answer.text.find("waits for itself") != std::string::npos) ++stuck;
    }
    commits += world.commits();
    if (wrong.empty()) wrong = judge(world, mode, disturbed);
    if (wrong.empty()) continue;
    if (wrong.find("no end: phase closure") != std::string::npos) ++hung;
    if (++failed <= 10) std::printf("seed %ld: %s\n", seed, wrong.c_str());
  }
  std::printf(
      "%ld programs, %ld failed (%ld of them in the closure), %ld generations committed, %ld "
      "commands refused, %ld deadlocks told\n",
      numbers[0], failed, hung, commits, refused, stuck);
  if (!mode.edges)
    return hung > 0 ? 0 : 1;  // without rule 5 the model must find programs that hang
  if (mode.deadlocks && stuck == 0) return 1;
  return failed > 0 || commits == 0;
}
