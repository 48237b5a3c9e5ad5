// SPDX-License-Identifier: BSD-3-Clause
#include <asm/prctl.h>
#include <mpi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lower/adapter_convert.h"
#include "lower/core_functions.h"
#include "lower/tests/adapter_tests.h"
#include "lower/tests/check.h"
#include "trampolines/callback.h"
#include "upper/interface.h"

namespace mana::lower::tests {
namespace {

core::CommShape shape_of(uint64_t comm, int32_t* ranks, int32_t* remote) {
  core::CommShape shape{};
  shape.comm = comm;
  shape.world_ranks = ranks;
  shape.remote_world_ranks = remote;
  CHECK_EQ(comm_shape(&shape), 0);
  return shape;
}

void world_has_its_shape() {
  int32_t ranks[2] = {-5, -5};
  const core::CommShape shape = shape_of(job.world, ranks, nullptr);
  CHECK_EQ(shape.rank, job.rank);
  CHECK_EQ(shape.size, job.size);
  CHECK_EQ(shape.is_inter, 0);
  CHECK_EQ(ranks[0], 0);
  CHECK_EQ(ranks[1], 1);
}

void ranks_come_in_the_given_order() {
  const int32_t reversed[] = {1, 0};
  core::CommFromRanks make{reversed, 2, 17, 0};
  CHECK_EQ(comm_from_ranks(&make), 0);
  int32_t ranks[2] = {-5, -5};
  const core::CommShape shape = shape_of(make.comm, ranks, nullptr);
  CHECK_EQ(shape.rank, 1 - job.rank);
  CHECK_EQ(ranks[0], 1);
  CHECK_EQ(ranks[1], 0);
  core::CommFree free{make.comm};
  CHECK_EQ(comm_free(&free), 0);
}

void intercommunicators_are_made_over_the_world() {
  const int32_t me[] = {job.rank};
  core::CommFromRanks local{me, 1, 18, 0};
  CHECK_EQ(comm_from_ranks(&local), 0);
  core::InterFromComms make{local.comm, 0, 1 - job.rank, 19, 0};
  CHECK_EQ(inter_from_comms(&make), 0);
  int32_t mine = -5, theirs = -5;
  const core::CommShape shape = shape_of(make.comm, &mine, &theirs);
  CHECK_EQ(shape.is_inter, 1);
  CHECK_EQ(shape.size, 1);
  CHECK_EQ(shape.remote_size, 1);
  CHECK_EQ(mine, job.rank);
  CHECK_EQ(theirs, 1 - job.rank);
  for (uint64_t comm : {make.comm, local.comm}) {
    core::CommFree free{comm};
    CHECK_EQ(comm_free(&free), 0);
  }
}

void infos_are_taken() {
  const char* keys[] = {"a", "b"};
  const char* values[] = {"1", "2"};
  core::InfoCreate make{2, keys, values, 0};
  CHECK_EQ(info_create(&make), 0);
  core::CommSetInfo set{job.world, make.info};
  CHECK_EQ(comm_set_info(&set), 0);
  core::InfoFree free{make.info};
  CHECK_EQ(info_free(&free), 0);
}

// A user operator reaches run_op with its own object and the datatype's lower bits.
void subtract(uint64_t op_object, void* in, void* inout, int32_t* length, uint64_t lower_datatype) {
  CHECK_EQ(op_object, 0x1234u);
  CHECK_EQ(lower_datatype, resolved(abi::INT));
  for (int i = 0; i < *length; ++i)
    static_cast<int*>(inout)[i] = static_cast<int*>(in)[i] - static_cast<int*>(inout)[i];
}

void operators_call_the_upper_half() {
  UpperInterface upper{};
  upper.run_op = &subtract;
  trampolines::set_upper_interface(&upper);
  ThreadRecord record{};
  CHECK_EQ(syscall(SYS_arch_prctl, ARCH_GET_FS, &record.lower_fs), 0);
  record.upper_fs = record.lower_fs;  // both halves of this test are one program
  mana_current_record = &record;
  core::OpCreate make{0x1234, 0, 0};
  CHECK_EQ(op_create(&make), 0);
  const int mine[] = {10 * job.rank, 7};
  int result[2] = {};
  CHECK_EQ(MPI_Allreduce(mine, result, 2, MPI_INT, native_op(make.op), MPI_COMM_WORLD),
           MPI_SUCCESS);
  CHECK_EQ(result[0], -10);
  CHECK_EQ(result[1], 0);
  core::OpFree free{make.op};
  CHECK_EQ(op_free(&free), 0);
  mana_current_record = nullptr;
}

}  // namespace

void communicator_tests() {
  world_has_its_shape();
  ranks_come_in_the_given_order();
  intercommunicators_are_made_over_the_world();
  infos_are_taken();
  operators_call_the_upper_half();
  core::PrivateComm own{};
  CHECK_EQ(private_comm(&own), 0);
  CHECK_EQ(own.comm != 0 && own.comm != job.world, true);
}

}  // namespace mana::lower::tests
