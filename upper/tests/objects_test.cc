// SPDX-License-Identifier: BSD-3-Clause
// Memory, tables, groups, infos, attributes, error handlers and topologies, without a lower half.
#include <catch2/catch.hpp>
#include <cstring>
#include <numeric>
#include <random>

#include "test/catch/run.h"
#include "upper/containers.h"
#include "upper/op.h"
#include "upper/tests/support.h"
#include "upper/text.h"
#include "upper/topology.h"

using namespace mana;
using namespace mana::upper;

namespace {
std::mt19937 random_bits{7};
int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_bits); }

std::vector<int> members(Group* group) { return {group->world_ranks, group->world_ranks + group->size}; }
Group* random_group(int world) {
  std::vector<int> ranks(static_cast<size_t>(world));
  std::iota(ranks.begin(), ranks.end(), 0);
  std::shuffle(ranks.begin(), ranks.end(), random_bits);
  const int size = pick(0, world);
  return make_group(ranks.data(), size);
}
bool has(const std::vector<int>& all, int rank) { return std::find(all.begin(), all.end(), rank) != all.end(); }
}  // namespace

TEST_CASE("blocks keep their contents and all memory comes back") {
  const uint64_t before = memory_in_use();
  std::vector<std::pair<unsigned char*, size_t>> blocks;
  for (int round = 0; round < 20000; ++round) {
    if (!blocks.empty() && pick(0, 2) == 0) {
      auto [block, size] = blocks.back();
      blocks.pop_back();
      const bool whole = std::all_of(block, block + size, [=, b = block](unsigned char c) { return c == (size & 0xff) && b; });
      REQUIRE(whole);
      deallocate(block);
      continue;
    }
    const size_t size = pick(0, 50) == 0 ? static_cast<size_t>(pick(0, 600000)) : static_cast<size_t>(pick(0, 2000));
    auto* block = static_cast<unsigned char*>(allocate(size));
    REQUIRE(reinterpret_cast<uintptr_t>(block) % 16 == 0);
    std::memset(block, static_cast<int>(size & 0xff), size);
    blocks.emplace_back(block, size);
  }
  for (auto [block, size] : blocks) deallocate(block);
  CHECK(memory_in_use() == before);
}

TEST_CASE("copies of every length and overlap move the right bytes") {
  std::vector<char> source(6000), expected(6000), got(6000);
  for (size_t i = 0; i < source.size(); ++i) source[i] = static_cast<char>(random_bits());
  for (size_t length = 0; length < 5000; length += length < 200 ? 1 : 97) {
    for (size_t shift : {0u, 1u, 7u, 16u, 40u, 300u}) {
      got = expected = source;
      std::memmove(expected.data() + shift, expected.data(), length);
      move_bytes(got.data() + shift, got.data(), length);
      REQUIRE(got == expected);
      got = expected = source;
      std::memmove(expected.data(), expected.data() + shift, length);
      move_bytes(got.data(), got.data() + shift, length);
      REQUIRE(got == expected);
      copy_bytes(got.data(), source.data() + shift, length);
      REQUIRE(std::memcmp(got.data(), source.data() + shift, length) == 0);
    }
  }
}

TEST_CASE("a hash map finds what was put in and nothing else") {
  HashMap map{};
  std::map<uint64_t, uint64_t> expected;
  for (int round = 0; round < 20000; ++round) {
    const uint64_t key = static_cast<uint64_t>(pick(1, 500));
    if (pick(0, 1)) {
      map.insert(key, key * 3 + static_cast<uint64_t>(round));
      expected[key] = key * 3 + static_cast<uint64_t>(round);
    } else {
      map.erase(key);
      expected.erase(key);
    }
    const uint64_t asked = static_cast<uint64_t>(pick(1, 500));
    REQUIRE(map.find(asked) == (expected.count(asked) ? expected[asked] : 0));
    REQUIRE(map.size == expected.size());
  }
  map.clear();
}

TEST_CASE("slots are used again and stale ones name nothing") {
  Info* first = nullptr;
  REQUIRE(Info_create(&first) == 0);
  const uint32_t slot = first->slot;
  CHECK(slot >= kFirstUserSlot);
  CHECK(object_at(Kind::info, slot) == first);
  REQUIRE(Info_free(&first) == 0);
  CHECK(first == nullptr);
  CHECK(object_at(Kind::info, slot) == nullptr);
  CHECK(object_at(Kind::info, 1 << 19) == nullptr);
  REQUIRE(Info_create(&first) == 0);
  CHECK(first->slot == slot);
  REQUIRE(Info_free(&first) == 0);
}

