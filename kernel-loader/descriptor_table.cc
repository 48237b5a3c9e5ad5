// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/descriptor_table.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "kernel-loader/sys.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

constinit DescriptorTable table;

uint64_t as_argument(int number) { return static_cast<uint64_t>(number); }

}  // namespace

DescriptorTable& descriptor_table() { return table; }

DescriptorTable::Number DescriptorTable::look_at(int number) const {
  struct stat status;
  const long seen = sys::raw(__NR_fstat, as_argument(number), sys::bits(&status));
  if (seen == -EBADF) return Number::closed;
  if (sys::failed(seen)) return Number::other;
  if (status.st_ino == inode_ && status.st_dev == device_) return Number::free;
  return S_ISREG(status.st_mode) ? Number::file : Number::other;
}

Outcome DescriptorTable::hold(int first_lower) {
  constexpr uint64_t kCloseOnExec = 1;  // MFD_CLOEXEC
  const long made =
      sys::raw(__NR_memfd_create, sys::bits("mana: free for the application"), kCloseOnExec);
  if (sys::failed(made)) return Error{"memfd_create", sys::error_of(made)};
  // An O_PATH descriptor answers EBADF to nearly everything, as a closed number does (open(2)).
  char path[64];
  TextLine(path, sizeof path).add("/proc/self/fd/").decimal(made);
  const long opened = sys::open_read(path, O_PATH);
  sys::close(static_cast<int>(made));
  if (sys::failed(opened)) return Error{"open with O_PATH", sys::error_of(opened)}.at(path);
  const long high = sys::raw(__NR_fcntl, static_cast<uint64_t>(opened), F_DUPFD_CLOEXEC,
                             as_argument(first_lower));
  sys::close(static_cast<int>(opened));
  if (sys::failed(high)) {
    return Error{"duplicate a descriptor above", sys::error_of(high),
                 static_cast<uint64_t>(first_lower)}
        .so("raise the limit of open files (ulimit -n)");
  }
  struct stat status;
  sys::raw(__NR_fstat, static_cast<uint64_t>(high), sys::bits(&status));
  device_ = status.st_dev;
  inode_ = status.st_ino;
  placeholder_ = static_cast<int>(high);
  first_lower_ = first_lower;
  for (int number = 0; number < first_lower; number++) {
    if (look_at(number) != Number::closed) {
      set_inherited(number, number);
      continue;
    }
    const long held = release(number);
    if (sys::failed(held))
      return Error{"hold descriptor number", sys::error_of(held), as_argument(number)};
  }
  return Done{};
}

int DescriptorTable::claim(int least, bool verify) {
  for (int number = least; number < first_lower_; number++) {
    const uint64_t word = free_[number / 64] >> (number % 64);
    if (word == 0) {
      number |= 63;
      continue;
    }
    number += __builtin_ctzll(word);
    if (number >= first_lower_) return -1;
    set_free(number, false);
    if (!verify || is_placeholder(number)) return number;
  }
  return -1;
}

int DescriptorTable::find_placeholder(int least, int below) const {
  if (below > first_lower_) below = first_lower_;
  for (int number = least; number < below; number++) {
    if (is_placeholder(number)) return number;
  }
  return -1;
}

void DescriptorTable::set_used(int number, uint32_t description) {
  set_free(number, false);
  descriptions_[number] = description != 0 ? description : next_description_++;
}

long DescriptorTable::release(int number) {
  const long put = sys::raw(__NR_dup3, as_argument(placeholder_), as_argument(number), O_CLOEXEC);
  if (sys::failed(put)) return put;
  descriptions_[number] = 0;
  set_free(number, true);
  return 0;
}

}  // namespace mana::loader
