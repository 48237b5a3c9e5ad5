// SPDX-License-Identifier: BSD-3-Clause
#include "control/generations.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "control/command.h"
#include "control/tests/test_tree.h"

using namespace mana::control;
using mana::control::test::TemporaryDirectory;

namespace {

Manifest write_images(const OpenGeneration& generation, int ranks) {
  Manifest manifest;
  manifest.generation = generation.number;
  manifest.ranks = ranks;
  for (int rank = 0; rank < ranks; ++rank) {
    std::string path = generation.directory + "/" + image_name(rank);
    std::ofstream(path) << "image";
    chmod(path.c_str(), 0600);
    ImageNote note;
    note.rank = rank;
    note.file = image_name(rank);
    note.bytes = 5;
    manifest.images.push_back(note);
  }
  return manifest;
}

uint64_t make_generation(const std::string& directory, uint32_t keep) {
  OpenGeneration generation = open_generation(directory).value();
  Outcome committed = commit_generation(directory, generation, write_images(generation, 2), keep);
  REQUIRE(committed.ok());
  return generation.number;
}

}  // namespace

TEST_CASE("generations are numbered on, and the newest are kept") {
  TemporaryDirectory directory;
  for (int i = 0; i < 5; ++i) make_generation(directory.path(), 3);
  CHECK(committed_generations(directory.path()) == std::vector<uint64_t>{3, 4, 5});
  CHECK(make_generation(directory.path(), 1) == 6);
  CHECK(committed_generations(directory.path()) == std::vector<uint64_t>{6});
}

TEST_CASE("what a dead job left is removed, what is not ours stays") {
  TemporaryDirectory directory;
  OpenGeneration left = open_generation(directory.path()).value();
  write_images(left, 2);
  std::filesystem::create_directory(directory.path() + "/.notes.tmp");
  std::filesystem::create_directory(directory.path() + "/.0007.tmp");
  std::ofstream(directory.path() + "/.0007.tmp/thesis.tex") << "x";
  std::ofstream(directory.path() + "/0001.txt") << "x";
  remove_leftovers(directory.path());
  CHECK_FALSE(std::filesystem::exists(left.directory));
  CHECK(std::filesystem::exists(directory.path() + "/.notes.tmp"));
  CHECK(std::filesystem::exists(directory.path() + "/.0007.tmp/thesis.tex"));
  CHECK(open_generation(directory.path()).value().number == 8);
}

TEST_CASE("an image that is not as its rank wrote it is not committed") {
  TemporaryDirectory directory;
  OpenGeneration generation = open_generation(directory.path()).value();
  Manifest manifest = write_images(generation, 2);
  std::ofstream(generation.directory + "/" + image_name(1), std::ios::app) << "more";
  Outcome committed = commit_generation(directory.path(), generation, manifest, 2);
  REQUIRE_FALSE(committed.ok());
  CHECK(committed.error().text.find("has 9 bytes, the manifest says 5") != std::string::npos);
  CHECK(committed_generations(directory.path()).empty());
}

TEST_CASE("a checkpoint directory is made when its parent is there") {
  TemporaryDirectory directory;
  CHECK(prepare_directory(directory.path() + "/new").ok());
  CHECK(std::filesystem::is_directory(directory.path() + "/new"));
  Outcome orphan = prepare_directory(directory.path() + "/no/such");
  REQUIRE_FALSE(orphan.ok());
  CHECK(orphan.error().text.find("cannot be made: No such file or directory") != std::string::npos);
  std::ofstream(directory.path() + "/file") << "x";
  CHECK(prepare_directory(directory.path() + "/file").error().text.find("is not a directory") !=
        std::string::npos);
}
