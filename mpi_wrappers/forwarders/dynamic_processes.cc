// SPDX-License-Identifier: BSD-3-Clause
// The functions for dynamic processes that are not simply passed on: names of ports, whose longest
// length differs between ABIs, and the parent, which is asked for once.
#include "mpi_wrappers/forwarders/support.h"
#include "upper/front_end.h"
#include "upper/text.h"

namespace mana::upper {
namespace {

constexpr int kLongestPort = abi::MAX_PORT_NAME;

// Into the application's buffer, which is as long as its header said.
int give_port(const char* port, char* buffer) {
  if (text_length(port) >= static_cast<size_t>(front_end::facts.port_name)) return abi::ERR_PORT;
  copy_text(buffer, port, static_cast<size_t>(front_end::facts.port_name));
  return 0;
}

bool parent_asked = false;
Comm* parent_comm = nullptr;

}  // namespace

int Open_port(Info* info, char* port_name) {
  char port[kLongestPort] = {};
  int error;
  {
    Call call;
    ops::Open_port block = {lower_bits(info), port};
    error = forward(call, GeneratedOp::Open_port, &block);
    if (error == 0) error = give_port(port, port_name);
  }
  return raise(error, "MPI_Open_port");
}

int Lookup_name(const char* service_name, Info* info, char* port_name) {
  char port[kLongestPort] = {};
  int error;
  {
    Call call;
    ops::Lookup_name block = {service_name, lower_bits(info), port};
    error = forward(call, GeneratedOp::Lookup_name, &block);
    if (error == 0) error = give_port(port, port_name);
  }
  return raise(error, "MPI_Lookup_name");
}

int Comm_get_parent(Comm** parent) {
  Held held;
  int error = 0;
  if (!parent_asked) {
    ops::Comm_get_parent block = {};
    {
      Call call;
      error = forward(call, GeneratedOp::Comm_get_parent, &block);
    }
    if (error == 0 && block.parent != 0) {
      parent_comm = adopt_foreign_comm(block.parent, refusal_of(Creator::Comm_get_parent));
    }
    parent_asked = error == 0;
  }
  *parent = parent_comm;
  return raise(error, "MPI_Comm_get_parent");
}

}  // namespace mana::upper
