// SPDX-License-Identifier: BSD-3-Clause
// The neutral ABI: constants and structures of the MPI 5.0 standard ABI (MPI 5.0, chapter 20).  Everything between
// a front end and an adapter speaks it.  Handles travel as object pointers above (upper/objects.h) and as the lower
// library's own bits in crossings (lower_ops.h); the handle constants here only name predefined objects.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mana::abi {

// MPI_Status of the standard ABI: 32 bytes.  The reserved words are ours: a status lives in application memory across
// a restart, so it may hold no bits of a library.  bytes_low/high: bytes received; cancelled: 0 or 1.
struct Status {
  int32_t source;
  int32_t tag;
  int32_t error;
  uint32_t bytes_low;
  uint32_t bytes_high;
  int32_t cancelled;
  int32_t reserved[2];

  void set_bytes(uint64_t bytes) {
    bytes_low = static_cast<uint32_t>(bytes);
    bytes_high = static_cast<uint32_t>(bytes >> 32);
  }
  uint64_t bytes() const { return bytes_low | static_cast<uint64_t>(bytes_high) << 32; }
};
static_assert(sizeof(Status) == 32);


// error classes
inline constexpr int SUCCESS = 0;
inline constexpr int ERR_BUFFER = 1;
inline constexpr int ERR_COUNT = 2;
inline constexpr int ERR_TYPE = 3;
inline constexpr int ERR_TAG = 4;
inline constexpr int ERR_COMM = 5;
inline constexpr int ERR_RANK = 6;
inline constexpr int ERR_REQUEST = 7;
inline constexpr int ERR_ROOT = 8;
inline constexpr int ERR_GROUP = 9;
inline constexpr int ERR_OP = 10;
inline constexpr int ERR_TOPOLOGY = 11;
inline constexpr int ERR_DIMS = 12;
inline constexpr int ERR_ARG = 13;
inline constexpr int ERR_UNKNOWN = 14;
inline constexpr int ERR_TRUNCATE = 15;
inline constexpr int ERR_OTHER = 16;
inline constexpr int ERR_INTERN = 17;
inline constexpr int ERR_PENDING = 18;
inline constexpr int ERR_IN_STATUS = 19;
inline constexpr int ERR_ACCESS = 20;
inline constexpr int ERR_AMODE = 21;
inline constexpr int ERR_ASSERT = 22;
inline constexpr int ERR_BAD_FILE = 23;
inline constexpr int ERR_BASE = 24;
inline constexpr int ERR_CONVERSION = 25;
inline constexpr int ERR_DISP = 26;
inline constexpr int ERR_DUP_DATAREP = 27;
inline constexpr int ERR_FILE_EXISTS = 28;
inline constexpr int ERR_FILE_IN_USE = 29;
inline constexpr int ERR_FILE = 30;
inline constexpr int ERR_INFO_KEY = 31;
inline constexpr int ERR_INFO_NOKEY = 32;
inline constexpr int ERR_INFO_VALUE = 33;
inline constexpr int ERR_INFO = 34;
inline constexpr int ERR_IO = 35;
inline constexpr int ERR_KEYVAL = 36;
inline constexpr int ERR_LOCKTYPE = 37;
inline constexpr int ERR_NAME = 38;
inline constexpr int ERR_NO_MEM = 39;
inline constexpr int ERR_NOT_SAME = 40;
inline constexpr int ERR_NO_SPACE = 41;
inline constexpr int ERR_NO_SUCH_FILE = 42;
inline constexpr int ERR_PORT = 43;
inline constexpr int ERR_QUOTA = 44;
inline constexpr int ERR_READ_ONLY = 45;
inline constexpr int ERR_RMA_ATTACH = 46;
inline constexpr int ERR_RMA_CONFLICT = 47;
inline constexpr int ERR_RMA_RANGE = 48;
inline constexpr int ERR_RMA_SHARED = 49;
inline constexpr int ERR_RMA_SYNC = 50;
inline constexpr int ERR_SERVICE = 51;
inline constexpr int ERR_SIZE = 52;
inline constexpr int ERR_SPAWN = 53;
inline constexpr int ERR_UNSUPPORTED_DATAREP = 54;
inline constexpr int ERR_UNSUPPORTED_OPERATION = 55;
inline constexpr int ERR_WIN = 56;
inline constexpr int ERR_RMA_FLAVOR = 57;
inline constexpr int ERR_PROC_ABORTED = 58;
inline constexpr int ERR_VALUE_TOO_LARGE = 59;
inline constexpr int ERR_SESSION = 60;
inline constexpr int ERR_ERRHANDLER = 61;
inline constexpr int ERR_ABI = 62;
inline constexpr int T_ERR_CANNOT_INIT = 1001;
inline constexpr int T_ERR_NOT_ACCESSIBLE = 1002;
inline constexpr int T_ERR_NOT_INITIALIZED = 1003;
inline constexpr int T_ERR_NOT_SUPPORTED = 1004;
inline constexpr int T_ERR_MEMORY = 1005;
inline constexpr int T_ERR_INVALID = 1006;
inline constexpr int T_ERR_INVALID_INDEX = 1007;
inline constexpr int T_ERR_INVALID_ITEM = 1008;
inline constexpr int T_ERR_INVALID_SESSION = 1009;
inline constexpr int T_ERR_INVALID_HANDLE = 1010;
inline constexpr int T_ERR_INVALID_NAME = 1011;
inline constexpr int T_ERR_OUT_OF_HANDLES = 1012;
inline constexpr int T_ERR_OUT_OF_SESSIONS = 1013;
inline constexpr int T_ERR_CVAR_SET_NOT_NOW = 1014;
inline constexpr int T_ERR_CVAR_SET_NEVER = 1015;
inline constexpr int T_ERR_PVAR_NO_WRITE = 1016;
inline constexpr int T_ERR_PVAR_NO_STARTSTOP = 1017;
inline constexpr int T_ERR_PVAR_NO_ATOMIC = 1018;
inline constexpr int ERR_LASTCODE = 16383;

