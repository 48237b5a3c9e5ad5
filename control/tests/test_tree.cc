// SPDX-License-Identifier: BSD-3-Clause
#include "control/tests/test_tree.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "control/generations.h"
#include "control/join.h"

namespace mana::control::test {

namespace {

constexpr std::size_t kMostBytes = 1 << 20;

// The ranks' allgather: memory that all processes of the job share.
struct Shared {
  pthread_barrier_t barrier;
  char bytes[kMostBytes];
};

Shared* make_shared_memory(int ranks) {
  void* at =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::runtime_error("mmap");
  auto* shared = static_cast<Shared*>(at);
  pthread_barrierattr_t attributes;
  pthread_barrierattr_init(&attributes);
  pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&shared->barrier, &attributes, static_cast<unsigned>(ranks));
  return shared;
}

class FakeRank : public RankPort {
 public:
  FakeRank(int rank, const std::string& directory, TestJobOptions options, Shared* shared,
           int socket)
      : rank_(rank),
        directory_(directory),
        options_(options),
        shared_(shared),
        test_(io_, asio::local::stream_protocol(), socket) {}

  void run() {
    Result<NodeSetup> joined = join_job(
        io_, rank_, options_.ranks,
        [this](const void* mine, void* all, std::size_t bytes) {
          std::memcpy(shared_->bytes + static_cast<std::size_t>(rank_) * bytes, mine, bytes);
          pthread_barrier_wait(&shared_->barrier);
          std::memcpy(all, shared_->bytes, bytes * static_cast<std::size_t>(options_.ranks));
          pthread_barrier_wait(&shared_->barrier);
        },
        card());
    NodeSetup setup = std::move(joined.value());
    setup.warn = [](const std::string&) {};
    setup.settings.stuck_patience = 0.5;
    if (rank_ == 0) {
      DeskSetup desk;
      desk.directory = directory_;
      desk.file = job_file_of(setup);
      desk.file.host_id = hexadecimal(
          my_card().host, sizeof my_card().host);  // the test itself is on rank 0's host
      desk.manifest.program = "/bin/true";
      setup.desk = desk;
    }
    Node node(io_, std::move(setup), *this);
    node_ = &node;
    node.start();
    report('r');
    listen_to_test();
    io_.run();
    node.stop();
  }

