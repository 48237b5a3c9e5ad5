// SPDX-License-Identifier: BSD-3-Clause
// Groups, attributes, error handlers, info, names, time, error codes, memory.
#include <algorithm>
#include <cstdint>

#include "test/scenarios/collectives.h"

namespace {

using namespace mana::test;

std::vector<int> world_ranks_of(MPI_Group group) {
  MPI_Group world;
  int size = 0;
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  MPI_Group_size(group, &size);
  std::vector<int> local(size), ranks(size);
  std::iota(local.begin(), local.end(), 0);
  MPI_Group_translate_ranks(group, size, local.data(), world, ranks.data());
  MPI_Group_free(&world);
  return ranks;
}

SCENARIO(groups_outlive_the_lower_half, .ranks = 4) {
  MPI_Group world, some, ranges, both;
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  const int members[3] = {3, 0, 2};
  int range[1][3] = {{3, 1, -1}};
  MPI_Group_incl(world, 3, members, &some);
  MPI_Group_range_incl(world, 1, range, &ranges);
  MPI_Group_union(some, ranges, &both);
  job.checkpoint_here();
  using Ranks = std::vector<int>;
  CHECK_EQ(world_ranks_of(some), (Ranks{3, 0, 2}));
  CHECK_EQ(world_ranks_of(ranges), (Ranks{3, 2, 1}));
  CHECK_EQ(world_ranks_of(both), (Ranks{3, 0, 2, 1}));
  MPI_Group common, only, without, empty;
  MPI_Group_intersection(some, ranges, &common);
  CHECK_EQ(world_ranks_of(common), (Ranks{3, 2}));
  MPI_Group_difference(some, ranges, &only);
  CHECK_EQ(world_ranks_of(only), (Ranks{0}));
  MPI_Group_excl(world, 3, members, &without);
  CHECK_EQ(world_ranks_of(without), (Ranks{1}));
  MPI_Group_range_excl(world, 1, range, &empty);
  CHECK_EQ(world_ranks_of(empty), (Ranks{0}));
  int relation = -1, rank = -1;
  MPI_Group_compare(only, empty, &relation);
  CHECK_EQ(relation, MPI_IDENT);
  MPI_Group_compare(world, both, &relation);
  CHECK_EQ(relation, MPI_SIMILAR);
  MPI_Group_rank(ranges, &rank);
  CHECK_EQ(rank, job.rank == 0 ? MPI_UNDEFINED : 3 - job.rank);
  MPI_Comm comm;
  MPI_Comm_create(MPI_COMM_WORLD, both, &comm);
  check_communicator(job, comm);
  MPI_Comm_free(&comm);
  for (MPI_Group* group : {&world, &some, &ranges, &both, &common, &only, &without, &empty}) MPI_Group_free(group);
  CHECK(world == MPI_GROUP_NULL);
  MPI_Group nobody = MPI_GROUP_EMPTY;
  MPI_Group_size(nobody, &rank);
  CHECK_EQ(rank, 0);
}

int copies = 0, deletions = 0;
MPI_Comm last_deleted_from = MPI_COMM_NULL;
int copy_number(MPI_Comm, int, void* extra, void* in, void* out, int* flag) {
  copies++;
  *static_cast<void**>(out) = static_cast<char*>(in) + *static_cast<int*>(extra);
  *flag = 1;
  return MPI_SUCCESS;
}
int delete_number(MPI_Comm comm, int, void*, void*) {
  deletions++;
  last_deleted_from = comm;
  return MPI_SUCCESS;
}
int copy_type_number(MPI_Datatype, int, void*, void* in, void* out, int* flag) {
  copies++;
  *static_cast<void**>(out) = in;
  *flag = 1;
  return MPI_SUCCESS;
}
int delete_type_number(MPI_Datatype, int, void*, void*) {
  deletions++;
  return MPI_SUCCESS;
}

SCENARIO(attributes_and_their_callbacks_outlive_the_lower_half, .ranks = 2) {
  int key = MPI_KEYVAL_INVALID, no_copy = MPI_KEYVAL_INVALID, plain_copy = MPI_KEYVAL_INVALID, type_key = MPI_KEYVAL_INVALID;
  static int step = 5;
  static char storage[100];
  copies = deletions = 0;
  MPI_Comm comm, copy;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  MPI_Comm_create_keyval(copy_number, delete_number, &key, &step);
  MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, &no_copy, nullptr);
  MPI_Comm_create_keyval(MPI_COMM_DUP_FN, MPI_COMM_NULL_DELETE_FN, &plain_copy, nullptr);
  MPI_Type_create_keyval(copy_type_number, delete_type_number, &type_key, nullptr);
  MPI_Comm_set_attr(comm, key, storage);
  MPI_Comm_set_attr(comm, no_copy, storage + 50);
  MPI_Comm_set_attr(comm, plain_copy, storage + 60);
  MPI_Comm_set_attr(MPI_COMM_WORLD, plain_copy, storage + 61);
  const int freed_key = plain_copy;
  MPI_Comm_free_keyval(&plain_copy);
  CHECK_EQ(plain_copy, MPI_KEYVAL_INVALID);
  MPI_Datatype type, type_copy;
  MPI_Type_contiguous(2, MPI_INT, &type);
  MPI_Type_set_attr(type, type_key, storage + 70);
  job.checkpoint_here();
  void* value = nullptr;
  int flag = 0;
  MPI_Comm_get_attr(comm, key, static_cast<void*>(&value), &flag);
  CHECK_EQ(flag, 1);
  CHECK_EQ(value, static_cast<void*>(storage));
  MPI_Comm_dup(comm, &copy);
  CHECK_EQ(copies, 1);
  MPI_Comm_get_attr(copy, key, static_cast<void*>(&value), &flag);
  CHECK_EQ(flag, 1);
  CHECK_EQ(value, static_cast<void*>(storage + 5));
  MPI_Comm_get_attr(copy, no_copy, static_cast<void*>(&value), &flag);
  CHECK_EQ(flag, 0);
  (void)freed_key;
  MPI_Comm kept = copy;
  MPI_Comm_free(&copy);
  CHECK_EQ(deletions, 1);
  CHECK(last_deleted_from == kept);
  MPI_Comm_set_attr(comm, key, storage + 1);  // replaces, deletes the old one
  CHECK_EQ(deletions, 2);
  MPI_Comm_delete_attr(comm, key);
  CHECK_EQ(deletions, 3);
  MPI_Comm_get_attr(comm, key, static_cast<void*>(&value), &flag);
  CHECK_EQ(flag, 0);
  MPI_Type_dup(type, &type_copy);
  CHECK_EQ(copies, 2);
  MPI_Type_get_attr(type_copy, type_key, static_cast<void*>(&value), &flag);
  CHECK_EQ(value, static_cast<void*>(storage + 70));
  MPI_Type_free(&type_copy);
  MPI_Type_free(&type);
  CHECK_EQ(deletions, 5);
  MPI_Comm_free_keyval(&key);
  MPI_Comm_free_keyval(&no_copy);
  MPI_Type_free_keyval(&type_key);
  MPI_Comm_free(&comm);
}

