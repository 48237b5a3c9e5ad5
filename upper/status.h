// SPDX-License-Identifier: BSD-3-Clause
// Helpers for neutral statuses.
#pragma once

#include "upper/abi.h"

namespace mana::upper {

inline void set_status(abi::Status* status, int source, int tag, int error, uint64_t bytes, int cancelled) {
  if (!status) return;
  status->source = source;
  status->tag = tag;
  status->error = error;
  status->set_bytes(bytes);
  status->cancelled = cancelled;
}
// What MPI gives for a null or inactive request, and for a message from PROC_NULL (source differs).
inline void set_empty_status(abi::Status* status) {
  set_status(status, abi::ANY_SOURCE, abi::ANY_TAG, abi::SUCCESS, 0, 0);
}
inline void set_proc_null_status(abi::Status* status) {
  set_status(status, abi::PROC_NULL, abi::ANY_TAG, abi::SUCCESS, 0, 0);
}

}  // namespace mana::upper
