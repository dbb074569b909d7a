r"""Weights as a tile's own products show them: least squares over probe vectors.

The tile multiplies N known vectors, the rows of X (with a column of ones if there is an analog
bias, p columns in all). From its results Y the weights and their errors are

.. math::
    \hat W^T &= (X^T X)^{-1} X^T Y \\
    \mathrm{var}(\hat W_{ij}) &= \hat\sigma_i^2 \, [(X^T X)^{-1}]_{jj}, \qquad
    \hat\sigma_i^2 = \frac{1}{N - p} \sum_n (Y - X \hat W^T)_{ni}^2

For independent standard normal probes and noise :math:`\sigma` of each read the variance is
:math:`\sigma^2 / (N - p - 1)` on average.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from rpusim.errors import DataError, warn_caller
from rpusim.kernels.streams import Purpose
from rpusim.periphery import IOParameters, NoiseManagementType
from rpusim.tiles.arguments import as_size, as_vectors

__all__ = ["Readout", "hadamard", "largest_input", "least_squares", "read_weights"]

HALVINGS = 10  # of probes that saturate an ADC: enough for a thousand inputs in full
PERFECT = IOParameters(is_perfect=True)
SCALED = (
    NoiseManagementType.ABS_MAX,
    NoiseManagementType.ABS_MAX_NP_SUM,
    NoiseManagementType.MAX,
)  # the scale follows the vector: smaller probes are read as large ones


@dataclasses.dataclass(frozen=True)
class Readout:
    """Weights that were read.

    Attributes
    ----------
    weights, standard_error : ndarray of shape (out_size, in_size)
        Estimates and their standard errors (NaN if there were only as many vectors as unknowns).
    bias, bias_standard_error : ndarray of shape (out_size,) or None
        The same of an analog bias; None without.
    vectors : int
        How many vectors were read for it.
    """

    weights: np.ndarray
    bias: np.ndarray | None
    standard_error: np.ndarray
    bias_standard_error: np.ndarray | None
    vectors: int


def read_weights(
    tile: Any,
    apply_weight_scaling: bool = False,
    x_values: Any = None,
    over_sampling: int = 10,
    inputs: str = "normal",
) -> Readout:
    r"""Estimate the weights of a tile from its own products with known vectors.

    Everything that `forward` does in evaluation is in the result: converters, noise, range of the
    inputs, compensation of drift. Probes are scaled to the largest input that the tile does not
    clip, and halved as often as the ADC clips.

    Parameters
    ----------
    tile : AnalogTile
        Which one; only its reads are counted, and its draws move on.
    apply_weight_scaling : bool
        True: logical weights. False: what the devices hold.
    x_values : array_like of shape (..., in_size), optional
        Vectors to read with, as they are, instead of probes.
    over_sampling : int
        How many probes for each unknown of an output.
    inputs : {"normal", "one_hot", "hadamard"}
        Kind of probes. With noise :math:`\sigma` of a read at full scale and k = `over_sampling`
        the variance of a weight is :math:`\sigma^2 / k` for "one_hot", one input at a time, and
        :math:`\sigma^2 / (n k)` for "hadamard", which drives all n inputs in full with random
        signs: the least possible. "normal", each vector scaled to its largest element, shows the
        tile under usual inputs, with 5 (n = 20) to 10 (n = 500) times the variance of "hadamard".
        "one_hot" is best where errors grow with the current: voltage drop along lines, S-shape,
        an ADC that clips.

    Returns
    -------
    Readout

    Raises
    ------
    DataError, ShapeError
        If `inputs` is unknown, or the vectors do not determine the weights.

    Notes
    -----
    A digital bias is subtracted, an analog one is estimated: the line of ones joins X. Inputs or
    outputs that were clipped nevertheless are warned of; outputs that bound_management SHIFT has
    lowered are not seen.

    Examples
    --------
    >>> import rpusim as rs
    >>> tile = rs.AnalogTile(2, 3, rs.RPUConfig(forward=rs.IOParameters(is_perfect=True)), rng=1)
    >>> tile.set_weights([[0.1, 0.2, 0.3], [-0.3, 0.0, 0.3]])
    0
    >>> print(read_weights(tile, inputs="hadamard").weights[0].round(5))
    [0.1 0.2 0.3]
    """
    where, line = f"{type(tile).__name__}.read_weights", tile._mapping.analog_bias
    before = tile.last_forward  # a backward may still be waiting for it
    if x_values is None:
        x, y = _read_unclipped(tile, _probes(tile, over_sampling, inputs, where))
    else:
        x, _ = as_vectors(x_values, tile.in_size, f"{where}: x_values", "inputs")
        if not np.isfinite(x).all():
            raise DataError(f"{where}: x_values must be finite, got NaN or infinity.")
        y = tile.forward(x, is_test=True)
    _warn_clipped(tile.last_forward, where)
    tile.last_forward = before
    known = np.column_stack([x, np.ones(len(x))]) if line else x
    result = y.astype(np.float64) - (0.0 if tile.bias is None else tile.bias)
    w, error = least_squares(known.astype(np.float64), result, where)
    if not apply_weight_scaling:
        scales = tile._mapping.total().astype(np.float64)[:, None]
        scales[scales == 0.0] = np.nan  # what nobody sees
        w, error = w / scales, error / np.abs(scales)
    w, error = w.astype(np.float32), error.astype(np.float32)
    if not line:
        return Readout(w, None, error, None, len(x))
    n = tile.in_size
    return Readout(w[:, :n].copy(), w[:, n].copy(), error[:, :n].copy(), error[:, n].copy(), len(x))


def least_squares(x: np.ndarray, y: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return W, (out, p), that brings ``x W^T`` closest to `y`, and its standard errors.

    Parameters
    ----------
    x, y : ndarray of shape (N, p), (N, out)
        Known vectors and what was read, float64.
    where : str
        Named in the error if `x` does not determine W.
    """
    count, unknowns = x.shape
    u, size, v = np.linalg.svd(x, full_matrices=False)
    smallest = size.max(initial=0.0) * max(x.shape) * np.finfo(np.float64).eps
    rank = int((size > smallest).sum())
    if rank < unknowns:
        raise DataError(
            f"{where}: the vectors must determine {unknowns} unknowns of each output, got {count} "
            f"vectors of rank {rank}."
        )
    w = (v.T / size) @ (u.T @ y)
    free = count - unknowns
    rest = np.sum((y - x @ w) ** 2, axis=0)
    variance = rest / free if free > 0 else np.full(rest.size, np.nan)
    spread = np.sum((v.T / size) ** 2, axis=1)
    return w.T, np.sqrt(np.outer(variance, spread))


