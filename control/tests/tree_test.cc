// SPDX-License-Identifier: BSD-3-Clause
// The control tree of real processes over loopback sockets.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "control/generations.h"
#include "control/manifest.h"
#include "control/tests/test_tree.h"

using namespace mana::control;
using namespace mana::control::test;

namespace {

std::string text_of(const Result<Answer>& answer) {
  return answer.ok() ? answer.value().text : answer.error().text;
}

bool empty_but_for_generations(const std::string& directory) {
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().filename().string().front() == '.') return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a checkpoint of sixteen ranks on six hosts is committed") {
  TemporaryDirectory directory;
  TestJob job(directory.path(), {.ranks = 16, .ranks_per_host = 3});
  for (uint64_t generation = 1; generation <= 3; ++generation) {
    Result<Answer> answer = job.checkpoint();
    INFO(text_of(answer));
    REQUIRE((answer.ok() && answer.value().ok));
    CHECK(answer.value().generation == generation);
  }
  CHECK(committed_generations(directory.path()) == std::vector<uint64_t>{2, 3});  // two are kept
  Result<Manifest> manifest = read_manifest(generation_path(directory.path(), 3));
  REQUIRE(manifest.ok());
  CHECK(manifest.value().images.size() == 16);
  CHECK(check_images(generation_path(directory.path(), 3), manifest.value()).ok());
  CHECK(empty_but_for_generations(directory.path()));
  CHECK(job.story.size() >= 3);
}

TEST_CASE("all ranks finalize together and the job's file goes") {
  TemporaryDirectory directory;
  TestJob job(directory.path(), {.ranks = 5, .ranks_per_host = 2});
  for (int rank = 0; rank < 5; ++rank) job.finalize(rank);
  for (int rank = 0; rank < 5; ++rank) CHECK(job.status_of(rank) == 0);
  CHECK_FALSE(std::filesystem::exists(directory.path() + "/control.json"));
  CHECK(who_owns(directory.path()).owner == Owner::nobody);
  CHECK(text_of(job.checkpoint()).find("no job is running") == 0);
}

TEST_CASE("a checkpoint works while one rank waits in finalize") {
  TemporaryDirectory directory;
  TestJob job(directory.path(), {.ranks = 3});
  job.finalize(1);
  Result<Answer> answer = job.checkpoint();
  CHECK((answer.ok() && answer.value().ok));
}

TEST_CASE("after --stop every rank leaves with code 75") {
  TemporaryDirectory directory;
  TestJob job(directory.path(), {.ranks = 4, .ranks_per_host = 2});
  Result<Answer> answer = job.checkpoint(true);
  INFO(text_of(answer));
  REQUIRE((answer.ok() && answer.value().ok));
  for (int rank = 0; rank < 4; ++rank) {
    int status = job.status_of(rank);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 75));
  }
}

TEST_CASE("a rank that cannot write its image fails the checkpoint, not the job") {
  TemporaryDirectory directory;
  TestJob job(directory.path(), {.ranks = 4, .ranks_per_host = 2, .failing_rank = 3});
  Result<Answer> answer = job.checkpoint();
  REQUIRE(answer.ok());
  CHECK_FALSE(answer.value().ok);
  CHECK(answer.value().text == "rank 3: write image: No space left on device");
  CHECK(committed_generations(directory.path()).empty());
  CHECK(empty_but_for_generations(directory.path()));
}

TEST_CASE("objects that cannot be saved refuse the checkpoint by name and reason") {
  TemporaryDirectory directory;
  TestJob job(directory.path(), {.ranks = 3, .refusing_rank = 2});
  Result<Answer> answer = job.checkpoint();
  REQUIRE(answer.ok());
  CHECK(
      answer.value().text ==
      "rank 2: 2 objects of MPI_Win_create cannot be saved yet: windows cannot be made again yet");
}

TEST_CASE("a rank killed while images are written drops that generation only") {
  for (int victim : {1, 2, 5}) {  // a leaf of the root's host, an inner node, a leaf below it
    TemporaryDirectory directory;
    TestJob job(directory.path(), {.ranks = 6, .ranks_per_host = 2, .hold_images = true});
    pid_t first = job.begin_checkpoint();
    job.expect_all('s');
    job.finish_images();
    REQUIRE(job.end_checkpoint(first));

    pid_t second = job.begin_checkpoint();
    job.expect_all('s');
    job.kill(victim);
    CHECK_FALSE(job.end_checkpoint(second));
    CHECK(committed_generations(directory.path()) == std::vector<uint64_t>{1});
    CHECK(empty_but_for_generations(directory.path()));
    std::string refused = text_of(job.checkpoint());
    INFO(refused);
    CHECK(refused.find("was lost") != std::string::npos);
  }
}

TEST_CASE("when the root dies the others go on and may finalize") {
  TemporaryDirectory directory;
  TestJob job(directory.path(), {.ranks = 5, .ranks_per_host = 2, .hold_images = true});
  pid_t command = job.begin_checkpoint();
  job.expect_all('s');
  job.kill(0);
  CHECK_FALSE(job.end_checkpoint(command));
  for (int rank = 1; rank < 5; ++rank) {
    job.expect(rank, 'o');
    job.expect(rank, 'g');
  }
}

TEST_CASE("a checkpoint that waits for a rank can be cancelled, and says for whom it waits") {
  TemporaryDirectory directory;
  TestJob job(directory.path(), {.ranks = 3, .computing_rank = 2});
  pid_t command = job.begin_checkpoint();
  std::string status;
  while (status.find("rank 2, computing") ==
         std::string::npos) {  // until the first look at the ranks is in
    Result<Answer> answer = job.ask({Command::What::status, false, 0});
    REQUIRE(answer.ok());
    status = answer.value().text;
  }
  CHECK(status.find("\"phase\": \"stop\"") != std::string::npos);
  Result<Answer> cancelled = job.ask({Command::What::cancel, false, 0});
  REQUIRE(cancelled.ok());
  CHECK(cancelled.value().ok);
  CHECK_FALSE(job.end_checkpoint(command));
  CHECK(committed_generations(directory.path()).empty());
}

TEST_CASE("two checkpoints asked at once become two generations") {
  TemporaryDirectory directory;
  TestJob job(directory.path(), {.ranks = 3, .hold_images = true});
  pid_t first = job.begin_checkpoint(), second = job.begin_checkpoint();
  job.expect_all('s');
  job.finish_images();
  job.expect_all('s');
  job.finish_images();
  CHECK(job.end_checkpoint(first));
  CHECK(job.end_checkpoint(second));
  CHECK(committed_generations(directory.path()) == std::vector<uint64_t>{1, 2});
}

TEST_CASE("a directory with a running job is not given to another") {
  TemporaryDirectory directory;
  TestJob job(directory.path(), {.ranks = 2});
  Outcome refused = prepare_directory(directory.path());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().text.find("belongs to a running job") != std::string::npos);
}

TEST_CASE("a job file left behind by a killed job does not count") {
  TemporaryDirectory directory;
  { TestJob job(directory.path(), {.ranks = 2}); }
  CHECK(std::filesystem::exists(directory.path() + "/control.json"));
  CHECK(prepare_directory(directory.path()).ok());
  TestJob next(directory.path(), {.ranks = 2});
  CHECK(next.checkpoint().value().ok);
}
