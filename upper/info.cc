// SPDX-License-Identifier: BSD-3-Clause
#include "upper/info.h"

#include "upper/containers.h"
#include "upper/errors.h"
#include "upper/guarded.h"
#include "upper/front_end.h"
#include "upper/lower_calls.h"
#include "upper/text.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

namespace {

constinit Info environment{};

InfoEntry* find(const Info* info, const char* key) {
  for (InfoEntry* entry = info->entries; entry; entry = entry->next) {
    if (text_equal(entry->key, key)) return entry;
  }
  return nullptr;
}

void append(Info* info, const char* key, const char* value) {
  auto* entry = make_zeroed<InfoEntry>();
  entry->key = duplicate_text(key);
  entry->value = duplicate_text(value);
  (info->last ? info->last->next : info->entries) = entry;
  info->last = entry;
  ++info->count;
}

void free_entry(InfoEntry* entry) {
  deallocate(entry->key);
  deallocate(entry->value);
  deallocate(entry);
}

// The lower half's copy no longer says the same; the next crossing makes another.
void forget_lower(Info* info) {
  if (!info->lower) return;
  core::InfoFree block{info->lower};
  cross::info_free(block);
  info->lower = 0;
}

bool key_fits(const char* key) {
  return key && key[0] && text_length(key) < static_cast<size_t>(front_end::facts.info_key);
}

}  // namespace

void start_infos() { register_predefined(&environment, Kind::info, abi::INFO_ENV); }
Info* environment_info() { return &environment; }

Info* make_info() { return new_object<Info>(Kind::info); }

Info* copy_info(const Info* info) {
  Info* copy = make_info();
  for (InfoEntry* entry = copy && info ? info->entries : nullptr; entry; entry = entry->next) {
    append(copy, entry->key, entry->value);
  }
  return copy;
}

int info_put(Info* info, const char* key, const char* value) {
  forget_lower(info);
  if (InfoEntry* entry = find(info, key)) {
    char* old = entry->value;
    entry->value = duplicate_text(value);
    deallocate(old);
  } else {
    append(info, key, value);
  }
  return abi::SUCCESS;
}

const char* info_value(const Info* info, const char* key) {
  InfoEntry* entry = info ? find(info, key) : nullptr;
  return entry ? entry->value : nullptr;
}

uint64_t make_lower(Info* info) {
  if (info->lower) return info->lower;
  Scratch<const char*> keys(info->count), values(info->count);
  int32_t count = 0;
  for (InfoEntry* entry = info->entries; entry; entry = entry->next, ++count) {
    keys[count] = entry->key;
    values[count] = entry->value;
  }
  core::InfoCreate block{count, keys.get(), values.get(), 0};
  if (cross::info_create(block) == 0) __atomic_store_n(&info->lower, block.info, __ATOMIC_RELEASE);
  return info->lower;
}

void destroy_info(Info* info) {
  forget_lower(info);
  for (InfoEntry* entry = info->entries; entry;) {
    InfoEntry* next = entry->next;
    free_entry(entry);
    entry = next;
  }
  delete_object(info);
}

int Info_create(Info** info) {
  return guarded("MPI_Info_create", [&]() -> int {
    *info = make_info();
    return *info ? abi::SUCCESS : abi::ERR_NO_MEM;
  });
}

int Info_create_env(int, char**, Info** info) {
  return guarded("MPI_Info_create_env", [&]() -> int {
    *info = copy_info(&environment);
    return *info ? abi::SUCCESS : abi::ERR_NO_MEM;
  });
}

int Info_dup(Info* info, Info** newinfo) {
  return guarded("MPI_Info_dup", [&]() -> int {
    if (!info) return abi::ERR_INFO;
    *newinfo = copy_info(info);
    return *newinfo ? abi::SUCCESS : abi::ERR_NO_MEM;
  });
}

int Info_free(Info** info) {
  return guarded("MPI_Info_free", [&]() -> int {
    if (!*info || (*info)->constant) return abi::ERR_INFO;
    free_handle(*info);
    *info = nullptr;
    return abi::SUCCESS;
  });
}

int Info_set(Info* info, const char* key, const char* value) {
  return guarded("MPI_Info_set", [&]() -> int {
    if (!info) return abi::ERR_INFO;
    if (!key_fits(key)) return abi::ERR_INFO_KEY;
    if (!value || !value[0] || text_length(value) >= static_cast<size_t>(front_end::facts.info_value)) {
      return abi::ERR_INFO_VALUE;
    }
    return info_put(info, key, value);
  });
}

int Info_delete(Info* info, const char* key) {
  return guarded("MPI_Info_delete", [&]() -> int {
    if (!info) return abi::ERR_INFO;
    if (!key_fits(key)) return abi::ERR_INFO_KEY;
    InfoEntry* before = nullptr;
    for (InfoEntry* entry = info->entries; entry; before = entry, entry = entry->next) {
      if (!text_equal(entry->key, key)) continue;
      forget_lower(info);
      (before ? before->next : info->entries) = entry->next;
      if (info->last == entry) info->last = before;
      --info->count;
      free_entry(entry);
      return abi::SUCCESS;
    }
    return abi::ERR_INFO_NOKEY;
  });
}

int Info_get(Info* info, const char* key, int valuelen, char* value, int* flag) {
  return guarded("MPI_Info_get", [&]() -> int {
    if (!info) return abi::ERR_INFO;
    if (!key_fits(key)) return abi::ERR_INFO_KEY;
    if (valuelen < 0) return abi::ERR_ARG;
    const char* found = info_value(info, key);
    *flag = found != nullptr;
    if (found) copy_text(value, found, static_cast<size_t>(valuelen) + 1);  // room for the final zero is beside valuelen
    return abi::SUCCESS;
  });
}

int Info_get_string(Info* info, const char* key, int* buflen, char* value, int* flag) {
  return guarded("MPI_Info_get_string", [&]() -> int {
    if (!info) return abi::ERR_INFO;
    if (!key_fits(key)) return abi::ERR_INFO_KEY;
    if (*buflen < 0) return abi::ERR_ARG;
    const char* found = info_value(info, key);
    *flag = found != nullptr;
    if (!found) return abi::SUCCESS;
    if (*buflen > 0) copy_text(value, found, static_cast<size_t>(*buflen));
    *buflen = static_cast<int>(text_length(found)) + 1;
    return abi::SUCCESS;
  });
}

int Info_get_valuelen(Info* info, const char* key, int* valuelen, int* flag) {
  return guarded("MPI_Info_get_valuelen", [&]() -> int {
    if (!info) return abi::ERR_INFO;
    if (!key_fits(key)) return abi::ERR_INFO_KEY;
    const char* found = info_value(info, key);
    *flag = found != nullptr;
    if (found) *valuelen = static_cast<int>(text_length(found));
    return abi::SUCCESS;
  });
}

int Info_get_nkeys(Info* info, int* nkeys) {
  return guarded("MPI_Info_get_nkeys", [&]() -> int {
    if (!info) return abi::ERR_INFO;
    *nkeys = info->count;
    return abi::SUCCESS;
  });
}

int Info_get_nthkey(Info* info, int n, char* key) {
  return guarded("MPI_Info_get_nthkey", [&]() -> int {
    if (!info) return abi::ERR_INFO;
    if (n < 0 || n >= info->count) return abi::ERR_ARG;
    InfoEntry* entry = info->entries;
    while (n-- > 0) entry = entry->next;
    copy_text(key, entry->key, static_cast<size_t>(front_end::facts.info_key));
    return abi::SUCCESS;
  });
}

}  // namespace mana::upper
