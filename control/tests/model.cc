// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "control/tests/model_world.h"
#include "control/wire.h"

namespace mana::control::model {

namespace {

template <class Message>
Message through_the_wire(const Message& message) {
  std::string bytes = encode(message);
  return decode<Message>(std::as_bytes(std::span(bytes))).value();
}

constexpr int kSelf = -1;  // a node's own rank, for its relay

}  // namespace

class World::Port : public RankPort {
 public:
  Port(World& world, Node& node) : world_(world), node_(node) {}
  double now() override { return world_.now(); }
  void set_intent(bool intent) override { node_.intent = intent; }
  void collect_counters(RankClosure& closure, bool) override {
    for (const Counter& counter : node_.counters) closure.know(counter);
  }
  std::vector<Observed> observe() override {
    std::vector<Observed> all;
    for (const Thread& thread : node_.threads) all.push_back(thread.shown);
    return all;
  }
  void all_intend() override {}
  void release_held_sends() override {}
  std::vector<RefusalNote> refusals() override { return {}; }
  Outcome request_stop() override {
    node_.stop = true;
    return Done{};
  }
  Result<StepResult> poll_stop() override {
    for (const Thread& thread : node_.threads) {
      if (!thread.parked) return StepResult{false, 1};
    }
    return StepResult{true, 0};
  }
  Result<StepResult> service(Phase phase) override {
    if (phase == Phase::finish_collectives) {
      for (int number : node_.nonblocking) {
        if (!world_.nonblocking_complete(number)) return StepResult{false, 1};
      }
    }
    return StepResult{world_.random_() % 3 == 0, 1};
  }
  Result<bool> start_image(const std::string&, uint64_t, bool, ImageFinished finished) override {
    world_.check_snapshot(node_.rank);
    node_.image = std::move(finished);
    return world_.random_() % 4 != 0;
  }
  void discard_image() override { node_.image = nullptr; }
  void resume() override {
    node_.stop = false;
    for (Thread& thread : node_.threads) thread.parked = false;
  }
  void leave(int) override { node_.left = true; }
  void finalize_granted() override {}
  void flush_wanted() override { node_.flush = true; }

 private:
  World& world_;
  Node& node_;
};

class World::Root : public RootPort {
 public:
  explicit Root(World& world) : world_(world) {}
  double now() override { return world_.now(); }
  void broadcast(const Down& message) override { world_.nodes_[0]->down.push_back(message); }
  void wake_after(double seconds) override { world_.wake_at_ = world_.now() + seconds; }
  void tell(uint64_t client, const ToCommand& message) override {
    const Answer* answer = std::get_if<Answer>(&message);
    if (!answer) return;
    if (!world_.asked_.contains(client)) return world_.wrong("a command was answered twice");
    world_.answers_.push_back({world_.asked_[client], *answer, world_.step_});
    world_.asked_.erase(client);
  }
  Result<OpenGeneration> open_generation() override {
    ++world_.opened_;
    return OpenGeneration{static_cast<uint64_t>(world_.opened_), "g"};
  }
  Outcome commit(const OpenGeneration&, const std::vector<ImageNote>& images, const Costs&,
                 uint32_t) override {
    if (static_cast<int>(images.size()) != world_.program_.ranks)
      world_.wrong("commit without all images");
    ++world_.commits_;
    return Done{};
  }
  void drop(const OpenGeneration&) override {}
  std::string status_text(const JobStatus&) override { return "{}"; }
  void warn(const std::string&) override {}

