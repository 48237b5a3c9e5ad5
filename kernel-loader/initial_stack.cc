// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/initial_stack.h"

#include <elf.h>

#include <cerrno>

#include "kernel-loader/sys.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

constexpr int kRandomBytes = 16;

// argv[0] of a script is replaced by the prefix words; all others follow.
template <class Each>
void each_argument(const StackContent& content, Each each) {
  const char* word = content.program->prefix;
  for (uint32_t i = 0; i < content.program->prefix_words; i++) {
    each(word);
    word += text_length(word) + 1;
  }
  char* const* next = content.arguments;
  if (content.program->prefix_words > 0 && *next != nullptr) next++;
  for (; *next != nullptr; next++) each(*next);
}

struct Sizes {
  uint64_t argument_bytes = 0, argument_count = 0, environment_bytes = 0, environment_count = 0;
};

Sizes measure(const StackContent& content) {
  Sizes sizes;
  each_argument(content, [&](const char* word) {
    sizes.argument_bytes += text_length(word) + 1;
    sizes.argument_count++;
  });
  for (char* const* next = content.environment; *next != nullptr; next++) {
    sizes.environment_bytes += text_length(*next) + 1;
    sizes.environment_count++;
  }
  return sizes;
}

uint64_t put_text(uint64_t at, const char* text) {
  const uint64_t size = text_length(text) + 1;
  __builtin_memcpy(sys::pointer<char>(at), text, size);
  return at + size;
}

void set(Auxv& auxv, uint64_t type, uint64_t value) {
  int i = 0;
  for (; auxv.words[i] != AT_NULL && auxv.words[i] != type; i += 2) {
    if (i + 4 >= Auxv::kWords) return;
  }
  auxv.words[i] = type;
  auxv.words[i + 1] = value;
}

}  // namespace

Result<InitialStack> build_stack(const Region& stack, StackContent& content) {
  const Sizes sizes = measure(content);
  const uint64_t file_name_size = text_length(content.file_name) + 1;
  const char* platform = sys::pointer<const char>(content.auxv.value(AT_PLATFORM));
  const uint64_t words = 1 + sizes.argument_count + 1 + sizes.environment_count + 1 +
                         static_cast<uint64_t>(Auxv::kWords);
  const uint64_t needed = content.skip + sizes.argument_bytes + sizes.environment_bytes +
                          file_name_size + words * 8 + 256;
  // execve allows arguments a quarter of the stack.
  if (needed > stack.length() / 4 * 3 ||
      sizes.argument_bytes + sizes.environment_bytes > stack.length() / 4) {
    return Error{"arguments and environment do not fit on the stack", E2BIG, needed, stack.length()}
        .so("raise the stack limit (ulimit -s)");
  }
  const uint64_t file_name = stack.high - content.skip - 8 - file_name_size;
  put_text(file_name, content.file_name);
  const uint64_t environment = file_name - sizes.environment_bytes;
  const uint64_t arguments = environment - sizes.argument_bytes;
  uint64_t at = arguments - 64;
  if (platform != nullptr) {
    put_text(at, platform);
    set(content.auxv, AT_PLATFORM, at);
  }
  at = (at - kRandomBytes) & ~uint64_t{15};
  const long got = sys::raw(__NR_getrandom, at, kRandomBytes, 0);
  if (got != kRandomBytes) return Error{"getrandom", sys::error_of(got)};
  set(content.auxv, AT_RANDOM, at);
  set(content.auxv, AT_EXECFN, file_name);

  uint64_t auxv_words = 2;
  while (content.auxv.words[auxv_words - 2] != AT_NULL) auxv_words += 2;
  const uint64_t used = 1 + sizes.argument_count + 1 + sizes.environment_count + 1 + auxv_words;
  const uint64_t pointer = (at - used * 8) & ~uint64_t{15};
  auto* word = sys::pointer<uint64_t>(pointer);
  *word++ = sizes.argument_count;
  uint64_t text = arguments;
  each_argument(content, [&](const char* argument) {
    *word++ = text;
    text = put_text(text, argument);
  });
  *word++ = 0;
  for (char* const* next = content.environment; *next != nullptr; next++) {
    *word++ = text;
    text = put_text(text, *next);
  }
  *word++ = 0;
  __builtin_memcpy(word, content.auxv.words, auxv_words * 8);
  return InitialStack{pointer, {arguments, environment}, {environment, file_name}};
}

}  // namespace mana::loader
