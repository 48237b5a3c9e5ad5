// SPDX-License-Identifier: BSD-3-Clause
#include "lower/agent_port.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asio/post.hpp>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "control/generations.h"
#include "kernel-loader/ids.h"
#include "lower/children.h"
#include "lower/park.h"
#include "lower/stop.h"

namespace mana::lower {

using control::Done;
using control::Error;
using control::Outcome;
using control::Phase;
using control::Result;
using control::StepResult;

namespace {

constexpr double kPatienceWithChildren = 10;  // seconds
constexpr double kPatienceWithKernel = 10;
constexpr double kLookForChildrenEvery = 0.01;
constexpr double kLookForBlockedEvery = 0.1;

Service service_of(Phase phase) {
  switch (phase) {
    case Phase::finish_collectives:
      return Service::finish_collectives;
    case Phase::exchange_counts:
      return Service::exchange_counts;
    case Phase::drain:
      return Service::drain;
    default:
      return Service::none;
  }
}

bool is_parked(pid_t tid) {
  const ParkSlot* slot = find_slot(tid);
  return slot != nullptr && slot->state.load() == ParkState::parked &&
         slot->release.load() == park_control.release.load();
}

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

control::Counter counter_of(CommCounter* counter) {
  control::Counter known{counter->uid, &counter->begun, {}};
  if (counter->one_shot)
    known.members.assign(counter->members, counter->members + counter->member_count);
  return known;
}

AgentPort::AgentPort(asio::io_context& io, AgentJob job, uint64_t job_id)
    : io_(io), job_(std::move(job)), job_id_(job_id) {}

// A front end may register after the agent has started.
UpperInterface* AgentPort::upper() const { return park_control.upper; }

double AgentPort::now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void AgentPort::set_intent(bool intent) {
  if (upper() == nullptr) return;
  upper()->control.intent.store(intent ? 1 : 0);
  // Either what a wrapper wrote before it read the flag can be seen now, or it reads the flag as
  // set.
  if (intent) syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

void AgentPort::collect_counters(control::RankClosure& closure, bool all) {
  if (upper() == nullptr) return;
  CommCounter* newest = upper()->counters.load(std::memory_order_acquire);
  CommCounter* end = all ? nullptr : newest_known_;
  for (CommCounter* counter = newest; counter != end; counter = counter->next) {
    if (counter->uid != 0) closure.know(counter_of(counter));
  }
  newest_known_ = newest;
}

std::vector<control::Observed> AgentPort::observe() {
  std::vector<control::Observed> threads;
  if (upper() == nullptr) return threads;
  for (const ThreadRecord* record = upper()->threads.load(); record != nullptr;
       record = record->next) {
    if (record->tid.load() == 0) continue;
    threads.push_back({reinterpret_cast<control::ThreadId>(record), record->inside_uid.load(),
                       record->operations.load()});
  }
  return threads;
}

void AgentPort::all_intend() {
  if (upper() != nullptr) upper()->control.intent.store(2);
}

void AgentPort::release_held_sends() {
  if (upper() != nullptr) upper()->control.releases.fetch_add(1);
}

std::vector<control::RefusalNote> AgentPort::refusals() {
  std::vector<control::RefusalNote> notes;
  if (upper() == nullptr) return notes;
  for (uint32_t i = 0; i < upper()->refusal_count; ++i) {
    const Refusal& refusal = upper()->refusals[i];
    if (const uint64_t alive = refusal.alive.load())
      notes.push_back({job_.rank, alive, refusal.function, refusal.reason});
  }
  return notes;
}

Outcome AgentPort::request_stop() {
  signals_held_ = upper() != nullptr && upper()->pending_user_reductions > 0;
  children_until_ = now() + kPatienceWithChildren;
  look_for_children_ = 0;
  blocked_until_ = now() + kPatienceWithKernel;
  look_for_blocked_ = now() + kLookForBlockedEvery;
  if (!signals_held_) {
    if (ignore_children_ || !has_children()) stop_threads();
    return Done{};
  }
  park_control.stop.store(1);
  upper()->control.stop.store(1);
  return Done{};
}

void AgentPort::stop_threads() {
  asked_ = true;
  lower::request_stop();
}

std::optional<Result<StepResult>> AgentPort::wait_for_children() {
  if (now() < look_for_children_) return Result<StepResult>(StepResult{false, 1});
  const std::vector<Child> children = lower::children();
  if (children.empty()) return std::nullopt;
  // The application must run for its children to come to an end: it reads their pipes, and waits for them.
  if (std::exchange(asked_, false)) lower::resume();
  look_for_children_ = now() + kLookForChildrenEvery;
  if (now() < children_until_) return Result<StepResult>(StepResult{false, static_cast<uint32_t>(children.size())});
  return Result<StepResult>(Error{describe(children) +
                                  fmt::format("; a checkpoint waits {:.0f} s for children and cannot save them: wait for it, or use mana checkpoint --ignore-children",
                                              kPatienceWithChildren)});
}

// The kernel ends most such waits soon; one that lasts (a file server that does not answer, a parent in vfork) may last for ever.
std::optional<Error> AgentPort::out_of_reach_for_long(const std::vector<NotParked>& missing) {
  if (now() < look_for_blocked_) return std::nullopt;
  look_for_blocked_ = now() + kLookForBlockedEvery;
  std::string who;
  for (const NotParked& one : missing) {
    const std::string where = out_of_reach(one);
    if (!where.empty()) who = fmt::format("thread {} is {}", loader::seen_id(one.tid), where);
  }
  if (who.empty()) blocked_until_ = now() + kPatienceWithKernel;
  if (now() < blocked_until_) return std::nullopt;
  return Error{fmt::format("{} and has not left it for {:.0f} s: no signal can stop it there; ask again when it has", who, kPatienceWithKernel)};
}

Result<StepResult> AgentPort::poll_stop() {
  if (signals_held_) {
    if (upper()->pending_user_reductions > 0 && !is_parked(getpid())) return StepResult{false, 1};
    signals_held_ = false;
    stop_threads();
  }
  if (!asked_) {
    if (const auto waiting = wait_for_children()) return *waiting;
    stop_threads();
  }
  const std::vector<NotParked> missing = lower::poll_stop();
  if (!missing.empty()) {
    if (const auto blocked = out_of_reach_for_long(missing)) return *blocked;
    return StepResult{false, static_cast<uint32_t>(missing.size())};
  }
  if (!ignore_children_) {
    look_for_children_ = 0;
    if (const auto waiting = wait_for_children()) return *waiting;
  }
  keep_progressing(true);
  return StepResult{true, 0};
}

Result<StepResult> AgentPort::service(Phase phase) {
  ServiceCall call{};
  call.what = service_of(phase);
  if (!lower::service(call)) return StepResult{true, 0};  // no thread has ever called MPI
  if (call.error != 0) {
    return Error{fmt::format("{}: {} (error class {})", name_of(phase), call.detail, call.error)};
  }
  return StepResult{call.done != 0, call.pending};
}

Result<bool> AgentPort::start_image(const std::string& directory, uint64_t generation, bool in_place,
                                    ImageFinished finished) {
  keep_progressing(false);
  ServiceCall settle{};
  settle.what = Service::none;
  lower::service(settle);  // the service thread is out of its last turn
  const std::string front_end = upper() != nullptr ? upper()->front_end : "";
  on_image(front_end);
  ImageIdentity identity;
  identity.rank = job_.rank;
  identity.size = job_.size;
  identity.job = job_id_;
  identity.generation = generation;
  identity.program = job_.program;
  identity.arguments = job_.arguments;
  identity.front_end = front_end;
  identity.mpi = job_.mpi;
  identity.mpi_version = job_.mpi_version;
  const std::string file = control::image_name(job_.rank);
  writer_ = ImageWriter::start(identity, upper(), directory + "/" + file,
                               in_place || std::getenv("MANA_WRITE_IN_PLACE") != nullptr);
  if (writer_->descriptor() < 0) {
    const std::string error = writer_->finish().error;
    writer_.reset();
    return Error{"image " + directory + "/" + file + ": " + error};
  }
  writer_pipe_.emplace(io_, fcntl(writer_->descriptor(), F_DUPFD_CLOEXEC, 0));
  wait_for_image(finished, directory, file);
  return !writer_->in_place();
}

// An event may be left over from a descriptor whose place in asio's tables this one has taken, so it is only a reason to look.
void AgentPort::wait_for_image(const ImageFinished& finished, const std::string& directory, const std::string& file) {
  writer_pipe_->async_wait(asio::posix::stream_descriptor::wait_read,
                           [this, finished, directory, file](asio::error_code cancelled) {
                             if (cancelled || writer_ == nullptr) return;
                             if (!writer_->has_ended()) return wait_for_image(finished, directory, file);
                             image_written(finished, directory, file);
                           });
}

void AgentPort::image_written(ImageFinished finished, const std::string& directory,
                              const std::string& file) {
  writer_pipe_.reset();
  const ImageResult result = writer_->finish();
  writer_.reset();
  if (!result.error.empty())
    return finished(Error{"image " + directory + "/" + file + ": " + result.error, result.for_lack_of_memory});
  control::ImageNote note;
  note.file = file;
  note.bytes = result.bytes;
  note.checksum = fmt::format("{:016x}", result.checksum);
  note.host = host_name();
  note.sync_seconds = static_cast<double>(result.sync_ns) / 1e9;
  finished(note);
}

void AgentPort::discard_image() {
  writer_pipe_.reset();
  writer_.reset();
}

void AgentPort::resume() {
  ServiceCall call{};
  call.what = Service::resume;
  while (!signals_held_ && lower::service(call) && call.done == 0 && call.error == 0) {
  }
  signals_held_ = asked_ = false;
  lower::resume();
}

void AgentPort::leave(int exit_code) {
  on_leave();
  job_.leave(exit_code);
}

void AgentPort::finalize_granted() {
  if (upper() != nullptr) upper()->control.job_ending.store(1);
  on_finalize_granted();
}

}  // namespace mana::lower
