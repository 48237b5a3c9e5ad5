// SPDX-License-Identifier: BSD-3-Clause
// A command's side of the control connection, and what a checkpoint directory says about the job
// that uses it.
#pragma once

#include <functional>
#include <string>

#include "control/job_file.h"
#include "control/messages.h"
#include "control/result.h"

namespace mana::control {

// Asks the job that runs with this checkpoint directory, and waits for its last word.  `story` gets
// the lines before it. Errors: no running job (says so in one line), or the job ended meanwhile.
Result<Answer> ask_job(const std::string& directory, const Command& command,
                       const std::function<void(const std::string&)>& story);

enum class Owner {
  nobody,       // no job file, or one that was left behind
  running,      // a job answers and proves itself
  unreachable,  // a job file of another host, and no way to ask
};
struct Ownership {
  Owner owner = Owner::nobody;
  JobFile job;  // unless nobody
};
Ownership who_owns(const std::string& directory);

// For mana_launch and mana_restart, before the job starts: makes the directory if its parent
// exists, and says in one line why it cannot be used: no parent, not a directory, not writable,
// belongs to a running job.
Outcome prepare_directory(const std::string& directory);

}  // namespace mana::control
