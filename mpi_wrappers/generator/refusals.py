# SPDX-License-Identifier: BSD-3-Clause
"""refusals.h: counters of objects that cannot outlive a restart yet, one for each function that makes them."""


def creators(functions):
    return [f for f in functions if 'refusal' in f.properties]


def generate(functions):
    chosen = creators(functions)
    text = ['// SPDX-License-Identifier: BSD-3-Clause',
            '// Generated from mpi_wrappers/description by generator/refusals.py.',
            '// While an object made by one of these functions is alive a checkpoint is refused, naming function and reason.',
            '#pragma once', '', '#include "upper/interface.h"', '', 'namespace mana::upper {', '',
            'enum class Creator : uint32_t {']
    text += [f'  {f.upper_name},' for f in chosen]
    text += ['  count', '};', '#define MANA_REFUSALS(X) \\']
    rows = [f'  X({f.upper_name}, "{f.name}", "{f.properties["refusal"].split(": ", 1)[1]}")' for f in chosen]
    text += [' \\\n'.join(rows), '',
             'extern Refusal refusals[static_cast<uint32_t>(Creator::count)];',
             'inline Refusal* refusal_of(Creator creator) { return &refusals[static_cast<uint32_t>(creator)]; }', '',
             '}  // namespace mana::upper', '']
    return '\n'.join(text)
