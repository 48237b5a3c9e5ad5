// SPDX-License-Identifier: BSD-3-Clause
// Running copy programs: memory to stream (pack) and stream to memory (unpack).  One engine for both; the direction
// is a template parameter.  A stream that ends early stops the run in the middle of a piece.
#include "upper/pack.h"

#include "upper/text.h"

namespace mana::upper {

namespace {

struct PackTo {
  char* stream;
  int64_t left;
  static constexpr bool kIntoStream = true;
};
struct UnpackFrom {
  const char* stream;
  int64_t left;
  static constexpr bool kIntoStream = false;
};

template <class Way>
void copy_piece(Way& way, char* memory, int64_t bytes) {
  if constexpr (Way::kIntoStream) {
    copy_bytes(way.stream, memory, static_cast<size_t>(bytes));
  } else {
    copy_bytes(memory, way.stream, static_cast<size_t>(bytes));
  }
}

// `count` pieces of a size that the compiler knows: a load and a store each.
template <int64_t kBytes, class Way>
void copy_fixed(Way& way, char* memory, int64_t count, int64_t stride) {
  auto stream = way.stream;
  for (int64_t index = 0; index < count; ++index, memory += stride, stream += kBytes) {
    if constexpr (Way::kIntoStream) {
      __builtin_memcpy(stream, memory, kBytes);
    } else {
      __builtin_memcpy(memory, stream, kBytes);
    }
  }
  way.stream = stream;
  way.left -= kBytes * count;
}

template <class Way>
bool run_pieces(Way& way, char* memory, const Step& step) {
  const int64_t whole = way.left / step.bytes < step.count ? way.left / step.bytes : step.count;
  switch (step.bytes) {
    case 1: copy_fixed<1>(way, memory, whole, step.stride); break;
    case 2: copy_fixed<2>(way, memory, whole, step.stride); break;
    case 4: copy_fixed<4>(way, memory, whole, step.stride); break;
    case 8: copy_fixed<8>(way, memory, whole, step.stride); break;
    case 16: copy_fixed<16>(way, memory, whole, step.stride); break;
    case 32: copy_fixed<32>(way, memory, whole, step.stride); break;
    default:
      for (int64_t index = 0; index < whole; ++index) {
        copy_piece(way, memory + index * step.stride, step.bytes);
        way.stream += step.bytes;
      }
      way.left -= whole * step.bytes;
  }
  if (whole == step.count) return true;
  copy_piece(way, memory + whole * step.stride, way.left);  // the stream ends within this piece
  way.stream += way.left;
  way.left = 0;
  return false;
}

template <class Way>
bool run(Way& way, char* memory, const Program* program) {
  for (int64_t index = 0; index < program->step_count; ++index) {
    const Step& step = program->steps[index];
    char* at = memory + step.displacement;
    if (!step.body) {
      if (!run_pieces(way, at, step)) return false;
      continue;
    }
    for (int64_t round = 0; round < step.count; ++round, at += step.stride) {
      if (!run(way, at, step.body)) return false;
    }
  }
  return true;
}

template <class Way>
void run_elements(Way& way, char* memory, int64_t count, Datatype* type) {
  const Program* program = program_of(type);
  if (program->step_count == 0 || count <= 0) return;
  if (program->step_count == 1 && program->steps[0].count == 1 && !program->steps[0].body) {
    Step step = program->steps[0];
    if (type->dense) {
      step.bytes *= count;
    } else {
      step.count = count;
      step.stride = type->extent;
    }
    run_pieces(way, memory + step.displacement, step);
    return;
  }
  for (int64_t index = 0; index < count && way.left > 0; ++index, memory += type->extent) {
    if (!run(way, memory, program)) return;
  }
}

}  // namespace

int64_t pack_stream(const void* buffer, int64_t count, Datatype* type, void* out, int64_t limit) {
  PackTo way{static_cast<char*>(out), limit};
  run_elements(way, static_cast<char*>(const_cast<void*>(buffer)), count, type);
  return limit - way.left;
}

int64_t unpack_stream(void* buffer, int64_t count, Datatype* type, const void* bytes, int64_t size) {
  UnpackFrom way{static_cast<const char*>(bytes), size};
  run_elements(way, static_cast<char*>(buffer), count, type);
  return size - way.left;
}

}  // namespace mana::upper
