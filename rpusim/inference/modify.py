r"""Weight modifiers: the copy of the weights with which hardware-aware training computes.

With :math:`a_\max` the largest :math:`|w|` of the tile, or `assumed_wmax`, :math:`a = |w| /
a_\max`, :math:`\sigma` = `std_dev` and a standard normal z for each weight:

====================  =========================================================================
type                  :math:`\tilde w`
====================  =========================================================================
COPY, DROP_CONNECT    :math:`w`
DISCRETIZE            :math:`Q_\Delta(w)`, with :math:`\Delta = \mathrm{res}\,a_\max`
DOREFA                :math:`Q_\mathrm{res}\big(c \tanh w / \tanh a_\max\big)`, c = `dorefa_clip`
ADD_NORMAL            :math:`w + \sigma a_\max z`
MULT_NORMAL           :math:`w + \sigma |w| z`
DISCRETIZE_ADD_NORMAL :math:`Q_\Delta(w) + \sigma a_\max z`
POLY                  :math:`w + \sigma a_\max P(a)\,z`, with :math:`P(a) = c_0 + c_1 a + \dots`
PROG_NOISE            :math:`\mathrm{sign}(w)\,\big|w + \sigma a_\max P(a)\,z / g_\max\big|`
PCM_NOISE             see `rpusim.inference.pcm_noise`
NOISE_MODEL           :math:`w + \sigma\,(\alpha_t w_t - w)`, see `rpusim.inference.device_noise`
====================  =========================================================================

:math:`Q_\Delta(v) = \Delta\,\mathrm{rint}(v / \Delta)` rounds halves to even, or stochastically
without bias; res > 1 means 1 / res, res <= 0 no rounding. The coefficients of P are relative to
:math:`a_\max` for POLY, in uS for PROG_NOISE; without any, both take those of phase-change memory,
(0.26348, 1.9650, -1.1731) uS. Then each weight is dropped, that is 0, with probability p = `pdrop`;
the others are divided by 1 - p with `rescale_dropped`. A last column that is to stay exact takes
no part: neither in the noise nor in :math:`a_\max`.

Relative noise of a matrix of zeros is zero. A copy costs about one normal per weight.

Source: Rasch et al., Nat. Commun. 14 (2023) 5282; Joshi et al., Nat. Commun. 11 (2020) 2473; Zhou
et al., DoReFa-Net, arXiv 1606.06160; Wan et al., DropConnect, ICML (2013).
"""

from __future__ import annotations

import numpy as np

from rpusim.inference.device_noise import device_noise
from rpusim.inference.noise_models import BaseNoiseModel
from rpusim.inference.pcm_noise import PCM_COEFFS, pcm_noise
from rpusim.inference.rows import fill_normals, fill_polynomial, fill_uniforms
from rpusim.inference.settings import WeightModifierParameter, WeightModifierType
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel

__all__ = ["modified"]

MASK = 0xFFFFFFFF
NOISE, ROUNDING, DROP, STAGES = 0, 1, 2, 8  # stages of a weight's draws; pcm_noise has one more
PER_WEIGHT = 2.0  # nanoseconds, to judge whether threads pay
HALF_EVEN = 12582912.0  # 1.5 * 2**23: adding it leaves no fractional bits in a float32

ROUNDED = (
    WeightModifierType.DISCRETIZE,
    WeightModifierType.DISCRETIZE_ADD_NORMAL,
    WeightModifierType.DOREFA,
)
ADDED = (WeightModifierType.ADD_NORMAL, WeightModifierType.DISCRETIZE_ADD_NORMAL)


def modified(
    w: np.ndarray,
    settings: WeightModifierParameter,
    key: tuple[int, int],
    step: int,
    backend: str = "cpu",
    bias_column: bool = False,
    sample: int | None = None,
    model: BaseNoiseModel | None = None,
) -> np.ndarray:
    """Return a modified copy of a matrix of weights.

    Parameters
    ----------
    w : ndarray of shape (rows, cols)
        Weights.
    settings : WeightModifierParameter
        What the copy is.
    key : (int, int)
        Two 32-bit words, see `rpusim.kernels.streams`.
    step : int
        Number of the copy under this key.
    backend : str
        Where it runs.
    bias_column : bool
        Whether the last column stays exact even if `copy_last_column` is not set.
    sample : int, optional
        Number of the vector that the copy is for, with `per_batch_sample`.
    model : BaseNoiseModel, optional
        That of NOISE_MODEL.

    Returns
    -------
    ndarray of float32, shape (rows, cols)
        Its own memory, whatever the type.

    Notes
    -----
    Draws are counted by (row, block of columns, step, stage and sample): the same for any number
    of threads, and those of one stage do not depend on which others there are.
    """
    w = np.ascontiguousarray(w, np.float32)
    kind = settings.type
    spared = bias_column or settings.copy_last_column
    largest = settings.assumed_wmax
    if settings.rel_to_actual_wmax:
        largest = _largest(w[:, :-1] if spared else w)
    first = 0 if sample is None else STAGES * (sample + 1)
    draw = step & MASK, first & MASK, key[0] ^ (first >> 32), key[1] ^ (step >> 32)
    if kind is WeightModifierType.NONE or largest == 0.0:
        return w.copy()
    if kind is WeightModifierType.PCM_NOISE:
        out = pcm_noise(w, settings, largest, draw, backend)
    elif kind is WeightModifierType.NOISE_MODEL and model is not None:
        out = w.copy()
        used = out[:, :-1] if spared else out
        used[:] = device_noise(used, settings, model, draw, backend)
    else:
        out = _noisy(w, settings, largest, draw, backend)
    if settings.pdrop > 0.0:
        kept = 1.0 / (1.0 - settings.pdrop) if settings.rescale_dropped else 1.0
        numbers = np.array([settings.pdrop, kept], np.float32)
        split(kernel(drop_rows, backend), w.shape[0], PER_WEIGHT * w.size, out, numbers, *draw)
    if spared:
        out[:, -1] = w[:, -1]
    return out


