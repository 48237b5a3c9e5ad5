// SPDX-License-Identifier: BSD-3-Clause
// MPI 5.0, 7.7: the functions on attributes and keyvals, and the values of predefined attributes.
#include "upper/attribute.h"

#include "upper/datatype.h"
#include "upper/errors.h"
#include "upper/front_end.h"
#include "upper/object_tables.h"
#include "upper/runtime.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

namespace {

// The application gets pointers to these, in its own ABI's terms.
struct Shown {
  int value;
  bool set;
};
constinit Shown tag_ub{}, host{}, io{}, wtime_is_global{}, universe_size{}, appnum{};
constinit int last_used{};

Shown* shown_for(int keyval) {
  switch (keyval) {
    case abi::TAG_UB: return &tag_ub;
    case abi::HOST: return &host;
    case abi::IO: return &io;
    case abi::WTIME_IS_GLOBAL: return &wtime_is_global;
    case abi::UNIVERSE_SIZE: return &universe_size;
    case abi::APPNUM: return &appnum;
    default: return nullptr;
  }
}

void show(int keyval, int value, bool set) {
  *shown_for(keyval) = {front_end::application_attribute(keyval, value), set};
}

int give(void* where, void** value, int* flag) {
  *value = where;
  *flag = 1;
  return abi::SUCCESS;
}

bool get_predefined(Object* object, int keyval, void** value, int* flag) {
  if (object->kind == Kind::communicator) {
    if (keyval == abi::LASTUSEDCODE) {
      last_used = front_end::application_error(last_used_code());
      return give(&last_used, value, flag), true;
    }
    Shown* shown = shown_for(keyval);
    if (shown && shown->set) give(&shown->value, value, flag);
    return shown != nullptr;
  }
  if (object->kind != Kind::window) return false;
  auto* window = static_cast<Window*>(object);
  window->shown_flavour = front_end::application_attribute(abi::WIN_CREATE_FLAVOR, window->flavour);
  window->shown_model = front_end::application_attribute(abi::WIN_MODEL, window->model);
  switch (keyval) {
    case abi::WIN_BASE: return give(window->base, value, flag), true;
    case abi::WIN_SIZE: return give(&window->size, value, flag), true;
    case abi::WIN_DISP_UNIT: return give(&window->disp_unit, value, flag), true;
    case abi::WIN_CREATE_FLAVOR: return give(&window->shown_flavour, value, flag), true;
    case abi::WIN_MODEL: return give(&window->shown_model, value, flag), true;
    default: return false;
  }
}

}  // namespace

Attribute* find_attribute(Object* object, int keyval);
bool is_keyval_of(Kind kind, int keyval);

int get_attribute(Object* object, int keyval, void** value, int* flag) {
  Call call(Call::polling);
  *flag = 0;
  if (get_predefined(object, keyval, value, flag)) return abi::SUCCESS;
  if (!is_keyval_of(object->kind, keyval)) return abi::ERR_KEYVAL;
  Attribute* attribute = find_attribute(object, keyval);
  if (!attribute) return abi::SUCCESS;
  const bool by_pointer = static_cast<Flavour>(attribute->flavour) == Flavour::pointer;
  return give(by_pointer ? attribute->value : &attribute->value, value, flag);
}

void set_world_facts(const WorldFacts& facts) {
  show(abi::TAG_UB, facts.tag_ub, true);
  show(abi::HOST, facts.host, true);
  show(abi::IO, facts.io, true);
  show(abi::WTIME_IS_GLOBAL, facts.wtime_is_global, true);
  show(abi::UNIVERSE_SIZE, facts.universe_size, facts.universe_size >= 0);
  show(abi::APPNUM, facts.appnum, facts.appnum >= 0);
}

