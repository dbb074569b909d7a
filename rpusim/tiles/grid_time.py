"""A grid's time: its tiles are programmed and drift together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from rpusim.errors import StateError
from rpusim.tiles.grid_products import MultiplyingGrid
from rpusim.tiles.programmable import ProgrammableTile

__all__ = ["AgeingGrid"]


class AgeingGrid(MultiplyingGrid):
    """A grid whose devices age. Parameters and attributes are those of `TileGrid`."""

    @property
    def _programmable(self) -> bool:
        return isinstance(self.tiles[0][0], ProgrammableTile)

    @property
    def is_programmed(self) -> bool:
        """Whether products see programmed devices, in any of the tiles."""
        return any(tile.is_programmed for tile in self.named_tiles().values())

    @property
    def drifts(self) -> bool:
        """Whether time does anything to the devices."""
        return any(tile.drifts for tile in self.named_tiles().values())

    @property
    def time(self) -> float:
        """The time of the first tile, see `AnalogTile.time` and `InferenceTile.time`."""
        return self.tiles[0][0].time

    @property
    def alpha(self) -> np.ndarray:
        """Factors that compensate the drift, shape (input blocks, out_size)."""
        self._need_programmable("alpha")
        return np.stack([np.concatenate([tile.alpha for tile in c]) for c in self._programmed()])

    def program_weights(self, *args: Any, **options: Any) -> Any:
        """Program all tiles: as `InferenceTile.program_weights`, or by pulses.

        Tiles for inference are programmed with the errors of their noise model. Others take pulses,
        tile after tile, as `AnalogTile.program_weights`: of the result, `pulses` and `clipped` are
        sums, `success` is that of all tiles; the rest is that of the tile with the largest error.
        """
        if not self._programmable:
            return super().program_weights(*args, **options)
        self._by_tile(lambda tile: tile.program_weights(*args, **options))
        return None

    def drift_weights(self, t: float | None = None) -> None:
        """Let the devices of all tiles drift, as `drift_weights` of each.

        Parameters
        ----------
        t : float, optional
            Tiles for inference: time since programming, in seconds (default 0). Others: a time that
            passes, in the unit of ``drift.t_0`` (default 1).
        """
        if self._programmable:
            self.drift_to(0.0 if t is None else t)
        else:
            self.age(1.0 if t is None else t)

    def drift_to(self, t: float) -> None:
        """Let the devices of all tiles be what they are at a time, as `drift_to` of each."""
        for column in self._programmed() if self._programmable else ():
            for tile in column:
                tile.check_time(t)
        self._by_tile(lambda tile: tile.drift_to(t))

    def age(self, delta_t: float) -> None:
        """Let a time pass for all tiles, as `age` of each."""
        self._by_tile(lambda tile: tile.age(delta_t))

    def restore(self) -> None:
        """Give programmed devices up, as `InferenceTile.restore`."""
        self._need_programmable("restore")
        self._by_tile(lambda tile: tile.restore())

    @contextmanager
    def programmed(self, noise_model: Any = None) -> Iterator[None]:
        """Return a context in which the weights are programmed, as `InferenceTile.programmed`."""
        self._need_programmable("programmed")
        self.program_weights(noise_model=noise_model)
        try:
            yield
        finally:
            self.restore()

    def get_target_weights(
        self, apply_weight_scaling: bool = True
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the weights to program and the bias, as `InferenceTile.get_target_weights`."""
        self._need_programmable("get_target_weights")
        held = [[tile.get_target_weights(apply_weight_scaling) for tile in c] for c in self.tiles]
        bias = None if self.bias is None else self.bias.copy()
        if self.layout.line:
            bias = np.concatenate([b for _, b in held[0]])
        return self.layout.matrix([[w for w, _ in column] for column in held]), bias

    def _programmed(self) -> Any:
        return self.tiles

    def _need_programmable(self, what: str) -> None:
        if not self._programmable:
            raise StateError(
                f"{type(self).__name__}.{what}: these tiles are not programmed; an "
                "InferenceRPUConfig makes tiles that are."
            )
