r"""`AnalogMatrix`: a matrix on devices that is used as one of NumPy or SciPy.

Matrices have any scale, devices do not: unless a scale is asked for, `rpusim.tiles.matrix_scale`
finds one.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import numbers
from typing import Any, NamedTuple

import numpy as np

from rpusim.arrays import real_array
from rpusim.config import nearest
from rpusim.errors import ConfigError, DataError, ShapeError, warn_caller
from rpusim.tiles import InferenceRPUConfig, TileGrid, build_tile
from rpusim.tiles.arguments import as_size
from rpusim.tiles.grid_base import silent_tiles
from rpusim.tiles.ledger import UpdateReport
from rpusim.tiles.matrix_scale import fitting_omega
from rpusim.tiles.operator import TileOperator
from rpusim.tiles.programming import METHODS
from rpusim.tiles.programming_job import ProgrammingResult
from rpusim.tiles.readout import Readout
from rpusim.tiles.settings import as_config

__all__ = ["AnalogMatrix", "ProductError"]


class ProductError(NamedTuple):
    """How wrong products with random vectors are.

    Attributes
    ----------
    relative : float
        Root of the ratio of the sums of squares of errors and of exact results.
    mean, std : ndarray of shape (n_out,)
        Mean error of each result, and its standard deviation.
    vectors : int
        How many were multiplied.
    """

    relative: float
    mean: np.ndarray
    std: np.ndarray
    vectors: int


class AnalogMatrix(TileOperator):
    r"""A real matrix on a tile, or on a grid of tiles if it is large.

    A `scipy.sparse.linalg.LinearOperator`: ``A @ x`` with vectors (m,) and matrices (m, k),
    ``y @ A``, ``A.T``, ``A.H``, ``matvec``, ``matmat``, ``rmatvec``, ``rmatmat``, sums and products
    with other operators, and all solvers of SciPy. Each product is one of evaluation: with
    converters and noise, drawn anew. ``A.T`` is the same tile, sent through the other way: by the
    configuration's `backward`, exactly for an `InferenceRPUConfig`.

    Parameters
    ----------
    matrix : array_like of shape (n, m), or sparse matrix
        Real and finite.
    rpu_config : configuration or device, optional
        What the tile is made of; default `RPUConfig()`.
    omega : float, optional
        Largest weight on devices, as ``mapping.weight_scaling_omega``; 0: the matrix as it is.
        Default: that of the configuration, or, if it is 0, one that fits.
    programming : str, default "set"
        How the matrix comes onto the devices: "set"; by pulses, "fixed_inputs", "write_verify" or
        "gradient"; "noise_model", with the errors of an `InferenceRPUConfig`.
    rng : None, int, SeedSequence or Generator
        Source of all its randomness.
    backend : str
        Where it computes.
    **options
        Of the programming by pulses, as for `AnalogTile.program_weights`.

    Attributes
    ----------
    tile : AnalogTile or TileGrid
        For drift, statistics, moments, hidden parameters.
    programming : ProgrammingResult or None
        What programming by pulses took.
    clipped : int
        How many weights their devices could not hold.

    Examples
    --------
    >>> import rpusim as rs
    >>> exact = rs.RPUConfig(device=rs.IdealDevice(), forward=rs.IOParameters(is_perfect=True))
    >>> A = AnalogMatrix([[4.0, -1.0, 0.0], [-1.0, 4.0, -1.0]], exact, rng=1)
    >>> A, A @ [1.0, 2.0, 3.0]
    (<AnalogMatrix of shape (2, 3): 1 tile of IdealDevice>, array([2., 4.]))
    """

    def __init__(
        self,
        matrix: Any,
        rpu_config: Any = None,
        *,
        omega: float | None = None,
        programming: str = "set",
        rng: Any = None,
        backend: str = "cpu",
        **options: Any,
    ):
        w = _checked(matrix)
        config = as_config(rpu_config, "AnalogMatrix")
        inference = isinstance(config, InferenceRPUConfig)
        known = ["set", "noise_model"] if inference else ["set", *METHODS]
        if programming not in known:
            raise ConfigError(
                f"AnalogMatrix: programming of a {type(config).__name__} must be one of "
                f"{', '.join(known)}, got {programming!r}{nearest(str(programming), known) or '.'}"
            )
        if options and programming in ("set", "noise_model"):
            raise ConfigError(f"AnalogMatrix: {', '.join(options)} needs programming by pulses.")
        n, m = w.shape
        with silent_tiles():  # of initial weights, which nobody will see
            tile = build_tile(n, m, config, rng=rng, backend=backend)
            if omega is None:
                omega = config.mapping.weight_scaling_omega or fitting_omega(w, tile)
            config = config.replace(mapping={"weight_scaling_omega": omega})
            tile = build_tile(n, m, config, rng=tile.seed, backend=backend)
        super().__init__(tile, is_test=True)
        self._flipped = False
        before = tile.stats.weights_clipped
        self.programming: ProgrammingResult | None = None
        if programming in METHODS:
            self.programming = tile.program_weights(w, method=programming, **options)
        else:
            tile.set_weights(w)
        self.clipped: int = tile.stats.weights_clipped - before
        if programming == "noise_model":
            tile.program_weights()

    @property
    def seed(self) -> int:
        """As `rng`, it makes the same matrix again."""
        return self.tile.seed

    def _forward(self, x: np.ndarray) -> np.ndarray:
        return super()._back(x) if self._flipped else super()._forward(x)

    def _back(self, d: np.ndarray) -> np.ndarray:
        return super()._forward(d) if self._flipped else super()._back(d)

    def _transpose(self) -> AnalogMatrix:
        """Return a view: the same tile, sent through the other way."""
        view = copy.copy(self)
        view.shape, view._flipped = self.shape[::-1], not self._flipped
        return view

    _adjoint = _transpose  # it is real

    def toarray(self) -> np.ndarray:
        """Return what the devices hold, scales included, float64: no read, no error."""
        w = self.tile.get_weights()[0].astype(np.float64)
        return w.T if self._flipped else w

    def read(self, **options: Any) -> Readout:
        """Return an estimate of the matrix from products, with its standard error.

        Options are those of `AnalogTile.read_weights`: `inputs`, `over_sampling`, `x_values`.
        """
        found = self.tile.read_weights(apply_weight_scaling=True, **options)
        if not self._flipped:
            return found
        w, error = found.weights.T, found.standard_error.T
        return dataclasses.replace(found, weights=w, standard_error=error)

    def rank_update(self, u: Any, v: Any, alpha: float = 1.0, parts: int = 1) -> UpdateReport:
        r"""Add :math:`\alpha\, U V^\mathsf{T}` by pulses, on average, as ``A += alpha * U @ V.T``.

        Parameters
        ----------
        u : array_like of shape (n,) or (n, k)
            A vector, or k of them, of the length of the results.
        v : array_like of shape (m,) or (m, k)
            As many, of the length of the inputs.
        alpha : float
            The factor, of any sign.
        parts : int
            How many equal updates make it up: a train has a limited number of pulses, and more are
            not sent.

        Returns
        -------
        UpdateReport
            Of the last part: pulses, and pairs of vectors whose trains were saturated.

        Warns
        -----
        UserWarning
            If trains were saturated: the update is then smaller than asked for.
        """
        if self._flipped:
            u, v = v, u
        d, x = _columns(u, self.tile.out_size, "u"), _columns(v, self.tile.in_size, "v")
        if len(d) != len(x):
            raise ShapeError(
                f"AnalogMatrix.rank_update: u and v must hold as many vectors, got {len(d)} and "
                f"{len(x)}."
            )
        real = isinstance(alpha, numbers.Real) and not isinstance(alpha, bool)
        if not (real and math.isfinite(alpha)):
            raise DataError(
                f"AnalogMatrix.rank_update: alpha must be a finite number, got {alpha!r}."
            )
        parts = as_size(parts, "AnalogMatrix.rank_update: parts")
        before = self.tile.stats.vectors_saturated
        for _ in range(parts):
            self.tile.update(x, -math.copysign(1.0, alpha) * d, abs(alpha) / parts)
        saturated = self.tile.stats.vectors_saturated - before
        if saturated:
            warn_caller(
                f"AnalogMatrix.rank_update: {saturated} of {len(x) * parts} trains were "
                "saturated, so the matrix moved by less than asked for; more parts help, or a "
                "larger update.desired_bl.",
                UserWarning,
            )
        return self.tile.stats.last_update

    def matvec_error(self, n: int = 100, matrix: Any = None, rng: Any = 0) -> ProductError:
        """Multiply random vectors, and return how wrong the results are.

        Parameters
        ----------
        n : int
            How many vectors of independent standard normal numbers.
        matrix : array_like, optional
            What the results should be those of; default: what the devices hold, so that only the
            errors of the product itself are seen.
        rng : None, int, SeedSequence or Generator
            Source of the vectors, by default the same ones in each call.
        """
        exact = self.toarray() if matrix is None else _checked(matrix)
        if exact.shape != self.shape:
            raise ShapeError(
                f"AnalogMatrix.matvec_error: matrix must have shape {self.shape}, got "
                f"{exact.shape}."
            )
        x = np.random.default_rng(rng).standard_normal((self.shape[1], n))
        wanted = exact @ x
        error = self.matmat(x) - wanted
        size = float(np.linalg.norm(wanted))
        relative = float(np.linalg.norm(error)) / size if size > 0.0 else math.inf
        return ProductError(relative, error.mean(axis=1), error.std(axis=1), n)

    def __repr__(self) -> str:
        count = len(self.tile.named_tiles()) if isinstance(self.tile, TileGrid) else 1
        config = self.tile.rpu_config
        return (
            f"<{type(self).__name__} of shape {self.shape}: {count} tile{'s' * (count > 1)} of "
            f"{type(config.device).__name__}>"
        )


def _checked(matrix: Any) -> np.ndarray:
    """Return a matrix as a float64 array."""
    given = matrix.toarray() if hasattr(matrix, "toarray") else matrix
    w = real_array(given, "AnalogMatrix: matrix")
    if w.ndim != 2 or w.size == 0:
        raise ShapeError(f"AnalogMatrix: matrix must have shape (n, m), got {w.shape}.")
    w = w.astype(np.float64)
    if not np.isfinite(w).all():
        raise DataError("AnalogMatrix: matrix must be finite, got NaN or infinity.")
    return w


def _columns(vectors: Any, size: int, name: str) -> np.ndarray:
    """Return a vector, or the columns of a matrix, as rows."""
    a = real_array(vectors, f"AnalogMatrix.rank_update: {name}").astype(np.float64)
    if a.ndim not in (1, 2) or a.shape[0] != size:
        raise ShapeError(
            f"AnalogMatrix.rank_update: {name} must have shape ({size},) or ({size}, k), got "
            f"{a.shape}."
        )
    return a.T.reshape(-1, size)
