// SPDX-License-Identifier: BSD-3-Clause
// MPI 5.0, 7.3: group management.  A result without members is MPI_GROUP_EMPTY.
#include "upper/containers.h"
#include "upper/errors.h"
#include "upper/guarded.h"
#include "upper/group.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

namespace {

// Rank in a group of each world rank; built once per operation so that set algebra is linear.
class RankIndex {
 public:
  explicit RankIndex(const Group* group) : group_(group), ranks_(group->size > kScan ? own_world_size : 0) {
    if (group->size <= kScan) return;
    for (int32_t world = 0; world < own_world_size; ++world) ranks_[world] = abi::UNDEFINED;
    for (int32_t rank = 0; rank < group->size; ++rank) {
      if (group->world_ranks[rank] >= 0) ranks_[group->world_ranks[rank]] = rank;
    }
  }
  int32_t operator[](int32_t world_rank) {
    if (world_rank < 0) return abi::UNDEFINED;  // not in our world: nothing is known of it
    return group_->size <= kScan ? group_rank_of(group_, world_rank) : ranks_[world_rank];
  }
  bool contains(int32_t world_rank) { return (*this)[world_rank] != abi::UNDEFINED; }

 private:
  static constexpr int32_t kScan = 8;
  const Group* group_;
  Scratch<int32_t> ranks_;
};

int deliver(const int32_t* world_ranks, int64_t size, Group** result) {
  *result = size == 0 ? empty_group() : make_group(world_ranks, static_cast<int32_t>(size));
  return *result ? abi::SUCCESS : abi::ERR_NO_MEM;
}

// Which ranks a list of (first, last, stride) names, in order.  0, or an error class.
int expand_ranges(const Group* group, int n, const int* ranges, Vector<int32_t>* ranks) {
  if (n < 0) return abi::ERR_ARG;
  for (int range = 0; range < n; ++range) {
    const int64_t first = ranges[3 * range], last = ranges[3 * range + 1], stride = ranges[3 * range + 2];
    if (stride == 0 || first < 0 || first >= group->size || last < 0 || last >= group->size) return abi::ERR_ARG;
    if (stride > 0 ? first > last : first < last) return abi::ERR_ARG;
    for (int64_t rank = first; stride > 0 ? rank <= last : rank >= last; rank += stride) {
      ranks->push(static_cast<int32_t>(rank));
    }
  }
  return abi::SUCCESS;
}

// 0 when all are ranks of the group and none is named twice.
int check_ranks(const Group* group, int64_t n, const int* ranks) {
  if (n < 0) return abi::ERR_ARG;
  if (n > 0 && !ranks) return abi::ERR_ARG;
  Scratch<uint8_t> seen(group->size);
  for (int32_t rank = 0; rank < group->size; ++rank) seen[rank] = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (ranks[i] < 0 || ranks[i] >= group->size || seen[ranks[i]]) return abi::ERR_RANK;
    seen[ranks[i]] = 1;
  }
  return abi::SUCCESS;
}

int include(const Group* group, int64_t n, const int* ranks, Group** result) {
  if (int error = check_ranks(group, n, ranks)) return error;
  Scratch<int32_t> world_ranks(n);
  for (int64_t i = 0; i < n; ++i) world_ranks[i] = group->world_ranks[ranks[i]];
  return deliver(world_ranks.get(), n, result);
}

int exclude(const Group* group, int64_t n, const int* ranks, Group** result) {
  if (int error = check_ranks(group, n, ranks)) return error;
  Scratch<uint8_t> left_out(group->size);
  for (int32_t rank = 0; rank < group->size; ++rank) left_out[rank] = 0;
  for (int64_t i = 0; i < n; ++i) left_out[ranks[i]] = 1;
  Scratch<int32_t> world_ranks(group->size);
  int64_t size = 0;
  for (int32_t rank = 0; rank < group->size; ++rank) {
    if (!left_out[rank]) world_ranks[size++] = group->world_ranks[rank];
  }
  return deliver(world_ranks.get(), size, result);
}

// Members of `from` that are (wanted) or are not in `in`, after the `kept` ones already there; returns the new size.
int64_t select(const Group* from, const Group* in, bool wanted, int32_t* to, int64_t kept) {
  RankIndex index(in);
  for (int32_t rank = 0; rank < from->size; ++rank) {
    if (index.contains(from->world_ranks[rank]) == wanted) to[kept++] = from->world_ranks[rank];
  }
  return kept;
}

}  // namespace

int Group_size(Group* group, int* size) {
  if (!group) return raise(abi::ERR_GROUP, "MPI_Group_size");
  *size = group->size;
  return abi::SUCCESS;
}

int Group_rank(Group* group, int* rank) {
  if (!group) return raise(abi::ERR_GROUP, "MPI_Group_rank");
  *rank = group->rank;
  return abi::SUCCESS;
}

