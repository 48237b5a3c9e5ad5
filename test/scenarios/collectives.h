// SPDX-License-Identifier: BSD-3-Clause
// Every collective on one communicator, with values whose results are known; shared by the scenarios of collectives and
// of communicators ("does it still work after the restart?").
#pragma once

#include <numeric>

#include "test/scenario.h"

namespace mana::test {

struct Member {  // of an intracommunicator
  MPI_Comm comm;
  int rank = 0, size = 1;
  explicit Member(MPI_Comm given) : comm(given) {
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
  }
  int sum() const { return size * (size + 1) / 2; }  // of rank + 1 over all
};

// Blocking and quick: a ring of messages, an allreduce and a broadcast from the last rank.
inline void check_communicator(Job& job, MPI_Comm comm) {
  if (comm == MPI_COMM_NULL) return;
  const Member me(comm);
  int mine = me.rank + 1, got = -1, total = 0;
  MPI_Sendrecv(&mine, 1, MPI_INT, (me.rank + 1) % me.size, 44, &got, 1, MPI_INT, (me.rank + me.size - 1) % me.size, 44,
               comm, MPI_STATUS_IGNORE);
  CHECK_EQ(got, (me.rank + me.size - 1) % me.size + 1);
  MPI_Allreduce(&mine, &total, 1, MPI_INT, MPI_SUM, comm);
  CHECK_EQ(total, me.sum());
  int told = me.rank == me.size - 1 ? 99 : 0;
  MPI_Bcast(&told, 1, MPI_INT, me.size - 1, comm);
  CHECK_EQ(told, 99);
}

// All collectives of an intracommunicator: begun together by begin(), checked by check().  The blocking form calls each
// and checks at once.
class EveryCollective {
 public:
  explicit EveryCollective(MPI_Comm comm) : me_(comm), n_(static_cast<std::size_t>(me_.size)) {
    const int size = me_.size;
    broadcast_ = me_.rank == 0 ? 5 : 0;
    for (auto* v : {&gathered_, &all_gathered_, &all_to_all_, &scatter_from_, &to_all_}) v->assign(n_, -1);
    counts_.resize(n_), places_.resize(n_);
    for (int i = 0; i < size; i++) {
      to_all_[i] = me_.rank * 100 + i;
      scatter_from_[i] = me_.rank == size - 1 ? i * 7 : -1;
      counts_[i] = i + 1;
      places_[i] = i * (i + 1) / 2;
    }
    total_ = size * (size + 1) / 2;
    gathered_v_.assign(total_, -1), all_gathered_v_.assign(total_, -1), from_all_v_.assign(n_ * (me_.rank + 1), -1);
    scatter_v_ = pattern(total_, 9), own_.assign(me_.rank + 1, me_.rank), scattered_v_.assign(me_.rank + 1, -1);
    to_all_v_.assign(total_, me_.rank);
    from_counts_.assign(n_, me_.rank + 1), from_places_.resize(n_);
    for (int i = 0; i < size; i++) from_places_[i] = i * (me_.rank + 1);
    one_each_ = pattern(n_, me_.rank), types_.assign(n_, MPI_INT);
    byte_places_.resize(n_);
    for (int i = 0; i < size; i++) byte_places_[i] = i * static_cast<int>(sizeof(int));
    ones_.assign(n_, 1), from_all_w_.assign(n_, -1);
    blocks_ = std::vector<int>(total_, me_.rank + 1), block_.assign(me_.rank + 1, -1);
  }

  std::vector<MPI_Request> begin() {
    std::vector<MPI_Request> r(17, MPI_REQUEST_NULL);
    MPI_Comm c = me_.comm;
    const int last = me_.size - 1, mine = me_.rank + 1;
    MPI_Ibarrier(c, &r[0]);
    MPI_Ibcast(&broadcast_, 1, MPI_INT, 0, c, &r[1]);
    MPI_Igather(&to_all_[0], 1, MPI_INT, gathered_.data(), 1, MPI_INT, 0, c, &r[2]);
    MPI_Iscatter(scatter_from_.data(), 1, MPI_INT, &scattered_, 1, MPI_INT, last, c, &r[3]);
    MPI_Iallgather(&to_all_[0], 1, MPI_INT, all_gathered_.data(), 1, MPI_INT, c, &r[4]);
    MPI_Ialltoall(to_all_.data(), 1, MPI_INT, all_to_all_.data(), 1, MPI_INT, c, &r[5]);
    MPI_Igatherv(own_.data(), mine, MPI_INT, gathered_v_.data(), counts_.data(), places_.data(), MPI_INT, last, c, &r[6]);
    MPI_Iscatterv(scatter_v_.data(), counts_.data(), places_.data(), MPI_INT, scattered_v_.data(), mine, MPI_INT, 0, c, &r[7]);
    MPI_Iallgatherv(own_.data(), mine, MPI_INT, all_gathered_v_.data(), counts_.data(), places_.data(), MPI_INT, c, &r[8]);
    MPI_Ialltoallv(to_all_v_.data(), counts_.data(), places_.data(), MPI_INT, from_all_v_.data(), from_counts_.data(),
                   from_places_.data(), MPI_INT, c, &r[9]);
    MPI_Ialltoallw(to_all_.data(), ones_.data(), byte_places_.data(), types_.data(), from_all_w_.data(), ones_.data(),
                   byte_places_.data(), types_.data(), c, &r[10]);
    MPI_Ireduce(&own_rank_plus_one(), &reduced_, 1, MPI_INT, MPI_MAX, last, c, &r[11]);
    MPI_Iallreduce(&own_rank_plus_one(), &all_reduced_, 1, MPI_INT, MPI_SUM, c, &r[12]);
    MPI_Iscan(&own_rank_plus_one(), &scanned_, 1, MPI_INT, MPI_SUM, c, &r[13]);
    MPI_Iexscan(&own_rank_plus_one(), &ex_scanned_, 1, MPI_INT, MPI_SUM, c, &r[14]);
    MPI_Ireduce_scatter_block(ones_.data(), &block_sum_, 1, MPI_INT, MPI_SUM, c, &r[15]);
    MPI_Ireduce_scatter(blocks_.data(), block_.data(), counts_.data(), MPI_INT, MPI_SUM, c, &r[16]);
    return r;
  }

