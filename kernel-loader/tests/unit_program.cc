// SPDX-License-Identifier: BSD-3-Clause
// What bad programs get.  The files are made here; TEST_COMPILER makes the static one.
#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "kernel-loader/program.h"
#include "kernel-loader/report.h"

using namespace mana::loader;

namespace {

struct Folder {
  Folder() {
    char name[] = "/tmp/mana-program-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string make(const std::string& name, const std::string& content, mode_t mode = 0755) const {
    const std::string file = path + "/" + name;
    std::ofstream(file, std::ios::binary) << content;
    chmod(file.c_str(), mode);
    return file;
  }
  std::string path;
};

std::string message(const Outcome& outcome) {
  if (outcome.ok()) return "ok";
  char text[512];
  format_error("launch", outcome.error(), text, sizeof text);
  return text;
}

std::string inspect(const std::string& path, Program& program) {
  return message(inspect_program(path.c_str(), program));
}
std::string inspect(const std::string& path) {
  static Program program;
  return inspect(path, program);
}

std::string elf_header(unsigned char bits, uint16_t machine, uint16_t type = ET_DYN) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = bits;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = type;
  header.e_machine = machine;
  return std::string(reinterpret_cast<const char*>(&header), sizeof header);
}

std::string shell() { return "/bin/sh"; }

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("bad_programs_are_named_with_the_reason_and_what_to_do") {
  const Folder folder;
  CHECK_THAT(inspect(folder.make("text", "hello\n")),
             Contains("/text: not an ELF file") && Contains("dynamically linked"));
  CHECK_THAT(inspect(folder.make("empty", "")), Contains("not an ELF file"));
  CHECK_THAT(inspect(folder.make("bits32", elf_header(ELFCLASS32, EM_386))),
             Contains("a 32-bit program"));
  CHECK_THAT(inspect(folder.make("arm", elf_header(ELFCLASS64, EM_AARCH64))),
             Contains("another machine"));
  CHECK_THAT(inspect(folder.make("object", elf_header(ELFCLASS64, EM_X86_64, ET_REL))),
             Contains("not a program"));
  CHECK_THAT(inspect(folder.make("cut", elf_header(ELFCLASS64, EM_X86_64).substr(0, 30))),
             Contains("truncated"));
  CHECK_THAT(inspect(folder.path), Contains("Is a directory"));
  CHECK_THAT(inspect(folder.path + "/none"), Contains("No such file or directory"));
  CHECK_THAT(inspect(folder.make("locked", "#!/bin/sh\n", 0644)), Contains("Permission denied"));
  CHECK_THAT(inspect(folder.make("lost", "#!/no/such/interpreter\n")),
             Contains("/no/such/interpreter") && Contains("No such file"));
  const std::string loop = folder.path + "/loop";
  folder.make("loop", "#!" + loop + "\n");
  CHECK_THAT(inspect(loop),
             Contains("Too many levels") || Contains("scripts that interpret scripts"));
}

TEST_CASE("a_static_program_is_refused") {
  const Folder folder;
  const std::string source = folder.make("m.c", "int main(void) { return 0; }\n", 0644);
  const std::string program = folder.path + "/m";
  const std::string compile = "cc -static -o " + program + " " + source + " 2>/dev/null";
  if (std::system(compile.c_str()) != 0) {
    WARN("skipped: no static C library here");
    return;
  }
  CHECK_THAT(inspect(program), Contains("a static program") && Contains("link it dynamically"));
}

TEST_CASE("a_script_is_loaded_as_its_interpreter") {
  const Folder folder;
  static Program program;
  const std::string script = folder.make("script", "#! /bin/sh  -e x \necho\n");
  REQUIRE(inspect(script, program) == "ok");
  CHECK(std::string(program.interpreter).find("ld-linux") != std::string::npos);
  REQUIRE(program.prefix_words == 3);
  std::vector<std::string> words;
  for (const char* at = program.prefix; words.size() < 3; at += words.back().size() + 1)
    words.emplace_back(at);
  CHECK(words == std::vector<std::string>{"/bin/sh", "-e x", script});
  const std::string outer = folder.make("outer", "#!" + script + "\n");
  REQUIRE(inspect(outer, program) == "ok");
  REQUIRE(program.prefix_words == 4);
  CHECK(std::string(program.prefix) == "/bin/sh");
  CHECK(std::string(program.path) == std::filesystem::canonical(shell()).string());
}

TEST_CASE("a_bare_name_is_searched_as_execvp_does") {
  const Folder folder;
  char found[kPathSize];
  folder.make("tool", "#!/bin/sh\n");
  folder.make("data", "x", 0644);
  const std::string search = "/nowhere:" + folder.path + ":/bin";
  REQUIRE(message(find_program("tool", search.c_str(), found)) == "ok");
  CHECK(std::string(found) == folder.path + "/tool");
  REQUIRE(message(find_program("./x/y", search.c_str(), found)) == "ok");
  CHECK(std::string(found) == "./x/y");
  CHECK_THAT(message(find_program("no-such-tool", search.c_str(), found)),
             Contains("No such file"));
  CHECK_THAT(message(find_program("data", search.c_str(), found)), Contains("Permission denied"));
}

TEST_CASE("needed_libraries_are_listed") {
  std::vector<std::string> names;
  const auto note = [](const char* name, void* closure) {
    static_cast<std::vector<std::string>*>(closure)->emplace_back(name);
    return true;
  };
  REQUIRE(message(needed_libraries("/proc/self/exe", note, &names)) == "ok");
  CHECK(std::find(names.begin(), names.end(), "libc.so.6") != names.end());
}
