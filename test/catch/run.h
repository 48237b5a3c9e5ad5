// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace mana {
int run_test_cases(int argc, char** argv);  // all test cases; the exit code
}
