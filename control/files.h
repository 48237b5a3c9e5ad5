// SPDX-License-Identifier: BSD-3-Clause
// The few things that control/ does with files, with durability spelled out.
#pragma once

#include <string>

#include "control/result.h"

namespace mana::control {

// Writes `text` to directory/name so that a reader sees all of it or the old file: written beside
// it, fsynced, renamed, and the directory fsynced.
Outcome replace_file(const std::string& directory, const std::string& name, const std::string& text,
                     unsigned mode);
Outcome sync_directory(const std::string& directory);
Result<std::string> read_file(const std::string& path);
std::string reason(int code);  // errno in words

}  // namespace mana::control
