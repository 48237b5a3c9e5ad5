// SPDX-License-Identifier: BSD-3-Clause
#include "control/wire.h"

#include <bit>
#include <cstring>
#include <type_traits>

namespace mana::control {

static_assert(std::endian::native == std::endian::little,
              "numbers are copied as they lie in memory");

namespace {

// The fields of each message, once, for both directions.
template <class A>
void fields(A& a, RankRange& m) {
  a(m.first, m.last);
}
template <class A>
void fields(A& a, Count& m) {
  a(m.uid, m.begun, m.members);
}
template <class A>
void fields(A& a, RefusalNote& m) {
  a(m.rank, m.alive, m.function, m.reason);
}
template <class A>
void fields(A& a, ThreadView& m) {
  a(m.state, m.uid, m.ranks, m.call, m.polling);
}
template <class A>
void fields(A& a, RankView& m) {
  a(m.rank, m.phase, m.lagging, m.done, m.behind, m.threads, m.quiet_seconds, m.pending);
}
template <class A>
void fields(A& a, ImageNote& m) {
  a(m.rank, m.bytes, m.file, m.checksum, m.host, m.fork_seconds, m.write_seconds, m.sync_seconds);
}
template <class A>
void fields(A& a, Intent& m) {
  a(m.attempt, m.ignore_children);
}
template <class A>
void fields(A& a, Targets& m) {
  a(m.attempt, m.counts);
}
template <class A>
void fields(A& a, Permits& m) {
  a(m.attempt, m.ranks);
}
template <class A>
void fields(A& a, Release& m) {
  a(m.attempt);
}
template <class A>
void fields(A& a, Query& m) {
  a(m.attempt, m.round, m.detail);
}
template <class A>
void fields(A& a, Advance& m) {
  a(m.attempt, m.phase, m.generation, m.directory, m.hold, m.in_place);
}
template <class A>
void fields(A& a, Resume& m) {
  a(m.attempt);
}
template <class A>
void fields(A& a, Abandon& m) {
  a(m.attempt, m.reason);
}
template <class A>
void fields(A& a, Settle& m) {
  a(m.attempt);
}
template <class A>
void fields(A& a, Leave& m) {
  a(m.attempt, m.exit_code);
}
template <class A>
void fields(A&, FinalizeGrant&) {}
template <class A>
void fields(A& a, Report& m) {
  a(m.attempt, m.counts, m.refusals);
}
template <class A>
void fields(A& a, Raise& m) {
  a(m.attempt, m.counts);
}
template <class A>
void fields(A& a, Reply& m) {
  a(m.attempt, m.round, m.lagging, m.inside, m.fingerprint, m.views);
}
template <class A>
void fields(A& a, PhaseDone& m) {
  a(m.attempt, m.phase, m.refusals, m.images);
}
template <class A>
void fields(A& a, Failed& m) {
  a(m.attempt, m.rank, m.what, m.for_lack_of_memory);
}
template <class A>
void fields(A& a, Lost& m) {
  a(m.ranks, m.why);
}
template <class A>
void fields(A&, FinalizeReached&) {}
template <class A>
void fields(A& a, Silent& m) {
  a(m.attempt, m.rank, m.pid, m.behind, m.seconds, m.host);
}
template <class A>
void fields(A& a, Command& m) {
  a(m.what, m.stop, m.keep, m.ignore_children);
}
template <class A>
void fields(A& a, Story& m) {
  a(m.line);
}
template <class A>
void fields(A& a, Answer& m) {
  a(m.ok, m.generation, m.text);
}

template <class T>
concept Number = std::is_arithmetic_v<T> || std::is_enum_v<T>;

class Writer {
 public:
  template <class... T>
  void operator()(T&... values) {
    (put(values), ...);
  }
  std::string bytes;

 private:
  template <Number T>
  void put(T& value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put(std::string& text) {
    length(text.size());
    bytes += text;
  }
  template <class T>
  void put(std::vector<T>& list) {
    length(list.size());
    for (T& item : list) put(item);
  }
  template <class T>
  void put(T& message) {
    fields(*this, message);
  }
  void length(std::size_t size) {
    auto narrow = static_cast<uint32_t>(size);
    put(narrow);
  }
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}
  template <class... T>
  void operator()(T&... values) {
    (get(values), ...);
  }
  bool complete() const { return !broken_ && rest_.empty(); }

 private:
  bool take(void* to, std::size_t size) {
    if (broken_ || rest_.size() < size) {
      broken_ = true;
      return false;
    }
    std::memcpy(to, rest_.data(), size);
    rest_ = rest_.subspan(size);
    return true;
  }
  template <Number T>
  void get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      uint8_t byte = 0;
      take(&byte, 1);
      value = byte != 0;
    } else {
      take(&value, sizeof value);
    }
  }
  uint32_t length() {
    uint32_t size = 0;
    take(&size, sizeof size);
    if (size > rest_.size()) broken_ = true;  // every item takes at least one byte
    return broken_ ? 0 : size;
  }
  void get(std::string& text) {
    text.resize(length());
    take(text.data(), text.size());
  }
  template <class T>
  void get(std::vector<T>& list) {
    uint32_t size = length();
    for (uint32_t i = 0; i < size && !broken_; ++i) get(list.emplace_back());
  }
  template <class T>
  void get(T& message) {
    fields(*this, message);
  }

  std::span<const std::byte> rest_;
  bool broken_ = false;
};

template <class Variant>
std::string encode_variant(Variant message) {
  Writer writer;
  auto kind = static_cast<uint8_t>(message.index());
  writer(kind);
  std::visit([&](auto& m) { writer(m); }, message);
  return std::move(writer.bytes);
}

template <class Variant, std::size_t I = 0>
Result<Variant> decode_kind(std::size_t kind, std::span<const std::byte> bytes) {
  if constexpr (I < std::variant_size_v<Variant>) {
    if (kind != I) return decode_kind<Variant, I + 1>(kind, bytes);
    std::variant_alternative_t<I, Variant> message;
    Reader reader(bytes);
    reader(message);
    if (!reader.complete()) return Error{"a control message is malformed"};
    return Variant(std::move(message));
  } else {
    return Error{"a control message is of an unknown kind"};
  }
}

}  // namespace

std::string encode(const Up& message) { return encode_variant(message); }
std::string encode(const Down& message) { return encode_variant(message); }
std::string encode(const Command& message) {
  return encode_variant(std::variant<Command>(message));
}
std::string encode(const ToCommand& message) { return encode_variant(message); }

template <class Message>
Result<Message> decode(std::span<const std::byte> bytes) {
  if (bytes.empty()) return Error{"a control message is empty"};
  return decode_kind<Message>(static_cast<std::size_t>(bytes[0]), bytes.subspan(1));
}

template <>
Result<Command> decode<Command>(std::span<const std::byte> bytes) {
  Result<std::variant<Command>> decoded = decode<std::variant<Command>>(bytes);
  if (!decoded.ok()) return decoded.error();
  return std::get<0>(decoded.value());
}

template Result<Up> decode<Up>(std::span<const std::byte>);
template Result<Down> decode<Down>(std::span<const std::byte>);
template Result<ToCommand> decode<ToCommand>(std::span<const std::byte>);

}  // namespace mana::control
