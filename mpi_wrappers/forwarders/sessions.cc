// SPDX-License-Identifier: BSD-3-Clause
// Sessions (MPI 5.0, 11.3), answered above: the process sets are those that every implementation
// has, mpi://WORLD and mpi://SELF, and communicators made from their groups are ordinary ones,
// which outlive a restart.  A session needs MPI_Init first: the lower half has no other way to
// start.
#include "mpi_wrappers/forwarders/support.h"
#include "upper/group.h"
#include "upper/text.h"

namespace mana::upper {
namespace {

constexpr const char* kProcessSets[] = {"mpi://WORLD", "mpi://SELF"};
constexpr int kProcessSetCount = 2;

int process_set(const char* name) {
  for (int i = 0; i < kProcessSetCount; ++i) {
    if (text_equal(name, kProcessSets[i])) return i;
  }
  return -1;
}

// The tag that stands for a string tag: all members compute it alike.
int tag_of(const char* stringtag) {
  uint64_t hash = 0;
  for (; *stringtag != '\0'; ++stringtag) hash = mix(hash, static_cast<uint8_t>(*stringtag));
  constexpr int kSmallestTagUb = 32767;
  return static_cast<int>(hash % kSmallestTagUb);
}

}  // namespace

int Session_init(Info*, Errhandler* errhandler, Session** session) {
  if (!world.initialized) {
    return refuse("MPI_Session_init",
                  "sessions without MPI_Init are not supported: call MPI_Init first", false);
  }
  Call call;
  *session = new_object<Session>(Kind::session);
  if (*session == nullptr) return abi::ERR_NO_MEM;
  set_errhandler((*session)->errhandler, errhandler);
  return 0;
}

int Session_finalize(Session** session) {
  if (*session == nullptr) return raise(abi::ERR_SESSION, "MPI_Session_finalize");
  Call call;
  set_errhandler((*session)->errhandler, nullptr);
  free_handle(*session);
  *session = nullptr;
  return 0;
}

int Session_get_info(Session* session, Info** info_used) {
  if (session == nullptr) return raise(abi::ERR_SESSION, "MPI_Session_get_info");
  Call call;
  *info_used = make_info();
  return 0;
}

int Session_get_num_psets(Session* session, Info*, int* npset_names) {
  if (session == nullptr) return raise(abi::ERR_SESSION, "MPI_Session_get_num_psets");
  *npset_names = kProcessSetCount;
  return 0;
}

int Session_get_nth_pset(Session* session, Info*, int n, int* pset_len, char* pset_name) {
  if (session == nullptr) return raise(abi::ERR_SESSION, "MPI_Session_get_nth_pset");
  if (n < 0 || n >= kProcessSetCount)
    return raise(session, abi::ERR_ARG, "MPI_Session_get_nth_pset");
  if (*pset_len > 0) copy_text(pset_name, kProcessSets[n], static_cast<size_t>(*pset_len));
  *pset_len = static_cast<int>(text_length(kProcessSets[n])) + 1;
  return 0;
}

int Session_get_pset_info(Session* session, const char* pset_name, Info** info) {
  if (session == nullptr) return raise(abi::ERR_SESSION, "MPI_Session_get_pset_info");
  const int set = process_set(pset_name);
  if (set < 0) return raise(session, abi::ERR_ARG, "MPI_Session_get_pset_info");
  Text size;
  size.add(set == 0 ? world_comm.size : 1);
  Call call;
  *info = make_info();
  info_put(*info, "mpi_size", size.c_str());
  return 0;
}

int Group_from_session_pset(Session* session, const char* pset_name, Group** newgroup) {
  if (session == nullptr) return raise(abi::ERR_SESSION, "MPI_Group_from_session_pset");
  const int set = process_set(pset_name);
  if (set < 0) return raise(session, abi::ERR_ARG, "MPI_Group_from_session_pset");
  const Comm& comm = set == 0 ? world_comm : self_comm;
  Call call;
  *newgroup = make_group(comm.world_ranks, comm.size);
  return 0;
}

int Comm_create_from_group(Group* group, const char* stringtag, Info*, Errhandler* errhandler,
                           Comm** newcomm) {
  const int error = Comm_create_group(&world_comm, group, tag_of(stringtag), newcomm);
  if (error == 0 && *newcomm != nullptr && errhandler != nullptr)
    return Comm_set_errhandler(*newcomm, errhandler);
  return error;
}

int Intercomm_create_from_groups(Group* local_group, int local_leader, Group* remote_group,
                                 int remote_leader, const char* stringtag, Info*,
                                 Errhandler* errhandler, Comm** newintercomm) {
  if (local_group == nullptr || remote_group == nullptr)
    return raise(abi::ERR_GROUP, "MPI_Intercomm_create_from_groups");
  if (remote_leader < 0 || remote_leader >= remote_group->size) {
    return raise(abi::ERR_RANK, "MPI_Intercomm_create_from_groups");
  }
  Comm* local = nullptr;
  if (int error = Comm_create_group(&world_comm, local_group, tag_of(stringtag), &local))
    return error;
  int error =
      Intercomm_create(local, local_leader, &world_comm, remote_group->world_ranks[remote_leader],
                       tag_of(stringtag), newintercomm);
  if (error == 0 && errhandler != nullptr) error = Comm_set_errhandler(*newintercomm, errhandler);
  const int freed = Comm_free(&local);
  return error != 0 ? error : freed;
}

}  // namespace mana::upper