 private:
  World& world_;
};

World::World(Program program, uint64_t seed, Options options)
    : program_(std::move(program)), options_(std::move(options)), random_(seed * 2654435761u + 17) {
  for (int r = 0; r < program_.ranks; ++r) {
    auto node = std::make_unique<Node>();
    node->rank = r;
    node->parent = r == 0 ? -1 : static_cast<int>(random_() % static_cast<uint64_t>(r));
    node->pace = 0.05 + std::pow(std::uniform_real_distribution<>(0, 1)(random_), 3);
    for (const Comm& comm : program_.comms) {
      if (!comm.members.contains(r)) continue;
      node->begun[comm.uid] = std::make_unique<std::atomic<uint64_t>>(0);
      if (comm.exists) node->counters.push_back({comm.uid, node->begun[comm.uid].get(), {}});
    }
    for (int t = 0; t < program_.threads; ++t) {
      Thread thread;
      thread.index = t;
      thread.id = static_cast<ThreadId>(r * 100 + t + 1);
      thread.shown.thread = thread.id;
      node->threads.push_back(thread);
    }
    nodes_.push_back(std::move(node));
    if (r > 0) nodes_[static_cast<std::size_t>(nodes_.back()->parent)]->children.push_back(r);
  }
  for (auto& node : nodes_) {
    std::set<int> contributors(node->children.begin(), node->children.end());
    contributors.insert(kSelf);
    node->relay = std::make_unique<Relay>(contributors);
    node->port = std::make_unique<Port>(*this, *node);
    node->side = std::make_unique<Rank>(
        node->rank, *node->port,
        [this, r = node->rank](Up message) { send_up(r, kSelf, std::move(message)); });
  }
  root_port_ = std::make_unique<Root>(*this);
  JobRoot::Settings settings;
  settings.stuck_patience = 1.5;
  settings.rules = options_.rules;
  root_ = std::make_unique<JobRoot>(*root_port_, settings);
  root_->ready();
}

World::~World() = default;

void World::wrong(const std::string& what) {
  if (wrong_.empty()) wrong_ = fmt::format("step {}: {}", step_, what);
}

bool World::nonblocking_complete(int number) const {
  auto who = entered_.find(number);
  return who != entered_.end() && who->second.size() == size_of_.at(number);
}

void World::send_up(int node, int from, Up message) {
  Node& at = *nodes_[static_cast<std::size_t>(node)];
  for (Up& merged : at.relay->hear(from, through_the_wire(message))) {
    if (node == 0)
      root_->hear(std::move(merged));
    else if (at.connected)
      at.up.push_back(std::move(merged));
  }
}

void World::deliver_up(int node) {
  Node& at = *nodes_[static_cast<std::size_t>(node)];
  if (at.up.empty() || !at.connected) return;
  Up message = std::move(at.up.front());
  at.up.pop_front();
  send_up(at.parent, node, std::move(message));
}

void World::deliver_down(int node) {
  Node& at = *nodes_[static_cast<std::size_t>(node)];
  if (at.down.empty()) return;
  Down message = through_the_wire(at.down.front());
  at.down.pop_front();
  for (int child : at.children) {
    Node& below = *nodes_[static_cast<std::size_t>(child)];
    if (below.alive && below.connected) below.down.push_back(message);
  }
  at.side->hear(message);
  at.step_at = now();
}

void World::die(int rank) {
  Node& dead = *nodes_[static_cast<std::size_t>(rank)];
  if (!dead.alive) return;
  dead.alive = false;
  died_ = true;
  bool was_connected = std::exchange(dead.connected, false);
  if (rank == 0) asked_.clear();  // nobody is left to answer
  if (rank > 0 && was_connected) {
    Node& parent = *nodes_[static_cast<std::size_t>(dead.parent)];
    for (Up& up : parent.relay->lose(rank, Lost{{{rank, rank}}, "killed"})) {
      if (parent.rank == 0)
        root_->hear(std::move(up));
      else if (parent.connected)
        parent.up.push_back(std::move(up));
    }
  }
  for (int child : dead.children) orphan(child);
}

void World::orphan(int rank) {
  Node& node = *nodes_[static_cast<std::size_t>(rank)];
  if (!node.alive) return;
  node.connected = false;
  node.down.clear();
  node.up.clear();
  node.side->orphaned();
  for (int child : node.children) orphan(child);
}

void World::happen(const Happening& happening) {
  if (happening.what == Happening::What::death) return die(happening.rank);
  if (!nodes_[0]->alive) return;
  uint64_t client = ++asked_count_;
  asked_[client] = happening.what;
  Command command;
  command.what =
      happening.what == Happening::What::cancel ? Command::What::cancel : Command::What::checkpoint;
  command.stop = happening.what == Happening::What::stop;
  root_->command(client, command);
}

// Every rank of one attempt must see the same counts when it forks, and no thread inside a
// collective anywhere.
void World::check_snapshot(int rank) {
  if (!nodes_[0]->alive || !root_->status().last_failure.empty())
    return;  // given up already: others may go on by now
  std::map<uint64_t, uint64_t>& counts = at_snapshot_[static_cast<uint64_t>(opened_)];
  for (const auto& [uid, begun] : nodes_[static_cast<std::size_t>(rank)]->begun) {
    auto [at, fresh] = counts.try_emplace(uid, begun->load());
    if (!fresh && at->second != begun->load()) {
      wrong(fmt::format("rank {} has begun {} on communicator {}, another member {}", rank,
                        begun->load(), uid, at->second));
    }
  }
  for (const auto& node : nodes_) {
    if (!node->alive || (node->rank > 0 && !node->connected))
      continue;  // cut off: goes on; nothing will be committed
    for (const Thread& thread : node->threads) {
      if (thread.entered)
        wrong(fmt::format("rank {} is inside a collective at the snapshot", node->rank));
    }
  }
  for (int number : nodes_[static_cast<std::size_t>(rank)]->nonblocking) {
    if (!nonblocking_complete(number))
      wrong(fmt::format("nonblocking collective {} is half done", number));
  }
}

bool World::finished() const {
  if (!asked_.empty() || step_ <= last_happening_) return false;
  if (nodes_[0]->alive && root_->phase() != Phase::idle) return false;
  for (const auto& node : nodes_) {
    if (!node->alive || node->left) continue;
    if (!node->down.empty() || !node->up.empty()) return false;
    if (died_ || leaving() || options_.may_hang) continue;
    for (const Thread& thread : node->threads) {
      const auto& program =
          program_.of[static_cast<std::size_t>(node->rank)][static_cast<std::size_t>(thread.index)];
      if (thread.at < program.size()) return false;
    }
  }
  return true;
}

bool World::leaving() const {
  return std::any_of(nodes_.begin(), nodes_.end(), [](const auto& node) { return node->left; });
}

std::string World::run() {
  for (auto& rank : program_.of) {
    for (auto& thread : rank) {
      for (const Event& event : thread) {
        if (event.comm >= 0)
          size_of_[event.number] =
              program_.comms[static_cast<std::size_t>(event.comm)].members.size();
      }
    }
  }
  for (const Happening& happening : options_.happenings)
    last_happening_ = std::max(last_happening_, happening.step);
  while (wrong_.empty() && !finished()) {
    if (++step_ > options_.step_limit) {
      wrong(fmt::format("no end: phase {}, {} commands open{}", name_of(root_->phase()),
                        asked_.size(), picture()));
      break;
    }
    for (const Happening& happening : options_.happenings) {
      if (happening.step == step_) happen(happening);
    }
    Node& node = *nodes_[random_() % nodes_.size()];
    if (node.alive) step_node(node);
    if (nodes_[0]->alive && wake_at_ && *wake_at_ <= now()) {
      wake_at_.reset();
      root_->wake();
    }
  }
  for (const auto& node : nodes_) {
    if (node->alive && !node->left && (node->intent || node->stop))
      wrong(fmt::format("rank {} was left stopped", node->rank));
  }
  return wrong_;
}

void World::step_node(Node& node) {
  double what = std::uniform_real_distribution<>(0, 1)(random_);
  if (what < 0.4) {
    bool turn = std::uniform_real_distribution<>(0, 1)(random_) < node.pace;
    Thread& thread = node.threads[random_() % node.threads.size()];
    if (turn && !node.left && step_thread(node, thread)) ++thread.shown.operations;
  } else if (what < 0.65) {
    deliver_down(node.rank);
  } else if (what < 0.9) {
    deliver_up(node.rank);
  } else if (node.image && random_() % 4 == 0) {
    std::exchange(node.image, nullptr)(ImageNote{});
  }
  if (std::exchange(node.flush, false)) node.side->flush();
  if (node.step_at && *node.step_at <= now()) {
    auto again = node.side->step();
    node.step_at = again ? std::optional(now() + *again) : std::nullopt;
  }
}

std::string World::picture() const {
  std::string text;
  for (const RankView& view : root_->status().ranks) {
    text += fmt::format("; {}{}: {}", view.rank, view.lagging ? " lags" : "", describe(view));
  }
  for (const auto& node : nodes_) {
    text += fmt::format("; rank {} ({}):", node->rank,
                        node->alive ? name_of(node->side->phase()) : "dead");
    for (const Thread& thread : node->threads) {
      text += fmt::format(" {}.{}{}{}", thread.at, thread.stage, thread.entered ? "e" : "",
                          thread.parked ? "p" : "");
      const auto& program =
          program_.of[static_cast<std::size_t>(node->rank)][static_cast<std::size_t>(thread.index)];
      if (thread.at < program.size()) {
        const Event& event = program[thread.at];
        text += fmt::format("[{} comm {} number {} peer {} root {}]", static_cast<int>(event.what),
                            event.comm, event.number, event.peer, event.root);
      }
    }
  }
  return text;
}

}  // namespace mana::control::model