// buffer addr constants
inline constexpr int BOTTOM = 0;
inline constexpr int IN_PLACE = 1;
inline constexpr int BUFFER_AUTOMATIC = 2;

// empty ignore input constants
inline constexpr int ARGVS_NULL = 0;
inline constexpr int ARGV_NULL = 0;
inline constexpr int ERRCODES_IGNORE = 0;
inline constexpr int STATUSES_IGNORE = 0;
inline constexpr int STATUS_IGNORE = 0;
inline constexpr int UNWEIGHTED = 10;
inline constexpr int WEIGHTS_EMPTY = 11;

// max str size constants
inline constexpr int MAX_DATAREP_STRING = 128;
inline constexpr int MAX_ERROR_STRING = 512;
inline constexpr int MAX_INFO_KEY = 256;
inline constexpr int MAX_INFO_VAL = 1024;
inline constexpr int MAX_LIBRARY_VERSION_STRING = 8192;
inline constexpr int MAX_OBJECT_NAME = 128;
inline constexpr int MAX_PORT_NAME = 1024;
inline constexpr int MAX_PROCESSOR_NAME = 256;
inline constexpr int MAX_STRINGTAG_LEN = 1024;
inline constexpr int MAX_PSET_NAME_LEN = 1024;

// mode constants
inline constexpr int MODE_APPEND = 1;
inline constexpr int MODE_CREATE = 2;
inline constexpr int MODE_DELETE_ON_CLOSE = 4;
inline constexpr int MODE_EXCL = 8;
inline constexpr int MODE_RDONLY = 16;
inline constexpr int MODE_RDWR = 32;
inline constexpr int MODE_SEQUENTIAL = 64;
inline constexpr int MODE_UNIQUE_OPEN = 128;
inline constexpr int MODE_WRONLY = 256;
inline constexpr int MODE_NOCHECK = 1024;
inline constexpr int MODE_NOPRECEDE = 2048;
inline constexpr int MODE_NOPUT = 4096;
inline constexpr int MODE_NOSTORE = 8192;
inline constexpr int MODE_NOSUCCEED = 16384;

