// SPDX-License-Identifier: BSD-3-Clause
// Process and thread ids stay what the application has seen, across restarts.
//
// The kernel gives a restarted process and its threads new ids.  So a restarted process (and only that: before, both are
// the same and nothing is caught) has a table of pairs, the id that the application knows and the kernel's; the calls that take or tell an
// id are caught and translated (gate_ids.cc).  What is not in the table is the same on both sides: children, threads made since,
// other processes.
//
// What the kernel keeps (the sender in a siginfo, the owner of a descriptor) is always in the kernel's numbers: translated on the way in
// and on the way out, so other processes see the truth.  An image has the application's.  Lock words, which the application itself writes,
// have the application's: gate_futex.cc.  Files of /proc are translated while they are read: proc_text.h.
//
// So ids of other ranks, which the application was told in a message, are not translated.  Nor are
//  - in what is read: /proc/sysvipc and the last users of System V objects (cpid, lpid), getcwd in a folder of /proc.  What is translated is so
//    for calls of the family of read on a file of /proc and on a signalfd (gate_read_ids.cc), and for recvmsg (gate_credentials.cc); not for
//    splice, sendfile or io_uring, or a descriptor that came in a message.
//  - credentials that are sent (SCM_CREDENTIALS) by a process that has no socket with SO_PASSCRED itself, with sendmmsg, or with more than
//    264 bytes of control data: with the sender's own id in it the message of an ordinary user is refused, EPERM.
//  - in paths of other calls than open, readlink, stat, access and chdir; in paths from a folder that is not the working one only those from a
//    folder of /proc (its number is caught, gate_read_ids.cc).
//  - ptrace, because its many requests would all have to be caught, and a process cannot trace itself; PR_SCHED_CORE.
//
// Limit: the kernel may give a new thread or child a number that the application knows as one of its own.  Then the application's
// own is meant.
#pragma once

#include <cstdint>

namespace mana::loader {

// One number may be the id of a task, a process group and a session, of which the new launcher makes three.
enum class IdKind : uint32_t { task, group, session };

// Before the application runs.  `fs`: of a thread other than the main one, to tell it from a later one that got its number; else 0.
// False: the table is full.
bool add_id(IdKind kind, int32_t seen, int32_t real, uint64_t fs = 0);

// The application has become the leader of this group or session, which it has known by another number until now.
void rename_id(IdKind kind, int32_t real, int32_t seen);

// Any thread, also in a signal handler.
int32_t real_id(int32_t seen, IdKind kind = IdKind::task);
int32_t seen_id(int32_t real, IdKind kind = IdKind::task);
int32_t seen_id_of_this_thread();

bool ids_are_translated();
// The threads of the table, one after the other; false: there are no more.
bool thread_at(uint64_t& place, int32_t& seen, int32_t& real);

// The processes of the table are this one and its parent.  Where a process is told that may be any (a sender of signals, a peer, the
// owner of a lock) only these two are translated: a number of a thread may have become another process's since the thread ended.
int32_t seen_process(int32_t real);
int32_t real_process(int32_t seen);
void add_process(int32_t seen, int32_t real);

// The sender in a siginfo_t.  tell_sender: the kernel's id becomes the application's; done twice it is done once, because a signal
// may come between doing it and going on (trampolines/signal_entry_x86_64.S does the same).  name_sender: the other way round.
void tell_sender(void* siginfo);
void name_sender(void* siginfo);
// si_code of a signal that names who sent it.
bool names_a_sender(int32_t code);
// For the signal entry: {kernel's, application's} of both processes; equal where there is nothing to translate.
extern "C" int32_t mana_process_ids[4];

}  // namespace mana::loader
