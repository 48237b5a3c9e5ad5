// SPDX-License-Identifier: BSD-3-Clause
// DIR/control.json: how a command finds the job that checkpoints into DIR, and the secret by which
// it proves that it may read DIR.  Mode 0600, written by rank 0's agent when the job is ready for
// commands, removed at its end.  A file that was left behind names a port where nobody listens, or
// somebody who does not know the secret.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "control/messages.h"
#include "control/place.h"
#include "control/result.h"

namespace mana::control {

struct JobFile {
  std::string job;            // random id, hexadecimal
  std::string host, host_id;  // name; id of kernel and network namespace (Card::host), hexadecimal
  std::vector<std::string> addresses;  // where the root listens, loopback first
  uint16_t port = 0;
  Secret secret = {};
  int pid = 0, ranks = 1;
  std::string program, started;
};

Outcome write_job_file(const std::string& directory, const JobFile& file);
Result<JobFile> read_job_file(const std::string& directory);
// Removes it if it is still this job's.
void remove_job_file(const std::string& directory, const std::string& job);

std::string hexadecimal(const uint8_t* bytes, std::size_t count);

}  // namespace mana::control
