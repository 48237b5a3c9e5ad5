// SPDX-License-Identifier: BSD-3-Clause
// What the service thread does for the agent while everything else is parked: finish collectives, exchange counts, drain, go on or
// rebuild.  Each call is one step that comes back.
#pragma once

#include <cstdint>

#include "upper/runtime.h"

namespace mana::upper {

void service(ServiceCall* what);  // UpperInterface::service

// --- its parts, in the order in which they are used
void finish_collectives(Call& call, ServiceCall* what);
void exchange_counts(Call& call, ServiceCall* what);
void drain(Call& call, ServiceCall* what);
void resume(Call& call, ServiceCall* what);
void rebuild(Call& call, ServiceCall* what);

}  // namespace mana::upper
