// SPDX-License-Identifier: BSD-3-Clause
// Info objects: ordered key-value lists above; the lower half's is made from the list when a crossing first needs one.
#pragma once

#include <cstdint>

#include "upper/object_tables.h"
#include "upper/objects.h"

namespace mana::upper {

Info* make_info();                              // one reference, a handle of the application
Info* copy_info(const Info* info);              // nullptr gives an empty one
int info_put(Info* info, const char* key, const char* value);  // adds or replaces; 0 or error class
const char* info_value(const Info* info, const char* key);     // nullptr: not there
// Called within a Call.  Lower bits, 0 for nullptr (the lower half takes that for MPI_INFO_NULL).
uint64_t make_lower(Info* info);
inline uint64_t lower(Info* info) { return !info ? 0 : info->lower ? info->lower : make_lower(info); }
Info* environment_info();                       // MPI_INFO_ENV, filled by MPI_Init

void destroy_info(Info* info);
void start_infos();

}  // namespace mana::upper
