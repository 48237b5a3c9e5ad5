// SPDX-License-Identifier: BSD-3-Clause
#include "control/manifest.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "control/files.h"
#include "control/tests/test_tree.h"

using namespace mana::control;
using mana::control::test::TemporaryDirectory;

namespace {

Manifest sample() {
  Manifest manifest;
  manifest.job = "00ff";
  manifest.generation = 3;
  manifest.ranks = 2;
  manifest.mpi = "openmpi";
  manifest.program = "/usr/bin/lmp";
  manifest.arguments = {"lmp", "-in", "file \"with\" quotes"};
  manifest.restarted_from = 2;
  for (int rank : {1, 0}) {  // in the order in which they were written
    ImageNote note;
    note.rank = rank;
    note.file = "rank-00000" + std::to_string(rank) + ".core";
    note.bytes = 4;
    note.checksum = "abc";
    manifest.images.push_back(note);
  }
  return manifest;
}

void write(const std::string& directory, const std::string& text) {
  REQUIRE(replace_file(directory, "manifest.json", text, 0600, Outlives::host).ok());
}

std::string complaint(const std::string& directory) {
  return read_manifest(directory).error().text;
}

void write_images(const std::string& directory) {
  for (const ImageNote& image : sample().images) {
    std::ofstream(directory + "/" + image.file) << "core";
    chmod((directory + "/" + image.file).c_str(), 0600);
  }
}

}  // namespace

TEST_CASE("a manifest is read as it was written, images by rank") {
  TemporaryDirectory directory;
  write(directory.path(), to_json(sample()));
  Manifest manifest = read_manifest(directory.path()).value();
  CHECK(manifest.arguments == sample().arguments);
  CHECK(manifest.restarted_from == 2);
  CHECK(manifest.images[0].rank == 0);
  CHECK(manifest.bytes() == 8);
}

TEST_CASE("a manifest that cannot be used says why") {
  TemporaryDirectory directory;
  CHECK(complaint(directory.path()).find("manifest.json: No such file or directory") !=
        std::string::npos);
  write(directory.path(), "{ \"format_version\": 1, ");
  CHECK(complaint(directory.path()).find("is damaged: it is not JSON") != std::string::npos);
  write(directory.path(), "{}");
  CHECK(complaint(directory.path()).find("is damaged: ") != std::string::npos);
  Manifest newer = sample();
  newer.format_version = 2;
  write(directory.path(), to_json(newer));
  CHECK(complaint(directory.path()).find("has format version 2, this mana reads up to 1") !=
        std::string::npos);
  Manifest fewer = sample();
  fewer.images.pop_back();
  write(directory.path(), to_json(fewer));
  CHECK(complaint(directory.path()).find("is damaged: 1 images for 2 ranks") != std::string::npos);
  Manifest elsewhere = sample();
  elsewhere.images[0].file = "../../etc/passwd";
  write(directory.path(), to_json(elsewhere));
  CHECK(complaint(directory.path()).find("is damaged: no image of rank 1") != std::string::npos);
}

TEST_CASE("images are looked at before anything uses them") {
  TemporaryDirectory directory;
  write_images(directory.path());
  std::string image = directory.path() + "/rank-000001.core";
  CHECK(check_images(directory.path(), sample()).ok());
  chmod(image.c_str(), 0620);
  CHECK(check_images(directory.path(), sample()).error().text.find("can be written by others") !=
        std::string::npos);
  chmod(image.c_str(), 0600);
  std::filesystem::resize_file(image, 3);
  CHECK(check_images(directory.path(), sample())
            .error()
            .text.find("has 3 bytes, the manifest says 4") != std::string::npos);
  std::filesystem::remove(image);
  CHECK(check_images(directory.path(), sample()).error().text.find("rank 1: ") == 0);
  std::filesystem::create_symlink("/dev/zero", image);
  CHECK(check_images(directory.path(), sample()).error().text.find("is not a regular file") !=
        std::string::npos);
}

TEST_CASE("images of another user are refused") {
  if (geteuid() != 0) {
    WARN("skipped: only root can give a file away");
    return;
  }
  TemporaryDirectory directory;
  write_images(directory.path());
  REQUIRE(chown((directory.path() + "/rank-000000.core").c_str(), 12345, 0) == 0);
  CHECK(check_images(directory.path(), sample()).error().text.find("belongs to user 12345") !=
        std::string::npos);
}
