// SPDX-License-Identifier: BSD-3-Clause
// timer_create: the timers of the process, read at a checkpoint and made again, under their ids, at a restart.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "kernel-loader/image_format.h"
#include "kernel-loader/result.h"

namespace mana::lower {

// Agent's thread, everything parked.  `error`: a timer that cannot be made again.
std::vector<image::PosixTimer> posix_timers(std::string* error);

// Any thread of the new process, before any thread of the application runs.  `tid_of`: of the thread with this index.
loader::Outcome restore_posix_timers(const std::vector<image::PosixTimer>& timers, const std::function<pid_t(int32_t)>& tid_of);

}  // namespace mana::lower