TEST_CASE("set algebra of groups is that of ordered sets") {
  for (int round = 0; round < 300; ++round) {
    const int world = round % 2 ? 16 : 5;
    test::start(pick(0, world - 1), world);
    Group *a = random_group(world), *b = random_group(world), *made = nullptr;
    const std::vector<int> in_a = members(a), in_b = members(b);
    std::vector<int> either = in_a, both, only;
    for (int rank : in_b) if (!has(in_a, rank)) either.push_back(rank);
    for (int rank : in_a) (has(in_b, rank) ? both : only).push_back(rank);
    REQUIRE(Group_union(a, b, &made) == 0);
    CHECK(members(made) == either);
    CHECK(made->rank == (has(either, own_world_rank)
                             ? static_cast<int>(std::find(either.begin(), either.end(), own_world_rank) - either.begin())
                             : abi::UNDEFINED));
    Group_free(&made);
    REQUIRE(Group_intersection(a, b, &made) == 0);
    CHECK(members(made) == both);
    if (both.empty()) CHECK(made == empty_group());
    Group_free(&made);
    REQUIRE(Group_difference(a, b, &made) == 0);
    CHECK(members(made) == only);
    Group_free(&made);
    int result;
    REQUIRE(Group_compare(a, b, &result) == 0);
    auto sorted_a = in_a, sorted_b = in_b;
    std::sort(sorted_a.begin(), sorted_a.end()), std::sort(sorted_b.begin(), sorted_b.end());
    CHECK(result == (in_a == in_b ? abi::IDENT : sorted_a == sorted_b ? abi::SIMILAR : abi::UNEQUAL));
    std::vector<int> ranks(in_a.size()), there(in_a.size());
    std::iota(ranks.begin(), ranks.end(), 0);
    REQUIRE(Group_translate_ranks(a, static_cast<int>(ranks.size()), ranks.data(), b, there.data()) == 0);
    for (size_t i = 0; i < ranks.size(); ++i) {
      CHECK(there[i] == (has(in_b, in_a[i]) ? static_cast<int>(std::find(in_b.begin(), in_b.end(), in_a[i]) - in_b.begin())
                                            : abi::UNDEFINED));
    }
    Group_free(&a);
    Group_free(&b);
  }
}

TEST_CASE("ranges of groups expand as the standard says") {
  test::start(0, 10);
  std::vector<int> all(10);
  std::iota(all.begin(), all.end(), 0);
  Group *world = make_group(all.data(), 10), *made = nullptr;
  const int ranges[] = {6, 7, 1, 1, 6, 2, 9, 8, -1};
  CHECK(Group_range_incl(world, 3, ranges, &made) == 0);
  CHECK(members(made) == std::vector<int>{6, 7, 1, 3, 5, 9, 8});
  Group_free(&made);
  CHECK(Group_range_excl(world, 3, ranges, &made) == 0);
  CHECK(members(made) == std::vector<int>{0, 2, 4});
  Group_free(&made);
  const int twice[] = {0, 3, 1, 3, 5, 1}, endless[] = {0, 3, 0}, backward[] = {3, 0, 1};
  CHECK(Group_range_incl(world, 2, twice, &made) == abi::ERR_RANK);
  CHECK(Group_range_incl(world, 1, endless, &made) == abi::ERR_ARG);
  CHECK(Group_range_incl(world, 1, backward, &made) == abi::ERR_ARG);
  int size;
  CHECK(Group_size(nullptr, &size) == abi::ERR_GROUP);
  Group_free(&world);
}

TEST_CASE("infos keep order, replace values and are copied") {
  Info *info, *copy;
  Info_create(&info);
  for (const char* key : {"b", "a", "c"}) CHECK(Info_set(info, key, "1") == 0);
  CHECK(Info_set(info, "a", "22") == 0);
  Info_dup(info, &copy);
  CHECK(Info_delete(info, "b") == 0);
  CHECK(Info_delete(info, "b") == abi::ERR_INFO_NOKEY);
  int count, flag, length;
  char key[256], value[1024];
  Info_get_nkeys(info, &count);
  CHECK(count == 2);
  Info_get_nthkey(info, 0, key);
  CHECK(std::string(key) == "a");
  Info_get(info, "a", 1, value, &flag);
  CHECK(std::string(value) == "2");  // cut to the length asked for
  Info_get_valuelen(info, "a", &length, &flag);
  CHECK(length == 2);
  length = 2;
  Info_get_string(info, "a", &length, value, &flag);
  CHECK((std::string(value) == "2" && length == 3));
  Info_get(info, "nothing", 10, value, &flag);
  CHECK(flag == 0);
  Info_get_nkeys(copy, &count);
  CHECK(count == 3);
  CHECK(Info_set(info, std::string(300, 'k').c_str(), "v") == abi::ERR_INFO_KEY);
  Info_free(&info);
  Info_free(&copy);
}

