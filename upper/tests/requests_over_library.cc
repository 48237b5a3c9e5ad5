// SPDX-License-Identifier: BSD-3-Clause
// Point-to-point and requests over a real library, with checkpoints at every point that matters.
#include <cstdio>
#include <cstring>
#include <vector>

#include "upper/tests/native_lower.h"

using namespace mana;
using namespace mana::upper;
using namespace mana::upper::test;

namespace {

Comm* const all = &world_comm;
int rank, size;
Datatype* type_int;
Datatype* type_double;
Op* sum;

void pause_here() { checkpoint(checkpoint_mode); }

void blocking_messages_arrive() {
  int next = (rank + 1) % size, previous = (rank + size - 1) % size;
  int out = rank, in = -1;
  abi::Status status;
  status.error = 77;
  if (rank % 2 == 0 && next != rank) {
    CHECK_OK(Send(&out, 1, type_int, next, 3, all));
    CHECK_OK(Recv(&in, 1, type_int, previous, 3, all, &status));
  } else {
    CHECK_OK(Recv(&in, 1, type_int, previous, 3, all, &status));
    CHECK_OK(Send(&out, 1, type_int, next, 3, all));
  }
  CHECK_EQ(in, previous);
  CHECK_EQ(status.source, previous);
  CHECK_EQ(status.tag, 3);
  CHECK_EQ(status.bytes(), 4u);
  CHECK_EQ(status.error, 77);  // only multiple completions set it
}

void irecv_outlives_the_lower_half() {
  int in[3] = {-1, -1, -1};
  Request* pending[3];
  int peer = rank ^ 1;
  for (int i = 0; i < 3; ++i) CHECK_OK(Irecv(&in[i], 1, type_int, peer, 10, all, &pending[i]));
  pause_here();
  for (int i = 0; i < 3; ++i) CHECK_OK(Send(&i, 1, type_int, peer, 10, all));
  abi::Status statuses[3];
  CHECK_OK(Waitall(3, pending, statuses));
  for (int i = 0; i < 3; ++i) {
    CHECK_EQ(in[i], i);
    CHECK_EQ(statuses[i].source, peer);
    CHECK_EQ(pending[i] == nullptr, true);
  }
}

void unmatched_messages_are_found_in_order() {
  int peer = rank ^ 1;
  for (int i = 0; i < 4; ++i) {
    int value = 100 + i;
    CHECK_OK(Send(&value, 1, type_int, peer, 20 + i % 2, all));
  }
  pause_here();
  int after = 200;
  CHECK_OK(Send(&after, 1, type_int, peer, 20, all));
  abi::Status status;
  int flag = 0, in = 0;
  CHECK_OK(Iprobe(abi::ANY_SOURCE, 21, all, &flag, &status));
  CHECK_EQ(flag, 1);
  CHECK_EQ(status.bytes(), 4u);
  CHECK_OK(Recv(&in, 1, type_int, abi::ANY_SOURCE, 21, all, &status));
  CHECK_EQ(in, 101);
  CHECK_OK(Recv(&in, 1, type_int, peer, abi::ANY_TAG, all, &status));
  CHECK_EQ(in, 100);
  CHECK_OK(Recv(&in, 1, type_int, peer, 20, all, &status));
  CHECK_EQ(in, 102);
  CHECK_OK(Recv(&in, 1, type_int, peer, 20, all, &status));
  CHECK_EQ(in, 200);
  Request* request;
  CHECK_OK(Irecv(&in, 1, type_int, peer, 21, all, &request));
  CHECK_OK(Wait(&request, &status));
  CHECK_EQ(in, 103);
}

void large_unmatched_message_is_drained() {
  int peer = rank ^ 1;
  std::vector<double> out(1 << 20), in(1 << 20, -1.0);
  for (size_t i = 0; i < out.size(); ++i) out[i] = rank * 1e7 + static_cast<double>(i);
  Request* request;
  CHECK_OK(Isend(out.data(), static_cast<int64_t>(out.size()), type_double, peer, 30, all, &request));
  pause_here();
  CHECK_OK(Recv(in.data(), static_cast<int64_t>(in.size()), type_double, peer, 30, all, nullptr));
  CHECK_EQ(in[12345], peer * 1e7 + 12345);
  CHECK_EQ(in.back(), peer * 1e7 + static_cast<double>(in.size() - 1));
  CHECK_OK(Wait(&request, nullptr));
}

void strided_type_is_unpacked_from_the_queue() {
  int peer = rank ^ 1;
  Datatype* vector;
  CHECK_OK(Type_vector(4, 1, 3, type_int, &vector));
  CHECK_OK(Type_commit(&vector));
  int out[12], in[12];
  for (int i = 0; i < 12; ++i) out[i] = i, in[i] = -1;
  CHECK_OK(Send(out, 1, vector, peer, 31, all));
  pause_here();
  CHECK_OK(Recv(in, 1, vector, peer, 31, all, nullptr));
  for (int i = 0; i < 12; ++i) CHECK_EQ(in[i], i % 3 == 0 && i < 10 ? i : -1);
  CHECK_OK(Type_free(&vector));
}

void truncation_is_told_at_delivery() {
  int peer = rank ^ 1;
  int out[4] = {1, 2, 3, 4}, in[2] = {0, 0};
  CHECK_OK(Send(out, 4, type_int, peer, 32, all));
  pause_here();
  CHECK_EQ(Recv(in, 2, type_int, peer, 32, all, nullptr), abi::ERR_TRUNCATE);
  CHECK_EQ(in[1], 2);
}

void probed_message_stays_with_its_handle() {
  int peer = rank ^ 1, out[2] = {7, 8}, in[2] = {0, 0};
  CHECK_OK(Send(out, 2, type_int, peer, 33, all));
  Message* message = nullptr;
  abi::Status status;
  CHECK_OK(Mprobe(peer, 33, all, &message, &status));
  CHECK_EQ(status.bytes(), 8u);
  pause_here();
  out[0] = 9;
  CHECK_OK(Send(out, 2, type_int, peer, 33, all));
  CHECK_OK(Mrecv(in, 2, type_int, &message, &status));
  CHECK_EQ(in[0], 7);
  CHECK_EQ(message == nullptr, true);
  CHECK_OK(Recv(in, 2, type_int, peer, 33, all, nullptr));
  CHECK_EQ(in[0], 9);
}

void persistent_requests_are_started_again() {
  int peer = rank ^ 1, out = 0, in = -1;
  Request* requests[2];
  CHECK_OK(Recv_init(&in, 1, type_int, peer, 40, all, &requests[0]));
  CHECK_OK(Send_init(&out, 1, type_int, peer, 40, all, &requests[1]));
  for (int i = 0; i < 4; ++i) {
    out = i;
    if (i == 2) {
      CHECK_OK(Start(&requests[0]));
      pause_here();
      CHECK_OK(Start(&requests[1]));
    } else {
      CHECK_OK(Startall(2, requests));
      if (i == 1) pause_here();
    }
    CHECK_OK(Waitall(2, requests, nullptr));
    CHECK_EQ(in, i);
    CHECK_EQ(requests[0] != nullptr, true);
  }
  CHECK_OK(Request_free(&requests[0]));
  CHECK_OK(Request_free(&requests[1]));
}

void synchronous_send_waits_for_its_receive() {
  int peer = rank ^ 1, value = 5, in = 0, flag = -1;
  Request *synchronous, *later;
  CHECK_OK(Issend(&value, 1, type_int, peer, 50, all, &synchronous));
  CHECK_OK(Isend(&value, 1, type_int, peer, 50, all, &later));
  pause_here();
  CHECK_OK(Wait(&later, nullptr));
  for (int i = 0; i < 50; ++i) {
    CHECK_OK(Test(&synchronous, &flag, nullptr));
    CHECK_EQ(flag, 0);
  }
  pause_here();
  CHECK_OK(Barrier(all));
  CHECK_OK(Recv(&in, 1, type_int, peer, 50, all, nullptr));
  CHECK_OK(Wait(&synchronous, nullptr));
  CHECK_OK(Recv(&in, 1, type_int, peer, 50, all, nullptr));
}

void synchronous_send_that_was_matched_completes() {
  int peer = rank ^ 1, value = 5, in = 0;
  Request *synchronous, *receive;
  CHECK_OK(Irecv(&in, 1, type_int, peer, 51, all, &receive));
  CHECK_OK(Barrier(all));
  CHECK_OK(Issend(&value, 1, type_int, peer, 51, all, &synchronous));
  pause_here();
  CHECK_OK(Wait(&synchronous, nullptr));
  CHECK_OK(Wait(&receive, nullptr));
  CHECK_EQ(in, 5);
}

void buffered_sends_and_their_buffer() {
  int peer = rank ^ 1, value = 6, in = 0;
  char buffer[4096];
  CHECK_EQ(Bsend(&value, 1, type_int, peer, 60, all), abi::ERR_BUFFER);
  CHECK_OK(Buffer_attach(buffer, sizeof buffer));
  CHECK_OK(Bsend(&value, 1, type_int, peer, 60, all));
  pause_here();
  CHECK_OK(Recv(&in, 1, type_int, peer, 60, all, nullptr));
  CHECK_EQ(in, 6);
  void* back;
  int64_t bytes;
  CHECK_OK(Buffer_detach(&back, &bytes));
  CHECK_EQ(back == buffer, true);
  CHECK_EQ(bytes, 4096);
}

void combined_calls() {
  int peer = rank ^ 1, out = rank, in = -1;
  abi::Status status;
  CHECK_OK(Sendrecv(&out, 1, type_int, peer, 70, &in, 1, type_int, peer, 70, all, &status));
  CHECK_EQ(in, peer);
  CHECK_OK(Sendrecv_replace(&out, 1, type_int, peer, 71, peer, 71, all, &status));
  CHECK_EQ(out, peer);
  Request* request;
  CHECK_OK(Isendrecv_replace(&out, 1, type_int, peer, 72, peer, 72, all, &request));
  pause_here();
  CHECK_OK(Wait(&request, &status));
  CHECK_EQ(out, rank);
  CHECK_OK(Sendrecv(&out, 1, type_int, abi::PROC_NULL, 70, &in, 1, type_int, abi::PROC_NULL, 70, all, &status));
  CHECK_EQ(status.source, abi::PROC_NULL);
}

void wait_and_test_in_all_their_forms() {
  int peer = rank ^ 1, in[4], out = 1, index, flag, outcount, indices[4];
  Request* requests[5] = {};
  abi::Status statuses[5];
  CHECK_OK(Waitany(5, requests, &index, statuses));
  CHECK_EQ(index, abi::UNDEFINED);
  CHECK_OK(Testall(5, requests, &flag, statuses));
  CHECK_EQ(flag, 1);
  for (int i = 0; i < 4; ++i) CHECK_OK(Irecv(&in[i], 1, type_int, peer, 80 + i, all, &requests[i]));
  CHECK_OK(Testany(5, requests, &index, &flag, statuses));
  CHECK_EQ(flag, 0);
  CHECK_OK(Barrier(all));
  CHECK_OK(Send(&out, 1, type_int, peer, 82, all));
  pause_here();
  CHECK_OK(Waitany(5, requests, &index, statuses));
  CHECK_EQ(index, 2);
  CHECK_EQ(statuses[0].tag, 82);
  CHECK_OK(Send(&out, 1, type_int, peer, 80, all));
  CHECK_OK(Send(&out, 1, type_int, peer, 83, all));
  int seen = 0;
  while (seen < 2) {
    CHECK_OK(Waitsome(5, requests, &outcount, indices, statuses));
    seen += outcount;
  }
  CHECK_EQ(requests[1] != nullptr, true);
  CHECK_OK(Cancel(&requests[1]));
  CHECK_OK(Wait(&requests[1], statuses));
  CHECK_EQ(statuses[0].cancelled, 1);
  CHECK_OK(Waitsome(5, requests, &outcount, indices, statuses));
  CHECK_EQ(outcount, abi::UNDEFINED);
}

void interrupted_calls_go_on() {
  int peer = rank ^ 1, out = 11, in = 0;
  // Both ranks are stopped while they wait in MPI_Recv for a message that is sent only afterwards, by a chain.
  if (rank % 2 == 0) {
    ask_to_stop();
    CHECK_OK(Recv(&in, 1, type_int, peer, 90, all, nullptr));
    CHECK_EQ(in, 11);
  } else {
    pause_here();
    CHECK_OK(Send(&out, 1, type_int, peer, 90, all));
  }
  Request* request = nullptr;
  if (rank % 2 == 0) {
    CHECK_OK(Irecv(&in, 1, type_int, peer, 91, all, &request));
    ask_to_stop();
    CHECK_OK(Waitall(1, &request, nullptr));
  } else {
    pause_here();
    CHECK_OK(Send(&out, 1, type_int, peer, 91, all));
  }
  if (rank % 2 == 0) {
    abi::Status status;
    ask_to_stop();
    CHECK_OK(Probe(abi::ANY_SOURCE, 92, all, &status));
    CHECK_OK(Recv(&in, 1, type_int, peer, 92, all, nullptr));
  } else {
    pause_here();
    CHECK_OK(Send(&out, 1, type_int, peer, 92, all));
  }
}

void messages_to_oneself_keep_their_order() {
  int first = 1, second = 2, third = 3, in[3] = {}, peer = rank ^ 1, from_peer = 50;
  Request* receives[3];
  Request* send;
  abi::Status status;
  // A receive from any source is posted first: the first message is its, the others are the queue's, in order.
  CHECK_OK(Irecv(&in[0], 1, type_int, abi::ANY_SOURCE, 5, all, &receives[0]));
  CHECK_OK(Irecv(&in[1], 1, type_int, rank, 5, all, &receives[1]));
  CHECK_OK(Send(&first, 1, type_int, rank, 5, all));
  CHECK_OK(Isend(&second, 1, type_int, rank, 5, all, &send));
  CHECK_OK(Wait(&send, nullptr));
  pause_here();
  CHECK_OK(Send(&third, 1, type_int, rank, 5, all));
  CHECK_OK(Waitall(2, receives, nullptr));
  CHECK_EQ(in[0], 1);
  CHECK_EQ(in[1], 2);
  CHECK_OK(Recv(&in[2], 1, type_int, abi::ANY_SOURCE, 5, all, &status));
  CHECK_EQ(in[2], 3);
  CHECK_EQ(status.source, rank);
  // The receive from any source is taken by another rank's message: the message to oneself is unmatched below.
  CHECK_OK(Irecv(&in[0], 1, type_int, abi::ANY_SOURCE, 6, all, &receives[0]));
  CHECK_OK(Barrier(all));
  CHECK_OK(Send(&from_peer, 1, type_int, peer, 6, all));
  CHECK_OK(Barrier(all));
  CHECK_OK(Send(&first, 1, type_int, rank, 6, all));
  CHECK_OK(Send(&second, 1, type_int, rank, 6, all));
  pause_here();
  CHECK_OK(Wait(&receives[0], &status));
  CHECK_OK(Recv(&in[1], 1, type_int, abi::ANY_SOURCE, abi::ANY_TAG, all, nullptr));
  CHECK_OK(Recv(&in[2], 1, type_int, abi::ANY_SOURCE, abi::ANY_TAG, all, nullptr));
  CHECK_EQ(in[0] + in[1] + in[2], 53);
  CHECK_EQ(in[1] < in[2], true);
  // A synchronous one is complete when it is received, not before; a truncated one says so.
  int flag = -1, two[2] = {7, 8};
  CHECK_OK(Issend(two, 2, type_int, rank, 8, all, &send));
  CHECK_OK(Test(&send, &flag, nullptr));
  CHECK_EQ(flag, 0);
  pause_here();
  CHECK_EQ(Recv(in, 1, type_int, rank, 8, all, nullptr), abi::ERR_TRUNCATE);
  CHECK_OK(Wait(&send, nullptr));
  CHECK_OK(Irecv(in, 1, type_int, rank, 9, all, &receives[0]));
  pause_here();
  CHECK_OK(Cancel(&receives[0]));
  CHECK_OK(Wait(&receives[0], &status));
  CHECK_EQ(status.cancelled, 1);
}

void messages_to_oneself() {
  int out = 3, in = 0;
  Request* request;
  CHECK_OK(Isend(&out, 1, type_int, 0, 1, &self_comm, &request));
  pause_here();
  CHECK_OK(Recv(&in, 1, type_int, 0, 1, &self_comm, nullptr));
  CHECK_OK(Wait(&request, nullptr));
  CHECK_EQ(in, 3);
}

void freed_requests_are_drained() {
  int peer = rank ^ 1, out = 4, in = 0;
  Request* request;
  CHECK_OK(Isend(&out, 1, type_int, peer, 95, all, &request));
  CHECK_OK(Request_free(&request));
  pause_here();
  CHECK_OK(Recv(&in, 1, type_int, peer, 95, all, nullptr));
  CHECK_EQ(in, 4);
}

int queries = 0, frees = 0;
int on_query(void*, abi::Status* status) {
  ++queries;
  status->source = 17;
  return 0;
}
int on_free(void*) {
  ++frees;
  return 0;
}
int on_cancel(void*, int) { return 0; }

void generalized_requests_live_above() {
  Request* request;
  abi::Status status;
  int flag;
  CHECK_OK(Grequest_start(reinterpret_cast<Function>(on_query), reinterpret_cast<Function>(on_free),
                          reinterpret_cast<Function>(on_cancel), nullptr, &request));
  CHECK_OK(Test(&request, &flag, &status));
  CHECK_EQ(flag, 0);
  pause_here();
  CHECK_OK(Grequest_complete(request));
  CHECK_OK(Wait(&request, &status));
  CHECK_EQ(status.source, 17);
  CHECK_EQ(queries, 1);
  CHECK_EQ(frees, 1);
}

}  // namespace

int main() {
  start();
  rank = world_comm.rank;
  size = world_comm.size;
  type_int = predefined_type(abi::INT);
  type_double = predefined_type(abi::DOUBLE);
  sum = static_cast<Op*>(predefined(abi::SUM));
  blocking_messages_arrive();
  pause_here();
  irecv_outlives_the_lower_half();
  unmatched_messages_are_found_in_order();
  large_unmatched_message_is_drained();
  strided_type_is_unpacked_from_the_queue();
  truncation_is_told_at_delivery();
  probed_message_stays_with_its_handle();
  persistent_requests_are_started_again();
  synchronous_send_that_was_matched_completes();
  synchronous_send_waits_for_its_receive();
  buffered_sends_and_their_buffer();
  combined_calls();
  wait_and_test_in_all_their_forms();
  interrupted_calls_go_on();
  messages_to_oneself();
  messages_to_oneself_keep_their_order();
  freed_requests_are_drained();
  generalized_requests_live_above();
  return finish();
}
