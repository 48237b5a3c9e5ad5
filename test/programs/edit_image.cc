// SPDX-License-Identifier: BSD-3-Clause
// Makes an image say something else, with a right checksum, and prints the new checksum of the notes in hexadecimal.
// `edit_image FILE cpu`: it was taken on a CPU that nobody has (XOP and AVX-512ER together).
// `edit_image FILE clock SECONDS`: on a host that had been running for longer by so many, or with a minus for less long.
// `edit_image FILE version NUMBER`: of another version of the format.
#include <elf.h>
#include <xxhash.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "kernel-loader/image_format.h"

using mana::image::ImageHeader;

int main(int argc, char** argv) {
  const bool cpu = argc == 3 && std::strcmp(argv[2], "cpu") == 0;
  const bool clock = argc == 4 && std::strcmp(argv[2], "clock") == 0;
  const bool version = argc == 4 && std::strcmp(argv[2], "version") == 0;
  if (!cpu && !clock && !version) return 2;
  std::fstream file(argv[1], std::ios::in | std::ios::out | std::ios::binary);
  Elf64_Ehdr elf{};
  file.read(reinterpret_cast<char*>(&elf), sizeof elf);
  std::vector<Elf64_Phdr> headers(elf.e_phnum);
  file.seekg(static_cast<std::streamoff>(elf.e_phoff));
  file.read(reinterpret_cast<char*>(headers.data()), static_cast<std::streamsize>(headers.size() * sizeof headers[0]));
  std::size_t notes_end = 0;
  for (const auto& header : headers) {
    if (header.p_type == PT_NOTE) notes_end = header.p_offset + header.p_filesz;
  }
  std::vector<char> start(notes_end);
  file.seekg(0);
  file.read(start.data(), static_cast<std::streamsize>(notes_end));
  std::size_t at = notes_end;
  for (std::size_t i = 0; i + sizeof(ImageHeader) <= notes_end; i += 4) {
    if (std::memcmp(&start[i], &mana::image::kImageMagic, sizeof mana::image::kImageMagic) == 0) {
      at = i;
      break;
    }
  }
  if (!file || at == notes_end) return std::fprintf(stderr, "edit_image: %s has no image header\n", argv[1]), 1;
  ImageHeader header;
  std::memcpy(&header, &start[at], sizeof header);
  if (cpu) {
    header.cpu.extended_ecx |= 1u << 11;
    header.cpu.leaf7_ebx |= 1u << 27;
  }
  if (clock) {
    const std::int64_t seconds = std::atoll(argv[3]);
    for (std::int64_t* time : {&header.monotonic_ns, &header.raw_ns, &header.boot_ns}) *time += seconds * 1'000'000'000;
    header.ticks += seconds * 100;
  }
  if (version) header.version = static_cast<std::uint32_t>(std::atoi(argv[3]));
  header.notes_checksum = 0;
  std::memcpy(&start[at], &header, sizeof header);
  header.notes_checksum = XXH3_64bits(start.data(), start.size());
  std::memcpy(&start[at], &header, sizeof header);
  file.seekp(0);
  file.write(start.data(), static_cast<std::streamsize>(start.size()));
  std::printf("%016llx\n", static_cast<unsigned long long>(header.notes_checksum));
  return file.good() ? 0 : 1;
}
