"""A scalar law with named parameters, as functions of the arrays in which a crossbar keeps them.

A law reads ``dev.max_bound``; the crossbar keeps one (rows, cols) plane per name. `LANES`
neighbouring crosspoints are worked on together: the planes that the law uses are copied into one
small array `local`, whose row m holds one name's value for all lanes, so that the compiler can
work on eight devices at once. The functions made here fetch the scalars of one lane, call the law
and put back what it changed; once inlined nothing of that is left.

Rows of `local`: the weights, then the noise, then the law's fields (`max_bound` and `min_bound`
first).
"""

import functools
from collections import namedtuple

import numpy as np

from rpusim.kernels.bind import names_used

__all__ = ["BoundLaw", "LANES", "FIRST", "bind_law"]

LANES = 16
FIRST = 2  # row of the first field

BoundLaw = namedtuple("BoundLaw", "advance bare_step load save FIELDS DRAWS PER_BLOCK")
BoundLaw.__doc__ = "What the update's free names stand for, see `bind_law`."


@functools.cache
def bind_law(pulse, planes, parameters, state=(), draws=1):
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

    Returns
    -------
    BoundLaw
        ``advance(w, sign, local, model, c, active, z0, z1, z2, z3)`` returns the weight of lane c
        after a pulse if `active`, else `w`, always within the device's bounds; ``bare_step(sign,
        local, model, c, z)`` the step at weight 0 without bounds; ``load(local, planes, i, j, c)``
        and ``save(...)`` copy the fields of crosspoint (i, j) to lane c, and the state back;
        FIELDS is the number of fields.
    """
    used = names_used(pulse)
    fields = ("max_bound", "min_bound")
    fields += tuple(p for p in planes if p not in fields and (p in used or p in state))
    row = {name: (FIRST + m) * LANES for m, name in enumerate(fields)}
    device = "Device(" + ", ".join(f"local[{row[f]} + c]" for f in fields) + ")"
    common = "Model(" + ", ".join(f"model[{k}]" for k in range(len(parameters))) + ")"
    noise = "z0" if draws < 2 else "(" + ", ".join(f"z{n}" for n in range(draws)) + ")"
    results = ", ".join(["new", *(f"s{n}" for n in range(len(state)))])
    space = {
        "__name__": __name__,
        "pulse": pulse,
        "Device": namedtuple("Device", fields),
        "Model": namedtuple("Model", parameters),
        "ZERO": np.float32(0.0),
    }
    advance = [
        "def advance(w, sign, local, model, c, active, z0, z1, z2, z3):",
        f"    dev = {device}",
        f"    {results} = pulse(w, sign, dev, {common}, {noise})",
    ]
    for n, name in enumerate(state):
        place = f"local[{row[name]} + c]"
        advance.append(f"    {place} = s{n} if active else {place}")
    advance += [
        "    new = min(max(new, dev.min_bound), dev.max_bound)",
        "    return new if active else w",
    ]
    bare_step = [
        "def bare_step(sign, local, model, c, z):",
        f"    return pulse(ZERO, sign, {device}, {common}, z)",
    ]
    load = ["def load(local, planes, i, j, c):"]
    load += [f"    local[{row[f]} + c] = planes[{planes.index(f)}, i, j]" for f in fields]
    save = ["def save(local, planes, i, j, c):", "    pass"]
    save += [f"    planes[{planes.index(s)}, i, j] = local[{row[s]} + c]" for s in state]
    for lines in (advance, bare_step, load, save):
        exec("\n".join(lines), space)
    made = [space[name] for name in BoundLaw._fields[:4]]
    return BoundLaw(*made, len(fields), draws, 4 // max(draws, 1))