SCENARIO(predefined_attributes, .ranks = 2) {
  int before = 0;
  for (int round = 0; round < 2; round++) {
    int *tag_limit = nullptr, *global = nullptr, *io = nullptr, flag = 0;
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, static_cast<void*>(&tag_limit), &flag);
    CHECK_EQ(flag, 1);
    if (round == 0) before = *tag_limit;
    CHECK(*tag_limit >= 32767);
    CHECK_EQ(*tag_limit, before);
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_WTIME_IS_GLOBAL, static_cast<void*>(&global), &flag);
    CHECK_EQ(flag, 1);
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_IO, static_cast<void*>(&io), &flag);
    CHECK_EQ(flag, 1);
    if (round == 0) job.checkpoint_here();
  }
  int value = job.rank, got = -1;
  const int tag = before < (1 << 20) ? before : 1 << 20;  // a limit that both MPIs have
  MPI_Sendrecv(&value, 1, MPI_INT, 1 - job.rank, tag, &got, 1, MPI_INT, 1 - job.rank, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  CHECK_EQ(got, 1 - job.rank);
}

int handled = 0, handled_class = 0;
MPI_Comm handled_on = MPI_COMM_NULL;
void handle_error(MPI_Comm* comm, int* code, ...) {
  handled++;
  handled_on = *comm;
  MPI_Error_class(*code, &handled_class);
}

