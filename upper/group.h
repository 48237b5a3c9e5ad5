// SPDX-License-Identifier: BSD-3-Clause
// Groups: ordered sets of world ranks.  Everything about them is answered above, without a crossing.
#pragma once

#include <cstdint>

#include "upper/object_tables.h"
#include "upper/objects.h"

namespace mana::upper {

// Copies the ranks.  own_world_rank decides Group::rank.  One reference, a handle of the application.
Group* make_group(const int32_t* world_ranks, int32_t size);
Group* empty_group();                 // MPI_GROUP_EMPTY
int32_t group_rank_of(const Group* group, int32_t world_rank);  // abi::UNDEFINED when not a member
// Set once by MPI_Init (and by a restart): who we are.
extern int32_t own_world_rank;
extern int32_t own_world_size;

void destroy_group(Group* group);
void start_groups();

}  // namespace mana::upper
