// SPDX-License-Identifier: BSD-3-Clause
// The probe: the signal number of an open file (F_SETSIG, F_GETSIG) is state that every open file
// has and nobody uses without O_ASYNC, and that is seen through each of its descriptors.  kcmp(2),
// which compares open files, is forbidden in many containers.  With O_ASYNC a signal could carry a
// wrong number if something arrived in these microseconds; the right one is put back.  A descriptor
// that is open as a path only (O_PATH) has no such state, nor an offset: whether it is shared
// cannot be noticed.
#include "lower/descriptor_identity.h"

#include <fcntl.h>

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "kernel-loader/inherited.h"

namespace mana::lower {
namespace {

using loader::Descriptor;
using loader::DescriptorKind;
using loader::Inherited;

constexpr int kStandardStreams = 3;
constexpr std::size_t kMarks = 64;  // signal numbers 1 to 64

// Labels of those that may share one: all of one inode.
void label_group(const std::vector<int>& numbers, const std::vector<std::size_t>& group,
                 std::vector<std::size_t>& labels) {
  std::vector<int> before;
  std::vector<std::size_t> marked;
  for (const std::size_t one : group) {
    const int signal = fcntl(numbers[one], F_GETSIG);
    if (signal < 0) continue;  // O_PATH
    marked.push_back(one);
    before.push_back(signal);
    labels[one] = 0;
  }
  // Each writes its place in the group, digit by digit, and reads whose digit is left: that of the
  // last one with the same open file.
  for (std::size_t scale = 1; scale == 1 || scale < marked.size(); scale *= kMarks) {
    for (std::size_t i = 0; i < marked.size(); ++i)
      fcntl(numbers[marked[i]], F_SETSIG, static_cast<int>(1 + i / scale % kMarks));
    for (const std::size_t one : marked)
      labels[one] += static_cast<std::size_t>(fcntl(numbers[one], F_GETSIG) - 1) * scale;
  }
  for (std::size_t i = 0; i < marked.size(); ++i) {
    fcntl(numbers[marked[i]], F_SETSIG, before[i]);
    labels[marked[i]] = marked[labels[marked[i]]];
  }
}

// A number that can be written to is rather an output than a terminal's input, if all three are one
// open file.
int preference(const Descriptor& descriptor, int inherited) {
  if (descriptor.number == inherited) return -1;
  const bool writes = (descriptor.flags & O_ACCMODE) != O_RDONLY;
  return writes && inherited == 0 ? kStandardStreams : inherited;
}

void set_inherited(Descriptor& descriptor, int inherited) {
  if (inherited < kStandardStreams) {
    descriptor.kind = DescriptorKind::standard;
    descriptor.standard_number = inherited;
  } else if (descriptor.kind == DescriptorKind::other) {
    // What a launcher or a shell left open (a pipe of its own, say) was never the application's
    // work: it is closed after a restart, as it would be under another launcher.
    descriptor.kind = DescriptorKind::inherited;
  }
}

// One open file has one inode and one way of access.
struct Candidate {
  int number;
  Inode inode;
  int access;
};

// For each the index of one that has the same open file, the same index for all of them.
std::vector<std::size_t> label_open_files(const std::vector<Candidate>& candidates) {
  std::vector<int> numbers;
  std::vector<std::size_t> labels;
  std::map<std::pair<Inode, int>, std::vector<std::size_t>> groups;
  for (const Candidate& one : candidates) {
    groups[{one.inode, one.access}].push_back(labels.size());
    numbers.push_back(one.number);
    labels.push_back(labels.size());
  }
  for (const auto& [may_be_one, group] : groups) {
    if (group.size() > 1) label_group(numbers, group, labels);
  }
  return labels;
}

}  // namespace

void identify_descriptors(Descriptors& all) {
  int inherited_count = 0;
  const Inherited* inherited = loader::inherited_descriptors(inherited_count);
  std::vector<Candidate> candidates;
  for (const Descriptor& one : all) candidates.push_back({one.number, inode_of(one), one.flags & O_ACCMODE});
  for (int i = 0; i < inherited_count; ++i) {
    const Inherited& one = inherited[i];
    if (one.kept >= 0) candidates.push_back({one.kept, {one.device, one.inode}, fcntl(one.kept, F_GETFL) & O_ACCMODE});
  }
  const std::vector<std::size_t> labels = label_open_files(candidates);

  std::map<std::size_t, int> lowest;  // by label
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i].same_as = lowest.emplace(labels[i], all[i].number).first->second;

  for (std::size_t i = 0; i < all.size(); ++i) {
    std::optional<int> best;
    std::size_t kept = all.size();
    for (int j = 0; j < inherited_count; ++j) {
      const bool same = inherited[j].kept >= 0 ? labels[kept++] == labels[i]
                                               : Inode{inherited[j].device, inherited[j].inode} ==
                                                     inode_of(all[i]);
      if (same && (!best || preference(all[i], inherited[j].number) < preference(all[i], *best)))
        best = inherited[j].number;
    }
    if (best) set_inherited(all[i], *best);
  }
}

}  // namespace mana::lower
