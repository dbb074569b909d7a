r"""Mean and variance of a noisy product, without drawing anything: `product_moments`.

Given an input behind the DAC, all that is drawn on the way to the ADC is normal, so a result is

.. math:: a_i \sim N\Big(y_i(\hat x),\; \sum_j J_{ij}^2 V_j + \sum_j \sigma_{ij}^2 E \hat x_j^2
          + \sigma_i^2\Big)

with the slopes J of its line, the variances V of inputs (noise, stochastic rounding), weight noise
:math:`\sigma_{ij}` and output noise :math:`\sigma_i`, and the ADC is a sum over its levels
(`rpusim.periphery.moment_laws`). Bound management mixes rounds: with :math:`p_i` the chance that
line i stays within the bound, round r is the last with :math:`q_r \prod_i p_i`, and
:math:`q_{r+1} = q_r (1 - \prod_i p_i)`, where a line that was kept has the moments of one within
the bound.

Exact for static wires and lines, weight and output noise, both ways of rounding at the ADC,
clipping, digital sums of several passes, and bound management. With input noise: exact while
nothing behind it is curved and nothing is repeated. Otherwise approximate where

* inputs vary (input noise, stochastic rounding) behind bent lines, or before a kink (loss or split
  of negative inputs): their variance passes to first order, and the sum over inputs is taken for
  normal, which it is for many;
* they vary and rounds are repeated: the outputs of a vector are taken for independent (where a
  quarter of the vectors repeat, means are then off by some 10 % of their standard deviation);
* they vary and passes are digitised apart: the covariance of passes is that before the ADC.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rpusim.errors import ConfigError, DataError, ShapeError
from rpusim.periphery.moment_inputs import feeds, rounds_of, scale_of_each
from rpusim.periphery.moment_laws import Reading
from rpusim.periphery.moment_lines import (
    Line,
    LineParameters,
    Weights,
    line,
    line_parameters,
    read,
    slope,
    weights_of,
)
from rpusim.periphery.settings import (
    AnalogMVType,
    BoundManagementType,
    IOParameters,
    NoiseManagementType,
)

__all__ = ["Moments", "product_moments"]

UNLIKELY = 1e-14  # a round that is reached more rarely changes nothing
SOURCES = ("inp_noise", "inp_round", "w_noise", "out_noise", "out_round")


class Moments(NamedTuple):
    """What is known of the products of some vectors before they are drawn.

    Parameters
    ----------
    mean, variance : ndarray of shape (batch, m)
        Of each digital result, over repeated reads.
    clip_probability : ndarray of shape (batch, m)
        Chance that the ADC clips it in the round that counts, in any of its passes.
    rounds : ndarray of shape (batch,)
        Mean number of rounds that bound management takes; 1 without, 0 for a vector not read.
    sources : dict of str to ndarray of shape (batch, m)
        Variance by each source, as if the others and the ADC's bound were not there: `inp_noise`,
        `inp_round`, `w_noise`, `out_noise`, `out_round`. Rounding, which is no variance over reads
        unless stochastic, counts as an error of random sign: that of each input, and step**2 / 12
        at the ADC (/ 6 if stochastic).
    """

    mean: np.ndarray
    variance: np.ndarray
    clip_probability: np.ndarray
    rounds: np.ndarray
    sources: dict[str, np.ndarray]

    def behind(self, gain: ArrayLike, offset: ArrayLike = 0.0) -> Moments:
        """Return the moments of the results times a digital gain, plus an offset.

        Parameters
        ----------
        gain, offset : array_like of shape (m,), or that broadcasts against (batch, m)
            Of each output line.
        """
        square = np.square(np.asarray(gain, np.float64))
        sources = {name: square * variance for name, variance in self.sources.items()}
        mean = self.mean * np.asarray(gain, np.float64) + np.asarray(offset, np.float64)
        return self._replace(mean=mean, variance=square * self.variance, sources=sources)


def product_moments(
    io: IOParameters,
    x: ArrayLike,
    w: ArrayLike,
    lines: Mapping[str, np.ndarray] | None = None,
    backward: bool = False,
    alpha: float | None = None,
) -> Moments:
    """Return mean and variance of noisy products.

    Parameters
    ----------
    io : IOParameters
        Settings of this direction.
    x : array_like of shape (batch, n)
        Vectors; finite.
    w : array_like of shape (rows, cols)
        Weights of the devices.
    lines : mapping of str to ndarray, optional
        Hidden parameters of this direction, as of ``tile.get_forward_parameters()``; needed where
        `io` has them drawn.
    backward : bool
        Whether to multiply with the transpose of `w`, without bound management.
    alpha : float, optional
        AVERAGE_ABS_MAX: the average at these vectors; default ``lines["aux_nm_value"]``, as in
        evaluation.

    Returns
    -------
    Moments

    Raises
    ------
    ConfigError
        If there is no closed form (SHIFT, whose outputs depend on the largest), or something that
        it needs is not given.
    ShapeError, DataError
        If `x` or `w` has a wrong shape, or numbers that are not finite.
    """
    x32, matrix = as_arrays(x, w, backward)
    if io.perfect:
        mean = io.out_scale * (x32.astype(np.float64) @ matrix.T)
        return nothing(mean.shape)._replace(mean=mean, rounds=np.ones(len(mean)))
    average = check(io, lines, backward, alpha)
    exact = x32.astype(np.float64)
    first = scale_of_each(io, exact, average)
    turns = rounds_of(io, exact, first, backward)
    parameters = line_parameters(io, lines, len(matrix))
    weights = weights_of(io, matrix, lines, backward)
    moments = nothing((len(x32), len(matrix)))
    second, reach = np.zeros(moments.mean.shape), np.ones(len(x32))
    if io.zero_input_shortcut:
        reach[first <= 0.0] = 0.0
    for turn, (scales, reduction) in enumerate(turns):
        rows = np.flatnonzero(reach > UNLIKELY)
        scale = np.where(scales > 0.0, scales, 1.0)[rows]
        v = x32[rows] * (np.float32(1.0 / reduction) / scale.astype(np.float32))[:, None]
        reading, sources = one_round(io, v, weights, parameters)
        share, rest = shares(reading, reach[rows][:, None], turn == len(turns) - 1)
        gain = (io.out_scale * reduction * scale)[:, None]
        moments.mean[rows] += gain * share.mean
        second[rows] += gain**2 * share.square
        moments.clip_probability[rows] += share.ok - share.inside
        moments.rounds[rows] += reach[rows]
        for name, variance in zip(SOURCES, sources, strict=True):
            moments.sources[name][rows] += share.ok * gain**2 * variance
        reach[rows] = rest[:, 0]
    return moments._replace(variance=np.maximum(second - moments.mean**2, 0.0))


def as_arrays(x: ArrayLike, w: ArrayLike, backward: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors as float32, (batch, n), and the matrix that they meet, (m, n)."""
    x32, matrix = np.asarray(x, np.float32), np.asarray(w, np.float64)
    matrix = matrix.T if backward else matrix
    if matrix.ndim != 2 or x32.ndim != 2 or x32.shape[1] != matrix.shape[1]:
        inputs = matrix.shape[-1] if matrix.ndim else 0
        raise ShapeError(
            f"product_moments: x must have shape (batch, {inputs}) for these weights, got "
            f"{x32.shape}."
        )
    if not (np.isfinite(x32).all() and np.isfinite(matrix).all()):
        raise DataError("product_moments: x and w must be finite, got NaN or infinity.")
    return x32, matrix


