// SPDX-License-Identifier: BSD-3-Clause
// Files here are compiled once for each ABI; this is the one that the target chose.
#pragma once

#if defined(MANA_ABI_MPICH)
#include "mpi_wrappers/front_ends/mpich_abi.h"
#elif defined(MANA_ABI_OPENMPI)
#include "mpi_wrappers/front_ends/openmpi_abi.h"
#else
#error "no application ABI chosen"
#endif

#include "mpi_wrappers/front_ends/entry.h"