  double now() override {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  void set_intent(bool) override {}
  void collect_counters(RankClosure&, bool) override {}
  std::vector<Observed> observe() override { return {{1, 0, 0}}; }
  void all_intend() override {}
  void release_held_sends() override {}
  std::vector<RefusalNote> refusals() override {
    if (rank_ == options_.refusing_rank)
      return {{rank_, 2, "MPI_Win_create", "windows cannot be made again yet"}};
    return {};
  }
  Outcome request_stop() override { return Done{}; }
  Result<StepResult> poll_stop() override {
    return StepResult{rank_ != options_.computing_rank, 0};
  }
  Result<StepResult> service(Phase) override { return StepResult{true, 0}; }
  Result<bool> start_image(const std::string& directory, uint64_t, bool in_place, ImageFinished finished) override {
    if (rank_ == options_.failing_rank) return Error{"write image: No space left on device"};
    image_ = [=, this] {
      ImageNote note;
      note.file = image_name(rank_);
      note.bytes = 7;
      std::string path = directory + "/" + note.file;
      std::ofstream(path) << "image\n\n";
      std::filesystem::permissions(
          path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
      finished(note);
    };
    report('s');
    if (!options_.hold_images) finish_image();
    return !in_place;
  }
  void discard_image() override {
    image_ = nullptr;
    report('o');
  }
  void resume() override { report('o'); }
  void leave(int exit_code) override {
    report('l');
    node_->stop();
    _exit(exit_code);
  }
  void finalize_granted() override {
    report('g');
    asio::post(io_, [this] { io_.stop(); });
  }
  void flush_wanted() override { node_->poke(); }

 private:
  Card card() {
    Card card = my_card();
    if (options_.ranks_per_host >= options_.ranks) return card;
    card.host[0] = static_cast<uint8_t>(rank_ / options_.ranks_per_host);
    std::fill(std::begin(card.addresses), std::end(card.addresses), Address{});
    card.addresses[0] = {4, {127, 0, 0, 1}};
    return card;
  }
  void report(char what) {
    asio::error_code ignored;
    asio::write(test_, asio::buffer(&what, 1), ignored);
  }
  void listen_to_test() {
    asio::async_read(test_, asio::buffer(&order_, 1), [this](asio::error_code error, std::size_t) {
      if (error) return io_.stop();
      if (order_ == 'w') finish_image();
      if (order_ == 'f') node_->rank().finalize(1);
      listen_to_test();
    });
  }
  void finish_image() {
    if (auto finish = std::exchange(image_, nullptr)) asio::post(io_, finish);
  }

  int rank_;
  std::string directory_;
  TestJobOptions options_;
  Shared* shared_;
  asio::io_context io_;
  asio::local::stream_protocol::socket test_;
  Node* node_ = nullptr;
  std::function<void()> image_;
  char order_ = 0;
};

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = std::filesystem::temp_directory_path() / "mana-control-XXXXXX";
  if (!mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp");
  path_ = pattern;
}
TemporaryDirectory::~TemporaryDirectory() { std::filesystem::remove_all(path_); }

TestJob::TestJob(const std::string& directory, TestJobOptions options) : directory_(directory) {
  Shared* shared = make_shared_memory(options.ranks);
  for (int rank = 0; rank < options.ranks; ++rank) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
      throw std::runtime_error("socketpair");
    pid_t id = fork();
    if (id == 0) {
      for (const Process& other : processes_) close(other.socket);
      close(pair[0]);
      FakeRank(rank, directory, options, shared, pair[1]).run();
      _exit(0);
    }
    close(pair[1]);
    processes_.push_back({id, pair[0]});
  }
  munmap(shared, sizeof(Shared));
  expect_all('r');
}

TestJob::~TestJob() {
  for (std::size_t rank = 0; rank < processes_.size(); ++rank) {
    kill(static_cast<int>(rank));
    close(processes_[rank].socket);
  }
}

void TestJob::expect(int rank, char what) {
  int socket = processes_[static_cast<std::size_t>(rank)].socket;
  for (;;) {
    pollfd ready{socket, POLLIN, 0};
    char got = 0;
    if (poll(&ready, 1, 30000) != 1 || read(socket, &got, 1) != 1) {
      throw std::runtime_error("rank " + std::to_string(rank) + " did not report " + what);
    }
    if (got == what) return;
  }
}

void TestJob::expect_all(char what) {
  for (std::size_t rank = 0; rank < processes_.size(); ++rank) expect(static_cast<int>(rank), what);
}

void TestJob::finish_images() {
  for (const Process& process : processes_) {
    if (process.id > 0) (void)!write(process.socket, "w", 1);
  }
}

void TestJob::finalize(int rank) {
  (void)!write(processes_[static_cast<std::size_t>(rank)].socket, "f", 1);
}

void TestJob::kill(int rank) {
  Process& process = processes_[static_cast<std::size_t>(rank)];
  if (process.id <= 0) return;
  ::kill(process.id, SIGKILL);
  waitpid(process.id, nullptr, 0);
  process.id = -1;
}

int TestJob::status_of(int rank) {
  Process& process = processes_[static_cast<std::size_t>(rank)];
  int status = -1;
  waitpid(process.id, &status, 0);
  process.id = -1;
  return status;
}

Result<Answer> TestJob::ask(Command command) {
  return ask_job(directory_, command, [this](const std::string& line) { story.push_back(line); });
}

Result<Answer> TestJob::checkpoint(bool stop) { return ask({Command::What::checkpoint, stop, 0}); }

pid_t TestJob::begin_checkpoint() {
  pid_t id = fork();
  if (id != 0) return id;
  Result<Answer> answer = checkpoint();
  _exit(answer.ok() && answer.value().ok ? 0 : 1);
}

bool TestJob::end_checkpoint(pid_t command) {
  int status = -1;
  waitpid(command, &status, 0);
  return status == 0;
}

}  // namespace mana::control::test