def check(
    io: IOParameters,
    lines: Mapping[str, np.ndarray] | None,
    backward: bool,
    alpha: float | None,
) -> float:
    """Return the average of AVERAGE_ABS_MAX; refuse what has no closed form."""
    if io.bound_management is BoundManagementType.SHIFT and not backward:
        raise ConfigError(
            "product_moments: bound_management SHIFT has no closed form: every output depends on "
            "the largest of its vector."
        )
    for name in ("inp_asymmetry", "out_asymmetry"):
        if getattr(io, name) > 1.0:
            raise ConfigError(
                f"product_moments: {name} must be <= 1, or signs turn, got {getattr(io, name)!r}."
            )
    if io.noise_management is not NoiseManagementType.AVERAGE_ABS_MAX:
        return -1.0
    if alpha is None and "aux_nm_value" not in (lines or {}):
        raise ConfigError(
            "product_moments: noise_management AVERAGE_ABS_MAX depends on earlier vectors; give "
            "alpha, or lines['aux_nm_value']."
        )
    return float(alpha if alpha is not None else np.ravel((lines or {})["aux_nm_value"])[0])


def nothing(shape: tuple[int, ...]) -> Moments:
    """Return moments that are all 0."""
    sources = {name: np.zeros(shape) for name in SOURCES}
    mean, variance, clipped = np.zeros((3, *shape))
    return Moments(mean, variance, clipped, np.zeros(shape[0]), sources)


