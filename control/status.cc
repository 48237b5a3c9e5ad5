// SPDX-License-Identifier: BSD-3-Clause
#include "control/status.h"

#include <nlohmann/json.hpp>

#include "control/closure_judge.h"

namespace mana::control {

using json = nlohmann::ordered_json;

std::string status_json(const JobStatus& status, const JobFile& job, const Manifest& about,
                        const std::string& directory) {
  json value = {{"state", status.state},
                {"directory", directory},
                {"job", job.job},
                {"host", job.host},
                {"pid", job.pid},
                {"ranks", job.ranks},
                {"started", job.started},
                {"program", about.program},
                {"arguments", about.arguments},
                {"mpi", about.mpi},
                {"mpi_version", about.mpi_version},
                {"front_end", about.front_end},
                {"restarted_from", about.restarted_from},
                {"queued", status.queued},
                {"last_generation", nullptr},
                {"checkpoint", nullptr}};
  if (!status.why.empty()) value["why"] = status.why;
  if (!status.last_failure.empty()) value["last_failure"] = status.last_failure;
  if (status.committed >= 0) {
    json phases = json::object();
    for (const PhaseTime& time : status.committed_costs.phases)
      phases[name_of(time.phase)] = time.seconds;
    value["last_generation"] = {{"generation", status.committed},
                                {"bytes", status.committed_costs.bytes},
                                {"stood_still", status.committed_costs.stood_still},
                                {"phase_seconds", phases}};
  }
  if (status.phase != Phase::idle) {
    json ranks = json::array();
    for (const RankView& view : status.ranks) {
      ranks.push_back({{"rank", view.rank},
                       {"lags", view.lagging},
                       {"done", view.done},
                       {"pending", view.pending},
                       {"quiet_seconds", view.quiet_seconds},
                       {"doing", describe(view)}});
    }
    json silent = json::array();
    for (const Silent& one : status.silent) {
      silent.push_back({{"rank", one.rank}, {"pid", one.pid}, {"host", one.host}, {"seconds", one.seconds}, {"behind", one.behind}});
    }
    value["checkpoint"] = {{"generation", status.generation},
                           {"phase", name_of(status.phase)},
                           {"phase_seconds", status.phase_seconds},
                           {"waiting_for", status.waiting_for},
                           {"silent", silent},
                           {"ranks", ranks}};
  }
  return value.dump(2, ' ', false, json::error_handler_t::replace);
}

}  // namespace mana::control
