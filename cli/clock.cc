// SPDX-License-Identifier: BSD-3-Clause
// On a host that was booted later the clock would run backwards.  An offset in the vdso would not do: the kernel reads the
// absolute times of futexes, timers and sleeps, and these would be wrong by it.  A time namespace (Linux 5.6) moves the
// clock for both, and a process enters it by execve, which comes next anyway.  It needs CAP_SYS_ADMIN.
#include "cli/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "kernel-loader/image_reader.h"

namespace mana::cli {
namespace {

constexpr int kNewTimeNamespace = 0x80;  // CLONE_NEWTIME
constexpr int64_t kSecond = 1'000'000'000;

// Offsets count from the clocks of the first namespace, so one that this process is in already adds to them.
int64_t offset_in_force() {
  FILE* file = std::fopen("/proc/self/timens_offsets", "re");
  if (file == nullptr) return 0;
  long long seconds = 0, nanoseconds = 0;
  const bool known = std::fscanf(file, "monotonic %lld %lld", &seconds, &nanoseconds) == 2;
  std::fclose(file);
  return known ? seconds * kSecond + nanoseconds : 0;
}

bool move_clocks(int64_t offset) {
  if (unshare(kNewTimeNamespace) != 0) return false;
  const int file = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const int64_t seconds = offset / kSecond, nanoseconds = offset % kSecond;
  const std::string text = fmt::format("monotonic {0} {1}\nboottime {0} {1}\n", seconds, nanoseconds);
  const bool written = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  close(file);
  errno = error;
  return written;
}

}  // namespace

void keep_clock(const Launcher& launcher, const std::string& path) {
  image::Complaint complaint;
  const auto image = image::ImageFile::open(path, &complaint);
  if (image == nullptr) return;  // the lower half complains
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t behind = image->header().monotonic_ns - (now.tv_sec * kSecond + now.tv_nsec);
  if (behind <= 0) return;
  // Whole seconds more than needed: what is left of this one passes before the application runs.
  if (move_clocks(offset_in_force() + (behind / kSecond + 1) * kSecond)) return;
  fmt::print(stderr,
             "mana: rank {}: restart: this host was booted later than the job's last one, and its clock cannot be moved ({}): "
             "CLOCK_MONOTONIC goes back by {} s for the application (MPI_Wtime does not)\n",
             launcher.rank, std::strerror(errno), behind / kSecond);
}

}  // namespace mana::cli
