// SPDX-License-Identifier: BSD-3-Clause
// System V objects.  What refuses a checkpoint is in programs/refused.c.
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "test/scenario.h"

namespace {

constexpr std::size_t kBytes = 10'000;  // not whole pages

int* attach(int id, int flags = 0) {
  void* at = shmat(id, nullptr, flags);
  return at == reinterpret_cast<void*>(-1) ? nullptr : static_cast<int*>(at);
}

unsigned long attachments(int id) {
  shmid_ds segment{};
  return shmctl(id, IPC_STAT, &segment) == 0 && segment.shm_segsz == kBytes ? segment.shm_nattch : ~0UL;
}

bool is_gone(int id) {
  shmid_ds segment{};
  return shmctl(id, IPC_STAT, &segment) == -1 && (errno == EINVAL || errno == EIDRM);
}

SCENARIO(removed_segment_is_attached_twice_and_known_by_its_id, .ranks = 2) {
  const int id = shmget(IPC_PRIVATE, kBytes, IPC_CREAT | 0600);
  int* words = attach(id);
  const int* second = attach(id, SHM_RDONLY);
  CHECK(words != nullptr && second != nullptr);
  CHECK_EQ(shmctl(id, IPC_RMID, nullptr), 0);
  words[0] = 4711 + job.rank;
  job.checkpoint_here();
  CHECK_EQ(second[0], 4711 + job.rank);
  words[2000] = 7;
  CHECK_EQ(second[2000], 7);
  CHECK_EQ(attachments(id), 2UL);
  int* third = attach(id);
  CHECK(third != nullptr && third[2000] == 7);
  job.checkpoint_here();
  third[0] = 8;
  CHECK_EQ(second[0], 8);
  CHECK_EQ(shmdt(words), 0);
  CHECK_EQ(shmdt(second), 0);
  CHECK_EQ(attachments(id), 1UL);
  CHECK_EQ(shmdt(third), 0);
  CHECK(is_gone(id));
}

SCENARIO(segment_that_was_not_removed_is_detached_and_attached_after, .ranks = 2) {
  const int id = shmget(IPC_PRIVATE, kBytes, IPC_CREAT | 0640);
  int* words = attach(id);
  CHECK(words != nullptr);
  words[5] = 100 + job.rank;
  job.checkpoint_here();
  CHECK_EQ(attachments(id), 1UL);
  CHECK_EQ(shmdt(words), 0);
  CHECK_EQ(attachments(id), 0UL);
  words = attach(id);
  CHECK(words != nullptr && words[5] == 100 + job.rank);
  shmid_ds segment{};
  CHECK_EQ(shmctl(id, IPC_STAT, &segment), 0);
  CHECK_EQ(segment.shm_perm.mode & 0777u, 0640u);
  job.checkpoint_here();
  CHECK_EQ(shmctl(id, IPC_RMID, nullptr), 0);
  CHECK_EQ(words[5], 100 + job.rank);
  CHECK_EQ(shmdt(words), 0);
  CHECK(is_gone(id));
}

SCENARIO(segment_is_found_by_its_key_after, .ranks = 2) {
  key_t key = 0x6d000000 + (getpid() & 0xffff) * 16;
  int id = -1;
  while ((id = shmget(key, kBytes, IPC_CREAT | IPC_EXCL | 0600)) < 0 && errno == EEXIST) key++;
  int* words = attach(id);
  CHECK(words != nullptr);
  words[1] = 3;
  job.checkpoint_here();
  CHECK_EQ(shmget(key, 0, 0), id);
  CHECK_EQ(shmget(key, kBytes, IPC_CREAT | IPC_EXCL | 0600), -1);
  CHECK_EQ(errno, EEXIST);
  const int* again = attach(shmget(key, 0, 0));
  CHECK(again != nullptr && again[1] == 3);
  CHECK_EQ(shmdt(again), 0);
  CHECK_EQ(shmctl(id, IPC_RMID, nullptr), 0);
  CHECK_EQ(shmget(key, 0, 0), -1);
  job.checkpoint_here();
  CHECK_EQ(words[1], 3);
  CHECK_EQ(shmdt(words), 0);
}

SCENARIO(segments_made_after_are_others, .ranks = 2) {
  std::vector<int*> at;
  std::vector<int> ids;
  const auto make = [&](int value) {
    ids.push_back(shmget(IPC_PRIVATE, kBytes, 0600));
    at.push_back(attach(ids.back()));
    CHECK(at.back() != nullptr);
    at.back()[0] = value;
    CHECK_EQ(shmctl(ids.back(), IPC_RMID, nullptr), 0);
  };
  for (int i = 0; i < 3; i++) make(i);
  job.checkpoint_here();
  for (int i = 3; i < 6; i++) make(i);
  job.checkpoint_here();
  for (int i = 0; i < 6; i++) {
    for (int j = 0; j < i; j++) CHECK(ids[static_cast<std::size_t>(i)] != ids[static_cast<std::size_t>(j)]);
    const int* again = attach(ids[static_cast<std::size_t>(i)]);
    CHECK(again != nullptr);
    if (again != nullptr) CHECK_EQ(again[0], i);
    shmdt(again);
    CHECK_EQ(shmdt(at[static_cast<std::size_t>(i)]), 0);
  }
}

SCENARIO(removed_semaphores_and_queues_do_not_matter, .ranks = 2) {
  const auto use = [&] {
    const int set = semget(IPC_PRIVATE, 2, 0600), queue = msgget(IPC_PRIVATE, 0600);
    sembuf up = {1, 5, 0};
    CHECK_EQ(semop(set, &up, 1), 0);
    CHECK_EQ(semctl(set, 1, GETVAL), 5);
    struct {
      long type;
      char text[8];
    } message = {1, "hello"}, got = {};
    CHECK_EQ(msgsnd(queue, &message, sizeof message.text, 0), 0);
    CHECK_EQ(msgrcv(queue, &got, sizeof got.text, 0, 0), 8L);
    CHECK_EQ(std::string(got.text), "hello");
    CHECK_EQ(semctl(set, 0, IPC_RMID), 0);
    CHECK_EQ(msgctl(queue, IPC_RMID, nullptr), 0);
  };
  use();
  job.checkpoint_here();
  use();
  job.checkpoint_here();
}

}  // namespace
