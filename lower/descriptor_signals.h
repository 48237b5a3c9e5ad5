// SPDX-License-Identifier: BSD-3-Clause
// Who is sent which signal when a descriptor is ready (F_SETOWN, F_SETOWN_EX, F_SETSIG, O_ASYNC): of every open file, and never what open
// takes.  Not of 0, 1 and 2, which are the new job's.
#pragma once

#include <vector>

#include "kernel-loader/gate.h"
#include "kernel-loader/image_format.h"

namespace mana::lower {

// Agent's thread, everything parked.  Of the open files that have any; `all` with same_as set.
std::vector<image::DescriptorSignals> descriptor_signals(const std::vector<loader::Descriptor>& all);

// When the descriptors and the threads are there.  What cannot be is told.
void restore_descriptor_signals(const std::vector<image::DescriptorSignals>& all);

}  // namespace mana::lower
