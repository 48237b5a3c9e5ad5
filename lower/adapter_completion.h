// SPDX-License-Identifier: BSD-3-Clause
// Testing one request, and waiting for it in a way that a checkpoint can interrupt.
//
// Errors: MPI_ERRORS_RETURN is set everywhere.  A request that completes with an error is freed by
// either library inside MPI_Test, which then returns that error: for us it is complete, with the
// error in its status.
#pragma once

#include <mpi.h>

#include "lower/adapter_convert.h"
#include "lower/adapter_wait.h"
#include "upper/interface.h"

namespace mana::lower {

// Both: true when the request is gone, its status and error class in `status` and `error`;
// otherwise the network has been moved once.

// The cheapest when the request is not complete, so for the turns of a wait.
inline bool complete_now(MPI_Request* request, MPI_Status* status, int* error) {
  int flag = 0;
  const int code = MPI_Test(request, &flag, status);
  *error = neutral_error(code);
  return flag != 0 || code != MPI_SUCCESS;
}

// The cheapest when it may be complete already.  MPICH's MPI_Test moves the network even then,
// which takes longer than asking first and then waiting for what is there.
inline bool complete_already(MPI_Request* request, MPI_Status* status, int* error) {
#if defined(MPICH_VERSION)
  int flag = 0;
  if (MPI_Request_get_status(*request, &flag, MPI_STATUS_IGNORE) == MPI_SUCCESS && !flag)
    return false;
  *error = neutral_error(MPI_Wait(request, status));
  return true;
#else
  return complete_now(request, status, error);
#endif
}

// Tests until the request is gone (0, or the error class it completed with) or a checkpoint is
// wanted (kInterrupted).
inline int wait_interruptibly(MPI_Request* request, MPI_Status* status) {
  int error;
  if (complete_already(request, status, &error)) return error;
  for (Patience patience; !complete_now(request, status, &error); patience.turn()) {
    if (checkpoint_wanted()) return kInterrupted;
  }
  return error;
}

}  // namespace mana::lower
