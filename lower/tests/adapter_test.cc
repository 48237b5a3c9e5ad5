// SPDX-License-Identifier: BSD-3-Clause
// The adapter's operations, called as the upper half would call them, in an ordinary MPI job of two
// ranks.
#include "lower/adapter.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "lower/core_functions.h"
#include "lower/tests/adapter_tests.h"
#include "lower/tests/check.h"
#include "upper/interface.h"

namespace mana::lower::tests {

Job job;
std::atomic<uint32_t> intent{0};

uint64_t resolved(int32_t constant) {
  core::Resolve block{constant, 0};
  CHECK_EQ(resolve(&block), 0);
  return block.lower;
}

namespace {

constexpr int kLarge = 1 << 20;  // beyond every eager limit

core::Irecv receive_into(void* buffer, int64_t count, int source, int tag) {
  return {buffer, count, job.byte, source, tag, job.world, 0};
}

void wait_for(uint64_t* requests, int count, abi::Status* statuses) {
  core::WaitEach block{requests, count, count, 0, statuses};
  CHECK_EQ(wait_each(&block), 0);
}

void barrier() {
  char mine = 0;
  std::vector<char> all(static_cast<std::size_t>(job.size));
  gather_from_all(&mine, all.data(), 1);
}

void constants_resolve() {
  for (int32_t constant : {abi::COMM_WORLD, abi::COMM_SELF, abi::INT, abi::DOUBLE, abi::TWO_INT,
                           abi::SUM, abi::GROUP_EMPTY, abi::MESSAGE_NO_PROC}) {
    CHECK_EQ(resolved(constant) != 0, true);
  }
  CHECK_EQ(resolved(abi::COMM_NULL), 0u);
  core::Resolve none{0x2d2 + 0x1000, 1};
  CHECK_EQ(resolve(&none), abi::ERR_ARG);
  CHECK_EQ(none.lower, 0u);
}

// Every send mode, eager and rendezvous, with receives of every kind.
void messages_arrive(int mode, int bytes) {
  std::vector<char> buffer(static_cast<std::size_t>(bytes), job.rank == 0 ? 'x' : 'y');
  const int peer = 1 - job.rank;
  if (mode == 2) {  // ready: the receive is there first
    core::Irecv post = receive_into(buffer.data(), bytes, 0, 2);
    if (job.rank == 1) CHECK_EQ(irecv(&post), 0);
    barrier();
    if (job.rank == 0) {
      core::Send ready{buffer.data(), bytes, job.byte, 1, 2, job.world, 2, 0};
      CHECK_EQ(send(&ready), 0);
    } else {
      abi::Status status{};
      wait_for(&post.request, 1, &status);
      CHECK_EQ(buffer[0], 'x');
    }
    return;
  }
  if (job.rank == 0) {
    core::Send block{buffer.data(), bytes, job.byte, peer, 1, job.world, mode, 0};
    CHECK_EQ(send(&block), 0);
  } else {
    abi::Status status{};
    core::Recv block{buffer.data(), bytes + 8, job.byte, abi::ANY_SOURCE,
                     abi::ANY_TAG,  job.world, &status,  0};
    buffer.resize(static_cast<std::size_t>(bytes) + 8);
    block.buffer = buffer.data();
    CHECK_EQ(recv(&block), 0);
    CHECK_EQ(status.source, 0);
    CHECK_EQ(status.tag, 1);
    CHECK_EQ(status.bytes(), static_cast<uint64_t>(bytes));
    CHECK_EQ(status.cancelled, 0);
    CHECK_EQ(buffer[0], 'x');
  }
}

void null_process_is_translated() {
  abi::Status status{};
  char byte;
  core::Recv block{&byte, 1, job.byte, abi::PROC_NULL, 3, job.world, &status, 0};
  CHECK_EQ(recv(&block), 0);
  CHECK_EQ(status.source, abi::PROC_NULL);
  CHECK_EQ(status.tag, abi::ANY_TAG);
  CHECK_EQ(status.bytes(), 0u);
}

void errors_are_neutral_classes() {
  char bytes[16] = {};
  core::Send to_nobody{bytes, 1, job.byte, 999, 0, job.world, 0, 0};
  CHECK_EQ(send(&to_nobody), abi::ERR_RANK);
  core::Send bad_tag{bytes, 1, job.byte, 0, -77, job.world, 0, 0};
  CHECK_EQ(send(&bad_tag), abi::ERR_TAG);
  core::Isend self{bytes, 16, job.byte, job.rank, 4, job.world, 0, 0};
  CHECK_EQ(isend(&self), 0);
  abi::Status status{};
  core::Recv too_small{bytes, 8, job.byte, job.rank, 4, job.world, &status, 0};
  CHECK_EQ(recv(&too_small), abi::ERR_TRUNCATE);
  if (self.request) wait_for(&self.request, 1, &status);
}

// A wait that a checkpoint interrupts leaves the operation pending; it completes later, by tests.
void intent_interrupts_waits() {
  std::vector<char> buffer(kLarge, job.rank == 0 ? 'i' : 'j');
  abi::Status status{};
  intent = 1;
  if (job.rank == 0) {
    core::Send block{buffer.data(), kLarge, job.byte, 1, 5, job.world, 1, 0};
    CHECK_EQ(send(&block), kInterrupted);
    barrier();
    core::WaitEach still{&block.request, 1, 1, 0, &status};
    const int result = wait_each(&still);
    CHECK_EQ(result == kInterrupted || block.request == 0, true);
    intent = 0;
    if (block.request) wait_for(&block.request, 1, &status);
  } else {
    core::Probe nothing{0, 6, job.world, {}};
    CHECK_EQ(probe(&nothing), kInterrupted);
    core::Recv never{buffer.data(), 1, job.byte, 0, 6, job.world, &status, 0};
    CHECK_EQ(recv(&never), kInterrupted);
    core::Cancel cancelled{never.request};
    CHECK_EQ(cancel(&cancelled), 0);
    barrier();
    intent = 0;
    wait_for(&never.request, 1, &status);
    CHECK_EQ(status.cancelled, 1);
    CHECK_EQ(never.request, 0u);
    core::Recv block{buffer.data(), kLarge, job.byte, 0, 5, job.world, &status, 0};
    CHECK_EQ(recv(&block), 0);
    CHECK_EQ(buffer[kLarge - 1], 'i');
  }
}

void matched_probe_takes_the_message() {
  char text[8] = "matched";
  if (job.rank == 0) {
    core::Send block{text, 8, job.byte, 1, 7, job.world, 0, 0};
    CHECK_EQ(send(&block), 0);
    CHECK_EQ(send(&block), 0);
  } else {
    for (int round = 0; round < 2; ++round) {
      core::Improbe block{0, abi::ANY_TAG, job.world, 0, 0, {}};
      while (block.flag == 0) CHECK_EQ(improbe(&block), 0);
      CHECK_EQ(block.status.tag, 7);
      CHECK_EQ(block.status.bytes(), 8u);
      char got[8] = {};
      if (round == 0) {
        core::Mrecv take{got, 8, job.byte, block.message, {}};
        CHECK_EQ(mrecv(&take), 0);
        CHECK_EQ(take.status.bytes(), 8u);
      } else {
        core::Imrecv take{got, 8, job.byte, block.message, 0};
        CHECK_EQ(imrecv(&take), 0);
        abi::Status status{};
        wait_for(&take.request, 1, &status);
        CHECK_EQ(status.source, 0);
      }
      CHECK_EQ(std::strcmp(got, text), 0);
    }
  }
  barrier();
  core::Iprobe nothing{abi::ANY_SOURCE, abi::ANY_TAG, job.world, 1, {}};
  CHECK_EQ(iprobe(&nothing), 0);
  CHECK_EQ(nothing.flag, 0);
}

// wait_each with a smaller need, as for Waitany: exactly those that are there, the others stay
// pending.
void some_of_many_complete() {
  constexpr int kCount = 70;
  std::vector<int> values(kCount, -1);
  std::vector<uint64_t> requests(kCount);
  std::vector<abi::Status> statuses(kCount);
  if (job.rank == 1) {
    for (int i = 0; i < kCount; ++i) {
      core::Irecv block =
          receive_into(&values[static_cast<std::size_t>(i)], sizeof(int), 0, 100 + i);
      CHECK_EQ(irecv(&block), 0);
      requests[static_cast<std::size_t>(i)] = block.request;
    }
  }
  barrier();
  auto send_one = [](int i) {
    core::Send block{&i, sizeof i, job.byte, 1, 100 + i, job.world, 0, 0};
    CHECK_EQ(send(&block), 0);
  };
  if (job.rank == 0) send_one(41);
  if (job.rank == 1) {
    core::WaitEach any{requests.data(), kCount, 1, 0, statuses.data()};
    CHECK_EQ(wait_each(&any), 0);
    CHECK_EQ(any.completed, 1);
    CHECK_EQ(requests[41], 0u);
    CHECK_EQ(values[41], 41);
    CHECK_EQ(statuses[41].tag, 141);
    core::TestEach test{requests.data(), kCount, -1, statuses.data()};
    CHECK_EQ(test_each(&test), 0);
    CHECK_EQ(test.completed, 0);
  }
  barrier();
  for (int i = 0; i < kCount && job.rank == 0; ++i) {
    if (i != 41) send_one(i);
  }
  if (job.rank == 1) {
    wait_for(requests.data(), kCount, statuses.data());
    for (int i = 0; i < kCount; ++i) CHECK_EQ(values[static_cast<std::size_t>(i)], i);
  }
}

void request_status_leaves_the_request() {
  int value = 7, got = 0;
  core::Irecv block = receive_into(&got, sizeof got, job.rank, 8);
  CHECK_EQ(irecv(&block), 0);
  core::RequestGetStatus query{block.request, 1, {}};
  CHECK_EQ(request_get_status(&query), 0);
  CHECK_EQ(query.flag, 0);
  core::Isend self{&value, sizeof value, job.byte, job.rank, 8, job.world, 0, 0};
  CHECK_EQ(isend(&self), 0);
  do CHECK_EQ(request_get_status(&query), 0);
  while (query.flag == 0);
  CHECK_EQ(query.status.bytes(), sizeof value);
  abi::Status status{};
  wait_for(&block.request, 1, &status);
  CHECK_EQ(got, 7);
  if (self.request) {
    core::RequestFree forget{self.request};
    CHECK_EQ(request_free(&forget), 0);
  }
}

}  // namespace

void point_to_point_tests() {
  constants_resolve();
  for (int mode : {0, 1, 2}) {
    for (int bytes : {0, 8, 4096, kLarge}) {
      if (bytes > 0) messages_arrive(mode, bytes);
    }
  }
  null_process_is_translated();
  errors_are_neutral_classes();
  intent_interrupts_waits();
  matched_probe_takes_the_message();
  some_of_many_complete();
  request_status_leaves_the_request();
}

}  // namespace mana::lower::tests

int main() {
  using namespace mana;
  using namespace mana::lower;
  using namespace mana::lower::tests;
  core::Init block{};
  block.required = abi::THREAD_SINGLE;
  CHECK_EQ(init(&block), 0);
  job.rank = block.rank;
  job.size = block.size;
  CHECK_EQ(block.size, 2);
  CHECK_EQ(block.tag_ub >= 32767, true);
  CHECK_EQ(block.library_version[0] != '\0', true);
  job.world = resolved(abi::COMM_WORLD);
  job.byte = resolved(abi::BYTE);
  set_intent_word(&intent);
  point_to_point_tests();
  communicator_tests();
  datatype_tests();
  core::Progress step{};
  CHECK_EQ(progress(&step), 0);
  core::Finalize end{};
  CHECK_EQ(finalize(&end), 0);
  return failures == 0 ? 0 : 1;
}
