// SPDX-License-Identifier: BSD-3-Clause
// The service thread's entry, and the steps that need no exchange.
#include "upper/drain.h"

#include "upper/closure.h"
#include "upper/comm.h"
#include "upper/group.h"
#include "upper/queue.h"
#include "upper/request.h"
#include "upper/text.h"

namespace mana::upper {

namespace {

void progress(Call& call, ServiceCall* what) {
  keep_moving(call);
  test_all_active(call);
  core::Progress block{};
  call.cross(CoreOp::progress, &block);
  what->done = 1;
}

}  // namespace

// All members of each communicator have begun the same nonblocking collectives, so they can all complete.
void finish_collectives(Call& call, ServiceCall* what) {
  keep_moving(call);
  test_all_active(call);
  what->pending = 0;
  for (Request* r = active_requests.first; r != nullptr; r = r->next) {
    what->pending += r->what == Request::What::collective || r->what == Request::What::idup;
  }
  what->done = what->pending == 0;
}

// The depth is raised for the whole of it: the thread stands in a park already, and must not park on leaving a Call.
void service(ServiceCall* what) {
  what->done = 0;
  what->error = 0;
  what->pending = 0;
  what->detail[0] = 0;
  if (!world.initialized || world.finalized) {
    what->done = 1;
    return;
  }
  ThreadRecord* record = this_thread();
  const uint32_t depth = record->depth.load(std::memory_order_relaxed);
  record->depth.store(depth + 1, std::memory_order_relaxed);
  order_for_signal();
  {
    Call call(Call::polling);
    switch (what->what) {
      case Service::none: what->done = 1; break;
      case Service::progress: progress(call, what); break;
      case Service::finish_collectives: finish_collectives(call, what); break;
      case Service::exchange_counts: exchange_counts(call, what); break;
      case Service::drain: drain(call, what); break;
      case Service::rebuild: rebuild(call, what); break;
      case Service::resume: resume(call, what); break;
    }
  }
  order_for_signal();
  record->depth.store(depth, std::memory_order_relaxed);
}

}  // namespace mana::upper
