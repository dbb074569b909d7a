"""The stages of an analog product as scalar laws: input scale, DAC, slices, noise, wires, ADC.

`rpusim.periphery.mvm` strings them together; the equations stand there.
"""

import math
from typing import NamedTuple

import numpy as np

from rpusim.periphery.converters import convert, rint
from rpusim.periphery.settings import (
    SLICED,
    AnalogMVType,
    BoundManagementType,
    IOParameters,
    NoiseManagementType,
    NonFinite,
    SliceADC,
    WeightNoiseType,
)

__all__ = [
    "Passage",
    "bend",
    "drop_strength",
    "half_of",
    "offset_read",
    "passage",
    "prepare",
    "reductions",
    "scale_of",
    "settings_at",
    "slice_of",
    "voltage_along",
    "worst_case",
]

# how the scale of a vector is found, in the order of `SCALES`
UNSCALED, ABS_MAX, CONSTANT, GIVEN, MAX, NP_SUM = 0.0, 1.0, 2.0, 3.0, 4.0, 5.0
SCALES = {
    NoiseManagementType.NONE: UNSCALED,
    NoiseManagementType.ABS_MAX: ABS_MAX,
    NoiseManagementType.CONSTANT: CONSTANT,
    NoiseManagementType.AVERAGE_ABS_MAX: GIVEN,
    NoiseManagementType.MAX: MAX,
    NoiseManagementType.ABS_MAX_NP_SUM: NP_SUM,
}
# how many passes, and what they read
ONE, APART, APART_DIGITAL, SLICES = 0.0, 1.0, 2.0, 3.0


class Passage(NamedTuple):
    """The settings of a product as scalars, normalised: 0 means off."""

    perfect: float
    scaling: float  # ABS_MAX, ...
    threshold: float
    shortcut: float
    expected: float  # NP_SUM: largest weight over out_bound
    cap: float  # NP_SUM: largest multiple of the absolute maximum
    inp_bound: float
    inp_step: float
    inp_dither: float
    inp_noise: float
    inp_loss: float
    watch: float  # whether inputs can be clipped
    passes: float  # ONE, ...
    parts: float  # how many passes
    low_bits: float  # of the first slice
    high_bits: float  # of each further one
    full_range: float  # whether slices are read as what they are, not scaled up
    wire: float  # ir_drop
    wire_ratio: float
    far_first: float
    offsets: float  # whether lines have offsets or series resistance
    w_min: float
    series: float
    series_limit: float
    w_noise: float  # ADDITIVE_CONSTANT
    variance: float  # whether weights have a variance of their own
    bends: float  # whether outputs are bent
    out_loss: float
    out_bound: float
    out_step: float
    out_dither: float
    out_noise: float
    out_scale: float
    negative: float  # whether -out_bound counts as exceeded
    shift: float
    worst: float  # whether repetitions take the worst case's scale
    saturate: float  # whether infinity counts as more than anything, and passes the DAC


def passage(io: IOParameters) -> Passage:
    """Return the settings of one direction as a `Passage`."""
    scaling = SCALES[io.noise_management]
    inp_bound, inp_step = on_grid(*io.dac)
    out_bound, out_step = on_grid(*io.adc)
    sliced = io.mv_type in SLICED
    split = io.mv_type is AnalogMVType.SPLIT_MODE
    low = io.split_mode_bit_shift if split else 1
    high = io.bits - 1 - low if split else 1
    passes = {
        AnalogMVType.POS_NEG_SEPARATE: APART,
        AnalogMVType.POS_NEG_SEPARATE_DIGITAL_SUM: APART_DIGITAL,
    }.get(io.mv_type, SLICES if sliced else ONE)
    count = {ONE: 1, SLICES: 2 if split else io.bits - 1}.get(passes, 2)
    follows = scaling in (ABS_MAX, NP_SUM) and io.nm_thres <= 0.0  # no input exceeds the scale
    saturate = io.on_nonfinite is NonFinite.SATURATE
    additive = io.w_noise_type is WeightNoiseType.ADDITIVE_CONSTANT
    state_dependent = io.w_noise_type is WeightNoiseType.PCM_READ and io.w_noise > 0.0
    return Passage(
        perfect=float(io.perfect),
        scaling=scaling,
        threshold=max(io.nm_thres, 0.0) if scaling not in (UNSCALED, GIVEN) else 0.0,
        shortcut=float(io.zero_input_shortcut),
        expected=io.nm_assumed_wmax / (out_bound or 1.0),
        cap=io.max_bm_res / inp_step if inp_step > 0.0 else 0.0,
        inp_bound=inp_bound,
        inp_step=inp_step,
        inp_dither=float(io.inp_sto_round and inp_step > 0.0),
        inp_noise=io.inp_noise,
        inp_loss=io.inp_asymmetry,
        watch=float(inp_bound > 0.0 and (saturate or not follows)),
        passes=passes,
        parts=float(count),
        low_bits=float(low),
        high_bits=float(high),
        full_range=float(io.slice_adc is SliceADC.FULL_RANGE),
        wire=io.ir_drop,
        wire_ratio=io.ir_drop_g_ratio,
        far_first=float(io.ir_drop_far_first),
        offsets=float(io.v_offset_std > 0.0 or io.r_series > 0.0),
        w_min=io.v_offset_w_min,
        series=io.r_series,
        series_limit=io.r_series_max_total,
        w_noise=io.w_noise if additive else 0.0,
        variance=float(state_dependent or io.read_noise is not None),
        bends=float(io.out_nonlinearity > 0.0 or io.r_series > 0.0),
        out_loss=io.out_asymmetry,
        out_bound=out_bound,
        out_step=out_step,
        out_dither=float(io.out_sto_round and out_step > 0.0),
        out_noise=io.out_noise,
        out_scale=io.out_scale,
        negative=float(io.bm_test_negative_bound),
        shift=float(io.bound_management is BoundManagementType.SHIFT),
        worst=float(changes_scale(io)),
        saturate=float(saturate),
    )


