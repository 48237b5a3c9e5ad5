// SPDX-License-Identifier: BSD-3-Clause
// Probes, matched probes, Wait*/Test* over mixtures of what was completed before, during and after; calls that block.
#include <algorithm>
#include <vector>

#include "test/scenario.h"

namespace {

using mana::test::pattern;

SCENARIO(iprobe_finds_a_drained_message, .ranks = 2) {
  const int values[3] = {1, 2, 3};
  if (job.rank == 1) MPI_Send(values, 3, MPI_INT, 0, 7, MPI_COMM_WORLD);
  job.checkpoint_here();
  if (job.rank == 0) {
    int flag = 0, count = 0, got[3] = {0, 0, 0};
    MPI_Status status;
    MPI_Iprobe(1, 8, MPI_COMM_WORLD, &flag, &status);
    CHECK_EQ(flag, 0);
    while (!flag) MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, &status);
    MPI_Get_count(&status, MPI_INT, &count);
    CHECK_EQ(status.MPI_SOURCE, 1);
    CHECK_EQ(status.MPI_TAG, 7);
    CHECK_EQ(count, 3);
    MPI_Recv(got, 3, MPI_INT, status.MPI_SOURCE, status.MPI_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(got[2], 3);
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, &status);
    CHECK_EQ(flag, 0);
  }
}

