// SPDX-License-Identifier: BSD-3-Clause
// Containers of the upper runtime, over memory.h.  Plain data: zeroed memory is an empty container, nothing has
// a destructor (a static one would need the C++ runtime), elements are trivially copyable.  Not locked.
#pragma once

#include <cstddef>
#include <cstdint>

#include "upper/memory.h"

namespace mana::upper {

template <class T>
struct Vector {
  T* items;
  int64_t size;
  int64_t capacity;

  T& operator[](int64_t index) { return items[index]; }
  const T& operator[](int64_t index) const { return items[index]; }
  T* begin() { return items; }
  T* end() { return items + size; }
  const T* begin() const { return items; }
  const T* end() const { return items + size; }

  void reserve(int64_t wanted) {
    if (wanted <= capacity) return;
    int64_t grown = capacity < 8 ? 8 : capacity * 2;
    capacity = grown < wanted ? wanted : grown;
    items = static_cast<T*>(upper::resize(items, sizeof(T) * static_cast<size_t>(capacity)));
  }
  void push(const T& item) {
    T copy = item;  // `item` may be an element of ours
    reserve(size + 1);
    items[size++] = copy;
  }
  T pop() { return items[--size]; }
  void clear() { size = 0; }
  void free() {
    deallocate(items);
    items = nullptr;
    size = capacity = 0;
  }
};

// An array that lives as long as the function that made it.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t count) : items_(count <= kInline ? inline_ : allocate_array<T>(count)) {}
  ~Scratch() {
    if (items_ != inline_) deallocate(items_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* get() { return items_; }
  T& operator[](int64_t index) { return items_[index]; }

 private:
  static constexpr int64_t kInline = 256 / sizeof(T);
  T inline_[kInline];
  T* items_;
};

// From a nonzero 64-bit key to a nonzero word; open addressing, erased entries leave no trace.
struct HashMap {
  struct Entry {
    uint64_t key, value;
  };
  Entry* entries;
  uint64_t mask;  // capacity - 1; 0 while empty
  uint64_t size;

  uint64_t find(uint64_t key) const;  // 0: not there
  void insert(uint64_t key, uint64_t value);
  void erase(uint64_t key);
  void clear();

 private:
  void grow();
};

// Doubly linked through members `previous` and `next` of T.
template <class T>
struct List {
  T* first;
  T* last;

  bool empty() const { return first == nullptr; }
  void append(T* item) {
    item->previous = last;
    item->next = nullptr;
    (last ? last->next : first) = item;
    last = item;
  }
  void remove(T* item) {
    (item->previous ? item->previous->next : first) = item->next;
    (item->next ? item->next->previous : last) = item->previous;
    item->previous = item->next = nullptr;
  }
};

}  // namespace mana::upper
