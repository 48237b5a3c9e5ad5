// SPDX-License-Identifier: BSD-3-Clause
// Compiling a layout into a copy program.  Steps follow type-map order; neighbours that touch are merged, equally spaced
// equal pieces become one step, and a nested type that is not a single piece is referred to, not copied.
#include "upper/containers.h"
#include "upper/datatype.h"
#include "upper/memory.h"
#include "upper/text.h"

namespace mana::upper {

namespace {

constinit SpinLock compile_lock;

constexpr int64_t kInlineSteps = 4;  // a nested program of so few steps is copied into its user

bool is_piece(const Step& step) { return step.count == 1 && !step.body; }

class Compiler {
 public:
  void append(Step step) {
    if (step.count == 0 || step.bytes == 0) return;
    if (!step.body && step.count > 1 && step.stride == step.bytes) {
      step.bytes *= step.count;
      step.count = 1;
    }
    if (steps_.size > 0 && merge(steps_[steps_.size - 1], step)) return;
    steps_.push(step);
  }

  // `length` elements of a compiled type, the first at `displacement`.
  void append_elements(int64_t displacement, int64_t length, const Datatype* type) {
    const Program* program = type->program;
    if (length == 0 || program->step_count == 0) return;
    if (program->step_count == 1 && (length == 1 || is_piece(program->steps[0]))) {
      Step step = program->steps[0];
      step.displacement += displacement;
      if (length > 1) step.count = length, step.stride = type->extent;
      append(step);
    } else if (length == 1 && program->step_count <= kInlineSteps) {
      for (int64_t index = 0; index < program->step_count; ++index) {
        Step step = program->steps[index];
        step.displacement += displacement;
        append(step);
      }
    } else {
      append({displacement, length, type->extent, type->size, program});
    }
  }

  Program* finish() {
    auto* program =
        static_cast<Program*>(allocate(sizeof(Program) + sizeof(Step) * static_cast<size_t>(steps_.size)));
    program->next = nullptr;
    program->step_count = steps_.size;
    copy_bytes(program->steps, steps_.items, sizeof(Step) * static_cast<size_t>(steps_.size));
    steps_.free();
    return program;
  }

 private:
  static bool merge(Step& last, const Step& step) {
    if (last.body || step.body) return false;
    if (is_piece(last) && is_piece(step) && last.displacement + last.bytes == step.displacement) {
      last.bytes += step.bytes;
      return true;
    }
    if (!is_piece(step) || last.bytes != step.bytes) return false;
    if (last.count == 1) {
      last.stride = step.displacement - last.displacement;
    } else if (step.displacement != last.displacement + last.count * last.stride) {
      return false;
    }
    ++last.count;
    return true;
  }

  Vector<Step> steps_{};
};

Program* compile_basic(const Datatype* type) {
  Compiler compiler;
  for (int part = 0; part < type->part_count; ++part) {
    compiler.append({type->parts[part].offset, 1, 0, type->parts[part].bytes, nullptr});
  }
  return compiler.finish();
}

// All blocks alike and equally spaced: one step, over a program for one block unless that is a single piece.
Program* compile_regular(const Layout& layout) {
  Compiler block_compiler;
  block_compiler.append_elements(0, layout.length, layout.type);
  Program* block = block_compiler.finish();
  if (layout.block_count == 1 || block->step_count == 0) return block;
  Compiler compiler;
  const Step& first = block->steps[0];
  if (block->step_count == 1 && is_piece(first)) {
    compiler.append({first.displacement, layout.block_count, layout.stride, first.bytes, nullptr});
    deallocate(block);
    return compiler.finish();
  }
  compiler.append({0, layout.block_count, layout.stride, layout.length * layout.type->size, block});
  Program* program = compiler.finish();
  program->next = block;
  return program;
}

Program* compile(Datatype* type);

void ensure_compiled(Datatype* type) {
  if (type->program) return;
  Program* program = compile(type);
  const Step& first = program->steps[0];
  type->dense = program->step_count == 1 && is_piece(first) && first.bytes == type->extent;
  __atomic_store_n(&type->program, program, __ATOMIC_RELEASE);
}

Program* compile(Datatype* type) {
  if (is_basic(type)) return compile_basic(type);
  const Layout& layout = type->layout;
  if (!layout.lengths && !layout.displacements && !layout.types) {
    if (layout.block_count > 0) {
      ensure_compiled(layout.type);
      return compile_regular(layout);
    }
    return Compiler().finish();
  }
  Compiler compiler;
  for (int64_t index = 0; index < layout.block_count; ++index) {
    Block block = block_at(layout, index);
    ensure_compiled(block.type);
    compiler.append_elements(block.displacement, block.length, block.type);
  }
  return compiler.finish();
}

}  // namespace

const Program* program_of(Datatype* type) {
  Program* program = __atomic_load_n(&type->program, __ATOMIC_ACQUIRE);
  if (program) return program;
  LockGuard guard(compile_lock);
  ensure_compiled(type);
  return type->program;
}

void free_programs(Datatype* type) {
  for (Program* program = type->program; program;) {
    Program* next = program->next;
    deallocate(program);
    program = next;
  }
}

}  // namespace mana::upper