SCENARIO(probed_before_received_after, .ranks = 2) {
  const int value = 77;
  MPI_Status status;
  if (job.rank == 1) MPI_Send(&value, 1, MPI_INT, 0, 7, MPI_COMM_WORLD);
  if (job.rank == 0) MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
  job.checkpoint_here();
  if (job.rank == 1) MPI_Send(&value, 1, MPI_INT, 0, 6, MPI_COMM_WORLD);
  if (job.rank == 0) {
    int got = 0;
    MPI_Recv(&got, 1, MPI_INT, status.MPI_SOURCE, status.MPI_TAG, MPI_COMM_WORLD, &status);
    CHECK_EQ(got, 77);
    CHECK_EQ(status.MPI_TAG, 7);
    MPI_Recv(&got, 1, MPI_INT, 1, 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
}

SCENARIO(matched_message_is_held_across, .ranks = 2) {
  int values[2][2] = {{1, 2}, {3, 4}};
  MPI_Message message = MPI_MESSAGE_NULL, nothing = MPI_MESSAGE_NULL;
  MPI_Status status;
  if (job.rank == 1) {
    MPI_Send(values[0], 2, MPI_INT, 0, 7, MPI_COMM_WORLD);
    MPI_Send(values[1], 2, MPI_INT, 0, 7, MPI_COMM_WORLD);
  } else {
    MPI_Mprobe(1, 7, MPI_COMM_WORLD, &message, &status);
    MPI_Mprobe(MPI_PROC_NULL, 7, MPI_COMM_WORLD, &nothing, MPI_STATUS_IGNORE);
    CHECK(nothing == MPI_MESSAGE_NO_PROC);
  }
  job.checkpoint_here();
  if (job.rank == 0) {
    int got[2] = {0, 0}, count = 0;
    MPI_Recv(got, 2, MPI_INT, 1, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK_EQ(got[0] * 10 + got[1], 34);  // the first one is matched, this is the second
    MPI_Mrecv(got, 2, MPI_INT, &message, &status);
    MPI_Get_count(&status, MPI_INT, &count);
    CHECK_EQ(got[0] * 10 + got[1], 12);
    CHECK_EQ(count, 2);
    CHECK_EQ(status.MPI_SOURCE, 1);
    CHECK(message == MPI_MESSAGE_NULL);
    MPI_Mrecv(got, 2, MPI_INT, &nothing, &status);
    CHECK_EQ(status.MPI_SOURCE, MPI_PROC_NULL);
  }
}

SCENARIO(large_matched_message_is_held_across, .ranks = 2) {
  const auto values = pattern(3 << 20, 4);
  MPI_Request pending = MPI_REQUEST_NULL;
  MPI_Message message;
  int flag = 0;
  if (job.rank == 1) MPI_Isend(values.data(), 3 << 20, MPI_INT, 0, 7, MPI_COMM_WORLD, &pending);
  while (job.rank == 0 && !flag) MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, &message, MPI_STATUS_IGNORE);
  job.checkpoint_here();
  if (job.rank == 0) {
    std::vector<int> got(3 << 20);
    MPI_Imrecv(got.data(), 3 << 20, MPI_INT, &message, &pending);
    CHECK(message == MPI_MESSAGE_NULL);
    MPI_Wait(&pending, MPI_STATUS_IGNORE);
    CHECK(got == values);
  }
  MPI_Wait(&pending, MPI_STATUS_IGNORE);
}

SCENARIO(matched_probe_takes_a_drained_message, .ranks = 2) {
  const int values[2] = {5, 6};
  if (job.rank == 1) {
    MPI_Send(&values[0], 1, MPI_INT, 0, 7, MPI_COMM_WORLD);
    MPI_Send(&values[1], 1, MPI_INT, 0, 8, MPI_COMM_WORLD);
  }
  job.checkpoint_here();
  if (job.rank == 0) {
    int got = 0, flag = 0;
    MPI_Message message;
    MPI_Status status;
    MPI_Mprobe(1, MPI_ANY_TAG, MPI_COMM_WORLD, &message, &status);
    CHECK_EQ(status.MPI_TAG, 7);
    MPI_Iprobe(1, 7, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
    CHECK_EQ(flag, 0);
    MPI_Mrecv(&got, 1, MPI_INT, &message, MPI_STATUS_IGNORE);
    CHECK_EQ(got, 5);
    while (!flag) MPI_Improbe(MPI_ANY_SOURCE, 8, MPI_COMM_WORLD, &flag, &message, &status);
    MPI_Mrecv(&got, 1, MPI_INT, &message, MPI_STATUS_IGNORE);
    CHECK_EQ(got, 6);
  }
}

// Four receives from rank 1: 0 complete and waited for, 1 complete, 2 and 3 pending; 4 is null.
struct Mixture {
  int got[4] = {-1, -1, -1, -1};
  MPI_Request requests[5] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL};

  void begin(int rank) {
    if (rank == 0) {
      for (int i = 0; i < 4; i++) MPI_Irecv(&got[i], 1, MPI_INT, 1, i, MPI_COMM_WORLD, &requests[i]);
    } else {
      send(0), send(1);
    }
    if (rank == 0) MPI_Wait(&requests[0], MPI_STATUS_IGNORE);
  }
  static void send(int i) {
    const int value = 100 + i;
    MPI_Send(&value, 1, MPI_INT, 0, i, MPI_COMM_WORLD);
  }
};

SCENARIO(waitall_over_a_mixture, .ranks = 2) {
  Mixture mixture;
  mixture.begin(job.rank);
  job.checkpoint_here();
  if (job.rank == 1) return mixture.send(3), mixture.send(2);
  MPI_Status statuses[5];
  MPI_Waitall(5, mixture.requests, statuses);
  for (int i = 1; i < 4; i++) {
    CHECK_EQ(mixture.got[i], 100 + i);
    CHECK_EQ(statuses[i].MPI_TAG, i);
  }
  CHECK_EQ(statuses[0].MPI_SOURCE, MPI_ANY_SOURCE);  // of a null request: the empty status
  CHECK_EQ(statuses[4].MPI_TAG, MPI_ANY_TAG);
}

SCENARIO(waitany_gives_the_right_index, .ranks = 2) {
  Mixture mixture;
  mixture.begin(job.rank);
  job.checkpoint_here();
  if (job.rank == 1) {
    int token;
    MPI_Recv(&token, 1, MPI_INT, 0, 99, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return mixture.send(3), mixture.send(2);
  }
  int index = -1;
  MPI_Status status;
  MPI_Waitany(5, mixture.requests, &index, &status);
  CHECK_EQ(index, 1);
  CHECK_EQ(status.MPI_TAG, 1);
  CHECK_EQ(mixture.got[1], 101);
  CHECK(mixture.requests[1] == MPI_REQUEST_NULL);
  MPI_Send(&index, 1, MPI_INT, 1, 99, MPI_COMM_WORLD);
  std::vector<int> seen;
  for (int i = 0; i < 2; i++) {
    MPI_Waitany(5, mixture.requests, &index, &status);
    CHECK_EQ(status.MPI_TAG, index);
    seen.push_back(index);
  }
  std::sort(seen.begin(), seen.end());
  CHECK_EQ(seen, (std::vector<int>{2, 3}));
  MPI_Waitany(5, mixture.requests, &index, &status);
  CHECK_EQ(index, MPI_UNDEFINED);
}

SCENARIO(waitsome_and_testsome_over_a_mixture, .ranks = 2) {
  Mixture mixture;
  mixture.begin(job.rank);
  job.checkpoint_here();
  if (job.rank == 1) {
    int token;
    MPI_Recv(&token, 1, MPI_INT, 0, 99, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return mixture.send(3), mixture.send(2);
  }
  int done = 0, indices[5], flag = 1;
  MPI_Status statuses[5];
  MPI_Testall(5, mixture.requests, &flag, statuses);
  CHECK_EQ(flag, 0);
  MPI_Waitsome(5, mixture.requests, &done, indices, statuses);
  CHECK_EQ(done, 1);
  CHECK_EQ(indices[0], 1);
  CHECK_EQ(statuses[0].MPI_TAG, 1);
  MPI_Testsome(5, mixture.requests, &done, indices, statuses);
  CHECK_EQ(done, 0);
  MPI_Testany(5, mixture.requests, &done, &flag, statuses);
  CHECK_EQ(flag, 0);
  MPI_Send(&done, 1, MPI_INT, 1, 99, MPI_COMM_WORLD);
  for (int left = 2; left > 0; left -= done) {
    MPI_Testsome(5, mixture.requests, &done, indices, statuses);
    for (int i = 0; i < done; i++) CHECK_EQ(statuses[i].MPI_TAG, indices[i]);
  }
  CHECK_EQ(mixture.got[2] + mixture.got[3], 205);
  MPI_Waitsome(5, mixture.requests, &done, indices, statuses);
  CHECK_EQ(done, MPI_UNDEFINED);
  MPI_Testall(5, mixture.requests, &flag, statuses);
  CHECK_EQ(flag, 1);
}

SCENARIO(waitall_reports_the_truncated_one, .ranks = 2) {
  MPI_Comm lenient;
  MPI_Comm_dup(MPI_COMM_WORLD, &lenient);
  MPI_Comm_set_errhandler(lenient, MPI_ERRORS_RETURN);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  int got[2] = {0, 0};
  const int values[3] = {1, 2, 3};
  std::vector<int> large(1 << 20);  // needs the receiver's progress: pending when the first is found truncated
  MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  if (job.rank == 0) {
    MPI_Irecv(&got[0], 2, MPI_INT, 1, 0, lenient, &requests[0]);
    MPI_Irecv(large.data(), 1 << 20, MPI_INT, 1, 1, lenient, &requests[1]);
  }
  MPI_Barrier(lenient);
  if (job.rank == 1) MPI_Send(values, 3, MPI_INT, 0, 0, lenient);
  job.checkpoint_here();
  if (job.rank == 1) {
    large.back() = 1;
    MPI_Send(large.data(), 1 << 20, MPI_INT, 0, 1, lenient);
  }
  if (job.rank == 0) {
    MPI_Status statuses[2];
    const int code = MPI_Waitall(2, requests, statuses);
    int error_class = 0;
    CHECK_EQ(code, MPI_ERR_IN_STATUS);  // these two are codes as well as classes: programs compare with them
    MPI_Error_class(statuses[0].MPI_ERROR, &error_class);
    CHECK_EQ(error_class, MPI_ERR_TRUNCATE);
    CHECK_EQ(statuses[1].MPI_ERROR, requests[1] == MPI_REQUEST_NULL ? MPI_SUCCESS : MPI_ERR_PENDING);
    MPI_Wait(&requests[1], &statuses[1]);
    CHECK_EQ(large.back(), 1);
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
  MPI_Comm_free(&lenient);
}

// Rank 0 is inside the blocking call when the checkpoint comes; rank 1 ends it afterwards.
template <class Call>
void blocked_in(mana::test::Job& job, Call call) {
  job.announce();
  if (job.rank == 0) {
    MPI_Status status;
    const int got = call(&status);
    CHECK_EQ(got, 31);
    CHECK_EQ(status.MPI_SOURCE, 1);
    CHECK_EQ(status.MPI_TAG, 7);
  } else {
    job.wait_until_over();
    const int value = 31;
    MPI_Send(&value, 1, MPI_INT, 0, 7, MPI_COMM_WORLD);
  }
}

SCENARIO(blocked_in_recv, .ranks = 2) {
  blocked_in(job, [](MPI_Status* status) {
    int got = 0;
    MPI_Recv(&got, 1, MPI_INT, 1, 7, MPI_COMM_WORLD, status);
    return got;
  });
}
SCENARIO(blocked_in_a_wildcard_recv, .ranks = 2) {
  blocked_in(job, [](MPI_Status* status) {
    int got = 0;
    MPI_Recv(&got, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, status);
    return got;
  });
}
SCENARIO(blocked_in_wait, .ranks = 2) {
  blocked_in(job, [](MPI_Status* status) {
    int got = 0;
    MPI_Request request;
    MPI_Irecv(&got, 1, MPI_INT, 1, 7, MPI_COMM_WORLD, &request);
    MPI_Wait(&request, status);
    return got;
  });
}
SCENARIO(blocked_in_waitany_waitsome_and_waitall, .ranks = 2) {
  int never = 0, got = 0, index = -1, done = 0, flag = 1;
  MPI_Request requests[3] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  MPI_Status statuses[3];
  for (int round = 0; round < 3; round++) {
    got = 0;
    if (job.rank == 0) {
      if (round == 0) MPI_Irecv(&never, 1, MPI_INT, 1, 50, MPI_COMM_WORLD, &requests[0]);
      MPI_Irecv(&got, 1, MPI_INT, MPI_ANY_SOURCE, 7, MPI_COMM_WORLD, &requests[1]);
    }
    job.announce();
    if (job.rank == 1) {
      job.wait_until_over();
      const int value = 60 + round;
      MPI_Send(&value, 1, MPI_INT, 0, 7, MPI_COMM_WORLD);
      if (round == 2) MPI_Send(&value, 1, MPI_INT, 0, 50, MPI_COMM_WORLD);
      MPI_Recv(&done, 1, MPI_INT, 0, 99, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      continue;
    }
    if (round == 0) MPI_Waitany(3, requests, &index, statuses);
    if (round == 1) MPI_Waitsome(3, requests, &done, &index, statuses);
    if (round == 2) MPI_Waitall(3, requests, statuses);
    CHECK_EQ(got, 60 + round);
    if (round < 2) CHECK_EQ(index, 1);
    if (round < 2) CHECK_EQ(statuses[0].MPI_TAG, 7);
    MPI_Send(&done, 1, MPI_INT, 1, 99, MPI_COMM_WORLD);
    job.wait_until_over();
  }
  if (job.rank == 0) CHECK_EQ(never, 62);
  MPI_Testall(3, requests, &flag, MPI_STATUSES_IGNORE);
  CHECK_EQ(flag, 1);
}
SCENARIO(blocked_in_probe, .ranks = 2) {
  blocked_in(job, [](MPI_Status* status) {
    int got = 0;
    MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, status);
    MPI_Recv(&got, 1, MPI_INT, status->MPI_SOURCE, status->MPI_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return got;
  });
}
SCENARIO(blocked_in_mprobe, .ranks = 2) {
  blocked_in(job, [](MPI_Status* status) {
    int got = 0;
    MPI_Message message;
    MPI_Mprobe(1, MPI_ANY_TAG, MPI_COMM_WORLD, &message, status);
    MPI_Mrecv(&got, 1, MPI_INT, &message, status);
    return got;
  });
}
SCENARIO(spinning_in_test, .ranks = 2) {
  blocked_in(job, [](MPI_Status* status) {
    int got = 0, flag = 0;
    MPI_Request request;
    MPI_Irecv(&got, 1, MPI_INT, 1, 7, MPI_COMM_WORLD, &request);
    while (!flag) MPI_Test(&request, &flag, status);
    return got;
  });
}
SCENARIO(spinning_in_iprobe, .ranks = 2) {
  blocked_in(job, [](MPI_Status* status) {
    int got = 0, flag = 0;
    while (!flag) MPI_Iprobe(MPI_ANY_SOURCE, 7, MPI_COMM_WORLD, &flag, status);
    MPI_Recv(&got, 1, MPI_INT, 1, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return got;
  });
}

int query_done(void* state, MPI_Status* status) {
  MPI_Status_set_elements(status, MPI_INT, *static_cast<int*>(state));
  MPI_Status_set_cancelled(status, 0);
  status->MPI_SOURCE = 5;
  status->MPI_TAG = 6;
  return MPI_SUCCESS;
}
int free_done(void* state) {
  *static_cast<int*>(state) += 100;
  return MPI_SUCCESS;
}
int cancel_done(void*, int) { return MPI_SUCCESS; }

SCENARIO(generalized_request_completed_after, .ranks = 2) {
  int state = 3, flag = 1, count = 0;
  MPI_Request request;
  MPI_Grequest_start(query_done, free_done, cancel_done, &state, &request);
  job.checkpoint_here();
  MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
  CHECK_EQ(flag, 0);
  MPI_Grequest_complete(request);
  MPI_Status status;
  MPI_Wait(&request, &status);
  MPI_Get_count(&status, MPI_INT, &count);
  CHECK_EQ(count, 3);
  CHECK_EQ(status.MPI_SOURCE, 5);
  CHECK_EQ(state, 103);
}

}  // namespace
