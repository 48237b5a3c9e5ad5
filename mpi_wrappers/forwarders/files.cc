// SPDX-License-Identifier: BSD-3-Clause
// Files of MPI-IO: opened and closed here, the view kept; reading and writing is in the generated
// forwarders.  While one is open a checkpoint is refused.
#include "mpi_wrappers/forwarders/support.h"
#include "upper/group.h"
#include "upper/text.h"

namespace mana::upper {
namespace {

void set_view_type(Datatype*& place, Datatype* type) {
  if (type != nullptr) keep(type);
  if (place != nullptr) release(place);
  place = type;
}

void set_view(File* file, Datatype* etype, Datatype* filetype, const char* datarep) {
  set_view_type(file->etype, etype);
  set_view_type(file->filetype, filetype);
  copy_text(file->datarep, datarep, sizeof file->datarep);
}

Datatype* byte_type() { return static_cast<Datatype*>(predefined(abi::BYTE)); }

// MPI_File_get_view returns handles of the caller's own for derived types.
int view_type(Datatype* type, Datatype** copy) {
  if (type->constant == 0) return Type_dup(type, copy);
  *copy = type;
  return 0;
}

}  // namespace

int File_open(Comm* comm, const char* filename, int amode, Info* info, File** fh) {
  if (comm == nullptr) return raise(static_cast<File*>(nullptr), abi::ERR_COMM, "MPI_File_open");
  Held held;
  int error;
  {
    Call call;
    ops::File_open block = {comm->lower, filename, amode, lower_bits(info), 0};
    begin_collective(call, comm->counter, true);
    error = forward(call, GeneratedOp::File_open, &block);
    end_collective(call);
    if (error == 0) {
      auto* file = new_object<File>(Kind::file);
      if (file != nullptr) {
        file->lower = block.fh;
        file->comm = comm;
        keep(comm);
        set_errhandler(file->errhandler, errors_return());
        set_view(file, byte_type(), byte_type(), "native");
        refusal_of(Creator::File_open)->alive.fetch_add(1, std::memory_order_relaxed);
      }
      *fh = file;
      error = file != nullptr ? 0 : abi::ERR_NO_MEM;
    }
  }
  return raise(static_cast<File*>(nullptr), error, "MPI_File_open");
}

int File_close(File** fh) {
  File* file = *fh;
  if (file == nullptr) return raise(file, abi::ERR_FILE, "MPI_File_close");
  Held held;
  int error;
  {
    Call call;
    ops::File_close block = {file->lower};
    begin_collective(call, file->comm->counter, true);
    error = forward(call, GeneratedOp::File_close, &block);
    end_collective(call);
    if (error == 0) {
      refusal_of(Creator::File_open)->alive.fetch_sub(1, std::memory_order_relaxed);
      set_view(file, nullptr, nullptr, "");
      set_errhandler(file->errhandler, nullptr);
      release(file->comm);
      free_handle(file);
      *fh = nullptr;
    }
  }
  return error == 0 ? 0 : raise(file, error, "MPI_File_close");
}

int File_set_view(File* fh, int64_t disp, Datatype* etype, Datatype* filetype, const char* datarep,
                  Info* info) {
  if (fh == nullptr) return raise(fh, abi::ERR_FILE, "MPI_File_set_view");
  if (etype == nullptr || filetype == nullptr) return raise(fh, abi::ERR_TYPE, "MPI_File_set_view");
  Held held;
  int error;
  {
    Call call;
    ops::File_set_view block = {
        fh->lower, disp, lower_bits(etype), lower_bits(filetype), datarep, lower_bits(info)};
    begin_collective(call, fh->comm->counter, true);
    error = forward(call, GeneratedOp::File_set_view, &block);
    end_collective(call);
    if (error == 0) set_view(fh, etype, filetype, datarep);
  }
  return raise(fh, error, "MPI_File_set_view");
}

int File_get_view(File* fh, int64_t* disp, Datatype** etype, Datatype** filetype, char* datarep) {
  if (fh == nullptr) return raise(fh, abi::ERR_FILE, "MPI_File_get_view");
  Held held;
  int error;
  {
    Call call;
    char lower_datarep[abi::MAX_DATAREP_STRING];
    ops::File_get_view block = {};
    block.fh = fh->lower;
    block.datarep = lower_datarep;
    error = forward(call, GeneratedOp::File_get_view, &block);
    if (error == 0) {
      *disp = block.disp;
      copy_text(datarep, fh->datarep, sizeof fh->datarep);
    }
  }
  if (error == 0) error = view_type(fh->etype, etype);
  if (error == 0) error = view_type(fh->filetype, filetype);
  return raise(fh, error, "MPI_File_get_view");
}

int File_get_group(File* fh, Group** group) {
  if (fh == nullptr) return raise(fh, abi::ERR_FILE, "MPI_File_get_group");
  Call call;
  *group = make_group(fh->comm->world_ranks, fh->comm->size);
  return 0;
}

}  // namespace mana::upper