# ---------------------------------------------------------------- probes


def hadamard(columns: int) -> np.ndarray:
    """Return Sylvester's Hadamard matrix of at least so many columns; its first is of ones."""
    h = np.ones((1, 1))
    while len(h) < columns:
        h = np.block([[h, h], [h, -h]])
    return h


def _normal(n: int, line: bool, times: int, rng: np.random.Generator) -> np.ndarray:
    x = rng.standard_normal((times * (n + line), n))
    return x / np.abs(x).max(axis=1, keepdims=True)


def _one_hot(n: int, line: bool, times: int, rng: np.random.Generator) -> np.ndarray:
    block = np.eye(n + line, n)  # the vector of zeros shows the bias alone
    return np.concatenate([block if k % 2 == 0 else -block for k in range(times)])


def _hadamard(n: int, line: bool, times: int, rng: np.random.Generator) -> np.ndarray:
    block = hadamard(n + line)[:, line : line + n]  # the first column is that of the bias
    repeats = -(-times * (n + line) // len(block))
    return np.concatenate([block * rng.choice([-1.0, 1.0], n) for _ in range(repeats)])


PROBES = {"normal": _normal, "one_hot": _one_hot, "hadamard": _hadamard}


def _probes(tile: Any, over_sampling: int, inputs: str, where: str) -> np.ndarray:
    """Return probe vectors that reach the largest input which the tile does not clip."""
    times = as_size(over_sampling, f"{where}: over_sampling")
    if inputs not in PROBES:
        raise DataError(f"{where}: inputs must be one of {', '.join(PROBES)}, got {inputs!r}.")
    rng = np.random.default_rng(tile._streams.draw(Purpose.READ))
    x = PROBES[inputs](tile.in_size, tile._mapping.analog_bias, times, rng)
    if _io(tile).noise_management is NoiseManagementType.MAX:  # scales by the largest, with sign
        x *= np.where(x.max(axis=1) < -x.min(axis=1), -1.0, 1.0)[:, None]
    top = largest_input(tile)
    return (x * (top if np.isfinite(top) else 1.0)).astype(np.float32)


def largest_input(tile: Any) -> float:
    """Return the largest input that a tile passes without clipping it; infinity without limit."""
    io, reach = _io(tile), getattr(tile, "input_range", None)
    bound = io.dac[0] or np.inf
    if io.perfect:
        bound = np.inf
    elif io.noise_management is NoiseManagementType.AVERAGE_ABS_MAX:
        mean = float(tile._forward.parameters["aux_nm_value"][0])
        bound *= mean if mean > 0.0 else np.inf
    elif io.noise_management is not NoiseManagementType.NONE:
        fixed = io.noise_management is NoiseManagementType.CONSTANT
        bound *= io.nm_thres if io.nm_thres > 0.0 else 1.0 if fixed else np.inf
    return float(bound if reach is None else reach * min(bound, 1.0))


def _io(tile: Any) -> IOParameters:
    return getattr(tile.rpu_config, "forward", PERFECT)


def _read_unclipped(tile: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return probes, halved as often as the ADC clips their results, and the results."""
    follows = _io(tile).noise_management in SCALED and not tile._mapping.analog_bias
    y = tile.forward(x, is_test=True)
    for _ in range(0 if follows else HALVINGS):
        if tile.last_forward.outputs_clipped == 0.0:
            break
        x = np.float32(0.5) * x
        y = tile.forward(x, is_test=True)
    return x, y


def _warn_clipped(last: Any, where: str) -> None:
    if last.inputs_clipped > 0.0 or last.outputs_clipped > 0.0:
        warn_caller(
            f"{where}: {last.inputs_clipped:.2g} of the inputs and {last.outputs_clipped:.2g} of "
            "the outputs were clipped, which makes weights look smaller (smaller x_values, "
            'inputs="one_hot", or bound_management ITERATIVE).',
            UserWarning,
        )