SCENARIO(error_handlers_outlive_the_lower_half, .ranks = 2) {
  MPI_Comm comm, copy;
  MPI_Errhandler handler, got;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  MPI_Comm_create_errhandler(handle_error, &handler);
  MPI_Comm_set_errhandler(comm, handler);
  MPI_Errhandler_free(&handler);
  CHECK(handler == MPI_ERRHANDLER_NULL);
  int new_class = 0, new_code = 0;
  MPI_Add_error_class(&new_class);
  MPI_Add_error_code(new_class, &new_code);
  MPI_Add_error_string(new_code, "the flux is low");
  handled = handled_class = 0;
  job.checkpoint_here();
  int value = 0;
  MPI_Send(&value, 1, MPI_INT, 77, 0, comm);
  CHECK_EQ(handled, 1);
  CHECK_EQ(handled_class, MPI_ERR_RANK);
  CHECK(handled_on == comm);
  MPI_Comm_dup(comm, &copy);
  MPI_Comm_call_errhandler(copy, new_code);
  CHECK_EQ(handled, 2);
  CHECK_EQ(handled_class, new_class);
  CHECK(handled_on == copy);
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(new_code, text, &length);
  CHECK_EQ(std::string(text), "the flux is low");
  MPI_Error_string(MPI_ERR_TRUNCATE, text, &length);
  CHECK(length > 0);
  MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  MPI_Comm_get_errhandler(comm, &got);
  CHECK(got == MPI_ERRORS_RETURN);
  const int code = MPI_Recv(&value, 1, MPI_INT, 0, -55, comm, MPI_STATUS_IGNORE);
  int error_class = 0;
  MPI_Error_class(code, &error_class);
  CHECK_EQ(error_class, MPI_ERR_TAG);
  CHECK_EQ(handled, 2);
  MPI_Comm_get_errhandler(copy, &got);
  MPI_Errhandler_free(&got);
  MPI_Comm_free(&copy);
  MPI_Comm_free(&comm);
}

SCENARIO(info_objects_outlive_the_lower_half, .ranks = 2) {
  MPI_Info info, copy;
  MPI_Info_create(&info);
  MPI_Info_set(info, "colour", "green");
  MPI_Info_set(info, "shape", "round");
  MPI_Info_set(info, "colour", "blue");
  MPI_Info_dup(info, &copy);
  MPI_Info_delete(copy, "shape");
  job.checkpoint_here();
  int keys = 0, flag = 0, length = 0;
  char value[50], key[MPI_MAX_INFO_KEY + 1];
  MPI_Info_get_nkeys(info, &keys);
  CHECK_EQ(keys, 2);
  MPI_Info_get_nthkey(info, 1, key);
  CHECK_EQ(std::string(key), "shape");
  MPI_Info_get(info, "colour", 49, value, &flag);
  CHECK_EQ(flag, 1);
  CHECK_EQ(std::string(value), "blue");
  MPI_Info_get_valuelen(copy, "shape", &length, &flag);
  CHECK_EQ(flag, 0);
  MPI_Info_get_nkeys(copy, &keys);
  CHECK_EQ(keys, 1);
  MPI_Comm comm;
  MPI_Comm_dup_with_info(MPI_COMM_WORLD, info, &comm);
  check_communicator(job, comm);
  MPI_Comm_free(&comm);
  MPI_Info_free(&info);
  MPI_Info_free(&copy);
  CHECK(info == MPI_INFO_NULL);
}

