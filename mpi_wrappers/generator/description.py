# SPDX-License-Identifier: BSD-3-Clause
"""Reads description/*.api and description/constants.txt.

Every other module works on the objects made here; the text format is known to no one else.  A line that is not
understood ends the build with its file and number: a description that is half read would be half generated.
"""
import pathlib
import re
import sys
from dataclasses import dataclass, field

ANSWERED = ('above', 'core', 'forwarded', 'forwarded by hand', 'front_end', 'refused', 'alias')
LIBRARIES = ('mpich', 'mpich_c', 'openmpi', 'openmpi_c')


def stop(where, message):
    sys.exit(f'{where}: {message}')


@dataclass
class Parameter:
    name: str
    direction: str      # in, out, inout
    kind: str           # of the standard's own data
    array: str          # '', or the length as the standard gives it ('*': not a parameter of the call)
    const: bool = False
    large_only: bool = False
    function_type: str = ''

    @property
    def is_array(self):
        return self.array != ''


@dataclass
class Function:
    name: str           # MPI_Comm_split
    libraries: tuple    # who exports it: mpich, mpich_c (the _c variant), openmpi
    returns: str        # kind of the return value
    parameters: list
    where: str          # file and line, quoted in generated code
    chapter: str
    properties: dict = field(default_factory=dict)

    @property
    def answered(self):
        return self.properties['answered'].split()[0]

    @property
    def by_hand(self):
        return self.properties['answered'] == 'forwarded by hand'

    @property
    def alias_of(self):
        return self.properties['answered'].split()[1] if self.answered == 'alias' else None

    @property
    def upper_name(self):
        """Name in mana::upper, and of the lower operation: Comm_split, T_init_thread, X_Comm_agree."""
        return self.name[4:] if self.name.startswith('MPI_') else 'X_' + self.name[5:]

    @property
    def has_block(self):
        return self.properties.get('block', 'yes' if self.answered == 'forwarded' else 'no') == 'yes'

    def exported_by(self, abi):
        """Pairs (symbol, large) that this ABI's library exports for the entry."""
        names = []
        if abi in self.libraries:
            names.append((self.name, False))
        if abi + '_c' in self.libraries:
            names.append((self.name + '_c', True))
        return names


PARAMETER = re.compile(r'^  (\w+)(\[[^\]]*\](?:\[3\])?)?\s+(in|out|inout)\s+(\w+)((?: \w+)*)$')
PROPERTY = re.compile(r'^  - (\w+): (.+)$')
HEADER = re.compile(r'^(MPIX?_\w+)  ([a-z_ ]+?)(?:  returns (\w+))?$')


def read_file(path):
    functions = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f'{path.name}:{number}'
        if not line.strip() or line.startswith('#'):
            continue
        if match := HEADER.match(line):
            libraries = tuple(match[2].split())
            for library in libraries:
                if library not in LIBRARIES:
                    stop(where, f'unknown library "{library}"')
            functions.append(Function(match[1], libraries, match[3] or 'ERROR_CODE', [], where, path.stem))
        elif not functions:
            stop(where, 'expected the name of a function')
        elif match := PARAMETER.match(line):
            words = match[5].split()
            functions[-1].parameters.append(Parameter(
                match[1], match[3], match[4], (match[2] or '')[1:].replace('][3]', '*3').rstrip(']'),
                const='const' in words, large_only='large_only' in words,
                function_type=next((w for w in words if w.startswith('MPI')), '')))
        elif match := PROPERTY.match(line):
            functions[-1].properties[match[1]] = match[2]
        else:
            stop(where, f'not understood: {line}')
    for function in functions:
        answered = function.properties.get('answered', '')
        if not any(answered == a or answered.startswith(a + ' ') for a in ANSWERED):
            stop(function.where, f'{function.name}: "answered" must be one of {", ".join(ANSWERED)}')
        if function.answered == 'refused' and 'reason' not in function.properties:
            stop(function.where, f'{function.name}: a refused function needs a reason')
    return functions


def read_functions(folder):
    functions = []
    for path in sorted(pathlib.Path(folder).glob('*.api')):
        functions += read_file(path)
    by_name = {}
    for function in functions:
        if function.name in by_name:
            stop(function.where, f'{function.name} is described twice, also in {by_name[function.name].where}')
        by_name[function.name] = function
    for function in functions:
        if function.alias_of and function.alias_of not in by_name:
            stop(function.where, f'{function.name}: no function {function.alias_of}')
    return functions


@dataclass
class Constant:
    name: str
    neutral: int
    mpich: object       # int, or None where the ABI has no such constant
    openmpi: object


@dataclass
class Handle:
    kind: str
    name: str
    neutral: int
    mpich: object       # the int
    symbol: object      # Open MPI's object
    size: int           # of that object
    fortran: object     # Open MPI's Fortran handle


def read_constants(folder):
    """(tables, flags, handles): tables maps a name to constants, flags names the tables of bits."""
    tables, flags, handles, table, kind = {}, set(), [], None, None
    path = pathlib.Path(folder) / 'constants.txt'

    def value(text):
        return None if text == '-' else int(text, 0)

    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split()
        if not words or line.startswith('#'):
            continue
        if words[0] == '[handle':
            table, kind = None, words[1].rstrip(']')
        elif line.startswith('['):
            table, kind = tables.setdefault(words[0].strip('[]'), []), None
            if words[-1] == 'flags]':
                flags.add(words[0].strip('[]'))
        elif kind and len(words) == 6:
            handles.append(Handle(kind, words[0], int(words[1], 0), value(words[2]),
                                  None if words[3] == '-' else words[3], value(words[4]) or 0, value(words[5])))
        elif table is not None and len(words) == 4:
            table.append(Constant(words[0], *map(value, words[1:])))
        else:
            stop(f'{path.name}:{number}', f'not understood: {line}')
    return tables, flags, handles