namespace {
std::vector<std::string> events;
int refuse_delete = 0;
int copy_plus_one(Object*, int, void*, void* value, void* copy, int* flag) {
  *static_cast<void**>(copy) = static_cast<char*>(value) + 1;
  *flag = 1;
  return 0;
}
int failing_copy(Object*, int, void*, void*, void*, int*) { return abi::ERR_OTHER; }
int note_delete(Object*, int, void* value, void* extra) {
  events.push_back(std::string(static_cast<char*>(extra)) + std::to_string(reinterpret_cast<uintptr_t>(value)));
  return refuse_delete;
}
void* word(uintptr_t value) { return reinterpret_cast<void*>(value); }
template <class F>
Function function(F* f) { return reinterpret_cast<Function>(f); }
}  // namespace

TEST_CASE("attributes are copied on dup and deleted last first") {
  events.clear();
  int kept, lost, flag;
  char a[] = "a", b[] = "b";
  Type_create_keyval(function(copy_plus_one), function(note_delete), &kept, a);
  Type_create_keyval(nullptr, function(note_delete), &lost, b);
  Datatype *type, *copy;
  Type_contiguous(2, predefined_type(abi::INT), &type);
  CHECK(Type_set_attr(type, kept, word(10)) == 0);
  CHECK(Type_set_attr(type, lost, word(20)) == 0);
  CHECK(Type_set_attr(type, kept, word(11)) == 0);
  CHECK(events == std::vector<std::string>{"a10"});
  REQUIRE(Type_dup(type, &copy) == 0);
  void* value = nullptr;
  Type_get_attr(copy, kept, &value, &flag);
  CHECK((flag == 1 && value == word(12)));
  Type_get_attr(copy, lost, &value, &flag);
  CHECK(flag == 0);
  int kept_again = kept;
  CHECK(Type_free_keyval(&kept) == 0);
  CHECK(kept == abi::KEYVAL_INVALID);
  CHECK(Type_set_attr(type, kept_again, word(1)) == abi::ERR_KEYVAL);
  events.clear();
  refuse_delete = abi::ERR_OTHER;
  CHECK(Type_free(&type) == abi::ERR_OTHER);
  CHECK(type != nullptr);
  refuse_delete = 0;
  events.clear();
  CHECK(Type_free(&type) == 0);
  CHECK(events == std::vector<std::string>{"a11", "b20"});
  CHECK(Type_free(&copy) == 0);
  CHECK(events.back() == "a12");
  CHECK(Type_free_keyval(&lost) == 0);
}

TEST_CASE("a copy function that fails undoes the dup") {
  events.clear();
  int good, bad;
  char a[] = "a";
  Type_create_keyval(function(copy_plus_one), function(note_delete), &good, a);
  Type_create_keyval(function(failing_copy), nullptr, &bad, nullptr);
  Datatype *type, *copy = nullptr;
  Type_contiguous(2, predefined_type(abi::INT), &type);
  Type_set_attr(type, good, word(1));
  Type_set_attr(type, bad, word(2));
  CHECK(Type_dup(type, &copy) == abi::ERR_OTHER);
  CHECK(copy == nullptr);
  CHECK(events == std::vector<std::string>{"a2"});  // the copy made before the failure
  Type_free(&type);
}

TEST_CASE("predefined attributes are the world's") {
  set_world_facts({1000, abi::PROC_NULL, 0, 1, -1, 5});
  void* value;
  int flag;
  Comm_get_attr(&test::world, abi::TAG_UB, &value, &flag);
  CHECK((flag && *static_cast<int*>(value) == 1000));
  Comm_get_attr(&test::world, abi::UNIVERSE_SIZE, &value, &flag);
  CHECK(flag == 0);
  Comm_get_attr(&test::world, abi::APPNUM, &value, &flag);
  CHECK((flag && *static_cast<int*>(value) == 5));
}

namespace {
std::vector<std::pair<Object*, int>> handled;
void note_error(Object** object, int* code) { handled.emplace_back(*object, *code); }
void note_error_plain(Object* object, int* code) { note_error(&object, code); }
}  // namespace

TEST_CASE("errors reach the handler that is set") {
  Errhandler *handler, *got;
  Comm_create_errhandler(function(note_error_plain), &handler);
  CHECK(Comm_set_errhandler(&test::self, handler) == 0);
  CHECK(raise(&test::self, abi::ERR_TAG, "MPI_Send") == abi::ERR_TAG);
  CHECK(handled == std::vector<std::pair<Object*, int>>{{&test::self, abi::ERR_TAG}});
  Comm_get_errhandler(&test::self, &got);
  CHECK(got == handler);
  Errhandler_free(&got);
  Errhandler_free(&handler);
  CHECK(handler == nullptr);
  Datatype* no_type = nullptr;
  CHECK(Type_commit(&no_type) == abi::ERR_TYPE);  // no communicator: MPI_COMM_SELF's
  CHECK(handled.size() == 2);
  Win_create_errhandler(function(note_error_plain), &handler);
  CHECK(Comm_set_errhandler(&test::self, handler) == abi::ERR_ARG);
  Errhandler_free(&handler);
  CHECK(Comm_set_errhandler(&test::self, errors_return()) == 0);
}

