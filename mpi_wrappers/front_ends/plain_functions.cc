// SPDX-License-Identifier: BSD-3-Clause
// MPI functions that need nothing but this front end: address arithmetic, MPI_Pcontrol, and the
// functions of MPI-1 that ask for bounds of a type.
#include "mpi_wrappers/front_ends/application.h"

using namespace mana;
using namespace mana::application;

#define MANA_WEAK(name, result, ...) \
  MANA_EXPORT __attribute__((weak, alias("P" #name))) result name(__VA_ARGS__)

MANA_EXPORT int64_t PMPI_Aint_add(int64_t base, int64_t displacement) {
  return base + displacement;
}
MANA_WEAK(MPI_Aint_add, int64_t, int64_t, int64_t);
MANA_EXPORT int64_t PMPI_Aint_diff(int64_t a, int64_t b) { return a - b; }
MANA_WEAK(MPI_Aint_diff, int64_t, int64_t, int64_t);

// Meant for profiling tools, which interpose it; the library has nothing to do (MPI 5.0, 15.2.4).
MANA_EXPORT int PMPI_Pcontrol(const int, ...) { return 0; }
MANA_WEAK(MPI_Pcontrol, int, const int, ...);

namespace {

int bounds(HandleOf<Datatype> datatype, int64_t* lower, int64_t* extent, const char* call) {
  Datatype* type;
  if (!take(datatype, &type)) return bad_handle<Datatype>(call);
  return error_code(upper::Type_get_extent(type, lower, extent));
}

}  // namespace

MANA_EXPORT int PMPI_Type_extent(HandleOf<Datatype> datatype, int64_t* extent) {
  int64_t lower;
  return bounds(datatype, &lower, extent, "MPI_Type_extent");
}
MANA_WEAK(MPI_Type_extent, int, HandleOf<Datatype>, int64_t*);

MANA_EXPORT int PMPI_Type_lb(HandleOf<Datatype> datatype, int64_t* displacement) {
  int64_t extent;
  return bounds(datatype, displacement, &extent, "MPI_Type_lb");
}
MANA_WEAK(MPI_Type_lb, int, HandleOf<Datatype>, int64_t*);

MANA_EXPORT int PMPI_Type_ub(HandleOf<Datatype> datatype, int64_t* displacement) {
  int64_t lower, extent;
  const int code = bounds(datatype, &lower, &extent, "MPI_Type_ub");
  if (code == 0) *displacement = lower + extent;
  return code;
}
MANA_WEAK(MPI_Type_ub, int, HandleOf<Datatype>, int64_t*);

// Memory of accelerators is not part of an image: a program that asks is told to keep its buffers
// in host memory.
MANA_EXPORT int PMPIX_Query_cuda_support() { return 0; }
MANA_WEAK(MPIX_Query_cuda_support, int);
#if defined(MANA_ABI_MPICH)
MANA_EXPORT int PMPIX_Query_hip_support() { return 0; }
MANA_WEAK(MPIX_Query_hip_support, int);
MANA_EXPORT int PMPIX_Query_ze_support() { return 0; }
MANA_WEAK(MPIX_Query_ze_support, int);
MANA_EXPORT int PMPIX_GPU_query_support(int, int* is_supported) {
  *is_supported = 0;
  return 0;
}
MANA_WEAK(MPIX_GPU_query_support, int, int, int*);
#endif