def nearest(v, grid):
    """Round `v` to a multiple of `grid`, halves to even."""
    return grid * ((v / grid + HALF_EVEN) - HALF_EVEN)


def dithered(v, grid, u):
    """Round `v` up to a multiple of `grid` with the probability that makes the mean `v`."""
    v = v / grid
    below = (v + HALF_EVEN) - HALF_EVEN
    below = below - 1.0 if below > v else below
    return grid * (below + 1.0 if u <= v - below else below)


def noisy_rows(begin, end, out, w, spread, numbers, step, stage, k0, k1):
    """Fill rows `begin`..`end` of `out`: `w` rounded, plus noise of the polynomial `spread`."""
    largest, grid = numbers[0], numbers[1]
    stochastic, folded = numbers[2] > 0.0, numbers[3] > 0.0
    columns = w.shape[1]
    drawn = np.zeros((4, (columns + 3) // 4), np.float32)
    z = drawn.reshape(drawn.size)
    a, sigma = np.zeros((2, columns), np.float32)
    for i in range(begin, end):
        if stochastic:
            fill_uniforms(drawn, i, step, stage + ROUNDING, k0, k1)
            for j in range(columns):
                out[i, j] = dithered(w[i, j], grid, z[j])
        elif grid > 0.0:
            for j in range(columns):
                out[i, j] = nearest(w[i, j], grid)
        else:
            for j in range(columns):
                out[i, j] = w[i, j]
        if spread.shape[0] > 0:
            fill_normals(drawn, i, step, stage + NOISE, k0, k1)
            for j in range(columns):
                a[j] = abs(w[i, j]) / largest
            fill_polynomial(sigma, a, spread)
            for j in range(columns):
                v = out[i, j] + sigma[j] * z[j]
                v = (-abs(v) if w[i, j] < 0.0 else abs(v)) if folded else v
                out[i, j] = v
    return 0


def drop_rows(begin, end, out, numbers, step, stage, k0, k1):
    """Drop weights of rows `begin`..`end` with a probability, and multiply the others."""
    prob, kept = numbers[0], numbers[1]
    columns = out.shape[1]
    drawn = np.zeros((4, (columns + 3) // 4), np.float32)
    u = drawn.reshape(drawn.size)
    for i in range(begin, end):
        fill_uniforms(drawn, i, step, stage + DROP, k0, k1)
        for j in range(columns):
            out[i, j] = 0.0 if u[j] <= prob else kept * out[i, j]
    return 0


def _noisy(w, settings, largest, draw, backend):
    """Return `w` rounded and with noise, nothing dropped."""
    kind, grid = settings.type, 0.0
    spread = settings.std_dev * largest * _polynomial(settings)
    if kind in ROUNDED:
        grid = 1.0 / settings.res if settings.res > 1.0 else max(settings.res, 0.0)
    if kind is WeightModifierType.DOREFA:
        squeezed = np.tanh(w.astype(np.float64)) * (settings.dorefa_clip / np.tanh(largest))
        w = squeezed.astype(np.float32)
    else:
        grid *= largest
    stochastic = settings.sto_round and grid > 0.0
    folded = kind is WeightModifierType.PROG_NOISE
    numbers = np.array([largest, grid, stochastic, folded], np.float32)
    out = np.empty_like(w)
    rows = kernel(noisy_rows, backend)
    spread = spread.astype(np.float32)
    split(rows, w.shape[0], PER_WEIGHT * w.size, out, w, spread, numbers, *draw)
    return out


def _polynomial(settings):
    """Return the standard deviation of the noise, as coefficients in a, relative to the largest."""
    kind, coeffs = settings.type, settings.coeffs
    if settings.std_dev == 0.0:
        return np.empty(0)
    if kind in ADDED:
        return np.ones(1)
    if kind is WeightModifierType.MULT_NORMAL:
        return np.array([0.0, 1.0])
    if kind is WeightModifierType.PROG_NOISE or coeffs is None:
        coeffs = np.divide(coeffs or PCM_COEFFS, settings.g_max)
    poly = kind in (WeightModifierType.POLY, WeightModifierType.PROG_NOISE)
    return np.array(coeffs) if poly else np.empty(0)


def _largest(w):
    """Return the largest magnitude of a matrix, 0 for an empty one."""
    return max(float(w.max(initial=0.0)), -float(w.min(initial=0.0)))
