// SPDX-License-Identifier: BSD-3-Clause
// One page that a forked child finds wiped (MADV_WIPEONFORK), and the locks that therefore are free
// there even if another thread of the parent held them at the fork.  It also tells the three kinds
// of process apart that run gate code:
//   original     the launched process
//   forked       its own copy of our memory: `alive` reads 0 at first
//   vforked      shares our memory but not our descriptor table or signal actions: `pid` is
//   another's
// Freestanding; private to kernel-loader.
#pragma once

#include <atomic>
#include <cstdint>

#include "kernel-loader/result.h"

namespace mana::loader {

enum class ProcessKind { original, forked, vforked };

struct ForkLocal {
  std::atomic<uint32_t>
      memory_learned;  // 0 in a forked child until its first memory call: read the maps again
  std::atomic<int32_t>
      pid;            // of the process whose memory this is; 0: forked, nobody has looked yet
  uint32_t original;  // 1 in the launched process
  std::atomic<int32_t> memory_lock;  // tid of the holder, or -1
  std::atomic<int32_t> descriptor_lock;
  std::atomic<int32_t> action_lock;
  std::atomic<int32_t> text_lock;  // gate_read_ids.cc
};

Outcome init_fork_local();
bool fork_local_ready();  // not before main()
ForkLocal& fork_local();
ProcessKind process_kind();

// Held with all signals blocked, for a few system calls at most.  A holder that was killed (a
// vforked child shares our memory and may be) is noticed and its lock taken over.  Locks that
// vforked children never take need no name of the holder.
class Hold {
 public:
  enum class By { anyone, lasting_process };
  explicit Hold(std::atomic<int32_t>& lock, By by = By::anyone);
  ~Hold() { lock_.store(0, std::memory_order_release); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  std::atomic<int32_t>& lock_;
};

}  // namespace mana::loader
