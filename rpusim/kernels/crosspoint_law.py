"""A scalar law with named parameters, for one crosspoint at a time: on a GPU, in plain Python.

The same as `rpusim.kernels.law`, without lanes: what a device carries is a tuple of scalars, `own`,
which the compiler keeps in registers. Its order: the law's fields (`max_bound` and `min_bound`
first), then those numbers of the configuration that the law reads.
"""

import functools
from collections import namedtuple

import numpy as np

from rpusim.kernels.law import law_names, tables_of

__all__ = ["CrosspointLaw", "bind_crosspoint"]

CrosspointLaw = namedtuple(
    "CrosspointLaw",
    "pulse_once unbounded upper lower take give split_tables DRAWS PER_BLOCK",
)
CrosspointLaw.__doc__ = "What the free names of kernels for crosspoints stand for."


@functools.cache
def bind_crosspoint(pulse, planes, parameters, state=(), draws=1, tables=()):
    """Return the functions through which one crosspoint is given pulses.

    Parameters are those of `rpusim.kernels.law.bind_law`.

    Returns
    -------
    CrosspointLaw
        ``take(planes, model, i, j)`` returns `own` of a crosspoint, ``give(planes, own, i, j)``
        puts its state back; ``pulse_once(w, rises, own, tables, z0, z1, z2, z3)`` returns weight
        and `own` after a pulse, within the device's bounds; ``unbounded(w, sign, own, tables, c,
        z)`` the weight without bounds, all normals being z; ``upper(own, c)`` and ``lower(own, c)``
        return the bounds; ``split_tables(model)`` the tables of the configuration.
    """
    fields, read = law_names(pulse, planes, parameters, state)
    place = {name: n for n, name in enumerate(fields)}
    constant = {name: len(fields) + n for n, name in enumerate(read)}  # may share a plane's name
    device = "Device(" + ", ".join(f"own[{place[f]}]" for f in fields) + ")"
    entries = [f"own[{constant[p]}]" if p in read else "ZERO" for p in parameters]
    entries += [f"tables[{k}]" for k in range(len(tables))]
    common = f"Model({', '.join(entries)})"
    noise = "z0" if draws < 2 else "(" + ", ".join(f"z{n}" for n in range(draws)) + ")"
    same = "z" if draws < 2 else "(" + "z, " * draws + ")"
    results = ", ".join(["new", *(f"s{n}" for n in range(len(state)))])
    changed = [f"own[{n}]" for n in range(len(fields + read))]
    for n, name in enumerate(state):
        changed[place[name]] = f"float32(s{n})"
    taken = [f"planes[{planes.index(f)}, i, j]" for f in fields]
    taken += [f"model[{parameters.index(p)}]" for p in read]
    lines = [
        "def pulse_once(w, rises, own, tables, z0, z1, z2, z3):",
        f"    dev = {device}",
        "    sign = UP if rises else DOWN",
        f"    {results} = pulse(w, sign, dev, {common}, {noise})",
        "    new = min(max(new, dev.min_bound), dev.max_bound)",
        f"    return float32(new), ({', '.join(changed)},)",
        "def unbounded(w, sign, own, tables, c, z):",
        f"    {results} = pulse(w, sign, {device}, {common}, {same})",
        "    return new",
        "def upper(own, c):",
        "    return own[0]",
        "def lower(own, c):",
        "    return own[1]",
        "def take(planes, model, i, j):",
        f"    return ({', '.join(taken)},)",
        "def give(planes, own, i, j):",
        "    pass",
    ]
    lines += [f"    planes[{planes.index(s)}, i, j] = own[{place[s]}]" for s in state]
    lines += tables_of(parameters, tables)
    space = {
        "__name__": __name__,
        "pulse": pulse,
        "Device": namedtuple("Device", fields),
        "Model": namedtuple("Model", parameters + tables),
        "float32": np.float32,
        "ZERO": np.float32(0.0),
        "UP": np.float32(1.0),
        "DOWN": np.float32(-1.0),
    }
    exec("\n".join(lines), space)
    made = [space[name] for name in CrosspointLaw._fields[:7]]
    return CrosspointLaw(*made, draws, 4 // max(draws, 1))
