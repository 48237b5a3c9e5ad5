// SPDX-License-Identifier: BSD-3-Clause
// Reads and verifies an image: the restart, `mana inspect` and `mana verify`.  Ordinary code.  Nothing of an image is
// believed before open() has checked the notes, and nothing of its data before verify().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel-loader/image_format.h"

namespace mana::image {

// What is wrong and what to do, in one line without file name; empty: nothing is.
using Complaint = std::string;

class ImageFile {
 public:
  // Opens `path`, refuses one that another user owns or may write to, reads and checks everything up to the end of the
  // notes.  nullptr: see `complaint`.
  static std::unique_ptr<ImageFile> open(const std::string& path, Complaint* complaint);
  ~ImageFile();
  ImageFile(const ImageFile&) = delete;
  ImageFile& operator=(const ImageFile&) = delete;

  // Reads the whole file and compares every block.  `threads`: how many to read with.
  Complaint verify(int threads) const;

  int descriptor() const { return descriptor_; }
  const ImageHeader& header() const { return *header_; }
  const std::vector<SegmentRecord>& segments() const { return segments_; }
  const std::vector<BlockRecord>& blocks() const { return blocks_; }
  const std::vector<ThreadState>& threads() const { return threads_; }
  const ProcessState& process() const { return process_; }
  const std::vector<PendingSignal>& pending_signals() const { return pending_signals_; }
  const std::vector<PosixTimer>& posix_timers() const { return posix_timers_; }
  const std::vector<ThreadAttributes>& attributes() const { return attributes_; }
  const std::vector<Limit>& limits() const { return limits_; }
  const std::vector<MemoryFlags>& memory_flags() const { return memory_flags_; }
  const std::vector<SystemVSegment>& system_v_segments() const { return system_v_segments_; }
  const std::vector<SharedMapping>& shared_mappings() const { return shared_mappings_; }
  const std::vector<MemoryPolicy>& memory_policies() const { return memory_policies_; }
  const std::vector<DescriptorSignals>& descriptor_signals() const { return descriptor_signals_; }
  std::string_view gate_state() const { return gate_; }
  std::string_view descriptors() const { return descriptors_; }
  std::string_view contents() const { return contents_; }
  std::string text(uint32_t offset) const;  // of the strings note
  // Where a path of the strings note is today; without set_moved, where it was.
  std::string path(uint32_t offset) const;
  using MovedPath = std::function<std::string(const std::string&)>;
  void set_moved(MovedPath moved) { moved_ = std::move(moved); }
  std::vector<std::string> arguments() const;

 private:
  ImageFile() = default;
  Complaint read_notes();
  Complaint take_notes(uint64_t begin, uint64_t end);
  Complaint take_note(uint32_t type, std::string_view data);
  Complaint check_tables() const;

  int descriptor_ = -1;
  uint64_t length_ = 0;
  std::string front_;  // the file up to the end of the notes
  const ImageHeader* header_ = nullptr;
  std::vector<SegmentRecord> segments_;
  std::vector<BlockRecord> blocks_;
  std::vector<ThreadState> threads_;
  ProcessState process_{};
  std::vector<PendingSignal> pending_signals_;
  std::vector<PosixTimer> posix_timers_;
  std::vector<ThreadAttributes> attributes_;
  std::vector<Limit> limits_;
  std::vector<MemoryFlags> memory_flags_;
  std::vector<SystemVSegment> system_v_segments_;
  std::vector<SharedMapping> shared_mappings_;
  std::vector<MemoryPolicy> memory_policies_;
  std::vector<DescriptorSignals> descriptor_signals_;
  std::string_view gate_, descriptors_, contents_, strings_;
  MovedPath moved_;
};

}  // namespace mana::image
