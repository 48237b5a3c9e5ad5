// SPDX-License-Identifier: BSD-3-Clause
#include "lower/program_environment.h"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>

#include <cstring>

#include "kernel-loader/arena.h"
#include "kernel-loader/layout.h"
#include "kernel-loader/sys.h"

namespace mana::lower {
namespace {

uint64_t auxiliary(const loader::GateState& gate, uint64_t type) {
  for (std::size_t i = 0; i + 1 < std::size(gate.auxv) && gate.auxv[i] != AT_NULL; i += 2) {
    if (gate.auxv[i] == type) return gate.auxv[i + 1];
  }
  return 0;
}

// What the dynamic loader has written for debuggers into the program's DT_DEBUG (gABI): the list of loaded objects, in search order.
const link_map* loaded_objects(const loader::GateState& gate) {
  const auto* header = reinterpret_cast<const ElfW(Phdr)*>(auxiliary(gate, AT_PHDR));
  const uint64_t count = auxiliary(gate, AT_PHNUM);
  if (header == nullptr) return nullptr;
  uint64_t base = 0, dynamic = 0;
  for (uint64_t i = 0; i < count; ++i) {
    if (header[i].p_type == PT_PHDR) base = reinterpret_cast<uint64_t>(header) - header[i].p_vaddr;
    if (header[i].p_type == PT_DYNAMIC) dynamic = header[i].p_vaddr;
  }
  if (dynamic == 0) return nullptr;
  for (const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(base + dynamic); entry->d_tag != DT_NULL; ++entry) {
    if (entry->d_tag == DT_DEBUG && entry->d_un.d_ptr != 0) return reinterpret_cast<const r_debug*>(entry->d_un.d_ptr)->r_map;
  }
  return nullptr;
}

// An object's symbols by GNU hash, or (--hash-style=sysv) one by one: DT_HASH tells how many there are.
class Symbols {
 public:
  explicit Symbols(const link_map& object) : base_(object.l_addr) {
    for (const ElfW(Dyn)* entry = object.l_ld; entry->d_tag != DT_NULL; ++entry) {
      // glibc's loader has added the base in place, musl's has not.
      const uint64_t at = entry->d_un.d_ptr < base_ ? entry->d_un.d_ptr + base_ : entry->d_un.d_ptr;
      if (entry->d_tag == DT_SYMTAB) symbols_ = reinterpret_cast<const ElfW(Sym)*>(at);
      if (entry->d_tag == DT_STRTAB) names_ = reinterpret_cast<const char*>(at);
      if (entry->d_tag == DT_GNU_HASH) hash_ = reinterpret_cast<const uint32_t*>(at);
      if (entry->d_tag == DT_HASH) count_ = reinterpret_cast<const uint32_t*>(at)[1];
    }
  }

  uint64_t find(const char* name) const {
    if (symbols_ == nullptr || names_ == nullptr) return 0;
    return hash_ != nullptr ? find_by_hash(name) : find_one_by_one(name);
  }

 private:
  bool is(uint32_t i, const char* name) const {
    return symbols_[i].st_shndx != SHN_UNDEF && std::strcmp(names_ + symbols_[i].st_name, name) == 0;
  }
  uint64_t find_one_by_one(const char* name) const {
    for (uint32_t i = 0; i < count_; ++i) {
      if (is(i, name)) return base_ + symbols_[i].st_value;
    }
    return 0;
  }
  uint64_t find_by_hash(const char* name) const {
    uint32_t wanted = 5381;
    for (const char* at = name; *at != '\0'; ++at) wanted = wanted * 33 + static_cast<unsigned char>(*at);
    const uint32_t buckets = hash_[0], first = hash_[1], words = hash_[2];
    if (buckets == 0) return 0;
    const uint32_t* bucket = hash_ + 4 + words * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    const uint32_t* chain = bucket + buckets;
    for (uint32_t i = bucket[wanted % buckets]; i >= first && i != 0; ++i) {
      const uint32_t hash = chain[i - first];
      if ((hash | 1) == (wanted | 1) && is(i, name)) return base_ + symbols_[i].st_value;
      if ((hash & 1) != 0) break;
    }
    return 0;
  }

  uint64_t base_;
  const ElfW(Sym)* symbols_ = nullptr;
  const char* names_ = nullptr;
  const uint32_t* hash_ = nullptr;
  uint32_t count_ = 0;
};

char*** environment_of(const loader::GateState& gate) {
  for (const link_map* object = loaded_objects(gate); object != nullptr; object = object->l_next) {
    if (!loader::is_application_memory(reinterpret_cast<uint64_t>(object->l_ld))) continue;
    const Symbols symbols(*object);
    if (const uint64_t at = symbols.find("environ"); at != 0) return reinterpret_cast<char***>(at);
  }
  return nullptr;
}

}  // namespace

EnvironmentRoom* room_for_environment(const loader::GateState& gate) {
  char*** environment = environment_of(gate);
  if (environment == nullptr) return nullptr;
  const long at = loader::map_in_arena(sizeof(EnvironmentRoom), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, loader::kPage);
  if (sys::failed(at)) return nullptr;
  auto* room = reinterpret_cast<EnvironmentRoom*>(at);
  room->environment = environment;
  return room;
}

}  // namespace mana::lower
