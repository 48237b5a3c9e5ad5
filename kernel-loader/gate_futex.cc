// SPDX-License-Identifier: BSD-3-Clause
// Futexes that have an owner, after a restart.  The application writes the owner's thread id into the word, as it knows it; the kernel
// compares with its own (futex(2), "Priority-inheritance futexes"; set_robust_list(2)).  So in a restarted process, and only there,
// nothing of this reaches the kernel.
//
// Priority inheritance: the word is a mutex of three states, free (no owner), held, and held with waiters (FUTEX_WAITERS), and who
// finds it held waits as for any futex.  No wake-up is lost:
//  1. A thread sleeps only if the word has an owner and FUTEX_WAITERS at the moment when the kernel queues it (FUTEX_WAIT compares).
//  2. FUTEX_WAITERS leaves such a word only by an unlock through here (the application's own, without a call, is for a word that is
//     nothing but its id), and that wakes one sleeper.
//  3. Who is woken takes the word with FUTEX_WAITERS set, whether others wait or not, or sets it on the owner that came first, before
//     it sleeps again or gives up (a time-out that is told was no wake-up).  So as long as somebody sleeps, the bit is set or
//     somebody is awake who will set it.
// What is lost is the inheritance itself, the order by priority, and the discovery of cycles of more than one thread.
// Mutexes that are shared with a process that is not of the job, and were held at the checkpoint, are not recognised by that process.
//
// Robust lists: at the end of a thread its list is walked as the kernel does (handle_futex_death), with the application's id.  When the
// process ends, all lists are, last of all but while other threads still run.  A process that is killed by a signal leaves its locks held.
#include <linux/futex.h>

#include <cerrno>

#include "kernel-loader/gate_data.h"
#include "kernel-loader/ids.h"

