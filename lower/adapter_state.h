// SPDX-License-Identifier: BSD-3-Clause
// What the adapter made for itself in MPI_Init, constant until MPI_Finalize.
#pragma once

#include <mpi.h>

namespace mana::lower {

struct AdapterState {
  MPI_Comm private_comm = MPI_COMM_NULL;   // dup of the world: the runtime's own messages
  MPI_Group world_group = MPI_GROUP_NULL;  // to name ranks of the world
  // The request that the library returns for every send that was complete at once (eager, or to
  // MPI_PROC_NULL): one constant object that need not be freed.  MPI_REQUEST_NULL where a library
  // has no such thing.
  MPI_Request complete_send = MPI_REQUEST_NULL;
};
extern AdapterState adapter_state;

}  // namespace mana::lower
