// SPDX-License-Identifier: BSD-3-Clause
// MPI 5.0, 5.3 and 14.5.2: the canonical representation "external32": big-endian, fixed sizes, IEEE reals.
#include "upper/errors.h"
#include "upper/pack.h"
#include "upper/text.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

namespace {

void reverse(uint8_t* to, const uint8_t* from, int bytes) {
  for (int index = 0; index < bytes; ++index) to[index] = from[bytes - 1 - index];
}

uint64_t load_word(const uint8_t* from) {
  uint64_t word;
  __builtin_memcpy(&word, from, 8);
  return word;
}

// x87 extended (15-bit exponent, explicit leading bit) to and from binary128, both in memory order.
void extended_to_quad(uint8_t* quad, const uint8_t* extended) {
  const uint64_t mantissa = load_word(extended), fraction = mantissa << 1;  // the leading bit is implicit there
  const uint64_t words[] = {fraction << 48, fraction >> 16};
  __builtin_memcpy(quad, words, 16);
  quad[14] = extended[8];
  quad[15] = extended[9];
}

void quad_to_extended(uint8_t* extended, const uint8_t* quad) {
  const uint64_t high = load_word(quad + 8), low = load_word(quad);
  const uint64_t exponent = high >> 48 & 0x7fff, fraction = high << 16 | low >> 48;
  const uint64_t mantissa = fraction >> 1 | (exponent != 0 ? uint64_t{1} << 63 : 0);
  __builtin_memset(extended, 0, 16);
  __builtin_memcpy(extended, &mantissa, 8);
  extended[8] = quad[14];
  extended[9] = quad[15];
}

bool is_extended(const Datatype* type, const Part& part) {
  return part.basic == Basic::real && part.bytes == 16 && type->constant != abi::REAL16 &&
         type->constant != abi::COMPLEX32;
}

void part_to_external(const Datatype* type, const Part& part, uint8_t* to, const uint8_t* from) {
  uint8_t quad[16];
  if (is_extended(type, part)) {
    extended_to_quad(quad, from);
    from = quad;
  }
  if (part.basic == Basic::bytes) {
    copy_bytes(to, from, part.bytes);
  } else {
    reverse(to, from, part.external_bytes);  // a shorter external form keeps the low bytes
  }
}

void part_from_external(const Datatype* type, const Part& part, uint8_t* to, const uint8_t* from) {
  if (part.basic == Basic::bytes) {
    copy_bytes(to, from, part.bytes);
    return;
  }
  uint8_t native[16];
  reverse(native, from, part.external_bytes);
  const bool negative = part.basic == Basic::integer && (from[0] & 0x80);
  for (int index = part.external_bytes; index < part.bytes; ++index) native[index] = negative ? 0xff : 0;
  if (is_extended(type, part)) {
    quad_to_extended(to, native);
  } else {
    copy_bytes(to, native, part.bytes);
  }
}

int64_t external_bytes(const Datatype* basic) {
  int64_t bytes = 0;
  for (int part = 0; part < basic->part_count; ++part) bytes += basic->parts[part].external_bytes;
  return bytes;
}

struct Conversion {
  uint8_t* memory;
  uint8_t* stream;
  int64_t left;
  bool into_stream;
};

bool convert_run(const Datatype* basic, int64_t displacement, int64_t count, void* context) {
  auto* conversion = static_cast<Conversion*>(context);
  uint8_t* at = conversion->memory + displacement;
  for (int64_t element = 0; element < count; ++element, at += basic->extent) {
    for (int index = 0; index < basic->part_count; ++index) {
      const Part& part = basic->parts[index];
      if (conversion->left < part.external_bytes) return false;
      if (conversion->into_stream) {
        part_to_external(basic, part, conversion->stream, at + part.offset);
      } else {
        part_from_external(basic, part, at + part.offset, conversion->stream);
      }
      conversion->stream += part.external_bytes;
      conversion->left -= part.external_bytes;
    }
  }
  return true;
}

bool add_run(const Datatype* basic, int64_t, int64_t count, void* context) {
  *static_cast<int64_t*>(context) += count * external_bytes(basic);
  return true;
}

int64_t external_size(int64_t count, const Datatype* type) {
  int64_t one = 0;
  walk_type_map(type, 1, 0, add_run, &one);
  return count * one;
}

int check(const char* call, const char* datarep, const Datatype* type, int64_t count) {
  if (!datarep || !text_equal(datarep, "external32")) return raise(abi::ERR_ARG, call);
  if (!type) return raise(abi::ERR_TYPE, call);
  if (count < 0) return raise(abi::ERR_COUNT, call);
  return abi::SUCCESS;
}

uint8_t* bytes_at(const void* buffer, int64_t position) {
  return static_cast<uint8_t*>(const_cast<void*>(buffer)) + position;
}

}  // namespace

int Pack_external(const char* datarep, const void* inbuf, int64_t incount, Datatype* datatype, void* outbuf,
                  int64_t outsize, int64_t* position) {
  if (int error = check("MPI_Pack_external", datarep, datatype, incount)) return error;
  const int64_t size = external_size(incount, datatype);
  if (*position < 0 || outsize - *position < size) return raise(abi::ERR_ARG, "MPI_Pack_external");
  Conversion conversion{bytes_at(inbuf, 0), bytes_at(outbuf, *position), size, true};
  walk_type_map(datatype, incount, 0, convert_run, &conversion);
  *position += size;
  return abi::SUCCESS;
}

int Unpack_external(const char* datarep, const void* inbuf, int64_t insize, int64_t* position, void* outbuf,
                    int64_t outcount, Datatype* datatype) {
  if (int error = check("MPI_Unpack_external", datarep, datatype, outcount)) return error;
  const int64_t size = external_size(outcount, datatype);
  if (*position < 0 || insize - *position < size) return raise(abi::ERR_TRUNCATE, "MPI_Unpack_external");
  Conversion conversion{bytes_at(outbuf, 0), bytes_at(inbuf, *position), size, false};
  walk_type_map(datatype, outcount, 0, convert_run, &conversion);
  *position += size;
  return abi::SUCCESS;
}

int Pack_external_size(const char* datarep, int64_t incount, Datatype* datatype, int64_t* size) {
  if (int error = check("MPI_Pack_external_size", datarep, datatype, incount)) return error;
  *size = external_size(incount, datatype);
  return abi::SUCCESS;
}

}  // namespace mana::upper
