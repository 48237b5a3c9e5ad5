// SPDX-License-Identifier: BSD-3-Clause
#include "mpi_wrappers/forwarders/support.h"

#include "upper/text.h"

namespace mana::upper {

constinit Refusal refusals[] = {
#define MANA_REFUSAL(creator, function, reason) {0, function, reason},
    MANA_REFUSALS(MANA_REFUSAL)
#undef MANA_REFUSAL
};

namespace {

// Before the front end registers with the gate (priorities below 100 belong to the implementation).
__attribute__((constructor(101))) void announce_refusals() {
  upper_interface.refusals = refusals;
  upper_interface.refusal_count = static_cast<uint32_t>(Creator::count);
}

}  // namespace

uint64_t lower_bits_of_any(Object* object) {
  if (object == nullptr) return 0;
  switch (object->kind) {
    case Kind::datatype:
      return lower_bits(static_cast<Datatype*>(object));
    case Kind::op:
      return lower_bits(static_cast<Op*>(object));
    case Kind::info:
      return lower_bits(static_cast<Info*>(object));
    case Kind::request:
      return lower_bits(static_cast<Request*>(object));
    default:
      return object->lower;
  }
}

Info* info_from_text(const char* text) {
  Info* info = make_info();
  while (info != nullptr && *text != '\0') {
    const char* value = text + text_length(text) + 1;
    info_put(info, text, value);
    text = value + text_length(value) + 1;
  }
  return info;
}

int refuse(const char* function, const char* reason, bool tool_interface) {
  if (tool_interface) return abi::T_ERR_NOT_SUPPORTED;
  return raise_detail(nullptr, abi::ERR_UNSUPPORTED_OPERATION, function, reason);
}

}  // namespace mana::upper
