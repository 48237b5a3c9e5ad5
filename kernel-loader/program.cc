// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/program.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "kernel-loader/descriptor_line.h"
#include "kernel-loader/elf_headers.h"
#include "kernel-loader/sys.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

constexpr int kMostScripts = 5;      // the kernel's limit on interpreters of interpreters
constexpr size_t kScriptLine = 256;  // the kernel reads this much of a file to find "#!"

struct File {
  explicit File(long opened) : descriptor(static_cast<int>(opened)) {}
  ~File() {
    if (descriptor >= 0) sys::close(descriptor);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  const int descriptor;
};

bool is_blank(char c) { return c == ' ' || c == '\t'; }

Outcome check_may_execute(const char* path) {
  struct stat status;
  const long got = sys::raw(__NR_stat, sys::bits(path), sys::bits(&status));
  if (sys::failed(got)) return Error{"find program", sys::error_of(got)};
  if (S_ISDIR(status.st_mode)) return Error{"execute", EISDIR};
  if (!S_ISREG(status.st_mode)) return Error{"execute: not a regular file", EACCES};
  const long allowed =
      sys::raw(__NR_faccessat, static_cast<uint64_t>(AT_FDCWD), sys::bits(path), 1 /* X_OK */);
  if (sys::failed(allowed)) return Error{"execute", sys::error_of(allowed)};
  return Done{};
}

void path_of_descriptor(int descriptor, char (&path)[kPathSize]) {
  char link[64];
  TextLine(link, sizeof link).add("/proc/self/fd/").decimal(descriptor);
  const long length = sys::raw(__NR_readlink, sys::bits(link), sys::bits(path), kPathSize - 1);
  path[sys::failed(length) ? 0 : length] = 0;
}

// Puts `words` (each with its NUL) before what is in the prefix.
bool put_before(Program& program, const char* words, size_t size, uint32_t count) {
  size_t old_size = 0;
  for (uint32_t i = 0; i < program.prefix_words; i++)
    old_size += text_length(program.prefix + old_size) + 1;
  if (old_size + size > sizeof program.prefix) return false;
  for (size_t i = old_size; i > 0; i--) program.prefix[size + i - 1] = program.prefix[i - 1];
  for (size_t i = 0; i < size; i++) program.prefix[i] = words[i];
  program.prefix_words += count;
  return true;
}

// Splits "#!  interpreter   argument with spaces  \n" as the kernel does.
struct ScriptLine {
  char interpreter[kScriptLine];
  char argument[kScriptLine];
};
bool parse_script_line(const char* line, size_t length, ScriptLine& parsed) {
  if (length < 2 || line[0] != '#' || line[1] != '!') return false;
  const char* at = line + 2;
  const char* end = at;
  while (end < line + length && *end != '\n' && *end != 0) end++;
  while (end > at && is_blank(end[-1])) end--;
  while (at < end && is_blank(*at)) at++;
  size_t i = 0;
  while (at < end && !is_blank(*at)) parsed.interpreter[i++] = *at++;
  parsed.interpreter[i] = 0;
  while (at < end && is_blank(*at)) at++;
  for (i = 0; at < end;) parsed.argument[i++] = *at++;
  parsed.argument[i] = 0;
  return true;
}

Outcome enter_script(const char* path, const ScriptLine& line, Program& program) {
  if (line.interpreter[0] == 0)
    return Error{"a script whose #! line names no interpreter", ENOEXEC};
  char words[2 * kScriptLine + kPathSize];
  size_t size = 0;
  uint32_t count = 0;
  const auto append = [&](const char* word) {
    for (const char* c = word;; c++) {
      words[size++] = *c;
      if (*c == 0) break;
    }
    count++;
  };
  append(line.interpreter);
  if (line.argument[0] != 0) append(line.argument);
  // At the first level the script's own name takes the place of argv[0]; deeper, the interpreter
  // that turned out to be a script is already the first word.
  if (program.prefix_words == 0) append(path);
  if (!put_before(program, words, size, count)) return Error{"script interpreters", E2BIG};
  return Done{};
}

// The Go tools leave a note of theirs (cmd/internal/buildid).
bool is_made_by_go(int descriptor, const ElfHeaders& headers) {
  for (int i = 0; i < headers.file.e_phnum; i++) {
    const Elf64_Phdr& segment = headers.segments[i];
    if (segment.p_type != PT_NOTE) continue;
    const uint64_t unit = segment.p_align == 8 ? 8 : 4;
    const auto padded = [unit](uint64_t at) { return (at + unit - 1) & ~(unit - 1); };
    struct {
      Elf64_Nhdr note;
      char name[4];
    } head;
    for (uint64_t at = 0; at + sizeof head <= segment.p_filesz;) {
      if (sys::pread(descriptor, &head, sizeof head, segment.p_offset + at) != sizeof head) break;
      if (head.note.n_namesz == sizeof head.name && __builtin_memcmp(head.name, "Go\0", sizeof head.name) == 0) return true;
      at = padded(padded(at + sizeof head.note + head.note.n_namesz) + head.note.n_descsz);
    }
  }
  return false;
}

Outcome check_elf(int descriptor, Program& program) {
  static_assert(sizeof(ElfHeaders) < 4096);
  ElfHeaders headers;
  if (Outcome read = read_elf_headers(descriptor, headers); !read.ok()) return read;
  const Elf64_Phdr* interpreter = headers.find(PT_INTERP);
  if (interpreter == nullptr) {
    return Error{"a static program: the MPI in it cannot be replaced"}.so(
        "link it dynamically (without -static)");
  }
  if (interpreter->p_filesz < 2 || interpreter->p_filesz > sizeof program.interpreter) {
    return Error{"unusable PT_INTERP", ENOEXEC};
  }
  const long got =
      sys::pread(descriptor, program.interpreter, interpreter->p_filesz, interpreter->p_offset);
  if (got != static_cast<long>(interpreter->p_filesz) || program.interpreter[got - 1] != 0) {
    return Error{"unusable PT_INTERP", ENOEXEC};
  }
  program.position_independent = headers.file.e_type == ET_DYN;
  if (!program.position_independent && is_made_by_go(descriptor, headers)) {
    return Error{"a Go program at a fixed address: it makes its system calls there, not in libc, where they cannot be told "
                 "from those of other programs"}
        .so("build it with go build -buildmode=pie -ldflags=-linkmode=external");
  }
  const File loader(sys::open_read(program.interpreter));
  if (loader.descriptor < 0) {
    return Error{"open its dynamic loader", -loader.descriptor}
        .so("is it built for this system?")
        .at(program.interpreter);
  }
  if (Outcome read = read_elf_headers(loader.descriptor, headers); !read.ok()) {
    return read.error().during("its dynamic loader").at(program.interpreter);
  }
  path_of_descriptor(descriptor, program.path);
  return Done{};
}

}  // namespace