namespace mana::loader {
namespace {

constexpr uint32_t kOwner = FUTEX_TID_MASK, kWaiters = FUTEX_WAITERS, kOwnerDied = FUTEX_OWNER_DIED;
constexpr long kHeld = 1;  // by somebody else, who will wake us
constexpr int kMostRobustLocks = 2048;  // ROBUST_LIST_LIMIT

uint32_t load(const uint32_t* word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
bool exchange(uint32_t* word, uint32_t& expected, uint32_t wanted) {
  return __atomic_compare_exchange_n(word, &expected, wanted, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

long futex(uint64_t address, uint64_t operation, uint64_t value, uint64_t value2 = 0, uint64_t address2 = 0, uint64_t value3 = 0) {
  return sys::raw(__NR_futex, address, operation, value, value2, address2, value3);
}

// 0, or why the word cannot be written.  The kernel tries: it adds 0 to it, and wakes nobody, because nobody waits on `nobody`.
long check_word(uint64_t address) {
  if (address % sizeof(uint32_t) != 0) return -EINVAL;
  const uint32_t nobody = 0;
  constexpr uint64_t kAddNothingWakeNobody = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, -1);
  const long got = futex(sys::bits(&nobody), FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, address, kAddNothingWakeNobody);
  return sys::failed(got) ? got : 0;
}

bool has_ended(uint32_t owner) {
  const int32_t thread = real_id(static_cast<int32_t>(owner));
  return sys::raw(__NR_tgkill, static_cast<uint64_t>(sys::getpid()), static_cast<uint64_t>(thread), 0) == -ESRCH;
}

// Takes the word for this thread: 0; or kHeld, and `found` is what it was set to; or an error.
long take(uint32_t* word, bool only_try, bool is_private, uint32_t& found) {
  const auto self = static_cast<uint32_t>(seen_id_of_this_thread());
  for (found = load(word);;) {
    const uint32_t owner = found & kOwner;
    if (owner == self) return -EDEADLK;
    if (owner == 0) {
      if (exchange(word, found, (found & kOwnerDied) | kWaiters | self)) return 0;
      continue;
    }
    if (only_try) return -EAGAIN;
    if ((found & kWaiters) == 0 && !exchange(word, found, found | kWaiters)) continue;
    found |= kWaiters;
    if (!is_private || !has_ended(owner)) return kHeld;  // of other processes we know no ids
    const uint32_t now = load(word);
    if (now == found) return -ESRCH;
    found = now;
  }
}

// FUTEX_LOCK_PI takes CLOCK_REALTIME for granted.
uint64_t wait_operation(uint64_t operation) {
  const bool realtime = (operation & FUTEX_CMD_MASK) == FUTEX_LOCK_PI || (operation & FUTEX_CLOCK_REALTIME) != 0;
  return FUTEX_WAIT_BITSET | (operation & FUTEX_PRIVATE_FLAG) | (realtime ? FUTEX_CLOCK_REALTIME : 0);
}

// Of the call that the thread makes in the vdso.  `given`: the application's arguments.  The deadline stays what it is.
void set_wait(CaughtCall& call, const uint64_t (&given)[6], uint64_t address, uint32_t value) {
  call.set_argument(0, address);
  call.set_argument(1, wait_operation(given[1]));
  call.set_argument(2, value);
  call.set_argument(4, 0);
  call.set_argument(5, FUTEX_BITSET_MATCH_ANY);
}

long wait_first(CaughtCall& call, uint64_t address, uint32_t value) {
  BlockingCall& blocking = call.block();
  blocking.finish = FINISH_ALWAYS;
  set_wait(call, blocking.arguments, address, value);
  take_up_deadline(call, blocking);
  return 0;
}

long lock(CaughtCall& call, bool only_try) {
  if (const long wrong = check_word(call.argument(0))) return wrong;
  uint32_t found;
  const long got = take(sys::pointer<uint32_t>(call.argument(0)), only_try, (call.argument(1) & FUTEX_PRIVATE_FLAG) != 0, found);
  return got == kHeld ? wait_first(call, call.argument(0), found) : got;
}

long unlock(const CaughtCall& call) {
  if (const long wrong = check_word(call.argument(0))) return wrong;
  auto* word = sys::pointer<uint32_t>(call.argument(0));
  const auto self = static_cast<uint32_t>(seen_id_of_this_thread());
  uint32_t now = load(word);
  do {
    if ((now & kOwner) != self) return -EPERM;
  } while (!exchange(word, now, 0));
  if ((now & kWaiters) != 0) futex(call.argument(0), FUTEX_WAKE | (call.argument(1) & FUTEX_PRIVATE_FLAG), 1);
  return 0;
}

// All who would be moved to the mutex are woken, and find their way there themselves.
long requeue(const CaughtCall& call) {
  constexpr uint64_t kMost = 0x7fffffff;
  if (call.argument(2) != 1) return -EINVAL;
  const uint64_t woken = call.argument(3) < kMost ? 1 + call.argument(3) : kMost;
  const uint64_t operation = FUTEX_CMP_REQUEUE | (call.argument(1) & FUTEX_PRIVATE_FLAG);
  return futex(call.argument(0), operation, woken, 0, call.argument(4), call.argument(5));
}

// The owner of this word ends.
void mark_dead(uint64_t entry, uint64_t offset, bool pending, uint32_t owner) {
  const bool inherits = (entry & 1) != 0;
  const uint64_t address = (entry & ~uint64_t{1}) + offset;
  if (check_word(address) != 0) return;
  auto* word = sys::pointer<uint32_t>(address);
  uint32_t now = load(word);
  if (pending && !inherits && now == 0) {  // it was on its way out of an unlock, and may have woken nobody yet
    futex(address, FUTEX_WAKE, 1);
    return;
  }
  do {
    if ((now & kOwner) != owner) return;
  } while (!exchange(word, now, (now & kWaiters) | kOwnerDied));
  if ((now & kWaiters) == 0) return;
  futex(address, FUTEX_WAKE, 1);
  if (inherits) futex(address, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
}

bool read_word(uint64_t address, uint64_t& word) {
  if (!readable_word(address)) return false;
  word = *sys::pointer<const uint64_t>(address);
  return true;
}

void walk_robust_list(uint64_t head, uint32_t owner) {
  uint64_t entry, offset, pending;
  if (head == 0 || !read_word(head, entry) || !read_word(head + 8, offset) || !read_word(head + 16, pending)) return;
  for (int left = kMostRobustLocks; left > 0 && (entry & ~uint64_t{1}) != head; left--) {
    uint64_t next;
    const bool more = read_word(entry & ~uint64_t{1}, next);  // before the lock is another's
    if ((entry & ~uint64_t{1}) != (pending & ~uint64_t{1})) mark_dead(entry, offset, false, owner);
    if (!more) return;
    entry = next;
  }
  if (pending != 0) mark_dead(pending, offset, true, owner);
}

void leave_locks_of(int32_t real, int32_t seen) {
  uint64_t head = 0, length = 0;
  const long got = sys::raw(__NR_get_robust_list, static_cast<uint64_t>(real), sys::bits(&head), sys::bits(&length));
  if (!sys::failed(got)) walk_robust_list(head, static_cast<uint32_t>(seen));
}

}  // namespace

long do_futex(CaughtCall& call) {
  switch (call.argument(1) & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
      return wait_for_span(call);
    case FUTEX_WAIT_BITSET:
      return wait_until_deadline(call);
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
      return lock(call, false);
    case FUTEX_TRYLOCK_PI:
      return lock(call, true);
    case FUTEX_UNLOCK_PI:
      return unlock(call);
    case FUTEX_CMP_REQUEUE_PI:
      return requeue(call);
    default:  // FUTEX_WAIT_REQUEUE_PI: on the first word until woken, then for the lock
      if (call.argument(0) == call.argument(4)) return -EINVAL;
      return wait_first(call, call.argument(0), static_cast<uint32_t>(call.argument(2)));
  }
}

bool finish_futex(CaughtCall& call, const BlockingCall& blocking, long& result) {
  const uint64_t(&given)[6] = blocking.arguments;
  const bool requeues = (given[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_REQUEUE_PI;
  const bool for_lock = !requeues || call.argument(0) == given[4];
  if (result == -EINTR && !for_lock) return false;  // the same wait again: the registers are still set for it
  const bool look_again = result == 0 || (for_lock && (result == -EAGAIN || result == -EINTR));
  if (!look_again) return true;
  const uint64_t address = requeues ? given[4] : given[0];
  result = check_word(address);
  if (result != 0) return true;
  uint32_t found;
  result = take(sys::pointer<uint32_t>(address), false, (given[1] & FUTEX_PRIVATE_FLAG) != 0, found);
  if (result != kHeld) return true;
  set_wait(call, given, address, found);
  return false;
}

void leave_robust_locks() { leave_locks_of(0, seen_id_of_this_thread()); }

void leave_robust_locks_of_all() {
  int32_t seen, real;
  for (uint64_t i = 0; thread_at(i, seen, real); i++) leave_locks_of(real, seen);
}

long do_exit(CaughtCall& call) {
  leave_robust_locks();
  for (;;) call.pass();
}

}  // namespace mana::loader
