// SPDX-License-Identifier: BSD-3-Clause
// The upper runtime without a lower half and without a front end: what its parts need, for ordinary test programs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "upper/attribute.h"
#include "upper/datatype.h"
#include "upper/errors.h"
#include "upper/front_end.h"
#include "upper/group.h"
#include "upper/memory.h"
#include "upper/runtime.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper::test {

extern Comm world;  // MPI_COMM_WORLD and MPI_COMM_SELF of these tests, MPI_ERRORS_RETURN
extern Comm self;

// Makes the tables once; this process is rank `rank` of `size`.
void start(int rank = 0, int size = 16);

// What the fake lower half was asked to make: combiner of each lower type by its bits.
extern std::vector<int> lower_types_made;
extern std::vector<uint64_t> lower_types_freed;

}  // namespace mana::upper::test