def on_grid(bound: float, step: float) -> tuple[float, float]:
    """Return bound and step in float32, the last multiple of the step not beyond the bound."""
    if step == 0.0:
        return bound, step
    limit, single, count = np.float32(bound), np.float32(step), np.rint(bound / step)
    near = abs(count * step - bound) < 1e-6 * bound
    while near and single * np.float32(count) > limit:
        single = np.nextafter(single, np.float32(0.0))
    return float(limit), float(single)


def reductions(io: IOParameters) -> int:
    """Return how often bound management may repeat a vector (0: never)."""
    managed = (BoundManagementType.ITERATIVE, BoundManagementType.ITERATIVE_WORST_CASE)
    if io.bound_management not in managed or io.adc[0] == 0.0:
        return 0
    _, step = io.dac
    limit = float(io.max_bm_factor)
    if step > 0.0:
        limit = min(limit, io.max_bm_res / step)
    halvings = math.floor(math.log2(limit)) + 1 if limit >= 1.0 else 0
    return halvings + int(changes_scale(io) and halvings > 0)


def changes_scale(io: IOParameters) -> bool:
    """Return whether a first repetition changes to the scale of the worst case."""
    worst = io.bound_management is BoundManagementType.ITERATIVE_WORST_CASE
    return worst and io.noise_management is not NoiseManagementType.ABS_MAX_NP_SUM


def settings_at(v):
    """Return a vector of settings as a `Passage`."""
    return Passage(
        v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13],
        v[14], v[15], v[16], v[17], v[18], v[19], v[20], v[21], v[22], v[23], v[24], v[25], v[26],
        v[27], v[28], v[29], v[30], v[31], v[32], v[33], v[34], v[35], v[36],
    )  # fmt: skip


def saturated(scale, s):
    """Return a scale, or its largest value."""
    return min(scale, s.threshold) if s.threshold > 0.0 else scale


def scale_of(absmax, top, s):
    """Return the input scale of a vector from its largest magnitude and its largest element.

    It is 0 for a vector of zeros, except where the scale does not follow the vector. GIVEN and
    NP_SUM are found elsewhere.
    """
    if s.scaling == UNSCALED:
        return np.float32(1.0)
    if s.scaling == CONSTANT:
        return s.threshold if s.threshold > 0.0 else np.float32(1.0)
    if s.scaling == MAX:
        if top > 0.0:
            return saturated(top, s)
        return np.float32(1.0) if absmax > 0.0 else np.float32(0.0)  # then nothing is scaled
    return saturated(absmax, s)


def worst_case(absmax, positive, negative, s):
    """Return the scale at which no output can exceed the bound, for weights as expected.

    `positive` and `negative` are the sums of the magnitudes of the inputs of either sign.
    """
    scale = max(positive, negative) * s.expected
    if s.cap > 0.0:
        scale = min(scale, saturated(absmax, s) * s.cap)
    return max(saturated(absmax, s), scale)


def prepare(v, s, dither):
    """Return one input behind the DAC, before clipping; `v` is already divided by the scale."""
    return convert(v, s.inp_step, dither) if s.inp_step > 0.0 else v


def slice_of(v, number, s):
    """Return what slice `number` of an input behind the DAC sends, and its place value.

    The digital sum of place value times result is the whole product.
    """
    first = np.int32(0)
    width = np.int32(s.low_bits)
    if number > 0:
        width = np.int32(s.high_bits)
        first = np.int32(s.low_bits) + np.int32(number - 1) * width
    most = np.int32((1 << width) - 1)
    code = np.int32(rint(v / s.inp_step))
    bits = (abs(code) >> first) & most
    sign = np.float32(1.0) if code >= 0 else np.float32(-1.0)
    place = np.float32(1 << first)
    if s.full_range > 0.0:
        return sign * np.float32(bits) * s.inp_step, place
    unit = s.inp_bound / np.float32(most)
    return sign * np.float32(bits) * unit, place * np.float32(most) * s.inp_step / s.inp_bound


def half_of(v, part):
    """Return what pass `part` reads of an input: it if negative in the first, else if positive."""
    return min(v, 0.0) if part == 0 else max(v, 0.0)


def voltage_along(j, lines, s):
    """Return by what an input counts in the drop along a wire, less the nearer it is to the ADC."""
    place = lines - 1 - j if s.far_first > 0.0 else j
    away = 1.0 - np.float32(place) / np.float32(lines)
    return 1.0 - away * away


def drop_strength(current, lines, s):
    """Return (a, c(a)): the current of a line against what its wire carries, and its drop."""
    a = np.float32(lines) * current / s.wire_ratio
    return a, a * (0.5 + a * (0.05 * a - 0.2))


def offset_read(y, v, total, s):
    """Return a result behind voltage offset `v` and series resistance; `total` sums the inputs."""
    g = -s.w_min * total
    line = y + g
    reference = g
    if s.series > 0.0:
        line = line / (1.0 + min(s.series * abs(line), s.series_limit))
        reference = reference / (1.0 + min(s.series * abs(reference), s.series_limit))
    return (1.0 - v) * line - (1.0 + v) * reference


def bend(y, curve, factor):
    """Return a result behind the S-shape of its line."""
    return factor * y / (1.0 + abs(curve * y))
