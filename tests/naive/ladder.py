"""The product through resistive wires in float64: every line a circuit, solved at every moment.

For an output line the equations of its nodes (Kirchhoff's current law) are solved anew for each set
of input voltages, and the current into the ADC is summed over time. Settings are a mapping of field
names to values, enumerations by name, as for the product without noise, bound management and ADC
rounding, and with the scale of the inputs NONE.
"""

import math

import numpy as np

__all__ = ["current", "ladder_product", "shares"]


def current(g_plus, g_minus, states, io, far_first):
    """Return what flows from a line into its ADC, in uA, and the voltages along it.

    Parameters
    ----------
    g_plus, g_minus : array of shape (n_physical,)
        Conductances of the line's pairs, in uS.
    states : array of shape (n_physical,)
        -1, 0 or 1 for each input.
    io : mapping
        The settings.
    far_first : bool
        Whether input 0 is at the far end, else at the ADC.
    """
    n = len(states)
    order = list(range(n)) if far_first else list(range(n - 1, -1, -1))
    nodes = min(io["ir_drop_segments"], n)
    groups = [order[k * n // nodes : (k + 1) * n // nodes] for k in range(nodes)]
    per_device = 1e-6 * io["ir_drop"] * io["ir_drop_rs"]
    bias = io["ir_drop_v_bias"] - io["ir_drop_v_read"]  # voltages are counted from the ADC's
    pulse = io["ir_drop_v_pulse"]
    matrix, right = np.zeros((nodes, nodes)), np.zeros(nodes)
    for k, group in enumerate(groups):
        for j in group:  # two devices from their input's voltages to the node
            for g, sign in ((g_plus[j], 1.0), (g_minus[j], -1.0)):
                matrix[k, k] += g
                right[k] += g * (bias + sign * states[j] * pulse)
        if k + 1 < nodes:  # from the middle of a segment to the middle of the next
            wire = 1.0 / (per_device * (len(group) + len(groups[k + 1])) / 2.0)
            matrix[k, k] += wire
            matrix[k + 1, k + 1] += wire
            matrix[k, k + 1] -= wire
            matrix[k + 1, k] -= wire
        else:
            last = 1.0 / (per_device * len(group) / 2.0)
            matrix[k, k] += last
    along = np.linalg.solve(matrix, right)
    return last * along[-1], along


def shares(g_plus, g_minus, io, far_first):
    """Return what share of each device's current reaches the ADC: one source at a time."""
    n, out = len(g_plus), []
    at_rest = {**io, "ir_drop_v_bias": 0.0, "ir_drop_v_read": 0.0, "ir_drop_v_pulse": 1.0}
    for j in range(n):
        states = [1.0 if k == j else 0.0 for k in range(n)]
        source = g_plus[j] - g_minus[j]
        out.append(current(g_plus, g_minus, states, at_rest, far_first)[0] / source)
    return out


def ladder_product(w, x, io, pairs=None, n_physical=0):
    """Return what the ADCs say of each vector.

    Parameters
    ----------
    w : array of shape (out, in)
        Weights: on single pairs from 0 to 25 uS if not given as `pairs`.
    x : array of shape (batch, in)
        Vectors.
    io : mapping
        The settings.
    pairs : (list of (g_plus, g_minus, factor), float), optional
        Conductances, and how many uS a weight of 1 is.
    n_physical : int
        Inputs of the crossbar; 0: as many as in `w`.
    """
    w = np.asarray(w, np.float64)
    if pairs is None:
        scale = 25.0 / np.abs(w).max()
        pairs = [(np.maximum(scale * w, 0.0), np.maximum(-scale * w, 0.0), 1.0)], scale
    n = w.shape[1]
    size = n_physical or n
    before = (size - n) // 2
    devices = [
        (padded(plus, before, size), padded(minus, before, size), factor)
        for plus, minus, factor in pairs[0]
    ]
    return np.array([vector(devices, pairs[1], row, io, before, size) for row in x])


def padded(g, before, size):
    """Return conductances of all physical lines: none where there is no weight."""
    out = np.zeros((len(g), size))
    out[:, before : before + np.shape(g)[1]] = g
    return out


def vector(devices, scale, x, io, before, size):
    """Return the result of one vector."""
    bound = io["inp_bound"]
    step = 2.0 * bound * (1.0 / io["inp_res"] if io["inp_res"] > 1.0 else io["inp_res"])
    codes = [round(min(max(v, -bound), bound) / step) for v in np.asarray(x, np.float64).tolist()]
    most, result = round(bound / step), 0.0
    for first, width in slices(io, most):
        largest = 2**width - 1 if width else most
        part = np.zeros(size)
        for j, code in enumerate(codes):
            bits = abs(code) >> first & largest if width else abs(code)
            part[before + j] = math.copysign(bits, code)
        matched = io["slice_adc"] == "SCALED"
        full = result_of(devices, scale, part, largest, io, largest / most if matched else 1.0)
        result = result + 2.0**first * step * full
    return result


def slices(io, most):
    """Return (first bit, bits) of each slice; no bits: the whole code."""
    bits = (most + 1).bit_length() - 1
    if io["mv_type"] == "BIT_WISE":
        return [(p, 1) for p in range(bits)]
    if io["mv_type"] == "SPLIT_MODE":
        low = io["split_mode_bit_shift"]
        return [(0, low), (low, bits - low)]
    return [(0, 0)]


def result_of(devices, scale, codes, largest, io, fraction):
    """Return the counted charges of all lines, in steps of the DAC times weight.

    `fraction` is the charge of a count against that of a full input.
    """
    results = []
    for i in range(len(devices[0][0])):
        total = 0.0
        for plus, minus, factor in devices:
            charge = integral(plus[i], minus[i], codes, largest, io, i % 2 == 0)
            if io["adc_quantization"]:
                count = 100.0 / io["adc_frequency"] * fraction
                charge = count * math.trunc(charge / count)
            total += factor * charge
        results.append(total / (scale * io["ir_drop_v_pulse"]))
    return np.array(results)


def integral(plus, minus, codes, largest, io, far_first):
    """Return the charge of one line, in uA times steps of the DAC."""

    def at(time):
        states = [math.copysign(1.0, c) if abs(c) > time + 1e-9 else 0.0 for c in codes]
        return current(plus, minus, states, io, far_first)[0]

    if io["ir_drop_integration"] == "EXACT":
        edges = sorted({0.0, *(abs(c) for c in codes), largest + 1.0})
        return sum((t1 - t0) * at(t0) for t0, t1 in zip(edges[:-1], edges[1:], strict=True))
    count = max(int((largest + 1) * io["ir_drop_time_step_resolution_scale"]), 2)
    times = [largest * k / (count - 1) for k in range(count)]
    currents = [at(time) for time in times]
    total = sum(currents)
    if not io["ir_drop_integration_sum"]:  # the first value twice, and then a trapezoid
        total += 0.5 * (currents[0] - currents[-1])
    return total * times[1]
