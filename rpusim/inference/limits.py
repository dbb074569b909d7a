r"""What is done to weights after each step of training: clipping, and remapping into scales.

Clipping limits all weights of a tile, those of an analog bias included, to :math:`\pm c`:

=================== ===========================================================================
FIXED_VALUE         c = `fixed_value`
LAYER_GAUSSIAN      c = `sigma` times the standard deviation of the weights, n - 1 in its
                    denominator, around their mean
AVERAGE_CHANNEL_MAX c = mean over the outputs of :math:`\max_j |w_{ij}|`
=================== ===========================================================================

the last two at most `fixed_value` if that is > 0.

Remapping moves a factor :math:`A_i` from the weights of an output to its scale,
:math:`w_{ij} \leftarrow w_{ij} / A_i`, :math:`S_i \leftarrow A_i S_i`, and so leaves the logical
weights :math:`S_i w_{ij}` as they are, up to one rounding of each factor. With
:math:`w_\max` = `remapped_wmax`:

===================== =========================================================================
LAYERWISE_SYMMETRIC   :math:`A = \max_{ij} |w_{ij}| / w_\max`, the same for all outputs: unequal
                      scales keep their ratios, and so do the outputs their shares of the range
CHANNELWISE_SYMMETRIC :math:`A_i = \max_j |w_{ij}| / w_\max`
===================== =========================================================================

A is 1 where all weights are 0. With `max_scale_range` r a channelwise scale is at most
:math:`r \max(\min_k |S_k|, \mathrm{max\_scale\_ref})`, of the scales before; the weights of an
output that this holds back exceed :math:`w_\max`. Scales of 0 do not count in that minimum.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.inference.settings import (
    WeightClipParameter,
    WeightClipType,
    WeightRemapParameter,
    WeightRemapType,
)
from rpusim.kernels.device_arrays import beside, host, is_device_array

__all__ = ["clip_limit", "remapped"]

FLOAT32 = np.finfo(np.float32)


def clip_limit(w: np.ndarray, settings: WeightClipParameter) -> Any:
    """Return the limit of the magnitudes of weights, or None for no limit.

    A spread or a mean of 0 (a single weight, equal weights, only zeros) sets no limit: it would
    erase all weights. Of weights of a GPU the limit is an array of the GPU, infinite for none:
    nothing waits for it.

    Parameters
    ----------
    w : ndarray of shape (rows, cols)
        Weights.
    settings : WeightClipParameter
        Where the limit comes from.
    """
    kind, fixed = settings.type, settings.fixed_value
    if kind is WeightClipType.NONE or w.size == 0:
        return None
    if kind is WeightClipType.FIXED_VALUE:
        return fixed
    largest = np.abs(w).max(axis=1).astype(np.float64)
    if kind is WeightClipType.AVERAGE_CHANNEL_MAX:
        limit = largest.mean()
    else:
        spread = _spread(w) if w.size > 1 else 0.0 * largest[0]
        limit = settings.sigma * np.where(spread > FLOAT32.eps * largest.max(), spread, 0.0)
    limit = np.where(limit > 0.0, limit, np.inf)
    if fixed > 0.0:
        limit = np.minimum(limit, fixed)
    if is_device_array(limit):
        return limit.astype(np.float32)
    return None if np.isinf(limit) else float(limit)


def _spread(w):
    """Return the standard deviation in double precision."""
    if is_device_array(w):  # CuPy rounds the mean to the precision of what it is given
        return w.astype(np.float64).std(ddof=1)
    return np.std(w, ddof=1, dtype=np.float64)


def remapped(
    w: np.ndarray, scales: np.ndarray, settings: WeightRemapParameter
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and scales after moving magnitude from the ones to the others.

    Scales are digital: the largest weights of a GPU's rows are read back, which waits for it.

    Parameters
    ----------
    w : ndarray of shape (rows, cols)
        Weights.
    scales : float or ndarray of shape (rows,)
        Factors of the outputs.
    settings : WeightRemapParameter
        How much is moved.

    Returns
    -------
    w : ndarray of float32, shape (rows, cols)
        New weights.
    scales : ndarray of float32, shape (rows,)
        New factors.

    Examples
    --------
    >>> rows = WeightRemapParameter(type="CHANNELWISE_SYMMETRIC")
    >>> w, scales = remapped(np.array([[0.25, -0.5], [4.0, 2.0]]), np.ones(2), rows)
    >>> w.tolist(), scales.tolist()
    ([[0.5, -1.0], [1.0, 0.5]], [0.5, 4.0])
    """
    if not is_device_array(w):
        w = np.asarray(w, np.float32)
    old = np.broadcast_to(np.asarray(host(scales), np.float64), w.shape[:1])
    factor = np.ones_like(old)
    if settings.type is not WeightRemapType.NONE:
        largest = np.zeros(w.shape[0])
        if w.size:
            largest[:] = host(np.abs(w).max(axis=1))
        if settings.type is WeightRemapType.LAYERWISE_SYMMETRIC:
            largest[:] = largest.max(initial=0.0)
        # a denormal number has no digits to spare
        factor = np.where(largest >= FLOAT32.tiny, largest / settings.remapped_wmax, 1.0)
    if settings.max_scale_range > 0.0:
        factor = _held_back(factor, old, settings)
    return (w / beside(factor[:, None], w)).astype(np.float32), (old * factor).astype(np.float32)


def _held_back(factor, scales, settings):
    """Return factors with which no scale exceeds `max_scale_range` times the smallest before."""
    sizes = np.abs(scales)
    present = sizes > 0.0
    if not present.any():
        return factor
    most = max(sizes[present].min(), settings.max_scale_ref) * settings.max_scale_range
    return np.where(present, np.minimum(factor, most / np.where(present, sizes, 1.0)), factor)
