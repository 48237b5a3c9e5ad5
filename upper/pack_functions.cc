// SPDX-License-Identifier: BSD-3-Clause
// MPI 5.0, 5.2: MPI_Pack and MPI_Unpack.  What is packed here is the plain stream of pack.h, as a message carries it, so it may be sent as
// MPI_PACKED and received with any matching type.
#include "upper/errors.h"
#include "upper/pack.h"
#include "upper/runtime.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

namespace {

// Packing itself changes nothing of ours, so it may be stopped anywhere; compiling the program may not.
void prepare(Datatype* type) {
  if (type->program) return;
  Call call(Call::polling);
  program_of(type);
}

}  // namespace

int Pack(const void* inbuf, int64_t incount, Datatype* datatype, void* outbuf, int64_t outsize, int64_t* position,
         Comm* comm) {
  if (!comm) return raise(abi::ERR_COMM, "MPI_Pack");
  if (!datatype) return raise(comm, abi::ERR_TYPE, "MPI_Pack");
  if (incount < 0) return raise(comm, abi::ERR_COUNT, "MPI_Pack");
  if (*position < 0 || outsize - *position < incount * datatype->size) return raise(comm, abi::ERR_ARG, "MPI_Pack");
  prepare(datatype);
  *position += pack_stream(inbuf, incount, datatype, static_cast<char*>(outbuf) + *position, outsize - *position);
  return abi::SUCCESS;
}

int Unpack(const void* inbuf, int64_t insize, int64_t* position, void* outbuf, int64_t outcount, Datatype* datatype,
           Comm* comm) {
  if (!comm) return raise(abi::ERR_COMM, "MPI_Unpack");
  if (!datatype) return raise(comm, abi::ERR_TYPE, "MPI_Unpack");
  if (outcount < 0) return raise(comm, abi::ERR_COUNT, "MPI_Unpack");
  if (*position < 0 || *position > insize) return raise(comm, abi::ERR_ARG, "MPI_Unpack");
  if (insize - *position < outcount * datatype->size) return raise(comm, abi::ERR_TRUNCATE, "MPI_Unpack");
  prepare(datatype);
  *position += unpack_stream(outbuf, outcount, datatype, static_cast<const char*>(inbuf) + *position,
                             insize - *position);
  return abi::SUCCESS;
}

int Pack_size(int64_t incount, Datatype* datatype, Comm* comm, int64_t* size) {
  if (!comm) return raise(abi::ERR_COMM, "MPI_Pack_size");
  if (!datatype) return raise(comm, abi::ERR_TYPE, "MPI_Pack_size");
  if (incount < 0) return raise(comm, abi::ERR_COUNT, "MPI_Pack_size");
  *size = incount * datatype->size;
  return abi::SUCCESS;
}

}  // namespace mana::upper
