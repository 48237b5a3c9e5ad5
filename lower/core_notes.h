// SPDX-License-Identifier: BSD-3-Clause
// The notes of a core file, as gdb, readelf and eu-stack expect them, in one growing buffer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernel-loader/image_format.h"
#include "lower/park.h"

namespace mana::lower {

class CoreNotes {
 public:
  // Appends a note; returns the position of its data in the buffer.
  std::size_t add(const char* name, uint32_t type, const void* data, std::size_t bytes);

  void add_process(const std::string& program, const std::vector<std::string>& arguments);  // NT_PRPSINFO
  // NT_PRSTATUS, NT_FPREGSET, NT_X86_XSTATE, NT_SIGINFO.  The registers are those of the frame: the application's own.
  void add_thread(const ParkSlot& thread);
  // NT_FILE: which file is mapped where.
  struct MappedFile {
    uint64_t begin, end, offset;
    std::string path;
  };
  void add_files(const std::vector<MappedFile>& files);

  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace mana::lower
