"""One pulse of each device, literally, in double precision.

Every law takes ``(w, rises, dev, sigma, z)``: the weight that pulses act on, whether the pulse goes
up, a dict of what this one device carries and of the numbers of its configuration, the noise
relative to the step, and a standard normal. Laws with a hidden state change it in `dev`. Constant,
linear and soft-bounds steps stand in `tests.naive.update`. With M, m the bounds, R = M - m and s
the step of the direction:

    soft bounds, reference  v +- s (1 - v / bound + sigma z) or v +- s (1 - v / bound)(1 + sigma z)
    exponential             w +- s y (1 + sigma z), y = max(1 - A exp(+- gamma (2 a w / R + b)), 0)
      with complex noise    w +- s y + sigma (|s y| + add + slope |w|) z
    power                   w +- s (room / R)**gamma (1 + sigma z), room to the bound ahead
    piecewise               w +- s table(w)(1 + sigma z), nodes equally spaced from m to M
    table                   w +- (s / dw) table(w, n)(1 + sigma z), nodes from w_min to w_max
    hidden                  h +- scale (1 + sigma_h z_1); at +-H the weight takes a step
"""

from math import exp, floor

from tests.naive.update import clip


def soft_bounds_reference_pulse(w, rises, dev, sigma, z):
    """Return the raw weight after a soft-bounds pulse; a bound at 0 does not slow it."""
    s, bound = step_and_bound(rises, dev)
    h = w / bound if bound != 0.0 else 0.0
    move = s * (1.0 - h) * (1.0 + sigma * z) if dev["mult_noise"] else s * (1.0 - h + sigma * z)
    return w + move if rises else w - move


def step_and_bound(rises, dev):
    """Return the step of the direction and the bound ahead."""
    if rises:
        return dev["dwmin_up"], dev["max_bound"]
    return dev["dwmin_down"], dev["min_bound"]


def exponential_factor(w, rises, dev):
    """Return y = max(1 - A exp(+- gamma x), 0)."""
    x = 2.0 * dev["a"] * w / (dev["max_bound"] - dev["min_bound"]) + dev["b"]
    if rises:
        return max(1.0 - dev["A_up"] * exp(dev["gamma_up"] * x), 0.0)
    return max(1.0 - dev["A_down"] * exp(-dev["gamma_down"] * x), 0.0)


def exponential_pulse(w, rises, dev, sigma, z):
    """Return w +- s y (1 + sigma z)."""
    s, _ = step_and_bound(rises, dev)
    move = s * exponential_factor(w, rises, dev) * (1.0 + sigma * z)
    return w + move if rises else w - move


def exponential_pulse_complex(w, rises, dev, sigma, z):
    """Return w + dw + sigma (|dw| + add + slope |w|) z with dw = +- s y."""
    s, _ = step_and_bound(rises, dev)
    dw = s * exponential_factor(w, rises, dev) * (1.0 if rises else -1.0)
    return w + dw + sigma * (abs(dw) + dev["dw_min_std_add"] + dev["dw_min_std_slope"] * abs(w)) * z


def power_pulse(w, rises, dev, sigma, z):
    """Return w +- s (room / R)**gamma (1 + sigma z); beyond the bound ahead there is no room."""
    s, bound = step_and_bound(rises, dev)
    room = max(bound - w if rises else w - bound, 0.0)
    part = room / (dev["max_bound"] - dev["min_bound"])
    move = s * part ** dev["gamma_up" if rises else "gamma_down"] * (1.0 + sigma * z)
    return w + move if rises else w - move


def between_nodes(table, low, high, w):
    """Return a table at `w`, linear between nodes that are equally spaced from `low` to `high`."""
    last = len(table) - 1
    if last == 0:
        return table[0]
    place = max((w - low) / (high - low) * last, 0.0)
    k = min(floor(place), last - 1)
    t = min(place - k, 1.0)
    return (1.0 - t) * table[k] + t * table[k + 1]


def piecewise_pulse(w, rises, dev, sigma, z):
    """Return w +- s table(w)(1 + sigma z), the nodes between the device's own bounds."""
    s, _ = step_and_bound(rises, dev)
    table = dev["piecewise_up" if rises else "piecewise_down"]
    move = s * between_nodes(table, dev["min_bound"], dev["max_bound"], w) * (1.0 + sigma * z)
    return w + move if rises else w - move


def table_pulse(w, rises, dev, sigma, z):
    """Return w +- gain table(w)(1 + sigma z), the nodes between the mean bounds."""
    s, _ = step_and_bound(rises, dev)
    table = dev["steps_up" if rises else "steps_down"]
    move = s / dev["dw_min"] * between_nodes(table, dev["w_min"], dev["w_max"], w)
    return w + move * (1.0 + sigma * z) if rises else w - move * (1.0 + sigma * z)


def numbered_table_pulse(w, rises, dev, sigma, z):
    """Return the same with rows for pulse numbers, linear between rows, the last one beyond.

    `pulse_number` counts the pulses before this one: all, or those of an unbroken run, then
    negative while they go down.
    """
    s, _ = step_and_bound(rises, dev)
    rows = dev["steps_up" if rises else "steps_down"]
    before = dev["pulse_number"]
    if dev["count_restarts"]:
        if (rises and before < 0.0) or (not rises and before > 0.0):
            before = 0.0
        dev["pulse_number"] = before + 1.0 if rises else before - 1.0
    else:
        dev["pulse_number"] = before + 1.0
    column = [between_nodes(row, dev["w_min"], dev["w_max"], w) for row in rows]
    place = min(abs(before) / dev["pulse_interval"], len(rows) - 1.0)
    move = s / dev["dw_min"] * between_nodes(column, 0.0, len(rows) - 1.0, place)
    return w + move * (1.0 + sigma * z) if rises else w - move * (1.0 + sigma * z)


def hidden_pulse(w, rises, dev, sigma, z):
    """Return the weight after a pulse into the accumulator, which takes the noise of a pair z.

    With `carry_over` a step is due at +-H and takes H away; without, beyond +-H, and empties it.
    """
    to_accumulator, to_weight = z if isinstance(z, tuple) else (0.0, z)
    scale = dev["hs_scale_up"] if rises else -dev["hs_scale_down"]
    h = dev["hidden_weights"] + scale * (1.0 + dev["hs_dw_min_std"] * to_accumulator)
    full, carry = dev["hs_hidden_states"], dev["carry_over"]
    if h >= full if carry else h > full:
        h = h - full if carry else 0.0
        w = w + dev["dwmin_up"] * (1.0 + sigma * to_weight)
    elif h <= -full if carry else h < -full:
        h = h + full if carry else 0.0
        w = w - dev["dwmin_down"] * (1.0 + sigma * to_weight)
    dev["hidden_weights"] = h
    return w


def send_all(w, planes, numbers, directions, pulse):
    """Return (weights, devices) after noise-free pulses in `directions` at every crosspoint.

    `planes` differ from device to device, `numbers` do not; what a law changed stands in the
    devices, one dict per crosspoint.
    """
    rows, cols = len(w), len(w[0])
    new, devices = [[0.0] * cols for _ in range(rows)], [[{}] * cols for _ in range(rows)]
    for i in range(rows):
        for j in range(cols):
            dev = numbers | {name: float(plane[i][j]) for name, plane in planes.items()}
            v = float(w[i][j])
            for direction in directions:
                v = clip(pulse(v, direction > 0, dev, 0.0, 0.0), dev)
            new[i][j], devices[i][j] = v, dev
    return new, devices