Outcome find_program(const char* name, const char* search, char (&found)[kPathSize]) {
  if (name[0] == 0) return Error{"find program", ENOENT}.at("(empty name)");
  for (const char* c = name; *c != 0; c++) {
    if (*c == '/') {
      if (!copy_text(name, found, kPathSize)) return Error{"find program", ENAMETOOLONG}.at(name);
      return Done{};
    }
  }
  int failure = ENOENT;
  const char* at = search != nullptr ? search : "/bin:/usr/bin";
  for (;;) {
    TextLine line(found, kPathSize);
    const char* start = at;
    while (*at != 0 && *at != ':') line.add(*at++);
    if (at != start) line.add('/');
    line.add(name);
    if (check_may_execute(found).ok()) return Done{};
    if (sys::raw(__NR_access, sys::bits(found), 0) == 0) failure = EACCES;
    if (*at == 0) return Error{"find program in PATH", failure}.at(name);
    at++;
  }
}

Outcome inspect_program(const char* path, Program& program) {
  program.prefix_words = 0;
  program.path[0] = program.interpreter[0] = 0;
  ScriptLine line;
  const char* current = path;
  for (int depth = 0; depth <= kMostScripts; depth++) {
    if (Outcome allowed = check_may_execute(current); !allowed.ok())
      return allowed.error().at(current);
    const File file(sys::open_read(current));
    if (file.descriptor < 0) return Error{"open program", -file.descriptor}.at(current);
    char head[kScriptLine];
    const long length = sys::pread(file.descriptor, head, sizeof head, 0);
    if (sys::failed(length)) return Error{"read program", sys::error_of(length)}.at(current);
    if (!parse_script_line(head, static_cast<size_t>(length), line)) {
      Outcome checked = check_elf(file.descriptor, program);
      if (checked.ok() || checked.error().where[0] != 0) return checked;
      return checked.error().at(current);
    }
    if (Outcome entered = enter_script(current, line, program); !entered.ok())
      return entered.error().at(current);
    current = line.interpreter;
  }
  return Error{"scripts that interpret scripts", ELOOP}.at(path);
}

Outcome needed_libraries(const char* path, bool (*each)(const char* name, void* closure),
                         void* closure) {
  ElfHeaders headers;
  return needed_libraries(path, each, closure, headers);
}

Outcome needed_libraries(const char* path, bool (*each)(const char* name, void* closure), void* closure,
                         ElfHeaders& headers) {
  const File file(open_above(path));
  if (file.descriptor < 0) return Error{"open", -file.descriptor}.at(path);
  if (Outcome read = read_elf_headers(file.descriptor, headers); !read.ok())
    return read.error().at(path);
  const Elf64_Phdr* dynamic = headers.find(PT_DYNAMIC);
  if (dynamic == nullptr) return Done{};
  const auto entry_at = [&](uint64_t i, Elf64_Dyn& entry) {
    return (i + 1) * sizeof entry <= dynamic->p_filesz &&
           sys::pread(file.descriptor, &entry, sizeof entry,
                      dynamic->p_offset + i * sizeof entry) == sizeof entry &&
           entry.d_tag != DT_NULL;
  };
  Elf64_Dyn entry;
  uint64_t strings = 0;
  for (uint64_t i = 0; entry_at(i, entry); i++) {
    if (entry.d_tag != DT_STRTAB) continue;
    for (int s = 0; s < headers.file.e_phnum; s++) {
      const Elf64_Phdr& segment = headers.segments[s];
      if (segment.p_type == PT_LOAD && entry.d_un.d_ptr - segment.p_vaddr < segment.p_filesz) {
        strings = entry.d_un.d_ptr - segment.p_vaddr + segment.p_offset;
      }
    }
  }
  for (uint64_t i = 0; strings != 0 && entry_at(i, entry); i++) {
    if (entry.d_tag != DT_NEEDED) continue;
    char name[256];
    const long got = sys::pread(file.descriptor, name, sizeof name - 1, strings + entry.d_un.d_val);
    if (got <= 0) return Error{"read the name of a needed library"}.at(path);
    name[got] = 0;
    if (!each(name, closure)) break;
  }
  return Done{};
}

}  // namespace mana::loader
