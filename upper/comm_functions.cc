// SPDX-License-Identifier: BSD-3-Clause
// What the application asks about a communicator, and its end: MPI 5.0, 7.4.1, 7.4.3, 7.6.1, 7.8.
#include "mpi_wrappers/generated_calls.h"
#include "mpi_wrappers/upper_api.h"
#include "upper/attribute.h"
#include "upper/comm.h"
#include "upper/errors.h"
#include "upper/front_end.h"
#include "upper/group.h"
#include "upper/info.h"
#include "upper/request.h"
#include "upper/text.h"

namespace mana::upper {

int Comm_rank(Comm* comm, int* rank) {
  if (comm == nullptr) [[unlikely]] return raise(abi::ERR_COMM, "MPI_Comm_rank");
  *rank = comm->rank;
  return 0;
}

int Comm_size(Comm* comm, int* size) {
  if (comm == nullptr) [[unlikely]] return raise(abi::ERR_COMM, "MPI_Comm_size");
  *size = comm->size;
  return 0;
}

int Comm_remote_size(Comm* comm, int* size) {
  if (comm == nullptr || !comm->is_inter) return raise(comm, abi::ERR_COMM, "MPI_Comm_remote_size");
  *size = comm->remote_size;
  return 0;
}

int Comm_test_inter(Comm* comm, int* flag) {
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Comm_test_inter");
  *flag = comm->is_inter;
  return 0;
}

int Comm_group(Comm* comm, Group** group) {
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Comm_group");
  Call call;
  *group = make_group(comm->world_ranks, comm->size);
  return 0;
}

int Comm_remote_group(Comm* comm, Group** group) {
  if (comm == nullptr || !comm->is_inter) return raise(comm, abi::ERR_COMM, "MPI_Comm_remote_group");
  Call call;
  *group = make_group(comm->remote_world_ranks, comm->remote_size);
  return 0;
}

namespace {

// 2: the same ranks in the same order, 1: the same ranks, 0: different ones.
int likeness(const int32_t* a, int32_t a_size, const int32_t* b, int32_t b_size) {
  if (a_size != b_size) return 0;
  bool same_order = true;
  for (int32_t i = 0; i < a_size; ++i) {
    if (a[i] == b[i]) continue;
    same_order = false;
    bool found = false;
    for (int32_t k = 0; k < b_size && !found; ++k) found = a[i] == b[k];
    if (!found) return 0;
  }
  return same_order ? 2 : 1;
}

}  // namespace

int Comm_compare(Comm* comm1, Comm* comm2, int* result) {
  if (comm1 == nullptr || comm2 == nullptr) return raise(abi::ERR_COMM, "MPI_Comm_compare");
  if (comm1 == comm2) {
    *result = abi::IDENT;
    return 0;
  }
  int alike = comm1->is_inter != comm2->is_inter
                  ? 0
                  : likeness(comm1->world_ranks, comm1->size, comm2->world_ranks, comm2->size);
  if (comm1->is_inter && alike > 0) {
    int remote = likeness(comm1->remote_world_ranks, comm1->remote_size, comm2->remote_world_ranks,
                          comm2->remote_size);
    alike = remote < alike ? remote : alike;
  }
  *result = alike == 2 ? abi::CONGRUENT : alike == 1 ? abi::SIMILAR : abi::UNEQUAL;
  return 0;
}

int Comm_set_name(Comm* comm, const char* comm_name) {
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Comm_set_name");
  Call call;
  size_t room = static_cast<size_t>(front_end::facts.object_name);
  copy_text(comm->name, comm_name, room < sizeof comm->name ? room : sizeof comm->name);
  return 0;
}

int Comm_get_name(Comm* comm, char* comm_name, int* resultlen) {
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Comm_get_name");
  *resultlen = copy_text(comm_name, comm->name, static_cast<size_t>(front_end::facts.object_name));
  return 0;
}

int Comm_set_info(Comm* comm, Info* info) {
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Comm_set_info");
  Call call;
  if (comm->info == nullptr) comm->info = make_info();
  for (InfoEntry* entry = info != nullptr ? info->entries : nullptr; entry != nullptr; entry = entry->next) {
    info_put(comm->info, entry->key, entry->value);
  }
  core::CommSetInfo block{comm->lower, lower(info)};
  int error = block.info != 0 ? call.cross(CoreOp::comm_set_info, &block) : 0;
  return raise(comm, error, "MPI_Comm_set_info");
}

int Comm_get_info(Comm* comm, Info** info_used) {
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Comm_get_info");
  Call call;
  *info_used = copy_info(comm->info);
  return 0;
}

namespace {

// Both ends are collective: counted, so that no member is left with a communicator that another has given up.
// From another job's processes only the library can part, and only together with them: they may be waiting in its disconnect.
int end_comm(Comm** comm, const char* name, bool disconnect) {
  Comm* ended = *comm;
  if (ended == nullptr || ended->constant != 0) return raise(abi::ERR_COMM, name);
  int error = delete_attributes(ended);
  if (error != 0) return raise(ended, error, name);
  Call call;
  begin_collective(call, ended->counter, true);
  if (disconnect && ended->foreign) {
    core::CommDisconnect block{ended->lower};
    error = call.cross_waiting(CoreOp::comm_disconnect, &block);
    if (error == 0) ended->lower = 0;
  }
  end_collective(call);
  if (error != 0) return raise(ended, error, name);
  free_handle(ended);
  *comm = nullptr;
  let_go_of_freed(call);
  return 0;
}

// MPI_Comm_disconnect waits for what is pending on the communicator.
void wait_for_pending(Comm* comm) {
  Call call;
  for (;;) {
    Request* pending = nullptr;
    for (Request* r = active_requests.first; r != nullptr && pending == nullptr; r = r->next) {
      if (r->comm == comm && !r->owner_freed) pending = r;
    }
    if (pending == nullptr) return;
    wait_for(call, &pending, 1, true, "MPI_Comm_disconnect");
  }
}

}  // namespace

int Comm_free(Comm** comm) { return end_comm(comm, "MPI_Comm_free", false); }

int Comm_disconnect(Comm** comm) {
  if (*comm != nullptr) wait_for_pending(*comm);
  return end_comm(comm, "MPI_Comm_disconnect", true);
}

}  // namespace mana::upper
