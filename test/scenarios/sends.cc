// SPDX-License-Identifier: BSD-3-Clause
// Sends in all modes, large ones, requests freed while active, persistent requests.
#include "test/scenario.h"

namespace {

using mana::test::pattern;

void send_large(mana::test::Job& job, std::size_t bytes) {
  const auto values = pattern<char>(bytes, 3);
  MPI_Request pending = MPI_REQUEST_NULL;
  const int count = static_cast<int>(bytes);
  if (job.rank == 1) MPI_Isend(values.data(), count, MPI_CHAR, 0, 7, MPI_COMM_WORLD, &pending);
  job.checkpoint_here();
  if (job.rank == 0) {
    std::vector<char> got(bytes);
    MPI_Status status;
    int length = 0;
    MPI_Probe(1, 7, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_CHAR, &length);
    CHECK_EQ(length, count);
    MPI_Recv(got.data(), count, MPI_CHAR, 1, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(got == values);
  }
  MPI_Wait(&pending, MPI_STATUS_IGNORE);
}

SCENARIO(unmatched_send_of_8_MiB, .ranks = 2) { send_large(job, 8 << 20); }
SCENARIO(unmatched_send_of_64_MiB, .ranks = 2) { send_large(job, 64 << 20); }

SCENARIO(large_send_half_received, .ranks = 2) {
  constexpr int kBytes = 16 << 20;
  const auto values = pattern<char>(kBytes, 4);
  std::vector<char> got(kBytes);
  MPI_Request pending;
  if (job.rank == 1) MPI_Isend(values.data(), kBytes, MPI_CHAR, 0, 7, MPI_COMM_WORLD, &pending);
  if (job.rank == 0) MPI_Irecv(got.data(), kBytes, MPI_CHAR, 1, MPI_ANY_TAG, MPI_COMM_WORLD, &pending);
  int done = 0;
  for (int i = 0; i < 3 && !done; i++) MPI_Test(&pending, &done, MPI_STATUS_IGNORE);
  job.checkpoint_here();
  MPI_Wait(&pending, MPI_STATUS_IGNORE);
  if (job.rank == 0) CHECK(got == values);
}

SCENARIO(blocked_in_a_rendezvous_send, .ranks = 2) {
  constexpr int kCount = 4 << 20;
  const auto values = pattern(kCount, 5);
  job.announce();
  if (job.rank == 0) {
    MPI_Send(values.data(), kCount, MPI_INT, 1, 7, MPI_COMM_WORLD);
    job.wait_until_over();  // a checkpoint takes the message in, so this may be reached before rank 1 calls MPI_Recv
  } else {
    job.wait_until_over();
    std::vector<int> got(kCount);
    MPI_Recv(got.data(), kCount, MPI_INT, 0, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(got == values);
  }
}

SCENARIO(both_blocked_in_sendrecv, .ranks = 3) {
  int sent = job.rank, got = -1, replaced = job.rank * 10;
  const int right = (job.rank + 1) % 3, left = (job.rank + 2) % 3;
  job.announce();
  if (job.rank == 2) job.wait_until_over();
  MPI_Sendrecv(&sent, 1, MPI_INT, right, 5, &got, 1, MPI_INT, left, 5, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  CHECK_EQ(got, left);
  MPI_Status status;
  MPI_Sendrecv_replace(&replaced, 1, MPI_INT, right, 6, left, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
  CHECK_EQ(replaced, left * 10);
  CHECK_EQ(status.MPI_SOURCE, left);
}

SCENARIO(sendrecv_replace_keeps_the_gaps, .ranks = 2) {
  MPI_Datatype strided;
  MPI_Type_vector(1000, 1, 2, MPI_INT, &strided);
  MPI_Type_commit(&strided);
  std::vector<int> values(2000);
  for (int i = 0; i < 2000; i++) values[i] = job.rank * 10000 + i;
  job.announce();
  if (job.rank == 1) job.wait_until_over();
  MPI_Sendrecv_replace(values.data(), 1, strided, 1 - job.rank, 6, 1 - job.rank, 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  bool right = true;
  for (int i = 0; i < 2000; i++) right = right && values[i] == (i % 2 == 0 ? 1 - job.rank : job.rank) * 10000 + i;
  CHECK(right);
  MPI_Type_free(&strided);
}

SCENARIO(isend_freed_while_active, .ranks = 2) {
  static std::vector<int> values = pattern(1 << 20, 6);
  if (job.rank == 1) {
    MPI_Request pending;
    MPI_Isend(values.data(), 1 << 20, MPI_INT, 0, 7, MPI_COMM_WORLD, &pending);
    MPI_Request_free(&pending);
    CHECK(pending == MPI_REQUEST_NULL);
    MPI_Isend(values.data(), 1, MPI_INT, 0, 8, MPI_COMM_WORLD, &pending);
    MPI_Request_free(&pending);
  }
  job.checkpoint_here();
  if (job.rank == 0) {
    std::vector<int> got(1 << 20);
    int small = -1;
    MPI_Recv(&small, 1, MPI_INT, 1, 8, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Recv(got.data(), 1 << 20, MPI_INT, 1, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(got == values);
    CHECK_EQ(small, values[0]);
  }
}

SCENARIO(issend_completes_only_when_received, .ranks = 2) {
  int value = 17, flag = 0;
  MPI_Request pending = MPI_REQUEST_NULL;
  if (job.rank == 0) MPI_Issend(&value, 1, MPI_INT, 1, 7, MPI_COMM_WORLD, &pending);
  job.checkpoint_here();
  if (job.rank == 0) {
    for (int i = 0; i < 200 && !flag; i++) MPI_Test(&pending, &flag, MPI_STATUS_IGNORE);
    CHECK_EQ(flag, 0);  // nobody has received it
    MPI_Send(&value, 1, MPI_INT, 1, 8, MPI_COMM_WORLD);
    MPI_Wait(&pending, MPI_STATUS_IGNORE);
  } else {
    int got = 0;
    MPI_Recv(&got, 1, MPI_INT, 0, 8, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    got = 0;
    MPI_Recv(&got, 1, MPI_INT, 0, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(got, 17);
  }
}

SCENARIO(blocked_in_ssend, .ranks = 2) {
  int value = 18;
  job.announce();
  if (job.rank == 0) {
    MPI_Ssend(&value, 1, MPI_INT, 1, 7, MPI_COMM_WORLD);
  } else {
    job.wait_until_over();
    int got = 0;
    MPI_Request pending;
    MPI_Irecv(&got, 1, MPI_INT, MPI_ANY_SOURCE, 7, MPI_COMM_WORLD, &pending);
    MPI_Wait(&pending, MPI_STATUS_IGNORE);
    CHECK_EQ(got, 18);
  }
}

SCENARIO(ready_send_after_meets_the_receive_posted_before, .ranks = 2) {
  int got = 0, value = 19;
  MPI_Request pending = MPI_REQUEST_NULL;
  if (job.rank == 0) MPI_Irecv(&got, 1, MPI_INT, 1, 7, MPI_COMM_WORLD, &pending);
  job.checkpoint_here();
  if (job.rank == 1) MPI_Rsend(&value, 1, MPI_INT, 0, 7, MPI_COMM_WORLD);
  MPI_Wait(&pending, MPI_STATUS_IGNORE);
  if (job.rank == 0) CHECK_EQ(got, 19);
}

SCENARIO(buffered_sends_outlive_the_lower_half, .ranks = 2) {
  constexpr int kCount = 100000;
  const int bytes = 4 * (kCount * static_cast<int>(sizeof(int)) + MPI_BSEND_OVERHEAD);
  std::vector<char> attached(static_cast<std::size_t>(bytes));
  auto values = pattern(kCount, 8);
  const auto kept = values;
  if (job.rank == 1) {
    MPI_Buffer_attach(attached.data(), bytes);
    MPI_Bsend(values.data(), kCount, MPI_INT, 0, 7, MPI_COMM_WORLD);
    MPI_Request pending;
    MPI_Ibsend(values.data(), 10, MPI_INT, 0, 8, MPI_COMM_WORLD, &pending);
    MPI_Wait(&pending, MPI_STATUS_IGNORE);
    std::fill(values.begin(), values.end(), 0);
  }
  job.checkpoint_here();
  if (job.rank == 1) {
    MPI_Bsend(kept.data(), 20, MPI_INT, 0, 9, MPI_COMM_WORLD);
    void* address = nullptr;
    int size = 0;
    MPI_Buffer_detach(&address, &size);
    CHECK_EQ(address, static_cast<void*>(attached.data()));
    CHECK_EQ(size, bytes);
  } else {
    std::vector<int> got(kCount);
    MPI_Recv(got.data(), 20, MPI_INT, 1, 9, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Recv(got.data(), kCount, MPI_INT, 1, 8, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Recv(got.data(), kCount, MPI_INT, 1, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(got == kept);
  }
}

SCENARIO(persistent_requests_inactive, .ranks = 2) {
  int sent = 0, got = -1;
  MPI_Request request;
  const int peer = 1 - job.rank;
  if (job.rank == 0) MPI_Send_init(&sent, 1, MPI_INT, peer, 7, MPI_COMM_WORLD, &request);
  if (job.rank == 1) MPI_Recv_init(&got, 1, MPI_INT, MPI_ANY_SOURCE, 7, MPI_COMM_WORLD, &request);
  for (int round = 0; round < 6; round++) {
    if (round == 3) job.checkpoint_here();
    sent = round * 3;
    MPI_Start(&request);
    MPI_Status status;
    MPI_Wait(&request, &status);
    CHECK(request != MPI_REQUEST_NULL);
    if (job.rank == 1) {
      CHECK_EQ(got, round * 3);
      CHECK_EQ(status.MPI_SOURCE, 0);
    }
  }
  MPI_Request_free(&request);
  CHECK(request == MPI_REQUEST_NULL);
}

SCENARIO(persistent_requests_active_in_all_modes, .ranks = 2) {
  int sent[4] = {1, 2, 3, 4}, got[4] = {0, 0, 0, 0};
  MPI_Request requests[4];
  std::vector<char> attached(1000 + MPI_BSEND_OVERHEAD);
  if (job.rank == 0) {
    MPI_Buffer_attach(attached.data(), static_cast<int>(attached.size()));
    MPI_Send_init(&sent[0], 1, MPI_INT, 1, 0, MPI_COMM_WORLD, &requests[0]);
    MPI_Ssend_init(&sent[1], 1, MPI_INT, 1, 1, MPI_COMM_WORLD, &requests[1]);
    MPI_Bsend_init(&sent[2], 1, MPI_INT, 1, 2, MPI_COMM_WORLD, &requests[2]);
    MPI_Rsend_init(&sent[3], 1, MPI_INT, 1, 3, MPI_COMM_WORLD, &requests[3]);
  } else {
    for (int i = 0; i < 4; i++) MPI_Recv_init(&got[i], 1, MPI_INT, 0, i, MPI_COMM_WORLD, &requests[i]);
    MPI_Startall(4, requests);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  if (job.rank == 0) MPI_Startall(3, requests);  // the ready send is started later, its receive is active already
  job.checkpoint_here();
  if (job.rank == 0) MPI_Start(&requests[3]);
  MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
  if (job.rank == 1) CHECK_EQ(got[0] * 1000 + got[1] * 100 + got[2] * 10 + got[3], 1234);
  MPI_Barrier(MPI_COMM_WORLD);
  if (job.rank == 1) MPI_Startall(4, requests);
  MPI_Barrier(MPI_COMM_WORLD);
  for (int& value : sent) value += 4;
  if (job.rank == 0) MPI_Startall(4, requests);
  MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
  if (job.rank == 1) CHECK_EQ(got[0] * 1000 + got[1] * 100 + got[2] * 10 + got[3], 5678);
  for (auto& request : requests) MPI_Request_free(&request);
  void* address = nullptr;
  int size = 0;
  if (job.rank == 0) MPI_Buffer_detach(&address, &size);
}

SCENARIO(many_messages_in_flight_both_ways, .ranks = 2) {
  constexpr int kMessages = 400;
  std::vector<std::vector<int>> sent(kMessages);
  std::vector<MPI_Request> pending(kMessages);
  const int peer = 1 - job.rank;
  for (int i = 0; i < kMessages; i++) {
    sent[i] = pattern(static_cast<std::size_t>(1 + i * i % 9000), i);
    MPI_Isend(sent[i].data(), static_cast<int>(sent[i].size()), MPI_INT, peer, i % 7, MPI_COMM_WORLD, &pending[i]);
  }
  job.checkpoint_here();
  std::vector<int> got(9001);
  for (int i = 0; i < kMessages; i++) {
    MPI_Status status;
    int count = 0;
    MPI_Recv(got.data(), 9001, MPI_INT, peer, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_INT, &count);
    CHECK_EQ(count, static_cast<int>(sent[i].size()));
    CHECK_EQ(status.MPI_TAG, i % 7);
    CHECK(std::equal(sent[i].begin(), sent[i].end(), got.begin()));
  }
  MPI_Waitall(kMessages, pending.data(), MPI_STATUSES_IGNORE);
}

}  // namespace
