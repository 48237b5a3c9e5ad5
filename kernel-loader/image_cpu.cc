// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/image_cpu.h"

#include <cpuid.h>

namespace mana::image {
namespace {

// Only what changes which instructions a program may execute, or what the kernel saves for it.
struct Feature {
  uint32_t CpuFeatures::*word;
  int bit;
  const char* name;
};
constexpr Feature kFeatures[] = {
    {&CpuFeatures::leaf1_ecx, 0, "sse3"},        {&CpuFeatures::leaf1_ecx, 1, "pclmulqdq"},
    {&CpuFeatures::leaf1_ecx, 9, "ssse3"},       {&CpuFeatures::leaf1_ecx, 12, "fma"},
    {&CpuFeatures::leaf1_ecx, 13, "cx16"},       {&CpuFeatures::leaf1_ecx, 19, "sse4_1"},
    {&CpuFeatures::leaf1_ecx, 20, "sse4_2"},     {&CpuFeatures::leaf1_ecx, 22, "movbe"},
    {&CpuFeatures::leaf1_ecx, 23, "popcnt"},     {&CpuFeatures::leaf1_ecx, 25, "aes"},
    {&CpuFeatures::leaf1_ecx, 26, "xsave"},      {&CpuFeatures::leaf1_ecx, 28, "avx"},
    {&CpuFeatures::leaf1_ecx, 29, "f16c"},       {&CpuFeatures::leaf1_ecx, 30, "rdrand"},
    {&CpuFeatures::leaf7_ebx, 0, "fsgsbase"},    {&CpuFeatures::leaf7_ebx, 3, "bmi1"},
    {&CpuFeatures::leaf7_ebx, 5, "avx2"},        {&CpuFeatures::leaf7_ebx, 8, "bmi2"},
    {&CpuFeatures::leaf7_ebx, 9, "erms"},        {&CpuFeatures::leaf7_ebx, 11, "rtm"},
    {&CpuFeatures::leaf7_ebx, 16, "avx512f"},    {&CpuFeatures::leaf7_ebx, 17, "avx512dq"},
    {&CpuFeatures::leaf7_ebx, 18, "rdseed"},     {&CpuFeatures::leaf7_ebx, 19, "adx"},
    {&CpuFeatures::leaf7_ebx, 21, "avx512ifma"}, {&CpuFeatures::leaf7_ebx, 23, "clflushopt"},
    {&CpuFeatures::leaf7_ebx, 24, "clwb"},       {&CpuFeatures::leaf7_ebx, 26, "avx512pf"},
    {&CpuFeatures::leaf7_ebx, 27, "avx512er"},   {&CpuFeatures::leaf7_ebx, 28, "avx512cd"},
    {&CpuFeatures::leaf7_ebx, 29, "sha"},        {&CpuFeatures::leaf7_ebx, 30, "avx512bw"},
    {&CpuFeatures::leaf7_ebx, 31, "avx512vl"},   {&CpuFeatures::leaf7_ecx, 1, "avx512vbmi"},
    {&CpuFeatures::leaf7_ecx, 4, "pku"},         {&CpuFeatures::leaf7_ecx, 5, "waitpkg"},
    {&CpuFeatures::leaf7_ecx, 6, "avx512_vbmi2"}, {&CpuFeatures::leaf7_ecx, 8, "gfni"},
    {&CpuFeatures::leaf7_ecx, 9, "vaes"},        {&CpuFeatures::leaf7_ecx, 10, "vpclmulqdq"},
    {&CpuFeatures::leaf7_ecx, 11, "avx512_vnni"}, {&CpuFeatures::leaf7_ecx, 12, "avx512_bitalg"},
    {&CpuFeatures::leaf7_ecx, 14, "avx512_vpopcntdq"}, {&CpuFeatures::leaf7_ecx, 22, "rdpid"},
    {&CpuFeatures::leaf7_ecx, 27, "movdiri"},    {&CpuFeatures::leaf7_ecx, 28, "movdir64b"},
    {&CpuFeatures::leaf7_edx, 4, "fsrm"},        {&CpuFeatures::leaf7_edx, 8, "avx512_vp2intersect"},
    {&CpuFeatures::leaf7_edx, 22, "amx_bf16"},   {&CpuFeatures::leaf7_edx, 23, "avx512_fp16"},
    {&CpuFeatures::leaf7_edx, 24, "amx_tile"},   {&CpuFeatures::leaf7_edx, 25, "amx_int8"},
    {&CpuFeatures::extended_ecx, 5, "lzcnt"},    {&CpuFeatures::extended_ecx, 6, "sse4a"},
    {&CpuFeatures::extended_ecx, 11, "xop"},     {&CpuFeatures::extended_ecx, 16, "fma4"},
    {&CpuFeatures::extended_ecx, 21, "tbm"},
};

void add(std::string& list, const std::string& name) { list += list.empty() ? name : ", " + name; }

}  // namespace

CpuFeatures this_cpu() {
  CpuFeatures cpu{};
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d)) {
    cpu.leaf1_ecx = c;
    cpu.leaf1_edx = d;
  }
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    cpu.leaf7_ebx = b;
    cpu.leaf7_ecx = c;
    cpu.leaf7_edx = d;
  }
  if (__get_cpuid(0x80000001, &a, &b, &c, &d)) cpu.extended_ecx = c;
  constexpr unsigned kOsxsave = 1u << 27;
  if (cpu.leaf1_ecx & kOsxsave) {
    unsigned low = 0, high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    cpu.xcr0 = low | static_cast<uint64_t>(high) << 32;
    if (__get_cpuid_count(0xd, 0, &a, &b, &c, &d)) cpu.xsave_bytes = b;
  }
  return cpu;
}

std::string missing_features(const CpuFeatures& saved, const CpuFeatures& here) {
  std::string missing;
  for (const Feature& feature : kFeatures) {
    const uint32_t bit = 1u << feature.bit;
    if ((saved.*feature.word & bit) != 0 && (here.*feature.word & bit) == 0) add(missing, feature.name);
  }
  const uint64_t states = saved.xcr0 & ~here.xcr0;
  for (int bit = 0; bit < 64; ++bit) {
    if (states >> bit & 1) add(missing, "register state " + std::to_string(bit) + " of XCR0");
  }
  return missing;
}

}  // namespace mana::image