// assorted constants
inline constexpr int ANY_SOURCE = -1;
inline constexpr int ANY_TAG = -2;
inline constexpr int PROC_NULL = -3;
inline constexpr int ROOT = -4;
inline constexpr int UNDEFINED = -32766;
inline constexpr int BSEND_OVERHEAD = 512;

// threads constants
inline constexpr int THREAD_SINGLE = 0;
inline constexpr int THREAD_FUNNELED = 1024;
inline constexpr int THREAD_SERIALIZED = 2048;
inline constexpr int THREAD_MULTIPLE = 4096;

// file operations constants
inline constexpr int ORDER_C = 12;
inline constexpr int ORDER_FORTRAN = 15;
inline constexpr int DISTRIBUTE_NONE = 16;
inline constexpr int DISTRIBUTE_BLOCK = 17;
inline constexpr int DISTRIBUTE_CYCLIC = 18;
inline constexpr int DISTRIBUTE_DFLT_DARG = 19;

// datatype decoding constants
inline constexpr int COMBINER_NAMED = 0x65;
inline constexpr int COMBINER_DUP = 0x66;
inline constexpr int COMBINER_CONTIGUOUS = 0x67;
inline constexpr int COMBINER_VECTOR = 0x68;
inline constexpr int COMBINER_HVECTOR = 0x69;
inline constexpr int COMBINER_INDEXED = 0x6a;
inline constexpr int COMBINER_HINDEXED = 0x6b;
inline constexpr int COMBINER_INDEXED_BLOCK = 0x6c;
inline constexpr int COMBINER_HINDEXED_BLOCK = 0x6d;
inline constexpr int COMBINER_STRUCT = 0x6e;
inline constexpr int COMBINER_SUBARRAY = 0x6f;
inline constexpr int COMBINER_DARRAY = 0x70;
inline constexpr int COMBINER_F90_REAL = 0x71;
inline constexpr int COMBINER_F90_COMPLEX = 0x72;
inline constexpr int COMBINER_F90_INTEGER = 0x73;
inline constexpr int COMBINER_RESIZED = 0x74;
inline constexpr int COMBINER_VALUE_INDEX = 0x75;

// f90 datatype matching constants
inline constexpr int TYPECLASS_INTEGER = 0xc0;
inline constexpr int TYPECLASS_REAL = 0xc1;
inline constexpr int TYPECLASS_COMPLEX = 0xc2;

// communicator group comp results
inline constexpr int IDENT = 0xc9;
inline constexpr int CONGRUENT = 0xca;
inline constexpr int SIMILAR = 0xcb;
inline constexpr int UNEQUAL = 0xcc;

// topologies
inline constexpr int CART = 211;
inline constexpr int GRAPH = 212;
inline constexpr int DIST_GRAPH = 213;

// communicator split type
inline constexpr int COMM_TYPE_SHARED = 0xdd;
inline constexpr int COMM_TYPE_HW_UNGUIDED = 0xde;
inline constexpr int COMM_TYPE_HW_GUIDED = 0xdf;
inline constexpr int COMM_TYPE_RESOURCE_GUIDED = 0xe0;

// window lock type constants
inline constexpr int LOCK_EXCLUSIVE = 301;
inline constexpr int LOCK_SHARED = 302;

// window create flavors
inline constexpr int WIN_FLAVOR_CREATE = 311;
inline constexpr int WIN_FLAVOR_ALLOCATE = 312;
inline constexpr int WIN_FLAVOR_DYNAMIC = 313;
inline constexpr int WIN_FLAVOR_SHARED = 314;

// window models
inline constexpr int WIN_UNIFIED = 321;
inline constexpr int WIN_SEPARATE = 322;

// file pos constants
inline constexpr int FILE_SEEK_CUR = 401;
inline constexpr int FILE_SEEK_END = 402;
inline constexpr int FILE_SEEK_SET = 403;

// file op constants
inline constexpr int DISPLACEMENT_CURRENT = -1;