TEST_CASE("error classes and codes of the application have texts") {
  int added, code, error_class, length;
  char text[512];
  Add_error_class(&added);
  Add_error_code(added, &code);
  CHECK((added > abi::ERR_LASTCODE && code == added + 1 && last_used_code() == code));
  Error_class(code, &error_class);
  CHECK(error_class == added);
  Error_string(code, text, &length);
  CHECK(length == 0);
  Add_error_string(code, "mine");
  Error_string(code, text, &length);
  CHECK(std::string(text) == "mine");
  CHECK(Add_error_string(abi::ERR_TAG, "no") == abi::ERR_ARG);
  Error_string(abi::ERR_TAG, text, &length);
  CHECK(std::string(text) == "MPI_ERR_TAG: invalid tag");
  CHECK(Error_string(123456, text, &length) == abi::ERR_ARG);
}

TEST_CASE("cartesian shifts, ranks and parts agree with coordinates") {
  const int sizes[] = {3, 4, 2}, periodic[] = {1, 0, 1};
  for (int rank = 0; rank < 24; ++rank) {
    Comm comm{};
    comm.kind = Kind::communicator;
    comm.rank = rank;
    comm.size = 24;
    comm.errhandler = errors_return();
    set_topology(&comm, abi::CART, make_cart(3, sizes, periodic, rank));
    int coordinates[3], back, source, destination;
    Cart_coords(&comm, rank, 3, coordinates);
    Cart_rank(&comm, coordinates, &back);
    CHECK(back == rank);
    for (int d = 0; d < 3; ++d) {
      for (int shift : {-3, -1, 0, 1, 2}) {
        Cart_shift(&comm, d, shift, &source, &destination);
        int there[] = {coordinates[0], coordinates[1], coordinates[2]};
        there[d] += shift;
        int expected = abi::PROC_NULL;
        if (periodic[d] || (there[d] >= 0 && there[d] < sizes[d])) Cart_rank(&comm, there, &expected);
        CHECK(destination == expected);
      }
    }
    const int remain[] = {0, 1, 1};
    int32_t colour, key;
    CartTopology* part = cart_sub(&comm, remain, &colour, &key);
    CHECK((part->nodes == 8 && colour == coordinates[0] && key == coordinates[1] * 2 + coordinates[2]));
    Comm owner{};
    set_topology(&owner, abi::CART, part);
    free_topology(&owner);
    int32_t in[6], out[6];
    neighbours(&comm, in, out);
    Cart_shift(&comm, 2, 1, &source, &destination);
    CHECK((in[4] == source && in[5] == destination && out[5] == destination));
    free_topology(&comm);
  }
}

TEST_CASE("dimensions are balanced, non-increasing and keep what was given") {
  int pair[] = {0, 0};
  Dims_create(72, 2, pair);
  CHECK((pair[0] == 9 && pair[1] == 8));
  int three[] = {0, 2, 0};
  Dims_create(24, 3, three);
  CHECK((three[0] == 4 && three[1] == 2 && three[2] == 3));
  int bad[] = {5, 0};
  CHECK(Dims_create(24, 2, bad) == abi::ERR_DIMS);
  int large[] = {0, 0, 0, 0};
  Dims_create(1 << 30, 4, large);
  CHECK((large[0] == 256 && large[3] == 128));
}

namespace {
void add_ints(void* in, void* inout, int* count, Datatype** type) {
  for (int i = 0; i < *count; ++i) static_cast<int*>(inout)[i] += static_cast<int*>(in)[i];
  events.push_back((*type)->name);
}
}  // namespace

TEST_CASE("an operator that the lower half calls gets the application's type") {
  events.clear();
  Op* op;
  REQUIRE(Op_create(function(add_ints), 1, &op, 0) == 0);
  int a[] = {1, 2}, b[] = {10, 20}, length = 2;
  run_op(reinterpret_cast<uint64_t>(op), a, b, &length, lower(predefined_type(abi::INT)));
  CHECK((b[0] == 11 && b[1] == 22 && events.back() == "MPI_INT"));
  CHECK(Reduce_local(a, b, 2, predefined_type(abi::INT), op) == 0);
  CHECK(b[1] == 24);
  Op_free(&op);
  CHECK(Op_free(&op) == abi::ERR_OP);
}

int main(int argc, char** argv) {
  mana::upper::test::start();
  return mana::run_test_cases(argc, argv);
}
