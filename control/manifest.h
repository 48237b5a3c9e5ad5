// SPDX-License-Identifier: BSD-3-Clause
// manifest.json of a generation: what the images beside it are.  Written by the commit, read by
// mana_restart and the commands. A generation counts because its folder has its final name; the
// manifest is in it by then.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/job_root.h"
#include "control/messages.h"
#include "control/result.h"

namespace mana::control {

struct Manifest {
  static constexpr int kFormatVersion = 1;
  int format_version = kFormatVersion;
  std::string job;  // random id of the run that wrote it, hexadecimal
  uint64_t generation = 0;
  int ranks = 0;
  std::string
      mpi;  // "mpich", "openmpi" or "none": the lower half that wrote it (told, never required)
  std::string mpi_version;
  std::string front_end;  // "mpich", "openmpi" or "": the ABI that the program was built for
  std::string program;    // absolute path
  std::vector<std::string> arguments;
  std::string time;  // UTC, ISO 8601
  std::string mana_version;
  int64_t restarted_from = -1;    // generation that this run began with
  std::vector<ImageNote> images;  // in order of rank
  Costs costs;
  uint64_t bytes() const;
};

std::string to_json(const Manifest& manifest);
// Errors: missing, malformed (says what), or of a newer format.
Result<Manifest> read_manifest(const std::string& generation_directory);

// Looks at the files, not into them: every image is there, a regular file of the right size, of
// this user, not writable by others.
Outcome check_images(const std::string& generation_directory, const Manifest& manifest);

std::string utc_now();

}  // namespace mana::control
