r"""What a line does to the moments of its result: wires, offsets, weight noise, S-shape, loss.

The mean passes as it is; variances of inputs pass by the slopes :math:`J_{ij} = \partial y_i /
\partial \hat x_j`, which is exact where the line is linear and first order where it is not. Weight
noise adds its own variance. The S-shape and the loss of negative outputs act on the normal that
results: it is cut into narrow normals at equal distances, each bent to second order and read by
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from rpusim.errors import ConfigError
from rpusim.periphery.moment_inputs import Feed
from rpusim.periphery.moment_laws import Reading, converted_normal, rectified_normal
from rpusim.periphery.read_noise import read_variance
from rpusim.periphery.settings import IOParameters, WeightNoiseType

__all__ = [
    "Line",
    "LineParameters",
    "Weights",
    "line",
    "line_parameters",
    "read",
    "slope",
    "weights_of",
]

Jacobian = Callable[[int], np.ndarray]  # of a vector: slopes of results by inputs, (m, n)
WIDTH = 0.125  # of the narrow normals, and their distance, in standard deviations
CUT = 6.5  # standard deviations: 1e-10 of a normal lies beyond


class LineParameters(NamedTuple):
    """Hidden parameters of the m output lines."""

    offset: np.ndarray
    curve: np.ndarray  # of the S-shape
    factor: float
    noise: np.ndarray


class Weights(NamedTuple):
    """Weights that one pass sees, (m, n), and the variance of their noise."""

    values: np.ndarray
    variance: np.ndarray | None


class Line(NamedTuple):
    """Moments of results before the S-shape, (batch, m): mean, and variances by their source."""

    mean: np.ndarray
    noise: np.ndarray
    rounding: np.ndarray
    weight: np.ndarray
    error: np.ndarray  # square of the rounding error of inputs: no variance, for the budget


def line_parameters(
    io: IOParameters, lines: Mapping[str, np.ndarray] | None, m: int
) -> LineParameters:
    """Return the hidden parameters of lines, from those of a tile where they are drawn.

    Raises
    ------
    ConfigError
        If one that is drawn is missing, or has another length.
    """
    given = lines or {}

    def values(name: str, mean: float, spread: float) -> np.ndarray:
        if name not in given and spread == 0.0:
            return np.full(m, mean)
        size = np.size(given[name]) if name in given else "none"
        if size != m:
            raise ConfigError(
                f"product_moments: lines[{name!r}] must hold {m} numbers, got {size}; see "
                "tile.get_forward_parameters()."
            )
        return np.ravel(np.asarray(given[name], np.float64))

    bound = io.adc[0] or 1.0
    noise = values("out_noise_values", io.out_noise, io.out_noise_std)
    offset, curve, factor = np.zeros(m), np.zeros(m), 1.0
    if has_offsets(io):
        offset = values("v_offset", 0.0, io.v_offset_std)
    if io.out_nonlinearity > 0.0 or io.r_series > 0.0:
        strength = io.out_nonlinearity / bound
        curve = values("out_nonlinearity", strength, io.out_nonlinearity_std)
        steeper = (np.mean(np.abs(curve)) + io.r_series) * max(io.slope_calibration, 0.0) * bound
        factor = float(np.ravel(given.get("out_nonlinearity_factor", (1.0 + steeper) ** 2))[0])
    return LineParameters(offset, curve, factor, noise)


def has_offsets(io: IOParameters) -> bool:
    """Return whether lines have voltage offsets or series resistance."""
    return io.v_offset_std > 0.0 or io.r_series > 0.0


def weights_of(
    io: IOParameters, w: np.ndarray, lines: Mapping[str, np.ndarray] | None, backward: bool
) -> tuple[Weights, Weights]:
    """Return the weights that most passes see, and those of a phase of negative inputs."""
    polar = w
    if io.w_read_asymmetry_dtod > 0.0:
        if np.size((lines or {}).get("w_asymmetry", ())) != w.size:
            raise ConfigError(
                f"product_moments: lines['w_asymmetry'] must hold {w.size} numbers, one for each "
                "device; see tile.get_forward_parameters()."
            )
        factors = np.reshape((lines or {})["w_asymmetry"], w.T.shape if backward else w.shape)
        polar = w * (factors.T if backward else factors)
    return Weights(w, variance_of(io, w)), Weights(polar, variance_of(io, polar))


def variance_of(io: IOParameters, w: np.ndarray) -> np.ndarray | None:
    """Return the variance of every weight in a read; None if there is no such noise."""
    if io.w_noise_type is WeightNoiseType.ADDITIVE_CONSTANT:
        variance = np.full(w.shape, io.w_noise**2)
    elif io.w_noise_type is WeightNoiseType.PCM_READ:
        variance = io.w_noise**2 * np.abs(w)
    else:
        variance = np.zeros(w.shape)
    if io.read_noise is not None:
        own = np.ascontiguousarray(w, np.float32)
        variance = variance + read_variance(io.read_noise, own, "cpu")
    return variance if variance.any() else None


def line(io: IOParameters, feed: Feed, weights: Weights, lines: LineParameters) -> Line:
    """Return the moments of the results of one pass."""
    w = weights.values
    y, jacobian = feed.mean @ w.T, None
    if io.ir_drop > 0.0:
        y, jacobian = wires(io, feed, w, y)
    if has_offsets(io):
        y, jacobian = offsets(io, feed, lines.offset, w, y, jacobian)
    square = w * w
    noise, rounding = feed.noise @ square.T, feed.rounding @ square.T
    if jacobian is not None and (feed.noise.any() or feed.rounding.any()):
        for b in range(len(y)):
            slopes = jacobian(b) ** 2
            noise[b], rounding[b] = slopes @ feed.noise[b], slopes @ feed.rounding[b]
    inputs = feed.mean**2 + feed.noise + feed.rounding
    weight = np.zeros(y.shape) if weights.variance is None else inputs @ weights.variance.T
    return Line(y, noise, rounding, weight, feed.error @ square.T)


def wires(
    io: IOParameters, feed: Feed, w: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, Jacobian]:
    """Return results less the voltage drop, and their slopes."""
    n, magnitude = w.shape[1], np.abs(w)
    away = 1.0 - (np.arange(n)[::-1] if io.ir_drop_far_first else np.arange(n)) / n
    position = 1.0 - away**2
    a = n / io.ir_drop_g_ratio * (feed.size @ magnitude.T)
    drop = io.ir_drop * a * (0.5 - 0.2 * a + 0.05 * a**2)
    steeper = io.ir_drop * (0.5 - 0.4 * a + 0.15 * a**2) * n / io.ir_drop_g_ratio
    far = (feed.mean * position) @ w.T

    def jacobian(b: int) -> np.ndarray:
        own = w * (1.0 - drop[b][:, None] * position)
        return own - (steeper * far)[b][:, None] * magnitude * np.sign(feed.mean[b])

    return y - drop * far, jacobian


def offsets(
    io: IOParameters,
    feed: Feed,
    v: np.ndarray,
    w: np.ndarray,
    y: np.ndarray,
    inner: Jacobian | None,
) -> tuple[np.ndarray, Jacobian]:
    """Return results behind voltage offsets and series resistance, and their slopes."""
    current = -io.v_offset_w_min * feed.mean.sum(axis=1)[:, None]

    def behind(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        loss = 1.0 + np.minimum(io.r_series * np.abs(z), io.r_series_max_total)
        free = io.r_series * np.abs(z) < io.r_series_max_total
        return z / loss, np.where(free, 1.0 / loss**2, 1.0 / loss)

    coding, coding_slope = behind(y + current)
    reference, reference_slope = behind(current)
    by_result = (1.0 - v) * coding_slope
    by_total = -io.v_offset_w_min * (by_result - (1.0 + v) * reference_slope)

    def jacobian(b: int) -> np.ndarray:
        before = w if inner is None else inner(b)
        return by_result[b][:, None] * before + by_total[b][:, None]

    return (1.0 - v) * coding - (1.0 + v) * reference, jacobian


def slope(io: IOParameters, mean: np.ndarray, lines: LineParameters) -> np.ndarray:
    """Return the slope of S-shape and loss at a result."""
    keep = np.where(mean < 0.0, 1.0 - io.out_asymmetry, 1.0)
    return keep * lines.factor / (1.0 + lines.curve * np.abs(mean)) ** 2


def read(
    io: IOParameters, mean: np.ndarray, variance: np.ndarray, lines: LineParameters, negative: bool
) -> Reading:
    """Return the moments of what the ADC returns for results of these moments."""
    bound, step = io.adc
    adc = (bound, step, io.out_sto_round, negative)
    straight = not lines.curve.any() and io.out_asymmetry == 0.0
    if straight:
        spread = np.sqrt(lines.factor**2 * variance + lines.noise**2)
        return converted_normal(lines.factor * mean, spread, *adc)
    if not variance.any():
        bent, _ = bend(io, mean, variance, lines)
        return converted_normal(bent, lines.noise, *adc)
    z = WIDTH * np.arange(-round(CUT / WIDTH), round(CUT / WIDTH) + 1)
    weight = np.exp(-0.5 * z * z)
    weight /= weight.sum()
    shift = np.sqrt(variance * (1.0 - WIDTH**2))
    total = np.zeros((len(Reading._fields), *mean.shape))
    for share, node in zip(weight, z, strict=True):
        bent, narrow = bend(io, mean + shift * node, WIDTH**2 * variance, lines)
        spread = np.sqrt(narrow + lines.noise**2)
        total += share * np.array(converted_normal(bent, spread, *adc))
    return Reading(*total)


def bend(
    io: IOParameters, mean: np.ndarray, variance: np.ndarray, lines: LineParameters
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of a narrow normal behind the S-shape and the loss."""
    stretch = 1.0 + lines.curve * np.abs(mean)
    steep = lines.factor / stretch**2
    curved = -2.0 * lines.curve * np.sign(mean) * steep / stretch * variance
    mean = lines.factor * mean / stretch + 0.5 * curved
    variance = steep**2 * variance + 0.5 * curved**2
    if io.out_asymmetry == 0.0:
        return mean, variance
    keep = 1.0 - io.out_asymmetry
    up, up_square = rectified_normal(mean, np.sqrt(variance))
    square = up_square + keep**2 * (mean**2 + variance - up_square)
    bent = up + keep * (mean - up)
    return bent, np.maximum(square - bent**2, 0.0)
