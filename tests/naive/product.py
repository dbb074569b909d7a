"""The analog product of a tile in float64: one vector, one line, one stage after the other.

Follows Rasch, Gokmen and Haensch, IEEE Design & Test (2019), and Rasch et al., Nat. Commun. 14
(2023) 5282, with all options of a product. Settings are a mapping of field names to values,
enumerations by name. Randomness comes in as arrays, and so does what is drawn once.
"""

import math

from tests.naive.converters import bounded, clipped, rounded, step_of
from tests.naive.scales import average, exhausted, np_sum_scale, scale

__all__ = ["multiply", "product"]

ROUNDS = 1000  # no loop runs longer


def multiply(w, x):
    """Return W x, summed in the order of the inputs."""
    return [sum(float(wij) * float(xj) for wij, xj in zip(row, x, strict=True)) for row in w]


def product(w, x, io, draws=None, backward=False, hidden=None, is_test=False):
    """Return what the ADCs say and how often bound management repeated a vector.

    Parameters
    ----------
    w : array of shape (out, in)
        Weights; transposed if `backward`.
    x : array of shape (batch, in), or (batch, out) if `backward`
        Vectors.
    io : mapping
        The settings.
    draws : dict of str to arrays of shape (rounds, batch, phases, lines), optional
        Standard normals `inp_noise`, `w_noise`, `out_noise`; uniforms minus 1/2 `inp_round`,
        `out_round`. What is not given is 0.
    backward : bool
        Whether it is the transposed product, which has no bound management.
    hidden : dict, optional
        What was drawn once: `v_offset`, `out_nonlinearity` (per output),
        `out_nonlinearity_factor`, `w_asymmetry` (out, in), `out_noise_values` (per output); the
        function `read_sigma` that gives a weight's standard deviation; the average
        `aux_nm_value`, which moves unless `is_test`.
    is_test : bool
        Whether this is evaluation.

    Returns
    -------
    list of lists
        One per vector.
    list of int
        How many rounds followed the first of each vector.
    """
    hidden = {} if hidden is None else hidden
    local = dict(hidden)
    if backward:
        w, io = list(zip(*w, strict=True)), {**io, "bound_management": "NONE"}
        if "w_asymmetry" in hidden:
            local["w_asymmetry"] = list(zip(*hidden["w_asymmetry"], strict=True))
    pairs = []
    for b, row in enumerate(x):
        average(row, io, local, is_test)
        pairs.append(vector(w, row, b, io, local, draws or {}))
    if "aux_nm_value" in hidden:
        hidden["aux_nm_value"] = local["aux_nm_value"]
    return [y for y, _ in pairs], [turn for _, turn in pairs]


def vector(w, x, b, io, hidden, draws):
    """Return the result of vector number `b`, and how often it was repeated."""
    x = [float(v) for v in x]
    if io["is_perfect"] or io["mv_type"] == "IDEAL":
        return [io["out_scale"] * y for y in multiply(w, x)], 0
    managed, managed_bound = (io[f"{k}_management"] != "NONE" for k in ("noise", "bound"))
    alpha = scale(x, io, hidden)
    if managed and alpha <= 0.0:
        if io["zero_input_shortcut"]:
            return [0.0] * len(w), 0
        alpha = 1.0
    reduction = 1.0
    for turn in range(ROUNDS):
        s = 1.0 / (alpha * reduction)
        scaled = [s * v for v in x]
        y, ok = one_round(w, scaled, io, hidden, drawer(draws, turn, b))
        if not managed_bound or io["bound_management"] == "SHIFT" or ok or exhausted(reduction, io):
            return [v * io["out_scale"] / s for v in y], turn
        if turn == 0 and worst_case(io):
            alpha = np_sum_scale(x, io)
        else:
            reduction *= 2.0
    raise RuntimeError("bound management does not end")


def worst_case(io):
    """Return whether the second round takes another scale rather than half the inputs."""
    other = io["noise_management"] != "ABS_MAX_NP_SUM"
    return io["bound_management"] == "ITERATIVE_WORST_CASE" and other


def drawer(draws, turn, b):
    """Return the function that looks up a draw of vector `b` in this round."""

    def draw(name, phase, line):
        if name not in draws or turn >= len(draws[name]):
            return 0.0
        return float(draws[name][turn][b][phase][line])

    return draw


# ---------------------------------------------------------------- one round


def one_round(w, x, io, hidden, draw):
    """Return the digital results of a scaled vector, and whether all ADCs were in range."""
    step = step_of(io["inp_bound"], io["inp_res"])
    quantised = []
    for j, v in enumerate(x):
        v = rounded(v, step, draw("inp_round", 0, j) if io["inp_sto_round"] else 0.0)
        quantised.append(clipped(v, io["inp_bound"]))
    kind = io["mv_type"]
    if kind in ("SPLIT_MODE", "BIT_WISE"):
        return slices(w, [round(v / step) for v in quantised], io, hidden, draw)
    inputs = noisy(quantised, io, draw, 0)
    if kind == "ONE_PASS":
        return adc(line_currents(w, inputs, io, hidden, draw, 0), io, hidden, draw, 0)
    factors = hidden.get("w_asymmetry", [[1.0] * len(x)] * len(w))
    weak = [[a * f for a, f in zip(*rows, strict=True)] for rows in zip(w, factors, strict=True)]
    negative = line_currents(weak, [min(v, 0.0) for v in inputs], io, hidden, draw, 0)
    positive = line_currents(w, [max(v, 0.0) for v in inputs], io, hidden, draw, 1)
    if kind == "POS_NEG_SEPARATE":
        both = [a + b for a, b in zip(negative, positive, strict=True)]
        return adc(both, io, hidden, draw, 0)
    a, a_ok = adc(negative, io, hidden, draw, 0)
    b, b_ok = adc(positive, io, hidden, draw, 1)
    return [u + v for u, v in zip(a, b, strict=True)], a_ok and b_ok