int Comm_create_keyval(Function comm_copy_attr_fn, Function comm_delete_attr_fn, int* comm_keyval, void* extra_state) {
  return raise(create_keyval(Kind::communicator, comm_copy_attr_fn, comm_delete_attr_fn, extra_state, comm_keyval),
               "MPI_Comm_create_keyval");
}
int Comm_free_keyval(int* comm_keyval) {
  return raise(free_keyval(Kind::communicator, comm_keyval), "MPI_Comm_free_keyval");
}
int Comm_set_attr(Comm* comm, int comm_keyval, void* attribute_val) {
  if (!comm) return raise(abi::ERR_COMM, "MPI_Comm_set_attr");
  return raise(comm, set_attribute(comm, comm_keyval, attribute_val, Flavour::pointer), "MPI_Comm_set_attr");
}
int Comm_get_attr(Comm* comm, int comm_keyval, void* attribute_val, int* flag) {
  if (!comm) return raise(abi::ERR_COMM, "MPI_Comm_get_attr");
  return raise(comm, get_attribute(comm, comm_keyval, static_cast<void**>(attribute_val), flag), "MPI_Comm_get_attr");
}
int Comm_delete_attr(Comm* comm, int comm_keyval) {
  if (!comm) return raise(abi::ERR_COMM, "MPI_Comm_delete_attr");
  return raise(comm, delete_attribute(comm, comm_keyval), "MPI_Comm_delete_attr");
}

int Type_create_keyval(Function type_copy_attr_fn, Function type_delete_attr_fn, int* type_keyval, void* extra_state) {
  return raise(create_keyval(Kind::datatype, type_copy_attr_fn, type_delete_attr_fn, extra_state, type_keyval),
               "MPI_Type_create_keyval");
}
int Type_free_keyval(int* type_keyval) {
  return raise(free_keyval(Kind::datatype, type_keyval), "MPI_Type_free_keyval");
}
int Type_set_attr(Datatype* datatype, int type_keyval, void* attribute_val) {
  if (!datatype) return raise(abi::ERR_TYPE, "MPI_Type_set_attr");
  return raise(set_attribute(datatype, type_keyval, attribute_val, Flavour::pointer), "MPI_Type_set_attr");
}
int Type_get_attr(Datatype* datatype, int type_keyval, void* attribute_val, int* flag) {
  if (!datatype) return raise(abi::ERR_TYPE, "MPI_Type_get_attr");
  return raise(get_attribute(datatype, type_keyval, static_cast<void**>(attribute_val), flag), "MPI_Type_get_attr");
}
int Type_delete_attr(Datatype* datatype, int type_keyval) {
  if (!datatype) return raise(abi::ERR_TYPE, "MPI_Type_delete_attr");
  return raise(delete_attribute(datatype, type_keyval), "MPI_Type_delete_attr");
}

int Win_create_keyval(Function win_copy_attr_fn, Function win_delete_attr_fn, int* win_keyval, void* extra_state) {
  return raise(create_keyval(Kind::window, win_copy_attr_fn, win_delete_attr_fn, extra_state, win_keyval),
               "MPI_Win_create_keyval");
}
int Win_free_keyval(int* win_keyval) { return raise(free_keyval(Kind::window, win_keyval), "MPI_Win_free_keyval"); }
int Win_set_attr(Window* win, int win_keyval, void* attribute_val) {
  if (!win) return raise(abi::ERR_WIN, "MPI_Win_set_attr");
  return raise(win, set_attribute(win, win_keyval, attribute_val, Flavour::pointer), "MPI_Win_set_attr");
}
int Win_get_attr(Window* win, int win_keyval, void* attribute_val, int* flag) {
  if (!win) return raise(abi::ERR_WIN, "MPI_Win_get_attr");
  return raise(win, get_attribute(win, win_keyval, static_cast<void**>(attribute_val), flag), "MPI_Win_get_attr");
}
int Win_delete_attr(Window* win, int win_keyval) {
  if (!win) return raise(abi::ERR_WIN, "MPI_Win_delete_attr");
  return raise(win, delete_attribute(win, win_keyval), "MPI_Win_delete_attr");
}

}  // namespace mana::upper
