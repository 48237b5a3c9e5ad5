// SPDX-License-Identifier: BSD-3-Clause
// The upper runtime over a real MPI library in the same process: the adapter of lower/ without a gate, without a change of %fs and
// without an agent.  checkpoint() is the agent's part, played by all ranks together at a point where they all are: the whole
// drain, and either going on, or a restart for which every lower object is made anew.
#pragma once

#include "mpi_wrappers/upper_api.h"
#include "upper/comm.h"
#include "upper/datatype.h"
#include "upper/errors.h"
#include "upper/front_end.h"
#include "upper/group.h"
#include "upper/info.h"
#include "upper/op.h"
#include "upper/queue.h"
#include "upper/request.h"
#include "upper/runtime.h"

namespace mana::upper::test {

enum class Then { go_on, restart };

void start(int required = 0);       // MPI_Init_thread of the runtime
int finish();                       // MPI_Finalize; the exit code
void checkpoint(Then then);         // collective; the application is outside of MPI calls
extern Then checkpoint_mode;        // from the environment: MANA_TEST_MODE=continue|restart

// As if the agent asked now: the next place in this process where a thread may be stopped runs checkpoint(checkpoint_mode).
void ask_to_stop();

extern int failures;
void check(bool condition, const char* text, const char* file, int line, long a, long b);

}  // namespace mana::upper::test

// Evaluates each operand once.
#define CHECK_EQ(a, b)                                                                      \
  do {                                                                                      \
    auto left = (a);                                                                        \
    auto right = static_cast<decltype(left)>(b);                                            \
    mana::upper::test::check(left == right, #a " == " #b, __FILE__, __LINE__, (long)left, (long)right); \
  } while (false)
#define CHECK_OK(call) CHECK_EQ((call), 0)
