r"""From weights to conductances and back: what all converters share, and pairs of devices.

A weight stands on several devices; all maps back are linear,

.. math:: w = \sum_k a_k g_k + b

so that programming errors, drift and read noise of the devices simply add up. The scale
:math:`\kappa`, in uS for a weight of 1, is that at which the largest :math:`|w|` of the tile is at
full conductance: :math:`w_\max`, at least 1e-7, or for every output its own with `columnwise`, or a
number of your own. Weights beyond a given `w_max` saturate.

Weights may be a GPU's: their conductances are its, too, and so are scales that follow from them. A
converter works on such arrays by NumPy's functions, which take them where they are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rpusim.arrays import real_array
from rpusim.config import Config, param
from rpusim.errors import ConfigError, DataError, ShapeError
from rpusim.inference.arguments import check_factors, check_range, largest
from rpusim.kernels.device_arrays import as_it_is, beside, is_device_array

__all__ = [
    "BaseConductanceConverter",
    "LinearMap",
    "DualPairConductanceConverter",
    "NPairConductanceConverter",
    "PairConverter",
    "SinglePairConductanceConverter",
]

SMALLEST = 1e-7  # largest weight of a tile that holds none
TINIEST = 1e-30  # weight that may stand for all, in single precision


class LinearMap(NamedTuple):
    """The way back to weights, ``sum over devices of factors * g + offset``.

    Attributes
    ----------
    factors : ndarray of shape (devices,), (devices, outputs, 1) or that of the conductances
        In weight per uS.
    offset : float, or ndarray that broadcasts against weights
        In weights.
    """

    factors: np.ndarray
    offset: Any


class BaseConductanceConverter(Config):
    """Base of the maps from a matrix of weights to conductances; subclass it to make your own.

    A subclass defines `devices`, the number of devices of a weight, `to_devices` and `way_back`.
    """

    w_max: float | None = param(
        None,
        like=1.0,
        above=0.0,
        unit="weight",
        doc="weight at full conductance; none: the largest",
    )
    columnwise: bool = param(False, doc="a scale for every output, instead of one for the tile")

    def check(self) -> None:
        """Refuse two scales at once."""
        super().check()
        if self.columnwise and self.w_max is not None:
            raise ConfigError(
                f"{type(self).__name__}.w_max is one scale for all, columnwise one for every "
                "output: choose one of them."
            )

    @property
    def devices(self) -> int:
        """How many devices a weight has."""
        raise NotImplementedError(f"{type(self).__name__} does not define devices.")

    def to_devices(self, weights: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Return conductances, (devices, *weights.shape), and what the way back needs.

        Weights of a GPU become conductances of the GPU (`rpusim.inference.converters`).
        """
        raise NotImplementedError(f"{type(self).__name__} does not define to_devices(weights).")

    def way_back(self, params: dict[str, Any]) -> LinearMap:
        """Return the linear map from conductances to weights."""
        raise NotImplementedError(f"{type(self).__name__} does not define way_back(params).")

    def convert_to_conductances(self, weights: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Convert weights to the conductances of their devices.

        Parameters
        ----------
        weights : array_like
            Finite; of any shape, (outputs, inputs) for a scale per output.

        Returns
        -------
        conductances : ndarray of shape (devices, *weights.shape)
            In uS, in the precision of the weights.
        params : dict
            What `convert_back_to_weights` needs; ``scale_ratio`` is the uS of a weight of 1.
        """
        where = f"{type(self).__name__}.convert_to_conductances"
        w = weights if is_device_array(weights) else real_array(weights, f"{where}: weights")
        w = w if w.dtype == np.float32 else w.astype(np.float64)
        if not np.isfinite(w).all():
            raise DataError(f"{where}: weights must be finite, got NaN or infinity.")
        if self.columnwise and w.ndim != 2:
            raise ShapeError(
                f"{where}: with columnwise, weights must have shape (outputs, inputs), got "
                f"{w.shape}."
            )
        return self.to_devices(w)

    def convert_back_to_weights(self, conductances: Any, params: dict[str, Any]) -> np.ndarray:
        """Convert conductances back to weights.

        Parameters
        ----------
        conductances : array_like of shape (devices, ...), or list of as many arrays
            In uS.
        params : dict
            As `convert_to_conductances` returned them.

        Returns
        -------
        ndarray
        """
        where = f"{type(self).__name__}.convert_back_to_weights"
        g = conductances
        if not is_device_array(g):
            g = real_array(conductances, f"{where}: conductances")
        if g.ndim == 0 or len(g) != self.devices:
            raise ShapeError(
                f"{where}: conductances must be {self.devices} arrays, one for each device of a "
                f"weight, got {len(g) if g.ndim else 'a number'}."
            )
        try:
            back = self.way_back(params)
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{where}: params must be those of convert_to_conductances, got {params!r}."
            ) from error
        g = g if g.dtype == np.float32 else g.astype(np.float64)
        factors = beside(back.factors, g)
        if factors.ndim == 1:
            factors = factors.reshape(-1, *[1] * (g.ndim - 1))
        w = g[0] * factors[0].astype(g.dtype)
        for own, factor in zip(g[1:], factors[1:], strict=True):
            w += own * factor.astype(g.dtype)
        if isinstance(back.offset, float) and back.offset == 0.0:
            return w
        return w + beside(back.offset, g).astype(g.dtype)

    def scale(self, weights: np.ndarray, span: float) -> Any:
        """Return the uS of a weight of 1: that which puts the largest weight at `span`.

        Parameters
        ----------
        weights : ndarray
            The weights.
        span : float
            What the devices of a weight conduct at most, together.

        Returns
        -------
        float, or ndarray of shape (outputs, 1) with `columnwise`; of a GPU always an array
        """
        if self.w_max is not None:
            return span / self.w_max
        most = largest(weights, self.columnwise)
        if self.columnwise or is_device_array(most):
            return span / np.maximum(most, weights.dtype.type(SMALLEST))
        return span / max(float(most), SMALLEST)


class PairConverter(BaseConductanceConverter):
    r"""Base of the converters to pairs, :math:`w = \sum_k f_k (g^+_k - g^-_k) / \kappa`."""

    g_max: float = param(25.0, above=0.0, unit="uS", doc="largest conductance")
    g_min: float = param(0.0, low=0.0, unit="uS", doc="smallest conductance")

    def check(self) -> None:
        """Refuse an empty range."""
        super().check()
        check_range(self)

    @property
    def pair_factors(self) -> tuple[float, ...]:
        """Significance of each pair."""
        return (1.0,)

    @property
    def devices(self) -> int:
        """How many devices a weight has."""
        return 2 * len(self.pair_factors)

    def to_devices(self, weights: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the conductances of pairs that are filled one after the other."""
        span = self.g_max - self.g_min
        factors = self.pair_factors
        scale = self.scale(weights, span * sum(factors))
        g, level = np.empty_like(weights, shape=(self.devices, *weights.shape)), 0.0
        for k, f in enumerate(factors):
            for side, sign in zip(g[2 * k : 2 * k + 2], (1.0, -1.0), strict=True):
                np.multiply(weights, sign * scale, out=side)
                np.maximum(side, 0.0, out=side)
                if level > 0.0:
                    np.subtract(side, level, out=side)
                if f != 1.0:
                    np.divide(side, f, out=side)
                if self.g_min > 0.0:
                    np.add(side, self.g_min, out=side)
                np.clip(side, self.g_min, self.g_max, out=side)
            level += f * span
        return g, {"scale_ratio": scale, "f_lst": list(factors)}

    def way_back(self, params: dict[str, Any]) -> LinearMap:
        """Return the differences of the pairs, by their factors."""
        scale = as_it_is(params["scale_ratio"])
        signed = [sign * f / scale for f in params["f_lst"] for sign in (1.0, -1.0)]
        return LinearMap(np.stack(signed), 0.0)


class SinglePairConductanceConverter(PairConverter):
    r"""Two devices for a weight, of which one stays at its smallest conductance.

    .. math::
        g^\pm = \mathrm{clip}(\pm\kappa w, 0, g_\mathrm{max} - g_\mathrm{min}) + g_\mathrm{min},
        \qquad \kappa = (g_\mathrm{max} - g_\mathrm{min}) / w_\max

    Examples
    --------
    >>> converter = SinglePairConductanceConverter(g_max=10.0)
    >>> g, params = converter.convert_to_conductances([1.0, -0.5])
    >>> g.tolist(), params["scale_ratio"]
    ([[10.0, 0.0], [0.0, 5.0]], 10.0)
    >>> converter.convert_back_to_weights(g, params).tolist()
    [1.0, -0.5]
    """


class NPairConductanceConverter(PairConverter):
    r"""Pairs of different significance; one is filled after the other, in the order of `f_lst`.

    .. math::
        g^\pm_k = \mathrm{clip}\Big(\frac{\max(\pm\kappa w, 0) - L_k}{f_k} + g_\mathrm{min},
        g_\mathrm{min}, g_\mathrm{max}\Big), \qquad L_{k+1} = L_k + f_k (g_\mathrm{max} -
        g_\mathrm{min}), \qquad \kappa = (g_\mathrm{max} - g_\mathrm{min}) \sum f_k / w_\max

    The least significant pair comes first, so that small weights have small errors.
    """

    f_lst: tuple = param((1.0,), doc="significance of each pair, the least one first")

    def check(self) -> None:
        """Refuse factors that are no list of positive numbers."""
        super().check()
        check_factors(self)

    @property
    def pair_factors(self) -> tuple[float, ...]:
        """Significance of each pair."""
        return self.f_lst


class DualPairConductanceConverter(NPairConductanceConverter):
    """Two pairs of different significance: `NPairConductanceConverter` with two factors."""

    f_lst: tuple = param((1.0, 1.0), doc="significance of the two pairs, the lower one first")

    def check(self) -> None:
        """Refuse any number of factors but two."""
        super().check()
        if len(self.f_lst) != 2:
            raise ConfigError(
                f"DualPairConductanceConverter.f_lst must hold two factors, got {self.f_lst!r}; "
                "NPairConductanceConverter takes any number."
            )
