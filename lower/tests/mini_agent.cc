// SPDX-License-Identifier: BSD-3-Clause
// An agent for tests of what lies below it: takes a checkpoint whenever a byte comes through the FIFO DIR/ask, writes it to
// DIR/NNNN/rank-000000.core, and answers with one line through the FIFO DIR/answer.
// Every other one is written in place.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>

#include "lower/agent.h"
#include "lower/core_functions.h"
#include "lower/image_writer.h"
#include "lower/stop.h"

namespace mana::lower {
namespace {

AgentJob the_job;
int64_t generation = 0;

std::string checkpoint() {
  request_stop();
  for (int turns = 0; !poll_stop().empty(); ++turns) {
    if (turns > 200) {
      const auto late = poll_stop();
      resume();
      return "not parked: " + std::to_string(late.size()) + " threads, one " + (late.empty() ? "" : late[0].where);
    }
    wait_for_parking(50);
  }
  char folder[16];
  std::snprintf(folder, sizeof folder, "/%04d", static_cast<int>(++generation));
  mkdir((the_job.directory + folder).c_str(), 0700);
  ImageIdentity identity;
  identity.generation = static_cast<uint64_t>(generation);
  identity.program = the_job.program;
  identity.arguments = the_job.arguments;
  identity.mpi = the_job.mpi;
  const bool in_place = generation % 2 == 0;
  auto writer = ImageWriter::start(identity, the_job.upper, the_job.directory + folder + "/rank-000000.core", in_place);
  const std::size_t threads = parked_threads().size();
  ImageResult result;
  if (in_place) result = writer->finish();
  resume();
  if (!in_place) result = writer->finish();
  if (!result.error.empty()) return "failed: " + result.error;
  char line[160];
  std::snprintf(line, sizeof line, "generation %d threads %zu bytes %lu stored %lu fork_ms %.1f", static_cast<int>(generation),
                threads, result.bytes, result.stored_bytes, static_cast<double>(result.fork_ns) / 1e6);
  return line;
}

void serve() {
  for (;;) {
    const int ask = open((the_job.directory + "/ask").c_str(), O_RDONLY | O_CLOEXEC);
    char byte = 0;
    if (ask < 0 || read(ask, &byte, 1) != 1) {
      if (ask < 0) return;
      close(ask);
      continue;
    }
    close(ask);
    const std::string line = checkpoint() + "\n";
    const int answer = open((the_job.directory + "/answer").c_str(), O_WRONLY | O_CLOEXEC);
    if (answer < 0 || write(answer, line.data(), line.size()) < 0) return;
    close(answer);
  }
}

}  // namespace

bool agent_start(const AgentJob& job) {
  the_job = job;
  if (job.restarted_from > 0) generation = job.restarted_from;
  std::thread(serve).detach();
  return true;
}
void agent_set_upper(UpperInterface* upper) { the_job.upper = upper; }
void agent_end() {}
void agent_forget_in_child() {}

int closure_begin(void*) { return kUnsupported; }
int closure_begun(void*) { return kUnsupported; }
int closure_waiting(void*) { return kUnsupported; }
int closure_running(void*) { return kUnsupported; }
int finalize_ready(void*) { return kUnsupported; }

}  // namespace mana::lower
