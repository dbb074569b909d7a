"""Logical weights and bias of a tile, and the matrix that its devices hold for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import ConfigError, StateError
from rpusim.kernels.device_arrays import beside, contiguous, host
from rpusim.tiles.arguments import as_matrix
from rpusim.tiles.settings import MappingParameter

__all__ = ["Mapping"]


class Mapping:
    r"""Scales and bias between logical weights and devices.

    With mapping scales s, one for each output, learned output scales o (one for all or one for
    each, if there are any), and a correction for drift, the logical weights are :math:`s\,o\,\alpha
    (W - \text{offset})`. A bias is a digital vector, or one more column of W that is driven by 1.

    Parameters
    ----------
    out_size, in_size : int
        Of the logical weights.
    bias : bool
        Whether there is a bias.
    settings : MappingParameter
        Where the bias goes, and how weights are scaled.

    Attributes
    ----------
    digital : ndarray of shape (2, out_size)
        Scales s, and the digital bias or zeros.
    scales : ndarray of shape (out_size,)
        s, a view of it.
    bias : ndarray of shape (out_size,) or None
        The digital bias, a view of it.
    out_scaling : ndarray of shape (1,) or (out_size,), or None
        o.
    alpha : ndarray of shape (out_size,)
        Correction of drift: a factor of each output.
    offset : float
        Correction of drift: what all weights have too much.
    """

    def __init__(self, out_size: int, in_size: int, bias: bool, settings: MappingParameter) -> None:
        self.out_size, self.in_size, self.settings = out_size, in_size, settings
        self.analog_bias = bias and not settings.digital_bias
        self.digital = np.stack([np.ones(out_size, np.float32), np.zeros(out_size, np.float32)])
        self.scales = self.digital[0]
        self.bias = self.digital[1] if bias and settings.digital_bias else None
        self.out_scaling: np.ndarray | None = None
        if settings.learn_out_scaling:
            count = out_size if settings.out_scaling_columnwise else 1
            self.out_scaling = np.ones(count, np.float32)
        self.scaled = self.corrected = False
        self.alpha, self.offset = np.ones(out_size, np.float32), 0.0

    def correct(self, alpha: Any = 1.0, offset: float = 0.0) -> None:
        """Correct the outputs for drift from now on."""
        self.alpha[:], self.offset = alpha, float(offset)
        self.corrected = self.offset != 0.0 or bool((self.alpha != 1.0).any())

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of devices."""
        return self.out_size, self.in_size + self.analog_bias

    def with_line(self, x: np.ndarray, level: float = 1.0) -> np.ndarray:
        """Return input vectors with the constant that drives an analog bias."""
        if not self.analog_bias:
            return x
        line = beside(np.full((len(x), 1), level, np.float32), x)
        return np.concatenate([x, line], axis=1)

    def without_line(self, x: np.ndarray) -> np.ndarray:
        """Return vectors of input lines without that of an analog bias."""
        return contiguous(x[:, :-1]) if self.analog_bias else x

    def through_scales(self, d: np.ndarray, out_scaling: np.ndarray | None = None) -> np.ndarray:
        """Return errors of the outputs as errors of what the devices give.

        Parameters
        ----------
        d : ndarray of shape (batch, out_size)
            Errors of the outputs.
        out_scaling : ndarray, optional
            Learned output scales of their forward, instead of the present ones.
        """
        if self.out_scaling is not None:
            d = d * beside(self.out_scaling if out_scaling is None else out_scaling, d)
        if self.corrected:
            d = d * beside(self.alpha, d)
        return d * beside(self.scales, d) if self.scaled else d

    def scaled_error(self, rate: float, d: np.ndarray) -> tuple[float, np.ndarray]:
        """Return rate and errors for the devices so that logical weights move by rate * d x.

        Learned output scales are parameters of their own: what moves by rate * (o d) x are the
        weights before them.
        """
        if self.out_scaling is not None:
            d = d * beside(self.out_scaling, d)
        if not self.scaled:
            return rate, d
        mean = 1.0
        if self.settings.weight_scaling_lr_compensation:
            mean = float(self.scales.mean())
        return rate / mean, d * beside(np.float32(mean) / self.scales, d)

    def total(self) -> np.ndarray:
        """Return the factors between devices and logical weights, shape (out_size,)."""
        total = self.scales if self.out_scaling is None else self.scales * self.out_scaling
        return total * self.alpha if self.corrected else total

    def logical(self, w: np.ndarray, scaled: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Return copies of weights and bias for the matrix `w` of the devices."""
        if scaled and self.offset != 0.0:
            w = w - np.float32(self.offset)
        changed = self.scaled or self.corrected or self.out_scaling is not None
        w = w * self.total()[:, None] if scaled and changed else w.copy()
        if self.analog_bias:
            return np.ascontiguousarray(w[:, :-1]), w[:, -1].copy()
        return w, None if self.bias is None else self.bias.copy()

    def physical(
        self,
        weights: Any,
        bias: Any,
        scaled: bool,
        now: np.ndarray,
        where: str,
        omega: float | None = None,
    ) -> np.ndarray:
        """Return the matrix that the devices are to hold; take over scales and digital bias.

        Parameters
        ----------
        weights, bias : array_like
            As given to `set_weights`; without a bias the present one stays.
        scaled : bool
            Whether they are logical.
        now : ndarray
            What the devices hold.
        where : str
            Named in errors.
        omega : float, optional
            Largest weight on devices, instead of `weight_scaling_omega`.
        """
        w = as_matrix(weights, (self.out_size, self.in_size), f"{where}: weights")
        b = None if bias is None else as_matrix(bias, (self.out_size,), f"{where}: bias")
        omega = self.settings.weight_scaling_omega if omega is None else omega
        if not 0.0 <= omega < np.inf:
            raise ConfigError(f"{where}: weight_scaling_omega must be >= 0, got {omega!r}.")
        if b is not None and self.bias is None and not self.analog_bias:
            raise StateError(f"{where}: this tile has no bias; make it with bias=True.")
        if self.analog_bias:
            b = np.asarray(self.logical(host(now), scaled)[1]) if b is None else b
            w = np.column_stack([w, b])
        elif b is not None and self.bias is not None:
            self.bias[:] = b
        if not scaled:
            return w
        if omega > 0.0:
            axis = 1 if self.settings.weight_scaling_columnwise else None
            scale = np.max(np.abs(w), axis=axis) / omega
            self.take_scales(np.where(scale > 0.0, scale, 1.0))
        elif self.out_scaling is not None:  # a scale of zero could not be divided by
            self.out_scaling[self.out_scaling == 0.0] = 1.0
        changed = self.scaled or self.out_scaling is not None
        return w / self.total()[:, None] if changed else w

    def take_scales(self, scales: np.ndarray) -> None:
        """Set the mapping scales, which take over what learned output scales held."""
        self.scales[:] = scales
        self.scaled = True
        if self.out_scaling is not None:
            self.out_scaling[:] = 1.0

    def state(self) -> dict[str, np.ndarray]:
        """Return scales and bias as arrays."""
        state = {"mapping_scales": self.scales.copy(), "scaled": np.array(self.scaled)}
        if self.out_scaling is not None:
            state["out_scaling"] = self.out_scaling.copy()
        return state if self.bias is None else {**state, "bias": self.bias.copy()}

    def restore(self, state: Any) -> None:
        """Continue from what `state` returned."""
        self.scales[:], self.scaled = state["mapping_scales"], bool(state["scaled"])
        if self.out_scaling is not None:
            self.out_scaling[:] = state["out_scaling"]
        if self.bias is not None:
            self.bias[:] = state["bias"]
