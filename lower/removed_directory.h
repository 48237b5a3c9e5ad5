// SPDX-License-Identifier: BSD-3-Clause
// A folder that the application stands in, or has open, and that has been removed since.  Such a folder is empty and stays so: any
// other one that is made and removed again does for it.
#pragma once

#include <sys/types.h>

#include <string>

#include "kernel-loader/result.h"

namespace mana::lower {

// A descriptor (O_RDONLY) of a removed folder; called `path`, as it was, if that name is free.
loader::Result<int> make_removed_directory(const std::string& path, mode_t mode);

// "/a/b (deleted)" -> "/a/b"; false: it has no such end.
bool strip_deleted(std::string& path);

}  // namespace mana::lower
