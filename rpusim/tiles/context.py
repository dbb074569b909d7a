"""What a forward leaves for its backward, and what a backward gives."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from rpusim.errors import StateError
from rpusim.kernels.device_arrays import host
from rpusim.periphery.stages import (
    CURRENT,
    INPUTS_CLIPPED,
    OUTPUTS_CLIPPED,
    REDUCTION,
    ROUND,
    SCALE,
)
from rpusim.tiles.settings import BackwardMode

__all__ = ["ForwardContext", "Gradients"]


class Gradients(NamedTuple):
    """What goes back through a tile.

    Attributes
    ----------
    input : ndarray of shape (batch, in_size), or None
        Gradient with respect to the inputs, if wanted.
    pair : (ndarray, ndarray)
        Inputs (batch, in_size) and errors (batch, out_size) for `update`: the gradient of the
        weights is the sum of their outer products.
    bias, out_scaling, input_range : ndarray or None
        Gradients of the tile's digital parameters, where it has them.
    """

    input: np.ndarray | None
    pair: tuple[np.ndarray, np.ndarray]
    bias: np.ndarray | None = None
    out_scaling: np.ndarray | None = None
    input_range: np.ndarray | None = None

    @property
    def digital(self) -> dict[str, np.ndarray]:
        """Gradients of the digital parameters by name, where there are any."""
        named = {"bias": self.bias, "out_scaling": self.out_scaling}
        named["input_range"] = self.input_range
        return {name: array for name, array in named.items() if array is not None}


@dataclasses.dataclass(slots=True, eq=False)
class ForwardContext:
    """One forward of a tile: its mode, the weights it used, what was clipped.

    Attributes
    ----------
    mode : BackwardMode
        How its errors go back.
    version : int
        Of the weights it was computed with.
    x : ndarray of shape (batch, in_size)
        Inputs as given.
    weights : ndarray
        What the product saw: the devices' weights, or the modified copy.
    mark : object
        Equal for equal `weights`; None if nobody can tell.
    report : ndarray of shape (batch, 7)
        See the properties.
    masks : ndarray of shape (batch, lines + out_size), or empty
        1 where an input line or an output was clipped.
    beyond : ndarray of bool, of the shape of `x`, or None
        Where the input range clipped.
    unscaled : ndarray of shape (batch, out_size), or None
        Outputs before the learned scales.
    copies : (int, int) or None
        Step of the copies and number of the first vector, if each saw a copy of its own.
    training : bool
        Whether it was a forward of training.
    readings : int
        How often the ADC reads an output in one round.
    input_range, out_scaling : float or None, ndarray or None
        Range and learned output scales that it used.
    """

    mode: BackwardMode
    version: int
    x: np.ndarray
    weights: np.ndarray
    mark: Any
    report: np.ndarray
    masks: np.ndarray
    beyond: np.ndarray | None = None
    unscaled: np.ndarray | None = None
    copies: tuple[int, int] | None = None
    training: bool = True
    readings: int = 1
    input_range: float | None = None
    out_scaling: np.ndarray | None = None

    @property
    def alpha(self) -> np.ndarray:
        """Input scale of each vector, shape (batch,)."""
        return self._told[:, SCALE]

    @property
    def reduction(self) -> np.ndarray:
        """By how much bound management reduced each vector, shape (batch,): 1, 2, 4, ..."""
        return self._told[:, REDUCTION]

    @property
    def rounds(self) -> np.ndarray:
        """How often each vector was read, shape (batch,)."""
        return 1 + self._told[:, ROUND].astype(int)

    @property
    def inputs_clipped(self) -> float:
        """Fraction of input lines that the DAC clipped, or the input range before it."""
        lines = self.x.shape[1]
        by_dac = float(self._told[:, INPUTS_CLIPPED].sum()) / max(self.x.size, 1)
        by_range = 0.0 if self.beyond is None else float(self.beyond.sum()) / max(self.x.size, 1)
        return min(by_dac + by_range, 1.0) if lines else 0.0

    @property
    def outputs_clipped(self) -> float:
        """Fraction of the ADC's readings, of the rounds that count, that it clipped."""
        count = float(self._told[:, OUTPUTS_CLIPPED].sum())
        return count / max(len(self.report) * self._outputs * self.readings, 1)

    @property
    def wire_current(self) -> float:
        """Largest current of a line, relative to what its wire is modelled for (with `ir_drop`)."""
        return float(self._told[:, CURRENT].max(initial=0.0))

    @property
    def _told(self) -> np.ndarray:
        """The report, of a GPU when it has finished."""
        return host(self.report)

    @property
    def _outputs(self) -> int:
        return self.weights.shape[0]

    def clipped_outputs(self) -> np.ndarray | None:
        """Return where outputs were clipped, shape (batch, out_size); None if nowhere."""
        if not self.masks.size or not self.report[:, OUTPUTS_CLIPPED].any():
            return None
        return self.masks[:, -self._outputs :] != 0

    def clipped_inputs(self) -> np.ndarray | None:
        """Return where the DAC clipped, shape (batch, in_size); None if nowhere."""
        if not self.masks.size or not self.report[:, INPUTS_CLIPPED].any():
            return None
        return self.masks[:, : self.x.shape[1]] != 0

    def without_inputs(self) -> ForwardContext:
        """Return a copy without the inputs, which can be given back by `with_inputs`."""
        return self.with_inputs(np.empty((0, self.x.shape[1]), np.float32))

    def with_inputs(self, x: np.ndarray) -> ForwardContext:
        """Return a copy with these inputs, those of the forward."""
        other = object.__new__(ForwardContext)
        for name in self.__slots__:  # dataclasses.replace takes three times as long
            setattr(other, name, getattr(self, name))
        other.x = x
        return other

    def check(self, batch: int, version: int, where: str) -> None:
        """Raise if errors of so many vectors cannot belong to this forward, or come too late."""
        if batch != len(self.x):
            raise StateError(
                f"{where}: {batch} errors for a forward of {len(self.x)} vectors; give the "
                "context of their own forward (tile.last_forward right after it)."
            )
        if version != self.version:
            raise StateError(
                f"{where}: the weights have changed since that forward; go back before the step, "
                "or call forward again."
            )


def context_of(given: Any, last: ForwardContext | None) -> ForwardContext | None:
    """Return the context that a backward belongs to."""
    if given is None or isinstance(given, ForwardContext):
        return given or last
    raise StateError(f"context must be a ForwardContext (tile.last_forward), got {given!r}.")
