"""The scales and the bias of a tile in few bits; the grids are in `rpusim.periphery.grids`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import StateError
from rpusim.periphery.grids import Grid, LogQuantiser, Quantiser
from rpusim.periphery.pre_post import PeripheryQuantizationParameter

__all__ = ["PeripheryQuantiser"]


class PeripheryQuantiser:
    """The scales and the bias of a tile, each on a grid of its own.

    In training a grid spans the tensor at hand; with `learn_quant_params` it stays as it is after
    `init_learning_after` tensors. Evaluation uses the grid there is; if none was ever made, it
    makes one for the tensor at hand and keeps it until training makes another.

    Parameters
    ----------
    settings : PeripheryQuantizationParameter
        Bits and kind of the grids.
    """

    def __init__(self, settings: PeripheryQuantizationParameter):
        self.settings = settings
        n_bits, uniform = settings.n_bits, Quantiser(settings.n_bits, settings.symmetric)
        self._grids: dict[str, Grid] = {
            "scales": LogQuantiser(n_bits) if settings.log_scales else uniform,
            "bias": Quantiser(n_bits, settings.symmetric),
        }
        self._batches = {"scales": 0, "bias": 0}

    def scales(self, s: ArrayLike, training: bool) -> NDArray:
        """Return Q(s) for all scales of a tile, multiplied with each other."""
        return self._quantise("scales", s, training)

    def bias(self, b: ArrayLike, training: bool) -> NDArray:
        """Return Q(b)."""
        return self._quantise("bias", b, training)

    def state(self) -> dict[str, NDArray]:
        """Return grids and numbers of batches as arrays by name."""
        state: dict[str, NDArray] = {}
        for kind, grid in self._grids.items():
            state |= {f"{kind}.{name}": array for name, array in grid.state().items()}
            state[f"{kind}.batches"] = np.array(self._batches[kind])
        return state

    def restore(self, state: Mapping[str, ArrayLike]) -> None:
        """Continue from what `state` returned; raise before anything changes if it does not fit."""
        now = self.state()
        if set(state) != set(now):
            raise StateError(
                f"PeripheryQuantiser.restore: the names must be {sorted(now)}, got {sorted(state)}."
            )
        batches = {kind: int(np.asarray(state[f"{kind}.batches"])) for kind in self._grids}
        parts = {
            kind: {name: state[f"{kind}.{name}"] for name in grid.names}
            for kind, grid in self._grids.items()
        }
        self._grids["scales"].restore(parts["scales"])
        try:
            self._grids["bias"].restore(parts["bias"])
        except BaseException:
            before = {name: now[f"scales.{name}"] for name in self._grids["scales"].names}
            self._grids["scales"].restore(before)
            raise
        self._batches = batches

    def _quantise(self, kind: str, values: ArrayLike, training: bool) -> NDArray:
        grid, settings = self._grids[kind], self.settings
        seen = self._batches[kind]
        if training:
            kept = settings.learn_quant_params and seen >= settings.init_learning_after
            self._batches[kind] = seen + 1
        else:
            kept = grid.known
        if not kept:
            grid.estimate(values)
        return grid(values)
