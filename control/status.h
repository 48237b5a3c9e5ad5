// SPDX-License-Identifier: BSD-3-Clause
// The status of a job as JSON (cli/README.md documents it).
#pragma once

#include <string>

#include "control/job_file.h"
#include "control/job_root.h"
#include "control/manifest.h"

namespace mana::control {

std::string status_json(const JobStatus& status, const JobFile& job, const Manifest& about,
                        const std::string& directory);

}  // namespace mana::control