// env inq and attr keys
inline constexpr int KEYVAL_INVALID = 0;
inline constexpr int TAG_UB = 501;
inline constexpr int IO = 502;
inline constexpr int HOST = 503;
inline constexpr int WTIME_IS_GLOBAL = 504;
inline constexpr int APPNUM = 505;
inline constexpr int LASTUSEDCODE = 506;
inline constexpr int UNIVERSE_SIZE = 507;
inline constexpr int WIN_BASE = 601;
inline constexpr int WIN_DISP_UNIT = 602;
inline constexpr int WIN_SIZE = 603;
inline constexpr int WIN_CREATE_FLAVOR = 604;
inline constexpr int WIN_MODEL = 605;

// status array size and index fortran
inline constexpr int STATUS_SIZE = 8;
inline constexpr int SOURCE = 1;
inline constexpr int TAG = 2;
inline constexpr int ERROR = 3;

// fortran status array size and index c
inline constexpr int F_STATUS_SIZE = 8;
inline constexpr int F_SOURCE = 0;
inline constexpr int F_TAG = 1;
inline constexpr int F_ERROR = 2;

// reserved communicators
inline constexpr int COMM_NULL = 0x100;
inline constexpr int COMM_WORLD = 0x101;
inline constexpr int COMM_SELF = 0x102;

// predefined datatypes
inline constexpr int DATATYPE_NULL = 0x200;
inline constexpr int AINT = 0x201;
inline constexpr int COUNT = 0x202;
inline constexpr int OFFSET = 0x203;
inline constexpr int PACKED = 0x207;
inline constexpr int SHORT = 0x208;
inline constexpr int INT = 0x209;
inline constexpr int LONG = 0x20a;
inline constexpr int LONG_LONG_INT = 0x20b;
inline constexpr int LONG_LONG = 0x20b;
inline constexpr int UNSIGNED_SHORT = 0x20c;
inline constexpr int UNSIGNED = 0x20d;
inline constexpr int UNSIGNED_LONG = 0x20e;
inline constexpr int UNSIGNED_LONG_LONG = 0x20f;
inline constexpr int FLOAT = 0x210;
inline constexpr int C_COMPLEX = 0x212;
inline constexpr int C_FLOAT_COMPLEX = 0x212;
inline constexpr int DOUBLE = 0x214;
inline constexpr int C_DOUBLE_COMPLEX = 0x216;
inline constexpr int LONG_DOUBLE = 0x220;
inline constexpr int C_LONG_DOUBLE_COMPLEX = 0x224;
inline constexpr int C_BOOL = 0x238;
inline constexpr int WCHAR = 0x23c;
inline constexpr int INT8_T = 0x240;
inline constexpr int UINT8_T = 0x241;
inline constexpr int CHAR = 0x243;
inline constexpr int SIGNED_CHAR = 0x244;
inline constexpr int UNSIGNED_CHAR = 0x245;
inline constexpr int BYTE = 0x247;
inline constexpr int INT16_T = 0x248;
inline constexpr int UINT16_T = 0x249;
inline constexpr int INT32_T = 0x250;
inline constexpr int UINT32_T = 0x251;
inline constexpr int INT64_T = 0x258;
inline constexpr int UINT64_T = 0x259;
inline constexpr int LOGICAL = 0x218;
inline constexpr int INTEGER = 0x219;
inline constexpr int REAL = 0x21a;
inline constexpr int COMPLEX = 0x21b;
inline constexpr int DOUBLE_PRECISION = 0x21c;
inline constexpr int CHARACTER = 0x21e;
inline constexpr int CXX_FLOAT_COMPLEX = 0x213;
inline constexpr int CXX_DOUBLE_COMPLEX = 0x217;
inline constexpr int CXX_LONG_DOUBLE_COMPLEX = 0x225;
inline constexpr int CXX_BOOL = 0x239;

