// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/report.h"

#include <cerrno>

#include "kernel-loader/sys.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

int report_rank = -1;
constexpr int kBrokenInvariant = 86;

const char* words_for(int number) {
  switch (number) {
    case EPERM:
      return "Operation not permitted";
    case ENOENT:
      return "No such file or directory";
    case EIO:
      return "Input/output error";
    case E2BIG:
      return "Argument list too long";
    case ENOEXEC:
      return "Exec format error";
    case EBADF:
      return "Bad file descriptor";
    case ENOMEM:
      return "Cannot allocate memory";
    case EACCES:
      return "Permission denied";
    case EFAULT:
      return "Bad address";
    case EBUSY:
      return "Device or resource busy";
    case EEXIST:
      return "File exists";
    case ENODEV:
      return "No such device";
    case ENOTDIR:
      return "Not a directory";
    case EISDIR:
      return "Is a directory";
    case EINVAL:
      return "Invalid argument";
    case EMFILE:
      return "Too many open files";
    case ENFILE:
      return "Too many open files in system";
    case ETXTBSY:
      return "Text file busy";
    case ENOSPC:
      return "No space left on device";
    case ESPIPE:
      return "Illegal seek";
    case EROFS:
      return "Read-only file system";
    case ENAMETOOLONG:
      return "File name too long";
    case ENOSYS:
      return "Function not implemented";
    case ELOOP:
      return "Too many levels of symbolic links";
    case EOPNOTSUPP:
      return "Operation not supported";
    case ESTALE:
      return "Stale file handle";
    default:
      return nullptr;
  }
}

}  // namespace

void set_report_rank(int rank) { report_rank = rank; }

void format_error(const char* area, const Error& error, char* text, size_t size) {
  TextLine line(text, size);
  line.add(area);
  if (error.stage != nullptr) line.add(": ").add(error.stage);
  if (error.where[0] != 0) line.add(": ").add(error.where);
  line.add(": ").add(error.what);
  if (error.first != 0 || error.second != 0) {
    line.add(" ").hex(error.first);
    if (error.second != 0) line.add("+").hex(error.second);
  }
  if (error.number != 0) {
    const char* words = words_for(error.number);
    line.add(": ");
    if (words != nullptr)
      line.add(words);
    else
      line.add("errno ").decimal(error.number);
  }
  if (error.advice != nullptr) line.add(": ").add(error.advice);
}

void report(const char* area, const Error& error) {
  char text[700];
  TextLine line(text, sizeof text - 1);
  line.add("mana: ");
  if (report_rank >= 0) line.add("rank ").decimal(report_rank).add(": ");
  const size_t head = text_length(text);
  format_error(area, error, text + head, sizeof text - 1 - head);
  const size_t length = text_length(text);
  text[length] = '\n';
  sys::raw(__NR_write, 2, sys::bits(text), length + 1);
}

void fail(const char* area, const Error& error) {
  report(area, error);
  for (;;) sys::raw(__NR_exit_group, kBrokenInvariant);
}

}  // namespace mana::loader