int Group_translate_ranks(Group* group1, int n, const int* ranks1, Group* group2, int* ranks2) {
  return guarded("MPI_Group_translate_ranks", [&]() -> int {
    if (!group1 || !group2) return abi::ERR_GROUP;
    if (n < 0) return abi::ERR_ARG;
    for (int i = 0; i < n; ++i) {
      if ((ranks1[i] < 0 || ranks1[i] >= group1->size) && ranks1[i] != abi::PROC_NULL) {
        return abi::ERR_RANK;
      }
    }
    if (n <= 2) {  // not worth an index
      for (int i = 0; i < n; ++i) {
        ranks2[i] = ranks1[i] == abi::PROC_NULL ? ranks1[i] : group_rank_of(group2, group1->world_ranks[ranks1[i]]);
      }
      return abi::SUCCESS;
    }
    RankIndex index(group2);
    for (int i = 0; i < n; ++i) {
      ranks2[i] = ranks1[i] == abi::PROC_NULL ? ranks1[i] : index[group1->world_ranks[ranks1[i]]];
    }
    return abi::SUCCESS;
  });
}

int Group_compare(Group* group1, Group* group2, int* result) {
  return guarded("MPI_Group_compare", [&]() -> int {
    if (!group1 || !group2) return abi::ERR_GROUP;
    *result = abi::UNEQUAL;
    if (group1->size != group2->size) return abi::SUCCESS;
    bool same_order = true, same_members = true;
    RankIndex index(group2);
    for (int32_t rank = 0; rank < group1->size && same_members; ++rank) {
      int32_t there = index[group1->world_ranks[rank]];
      same_order = same_order && there == rank;
      same_members = there != abi::UNDEFINED;
    }
    *result = same_order ? abi::IDENT : same_members ? abi::SIMILAR : abi::UNEQUAL;
    return abi::SUCCESS;
  });
}

int Group_union(Group* group1, Group* group2, Group** newgroup) {
  return guarded("MPI_Group_union", [&]() -> int {
    if (!group1 || !group2) return abi::ERR_GROUP;
    Scratch<int32_t> ranks(int64_t{group1->size} + group2->size);
    for (int32_t rank = 0; rank < group1->size; ++rank) ranks[rank] = group1->world_ranks[rank];
    int64_t size = select(group2, group1, false, ranks.get(), group1->size);
    return deliver(ranks.get(), size, newgroup);
  });
}

int Group_intersection(Group* group1, Group* group2, Group** newgroup) {
  return guarded("MPI_Group_intersection", [&]() -> int {
    if (!group1 || !group2) return abi::ERR_GROUP;
    Scratch<int32_t> ranks(group1->size);
    return deliver(ranks.get(), select(group1, group2, true, ranks.get(), 0), newgroup);
  });
}

int Group_difference(Group* group1, Group* group2, Group** newgroup) {
  return guarded("MPI_Group_difference", [&]() -> int {
    if (!group1 || !group2) return abi::ERR_GROUP;
    Scratch<int32_t> ranks(group1->size);
    return deliver(ranks.get(), select(group1, group2, false, ranks.get(), 0), newgroup);
  });
}

int Group_incl(Group* group, int n, const int* ranks, Group** newgroup) {
  return guarded("MPI_Group_incl", [&]() -> int {
    if (!group) return abi::ERR_GROUP;
    return include(group, n, ranks, newgroup);
  });
}

int Group_excl(Group* group, int n, const int* ranks, Group** newgroup) {
  return guarded("MPI_Group_excl", [&]() -> int {
    if (!group) return abi::ERR_GROUP;
    return exclude(group, n, ranks, newgroup);
  });
}

int Group_range_incl(Group* group, int n, const int* ranges, Group** newgroup) {
  return guarded("MPI_Group_range_incl", [&]() -> int {
    if (!group) return abi::ERR_GROUP;
    Vector<int32_t> ranks{};
    int error = expand_ranges(group, n, ranges, &ranks);
    if (!error) error = include(group, ranks.size, ranks.items, newgroup);
    ranks.free();
    return error;
  });
}

int Group_range_excl(Group* group, int n, const int* ranges, Group** newgroup) {
  return guarded("MPI_Group_range_excl", [&]() -> int {
    if (!group) return abi::ERR_GROUP;
    Vector<int32_t> ranks{};
    int error = expand_ranges(group, n, ranges, &ranks);
    if (!error) error = exclude(group, ranks.size, ranks.items, newgroup);
    ranks.free();
    return error;
  });
}

int Group_free(Group** group) {
  return guarded("MPI_Group_free", [&]() -> int {
    if (!*group || (*group)->handle_freed) return abi::ERR_GROUP;
    if (!(*group)->constant) free_handle(*group);  // MPI_GROUP_EMPTY may be freed, as any result without members
    *group = nullptr;
    return abi::SUCCESS;
  });
}

}  // namespace mana::upper
