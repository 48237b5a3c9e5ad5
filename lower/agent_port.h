// SPDX-License-Identifier: BSD-3-Clause
// What the control tree asks of this process, for real: control words, the parked application
// (stop.h), the image (image_writer.h).  All on the agent's thread, except flush_wanted.
#pragma once

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/rank.h"
#include "lower/agent.h"
#include "lower/image_writer.h"
#include "lower/stop.h"

namespace mana::lower {

control::Counter counter_of(CommCounter* counter);

class AgentPort : public control::RankPort {
 public:
  AgentPort(asio::io_context& io, AgentJob job, uint64_t job_id);

  AgentJob& job() { return job_; }
  std::function<void()> on_flush_wanted, on_leave, on_finalize_granted;
  std::function<void(const std::string& front_end)> on_image;  // an image is about to be made

  double now() override;
  void set_intent(bool intent) override;
  void collect_counters(control::RankClosure& closure, bool all) override;
  std::vector<control::Observed> observe() override;
  void all_intend() override;
  void release_held_sends() override;
  std::vector<control::RefusalNote> refusals() override;
  void ignore_children(bool ignore) override { ignore_children_ = ignore; }
  control::Outcome request_stop() override;
  control::Result<control::StepResult> poll_stop() override;
  control::Result<control::StepResult> service(control::Phase phase) override;
  control::Result<bool> start_image(const std::string& directory, uint64_t generation, bool in_place,
                                    ImageFinished finished) override;
  void discard_image() override;
  void resume() override;
  void leave(int exit_code) override;
  void finalize_granted() override;
  void flush_wanted() override { on_flush_wanted(); }

 private:
  UpperInterface* upper() const;
  void stop_threads();
  // Nothing: all of them can be stopped, or the patience has not ended.
  std::optional<control::Error> out_of_reach_for_long(const std::vector<NotParked>& missing);
  // Nothing: nobody is left to wait for.
  std::optional<control::Result<control::StepResult>> wait_for_children();
  void wait_for_image(const ImageFinished& finished, const std::string& directory, const std::string& file);
  void image_written(ImageFinished finished, const std::string& directory, const std::string& file);

  asio::io_context& io_;
  AgentJob job_;
  uint64_t job_id_;
  CommCounter* newest_known_ = nullptr;
  // A pending nonblocking reduction may run an operator of the application while it is completed:
  // its main thread is then stopped at its next MPI call, not anywhere.
  bool signals_held_ = false;
  bool ignore_children_ = false;
  bool asked_ = false;            // lower::request_stop was called and resume was not
  double children_until_ = 0;     // when the patience with children ends
  double look_for_children_ = 0;  // when to look next
  double blocked_until_ = 0;      // when the patience with threads that no signal reaches ends
  double look_for_blocked_ = 0;
  std::unique_ptr<ImageWriter> writer_;
  std::optional<asio::posix::stream_descriptor> writer_pipe_;
};

}  // namespace mana::lower
