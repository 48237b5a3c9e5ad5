// SPDX-License-Identifier: BSD-3-Clause
// A function of the upper API that changes state but does not wait for anybody: its body runs as one Call (runtime.h: no
// checkpoint stops it half done, and with MPI_THREAD_MULTIPLE it has the lock); the error handler, which is the
// application's code, runs after.
#pragma once

#include "upper/errors.h"
#include "upper/runtime.h"

namespace mana::upper {

template <class Body>
int guarded(const char* name, Body body) {
  int error;
  {
    Call call(Call::polling);
    error = body();
  }
  return error == abi::SUCCESS ? error : raise(error, name);
}

}  // namespace mana::upper
