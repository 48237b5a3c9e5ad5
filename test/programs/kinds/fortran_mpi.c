// SPDX-License-Identifier: BSD-3-Clause
// MPI for fortran.f90; without -DWITH_MPI there is one rank.
#ifdef WITH_MPI
#include <mpi.h>
#endif

int begin_ranks(void) {
  int rank = 0;
#ifdef WITH_MPI
  MPI_Init(0, 0);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
#endif
  return rank;
}

double sum_of_ranks(double value) {
#ifdef WITH_MPI
  double mine = value;
  MPI_Allreduce(&mine, &value, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
#endif
  return value;
}

void end_ranks(void) {
#ifdef WITH_MPI
  MPI_Finalize();
#endif
}
