// SPDX-License-Identifier: BSD-3-Clause
// The end of a job whose MPI is not there yet to abort it.
#pragma once

namespace mana::control {

// Tells the launcher of this process that the job is over, with exit code `code`; the caller then leaves.  A launcher
// that speaks PMI-1 (MPICH's Hydra; the variable PMI_FD) takes a process that ends before MPI_Init for one that does not
// want MPI, and leaves the others in MPI_Init waiting for it for ever.  Under other launchers, which end a job when a
// process of it exits with a code that is not zero, this does nothing.
void end_job_at_launcher(int code);

}  // namespace mana::control
