// SPDX-License-Identifier: BSD-3-Clause
#include "control/launcher_end.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

namespace mana::control {
namespace {

// Hydra drops what it has not read yet when it is told to abort; then it forwards in order.  Of a pipe the kernel tells at
// either end what lies in it.
void wait_until_read(int descriptor) {
  struct stat facts {};
  int unread = 0;
  if (fstat(descriptor, &facts) != 0 || !S_ISFIFO(facts.st_mode)) return;
  const auto has_reader = [descriptor] {
    pollfd end{descriptor, 0, 0};
    return poll(&end, 1, 0) >= 0 && (end.revents & POLLERR) == 0;
  };
  while (ioctl(descriptor, FIONREAD, &unread) == 0 && unread > 0 && has_reader()) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

}  // namespace

void end_job_at_launcher(int code) {
  const char* descriptor = std::getenv("PMI_FD");
  if (descriptor == nullptr) return;
  wait_until_read(STDERR_FILENO);
  // PMI_Abort of the PMI-1 wire protocol.  Nothing answers; if nobody reads any more, the job is already over.
  const std::string command = fmt::format("cmd=abort exitcode={}\n", code);
  [[maybe_unused]] const ssize_t written = write(std::atoi(descriptor), command.data(), command.size());
}

}  // namespace mana::control
