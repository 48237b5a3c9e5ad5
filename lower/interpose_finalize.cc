// SPDX-License-Identifier: BSD-3-Clause
// Progress in MPI_Finalize until every rank has parted.
//
// MPICH over UCX closes its connections in MPI_Finalize and then stands in a barrier of the launcher: in read(), without progress.
// Closing a TCP connection of UCX needs the progress of the other end.  So a rank whose peers are in the barrier already waits
// for ever (seen with three ranks, MPICH 4.0.2, UCX 1.13: nearly always; natively too), and with it the job.
//
// Invariant: while MPI_Finalize runs, a wait for the launcher makes progress on every UCX worker that lives.  The barrier ends
// when every rank is in it, which is when every rank has closed its connections, and until then all of them make progress.
#include <dlfcn.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "lower/adapter.h"

namespace mana::lower {
namespace {

// Of <ucp/api/ucp.h>, whose types are opaque here.
using Worker = void*;
using CreateWorker = int (*)(void* context, const void* parameters, Worker* worker);
using DestroyWorker = void (*)(Worker worker);
using Progress = unsigned (*)(Worker worker);
using Read = ssize_t (*)(int, void*, std::size_t);

// A turn of the wait, in milliseconds.  Closing a connection takes a few of them.
constexpr int kTurn = 1;

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

// Workers are made in MPI_Init and destroyed in MPI_Finalize, by the one thread that is in there.
std::vector<Worker>& workers() {
  static auto* all = new std::vector<Worker>;
  return *all;
}

bool is_of_launcher(int descriptor) {
  const char* number = std::getenv("PMI_FD");
  return number != nullptr && std::atoi(number) == descriptor;
}

void wait_for_launcher(int descriptor) {
  const auto progress = next<Progress>("ucp_worker_progress");
  pollfd answer{descriptor, POLLIN, 0};
  while (!workers().empty() && poll(&answer, 1, kTurn) == 0) {
    for (const Worker worker : workers()) {
      while (progress(worker) != 0) {
      }
    }
  }
}

}  // namespace
}  // namespace mana::lower

#define MANA_EXPORT extern "C" __attribute__((visibility("default")))

MANA_EXPORT int ucp_worker_create(void* context, const void* parameters, void** worker) {
  using namespace mana::lower;
  const int status = next<CreateWorker>("ucp_worker_create")(context, parameters, worker);
  if (status == 0) workers().push_back(*worker);
  return status;
}

MANA_EXPORT void ucp_worker_destroy(void* worker) {
  using namespace mana::lower;
  std::erase(workers(), worker);
  next<DestroyWorker>("ucp_worker_destroy")(worker);
}

MANA_EXPORT ssize_t read(int descriptor, void* to, std::size_t bytes) {
  using namespace mana::lower;
  static const auto real = next<Read>("read");
  if (is_finalizing() && is_of_launcher(descriptor)) wait_for_launcher(descriptor);
  return real(descriptor, to, bytes);
}
