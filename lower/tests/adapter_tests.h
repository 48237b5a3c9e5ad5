// SPDX-License-Identifier: BSD-3-Clause
// The parts of the adapter's test program.
#pragma once

#include <atomic>
#include <cstdint>

namespace mana::lower::tests {

struct Job {
  int rank, size;
  uint64_t world, byte;  // lower bits of MPI_COMM_WORLD and MPI_BYTE
};
extern Job job;
extern std::atomic<uint32_t> intent;  // where the adapter looks for the intent of a checkpoint

uint64_t resolved(int32_t constant);

void point_to_point_tests();
void communicator_tests();
void datatype_tests();

}  // namespace mana::lower::tests
