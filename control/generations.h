// SPDX-License-Identifier: BSD-3-Clause
// The generations in a checkpoint directory: DIR/NNNN/ is committed, DIR/.NNNN.tmp/ is being
// written or was left behind. The rename between the two is the commit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/job_root.h"
#include "control/manifest.h"
#include "control/result.h"

namespace mana::control {

std::string generation_name(uint64_t number);  // "0003"
std::string image_name(int32_t rank);          // "rank-000017.core"
std::string generation_path(const std::string& directory, uint64_t number);
std::vector<uint64_t> committed_generations(
    const std::string& directory);  // ascending; not looked into

// Makes the folder of the next one; its number is above all that are there.
Result<OpenGeneration> open_generation(const std::string& directory);
// Writes the manifest, makes everything durable, renames, deletes all but the newest `keep`.
Outcome commit_generation(const std::string& directory, const OpenGeneration& generation,
                          const Manifest& manifest, uint32_t keep);
void drop_generation(const OpenGeneration& generation);
// Of jobs that ended in the middle of a checkpoint.  Only files that a checkpoint makes are
// deleted.
void remove_leftovers(const std::string& directory);

}  // namespace mana::control
