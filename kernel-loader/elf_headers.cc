// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/elf_headers.h"

#include <cerrno>

#include "kernel-loader/sys.h"

namespace mana::loader {

Outcome read_elf_headers(int descriptor, ElfHeaders& headers) {
  const long got = sys::pread(descriptor, &headers.file, sizeof headers.file, 0);
  if (sys::failed(got)) return Error{"read ELF header", sys::error_of(got)};
  const unsigned char* identity = headers.file.e_ident;
  if (got < EI_NIDENT || identity[EI_MAG0] != ELFMAG0 || identity[EI_MAG1] != ELFMAG1 ||
      identity[EI_MAG2] != ELFMAG2 || identity[EI_MAG3] != ELFMAG3) {
    return Error{"not an ELF file"}.so(
        "give a dynamically linked program of this machine, or a script with a #! line");
  }
  if (identity[EI_CLASS] == ELFCLASS32) {
    return Error{"a 32-bit program"}.so("only 64-bit programs can be run: build it without -m32");
  }
  if (got < static_cast<long>(sizeof headers.file)) return Error{"truncated ELF header"};
  if (identity[EI_DATA] != ELFDATA2LSB || headers.file.e_machine != EM_X86_64) {
    return Error{"built for another machine (e_machine)", 0, headers.file.e_machine}.so(
        "build it for x86-64");
  }
  if (headers.file.e_type != ET_EXEC && headers.file.e_type != ET_DYN) {
    return Error{"not a program (an object or core file)"};
  }
  if (headers.file.e_phentsize != sizeof(Elf64_Phdr) || headers.file.e_phnum == 0 ||
      headers.file.e_phnum > kMostSegments) {
    return Error{"unusable program headers (count, size)", ENOEXEC, headers.file.e_phnum,
                 headers.file.e_phentsize};
  }
  const size_t size = headers.file.e_phnum * sizeof(Elf64_Phdr);
  if (sys::pread(descriptor, headers.segments, size, headers.file.e_phoff) !=
      static_cast<long>(size)) {
    return Error{"truncated program headers"};
  }
  return Done{};
}

}  // namespace mana::loader
