// SPDX-License-Identifier: BSD-3-Clause
// How the ranks of a job become a control tree: two exchanges over the caller's means (MPI's
// allgather inside MPI_Init), between them the listening socket.  Collective over the job;
// afterwards each rank makes its Node from the setup.
#pragma once

#include <asio/io_context.hpp>
#include <cstddef>
#include <functional>

#include "control/node.h"

namespace mana::control {

// Gathers `bytes` bytes from every rank, in rank order.
using Allgather = std::function<void(const void* mine, void* all, std::size_t bytes)>;

// Fills place, cards, doors and acceptor of the setup.  `card` is what this rank tells of itself:
// my_card(). Errors: this or another rank cannot listen (then it is an error at all ranks).
Result<NodeSetup> join_job(asio::io_context& io, int rank, int size, const Allgather& allgather,
                           const Card& card);

// What rank 0 writes to find it again.
JobFile job_file_of(const NodeSetup& setup);

}  // namespace mana::control
