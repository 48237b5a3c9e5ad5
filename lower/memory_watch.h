// SPDX-License-Identifier: BSD-3-Clause
// An MPI library whose network reads and writes memory by itself (InfiniBand, Omni-Path, Slingshot) pins what the application
// sends from, and keeps it pinned for the next time.  It must know when such memory goes away, else the next message from the same address
// is read from pages that nobody sees any more.  UCX, libfabric and Open MPI find out by patching libc's munmap: of
// the one libc that there is natively.  Here the application has a libc of its own, so the gate tells the lower half's.
#pragma once

#include <cstdint>

namespace mana::lower {

// After MPI_Init and install_gate: does so if the library holds a device through which memory can be pinned, or if MANA_WATCH_MEMORY is set.
// Without one nothing can be pinned, and nothing is paid.
void watch_memory();

// memory_watch_handler.cc, freestanding: what the gate calls.
void tell_unmap(uint64_t address, uint64_t length);

struct Unmapped {
  uint64_t address, length;
};
// On the borrowed thread (lower %fs); takes an Unmapped.
void tell_libc(void* unmapped);

}  // namespace mana::lower
