// SPDX-License-Identifier: BSD-3-Clause
// Internal functions of the original library, exported by name so that its Fortran and C++ bindings
// load.
#pragma once

#define MANA_SHOWN __attribute__((visibility("default")))

namespace mana::application {

// Says which function was called and that this front end has no such part, and ends the process.
[[noreturn]] void internal_symbol(const char* name);

}  // namespace mana::application
