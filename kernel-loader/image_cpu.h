// SPDX-License-Identifier: BSD-3-Clause
// What the CPU offers to user code, as an image records it.
#pragma once

#include <string>

#include "kernel-loader/image_format.h"

namespace mana::image {

CpuFeatures this_cpu();

// Names of the instruction sets that `saved` has and `here` lacks, "avx512f, vaes"; empty: the image can run here.
std::string missing_features(const CpuFeatures& saved, const CpuFeatures& here);

}  // namespace mana::image
