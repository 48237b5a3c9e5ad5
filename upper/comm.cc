// SPDX-License-Identifier: BSD-3-Clause
#include "upper/comm.h"

#include "mpi_wrappers/generated_calls.h"
#include "upper/attribute.h"
#include "upper/errors.h"
#include "upper/info.h"
#include "upper/object_tables.h"
#include "upper/queue.h"
#include "upper/text.h"
#include "upper/topology.h"

namespace mana::upper {

constinit List<Comm> live_comms = {};
constinit Comm world_comm = {};
constinit Comm self_comm = {};

namespace {
constinit uint64_t comms_made = 0;
constinit Message no_process_message = {};
}  // namespace

void start_comms() {
  register_predefined(&world_comm, Kind::communicator, abi::COMM_WORLD);
  register_predefined(&self_comm, Kind::communicator, abi::COMM_SELF);
  register_predefined(&no_process_message, Kind::message, abi::MESSAGE_NO_PROC);
}

// splitmix64: every input bit reaches every output bit, so two uids agree by accident once in 2^64 pairs.
uint64_t mix(uint64_t hash, uint64_t value) {
  uint64_t z = (hash ^ (value + 0x9e3779b97f4a7c15)) + 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint64_t hash_ranks(uint64_t hash, const int32_t* ranks, int32_t count) {
  for (int32_t i = 0; i < count; ++i) hash = mix(hash, static_cast<uint64_t>(ranks[i]));
  return mix(hash, static_cast<uint64_t>(count));
}

// Entries are never unlinked: the agent may be walking the list.  That of a communicator that is gone at all members has uid 0 and
// serves the next one, but not while a checkpoint is intended: the agent may have noted the old uid.
CommCounter* new_counter(uint64_t uid) {
  CommCounter* counter = nullptr;
  if (!intended()) {
    counter = upper_interface.counters.load(std::memory_order_relaxed);
    while (counter != nullptr && counter->uid != 0) counter = counter->next;
  }
  if (counter != nullptr) {
    counter->begun.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    counter->uid = uid;
    return counter;
  }
  counter = make_zeroed<CommCounter>();
  counter->uid = uid;
  counter->next = upper_interface.counters.load(std::memory_order_relaxed);
  upper_interface.counters.store(counter, std::memory_order_release);
  return counter;
}

CommCounter* one_shot_counter(uint64_t uid, const int32_t* members, uint32_t count) {
  for (CommCounter* c = upper_interface.counters.load(std::memory_order_relaxed); c != nullptr; c = c->next) {
    if (c->uid == uid) return c;
  }
  auto* copy = allocate_array<int32_t>(count);
  copy_bytes(copy, members, count * sizeof(int32_t));
  auto* counter = make_zeroed<CommCounter>();  // members stand before the agent can see it
  counter->uid = uid;
  counter->members = copy;
  counter->member_count = count;
  counter->one_shot = 1;
  counter->next = upper_interface.counters.load(std::memory_order_relaxed);
  upper_interface.counters.store(counter, std::memory_order_release);
  return counter;
}

namespace {

void make_arrays(Comm* comm) {
  size_t bytes = sizeof(uint64_t) * static_cast<size_t>(peer_count(comm));
  comm->sent = static_cast<std::atomic<uint64_t>*>(allocate_zeroed(bytes));
  comm->received = static_cast<std::atomic<uint64_t>*>(allocate_zeroed(bytes));
}

int32_t lowest_member(const Comm* comm) {
  int32_t lowest = INT32_MAX;
  for (int32_t i = 0; i < comm->size; ++i) lowest = comm->world_ranks[i] < lowest ? comm->world_ranks[i] : lowest;
  for (int32_t i = 0; i < comm->remote_size; ++i) {
    lowest = comm->remote_world_ranks[i] < lowest ? comm->remote_world_ranks[i] : lowest;
  }
  return lowest;
}

// The lowest member tells the parts of one split apart.
void name_it(Comm* comm, uint64_t seed) {
  if (comm->size + comm->remote_size < 2) return;
  uint64_t uid = mix(seed, static_cast<uint64_t>(lowest_member(comm)));
  comm->counter = new_counter(uid ? uid : 1);
}

int32_t* copy_ranks(const int32_t* ranks, int32_t count) {
  auto* copy = allocate_array<int32_t>(count);
  copy_bytes(copy, ranks, static_cast<size_t>(count) * sizeof(int32_t));
  return copy;
}

}  // namespace

void add_to_list(Comm* comm) {
  comm->created = ++comms_made;
  live_comms.append(comm);
}

Comm* make_comm(Call& call, uint64_t lower, uint64_t seed, int* error) {
  core::CommShape shape{};
  shape.comm = lower;
  if ((*error = call.cross(CoreOp::comm_shape, &shape)) != 0) return nullptr;
  Comm* comm = new_object<Comm>(Kind::communicator);
  if (comm == nullptr) {
    *error = abi::ERR_NO_MEM;
    return nullptr;
  }
  comm->lower = lower;
  comm->rank = shape.rank;
  comm->size = shape.size;
  comm->is_inter = shape.is_inter;
  comm->remote_size = shape.remote_size;
  comm->world_ranks = shape.world_ranks = allocate_array<int32_t>(shape.size);
  if (shape.is_inter) {
    comm->remote_world_ranks = shape.remote_world_ranks = allocate_array<int32_t>(shape.remote_size);
  }
  if ((*error = call.cross(CoreOp::comm_shape, &shape)) != 0) return nullptr;
  make_arrays(comm);
  name_it(comm, seed);
  add_to_list(comm);
  return comm;
}

Comm* make_comm_like(Comm* parent, uint64_t seed) {
  Comm* comm = new_object<Comm>(Kind::communicator);
  if (comm == nullptr) return nullptr;
  comm->rank = parent->rank;
  comm->size = parent->size;
  comm->is_inter = parent->is_inter;
  comm->remote_size = parent->remote_size;
  comm->world_ranks = copy_ranks(parent->world_ranks, parent->size);
  if (parent->is_inter) comm->remote_world_ranks = copy_ranks(parent->remote_world_ranks, parent->remote_size);
  comm->local_leader = parent->local_leader;
  comm->remote_leader_world_rank = parent->remote_leader_world_rank;
  make_arrays(comm);
  name_it(comm, seed);
  return comm;
}

void start_world(Call& call, int32_t rank, int32_t size) {
  auto resolve = [&](int constant) {
    core::Resolve block{constant, 0};
    call.cross(CoreOp::resolve, &block);
    return block.lower;
  };
  world_comm.lower = resolve(abi::COMM_WORLD);
  world_comm.rank = rank;
  world_comm.size = size;
  world_comm.world_ranks = allocate_array<int32_t>(size);
  for (int32_t i = 0; i < size; ++i) world_comm.world_ranks[i] = i;
  copy_text(world_comm.name, "MPI_COMM_WORLD", sizeof world_comm.name);
  self_comm.lower = resolve(abi::COMM_SELF);
  self_comm.size = 1;
  self_comm.world_ranks = allocate_array<int32_t>(1);
  self_comm.world_ranks[0] = rank;
  copy_text(self_comm.name, "MPI_COMM_SELF", sizeof self_comm.name);
  for (Comm* comm : {&world_comm, &self_comm}) {
    make_arrays(comm);
    if (comm->errhandler == nullptr) set_errhandler(comm->errhandler, errors_are_fatal());
    add_to_list(comm);
  }
  if (size > 1) world_comm.counter = new_counter(1);
}

namespace {

void destroy_now(Comm* comm) {
  if (comm->counter != nullptr) {
    std::atomic_thread_fence(std::memory_order_release);
    comm->counter->uid = 0;  // may serve another communicator
  }
  while (comm->first_drained != nullptr) {
    DrainedMessage* message = comm->first_drained;
    unlink_drained(comm, message);
    deallocate(message);
  }
  deallocate(comm->world_ranks);
  deallocate(comm->remote_world_ranks);
  deallocate(comm->sent);
  deallocate(comm->received);
  delete_object(comm);
}

}  // namespace

// The last reference is gone: freed by the application, nothing pending.  It stays in the list, because the others may not have come so
// far: what this rank has sent, and how many collectives it has begun on it, must stay known until they have.
void destroy_comm(Comm* comm) {
  free_topology(comm);
  if (comm->refusal != nullptr) comm->refusal->alive.fetch_sub(1, std::memory_order_relaxed);
  if (comm->info != nullptr) release(comm->info);
  if (comm->errhandler != nullptr) set_errhandler(comm->errhandler, nullptr);
  comm->info = nullptr;
  comm->attributes = nullptr;
  comm->handle_freed = 2;  // ready to part
}

void let_go_of_freed(Call& call) {
  const bool counted = intended();  // the counters are being read: only what nobody else is in may go, and only below
  for (Comm* comm = live_comms.first; comm != nullptr;) {
    Comm* next = comm->next;
    if (counted) {
      if (comm->handle_freed == 2 && comm->lower != 0 && (comm->foreign || comm->size + comm->remote_size < 2)) {
        core::CommFree block{comm->lower};
        call.cross(CoreOp::comm_free, &block);
        comm->lower = 0;
      }
      comm = next;
      continue;
    }
    if (comm->handle_freed == 2) {
      bool over = comm->lower == 0 || comm->size + comm->remote_size < 2 || comm->foreign;
      if (!over && !comm->farewell_begun) {
        ops::Ibarrier block{comm->lower, 0};
        if (call.cross(static_cast<uint32_t>(GeneratedOp::Ibarrier), &block) == 0) comm->farewell = block.request;
        comm->farewell_begun = 1;
      }
      if (!over) {
        abi::Status status;
        core::TestEach test{&comm->farewell, 1, 0, &status};
        if (comm->farewell != 0) call.cross(CoreOp::test_each, &test);
        over = comm->farewell == 0;
      }
      if (over) {
        if (comm->lower != 0) {
          core::CommFree block{comm->lower};
          call.cross(CoreOp::comm_free, &block);
        }
        live_comms.remove(comm);
        destroy_now(comm);
      }
    }
    comm = next;
  }
}

Comm* find_comm(uint64_t uid) {
  for (Comm* comm = live_comms.first; comm != nullptr; comm = comm->next) {
    if (comm->counter != nullptr && comm->counter->uid == uid) return comm;
  }
  return nullptr;
}

void make_foreign(Comm* comm, Refusal* refusal) {
  comm->foreign = 1;
  comm->counter = nullptr;  // its other members report to another job
  comm->refusal = refusal;
  if (refusal != nullptr) refusal->alive.fetch_add(1, std::memory_order_relaxed);
}

Comm* adopt_foreign_comm(uint64_t lower, Refusal* refusal) {
  Call call;
  int error = 0;
  Comm* comm = make_comm(call, lower, mix(0x666f726569676e, comms_made), &error);
  if (comm == nullptr) return nullptr;
  make_foreign(comm, refusal);
  set_errhandler(comm->errhandler, errors_are_fatal());
  return comm;
}

}  // namespace mana::upper
