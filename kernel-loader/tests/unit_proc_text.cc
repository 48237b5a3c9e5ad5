// SPDX-License-Identifier: BSD-3-Clause
// Texts of /proc with the application's ids: every format, in pieces and windows of every size.
#include <catch2/catch.hpp>

#include <string>

#include "kernel-loader/ids.h"
#include "kernel-loader/proc_text.h"

namespace mana::loader {
namespace {

std::string window(ProcFile file, const std::string& text, uint64_t skip, size_t room) {
  std::string to(room, '?');
  ProcText maker(file, skip, to.data(), room);
  bool more = true;
  for (size_t at = 0; at < text.size() && more; at += 128) more = maker.put(text.data() + at, text.size() - at < 128 ? text.size() - at : 128);
  if (more) maker.end();
  to.resize(maker.used());
  return to;
}

void check(ProcFile::Kind kind, const std::string& text, const std::string& expected, bool own = true) {
  const ProcFile file{kind, own};
  CHECK(window(file, text, 0, 4096) == expected);
  for (size_t room = 1; room <= 7; room++) {
    std::string whole;
    while (true) {
      const std::string piece = window(file, text, whole.size(), room);
      if (piece.empty()) break;
      whole += piece;
    }
    CHECK(whole == expected);
  }
}

}  // namespace

TEST_CASE("texts_of_proc_have_the_ids_that_the_application_knows") {
  add_process(1000000, 77);  // this process
  add_process(5, 4242);      // its parent
  add_id(IdKind::task, 1000001, 78);
  add_id(IdKind::group, 900, 70);
  add_id(IdKind::session, 800, 60);

  check(ProcFile::stat, "77 (a) 77 (b) S 77) S 4242 70 60 34816 70 4194304 77 78\n", "1000000 (a) 77 (b) S 77) S 5 900 800 34816 900 4194304 77 78\n");
  check(ProcFile::stat, "78 (\n) R 4242 77 60 0 -1 77\n", "1000001 (\n) R 5 1000000 800 0 -1 77\n");
  check(ProcFile::stat, "78 (other's) R 1 70 60 0 -1 77\n", "78 (other's) R 1 900 800 0 -1 77\n", false);
  check(ProcFile::status, "Name:\tPid: 77\nTgid:\t77\nNgid:\t0\nPid:\t78\nPPid:\t4242\nNSpid:\t78\t77\nNSpgid:\t70\nNSsid:\t60\nThreads:\t77\n",
        "Name:\tPid: 77\nTgid:\t1000000\nNgid:\t0\nPid:\t1000001\nPPid:\t5\nNSpid:\t1000001\t77\nNSpgid:\t900\nNSsid:\t800\nThreads:\t77\n");
  check(ProcFile::status, "Groups:\t" + std::string(200, '7') + " 77\nPid:\t77", "Groups:\t" + std::string(200, '7') + " 77\nPid:\t1000000");
  check(ProcFile::sched, "a (77, #threads: 1 (77, #threads: 3)\nse.load : 77\n", "a (77, #threads: 1 (1000000, #threads: 3)\nse.load : 77\n");
  check(ProcFile::children, "12 77 4242 78 ", "12 1000000 5 78 ");
  check(ProcFile::timers, "ID: 77\nsignal: 10/77\nnotify: signal/pid.77\nClockID: 77\nID: 78\nnotify: signal/tid.78\n",
        "ID: 77\nsignal: 10/77\nnotify: signal/pid.1000000\nClockID: 77\nID: 78\nnotify: signal/tid.1000001\n");
  check(ProcFile::fdinfo, "pos:\t77\nlock:\t1: POSIX  ADVISORY  WRITE 77 08:01:77 77 EOF\nPid:\t77\n",
        "pos:\t77\nlock:\t1: POSIX  ADVISORY  WRITE 1000000 08:01:77 77 EOF\nPid:\t1000000\n");
  check(ProcFile::locks, "1: FLOCK  ADVISORY  WRITE 4242 00:77:77 0 EOF\n1: -> OFDLCK ADVISORY  READ -1 00:77:77 77 EOF\n2: -> POSIX ADVISORY  READ 77 0:1:2 77 77\n",
        "1: FLOCK  ADVISORY  WRITE 5 00:77:77 0 EOF\n1: -> OFDLCK ADVISORY  READ -1 00:77:77 77 EOF\n2: -> POSIX ADVISORY  READ 1000000 0:1:2 77 77\n", false);
}

}  // namespace mana::loader
