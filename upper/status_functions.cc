// SPDX-License-Identifier: BSD-3-Clause
// MPI 5.0, 3.2.5, 3.8.4, 5.1.11 and 13.3: what a status says.  Read only; no protection against a checkpoint is needed.
#include "upper/datatype.h"
#include "upper/errors.h"
#include "upper/front_end.h"
#include "upper/status.h"
#include "mpi_wrappers/upper_api.h"

namespace mana::upper {

int Get_count(const abi::Status* status, Datatype* datatype, int64_t* count) {
  if (!datatype) return raise(abi::ERR_TYPE, "MPI_Get_count");
  const auto bytes = static_cast<int64_t>(status->bytes());
  if (datatype->size == 0) {
    *count = bytes == 0 ? 0 : abi::UNDEFINED;
  } else {
    *count = bytes % datatype->size == 0 ? bytes / datatype->size : abi::UNDEFINED;
  }
  return abi::SUCCESS;
}

int Get_elements(const abi::Status* status, Datatype* datatype, int64_t* count) {
  if (!datatype) return raise(abi::ERR_TYPE, "MPI_Get_elements");
  if (is_predefined(datatype) && front_end::facts.pair_elements == 1) return Get_count(status, datatype, count);
  *count = count_elements(datatype, static_cast<int64_t>(status->bytes()));
  return abi::SUCCESS;
}
int Get_elements_x(const abi::Status* status, Datatype* datatype, int64_t* count) {
  return Get_elements(status, datatype, count);
}

int Status_set_elements(abi::Status* status, Datatype* datatype, int64_t count) {
  if (!datatype) return raise(abi::ERR_TYPE, "MPI_Status_set_elements");
  if (count < 0) return raise(abi::ERR_COUNT, "MPI_Status_set_elements");
  // For a predefined pair type both libraries take the count of pairs here.
  const int64_t bytes = is_predefined(datatype) ? count * datatype->size : bytes_of_elements(datatype, count);
  status->set_bytes(static_cast<uint64_t>(bytes));
  return abi::SUCCESS;
}
int Status_set_elements_x(abi::Status* status, Datatype* datatype, int64_t count) {
  return Status_set_elements(status, datatype, count);
}

int Status_set_cancelled(abi::Status* status, int flag) {
  status->cancelled = flag != 0;
  return abi::SUCCESS;
}

int Test_cancelled(const abi::Status* status, int* flag) {
  *flag = status->cancelled != 0;
  return abi::SUCCESS;
}

}  // namespace mana::upper
