// SPDX-License-Identifier: BSD-3-Clause
// main() of the scenario programs: `--list`, or the names of scenarios to run one after the other in this job.  Each
// rank notes in `results.RANK` which scenario it began and how it ended, so that the runner can name the one that crashed.
#include <cstdio>

#include "test/scenario.h"

namespace mana::test {

void Job::fail(const char* file, int line, const std::string& what) {
  failures_++;
  if (failures_ > 20) return;
  const char* base = std::strrchr(file, '/');
  std::fprintf(stderr, "FAILED %s rank %d %s:%d: %s\n", scenario_.c_str(), rank, base ? base + 1 : file, line, what.c_str());
}

namespace {

const char* level_name(int level) {
  if (level == MPI_THREAD_MULTIPLE) return "multiple";
  if (level == MPI_THREAD_SERIALIZED) return "serialized";
  return level == MPI_THREAD_FUNNELED ? "funneled" : "single";
}

void note(const Job& job, const std::string& line) {
  const char* folder = std::getenv("MANA_TEST_DIR");
  if (folder == nullptr) return;
  const std::string path = std::string(folder) + "/results." + std::to_string(job.rank);
  const int file = open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
  const std::string text = line + "\n";
  if (file < 0 || write(file, text.data(), text.size()) < 0) std::perror(path.c_str());
  close(file);
}

const Scenario* find(const std::string& name) {
  for (const auto& scenario : all_scenarios()) {
    if (name == scenario.name) return &scenario;
  }
  return nullptr;
}

}  // namespace

int run(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--list") {
    for (const auto& scenario : all_scenarios()) {
      const char* base = std::strrchr(scenario.file, '/');
      std::printf("%s %d %s %s\n", scenario.name, scenario.needs.ranks, level_name(scenario.needs.threads),
                  base ? base + 1 : scenario.file);
    }
    return 0;
  }
  int required = MPI_THREAD_SINGLE;
  for (int i = 1; i < argc; i++) {
    const Scenario* scenario = find(argv[i]);
    if (scenario == nullptr) return std::fprintf(stderr, "no scenario %s\n", argv[i]), 2;
    if (scenario->needs.threads > required) required = scenario->needs.threads;
  }
  Job job;
  int provided = -1;
  MPI_Init_thread(&argc, &argv, required, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &job.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &job.size);
  job.open();
  int failures = 0;
  for (int i = 1; i < argc; i++) {
    const Scenario* scenario = find(argv[i]);
    job.begin(scenario->name);
    note(job, std::string("begin ") + scenario->name);
    if (job.size != scenario->needs.ranks) job.fail(scenario->file, 0, "started with the wrong number of ranks");
    if (provided < required) job.fail(scenario->file, 0, "the thread level asked for was not given");
    if (job.failures() == 0) scenario->body(job);
    note(job, std::string(job.failures() == 0 ? "pass " : "fail ") + scenario->name);
    failures += job.failures();
    // Nobody may begin the next scenario (and announce its step) before the runner is done with this one's steps.
    MPI_Barrier(MPI_COMM_WORLD);
    job.wait_until_over();
  }
  MPI_Finalize();
  return failures == 0 ? 0 : 1;
}

}  // namespace mana::test

int main(int argc, char** argv) { return mana::test::run(argc, argv); }
