// SPDX-License-Identifier: BSD-3-Clause
// CPU affinity, scheduling and limits: what the application has changed comes back, what its launcher gave it is the new
// launcher's to give.
#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

#include "kernel-loader/image_format.h"

namespace mana::lower {

// First thing in main(): what the launcher gave.
void note_launched_attributes();

// Agent's thread, everything parked.
std::vector<image::ThreadAttributes> thread_attributes();
std::vector<image::Limit> own_limits();

// What this machine does not allow is told in a line and left as the launcher gave it.
void restore_thread_attributes(const std::vector<image::ThreadAttributes>& attributes, const std::function<pid_t(int32_t)>& tid_of);
void restore_limits(const std::vector<image::Limit>& limits);

}  // namespace mana::lower