// opt datatypes fortran
inline constexpr int DOUBLE_COMPLEX = 0x21d;
inline constexpr int LOGICAL1 = 0x2c0;
inline constexpr int LOGICAL2 = 0x2c8;
inline constexpr int LOGICAL4 = 0x2d0;
inline constexpr int LOGICAL8 = 0x2d8;
inline constexpr int LOGICAL16 = 0x2e0;
inline constexpr int INTEGER1 = 0x2c1;
inline constexpr int INTEGER2 = 0x2c9;
inline constexpr int INTEGER4 = 0x2d1;
inline constexpr int INTEGER8 = 0x2d9;
inline constexpr int INTEGER16 = 0x2e1;
inline constexpr int REAL2 = 0x2ca;
inline constexpr int REAL4 = 0x2d2;
inline constexpr int REAL8 = 0x2da;
inline constexpr int REAL16 = 0x2e2;
inline constexpr int COMPLEX4 = 0x2d3;
inline constexpr int COMPLEX8 = 0x2db;
inline constexpr int COMPLEX16 = 0x2e3;
inline constexpr int COMPLEX32 = 0x2eb;

// reduction func datatypes c
inline constexpr int FLOAT_INT = 0x228;
inline constexpr int DOUBLE_INT = 0x229;
inline constexpr int LONG_INT = 0x22a;
inline constexpr int TWO_INT = 0x22b;
inline constexpr int SHORT_INT = 0x22c;
inline constexpr int LONG_DOUBLE_INT = 0x22d;

// reduction func datatypes fortran
inline constexpr int TWO_REAL = 0x230;
inline constexpr int TWO_DOUBLE_PRECISION = 0x231;
inline constexpr int TWO_INTEGER = 0x232;

// msg handles
inline constexpr int MESSAGE_NULL = 0x128;
inline constexpr int MESSAGE_NO_PROC = 0x129;

// error specifiers
inline constexpr int ERRHANDLER_NULL = 320;
inline constexpr int ERRORS_ARE_FATAL = 321;
inline constexpr int ERRORS_ABORT = 322;
inline constexpr int ERRORS_RETURN = 323;

// env inq info key
inline constexpr int INFO_NULL = 304;
inline constexpr int INFO_ENV = 305;

// collective ops
inline constexpr int OP_NULL = 0x20;
inline constexpr int SUM = 0x21;
inline constexpr int MIN = 0x22;
inline constexpr int MAX = 0x23;
inline constexpr int PROD = 0x24;
inline constexpr int BAND = 0x28;
inline constexpr int BOR = 0x29;
inline constexpr int BXOR = 0x2a;
inline constexpr int LAND = 0x30;
inline constexpr int LOR = 0x31;
inline constexpr int LXOR = 0x32;
inline constexpr int MINLOC = 0x38;
inline constexpr int MAXLOC = 0x39;
inline constexpr int REPLACE = 0x3c;
inline constexpr int NO_OP = 0x3d;

// group handles
inline constexpr int GROUP_NULL = 0x108;
inline constexpr int GROUP_EMPTY = 0x109;

// other handles
inline constexpr int REQUEST_NULL = 0x180;
inline constexpr int FILE_NULL = 0x118;
inline constexpr int SESSION_NULL = 0x120;
inline constexpr int WIN_NULL = 0x110;

// functions
inline constexpr int COMM_NULL_COPY_FN = 0;
inline constexpr int COMM_DUP_FN = 1;
inline constexpr int COMM_NULL_DELETE_FN = 0;
inline constexpr int WIN_NULL_COPY_FN = 0;
inline constexpr int WIN_DUP_FN = 1;
inline constexpr int WIN_NULL_DELETE_FN = 0;
inline constexpr int TYPE_NULL_COPY_FN = 0;
inline constexpr int TYPE_DUP_FN = 1;
inline constexpr int TYPE_NULL_DELETE_FN = 0;
inline constexpr int CONVERSION_FN_NULL = 0;
inline constexpr int CONVERSION_FN_NULL_C = 0;

// deprecated funcs
inline constexpr int NULL_COPY_FN = 0;
inline constexpr int DUP_FN = 1;
inline constexpr int NULL_DELETE_FN = 0;

// c preprocessor constants fortran parameters
inline constexpr int VERSION = 5;
inline constexpr int SUBVERSION = 0;
inline constexpr int ABI_VERSION = 1;
inline constexpr int ABI_SUBVERSION = 0;

