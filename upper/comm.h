// SPDX-License-Identifier: BSD-3-Clause
// Communicators: what they are made of, their names that all members agree on (uids), and their end.
#pragma once

#include <cstdint>

#include "upper/closure.h"
#include "upper/containers.h"
#include "upper/runtime.h"

namespace mana::upper {

extern List<Comm> live_comms;  // every communicator with a lower one, in order of creation
extern Comm world_comm, self_comm;

// --- uids: equal at all members, computed without communication, never used twice (README.md, "Names")
uint64_t mix(uint64_t hash, uint64_t value);
uint64_t hash_ranks(uint64_t hash, const int32_t* ranks, int32_t count);
CommCounter* new_counter(uint64_t uid);  // an entry of the list that the agent reads
CommCounter* one_shot_counter(uint64_t uid, const int32_t* members, uint32_t count);

// Takes the next child index of `parent`: called once in every creating collective, by all members alike.
inline uint64_t next_child(Comm* parent) { return mix(parent->counter ? parent->counter->uid : 0, ++parent->children); }

// An object for a fresh lower communicator: asks its shape, gives it arrays, a counter (none for a single member) and a place in the
// list.  `seed`: next_child of the parent, or a one-shot uid with its count.  nullptr with *error when something failed.
Comm* make_comm(Call& call, uint64_t lower, uint64_t seed, int* error);
// The same with a shape that is known already (idup, where the lower one is still being made).
Comm* make_comm_like(Comm* parent, uint64_t seed);
void add_to_list(Comm* comm);

// The group that messages of this communicator go to and come from.
inline int32_t peer_count(const Comm* comm) { return comm->is_inter ? comm->remote_size : comm->size; }
inline const int32_t* peer_world_ranks(const Comm* comm) {
  return comm->is_inter ? comm->remote_world_ranks : comm->world_ranks;
}

void start_world(Call& call, int32_t rank, int32_t size);  // fills world_comm and self_comm

// Freed communicators part by a nonblocking barrier of their own, so that none is forgotten while another member may still ask for
// what this one sent.  Tests those barriers and lets go of what is over.  Does nothing while a checkpoint is intended.
void let_go_of_freed(Call& call);
Comm* find_comm(uint64_t uid);  // among the live ones, and those that have not been let go yet; null: none
void destroy_comm(Comm* comm);

// A communicator with members outside our world, or made from one: no rank of ours can make it again, so while it lives a
// checkpoint is refused, as `refusal` says.
void make_foreign(Comm* comm, Refusal* refusal);
// For generated forwarders (spawn, accept, connect).
Comm* adopt_foreign_comm(uint64_t lower, Refusal* refusal);

}  // namespace mana::upper
