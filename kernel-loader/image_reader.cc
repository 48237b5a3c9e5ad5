// SPDX-License-Identifier: BSD-3-Clause
#include "kernel-loader/image_reader.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <thread>

#include "kernel-loader/checksum.h"
#include "kernel-loader/layout.h"

namespace mana::image {
namespace {

using loader::kPage;
constexpr uint64_t kMostNoteBytes = 1ull << 30;
constexpr std::size_t kReadBytes = 256 << 10;  // stays in the second-level cache between read and checksum

std::string number(uint64_t value) { return std::to_string(value); }

bool read_exactly(int descriptor, void* to, uint64_t bytes, uint64_t offset) {
  auto* at = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t got = pread(descriptor, at, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<uint64_t>(got);
  }
  return true;
}

template <class T>
Complaint take_array(std::string_view data, std::vector<T>& into, const char* what) {
  if (data.size() % sizeof(T) != 0) return std::string("damaged: the table of ") + what + " has a wrong size";
  into.resize(data.size() / sizeof(T));
  std::memcpy(into.data(), data.data(), data.size());
  return {};
}

Complaint check_owner(const struct stat& status) {
  if (!S_ISREG(status.st_mode)) return "not a regular file";
  if (status.st_uid != geteuid()) {
    return "owned by user " + number(status.st_uid) + ", not by you (" + number(geteuid()) +
           "): an image is a program; copy it if you trust its owner";
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return "writable by others: an image is a program; if you trust what it holds now, chmod go-w it";
  }
  return {};
}

}  // namespace

std::unique_ptr<ImageFile> ImageFile::open(const std::string& path, Complaint* complaint) {
  std::unique_ptr<ImageFile> image(new ImageFile);
  image->descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (image->descriptor_ < 0 || fstat(image->descriptor_, &status) != 0) {
    *complaint = std::string(std::strerror(errno)) + "; choose another generation";
    return nullptr;
  }
  image->length_ = static_cast<uint64_t>(status.st_size);
  *complaint = check_owner(status);
  if (complaint->empty()) *complaint = image->read_notes();
  if (!complaint->empty()) return nullptr;
  return image;
}

ImageFile::~ImageFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

Complaint ImageFile::read_notes() {
  const Complaint damaged = "truncated or damaged: choose another generation";
  Elf64_Ehdr elf;
  if (!read_exactly(descriptor_, &elf, sizeof elf, 0)) return damaged;
  if (std::memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 || elf.e_type != ET_CORE) return "not an image";
  Elf64_Phdr notes;
  if (!read_exactly(descriptor_, &notes, sizeof notes, elf.e_phoff) || notes.p_type != PT_NOTE) return damaged;
  if (notes.p_offset > length_ || notes.p_filesz > length_ - notes.p_offset || notes.p_filesz > kMostNoteBytes) return damaged;
  front_.resize(notes.p_offset + notes.p_filesz);
  if (!read_exactly(descriptor_, front_.data(), front_.size(), 0)) return damaged;
  if (Complaint wrong = take_notes(notes.p_offset, front_.size()); !wrong.empty()) return wrong;
  if (header_ == nullptr || header_->magic != kImageMagic) return "a core file, but not an image of ours";
  if (header_->version > kImageVersion) {
    return "format version " + number(header_->version) + " is newer than this mana (" + number(kImageVersion) +
           "): restart it with the version that wrote it, or a newer one";
  }
  if (header_->version < kImageVersion) {
    return "format version " + number(header_->version) + " is older than what this mana reads (" + number(kImageVersion) +
           "): restart it with the version that wrote it";
  }
  const uint64_t stored = header_->notes_checksum;
  const auto at = static_cast<std::size_t>(reinterpret_cast<const char*>(header_) - front_.data()) +
                  offsetof(ImageHeader, notes_checksum);
  std::memset(front_.data() + at, 0, sizeof stored);
  const uint64_t computed = checksum_of(front_.data(), front_.size());
  std::memcpy(front_.data() + at, &stored, sizeof stored);
  if (computed != stored) return "damaged: its notes do not have the checksum they were written with; choose another generation";
  if (length_ != header_->file_bytes) {
    return "truncated: " + number(length_) + " of " + number(header_->file_bytes) + " bytes; choose another generation";
  }
  return check_tables();
}

Complaint ImageFile::take_notes(uint64_t begin, uint64_t end) {
  while (begin + sizeof(Elf64_Nhdr) <= end) {
    Elf64_Nhdr note;
    std::memcpy(&note, front_.data() + begin, sizeof note);
    const uint64_t name = begin + sizeof note;
    const uint64_t data = name + ((note.n_namesz + 3ull) & ~3ull);
    const uint64_t next = data + ((note.n_descsz + 3ull) & ~3ull);
    if (next > end) return "damaged: a note leaves its section";
    const bool ours = note.n_namesz == sizeof kNoteName && std::memcmp(front_.data() + name, kNoteName, sizeof kNoteName) == 0;
    if (ours) {
      if (Complaint wrong = take_note(note.n_type, {front_.data() + data, note.n_descsz}); !wrong.empty()) return wrong;
    }
    begin = next;
  }
  return {};
}

Complaint ImageFile::take_note(uint32_t type, std::string_view data) {
  switch (static_cast<NoteType>(type)) {
    case NoteType::header:
      if (data.size() < sizeof(ImageHeader)) return "damaged: its header is too short";
      header_ = reinterpret_cast<const ImageHeader*>(data.data());
      return {};
    case NoteType::segments: return take_array(data, segments_, "segments");
    case NoteType::blocks: return take_array(data, blocks_, "blocks");
    case NoteType::threads: return take_array(data, threads_, "threads");
    case NoteType::gate: gate_ = data; return {};
    case NoteType::descriptors: descriptors_ = data; return {};
    case NoteType::contents: contents_ = data; return {};
    case NoteType::strings: strings_ = data; return {};
    case NoteType::process: std::memcpy(&process_, data.data(), std::min(data.size(), sizeof process_)); return {};
    case NoteType::pending_signals: return take_array(data, pending_signals_, "pending signals");
    case NoteType::posix_timers: return take_array(data, posix_timers_, "timers");
    case NoteType::attributes: return take_array(data, attributes_, "attributes of threads");
    case NoteType::limits: return take_array(data, limits_, "limits");
    case NoteType::memory_flags: return take_array(data, memory_flags_, "flags of memory");
    case NoteType::system_v_segments: return take_array(data, system_v_segments_, "System V segments");
    case NoteType::shared_mappings: return take_array(data, shared_mappings_, "shared mappings");
    case NoteType::memory_policies: return take_array(data, memory_policies_, "policies of memory");
    case NoteType::descriptor_signals: return take_array(data, descriptor_signals_, "signals of descriptors");
  }
  return {};  // of a later version that changes nothing for us
}

// The checksum says that the notes are as they were written.  That they make sense is checked all the same: memory is
// about to be mapped by them.
Complaint ImageFile::check_tables() const {
  uint64_t last = 0;
  for (const SegmentRecord& segment : segments_) {
    const bool aligned = segment.begin % kPage == 0 && segment.bytes % kPage == 0 && segment.file_offset % kPage == 0;
    const bool fits = segment.begin >= last && segment.bytes > 0 &&
                      loader::is_application_memory(segment.begin, segment.bytes);
    const bool stored = segment.stored_bytes == 0 || (segment.stored_bytes == segment.bytes && segment.file_offset <= length_ &&
                                                      segment.bytes <= length_ - segment.file_offset);
    if (!aligned || !fits || !stored) return "damaged: a segment does not make sense";
    last = segment.begin + segment.bytes;
  }
  for (const BlockRecord& block : blocks_) {
    if (block.file_offset > length_ || block.bytes > length_ - block.file_offset) return "damaged: a block lies outside of it";
  }
  if (threads_.empty()) return "damaged: it has no thread";
  const auto is_thread = [this](int32_t index) { return index >= -1 && index < static_cast<int32_t>(threads_.size()); };
  for (const PendingSignal& signal : pending_signals_) {
    if (!is_thread(signal.thread)) return "damaged: a signal of no thread";
  }
  for (const PosixTimer& timer : posix_timers_) {
    if (!is_thread(timer.thread) || timer.id < 0) return "damaged: a timer does not make sense";
  }
  for (const MemoryFlags& range : memory_flags_) {
    if (!loader::is_application_memory(range.begin, range.bytes)) return "damaged: flags of memory that is not its own";
  }
  for (const MemoryPolicy& policy : memory_policies_) {
    if (!loader::is_application_memory(policy.begin, policy.bytes)) return "damaged: a policy of memory that is not its own";
  }
  return {};
}

std::string ImageFile::text(uint32_t offset) const {
  if (offset >= strings_.size()) return {};
  const std::string_view rest = strings_.substr(offset);
  return std::string(rest.substr(0, rest.find('\0')));
}

std::string ImageFile::path(uint32_t offset) const { return moved_ ? moved_(text(offset)) : text(offset); }

std::vector<std::string> ImageFile::arguments() const {
  std::vector<std::string> all;
  uint32_t offset = header_->arguments;
  for (uint32_t i = 0; i < header_->argument_count; ++i) {
    all.push_back(text(offset));
    offset += static_cast<uint32_t>(all.back().size()) + 1;
  }
  return all;
}

Complaint ImageFile::verify(int threads) const {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  Complaint first;
  const auto complain = [&](const Complaint& what) {
    const std::lock_guard lock(mutex);
    if (first.empty()) first = what;
    next = blocks_.size();
  };
  const auto work = [&] {
    std::vector<char> buffer(kReadBytes);
    for (std::size_t i = next++; i < blocks_.size(); i = next++) {
      Checksum checksum;
      for (uint64_t done = 0; done < blocks_[i].bytes;) {
        const uint64_t piece = std::min<uint64_t>(kReadBytes, blocks_[i].bytes - done);
        if (!read_exactly(descriptor_, buffer.data(), piece, blocks_[i].file_offset + done)) {
          return complain("cannot be read at offset " + number(blocks_[i].file_offset + done) + ": " + std::strerror(errno));
        }
        checksum.update(buffer.data(), piece);
        done += piece;
      }
      if (checksum.value() != blocks_[i].checksum) {
        complain("damaged: the block at offset " + number(blocks_[i].file_offset) +
                 " does not have the checksum it was written with; choose another generation");
      }
    }
  };
  std::vector<std::thread> helpers;
  for (int i = 1; i < threads; ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  return first;
}

}  // namespace mana::image
