// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/vdso.h"

#include <elf.h>
#include <sys/mman.h>

#include "kernel-loader/arena.h"
#include "kernel-loader/auxv.h"
#include "kernel-loader/clocks.h"
#include "kernel-loader/sys.h"
#include "kernel-loader/text.h"

namespace mana::loader {
namespace {

constexpr const char* kNames[kVdsoFunctions] = {"__vdso_clock_gettime", "__vdso_gettimeofday",
                                                "__vdso_time", "__vdso_clock_getres",
                                                "__vdso_getcpu"};

// The kernel's own vdso, as an ELF image in memory.
struct KernelVdso {
  uint64_t bias = 0;
  const Elf64_Sym* symbols = nullptr;
  const char* strings = nullptr;
  uint32_t symbol_count = 0;
};

// The number of symbols stands only in the hash tables: in DT_HASH directly; in DT_GNU_HASH it is
// one more than the last index of the chain that starts furthest up.
uint32_t count_by_gnu_hash(const uint32_t* table) {
  const uint32_t buckets = table[0];
  const uint32_t first_hashed = table[1];
  const uint32_t* bucket = table + 4 + 2 * table[2];
  const uint32_t* chain = bucket + buckets;
  uint32_t last = 0;
  for (uint32_t i = 0; i < buckets; i++) {
    if (bucket[i] > last) last = bucket[i];
  }
  if (last < first_hashed) return first_hashed;
  while ((chain[last - first_hashed] & 1) == 0) last++;
  return last + 1;
}

KernelVdso read_kernel_vdso(uint64_t base) {
  KernelVdso vdso;
  const auto* file = sys::pointer<const Elf64_Ehdr>(base);
  const auto* segment = sys::pointer<const Elf64_Phdr>(base + file->e_phoff);
  const Elf64_Dyn* dynamic = nullptr;
  bool loaded = false;
  for (int i = 0; i < file->e_phnum; i++) {
    if (segment[i].p_type == PT_LOAD && !loaded) {
      vdso.bias = base + segment[i].p_offset - segment[i].p_vaddr;
      loaded = true;
    }
    if (segment[i].p_type == PT_DYNAMIC)
      dynamic = sys::pointer<const Elf64_Dyn>(base + segment[i].p_offset);
  }
  if (!loaded || dynamic == nullptr) return {};
  for (; dynamic->d_tag != DT_NULL; dynamic++) {
    const uint64_t address = vdso.bias + dynamic->d_un.d_ptr;
    if (dynamic->d_tag == DT_SYMTAB) vdso.symbols = sys::pointer<const Elf64_Sym>(address);
    if (dynamic->d_tag == DT_STRTAB) vdso.strings = sys::pointer<const char>(address);
    if (dynamic->d_tag == DT_HASH) vdso.symbol_count = sys::pointer<const uint32_t>(address)[1];
    if (dynamic->d_tag == DT_GNU_HASH && vdso.symbol_count == 0) {
      vdso.symbol_count = count_by_gnu_hash(sys::pointer<const uint32_t>(address));
    }
  }
  return vdso;
}

constinit uint64_t kernel_vdso_begin = 0, kernel_vdso_end = 0;

void note_kernel_vdso(uint64_t base) {
  const auto* file = sys::pointer<const Elf64_Ehdr>(base);
  const auto* segment = sys::pointer<const Elf64_Phdr>(base + file->e_phoff);
  kernel_vdso_begin = kernel_vdso_end = base;
  for (int i = 0; i < file->e_phnum; i++) {
    const uint64_t end = base + segment[i].p_offset + segment[i].p_memsz;
    if (segment[i].p_type == PT_LOAD && end > kernel_vdso_end) kernel_vdso_end = end;
  }
}

uint64_t function_of(const KernelVdso& vdso, const char* name) {
  if (vdso.symbols == nullptr || vdso.strings == nullptr) return 0;
  for (uint32_t i = 0; i < vdso.symbol_count; i++) {
    const Elf64_Sym& symbol = vdso.symbols[i];
    if (symbol.st_shndx != SHN_UNDEF && same_text(vdso.strings + symbol.st_name, name)) {
      return vdso.bias + symbol.st_value;
    }
  }
  return 0;
}

}  // namespace

Result<Vdso> place_vdso() {
  const uint64_t length = kVdsoTableOffset + kPage;
  const long got = sys::mmap(kVdsoAddress, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE);
  if (sys::failed(got)) return Error{"place the vdso", sys::error_of(got), kVdsoAddress, length};
  const auto address = static_cast<uint64_t>(got);
  note_mapped(address, length);
  const uint64_t size = embedded_vdso_size < length ? embedded_vdso_size : length;
  __builtin_memcpy(sys::pointer<void>(address), embedded_vdso, size);
  const long made = sys::raw(__NR_mprotect, address, kVdsoTableOffset, PROT_READ | PROT_EXEC);
  if (sys::failed(made))
    return Error{"make the vdso executable", sys::error_of(made), address, length};
  return Vdso{address, length};
}

bool in_kernel_vdso(uint64_t pc) { return (pc >= kernel_vdso_begin && pc < kernel_vdso_end) || in_shifted_clock(pc); }

Outcome fill_vdso(uint64_t address, VdsoClock clock) {
  const uint64_t page = address + kVdsoTableOffset;
  long changed = sys::raw(__NR_mprotect, page, kPage, PROT_READ | PROT_WRITE);
  if (sys::failed(changed))
    return Error{"open the vdso's table", sys::error_of(changed), page, kPage};
  auto* table = sys::pointer<VdsoTable>(page);
  if (table->magic != TABLE_MAGIC || table->version != kVdsoVersion ||
      table->function_count != kVdsoFunctions) {
    return Error{"the vdso in the image is of an unknown version", 0, address, table->version};
  }
  Auxv auxv;
  const uint64_t kernel_base = read_auxv(auxv).ok() ? auxv.value(AT_SYSINFO_EHDR) : 0;
  if (kernel_base != 0) note_kernel_vdso(kernel_base);
  const KernelVdso kernel = kernel_base != 0 ? read_kernel_vdso(kernel_base) : KernelVdso{};
  for (int i = 0; i < kVdsoFunctions; i++) {
    const uint64_t function = function_of(kernel, kNames[i]);
    table->functions[i] = function != 0 ? function : address + table->plain_calls[i];
  }
  // The system call is shifted by the gate.
  constexpr int kClockGettime = 0;
  uint64_t& clock_gettime = table->functions[kClockGettime];
  if (clock == VdsoClock::shifted && clock_gettime != address + table->plain_calls[kClockGettime]) {
    clock_gettime = shifted_clock_gettime(clock_gettime);
  }
  changed = sys::raw(__NR_mprotect, page, kPage, PROT_READ);
  if (sys::failed(changed))
    return Error{"close the vdso's table", sys::error_of(changed), page, kPage};
  return Done{};
}

}  // namespace mana::loader
