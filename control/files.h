// SPDX-License-Identifier: BSD-3-Clause
// The few things that control/ does with files, with durability spelled out.
#pragma once

#include <string>

#include "control/result.h"

namespace mana::control {

// Writes `text` to directory/name so that a reader sees all of it or the old file: written beside
// it and renamed.  What must outlive the host is fsynced before the rename, and the directory after it.  Else neither is: an
// fsync makes a file system's journal write what everybody else has changed, too, and its caller wait for that.
enum class Outlives { writer, host };
Outcome replace_file(const std::string& directory, const std::string& name, const std::string& text,
                     unsigned mode, Outlives outlives);
Outcome sync_directory(const std::string& directory);
Result<std::string> read_file(const std::string& path);
std::string reason(int code);  // errno in words

}  // namespace mana::control
