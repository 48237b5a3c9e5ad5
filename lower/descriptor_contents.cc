// SPDX-License-Identifier: BSD-3-Clause
#include "lower/descriptor_contents.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "lower/rank_process.h"

namespace mana::lower {
namespace {

constexpr std::size_t padded(std::size_t bytes) { return (bytes + 7) & ~std::size_t{7}; }

template <class T>
void append_plain(std::string& note, const T& value) {
  note.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
bool take_plain(std::string_view& note, T& value) {
  if (note.size() < sizeof value) return false;
  std::memcpy(&value, note.data(), sizeof value);
  note.remove_prefix(sizeof value);
  return true;
}

bool take_item(std::string_view& note, Contents& into) {
  image::ItemRecord record;
  if (!take_plain(note, record) || record.bytes > note.size() || padded(record.bytes) > note.size()) return false;
  Item item{static_cast<ItemKind>(record.kind), {}, std::string(note.substr(0, record.bytes))};
  std::memcpy(item.words, record.words, sizeof item.words);
  into.items.push_back(std::move(item));
  note.remove_prefix(padded(record.bytes));
  return true;
}

}  // namespace

void append(std::string& note, const Contents& contents) {
  image::ContentsRecord record{};
  record.number = contents.number;
  record.kind = static_cast<uint32_t>(contents.kind);
  record.item_count = static_cast<uint32_t>(contents.items.size());
  std::memcpy(record.words, contents.words, sizeof record.words);
  append_plain(note, record);
  for (const Item& item : contents.items) {
    image::ItemRecord head{};
    head.kind = static_cast<uint32_t>(item.kind);
    std::memcpy(head.words, item.words, sizeof head.words);
    head.bytes = item.bytes.size();
    append_plain(note, head);
    note += item.bytes;
    note.resize(padded(note.size()));
  }
}

std::map<int, Contents> read_contents(std::string_view note) {
  std::map<int, Contents> all;
  image::ContentsRecord record;
  while (take_plain(note, record)) {
    Contents one;
    one.number = record.number;
    one.kind = static_cast<ContentsKind>(record.kind);
    std::memcpy(one.words, record.words, sizeof one.words);
    for (uint32_t i = 0; i < record.item_count; ++i) {
      if (!take_item(note, one)) return all;
    }
    all[one.number] = std::move(one);
  }
  return all;
}

Descriptors read_descriptors(std::string_view note) {
  Descriptors all(note.size() / sizeof(loader::Descriptor));
  if (!all.empty()) std::memcpy(all.data(), note.data(), all.size() * sizeof all[0]);
  return all;
}

std::string fdinfo(int number) {
  const int file = open(("/proc/self/fdinfo/" + std::to_string(number)).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  std::string text;
  char piece[4096];
  for (ssize_t got; (got = read(file, piece, sizeof piece)) > 0;) text.append(piece, static_cast<std::size_t>(got));
  close(file);
  return text;
}

std::string field(const std::string& text, const char* key) {
  const std::size_t length = std::strlen(key);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (text.compare(at, length, key) == 0) return text.substr(at + length, end - at - length);
    at = end + 1;
  }
  return {};
}

void say_at_restart(const std::string& what) {
  std::fprintf(stderr, "mana: rank %d: restart: %s\n", rank_process().options.rank, what.c_str());
}

}  // namespace mana::lower
