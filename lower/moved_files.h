// SPDX-License-Identifier: BSD-3-Clause
// Files of the job that are not as they were at the checkpoint: longer, changed, somewhere else.
//
// All ranks stand still while each notes the lengths of its files (control: `snapshot` follows `stop`), so ranks that write to
// one file note the same length; and all cut before any of them runs (restore.cc).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kernel-loader/gate.h"
#include "kernel-loader/image_reader.h"
#include "lower/descriptor_contents.h"
#include "lower/options.h"

namespace mana::lower {

// Length and time of change of a regular file with a name.
void note_file(const loader::Descriptor& descriptor, Contents& into);

// Before anything of the image is placed: says every file that is not as it was, in a line on stderr each.  False: with
// `--files=strict` there was one.
bool files_are_good(const image::ImageFile& image, const Options& options);

// `number` has been opened again.  A file that the application writes to and that has grown gets its length at the checkpoint.
loader::Outcome cut_file(int number, const Contents& contents, const Options& options);

// For the first old one of `paths` that is the path or a folder above it, the new one in its place; else the path.  "/" is "".
std::string moved_path(const std::string& path, const std::vector<std::pair<std::string, std::string>>& paths);

}  // namespace mana::lower
