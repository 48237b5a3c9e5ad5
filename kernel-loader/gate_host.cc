// SPDX-License-Identifier: BSD-3-Clause
// A restarted process whose user wants it to go on under the name of another host (mana_restart --hostname).  uname(2) and
// /proc/sys/kernel/hostname tell it; nothing else does: not MPI_Get_processor_name, which says where the rank really is, nor
// what the application executes natively.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/gate_data.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

constinit char name[sizeof utsname::nodename] = {};
constinit char file_path[32] = {};  // of a file that holds the name, as a path of this process

long make_file() {
  const MakingDescriptors making;
  return move_above(making, sys::raw(__NR_memfd_create, sys::bits("hostname"), MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

}  // namespace

bool host_is_named() { return name[0] != 0; }

Outcome set_host_name(const char* wanted) {
  copy_text(wanted, name, sizeof name);
  const long file = make_file();
  if (sys::failed(file)) return Error{"make a file for the name of the host", sys::error_of(file)};
  char line[sizeof name + 1];
  TextLine(line, sizeof line).add(name).add('\n');
  const uint64_t length = text_length(line);
  const long wrote = sys::raw(__NR_write, static_cast<uint64_t>(file), sys::bits(line), length);
  if (wrote != static_cast<long>(length)) return Error{"write the name of the host", sys::failed(wrote) ? sys::error_of(wrote) : 0};
  sys::raw(__NR_fcntl, static_cast<uint64_t>(file), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK);
  TextLine(file_path, sizeof file_path).add("/proc/thread-self/fd/").decimal(file);
  return Done{};
}

const char* host_name_file(const char* path) {
  return host_is_named() && same_text(path, "/proc/sys/kernel/hostname") ? file_path : nullptr;
}

long do_uname(CaughtCall& call) {
  const long got = call.pass();
  if (!sys::failed(got)) __builtin_memcpy(sys::pointer<utsname>(call.argument(0))->nodename, name, sizeof name);
  return got;
}

}  // namespace mana::loader
