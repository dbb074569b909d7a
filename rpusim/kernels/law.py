"""A scalar law with named parameters, as functions of the arrays in which a crossbar keeps them.

A law reads ``dev.max_bound``; the crossbar keeps one (rows, cols) plane per name. `LANES`
neighbouring crosspoints are worked on together: the planes that the law uses are copied into one
small array `local`, whose row m holds one name's value for all lanes, so that the compiler can
work on eight devices at once. The functions made here fetch the scalars of one lane, call the law
and put back what it changed; once inlined nothing of that is left.

Rows of `local`: the weights, then the noise, then the law's fields (`max_bound` and `min_bound`
first), then those numbers of the configuration that the law reads, the same for all lanes.
"""

import functools
from collections import namedtuple

import numpy as np

from rpusim.kernels.bind import names_used

__all__ = [
    "BoundLaw",
    "LANES",
    "FIRST",
    "bind_law",
    "law_names",
    "pack_model",
    "tables_of",
    "unpacker",
    "with_parameters",
]

LANES = 16
FIRST = 2  # row of the first field

BoundLaw = namedtuple(
    "BoundLaw", "advance unbounded prepare split_tables load save FIELDS DRAWS PER_BLOCK TABLES"
)
BoundLaw.__doc__ = "What the update's free names stand for, see `bind_law`."


def pack_model(numbers, tables=()):
    """Return the vector `model` that a bound law reads.

    It holds the numbers, then begin and end of every table, then the tables.
    """
    begin = len(numbers) + 2 * len(tables)
    places, values = [], []
    for table in tables:
        places += [begin + len(values), begin + len(values) + len(table)]
        values += list(table)
    return np.array([*numbers, *places, *values], np.float64)


@functools.cache
def bind_law(pulse, planes, parameters, state=(), draws=1, tables=()):
    """Return the functions through which an update applies a law.

    Parameters
    ----------
    pulse : callable
        ``pulse(w, sign, dev, model, z)`` returns the weight after one pulse, or ``(w, *state)``;
        with ``draws > 1`` its z is a tuple.
    planes : tuple of str
        Names of the crossbar's planes, in order.
    parameters : tuple of str
        Names of the entries of the vector `model`: its attributes in the law.
    state : tuple of str
        Those planes that the law returns changed.
    draws : {0, 1, 2, 4}
        Normals per pulse; with 0 the law's z is 0.
    tables : tuple of str
        Names of the arrays in `model`, see `pack_model`.

    Returns
    -------
    BoundLaw
        ``advance(w, sign, local, tables, c, active, z0, z1, z2, z3)`` returns the weight of lane c
        after a pulse if `active`, else `w`, always within the device's bounds; ``unbounded(w,
        sign, local, tables, c, z)`` the weight without bounds, all normals being z, and leaves the
        state; ``prepare(local, model)`` copies numbers of the configuration to all lanes;
        ``split_tables(model)`` returns its tables as a tuple of arrays;
        ``load(local, planes, i, j, c)`` and ``save(...)`` copy the fields of crosspoint (i, j) to
        lane c, and the state back; FIELDS is the number of rows of fields and numbers,
        TABLES whether the law reads tables.
    """
    fields, read = law_names(pulse, planes, parameters, state)
    row = {name: (FIRST + m) * LANES for m, name in enumerate(fields)}
    device = "Device(" + ", ".join(f"local[{row[f]} + c]" for f in fields) + ")"
    constant = {name: (FIRST + len(fields) + m) * LANES for m, name in enumerate(read)}
    entries = [f"local[{constant[p]} + c]" if p in read else "ZERO" for p in parameters]
    entries += [f"tables[{k}]" for k in range(len(tables))]
    common = f"Model({', '.join(entries)})"
    noise = "z0" if draws < 2 else "(" + ", ".join(f"z{n}" for n in range(draws)) + ")"
    results = ", ".join(["new", *(f"s{n}" for n in range(len(state)))])
    space = {
        "__name__": __name__,
        "pulse": pulse,
        "Device": namedtuple("Device", fields),
        "Model": namedtuple("Model", parameters + tables),
        "ZERO": np.float32(0.0),
        "LANES": LANES,
    }
    advance = [
        "def advance(w, sign, local, tables, c, active, z0, z1, z2, z3):",
        f"    dev = {device}",
        f"    {results} = pulse(w, sign, dev, {common}, {noise})",
    ]
    for n, name in enumerate(state):
        advance.append(f"    local[{row[name]} + c] = s{n} if active else dev.{name}")
    advance += [
        "    new = min(max(new, dev.min_bound), dev.max_bound)",
        "    return new if active else w",
    ]
    same = "z" if draws < 2 else "(" + "z, " * draws + ")"
    unbounded = [
        "def unbounded(w, sign, local, tables, c, z):",
        f"    {results} = pulse(w, sign, {device}, {common}, {same})",
        "    return new",
    ]
    prepare = ["def prepare(local, model):", "    for c in range(LANES):", "        pass"]
    for name in read:
        prepare.append(f"        local[{constant[name]} + c] = model[{parameters.index(name)}]")
    split_tables = tables_of(parameters, tables)
    load = ["def load(local, planes, i, j, c):"]
    load += [f"    local[{row[f]} + c] = planes[{planes.index(f)}, i, j]" for f in fields]
    save = ["def save(local, planes, i, j, c):", "    pass"]
    save += [f"    planes[{planes.index(s)}, i, j] = local[{row[s]} + c]" for s in state]
    for lines in (advance, unbounded, prepare, split_tables, load, save):
        exec("\n".join(lines), space)
    made = [space[name] for name in BoundLaw._fields[:6]]
    reads_tables = bool(set(tables) & names_used(pulse))
    return BoundLaw(*made, len(fields) + len(read), draws, 4 // max(draws, 1), reads_tables)


def law_names(pulse, planes, parameters, state):
    """Return the planes and the numbers of the configuration that a law reads, as two tuples."""
    used = names_used(pulse)
    fields = ("max_bound", "min_bound")
    fields += tuple(p for p in planes if p not in fields and (p in used or p in state))
    return fields, tuple(name for name in parameters if name in used)


def tables_of(parameters, tables):
    """Return the lines of ``split_tables(model)``."""
    cuts = []
    for k in range(len(parameters), len(parameters) + 2 * len(tables), 2):
        cuts.append(f"model[int(model[{k}]) : int(model[{k + 1}])], ")
    return ["def split_tables(model):", f"    return ({''.join(cuts)})"]


@functools.cache
def with_parameters(law, parameters):
    """Return ``f(value, numbers) = law(value, model)``, `model` having these names for numbers."""
    entries = "".join(f"numbers[{n}], " for n in range(len(parameters)))
    space = {"__name__": __name__, "law": law, "Model": namedtuple("Model", parameters)}
    exec(f"def f(value, numbers):\n    return law(value, Model({entries}))", space)
    return space["f"]


@functools.cache
def unpacker(fields):
    """Return ``unpack(numbers)``: a Model of what an array holds, by name.

    Parameters
    ----------
    fields : tuple of (str, int)
        Names and lengths: 0 for a number, n for a tuple of n numbers.
    """
    entries, place = "", 0
    for _, length in fields:
        values = "".join(f"numbers[{place + k}], " for k in range(max(length, 1)))
        entries += f"({values}), " if length else values
        place += max(length, 1)
    space = {"__name__": __name__, "Model": namedtuple("Model", [name for name, _ in fields])}
    exec(f"def unpack(numbers):\n    return Model({entries})", space)
    return space["unpack"]
