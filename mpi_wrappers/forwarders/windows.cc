// SPDX-License-Identifier: BSD-3-Clause
// Windows for one-sided communication: made in the lower half, their attributes, names and error
// handlers kept here.  While one is alive a checkpoint is refused.  Everything between creation and
// MPI_Win_free is in the generated forwarders.
#include "mpi_wrappers/forwarders/support.h"
#include "upper/attribute.h"
#include "upper/front_end.h"
#include "upper/group.h"
#include "upper/kernel.h"
#include "upper/text.h"

namespace mana::upper {
namespace {

Creator creator_of(int flavour) {
  switch (flavour) {
    case abi::WIN_FLAVOR_ALLOCATE:
      return Creator::Win_allocate;
    case abi::WIN_FLAVOR_SHARED:
      return Creator::Win_allocate_shared;
    case abi::WIN_FLAVOR_DYNAMIC:
      return Creator::Win_create_dynamic;
    default:
      return Creator::Win_create;
  }
}

// The object for a fresh lower window.
Window* keep_window(Call& call, Comm* comm, uint64_t lower, void* base, int64_t size,
                    int64_t disp_unit, int flavour) {
  auto* window = new_object<Window>(Kind::window);
  if (window == nullptr) return nullptr;
  window->lower = lower;
  window->comm = comm;
  keep(comm);
  window->base = base;
  window->size = size;
  window->disp_unit = static_cast<int32_t>(disp_unit);
  window->flavour = flavour;
  window->model = abi::WIN_UNIFIED;
  set_errhandler(window->errhandler, errors_are_fatal());
  ops::Win_get_attr model = {lower, abi::WIN_MODEL, 0, 0};
  if (forward(call, GeneratedOp::Win_get_attr, &model) == 0 && model.flag) {
    window->model = static_cast<int32_t>(model.attribute_val);
  }
  refusal_of(creator_of(flavour))->alive.fetch_add(1, std::memory_order_relaxed);
  return window;
}

// `Block` has the fields size, disp_unit and base or baseptr as far as the function has such
// parameters.
template <class Block>
int make_window(GeneratedOp op, Block& block, Info* info, Comm* comm, void* base, int64_t size,
                int64_t disp_unit, int flavour, Window** win) {
  Call call;
  block.info = lower_bits(info);
  block.comm = lower_bits(comm);
  begin_collective(call, comm->counter, true);
  int error = forward(call, op, &block);
  end_collective(call);
  if (error != 0) return error;
  if constexpr (requires { block.baseptr; }) base = block.baseptr;
  *win = keep_window(call, comm, block.win, base, size, disp_unit, flavour);
  return *win != nullptr ? 0 : abi::ERR_NO_MEM;
}

size_t pages(int64_t size) { return (static_cast<size_t>(size) + 4095) & ~size_t{4095}; }

}  // namespace

int Win_create(void* base, int64_t size, int64_t disp_unit, Info* info, Comm* comm, Window** win) {
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Win_create");
  Held held;
  ops::Win_create block = {};
  block.base = base;
  block.size = size;
  block.disp_unit = disp_unit;
  return raise(comm,
               make_window(GeneratedOp::Win_create, block, info, comm, base, size, disp_unit,
                           abi::WIN_FLAVOR_CREATE, win),
               "MPI_Win_create");
}

// The memory must be the application's, so it is mapped here and a window is made over it.
int Win_allocate(int64_t size, int64_t disp_unit, Info* info, Comm* comm, void** baseptr,
                 Window** win) {
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Win_allocate");
  if (size < 0) return raise(comm, abi::ERR_SIZE, "MPI_Win_allocate");
  void* base = size > 0 ? kernel::map(pages(size)) : nullptr;
  if (size > 0 && base == nullptr) return raise(comm, abi::ERR_NO_MEM, "MPI_Win_allocate");
  Held held;
  ops::Win_create block = {};
  block.base = base;
  block.size = size;
  block.disp_unit = disp_unit;
  const int error = make_window(GeneratedOp::Win_create, block, info, comm, base, size, disp_unit,
                                abi::WIN_FLAVOR_ALLOCATE, win);
  if (error == 0)
    *baseptr = base;
  else if (base != nullptr)
    kernel::unmap(base, pages(size));
  return raise(comm, error, "MPI_Win_allocate");
}

// The library's own shared memory, in the lower half's part of the address space.
int Win_allocate_shared(int64_t size, int64_t disp_unit, Info* info, Comm* comm, void** baseptr,
                        Window** win) {
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Win_allocate_shared");
  Held held;
  ops::Win_allocate_shared block = {};
  block.size = size;
  block.disp_unit = disp_unit;
  const int error = make_window(GeneratedOp::Win_allocate_shared, block, info, comm, nullptr, size,
                                disp_unit, abi::WIN_FLAVOR_SHARED, win);
  if (error == 0) *baseptr = block.baseptr;
  return raise(comm, error, "MPI_Win_allocate_shared");
}

int Win_create_dynamic(Info* info, Comm* comm, Window** win) {
  if (comm == nullptr) return raise(abi::ERR_COMM, "MPI_Win_create_dynamic");
  Held held;
  ops::Win_create_dynamic block = {};
  return raise(comm,
               make_window(GeneratedOp::Win_create_dynamic, block, info, comm, nullptr, 0, 1,
                           abi::WIN_FLAVOR_DYNAMIC, win),
               "MPI_Win_create_dynamic");
}

int Win_free(Window** win) {
  Window* window = *win;
  if (window == nullptr) return raise(abi::ERR_WIN, "MPI_Win_free");
  if (int error = delete_attributes(window)) return raise(window, error, "MPI_Win_free");
  Held held;
  int error;
  {
    Call call;
    ops::Win_free block = {window->lower};
    begin_collective(call, window->comm->counter, true);
    error = forward(call, GeneratedOp::Win_free, &block);
    end_collective(call);
  }
  if (error != 0) return raise(window, error, "MPI_Win_free");
  refusal_of(creator_of(window->flavour))->alive.fetch_sub(1, std::memory_order_relaxed);
  if (window->flavour == abi::WIN_FLAVOR_ALLOCATE && window->base != nullptr) {
    kernel::unmap(window->base, pages(window->size));
  }
  Call call;
  set_errhandler(window->errhandler, nullptr);
  release(window->comm);
  free_handle(window);
  *win = nullptr;
  return 0;
}

int Win_set_name(Window* win, const char* win_name) {
  if (win == nullptr) return raise(abi::ERR_WIN, "MPI_Win_set_name");
  Call call;
  copy_text(win->name, win_name, static_cast<size_t>(front_end::facts.object_name));
  return 0;
}

int Win_get_name(Window* win, char* win_name, int* resultlen) {
  if (win == nullptr) return raise(abi::ERR_WIN, "MPI_Win_get_name");
  *resultlen = copy_text(win_name, win->name, static_cast<size_t>(front_end::facts.object_name));
  return 0;
}

int Win_get_group(Window* win, Group** group) {
  if (win == nullptr) return raise(abi::ERR_WIN, "MPI_Win_get_group");
  Call call;
  *group = make_group(win->comm->world_ranks, win->comm->size);
  return 0;
}

}  // namespace mana::upper
