// SPDX-License-Identifier: BSD-3-Clause
#include "lower/descriptor_contents.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <utility>

#include "kernel-loader/descriptor_line.h"
#include "lower/proc_file.h"
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

void append(std::string& note, const loader::Descriptor& descriptor) {
  const std::size_t path_bytes = strnlen(descriptor.path, sizeof descriptor.path - 1) + 1;
  note.append(reinterpret_cast<const char*>(&descriptor), offsetof(loader::Descriptor, path) + path_bytes);
  note.resize(padded(note.size()));
}

Descriptors read_descriptors(std::string_view note) {
  constexpr std::size_t kHead = offsetof(loader::Descriptor, path);
  static_assert(kHead % 8 == 0);
  Descriptors all;
  while (note.size() > kHead) {
    const std::size_t bytes = kHead + strnlen(note.data() + kHead, note.size() - kHead) + 1;
    if (bytes > sizeof(loader::Descriptor) || padded(bytes) > note.size()) break;
    std::memcpy(&all.emplace_back(), note.data(), bytes);
    note.remove_prefix(padded(bytes));
  }
  return all;
}

SeenDescriptors::SeenDescriptors(Descriptors all) : all_(std::move(all)) {
  for (const loader::Descriptor& one : all_) by_inode_[inode_of(one)].push_back(&one);
}

const loader::Descriptor* SeenDescriptors::find(int number) const {
  const auto at = std::lower_bound(all_.begin(), all_.end(), number,
                                   [](const loader::Descriptor& one, int wanted) { return one.number < wanted; });
  return at != all_.end() && at->number == number ? &*at : nullptr;
}

const std::vector<const loader::Descriptor*>& SeenDescriptors::of(const Inode& inode) const {
  static const std::vector<const loader::Descriptor*> none;
  const auto known = by_inode_.find(inode);
  return known != by_inode_.end() ? known->second : none;
}

std::string fdinfo(int number) {
  return read_and_close(static_cast<int>(loader::open_for_a_moment(("/proc/thread-self/fdinfo/" + std::to_string(number)).c_str())));
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
