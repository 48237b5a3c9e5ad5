// SPDX-License-Identifier: BSD-3-Clause
#include "lower/core_notes.h"

#include <elf.h>
#include <signal.h>
#include <sys/procfs.h>
#include <sys/user.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "kernel-loader/layout.h"

namespace mana::lower {
namespace {

constexpr std::size_t kFxsaveBytes = 512;
constexpr std::size_t kSoftwareBytesAt = 464;  // of the FXSAVE area: the kernel says there what the frame holds
constexpr uint32_t kMagic1 = 0x46505853;       // FP_XSTATE_MAGIC1

// x87, SSE, AVX, AVX-512: gdb knows where these lie; of what follows it guesses.
constexpr uint64_t kFixedLayout = 0xe7;

struct SoftwareBytes {
  uint32_t magic1, extended_bytes;
  uint64_t features;
  uint32_t xstate_bytes;
};

// Where user_regs_struct and the signal frame name the same registers.
user_regs_struct registers_of(const ParkSlot& thread, const ucontext_t& context) {
  const greg_t* r = context.uc_mcontext.gregs;
  const auto value = [r](int which) { return static_cast<unsigned long long>(r[which]); };
  user_regs_struct regs{};
  regs.r15 = value(REG_R15);
  regs.r14 = value(REG_R14);
  regs.r13 = value(REG_R13);
  regs.r12 = value(REG_R12);
  regs.rbp = value(REG_RBP);
  regs.rbx = value(REG_RBX);
  regs.r11 = value(REG_R11);
  regs.r10 = value(REG_R10);
  regs.r9 = value(REG_R9);
  regs.r8 = value(REG_R8);
  regs.rax = value(REG_RAX);
  regs.rcx = value(REG_RCX);
  regs.rdx = value(REG_RDX);
  regs.rsi = value(REG_RSI);
  regs.rdi = value(REG_RDI);
  regs.orig_rax = ~0ull;  // not in a system call
  regs.rip = value(REG_RIP);
  regs.eflags = value(REG_EFL);
  regs.rsp = value(REG_RSP);
  regs.cs = value(REG_CSGSFS) & 0xffff;
  regs.ss = value(REG_CSGSFS) >> 48;
  regs.fs_base = thread.fs;
  regs.gs_base = thread.gs;
  return regs;
}

// The id that the thread's libc knows it by: the word that the kernel clears at its end.  After a restart it is not the kernel's;
// libthread_db finds threads by it.
pid_t application_tid(const ParkSlot& thread) {
  int32_t known = 0;
  if (thread.tid_address != 0) std::memcpy(&known, reinterpret_cast<const void*>(thread.tid_address), sizeof known);
  return known > 0 ? known : thread.tid.load();
}

}  // namespace

std::size_t CoreNotes::add(const char* name, uint32_t type, const void* data, std::size_t bytes) {
  const Elf64_Nhdr header{static_cast<uint32_t>(std::strlen(name) + 1), static_cast<uint32_t>(bytes), type};
  bytes_.append(reinterpret_cast<const char*>(&header), sizeof header);
  bytes_.append(name, header.n_namesz);
  bytes_.resize((bytes_.size() + 3) & ~std::size_t{3});
  const std::size_t at = bytes_.size();
  bytes_.append(static_cast<const char*>(data), bytes);
  bytes_.resize((bytes_.size() + 3) & ~std::size_t{3});
  return at;
}

void CoreNotes::add_process(const std::string& program, const std::vector<std::string>& arguments) {
  prpsinfo_t info{};
  info.pr_sname = 'R';
  info.pr_uid = getuid();
  info.pr_gid = getgid();
  info.pr_pid = getpid();
  info.pr_ppid = getppid();
  info.pr_pgrp = getpgrp();
  const std::string name = program.substr(program.rfind('/') + 1);
  std::memcpy(info.pr_fname, name.data(), std::min(name.size(), sizeof info.pr_fname - 1));
  std::string line;
  for (const auto& argument : arguments) line += (line.empty() ? "" : " ") + argument;
  std::memcpy(info.pr_psargs, line.data(), std::min(line.size(), sizeof info.pr_psargs - 1));
  add("CORE", NT_PRPSINFO, &info, sizeof info);
}

void CoreNotes::add_thread(const ParkSlot& thread) {
  const auto* context = reinterpret_cast<const ucontext_t*>(thread.context);
  prstatus_t status{};
  status.pr_pid = application_tid(thread);
  status.pr_ppid = getppid();
  status.pr_pgrp = getpgrp();
  std::memcpy(&status.pr_sighold, &context->uc_sigmask, sizeof status.pr_sighold);
  status.pr_fpvalid = 1;
  const user_regs_struct registers = registers_of(thread, *context);
  static_assert(sizeof status.pr_reg == sizeof registers);
  std::memcpy(&status.pr_reg, &registers, sizeof registers);
  add("CORE", NT_PRSTATUS, &status, sizeof status);

  const auto* fp = reinterpret_cast<const char*>(context->uc_mcontext.fpregs);
  if (fp != nullptr) {
    add("CORE", NT_FPREGSET, fp, kFxsaveBytes);
    SoftwareBytes software;
    std::memcpy(&software, fp + kSoftwareBytesAt, sizeof software);
    if (software.magic1 == kMagic1 && software.xstate_bytes > kFxsaveBytes) {
      std::string state(fp, software.xstate_bytes);
      const uint64_t features = software.features & kFixedLayout;
      std::memcpy(state.data() + kSoftwareBytesAt, &features, sizeof features);  // where gdb looks for XCR0
      add("LINUX", NT_X86_XSTATE, state.data(), state.size());
    }
  }
  siginfo_t nothing{};
  add("CORE", NT_SIGINFO, &nothing, sizeof nothing);
}

void CoreNotes::add_files(const std::vector<MappedFile>& files) {
  std::string data, names;
  const auto word = [&data](uint64_t value) { data.append(reinterpret_cast<const char*>(&value), sizeof value); };
  word(files.size());
  word(loader::kPage);
  for (const MappedFile& file : files) {
    word(file.begin);
    word(file.end);
    word(file.offset / loader::kPage);
    names += file.path;
    names += '\0';
  }
  data += names;
  add("CORE", NT_FILE, data.data(), data.size());
}

}  // namespace mana::lower