def one_round(
    io: IOParameters, v: np.ndarray, weights: tuple[Weights, Weights], parameters: LineParameters
) -> tuple[Reading, np.ndarray]:
    """Return the ADC's moments for scaled inputs, and the variances by source, (5, batch, m)."""
    made, covariance = feeds(io, v)
    results = [line(io, feed, weights[feed.negative], parameters) for feed in made]
    places = [feed.place for feed in made]
    shared: np.ndarray | float = 0.0
    if covariance is not None:
        shared = covariance @ (weights[0].values * weights[made[0].negative].values).T
    if io.mv_type is AnalogMVType.POS_NEG_SEPARATE:
        total = Line(*(a + b for a, b in zip(*results, strict=True)))
        results, places, shared = [total._replace(noise=total.noise + shared)], [1.0], 0.0
    readings, sources = [], np.zeros((len(SOURCES), *results[0].mean.shape))
    rounding = io.adc[1] ** 2 / (6.0 if io.out_sto_round else 12.0)
    for place, a in zip(places, results, strict=True):
        variance = a.noise + a.rounding + a.weight
        reading = read(io, a.mean, variance, parameters, io.bm_test_negative_bound)
        readings.append(placed(reading, place))
        steep, one = slope(io, a.mean, parameters) ** 2, np.ones(a.mean.shape)
        parts = [steep * a.noise, steep * a.error, steep * a.weight]
        parts += [parameters.noise**2 * one, rounding * one]
        sources += place**2 * np.array(parts)
    whole = reduce(together, readings)
    square, ok_square = whole.square + shared, whole.ok_square + shared * whole.ok
    return whole._replace(square=square, ok_square=ok_square), sources


def placed(reading: Reading, place: float) -> Reading:
    """Return the moments of a reading times its place value."""
    mean, square, inside, ok, ok_mean, ok_square = reading
    return Reading(
        place * mean, place**2 * square, inside, ok, place * ok_mean, place**2 * ok_square
    )


def together(a: Reading, b: Reading) -> Reading:
    """Return the moments of the sum of two independent readings."""
    return Reading(
        a.mean + b.mean,
        a.square + 2.0 * a.mean * b.mean + b.square,
        a.inside * b.inside,
        a.ok * b.ok,
        a.ok_mean * b.ok + a.ok * b.ok_mean,
        a.ok_square * b.ok + 2.0 * a.ok_mean * b.ok_mean + a.ok * b.ok_square,
    )


def shares(a: Reading, reach: np.ndarray, last: bool) -> tuple[Reading, np.ndarray]:
    """Return what a round adds to the moments of its vectors, and the chance of one more.

    `reach` is the chance that a vector comes to this round. Unless it is the last, what it
    returns counts where all outputs of the vector are within the bound.
    """
    if last:
        ok = reach * np.ones(a.mean.shape)
        return Reading(reach * a.mean, reach * a.square, reach * a.inside, ok, ok, ok), 0.0 * reach
    every = np.prod(a.ok, axis=1, keepdims=True)
    others = reach * np.divide(every, a.ok, out=np.zeros(a.ok.shape), where=a.ok > 0.0)
    ok = reach * every * np.ones(a.mean.shape)
    share = Reading(others * a.ok_mean, others * a.ok_square, others * a.inside, ok, ok, ok)
    return share, reach * (1.0 - every)
