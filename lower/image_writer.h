// SPDX-License-Identifier: BSD-3-Clause
// Writes the image of this rank: an ELF core file (kernel-loader/image_format.h) of all memory of the application.  The
// agent calls it while every thread of the application is parked.  A forked child does the writing, so the application may
// go on as soon as start() returns; the child's memory is the copy, and shared memory, which the fork does not copy, has been
// written by then.
//
// What the application writes to meanwhile is there twice.  Where memory gets short the child gives up (memory_room.h); if it is killed all the
// same, it goes before the application (oom_score_adj).  The next image is then written *in place*, as one is for which there is no memory from
// the beginning: by a child that shares the memory, while the application stands still.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "upper/interface.h"

namespace mana::lower {

struct ImagePlan;
struct ImageWork;

struct ImageIdentity {
  int rank = 0, size = 1;
  uint64_t job = 0;                    // the same for all ranks of a generation
  uint64_t generation = 0;
  std::string program;                 // absolute path
  std::vector<std::string> arguments;
  std::string front_end;               // "mpich", "openmpi" or ""
  std::string front_end_path;
  std::string mpi, mpi_version;        // lower half that wrote it: only told, never required
};

struct ImageResult {
  std::string error;        // empty: durable and whole
  bool for_lack_of_memory = false;  // in place it may succeed
  uint64_t bytes = 0;       // file length
  uint64_t stored_bytes = 0;  // without holes
  uint64_t checksum = 0;    // of the notes, which hold the checksums of all blocks
  int64_t fork_ns = 0;      // how long start() took: the application stood still for it
  int64_t sync_ns = 0;      // in which the file was complete and became durable
};

class ImageWriter {
 public:
  // `path` must not exist; it is created with mode 0600.  On failure the result of finish() has the error.
  static std::unique_ptr<ImageWriter> start(const ImageIdentity& identity, UpperInterface* upper, const std::string& path, bool in_place);
  ImageWriter(const ImageWriter&) = delete;
  ImageWriter& operator=(const ImageWriter&) = delete;
  ~ImageWriter();           // an unfinished child is killed and reaped

  bool in_place() const { return in_place_; }  // the application must stand still until finish() or the end of this
  bool has_ended() const;   // finish() would not wait for long: the child has reported, or is gone
  int descriptor() const;   // becomes readable when the child has finished; -1: it has failed already
  ImageResult finish();     // waits for the child, reaps it; the file is fsynced, its directory entry is not
  void cancel();            // kills the child; finish() then reports "cancelled"

 private:
  ImageWriter() = default;
  void make_child(ImageWork work);
  int reap();
  std::unique_ptr<ImagePlan> plan_;
  bool in_place_ = false;
  pid_t child_ = -1;
  int pipe_ = -1;
  ImageResult result_;
};

}  // namespace mana::lower