// tool info iface handles
inline constexpr int T_ENUM_NULL = 0;
inline constexpr int T_CVAR_HANDLE_NULL = 0;
inline constexpr int T_PVAR_HANDLE_NULL = 0;
inline constexpr int T_PVAR_SESSION_NULL = 0;
inline constexpr int T_PVAR_ALL_HANDLES = 1;

// tool info iface verbosity levels
inline constexpr int T_VERBOSITY_USER_BASIC = 9;
inline constexpr int T_VERBOSITY_USER_DETAIL = 10;
inline constexpr int T_VERBOSITY_USER_ALL = 12;
inline constexpr int T_VERBOSITY_TUNER_BASIC = 17;
inline constexpr int T_VERBOSITY_TUNER_DETAIL = 18;
inline constexpr int T_VERBOSITY_TUNER_ALL = 20;
inline constexpr int T_VERBOSITY_MPIDEV_BASIC = 33;
inline constexpr int T_VERBOSITY_MPIDEV_DETAIL = 34;
inline constexpr int T_VERBOSITY_MPIDEV_ALL = 36;

// tool info iface var associations
inline constexpr int T_BIND_NO_OBJECT = 1;
inline constexpr int T_BIND_MPI_COMM = 2;
inline constexpr int T_BIND_MPI_DATATYPE = 3;
inline constexpr int T_BIND_MPI_ERRHANDLER = 4;
inline constexpr int T_BIND_MPI_FILE = 5;
inline constexpr int T_BIND_MPI_GROUP = 6;
inline constexpr int T_BIND_MPI_OP = 7;
inline constexpr int T_BIND_MPI_REQUEST = 8;
inline constexpr int T_BIND_MPI_WIN = 9;
inline constexpr int T_BIND_MPI_MESSAGE = 10;
inline constexpr int T_BIND_MPI_INFO = 11;
inline constexpr int T_BIND_MPI_SESSION = 12;

// tool info iface var scopes
inline constexpr int T_SCOPE_CONSTANT = 1;
inline constexpr int T_SCOPE_READONLY = 2;
inline constexpr int T_SCOPE_LOCAL = 3;
inline constexpr int T_SCOPE_GROUP = 4;
inline constexpr int T_SCOPE_GROUP_EQ = 5;
inline constexpr int T_SCOPE_ALL = 6;
inline constexpr int T_SCOPE_ALL_EQ = 7;

// tool info iface pvar classes
inline constexpr int T_PVAR_CLASS_STATE = 1;
inline constexpr int T_PVAR_CLASS_LEVEL = 2;
inline constexpr int T_PVAR_CLASS_SIZE = 3;
inline constexpr int T_PVAR_CLASS_PERCENTAGE = 4;
inline constexpr int T_PVAR_CLASS_HIGHWATERMARK = 5;
inline constexpr int T_PVAR_CLASS_LOWWATERMARK = 6;
inline constexpr int T_PVAR_CLASS_COUNTER = 7;
inline constexpr int T_PVAR_CLASS_AGGREGATE = 8;
inline constexpr int T_PVAR_CLASS_TIMER = 9;
inline constexpr int T_PVAR_CLASS_GENERIC = 10;

// tool info iface source orderings
inline constexpr int T_SOURCE_ORDERED = 1;
inline constexpr int T_SOURCE_UNORDERED = 2;

// tool info iface cb safety req levels
inline constexpr int T_CB_REQUIRE_NONE = 0;
inline constexpr int T_CB_REQUIRE_MPI_RESTRICTED = 3;
inline constexpr int T_CB_REQUIRE_THREAD_SAFE = 15;
inline constexpr int T_CB_REQUIRE_ASYNC_SIGNAL_SAFE = 63;

// Predefined objects of older standards that today's libraries still export; numbers that the standard ABI leaves free.
inline constexpr int LB = 0x204;
inline constexpr int UB = 0x205;
inline constexpr int TWO_COMPLEX = 0x234;
inline constexpr int TWO_DOUBLE_COMPLEX = 0x235;
inline constexpr int LASTCODE_FIRST_USER = ERR_LASTCODE + 1;  // first class or code of MPI_Add_error_class/code

}  // namespace mana::abi
