// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/ids.h"

#include <cstddef>

#include "kernel-loader/ids_layout.inc"
#include "kernel-loader/sys.h"

namespace mana::loader {
namespace {

// Filled before the application runs, and then no pair is added or changes its kernel's id: no lock.
struct Pair {
  int32_t seen, real;
  IdKind kind;
  uint64_t fs;
};
constexpr uint64_t kMost = 1 << 16;  // threads and a few groups; pages that are not used cost nothing
constinit Pair pairs[kMost] = {};
constinit uint64_t count = 0;

// What the kernel's siginfo_t begins with.
struct SignalInfo {
  int32_t signal, error, code;
  int32_t told;  // padding; kTold: the sender's id is the application's
  int32_t process;
};
static_assert(offsetof(SignalInfo, code) == SIGINFO_CODE);
static_assert(offsetof(SignalInfo, told) == SIGINFO_TOLD);
static_assert(offsetof(SignalInfo, process) == SIGINFO_TOLD + 4);
constexpr int32_t kTold = SENDER_IS_TOLD;

}  // namespace

extern "C" {
constinit int32_t mana_process_ids[4] = {};
}

bool add_id(IdKind kind, int32_t seen, int32_t real, uint64_t fs) {
  if (seen <= 0 || real <= 0) return true;  // a parent or a session outside this namespace is 0 on both sides
  for (uint64_t i = 0; i < count; i++) {
    if (pairs[i].kind == kind && pairs[i].seen == seen) return true;
  }
  if (count == kMost) return false;
  pairs[count++] = {seen, real, kind, fs};
  return true;
}

void rename_id(IdKind kind, int32_t real, int32_t seen) {
  for (uint64_t i = 0; i < count; i++) {
    if (pairs[i].kind == kind && pairs[i].real == real) __atomic_store_n(&pairs[i].seen, seen, __ATOMIC_RELAXED);
  }
}

int32_t real_id(int32_t seen, IdKind kind) {
  for (uint64_t i = 0; i < count; i++) {
    if (pairs[i].kind == kind && pairs[i].seen == seen) return pairs[i].real;
  }
  // A group or a session that this process has made since has its number.
  return kind == IdKind::task ? seen : real_process(seen);
}

int32_t seen_id(int32_t real, IdKind kind) {
  for (uint64_t i = 0; i < count; i++) {
    if (pairs[i].kind == kind && pairs[i].real == real) return pairs[i].seen;
  }
  return kind == IdKind::task ? real : seen_process(real);
}

int32_t seen_id_of_this_thread() {
  const int32_t real = sys::gettid();
  for (uint64_t i = 0; i < count; i++) {
    if (pairs[i].kind != IdKind::task || pairs[i].real != real) continue;
    if (pairs[i].fs == 0 || pairs[i].fs == sys::fs_base()) return pairs[i].seen;
  }
  return real;
}

bool ids_are_translated() { return count != 0; }

bool thread_at(uint64_t& place, int32_t& seen, int32_t& real) {
  const int32_t self = sys::getpid();
  for (; place < count; place++) {
    const Pair& pair = pairs[place];
    if (pair.kind != IdKind::task || (pair.fs == 0 && pair.real != self)) continue;  // the parent
    seen = pair.seen;
    real = pair.real;
    return true;
  }
  return false;
}

void add_process(int32_t seen, int32_t real) {
  add_id(IdKind::task, seen, real);
  if (seen <= 0 || real <= 0) return;
  int32_t* free = mana_process_ids[0] == 0 ? mana_process_ids : mana_process_ids + 2;
  free[0] = real;
  free[1] = seen;
}

int32_t seen_process(int32_t real) {
  if (real == mana_process_ids[0]) return mana_process_ids[1];
  return real == mana_process_ids[2] ? mana_process_ids[3] : real;
}

int32_t real_process(int32_t seen) {
  if (seen == mana_process_ids[1]) return mana_process_ids[0];
  return seen == mana_process_ids[3] ? mana_process_ids[2] : seen;
}

// SI_USER, SI_QUEUE, SI_MESGQ, SI_TKILL.  (SIGCHLD names a child, which has one number only.)
bool names_a_sender(int32_t code) {
  const auto which = 0 - static_cast<uint32_t>(code);
  return which <= SENDER_CODES_LAST && ((SENDER_CODES >> which) & 1) != 0;
}

void tell_sender(void* siginfo) {
  auto* info = static_cast<SignalInfo*>(siginfo);
  if (!ids_are_translated() || !names_a_sender(info->code) || info->told == kTold) return;
  info->process = seen_process(info->process);
  info->told = kTold;
}

void name_sender(void* siginfo) {
  auto* info = static_cast<SignalInfo*>(siginfo);
  if (!ids_are_translated() || !names_a_sender(info->code)) return;
  info->process = real_process(info->process);
  info->told = 0;
}

}  // namespace mana::loader
