"""Logical weights and bias of a tile, and the matrix that its devices hold for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import StateError
from rpusim.tiles.arguments import as_matrix
from rpusim.tiles.settings import MappingParameter

__all__ = ["Mapping"]


class Mapping:
    r"""Scales and bias between logical weights and devices.

    With scales s, one for each output, the logical weights are :math:`s W`. A bias is a digital
    vector, or one more column of W that is driven by 1.

    Parameters
    ----------
    out_size, in_size : int
        Of the logical weights.
    bias : bool
        Whether there is a bias.
    settings : MappingParameter
        Where the bias goes, and how weights are scaled.
    """

    def __init__(self, out_size: int, in_size: int, bias: bool, settings: MappingParameter) -> None:
        self.out_size, self.in_size, self.settings = out_size, in_size, settings
        self.analog_bias = bias and not settings.digital_bias
        digital = bias and settings.digital_bias
        self.bias = np.zeros(out_size, np.float32) if digital else None
        self.scales = np.ones(out_size, np.float32)
        self.scaled = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of devices."""
        return self.out_size, self.in_size + self.analog_bias

    def with_line(self, x: np.ndarray) -> np.ndarray:
        """Return input vectors with the constant that drives an analog bias."""
        if not self.analog_bias:
            return x
        return np.column_stack([x, np.ones(len(x), np.float32)])

    def scaled_error(self, rate: float, d: np.ndarray) -> tuple[float, np.ndarray]:
        """Return rate and errors for the devices so that logical weights move by rate * d x."""
        if not self.scaled:
            return rate, d
        mean = 1.0
        if self.settings.weight_scaling_lr_compensation:
            mean = float(self.scales.mean())
        return rate / mean, d * (np.float32(mean) / self.scales)

    def logical(self, w: np.ndarray, scaled: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Return copies of weights and bias for the matrix `w` of the devices."""
        w = w * self.scales[:, None] if scaled and self.scaled else w.copy()
        if self.analog_bias:
            return np.ascontiguousarray(w[:, :-1]), w[:, -1].copy()
        return w, None if self.bias is None else self.bias.copy()

    def physical(
        self, weights: Any, bias: Any, scaled: bool, now: np.ndarray, where: str
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
        """
        w = as_matrix(weights, (self.out_size, self.in_size), f"{where}: weights")
        b = None if bias is None else as_matrix(bias, (self.out_size,), f"{where}: bias")
        if b is not None and self.bias is None and not self.analog_bias:
            raise StateError(f"{where}: this tile has no bias; make it with bias=True.")
        if self.analog_bias:
            b = np.asarray(self.logical(now, scaled)[1]) if b is None else b
            w = np.column_stack([w, b])
        elif b is not None and self.bias is not None:
            self.bias[:] = b
        omega = self.settings.weight_scaling_omega
        if scaled and omega > 0.0:
            axis = 1 if self.settings.weight_scaling_columnwise else None
            scale = np.max(np.abs(w), axis=axis) / omega
            self.scales[:] = np.where(scale > 0.0, scale, 1.0)
            self.scaled = True
        return w / self.scales[:, None] if scaled and self.scaled else w

    def state(self) -> dict[str, np.ndarray]:
        """Return scales and bias as arrays."""
        state = {"mapping_scales": self.scales.copy(), "scaled": np.array(self.scaled)}
        return state if self.bias is None else {**state, "bias": self.bias.copy()}

    def restore(self, state: Any) -> None:
        """Continue from what `state` returned."""
        self.scales[:], self.scaled = state["mapping_scales"], bool(state["scaled"])
        if self.bias is not None:
            self.bias[:] = state["bias"]
