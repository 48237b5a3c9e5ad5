# SPDX-License-Identifier: BSD-3-Clause
"""What each parameter kind of the standard is in C, in the upper API, and in an argument block.

A kind that is listed nowhere ends the build.
"""
import sys

# kind: class in mana::upper
HANDLES = {
    'COMMUNICATOR': 'Comm', 'DATATYPE': 'Datatype', 'GROUP': 'Group', 'OPERATION': 'Op', 'REQUEST': 'Request',
    'INFO': 'Info', 'ERRHANDLER': 'Errhandler', 'WINDOW': 'Window', 'FILE': 'File', 'MESSAGE': 'Message',
    'SESSION': 'Session',
}
# Handles of the tool interface: the library's own bits, never looked into (while any exists no checkpoint is taken).
TOOL_HANDLES = {'TOOLS_ENUM', 'CVAR', 'PVAR', 'PVAR_SESSION', 'EVENT_REGISTRATION', 'EVENT_INSTANCE'}

# int in the plain function, MPI_Count in the _c variant ...
POLY_INT = {
    'POLYXFER_NUM_ELEM', 'POLYXFER_NUM_ELEM_NNI', 'POLYDTYPE_NUM_ELEM', 'POLYDTYPE_NUM_ELEM_NNI',
    'POLYDTYPE_NUM_ELEM_PI', 'POLYNUM_BYTES', 'POLYNUM_BYTES_NNI',
    'POLYNUM_PARAM_VALUES', 'POLYRMA_DISPLACEMENT', 'POLYDISPLACEMENT', 'POLYDISPLACEMENT_COUNT',
}
# ... and MPI_Aint in the plain one: 64 bits in both.
# (the external32 functions among them, which take MPI_Aint where MPI_Pack takes int).
POLY_AINT = {'POLYDISPLACEMENT_AINT_COUNT', 'POLYDISPOFFSET', 'POLYDTYPE_STRIDE_BYTES', 'POLYLOCATION',
             'POLYDTYPE_PACK_SIZE'}

WIDE = {  # MPI_Aint, MPI_Offset, MPI_Count
    'DISPLACEMENT', 'DISPLACEMENT_NNI', 'OFFSET', 'ALLOC_MEM_NUM_BYTES', 'WINDOW_SIZE', 'WIN_ATTACH_SIZE',
    'RMA_DISPLACEMENT_NNI', 'NUM_BYTES', 'XFER_NUM_ELEM', 'XFER_NUM_ELEM_NNI', 'TOOLS_TICK_COUNT',
    'GENERIC_DTYPE_COUNT',
}
PLAIN = {  # int, passed on as it is
    'ARRAY_LENGTH_NNI', 'ARRAY_LENGTH_PI', 'CAT_INDEX', 'COMM_SIZE', 'COMM_SIZE_PI',
    'COORDINATE', 'CVAR_INDEX', 'CVAR_INDEX_SPECIAL', 'DEGREE', 'DIMENSION', 'EVENT_INDEX', 'FILE_DESCRIPTOR',
    'INFO_VALUE_LENGTH', 'KEY', 'KEY_INDEX', 'LOGICAL', 'LOGICAL_OPTIONAL', 'NUM_DIMS', 'PARTITION', 'PROCESS_GRID_SIZE',
    'PROFILE_LEVEL', 'PVAR_INDEX', 'SOURCE_INDEX', 'STRING_LENGTH', 'TOOLENUM_INDEX',
    'TOOLENUM_SIZE', 'TOOLS_NUM_ELEM_SMALL', 'TOOL_VAR_VALUE',  'TYPECLASS_SIZE',
    'UPDATE_NUMBER', 'VERSION', 'GENERIC_DTYPE_INT', 'WEIGHT',
}
CONSTANTS = {  # int whose constants differ between ABIs: table of constants.txt
    'RANK': 'rank', 'RANK_NNI': 'rank', 'TAG': 'tag', 'COLOR': 'undefined', 'INDEX': 'undefined',
    'ARRAY_LENGTH': 'undefined', 'MATH': 'undefined', 'ACCESS_MODE': 'file_mode', 'UPDATE_MODE': 'seek',
    'ASSERT': 'window_assert', 'LOCK_TYPE': 'lock_type', 'COMBINER': 'combiner', 'COMM_COMPARISON': 'comparison',
    'GROUP_COMPARISON': 'comparison', 'ORDER': 'order', 'DISTRIB_ENUM': 'distribution',
    'DTYPE_DISTRIBUTION': 'distribution_argument', 'SPLIT_TYPE': 'split_type', 'THREAD_LEVEL': 'thread_level',
    'TOPOLOGY_TYPE': 'topology', 'TYPECLASS': 'typeclass', 'KEYVAL': 'keyval', 'ERROR_CODE': 'error',
    'ERROR_CLASS': 'error', 'BIND_TYPE': 'tool_bind', 'PVAR_CLASS': 'tool_pvar_class',
    'TOOL_VAR_VERBOSITY': 'tool_verbosity', 'VARIABLE_SCOPE': 'tool_scope', 'SOURCE_ORDERING': 'tool_source_order',
    'CALLBACK_SAFETY': 'tool_callback_safety',
}
FUNCTIONS = {'FUNCTION', 'POLYFUNCTION', 'EVENT_CB_FUNCTION', 'EVENT_FREE_CB_FUNCTION', 'EVENT_DROP_CB_FUNCTION'}
INTEGERS = PLAIN | set(CONSTANTS)


