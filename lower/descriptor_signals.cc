// SPDX-License-Identifier: BSD-3-Clause
#include "lower/descriptor_signals.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "kernel-loader/ids.h"
#include "lower/descriptor_contents.h"

namespace mana::lower {
namespace {

using image::DescriptorSignals;
using loader::IdKind;

IdKind kind_of(int type) { return type == F_OWNER_PGRP ? IdKind::group : IdKind::task; }

// The process, one of its threads, or its group: who is there after a restart, too.
bool is_own(const f_owner_ex& owner) {
  if (owner.type == F_OWNER_PGRP) return owner.pid == getpgrp();
  return access(("/proc/self/task/" + std::to_string(owner.pid)).c_str(), F_OK) == 0;
}

DescriptorSignals signals_of(const loader::Descriptor& descriptor) {
  DescriptorSignals signals{};
  signals.number = descriptor.number;
  signals.signal = std::max(fcntl(descriptor.number, F_GETSIG), 0);
  signals.asynchronous = (fcntl(descriptor.number, F_GETFL) & O_ASYNC) != 0;
  f_owner_ex owner{};
  if (fcntl(descriptor.number, F_GETOWN_EX, &owner) != 0 || owner.pid == 0) return signals;
  signals.owner_type = owner.type;
  signals.owner = is_own(owner) ? loader::seen_id(owner.pid, kind_of(owner.type)) : 0;
  signals.owner_is_another = signals.owner == 0;
  return signals;
}

bool set(const DescriptorSignals& signals) {
  const f_owner_ex owner{static_cast<__pid_type>(signals.owner_type), loader::real_id(signals.owner, kind_of(signals.owner_type))};
  if (signals.owner != 0 && fcntl(signals.number, F_SETOWN_EX, &owner) != 0) return false;
  if (signals.signal != 0 && fcntl(signals.number, F_SETSIG, signals.signal) != 0) return false;
  if (signals.asynchronous == 0) return true;
  const int flags = fcntl(signals.number, F_GETFL);
  return flags >= 0 && fcntl(signals.number, F_SETFL, flags | O_ASYNC) == 0;
}

}  // namespace

std::vector<DescriptorSignals> descriptor_signals(const std::vector<loader::Descriptor>& all) {
  std::vector<DescriptorSignals> found;
  for (const loader::Descriptor& descriptor : all) {
    if (descriptor.same_as != descriptor.number || descriptor.kind == loader::DescriptorKind::standard) continue;
    const DescriptorSignals signals = signals_of(descriptor);
    if (signals.signal != 0 || signals.owner != 0 || signals.owner_is_another != 0 || signals.asynchronous != 0) found.push_back(signals);
  }
  return found;
}

void restore_descriptor_signals(const std::vector<DescriptorSignals>& all) {
  for (const DescriptorSignals& signals : all) {
    const std::string what = "descriptor " + std::to_string(signals.number);
    if (!set(signals)) say_at_restart(what + " sends no signals any more (F_SETOWN, O_ASYNC): " + std::strerror(errno));
    if (signals.owner_is_another != 0) say_at_restart(what + " sent its signals to another process (F_SETOWN), and sends them to nobody now");
  }
}

}  // namespace mana::lower
