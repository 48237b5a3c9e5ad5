// SPDX-License-Identifier: BSD-3-Clause
// Pending receives, unmatched messages, matching order.
#include <numeric>

#include "test/scenario.h"

namespace {

using mana::test::pattern;

SCENARIO(irecv_outlives_the_lower_half, .ranks = 2) {
  int got = 0;
  MPI_Request pending = MPI_REQUEST_NULL;
  if (job.rank == 0) MPI_Irecv(&got, 1, MPI_INT, 1, 7, MPI_COMM_WORLD, &pending);
  job.checkpoint_here();
  if (job.rank == 1) {
    const int answer = 42;
    MPI_Send(&answer, 1, MPI_INT, 0, 7, MPI_COMM_WORLD);
  } else {
    MPI_Status status;
    MPI_Wait(&pending, &status);
    CHECK_EQ(got, 42);
    CHECK_EQ(status.MPI_SOURCE, 1);
    CHECK_EQ(status.MPI_TAG, 7);
    CHECK(pending == MPI_REQUEST_NULL);
  }
}

SCENARIO(unmatched_send_is_received_after, .ranks = 2) {
  int got[3] = {0, 0, 0};
  if (job.rank == 1) {
    const int answer[3] = {4, 5, 6};
    MPI_Send(answer, 3, MPI_INT, 0, 7, MPI_COMM_WORLD);
  }
  job.checkpoint_here();
  if (job.rank == 0) {
    MPI_Status status;
    int count = 0;
    MPI_Recv(got, 3, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_INT, &count);
    CHECK_EQ(got[0] * 100 + got[1] * 10 + got[2], 456);
    CHECK_EQ(status.MPI_SOURCE, 1);
    CHECK_EQ(status.MPI_TAG, 7);
    CHECK_EQ(count, 3);
  }
}

SCENARIO(hundred_wildcard_receives_keep_their_order, .ranks = 3) {
  constexpr int kReceives = 100;
  std::vector<int> got(kReceives, -1);
  std::vector<MPI_Request> pending(kReceives, MPI_REQUEST_NULL);
  if (job.rank == 0) {
    for (int i = 0; i < kReceives; i++) {
      MPI_Irecv(&got[i], 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &pending[i]);
    }
  }
  job.checkpoint_here();
  if (job.rank != 0) {
    for (int i = 0; i < kReceives / 2; i++) {
      const int value = job.rank * 1000 + i;
      MPI_Send(&value, 1, MPI_INT, 0, i, MPI_COMM_WORLD);
    }
    return;
  }
  std::vector<MPI_Status> statuses(kReceives);
  MPI_Waitall(kReceives, pending.data(), statuses.data());
  int next[3] = {0, 0, 0};
  for (int i = 0; i < kReceives; i++) {
    const int source = statuses[i].MPI_SOURCE;
    CHECK(source == 1 || source == 2);
    if (source < 1 || source > 2) continue;
    CHECK_EQ(statuses[i].MPI_TAG, next[source]);
    CHECK_EQ(got[i], source * 1000 + next[source]);
    next[source]++;
  }
  CHECK_EQ(next[1], kReceives / 2);
}

SCENARIO(half_of_the_wildcard_receives_is_matched_before, .ranks = 2) {
  constexpr int kReceives = 40;
  std::vector<int> got(kReceives, -1);
  std::vector<MPI_Request> pending(kReceives, MPI_REQUEST_NULL);
  if (job.rank == 0) {
    for (int i = 0; i < kReceives; i++) {
      MPI_Irecv(&got[i], 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &pending[i]);
    }
  } else {
    for (int i = 0; i < kReceives / 2; i++) MPI_Send(&i, 1, MPI_INT, 0, i, MPI_COMM_WORLD);
  }
  job.checkpoint_here();
  if (job.rank == 1) {
    for (int i = kReceives / 2; i < kReceives; i++) MPI_Send(&i, 1, MPI_INT, 0, i, MPI_COMM_WORLD);
    return;
  }
  for (int i = kReceives - 1; i >= 0; i--) {
    MPI_Status status;
    MPI_Wait(&pending[i], &status);
    CHECK_EQ(got[i], i);
    CHECK_EQ(status.MPI_TAG, i);
    CHECK_EQ(status.MPI_SOURCE, 1);
  }
}

SCENARIO(any_tag_takes_drained_messages_before_later_ones, .ranks = 2) {
  const std::vector<int> tags = {3, 1, 3, 2, 1, 2, 3, 9};
  if (job.rank == 1) {
    for (std::size_t i = 0; i < tags.size(); i++) {
      const int value = static_cast<int>(i);
      MPI_Send(&value, 1, MPI_INT, 0, tags[i], MPI_COMM_WORLD);
    }
  }
  job.checkpoint_here();
  if (job.rank == 1) {
    for (std::size_t i = 0; i < tags.size(); i++) {
      const int value = static_cast<int>(i + tags.size());
      MPI_Send(&value, 1, MPI_INT, 0, tags[i], MPI_COMM_WORLD);
    }
    return;
  }
  for (std::size_t i = 0; i < 2 * tags.size(); i++) {
    int value = -1;
    MPI_Status status;
    MPI_Recv(&value, 1, MPI_INT, 1, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    CHECK_EQ(value, static_cast<int>(i));
    CHECK_EQ(status.MPI_TAG, tags[i % tags.size()]);
  }
}

SCENARIO(tags_pick_from_the_drained_messages_out_of_order, .ranks = 2) {
  constexpr int kMessages = 30;
  if (job.rank == 1) {
    for (int i = 0; i < kMessages; i++) MPI_Send(&i, 1, MPI_INT, 0, i % 5, MPI_COMM_WORLD);
  }
  job.checkpoint_here();
  if (job.rank == 1) return;
  for (int tag = 4; tag >= 0; tag--) {
    for (int i = 0; i < kMessages / 5; i++) {
      int value = -1;
      MPI_Request request;
      MPI_Irecv(&value, 1, MPI_INT, MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, &request);
      MPI_Wait(&request, MPI_STATUS_IGNORE);
      CHECK_EQ(value, i * 5 + tag);
    }
  }
}

SCENARIO(same_envelope_on_two_communicators_stays_apart, .ranks = 2) {
  MPI_Comm first, second;
  MPI_Comm_dup(MPI_COMM_WORLD, &first);
  MPI_Comm_dup(MPI_COMM_WORLD, &second);
  if (job.rank == 1) {
    const int values[3] = {10, 20, 30};
    MPI_Send(&values[0], 1, MPI_INT, 0, 7, first);
    MPI_Send(&values[1], 1, MPI_INT, 0, 7, second);
    MPI_Send(&values[2], 1, MPI_INT, 0, 7, MPI_COMM_WORLD);
  }
  job.checkpoint_here();
  if (job.rank == 0) {
    int values[3] = {0, 0, 0};
    MPI_Recv(&values[2], 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Recv(&values[1], 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, second, MPI_STATUS_IGNORE);
    MPI_Recv(&values[0], 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, first, MPI_STATUS_IGNORE);
    CHECK_EQ(values[0] + values[1] * 100 + values[2] * 10000, 302010);
  }
  MPI_Comm_free(&first);
  MPI_Comm_free(&second);
}

SCENARIO(drained_strided_message_lands_strided, .ranks = 2) {
  MPI_Datatype column, every_third;
  MPI_Type_vector(10, 2, 5, MPI_INT, &column);
  MPI_Type_vector(20, 1, 3, MPI_INT, &every_third);
  MPI_Type_commit(&column);
  MPI_Type_commit(&every_third);
  const auto source = pattern(50, 3);
  std::vector<int> got(60, -1);
  if (job.rank == 1) MPI_Send(source.data(), 1, column, 0, 7, MPI_COMM_WORLD);
  job.checkpoint_here();
  if (job.rank == 0) {
    MPI_Status status;
    int elements = 0;
    MPI_Recv(got.data(), 1, every_third, 1, 7, MPI_COMM_WORLD, &status);
    MPI_Get_elements(&status, every_third, &elements);
    CHECK_EQ(elements, 20);
    std::vector<int> expected(60, -1);
    for (int i = 0; i < 20; i++) expected[i * 3] = source[i / 2 * 5 + i % 2];
    CHECK_EQ(got, expected);
  }
  MPI_Type_free(&column);
  MPI_Type_free(&every_third);
}

SCENARIO(drained_strided_message_larger_than_eager, .ranks = 2) {
  constexpr int kBlocks = 300000;
  MPI_Datatype strided;
  MPI_Type_vector(kBlocks, 1, 2, MPI_DOUBLE, &strided);
  MPI_Type_commit(&strided);
  MPI_Request pending = MPI_REQUEST_NULL;
  const auto source = pattern<double>(kBlocks * 2, 5);
  if (job.rank == 1) MPI_Isend(source.data(), 1, strided, 0, 7, MPI_COMM_WORLD, &pending);
  MPI_Type_free(&strided);
  job.checkpoint_here();
  if (job.rank == 0) {
    std::vector<double> got(kBlocks, -1);
    MPI_Recv(got.data(), kBlocks, MPI_DOUBLE, 1, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    bool same = true;
    for (int i = 0; i < kBlocks; i++) same = same && got[i] == source[2 * i];
    CHECK(same);
  }
  MPI_Wait(&pending, MPI_STATUS_IGNORE);
}

SCENARIO(drained_message_that_is_too_long_is_truncated_later, .ranks = 2) {
  MPI_Comm lenient;
  MPI_Comm_dup(MPI_COMM_WORLD, &lenient);
  MPI_Comm_set_errhandler(lenient, MPI_ERRORS_RETURN);
  const auto values = pattern(100, 1);
  if (job.rank == 1) MPI_Send(values.data(), 100, MPI_INT, 0, 7, lenient);
  job.checkpoint_here();
  if (job.rank == 0) {
    int got[12];
    std::fill_n(got, 12, -5);
    const int code = MPI_Recv(got, 10, MPI_INT, 1, 7, lenient, MPI_STATUS_IGNORE);
    int error_class = 0;
    MPI_Error_class(code, &error_class);
    CHECK_EQ(error_class, MPI_ERR_TRUNCATE);
    CHECK_EQ(got[10], -5);
  }
  MPI_Comm_free(&lenient);
}

SCENARIO(empty_messages_count, .ranks = 2) {
  if (job.rank == 1) {
    MPI_Send(nullptr, 0, MPI_INT, 0, 1, MPI_COMM_WORLD);
    MPI_Send(nullptr, 0, MPI_DOUBLE, 0, 2, MPI_COMM_WORLD);
  }
  job.checkpoint_here();
  if (job.rank == 0) {
    int value = 9, count = -1;
    MPI_Status status;
    MPI_Recv(&value, 1, MPI_INT, 1, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_INT, &count);
    CHECK_EQ(status.MPI_TAG, 1);
    CHECK_EQ(count, 0);
    CHECK_EQ(value, 9);
    MPI_Recv(&value, 1, MPI_INT, 1, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    CHECK_EQ(status.MPI_TAG, 2);
  }
}

SCENARIO(completed_receive_keeps_its_status_until_waited_for, .ranks = 2) {
  int got = 0;
  MPI_Request pending = MPI_REQUEST_NULL;
  if (job.rank == 0) {
    MPI_Irecv(&got, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &pending);
    int ready = 1;
    MPI_Send(&ready, 1, MPI_INT, 1, 1, MPI_COMM_WORLD);
  } else {
    int ready = 0;
    MPI_Recv(&ready, 1, MPI_INT, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    const int answer = 43;
    MPI_Send(&answer, 1, MPI_INT, 0, 8, MPI_COMM_WORLD);
  }
  job.checkpoint_here();
  if (job.rank == 0) {
    MPI_Status status;
    int flag = 0, count = 0;
    while (flag == 0) MPI_Request_get_status(pending, &flag, &status);
    CHECK_EQ(status.MPI_TAG, 8);
    CHECK(pending != MPI_REQUEST_NULL);
    std::memset(&status, 0, sizeof status);
    MPI_Wait(&pending, &status);
    MPI_Get_count(&status, MPI_INT, &count);
    CHECK_EQ(got, 43);
    CHECK_EQ(status.MPI_SOURCE, 1);
    CHECK_EQ(status.MPI_TAG, 8);
    CHECK_EQ(count, 1);
  }
}

SCENARIO(status_outlives_the_lower_half, .ranks = 2) {
  struct Pair { double a; int b; } pair = {1.5, 2}, got{};
  MPI_Datatype type;
  const int lengths[2] = {1, 1};
  const MPI_Aint at[2] = {offsetof(Pair, a), offsetof(Pair, b)};
  const MPI_Datatype types[2] = {MPI_DOUBLE, MPI_INT};
  MPI_Type_create_struct(2, lengths, at, types, &type);
  MPI_Type_commit(&type);
  MPI_Status status;
  if (job.rank == 1) MPI_Send(&pair, 1, type, 0, 12, MPI_COMM_WORLD);
  if (job.rank == 0) MPI_Recv(&got, 1, type, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
  job.checkpoint_here();
  if (job.rank == 0) {
    int count = 0, elements = 0, cancelled = -1;
    MPI_Get_count(&status, type, &count);
    MPI_Get_elements(&status, type, &elements);
    MPI_Test_cancelled(&status, &cancelled);
    CHECK_EQ(count, 1);
    CHECK_EQ(elements, 2);
    CHECK_EQ(cancelled, 0);
    CHECK_EQ(status.MPI_TAG, 12);
    CHECK_EQ(got.a + got.b, 3.5);
  }
  MPI_Type_free(&type);
}

SCENARIO(absolute_addresses_and_packed_messages, .ranks = 2) {
  int a = job.rank == 1 ? 11 : 0;
  double b = job.rank == 1 ? 2.25 : 0;
  MPI_Datatype absolute;
  const int lengths[2] = {1, 1};
  MPI_Aint at[2];
  MPI_Get_address(&a, &at[0]);
  MPI_Get_address(&b, &at[1]);
  const MPI_Datatype types[2] = {MPI_INT, MPI_DOUBLE};
  MPI_Type_create_struct(2, lengths, at, types, &absolute);
  MPI_Type_commit(&absolute);
  char packed[100];
  int used = 0;
  if (job.rank == 1) {
    MPI_Send(MPI_BOTTOM, 1, absolute, 0, 1, MPI_COMM_WORLD);
    MPI_Pack(&a, 1, MPI_INT, packed, 100, &used, MPI_COMM_WORLD);
    MPI_Pack(&b, 1, MPI_DOUBLE, packed, 100, &used, MPI_COMM_WORLD);
    MPI_Send(packed, used, MPI_PACKED, 0, 2, MPI_COMM_WORLD);
    MPI_Send(MPI_BOTTOM, 1, absolute, 0, 3, MPI_COMM_WORLD);
  }
  job.checkpoint_here();
  if (job.rank == 0) {
    MPI_Recv(MPI_BOTTOM, 1, absolute, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(a, 11);
    CHECK_EQ(b, 2.25);
    a = 0, b = 0;
    MPI_Recv(MPI_BOTTOM, 1, absolute, 1, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(a, 11);
    CHECK_EQ(b, 2.25);
    MPI_Recv(packed, 100, MPI_PACKED, 1, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    a = 0, b = 0, used = 0;
    MPI_Unpack(packed, 100, &used, &a, 1, MPI_INT, MPI_COMM_WORLD);
    MPI_Unpack(packed, 100, &used, &b, 1, MPI_DOUBLE, MPI_COMM_WORLD);
    CHECK_EQ(a, 11);
    CHECK_EQ(b, 2.25);
  }
  MPI_Type_free(&absolute);
}

SCENARIO(messages_to_self, .ranks = 2) {
  int sent = 5 + job.rank, got[2] = {0, 0};
  MPI_Request send, receive;
  MPI_Isend(&sent, 1, MPI_INT, job.rank, 3, MPI_COMM_WORLD, &send);
  MPI_Irecv(&got[1], 1, MPI_INT, 0, 4, MPI_COMM_SELF, &receive);
  job.checkpoint_here();
  MPI_Recv(&got[0], 1, MPI_INT, job.rank, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Send(&sent, 1, MPI_INT, 0, 4, MPI_COMM_SELF);
  MPI_Wait(&send, MPI_STATUS_IGNORE);
  MPI_Wait(&receive, MPI_STATUS_IGNORE);
  CHECK_EQ(got[0], 5 + job.rank);
  CHECK_EQ(got[1], 5 + job.rank);
}

SCENARIO(proc_null_is_never_counted, .ranks = 2) {
  int value = 1;
  MPI_Request requests[2];
  MPI_Send(&value, 1, MPI_INT, MPI_PROC_NULL, 3, MPI_COMM_WORLD);
  MPI_Isend(&value, 1, MPI_INT, MPI_PROC_NULL, 3, MPI_COMM_WORLD, &requests[0]);
  MPI_Irecv(&value, 1, MPI_INT, MPI_PROC_NULL, 3, MPI_COMM_WORLD, &requests[1]);
  job.checkpoint_here();
  MPI_Status status;
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);  // MPICH 4.0 leaves the statuses of these requests unset
  MPI_Recv(&value, 1, MPI_INT, MPI_PROC_NULL, 3, MPI_COMM_WORLD, &status);
  CHECK_EQ(status.MPI_SOURCE, MPI_PROC_NULL);
  MPI_Probe(MPI_PROC_NULL, 3, MPI_COMM_WORLD, &status);
  CHECK_EQ(status.MPI_SOURCE, MPI_PROC_NULL);
  CHECK_EQ(value, 1);
}

SCENARIO(cancelled_receives, .ranks = 2) {
  int got[3] = {-1, -1, -1};
  MPI_Request early = MPI_REQUEST_NULL, late = MPI_REQUEST_NULL, matched = MPI_REQUEST_NULL;
  if (job.rank == 0) {
    MPI_Irecv(&got[0], 1, MPI_INT, 1, 50, MPI_COMM_WORLD, &early);
    MPI_Irecv(&got[1], 1, MPI_INT, 1, 51, MPI_COMM_WORLD, &late);
    MPI_Irecv(&got[2], 1, MPI_INT, 1, 52, MPI_COMM_WORLD, &matched);
    MPI_Cancel(&early);
  } else {
    const int answer = 9;
    MPI_Send(&answer, 1, MPI_INT, 0, 52, MPI_COMM_WORLD);
  }
  job.checkpoint_here();
  if (job.rank == 0) {
    MPI_Status status;
    int cancelled = 0;
    MPI_Wait(&early, &status);
    MPI_Test_cancelled(&status, &cancelled);
    CHECK_EQ(cancelled, 1);
    MPI_Cancel(&late);
    MPI_Wait(&late, &status);
    MPI_Test_cancelled(&status, &cancelled);
    CHECK_EQ(cancelled, 1);
    MPI_Cancel(&matched);  // its message may be here already: then the receive happened, else it must still be receivable
    MPI_Wait(&matched, &status);
    MPI_Test_cancelled(&status, &cancelled);
    if (cancelled) MPI_Recv(&got[2], 1, MPI_INT, 1, 52, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(got[2], 9);
    CHECK_EQ(got[0] + got[1], -2);
  }
}

}  // namespace
