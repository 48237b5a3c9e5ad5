// SPDX-License-Identifier: BSD-3-Clause
// Integer constants whose values differ between the neutral ABI and the MPI library, by kind of
// parameter. A value that the table does not have is passed on as it is, for the library to
// complain about.
#pragma once

#include <mpi.h>

#include <cstddef>

#include "upper/abi.h"

namespace mana::lower {

struct ConstantPair {
  int neutral, native;
};

template <std::size_t N>
constexpr int to_native(const ConstantPair (&table)[N], int value) {
  for (const ConstantPair& pair : table) {
    if (pair.neutral == value) return pair.native;
  }
  return value;
}
template <std::size_t N>
constexpr int to_neutral(const ConstantPair (&table)[N], int value) {
  for (const ConstantPair& pair : table) {
    if (pair.native == value) return pair.neutral;
  }
  return value;
}
// Sets of flags: each known bit is translated.
template <std::size_t N>
constexpr int flags_to_native(const ConstantPair (&table)[N], int value) {
  int flags = 0;
  for (const ConstantPair& pair : table) {
    if (value & pair.neutral) flags |= pair.native;
  }
  return flags;
}
template <std::size_t N>
constexpr int flags_to_neutral(const ConstantPair (&table)[N], int value) {
  int flags = 0;
  for (const ConstantPair& pair : table) {
    if (value & pair.native) flags |= pair.neutral;
  }
  return flags;
}

// THREAD_LEVEL
inline constexpr ConstantPair kThreadLevels[] = {{abi::THREAD_SINGLE, MPI_THREAD_SINGLE},
                                                 {abi::THREAD_FUNNELED, MPI_THREAD_FUNNELED},
                                                 {abi::THREAD_SERIALIZED, MPI_THREAD_SERIALIZED},
                                                 {abi::THREAD_MULTIPLE, MPI_THREAD_MULTIPLE}};

// COMBINER
inline constexpr ConstantPair kCombiners[] = {
    {abi::COMBINER_NAMED, MPI_COMBINER_NAMED},
    {abi::COMBINER_DUP, MPI_COMBINER_DUP},
    {abi::COMBINER_CONTIGUOUS, MPI_COMBINER_CONTIGUOUS},
    {abi::COMBINER_VECTOR, MPI_COMBINER_VECTOR},
    {abi::COMBINER_HVECTOR, MPI_COMBINER_HVECTOR},
    {abi::COMBINER_INDEXED, MPI_COMBINER_INDEXED},
    {abi::COMBINER_HINDEXED, MPI_COMBINER_HINDEXED},
    {abi::COMBINER_INDEXED_BLOCK, MPI_COMBINER_INDEXED_BLOCK},
    {abi::COMBINER_HINDEXED_BLOCK, MPI_COMBINER_HINDEXED_BLOCK},
    {abi::COMBINER_STRUCT, MPI_COMBINER_STRUCT},
    {abi::COMBINER_SUBARRAY, MPI_COMBINER_SUBARRAY},
    {abi::COMBINER_DARRAY, MPI_COMBINER_DARRAY},
    {abi::COMBINER_F90_REAL, MPI_COMBINER_F90_REAL},
    {abi::COMBINER_F90_COMPLEX, MPI_COMBINER_F90_COMPLEX},
    {abi::COMBINER_F90_INTEGER, MPI_COMBINER_F90_INTEGER},
    {abi::COMBINER_RESIZED, MPI_COMBINER_RESIZED}};

// TYPECLASS
inline constexpr ConstantPair kTypeClasses[] = {{abi::TYPECLASS_INTEGER, MPI_TYPECLASS_INTEGER},
                                                {abi::TYPECLASS_REAL, MPI_TYPECLASS_REAL},
                                                {abi::TYPECLASS_COMPLEX, MPI_TYPECLASS_COMPLEX}};

// COMM_COMPARISON, GROUP_COMPARISON
inline constexpr ConstantPair kComparisons[] = {{abi::IDENT, MPI_IDENT},
                                                {abi::CONGRUENT, MPI_CONGRUENT},
                                                {abi::SIMILAR, MPI_SIMILAR},
                                                {abi::UNEQUAL, MPI_UNEQUAL}};

// TOPOLOGY_TYPE
inline constexpr ConstantPair kTopologies[] = {{abi::CART, MPI_CART},
                                               {abi::GRAPH, MPI_GRAPH},
                                               {abi::DIST_GRAPH, MPI_DIST_GRAPH},
                                               {abi::UNDEFINED, MPI_UNDEFINED}};

// SPLIT_TYPE
inline constexpr ConstantPair kSplitTypes[] = {
    {abi::COMM_TYPE_SHARED, MPI_COMM_TYPE_SHARED},
#if MPI_VERSION >= 4
    {abi::COMM_TYPE_HW_GUIDED, MPI_COMM_TYPE_HW_GUIDED},
    {abi::COMM_TYPE_HW_UNGUIDED, MPI_COMM_TYPE_HW_UNGUIDED},
#endif
    {abi::UNDEFINED, MPI_UNDEFINED}};

// ORDER, DISTRIB_ENUM
inline constexpr ConstantPair kOrders[] = {{abi::ORDER_C, MPI_ORDER_C},
                                           {abi::ORDER_FORTRAN, MPI_ORDER_FORTRAN}};
inline constexpr ConstantPair kDistributions[] = {{abi::DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_BLOCK},
                                                  {abi::DISTRIBUTE_CYCLIC, MPI_DISTRIBUTE_CYCLIC},
                                                  {abi::DISTRIBUTE_NONE, MPI_DISTRIBUTE_NONE}};
inline constexpr ConstantPair kDistributionArguments[] = {
    {abi::DISTRIBUTE_DFLT_DARG, MPI_DISTRIBUTE_DFLT_DARG}};

// LOCK_TYPE; ASSERT (flags); flavours and models of windows (attribute values)
inline constexpr ConstantPair kLockTypes[] = {{abi::LOCK_EXCLUSIVE, MPI_LOCK_EXCLUSIVE},
                                              {abi::LOCK_SHARED, MPI_LOCK_SHARED}};
inline constexpr ConstantPair kWindowAsserts[] = {{abi::MODE_NOCHECK, MPI_MODE_NOCHECK},
                                                  {abi::MODE_NOPRECEDE, MPI_MODE_NOPRECEDE},
                                                  {abi::MODE_NOPUT, MPI_MODE_NOPUT},
                                                  {abi::MODE_NOSTORE, MPI_MODE_NOSTORE},
                                                  {abi::MODE_NOSUCCEED, MPI_MODE_NOSUCCEED}};
inline constexpr ConstantPair kWindowFlavors[] = {
    {abi::WIN_FLAVOR_CREATE, MPI_WIN_FLAVOR_CREATE},
    {abi::WIN_FLAVOR_ALLOCATE, MPI_WIN_FLAVOR_ALLOCATE},
    {abi::WIN_FLAVOR_DYNAMIC, MPI_WIN_FLAVOR_DYNAMIC},
    {abi::WIN_FLAVOR_SHARED, MPI_WIN_FLAVOR_SHARED}};
inline constexpr ConstantPair kWindowModels[] = {{abi::WIN_UNIFIED, MPI_WIN_UNIFIED},
                                                 {abi::WIN_SEPARATE, MPI_WIN_SEPARATE}};

// ACCESS_MODE (flags), UPDATE_MODE
inline constexpr ConstantPair kFileModes[] = {{abi::MODE_APPEND, MPI_MODE_APPEND},
                                              {abi::MODE_CREATE, MPI_MODE_CREATE},
                                              {abi::MODE_DELETE_ON_CLOSE, MPI_MODE_DELETE_ON_CLOSE},
                                              {abi::MODE_EXCL, MPI_MODE_EXCL},
                                              {abi::MODE_RDONLY, MPI_MODE_RDONLY},
                                              {abi::MODE_RDWR, MPI_MODE_RDWR},
                                              {abi::MODE_SEQUENTIAL, MPI_MODE_SEQUENTIAL},
                                              {abi::MODE_UNIQUE_OPEN, MPI_MODE_UNIQUE_OPEN},
                                              {abi::MODE_WRONLY, MPI_MODE_WRONLY}};
inline constexpr ConstantPair kFileSeeks[] = {{abi::FILE_SEEK_CUR, MPI_SEEK_CUR},
                                              {abi::FILE_SEEK_END, MPI_SEEK_END},
                                              {abi::FILE_SEEK_SET, MPI_SEEK_SET}};
// MPI_File_set_view's displacement.
inline constexpr long long native_displacement(long long displacement) {
  return displacement == abi::DISPLACEMENT_CURRENT ? MPI_DISPLACEMENT_CURRENT : displacement;
}

// KEYVAL: predefined attributes only; the application's own keys live in the upper half.
inline constexpr ConstantPair kKeyvals[] = {{abi::TAG_UB, MPI_TAG_UB},
                                            {abi::IO, MPI_IO},
                                            {abi::HOST, MPI_HOST},
                                            {abi::WTIME_IS_GLOBAL, MPI_WTIME_IS_GLOBAL},
                                            {abi::APPNUM, MPI_APPNUM},
                                            {abi::LASTUSEDCODE, MPI_LASTUSEDCODE},
                                            {abi::UNIVERSE_SIZE, MPI_UNIVERSE_SIZE},
                                            {abi::WIN_BASE, MPI_WIN_BASE},
                                            {abi::WIN_DISP_UNIT, MPI_WIN_DISP_UNIT},
                                            {abi::WIN_SIZE, MPI_WIN_SIZE},
                                            {abi::WIN_CREATE_FLAVOR, MPI_WIN_CREATE_FLAVOR},
                                            {abi::WIN_MODEL, MPI_WIN_MODEL},
                                            {abi::KEYVAL_INVALID, MPI_KEYVAL_INVALID}};

}  // namespace mana::lower
