// SPDX-License-Identifier: BSD-3-Clause
#include "upper/group.h"

#include "upper/memory.h"
#include "upper/text.h"

namespace mana::upper {

constinit int32_t own_world_rank = -1;
constinit int32_t own_world_size = 0;

namespace {
constinit Group empty{};
}

void start_groups() {
  register_predefined(&empty, Kind::group, abi::GROUP_EMPTY);
  empty.rank = abi::UNDEFINED;
}

Group* empty_group() { return &empty; }

int32_t group_rank_of(const Group* group, int32_t world_rank) {
  for (int32_t rank = 0; rank < group->size; ++rank) {
    if (group->world_ranks[rank] == world_rank) return rank;
  }
  return abi::UNDEFINED;
}

Group* make_group(const int32_t* world_ranks, int32_t size) {
  auto* group = new_object<Group>(Kind::group);
  if (!group) return nullptr;
  group->size = size;
  group->world_ranks = allocate_array<int32_t>(size);
  copy_bytes(group->world_ranks, world_ranks, sizeof(int32_t) * static_cast<size_t>(size));
  group->rank = group_rank_of(group, own_world_rank);
  return group;
}

void destroy_group(Group* group) {
  deallocate(group->world_ranks);
  delete_object(group);
}

}  // namespace mana::upper
