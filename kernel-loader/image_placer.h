// SPDX-License-Identifier: BSD-3-Clause
// Puts the memory of an image back at its addresses.  The image has been verified; nothing is there yet (every range is
// taken with MAP_FIXED_NOREPLACE first).
#pragma once

#include "kernel-loader/image_reader.h"
#include "kernel-loader/image_system_v.h"
#include "kernel-loader/result.h"

namespace mana::image {

// `map_file`: large stretches become private mappings of the image file and are read when they are first touched; otherwise
// everything is read now, for file systems where a file may change or vanish under a mapping.  Memory that must be anonymous (it gets
// transparent huge pages on this machine, has a NUMA policy or a name, is wiped in children) is read, too.  `threads`: how many may read.
loader::Outcome place_image(const ImageFile& image, bool map_file, SystemVSegments& system_v, int threads);

// True where a mapping of a file on this file system can be relied on (not NFS, FUSE, Lustre, ...).
bool mapping_is_safe(int descriptor);

}  // namespace mana::image
