"""The analog product of a tile in float64: one vector, one line, one stage after the other.

Follows Rasch, Gokmen and Haensch, IEEE Design & Test (2019), for one pass with ABS_MAX, CONSTANT or
no noise management, ITERATIVE or no bound management, and additive weight noise. Settings are a
mapping of field names to values, enumerations by name. Randomness comes in as arrays.
"""

import math

__all__ = ["multiply", "product"]

ROUNDS = 1000  # no loop runs longer


def multiply(w, x):
    """Return W x, summed in the order of the inputs."""
    return [sum(float(wij) * float(xj) for wij, xj in zip(row, x, strict=True)) for row in w]


def product(w, x, io, draws=None, backward=False):
    """Return what the ADCs say and how often bound management halved the inputs.

    Parameters
    ----------
    w : array of shape (out, in)
        Weights; transposed if `backward`.
    x : array of shape (batch, in), or (batch, out) if `backward`
        Vectors.
    io : mapping
        The settings.
    draws : dict of str to arrays of shape (rounds, batch, lines), optional
        Standard normals `inp_noise`, `w_noise`, `out_noise`; uniforms minus 1/2 `inp_round`,
        `out_round`. What is not given is 0.

    Returns
    -------
    list of lists
        One per vector.
    list of int
        log2 of each vector's reduction.
    """
    if backward:
        w, io = list(zip(*w, strict=True)), {**io, "bound_management": "NONE"}
    pairs = [vector(w, row, b, io, draws or {}) for b, row in enumerate(x)]
    return [y for y, _ in pairs], [turn for _, turn in pairs]


def vector(w, x, b, io, draws):
    """Return the result of vector number `b`, and log2 of its reduction."""
    x = [float(v) for v in x]
    if io["is_perfect"] or io["mv_type"] == "IDEAL":
        return [io["out_scale"] * y for y in multiply(w, x)], 0
    managed = io["noise_management"] != "NONE"
    alpha = scale(x, io)
    if managed and alpha <= 0.0:
        return [0.0] * len(w), 0
    for turn in range(ROUNDS):
        reduction = 2.0**turn if io["bound_management"] != "NONE" else 1.0
        s = (1.0 / alpha if managed else 1.0) / reduction
        drawn = {name: array[turn][b] for name, array in draws.items() if turn < len(array)}
        y, ok = one_round(w, [s * v for v in x], io, drawn)
        if io["bound_management"] == "NONE" or ok or exhausted(reduction, io):
            return [v * io["out_scale"] / s for v in y], turn
    raise RuntimeError("bound management does not end")


def scale(x, io):
    """Return alpha of one vector."""
    top, limit = max(abs(v) for v in x), io["nm_thres"]
    if io["noise_management"] == "NONE":
        return 1.0
    if io["noise_management"] == "CONSTANT":
        return limit if limit > 0.0 else 1.0
    if io["noise_management"] == "ABS_MAX":
        return min(top, limit) if limit > 0.0 else top
    raise NotImplementedError(io["noise_management"])


def exhausted(reduction, io):
    """Return whether bound management gives up."""
    step = step_of(io["inp_bound"], io["inp_res"])
    if int(reduction) > io["max_bm_factor"]:
        return True
    return step > 0.0 and reduction > io["max_bm_res"] / step


def one_round(w, x, io, drawn):
    """Return the ADC values of one pass of a scaled vector, and whether all were in range."""
    step = step_of(io["inp_bound"], io["inp_res"])
    prepared = []
    for j, v in enumerate(x):
        v = rounded(v, step, drawn["inp_round"][j] if "inp_round" in drawn else 0.0)
        v = clipped(v, io["inp_bound"])
        if "inp_noise" in drawn:
            v += io["inp_noise"] * drawn["inp_noise"][j]
        prepared.append(v)
    length = math.sqrt(sum(v * v for v in prepared))
    step = step_of(io["out_bound"], io["out_res"])
    out, ok = [], True
    for i, a in enumerate(multiply(w, prepared)):
        if "w_noise" in drawn:
            a += io["w_noise"] * length * drawn["w_noise"][i]
        if "out_noise" in drawn:
            a += io["out_noise"] * drawn["out_noise"][i]
        a = rounded(a, step, drawn["out_round"][i] if "out_round" in drawn else 0.0)
        limited = clipped(a, io["out_bound"])
        if limited < a or (limited > a and io["bm_test_negative_bound"]):
            ok = False
        out.append(limited)
    return out, ok


def step_of(bound, res):
    """Return the step of a converter with range -bound..bound; 0: it does not round."""
    if bound <= 0.0 or math.isinf(bound) or res <= 0.0:
        return 0.0
    return 2.0 * bound * (1.0 / res if res > 1.0 else res)


def rounded(v, step, dither):
    """Return the nearest multiple of the step, halves to even, after a shift by `dither` steps."""
    return step * round(v / step + dither) if step > 0.0 else v


def clipped(v, bound):
    """Return `v` within -bound..bound; no bound if that is not positive."""
    return min(max(v, -bound), bound) if bound > 0.0 else v