  void run_blocking() {
    MPI_Comm c = me_.comm;
    const int last = me_.size - 1, mine = me_.rank + 1;
    MPI_Barrier(c);
    MPI_Bcast(&broadcast_, 1, MPI_INT, 0, c);
    MPI_Gather(&to_all_[0], 1, MPI_INT, gathered_.data(), 1, MPI_INT, 0, c);
    MPI_Scatter(scatter_from_.data(), 1, MPI_INT, &scattered_, 1, MPI_INT, last, c);
    MPI_Allgather(&to_all_[0], 1, MPI_INT, all_gathered_.data(), 1, MPI_INT, c);
    MPI_Alltoall(to_all_.data(), 1, MPI_INT, all_to_all_.data(), 1, MPI_INT, c);
    MPI_Gatherv(own_.data(), mine, MPI_INT, gathered_v_.data(), counts_.data(), places_.data(), MPI_INT, last, c);
    MPI_Scatterv(scatter_v_.data(), counts_.data(), places_.data(), MPI_INT, scattered_v_.data(), mine, MPI_INT, 0, c);
    MPI_Allgatherv(own_.data(), mine, MPI_INT, all_gathered_v_.data(), counts_.data(), places_.data(), MPI_INT, c);
    MPI_Alltoallv(to_all_v_.data(), counts_.data(), places_.data(), MPI_INT, from_all_v_.data(), from_counts_.data(),
                  from_places_.data(), MPI_INT, c);
    MPI_Alltoallw(to_all_.data(), ones_.data(), byte_places_.data(), types_.data(), from_all_w_.data(), ones_.data(),
                  byte_places_.data(), types_.data(), c);
    MPI_Reduce(&own_rank_plus_one(), &reduced_, 1, MPI_INT, MPI_MAX, last, c);
    MPI_Allreduce(&own_rank_plus_one(), &all_reduced_, 1, MPI_INT, MPI_SUM, c);
    MPI_Scan(&own_rank_plus_one(), &scanned_, 1, MPI_INT, MPI_SUM, c);
    MPI_Exscan(&own_rank_plus_one(), &ex_scanned_, 1, MPI_INT, MPI_SUM, c);
    MPI_Reduce_scatter_block(ones_.data(), &block_sum_, 1, MPI_INT, MPI_SUM, c);
    MPI_Reduce_scatter(blocks_.data(), block_.data(), counts_.data(), MPI_INT, MPI_SUM, c);
  }

  void check(Job& job) const {
    const int rank = me_.rank, size = me_.size;
    CHECK_EQ(broadcast_, 5);
    CHECK_EQ(scattered_, rank * 7);
    for (int i = 0; i < size; i++) {
      if (rank == 0) CHECK_EQ(gathered_[i], i * 100);
      CHECK_EQ(all_gathered_[i], i * 100);
      CHECK_EQ(all_to_all_[i], i * 100 + rank);
      CHECK_EQ(from_all_w_[i], i * 100 + rank);
      for (int k = 0; k < counts_[i]; k++) {
        if (rank == size - 1) CHECK_EQ(gathered_v_[places_[i] + k], i);
        CHECK_EQ(all_gathered_v_[places_[i] + k], i);
      }
      for (int k = 0; k <= rank; k++) CHECK_EQ(from_all_v_[i * (rank + 1) + k], i);
    }
    for (int k = 0; k <= rank; k++) {
      CHECK_EQ(scattered_v_[k], pattern(total_, 9)[places_[rank] + k]);
      CHECK_EQ(block_[k], me_.sum());
    }
    if (rank == size - 1) CHECK_EQ(reduced_, size);
    CHECK_EQ(all_reduced_, me_.sum());
    CHECK_EQ(scanned_, (rank + 1) * (rank + 2) / 2);
    if (rank > 0) CHECK_EQ(ex_scanned_, rank * (rank + 1) / 2);
    CHECK_EQ(block_sum_, size);
  }

 private:
  int& own_rank_plus_one() { return one_ = me_.rank + 1; }

  Member me_;
  std::size_t n_, total_ = 0;
  int one_ = 0, broadcast_ = 0, scattered_ = -1, reduced_ = -1, all_reduced_ = -1, scanned_ = -1, ex_scanned_ = -1, block_sum_ = -1;
  std::vector<int> gathered_, all_gathered_, all_to_all_, scatter_from_, to_all_, counts_, places_, gathered_v_, all_gathered_v_,
      from_all_v_, scatter_v_, own_, scattered_v_, to_all_v_, from_counts_, from_places_, one_each_, byte_places_, ones_,
      from_all_w_, blocks_, block_;
  std::vector<MPI_Datatype> types_;
};

inline void check_all_blocking(Job& job, MPI_Comm comm) {
  if (comm == MPI_COMM_NULL) return;
  EveryCollective all(comm);
  all.run_blocking();
  all.check(job);
}

}  // namespace mana::test
