// SPDX-License-Identifier: BSD-3-Clause
// A job of real processes on loopback sockets whose ranks do nothing but take part in the control
// tree: a fake RankPort says yes to everything and writes a few bytes as the image.  The test talks
// to each rank over a socket pair, so that it never has to sleep: it waits for what a rank reports.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "control/command.h"

namespace mana::control::test {

class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct TestJobOptions {
  int ranks = 4;
  int ranks_per_host =
      1000;  // fewer: the tree gets inner nodes, as if the ranks were on several hosts
  bool hold_images = false;  // an image is finished only when the test says so
  int failing_rank = -1;     // cannot write its image
  int computing_rank = -1;   // its thread cannot be parked
  int refusing_rank = -1;    // holds a window
};

class TestJob {
 public:
  TestJob(const std::string& directory, TestJobOptions options);
  ~TestJob();  // kills what still lives

  // What ranks report: 'r' joined, 's' forked for its image, 'o' goes on, 'g' finalize granted, 'l'
  // leaves with code 75.
  void expect(int rank, char what);  // skips others; throws after half a minute
  void expect_all(char what);
  void finish_images();
  void finalize(int rank);
  void kill(int rank);      // SIGKILL
  int status_of(int rank);  // waits for its end

  Result<Answer> checkpoint(bool stop = false);
  Result<Answer> ask(Command command);
  // A checkpoint whose command runs in a process of its own.
  pid_t begin_checkpoint();
  bool end_checkpoint(pid_t command);  // true: committed
  std::vector<std::string> story;

 private:
  struct Process {
    pid_t id = -1;
    int socket = -1;
  };
  std::string directory_;
  std::vector<Process> processes_;
};

}  // namespace mana::control::test
