// SPDX-License-Identifier: BSD-3-Clause
// What entry points are made of, in either ABI: scratch arrays, counts that must fit an int,
// errors.  Included after mpich_abi.h or openmpi_abi.h.  No entry point takes a lock or memory of
// the runtime: a thread may be stopped in here.
#pragma once

#include <climits>

#include "mpi_wrappers/upper_api.h"
#include "upper/errors.h"
#include "upper/front_end.h"
#include "upper/kernel.h"

namespace mana::application {

// The application's error code for a neutral one.
inline int error_code(int neutral) {
  return neutral == 0 ? 0 : upper::front_end::application_error(neutral);
}
// A value that is no handle of kind T was given to `call`.
template <class T>
[[gnu::cold, gnu::noinline]] int bad_handle(const char* call) {
  return error_code(upper::raise(Traits<T>::error, call));
}

// An array as long as the application's: on the stack when short, else a mapping of its own.
template <class T, int kLocal = 256>
class Scratch {
 public:
  explicit Scratch(int64_t count) : count_(count < 0 ? 0 : count) {
    if (count_ > kLocal) [[unlikely]] {
      items_ = static_cast<T*>(upper::kernel::map(static_cast<size_t>(count_) * sizeof(T)));
      if (items_ == nullptr) count_ = 0;
    }
  }
  ~Scratch() {
    if (items_ != local_) [[unlikely]]
      upper::kernel::unmap(items_, static_cast<size_t>(count_) * sizeof(T));
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() { return items_; }
  T& operator[](int64_t i) { return items_[i]; }
  int64_t count() const { return count_; }

 private:
  int64_t count_;
  T local_[kLocal];
  T* items_ = local_;
};

// Handles given in an array.  `ok` is false when one of them is none.
template <class T>
class Objects {
 public:
  Objects(const HandleOf<T>* handles, int64_t count)
      : objects_(handles ? count : 0), given_(handles != nullptr) {
    for (int64_t i = 0; i < objects_.count(); ++i) {
      if (!take(handles[i], &objects_[i])) {
        ok_ = false;
        return;
      }
    }
  }
  bool ok() const { return ok_; }
  T** data() { return given_ ? objects_.data() : nullptr; }
  // After the call: those that became null are null handles in the application's array.
  void store_nulls(HandleOf<T>* handles) {
    for (int64_t i = 0; i < objects_.count(); ++i) {
      if (objects_[i] == nullptr) handles[i] = null_handle<T>();
    }
  }

 private:
  Scratch<T*> objects_;
  bool given_;
  bool ok_ = true;
};

// Handles returned in an array; the call fills as many as there are.
template <class T>
class ObjectsOut {
 public:
  explicit ObjectsOut(int64_t count) : objects_(count) {
    for (int64_t i = 0; i < objects_.count(); ++i) objects_[i] = nullptr;
  }
  T** data() { return objects_.data(); }
  void store(HandleOf<T>* handles) {
    for (int64_t i = 0; i < objects_.count(); ++i) {
      if (objects_[i] != nullptr) handles[i] = handle_of(objects_[i]);
    }
  }

 private:
  Scratch<T*> objects_;
};

// Integers whose constants differ between the ABIs.
class Ints {
 public:
  Ints(const int* values, int64_t count, int (*convert)(int))
      : ints_(values ? count : 0), given_(values != nullptr) {
    for (int64_t i = 0; i < ints_.count(); ++i) ints_[i] = convert(values[i]);
  }
  const int* data() { return given_ ? ints_.data() : nullptr; }

 private:
  Scratch<int> ints_;
  bool given_;
};

// A status that the application may not want.
class StatusOut {
 public:
  explicit StatusOut(Status* wanted) : wanted_(is_ignored(wanted) ? nullptr : wanted) {}
  abi::Status* neutral() { return wanted_ ? &neutral_ : nullptr; }
  void store() {
    if (wanted_) write_status(wanted_, neutral_);
  }

 private:
  Status* wanted_;
  abi::Status neutral_{abi::ANY_SOURCE, abi::ANY_TAG, 0, 0, 0, 0, {0, 0}};
};

class StatusesOut {
 public:
  StatusesOut(Status* wanted, int64_t count)
      : wanted_(is_ignored(wanted) ? nullptr : wanted), neutral_(wanted_ ? count : 0) {}
  abi::Status* neutral() { return wanted_ ? neutral_.data() : nullptr; }
  // MPI_ERROR is set only when the call says that errors are in the statuses (MPI 5.0, 3.7.5).
  void store(int64_t count, int result) {
    for (int64_t i = 0; wanted_ && i < count && i < neutral_.count(); ++i) {
      write_status(&wanted_[i], neutral_[i]);
      if (result == abi::ERR_IN_STATUS) wanted_[i].error = error_code(neutral_[i].error);
    }
  }

 private:
  Status* wanted_;
  Scratch<abi::Status, 64> neutral_;
};

// A status given by the application.
class StatusIn {
 public:
  explicit StatusIn(const Status* status) : given_(!is_ignored(status)) {
    if (given_) read_status(*status, &neutral_);
  }
  abi::Status* neutral() { return given_ ? &neutral_ : nullptr; }
  void store(Status* status) {
    if (given_) write_status(status, neutral_);
  }

 private:
  bool given_;
  abi::Status neutral_{};
};

// A count returned through an int: MPI_UNDEFINED when it does not fit.
inline int narrow(int64_t count) {
  return count > INT_MAX || count < INT_MIN ? abi::UNDEFINED : static_cast<int>(count);
}

// MPI_File_set_view's displacement.
inline int64_t neutral_displacement(int64_t displacement) {
  return displacement == kDisplacementCurrent ? abi::DISPLACEMENT_CURRENT : displacement;
}

// Whether this process is the root of a rooted collective, whose arguments are significant at the
// root only.
inline bool is_root(const Comm* comm, int neutral_root) {
  return comm == nullptr ||
         (comm->is_inter ? neutral_root == abi::ROOT : comm->rank == neutral_root);
}
inline bool is_in_place(const void* neutral_buffer) {
  return reinterpret_cast<uintptr_t>(neutral_buffer) == 1;
}

// Lengths of the arrays of MPI_Alltoallw and its neighbourhood form.
inline int64_t peers(const Comm* comm) {
  return comm == nullptr ? 0 : comm->is_inter ? comm->remote_size : comm->size;
}
struct Degrees {
  int32_t sources = 0, destinations = 0;
};
Degrees degrees(const Comm* comm);

// The object behind a handle of unknown kind that is passed by address (MPI_T): nullptr when there
// is none.
Object* any_object(const void* address_of_handle);

}  // namespace mana::application
