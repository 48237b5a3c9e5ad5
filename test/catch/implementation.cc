// SPDX-License-Identifier: BSD-3-Clause
#define CATCH_CONFIG_RUNNER
#include "test/catch/run.h"

#include <catch2/catch.hpp>

namespace mana {
int run_test_cases(int argc, char** argv) { return Catch::Session().run(argc, argv); }
}  // namespace mana
