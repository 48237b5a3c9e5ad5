// SPDX-License-Identifier: BSD-3-Clause
// For the tests that have no main() of their own.
#include "test/catch/run.h"

int main(int argc, char** argv) { return mana::run_test_cases(argc, argv); }