def slices(w, codes, io, hidden, draw):
    """Return the digital sum of the results of groups of bits of the inputs' codes."""
    bound, step = io["inp_bound"], step_of(io["inp_bound"], io["inp_res"])
    bits = round(math.log2(2.0 * bound / step + 2.0)) - 1  # of a magnitude
    low = io["split_mode_bit_shift"]
    groups = [(p, 1) for p in range(bits)]
    if io["mv_type"] == "SPLIT_MODE":
        groups = [(0, low), (low, bits - low)]
    total, ok = [0.0] * len(w), True
    for phase, (first, width) in enumerate(groups):
        most = 2**width - 1
        digits = [(abs(k) // 2**first) % 2**width * (1 if k > 0 else -1) for k in codes]
        if io["slice_adc"] == "FULL_RANGE":
            unit, factor = step, 2.0**first
        else:
            unit, factor = bound / most, 2.0**first * most * step / bound
        inputs = noisy([q * unit for q in digits], io, draw, phase)
        y, fits = adc(line_currents(w, inputs, io, hidden, draw, phase), io, hidden, draw, phase)
        total = [a + factor * v for a, v in zip(total, y, strict=True)]
        ok = ok and fits
    return total, ok


def noisy(inputs, io, draw, phase):
    """Return the inputs as they arrive at the devices."""
    out = []
    for j, v in enumerate(inputs):
        v += io["inp_noise"] * draw("inp_noise", phase, j)
        out.append(v * (1.0 - io["inp_asymmetry"]) if v < 0.0 else v)
    return out


def line_currents(w, inputs, io, hidden, draw, phase):
    """Return what arrives at the end of each output line in one pass."""
    n, total = len(inputs), sum(inputs)
    out = []
    for i, row in enumerate(w):
        y = sum(float(a) * v for a, v in zip(row, inputs, strict=True))
        if io["ir_drop"] > 0.0:
            a = n * sum(abs(m * v) for m, v in zip(row, inputs, strict=True))
            a /= io["ir_drop_g_ratio"]
            c = 0.5 * a - 0.2 * a**2 + 0.05 * a**3
            lost = 0.0
            for j, v in enumerate(inputs):
                place = n - 1 - j if io["ir_drop_far_first"] else j
                lost += row[j] * v * (1.0 - (1.0 - place / n) ** 2)
            y -= io["ir_drop"] * c * lost
        if io["v_offset_std"] > 0.0 or io["r_series"] > 0.0:
            offset = float(hidden["v_offset"][i]) if "v_offset" in hidden else 0.0
            y = behind_resistance(y, total, offset, io)
        variance = 0.0
        for j, v in enumerate(inputs):
            if io["w_noise_type"] == "ADDITIVE_CONSTANT":
                variance += io["w_noise"] ** 2 * v * v
            if io["w_noise_type"] == "PCM_READ":
                variance += io["w_noise"] ** 2 * abs(row[j]) * v * v
            if "read_sigma" in hidden:
                variance += hidden["read_sigma"](row[j]) ** 2 * v * v
        out.append(y + math.sqrt(variance) * draw("w_noise", phase, i))
    return out


def behind_resistance(y, total, v, io):
    """Return an output behind a voltage offset `v` and a resistance, less its reference unit."""
    g = -io["v_offset_w_min"] * total

    def divisor(z):
        return 1.0 + min(io["r_series"] * abs(z), io["r_series_max_total"])

    if io["v_offset_w_min"] == 0.0:
        return (1.0 - v) * y / divisor(y)
    if io["r_series"] == 0.0:
        return (1.0 - v) * y - 2.0 * v * g
    return (1.0 - v) * (y + g) / divisor(y + g) - (1.0 + v) * g / divisor(g)


def adc(currents, io, hidden, draw, phase):
    """Return what the ADCs say of one reading, and whether all were in range."""
    bound, step = io["out_bound"], step_of(io["out_bound"], io["out_res"])
    noise = hidden.get("out_noise_values", [io["out_noise"]] * len(currents))
    analog = []
    for i, y in enumerate(currents):
        if io["out_nonlinearity"] > 0.0 or io["r_series"] > 0.0:
            y *= s_shape_gain(io, hidden) / (1.0 + abs(s_shape(io, hidden, i) * y))
        if y < 0.0:
            y *= 1.0 - io["out_asymmetry"]
        analog.append(y + float(noise[i]) * draw("out_noise", phase, i))
    if io["bound_management"] == "SHIFT":
        excess = max(analog) - bound
        analog = [y - max(excess, 0.0) for y in analog]
    out, ok = [], True
    for i, y in enumerate(analog):
        y = rounded(y, step, draw("out_round", phase, i) if io["out_sto_round"] else 0.0)
        limited = clipped(y, bound)
        if limited < y or (limited > y and io["bm_test_negative_bound"]):
            ok = False
        out.append(limited)
    return out, ok


def s_shape(io, hidden, i):
    """Return how much line `i` bends."""
    if "out_nonlinearity" in hidden:
        return float(hidden["out_nonlinearity"][i])
    return io["out_nonlinearity"] / (io["out_bound"] if bounded(io["out_bound"]) else 1.0)


def s_shape_gain(io, hidden):
    """Return the factor that makes up for the bending of an average line."""
    if "out_nonlinearity_factor" in hidden:
        return float(hidden["out_nonlinearity_factor"])
    bound = io["out_bound"] if bounded(io["out_bound"]) else 1.0
    level = max(io["slope_calibration"], 0.0) * bound
    return (1.0 + (s_shape(io, hidden, 0) + io["r_series"]) * level) ** 2
