// SPDX-License-Identifier: BSD-3-Clause
#include "lower/image_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstring>

#include "kernel-loader/report.h"
#include "kernel-loader/sys.h"
#include "lower/children.h"
#include "lower/image_child.h"
#include "lower/image_plan.h"
#include "lower/memory_flags.h"
#include "lower/spare_cores.h"

namespace mana::lower {
namespace {

int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// A sixteenth of the memory for the whole job, which may be on this host.
uint64_t most_ahead(const MemoryRoom& room, int ranks) { return memory_in_all(room) / 16 / static_cast<uint64_t>(ranks); }

// No signal tells of the child's end, and a plain wait() of the application does not find it: its exit signal is 0.  Not libc's
// fork(): its handlers take locks that nobody in the child would release.
pid_t fork_silently() { return static_cast<pid_t>(syscall(SYS_clone, 0UL, nullptr, nullptr, nullptr, 0UL)); }

bool make_pipes(int (&first)[2], int (&second)[2]) {
  if (pipe2(first, O_CLOEXEC) != 0) return false;
  if (pipe2(second, O_CLOEXEC) == 0) return true;
  const int why = errno;
  close(first[0]);
  close(first[1]);
  errno = why;
  return false;
}

// The child has closed its end of the pipe, or is gone.
void wait_for_the_end_of(int pipe) {
  char none;
  while (read(pipe, &none, 1) < 0 && errno == EINTR) {
  }
  close(pipe);
}

// So does the kernel where memory has run out; who else does is not told.
bool was_killed(int status) { return status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }

std::string how_it_ended(int status) {
  if (status < 0) return "and somebody else has waited for it";
  if (was_killed(status)) return "killed (memory may have run out)";
  return WIFSIGNALED(status) ? "by signal " + std::to_string(WTERMSIG(status)) : "with exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

std::unique_ptr<ImageWriter> ImageWriter::start(const ImageIdentity& identity, UpperInterface* upper, const std::string& path, bool in_place) {
  std::unique_ptr<ImageWriter> writer(new ImageWriter);
  const int64_t begin = monotonic_ns();
  writer->plan_ = std::make_unique<ImagePlan>(plan_image(identity, upper));
  const ImagePlan& plan = *writer->plan_;
  writer->result_.error = plan.error;
  writer->result_.bytes = plan.file_bytes;
  if (!plan.error.empty()) return writer;
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) {
    writer->result_.error = "create " + path + ": " + std::strerror(errno);
    return writer;
  }
  int ends[2], shared[2];
  if (!make_pipes(ends, shared)) {
    writer->result_.error = std::string("make a pipe: ") + std::strerror(errno);
    close(file);
    return writer;
  }
  const MemoryRoom room = open_memory_room();
  writer->make_child({writer->plan_.get(), file, ends[1], shared[1], spare_cores(identity.size), most_ahead(room, identity.size), in_place, room});
  close_memory_room(room);
  close(file);
  close(ends[1]);
  close(shared[1]);
  wait_for_the_end_of(shared[0]);
  writer->pipe_ = ends[0];
  writer->result_.fork_ns = monotonic_ns() - begin;
  return writer;
}

// Where little memory is left, or the kernel gives no copy (it is asked to promise no more than there is: vm.overcommit_memory), in place.
void ImageWriter::make_child(ImageWork work) {
  int why = !work.in_place && memory_is_short(work.room) ? ENOMEM : 0;
  if (!work.in_place && why == 0) {
    const ForkAll all(plan_->memory_flags);
    child_ = fork_silently();
    if (child_ == 0) write_image_and_exit(work);
    why = child_ < 0 ? errno : 0;
  }
  if (why == ENOMEM) {
    loader::report("checkpoint", loader::Error{"make a copy of the memory for the image's writer", why}.so("the application stands still until the image is written"));
    work.in_place = true;
  }
  in_place_ = work.in_place;
  if (in_place_) {
    const long made = start_writing_in_place(work);
    why = sys::failed(made) ? sys::error_of(made) : 0;
    child_ = why != 0 ? -1 : static_cast<pid_t>(made);
  } else {
    plan_.reset();  // the child has its own
  }
  if (child_ > 0) return note_lower_child(child_);
  result_.error = std::string("make the process that writes: ") + std::strerror(why);
  if (why == EAGAIN) result_.error += "; raise the limit of processes (ulimit -u)";
}

// Returns its status; -1: somebody else has waited for it.
int ImageWriter::reap() {
  int status = 0;
  pid_t reaped;
  while ((reaped = waitpid(child_, &status, __WALL)) < 0 && errno == EINTR) {
  }
  forget_lower_child(child_);
  child_ = -1;
  if (in_place_) undo_changes_in_place(*plan_);
  return reaped > 0 ? status : -1;
}

ImageWriter::~ImageWriter() {
  if (child_ > 0) {
    kill(child_, SIGKILL);
    reap();
  }
  if (pipe_ >= 0) close(pipe_);
}

bool ImageWriter::has_ended() const {
  pollfd report{pipe_, POLLIN, 0};
  return child_ <= 0 || poll(&report, 1, 0) != 0;
}

int ImageWriter::descriptor() const { return child_ > 0 ? pipe_ : -1; }

void ImageWriter::cancel() {
  if (child_ > 0) kill(child_, SIGKILL);
  if (result_.error.empty()) result_.error = "cancelled";
}

ImageResult ImageWriter::finish() {
  if (child_ <= 0) return result_;
  ChildReport report{};
  std::size_t got = 0;
  int why = 0;
  while (got < sizeof report) {
    const ssize_t more = read(pipe_, reinterpret_cast<char*>(&report) + got, sizeof report - got);
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) why = errno;
    if (more <= 0) break;
    got += static_cast<std::size_t>(more);
  }
  const int status = reap();
  if (got == sizeof report) {
    report.error[sizeof report.error - 1] = '\0';
    if (result_.error.empty()) result_.error = report.error;
    result_.for_lack_of_memory = report.gave_up;
    result_.stored_bytes = report.stored_bytes;
    result_.checksum = report.checksum;
    result_.sync_ns = report.sync_ns;
  } else if (result_.error.empty()) {
    result_.error = "the process that writes the image ended without a word, " + how_it_ended(status);
    result_.for_lack_of_memory = was_killed(status) && !in_place_;
    if (why != 0) result_.error += std::string(" (read its report: ") + std::strerror(why) + ")";
  }
  return result_;
}

}  // namespace mana::lower
