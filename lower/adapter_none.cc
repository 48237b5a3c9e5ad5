// SPDX-License-Identifier: BSD-3-Clause
// The adapter of a lower program without MPI: for programs that use none, started under no launcher.  A program that does
// call MPI_Init in such a process is told so by the front end (every operation is kUnsupported).
#include "lower/adapter.h"

#include <cstring>

#include <cstdlib>

#include "lower/core_functions.h"
#include "lower/table.h"

namespace mana::lower {

const TableEntry generated_functions[] = {{"", nullptr}};
const uint32_t generated_function_count = 0;

const char* mpi_name() { return "none"; }
int start_mpi(int, core::Init*) { return abi::ERR_OTHER; }
void on_init(void (*)(), void (*)(const core::Init& facts)) {}
void finish_mpi() {}
void abort_job(int code) { std::exit(code); }
bool is_finalizing() { return false; }
void gather_from_all(const void* mine, void* all, std::size_t bytes) { std::memcpy(all, mine, bytes); }
void set_intent_word(const std::atomic<uint32_t>*) {}

#define MANA_NO_MPI(name) \
  int name(void*) { return kUnsupported; }
MANA_NO_MPI(init) MANA_NO_MPI(finalize) MANA_NO_MPI(abort) MANA_NO_MPI(resolve)
MANA_NO_MPI(send) MANA_NO_MPI(recv) MANA_NO_MPI(isend) MANA_NO_MPI(irecv)
MANA_NO_MPI(test_each) MANA_NO_MPI(wait_each)
MANA_NO_MPI(iprobe) MANA_NO_MPI(probe) MANA_NO_MPI(improbe) MANA_NO_MPI(mrecv) MANA_NO_MPI(imrecv)
MANA_NO_MPI(cancel) MANA_NO_MPI(request_free) MANA_NO_MPI(request_get_status) MANA_NO_MPI(progress)
MANA_NO_MPI(comm_shape) MANA_NO_MPI(comm_from_ranks) MANA_NO_MPI(inter_from_comms)
MANA_NO_MPI(comm_free) MANA_NO_MPI(comm_disconnect) MANA_NO_MPI(comm_set_info) MANA_NO_MPI(private_comm)
MANA_NO_MPI(type_create) MANA_NO_MPI(type_free) MANA_NO_MPI(op_create) MANA_NO_MPI(op_free)
MANA_NO_MPI(info_create) MANA_NO_MPI(info_free)
#undef MANA_NO_MPI

}  // namespace mana::lower
