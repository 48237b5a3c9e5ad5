// SPDX-License-Identifier: BSD-3-Clause
// Blocks up to kLargestClass come from free lists, one per size class, refilled by cutting chunks; chunks are never given back.
// Larger blocks are mappings of their own.  Sixteen bytes in front of each block say which.
#include "upper/memory.h"

#include "upper/kernel.h"
#include "upper/text.h"

namespace mana::upper {

constinit bool threads_multiple = false;

namespace {

struct Header {
  uint64_t bytes;  // usable
  uint32_t size_class;
  uint32_t magic;
};
static_assert(sizeof(Header) == 16);
constexpr uint32_t kAlive = 0x616c6976, kDead = 0x64656164;
constexpr uint32_t kMapped = ~0u;

// Classes: 32, 48, 64, 96, 128, ... 256 KiB, the header included.
constexpr uint32_t kClassCount = 27;
constexpr size_t kLargestClass = 256 * 1024;
constexpr size_t kChunk = 1024 * 1024;
constexpr size_t kMappedLead = 64;  // in front of a mapped block, so that it is aligned for vector code

constexpr size_t class_bytes(uint32_t size_class) {
  return size_class % 2 == 0 ? size_t{32} << size_class / 2 : size_t{48} << size_class / 2;
}
static_assert(class_bytes(kClassCount - 1) == kLargestClass);

struct FreeBlock {
  Header header;
  FreeBlock* next;
};

constinit SpinLock heap_lock;
constinit FreeBlock* free_blocks[kClassCount] = {};
constinit char* chunk_at = nullptr;
constinit char* chunk_end = nullptr;
constinit std::atomic<uint64_t> bytes_in_use{0};

uint32_t class_for(size_t total) {
  if (total <= 32) return 0;
  uint32_t power = 63 - static_cast<uint32_t>(__builtin_clzll(total - 1));  // 2^power < total <= 2^(power+1)
  uint32_t size_class = (power - 5) * 2 + 1;                                // 1.5 * 2^power
  return class_bytes(size_class) >= total ? size_class : size_class + 1;
}

Header* header_of(void* block) { return static_cast<Header*>(block) - 1; }

// What is left of the old chunk goes to the free lists, largest pieces first.
void retire_chunk() {
  for (uint32_t size_class = kClassCount; size_class-- > 0;) {
    while (static_cast<size_t>(chunk_end - chunk_at) >= class_bytes(size_class)) {
      auto* block = reinterpret_cast<FreeBlock*>(chunk_at);
      block->next = free_blocks[size_class];
      free_blocks[size_class] = block;
      chunk_at += class_bytes(size_class);
    }
  }
}

void* from_class(uint32_t size_class) {
  const size_t bytes = class_bytes(size_class);
  FreeBlock* block = free_blocks[size_class];
  if (block) {
    free_blocks[size_class] = block->next;
  } else {
    if (static_cast<size_t>(chunk_end - chunk_at) < bytes) {
      auto* chunk = static_cast<char*>(kernel::map(kChunk));
      if (!chunk) return nullptr;
      retire_chunk();
      chunk_at = chunk;
      chunk_end = chunk + kChunk;
    }
    block = reinterpret_cast<FreeBlock*>(chunk_at);
    chunk_at += bytes;
  }
  block->header = {bytes - sizeof(Header), size_class, kAlive};
  return &block->header + 1;
}

void* from_kernel(size_t bytes) {
  size_t total = (bytes + kMappedLead + 4095) & ~size_t{4095};
  auto* at = total < bytes ? nullptr : static_cast<char*>(kernel::map(total));
  if (!at) return nullptr;
  *header_of(at + kMappedLead) = {total - kMappedLead, kMapped, kAlive};
  return at + kMappedLead;
}

}  // namespace

void SpinLock::lock_contended() {
  const uint32_t mine = next_.fetch_add(1, std::memory_order_relaxed);
  for (uint32_t tries = 0; serving_.load(std::memory_order_acquire) != mine; ++tries) {
    if (tries < 64) {
      __builtin_ia32_pause();
    } else {
      kernel::call(__NR_sched_yield);  // the holder may need our core
    }
  }
}

void* try_allocate(size_t bytes) {
  void* block;
  if (bytes + sizeof(Header) <= kLargestClass && bytes < kLargestClass) {
    LockGuard guard(heap_lock);
    block = from_class(class_for(bytes + sizeof(Header)));
  } else {
    block = from_kernel(bytes);
  }
  if (block) bytes_in_use.fetch_add(header_of(block)->bytes, std::memory_order_relaxed);
  return block;
}

void* allocate(size_t bytes) {
  void* block = try_allocate(bytes);
  if (!block) fail("no memory for the MPI runtime, bytes wanted", bytes);
  return block;
}

void* allocate_zeroed(size_t bytes) {
  void* block = allocate(bytes);
  if (header_of(block)->size_class != kMapped) zero_bytes(block, bytes);  // fresh mappings are zero
  return block;
}

void* resize(void* block, size_t bytes) {
  if (!block) return allocate(bytes);
  const size_t had = header_of(block)->bytes;
  if (bytes <= had && bytes >= had / 4) return block;
  void* moved = allocate(bytes);
  copy_bytes(moved, block, had < bytes ? had : bytes);
  deallocate(block);
  return moved;
}

void deallocate(void* block) {
  if (!block) return;
  Header* header = header_of(block);
  if (header->magic != kAlive) fail("memory released twice, or never allocated", reinterpret_cast<uint64_t>(block));
  bytes_in_use.fetch_sub(header->bytes, std::memory_order_relaxed);
  header->magic = kDead;
  if (header->size_class == kMapped) {
    kernel::unmap(static_cast<char*>(block) - kMappedLead, header->bytes + kMappedLead);
    return;
  }
  LockGuard guard(heap_lock);
  auto* free_block = reinterpret_cast<FreeBlock*>(header);
  free_block->next = free_blocks[header->size_class];
  free_blocks[header->size_class] = free_block;
}

uint64_t memory_in_use() { return bytes_in_use.load(std::memory_order_relaxed); }

void* reserve_table(size_t bytes) {
  void* table = kernel::map(bytes, true);
  if (!table) fail("no address space for a table, bytes wanted", bytes);
  return table;
}

}  // namespace mana::upper
