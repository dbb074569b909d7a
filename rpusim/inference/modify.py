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

from typing import Any

import numpy as np

from rpusim.inference.device_noise import device_noise
from rpusim.inference.modify_rows import STAGES, drop_rows, drop_team, noisy_rows, noisy_team
from rpusim.inference.noise_models import BaseNoiseModel
from rpusim.inference.pcm_noise import PCM_COEFFS, pcm_noise
from rpusim.inference.settings import WeightModifierParameter, WeightModifierType
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import is_device_array, place

__all__ = ["modified"]

MASK = 0xFFFFFFFF
TINIEST = 1e-60  # below every float32: what is not 0 stays as it is
PER_WEIGHT = 2.0  # nanoseconds, to judge whether threads pay

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
        Weights, where the backend can work on them.
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

    A GPU keeps its largest weight to itself: nothing here waits for it, but NOISE_MODEL, whose
    programmed devices are checked.
    """
    w = place(w, backend).astype(np.float32, order="C", copy=False)
    kind = settings.type
    spared = bias_column or settings.copy_last_column
    largest = settings.assumed_wmax
    if settings.rel_to_actual_wmax:
        largest = _largest(w[:, :-1] if spared else w)
    first = 0 if sample is None else STAGES * (sample + 1)
    draw = step & MASK, first & MASK, key[0] ^ (first >> 32), key[1] ^ (step >> 32)
    hidden = is_device_array(largest)
    if kind is WeightModifierType.NONE or (not hidden and largest == 0.0):
        return w.copy()
    if kind is WeightModifierType.PCM_NOISE:
        out = pcm_noise(w, settings, largest, draw, backend)
    elif kind is WeightModifierType.NOISE_MODEL and model is not None:
        out = w.copy()
        used = out[:, :-1] if spared else out
        noisy = device_noise(used, settings, model, draw, backend)
        used[:] = np.where(largest > 0.0, noisy, used) if hidden else noisy
    else:
        out = _noisy(w, settings, largest, draw, backend)
    if settings.pdrop > 0.0:
        kept = 1.0 / (1.0 - settings.pdrop) if settings.rescale_dropped else 1.0
        numbers = place(np.array([settings.pdrop, kept], np.float32), backend)
        rows = kernel(drop_rows if backend == "cpu" else drop_team, backend)
        split(rows, w.shape[0], PER_WEIGHT * w.size, out, numbers, *draw)
    if spared:
        out[:, -1] = w[:, -1]
    return out


def _noisy(w, settings, largest, draw, backend):
    """Return `w` rounded and with noise, nothing dropped."""
    kind, grid = settings.type, 0.0
    spread = settings.std_dev * largest * place(_polynomial(settings), backend)
    if kind in ROUNDED:
        grid = 1.0 / settings.res if settings.res > 1.0 else max(settings.res, 0.0)
    if kind is WeightModifierType.DOREFA:
        top = np.tanh(np.maximum(largest, TINIEST))
        squeezed = np.tanh(w.astype(np.float64)) * (settings.dorefa_clip / top)
        w = squeezed.astype(np.float32)
    stochastic = settings.sto_round and grid > 0.0
    folded = kind is WeightModifierType.PROG_NOISE
    numbers = place(np.array([0.0, grid, stochastic, folded], np.float32), backend)
    numbers[0] = largest
    if kind is not WeightModifierType.DOREFA:
        numbers[1] = grid * largest
    out = np.empty_like(w)
    rows = kernel(noisy_rows if backend == "cpu" else noisy_team, backend)
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


def _largest(w: Any) -> Any:
    """Return the largest magnitude of a matrix, 0 for an empty one; a GPU's as an array."""
    if is_device_array(w) and w.size:
        return np.maximum(w.max(), -w.min()).astype(np.float64)
    return max(float(w.max(initial=0.0)), -float(w.min(initial=0.0))) if w.size else 0.0