SCENARIO(names_outlive_the_lower_half, .ranks = 2) {
  MPI_Comm comm;
  MPI_Datatype type;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  MPI_Type_contiguous(3, MPI_CHAR, &type);
  MPI_Comm_set_name(comm, "halo exchange");
  MPI_Type_set_name(type, "three letters");
  job.checkpoint_here();
  char name[MPI_MAX_OBJECT_NAME];
  int length = 0;
  MPI_Comm_get_name(comm, name, &length);
  CHECK_EQ(std::string(name), "halo exchange");
  CHECK_EQ(length, 13);
  MPI_Type_get_name(type, name, &length);
  CHECK_EQ(std::string(name), "three letters");
  MPI_Comm_get_name(MPI_COMM_WORLD, name, &length);
  CHECK_EQ(std::string(name), "MPI_COMM_WORLD");
  MPI_Type_get_name(MPI_DOUBLE, name, &length);
  CHECK_EQ(std::string(name), "MPI_DOUBLE");
  MPI_Get_processor_name(name, &length);
  CHECK(length > 0);
  MPI_Type_free(&type);
  MPI_Comm_free(&comm);
}

SCENARIO(time_never_runs_backwards, .ranks = 2) {
  double last = MPI_Wtime();
  timespec clock_before{}, clock_after{};
  clock_gettime(CLOCK_MONOTONIC, &clock_before);
  job.announce();
  bool backwards = false;
  for (bool over = false; !over; over = job.over()) {
    const double now = MPI_Wtime();
    backwards = backwards || now < last;
    last = now;
  }
  CHECK(!backwards);
  CHECK(MPI_Wtime() >= last);
  CHECK(MPI_Wtick() > 0 && MPI_Wtick() < 0.1);
  clock_gettime(CLOCK_MONOTONIC, &clock_after);
  CHECK(clock_after.tv_sec >= clock_before.tv_sec);
}

SCENARIO(library_questions_are_answered_after, .ranks = 2) {
  job.checkpoint_here();
  int flag = 0, version = 0, sub = 0, length = 0, level = -1, main_thread = 0;
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  MPI_Initialized(&flag);
  CHECK_EQ(flag, 1);
  MPI_Finalized(&flag);
  CHECK_EQ(flag, 0);
  MPI_Get_version(&version, &sub);
  CHECK(version >= 3);
  MPI_Get_library_version(text, &length);
  CHECK(length > 0);
  MPI_Query_thread(&level);
  CHECK(level >= MPI_THREAD_SINGLE && level <= MPI_THREAD_MULTIPLE);
  MPI_Is_thread_main(&main_thread);
  CHECK_EQ(main_thread, 1);
  int dims[2] = {0, 0};
  MPI_Dims_create(6, 2, dims);
  CHECK_EQ(dims[0] * 10 + dims[1], 32);
  MPI_Pcontrol(1);
}

SCENARIO(memory_of_alloc_mem_outlives_the_lower_half, .ranks = 2) {
  int* memory = nullptr;
  MPI_Alloc_mem(1 << 20, MPI_INFO_NULL, &memory);
  for (int i = 0; i < (1 << 18); i++) memory[i] = i ^ job.rank;
  job.checkpoint_here();
  bool same = true;
  for (int i = 0; i < (1 << 18); i++) same = same && memory[i] == (i ^ job.rank);
  CHECK(same);
  MPI_Free_mem(memory);
  MPI_Alloc_mem(100, MPI_INFO_NULL, &memory);
  memory[0] = 1;
  MPI_Free_mem(memory);
}

}  // namespace