def is_poly(kind):
    return kind in POLY_INT or kind in POLY_AINT


def unknown(kind):
    sys.exit(f'parameter kind {kind} is not in kinds.py')


def upper_type(function, p):
    """Type of a parameter in mana::upper (upper_api.h)."""
    if p.kind in HANDLES:
        return HANDLES[p.kind] + ('*' if p.direction == 'in' and not p.is_array else '**')
    if p.kind in TOOL_HANDLES:
        return 'uint64_t' if p.direction == 'in' else 'uint64_t*'
    if is_poly(p.kind):
        if p.is_array:
            return 'Counts'
        return 'int64_t' if p.direction == 'in' else 'int64_t*'
    if p.kind in ('ARGUMENT_COUNT', 'ARGUMENT_LIST'):
        by_value = function.name == 'MPI_Info_create_env'
        return {'ARGUMENT_COUNT': 'int' if by_value else 'int*',
                'ARGUMENT_LIST': 'char**' if by_value else 'char***'}[p.kind]
    if p.kind in WIDE or p.kind in INTEGERS:
        base = 'int64_t' if p.kind in WIDE else 'int'
        if p.is_array and p.direction == 'in':
            return f'const {base}*'
        return base if p.direction == 'in' else base + '*'
    if p.kind == 'LOCATION_SMALL':
        return 'int64_t' if 'Aint' in function.name else 'const void*'
    if p.kind == 'BUFFER':
        return 'const void*' if p.const or function.name == 'MPI_Get_address' else 'void*'
    if p.kind in ('C_BUFFER', 'C_BUFFER2'):
        return 'void*' if function.name.startswith('MPI_T_') else 'void**'
    if p.kind in ('ATTRIBUTE_VAL', 'ATTRIBUTE_VAL_10', 'EXTRA_STATE', 'EXTRA_STATE2', 'TOOL_MPI_OBJ', 'C_BUFFER3'):
        return 'void*'
    if p.kind == 'STATUS':
        return 'const abi::Status*' if p.direction == 'in' else 'abi::Status*'
    if p.kind == 'STRING':
        return 'const char*' if p.direction == 'in' else 'char*'
    if p.kind == 'STRING_ARRAY':
        return 'char**'
    if p.kind == 'STRING_2DARRAY':
        return 'char***'
    if p.kind in FUNCTIONS:
        return 'Function'
    unknown(p.kind)


def needs_large_flag(function):
    """The callback of the _c variant differs: the upper function is told which one it got."""
    return any(p.kind == 'POLYFUNCTION' for p in function.parameters)


def upper_parameters(function):
    pairs = [(upper_type(function, p), p.name) for p in function.parameters]
    if needs_large_flag(function):
        pairs.append(('int', 'large'))
    return pairs


RETURN_TYPES = {'ERROR_CODE': 'int', 'ERROR_CLASS': 'int', 'WALL_TIME': 'double', 'TICK_RESOLUTION': 'double',
                'LOGICAL': 'int'}
