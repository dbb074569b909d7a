"""Cells walked along sequences, in several layers and both directions, and the way back."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ConfigError, ShapeError, warn_caller
from rpusim.kernels.streams import Streams
from rpusim.nn.checks import as_finite, as_flag, as_float32, as_size, check_shape
from rpusim.nn.dropout import Dropout
from rpusim.nn.initial import child
from rpusim.nn.module import Module
from rpusim.nn.recurrent_cell import Cell
from rpusim.nn.recurrent_states import nested, plain, read_states

__all__ = ["Recurrent"]

Float = NDArray[np.float32]


class Recurrent(Module):
    """Base of `RNN` and `AnalogRNN`, which say how a cell is made."""

    state_grad: list[Any] | None = None

    def _set_up(
        self,
        make: Callable[[int, Any], Cell],
        sizes: tuple[int, int, int],
        bidir: bool,
        dropout: float,
        batch_first: bool,
        stepwise: bool,
        rng: Any,
    ) -> None:
        """Make the cells by `make` (input size, seed), from sizes of input, h and stack."""
        where, (inputs, hidden, layers) = type(self).__name__, sizes
        self.input_size = as_size(inputs, f"{where}.input_size")
        self.hidden_size = as_size(hidden, f"{where}.hidden_size")
        self.num_layers = as_size(layers, f"{where}.num_layers")
        real = isinstance(dropout, numbers.Real) and not isinstance(dropout, bool)
        if not (real and 0.0 <= dropout < 1.0):
            raise ConfigError(f"{where}.dropout must be at least 0 and below 1, got {dropout!r}.")
        self.bidir = as_flag(bidir, f"{where}.bidir")
        self.batch_first = as_flag(batch_first, f"{where}.batch_first")
        stepwise = as_flag(stepwise, f"{where}.stepwise")
        self.seed: int = Streams(rng).seed
        self.cells: dict[str, Cell] = {}
        for layer in range(self.num_layers):
            width = self.hidden_size * self._directions if layer else self.input_size
            for way in range(self._directions):
                cell = make(width, child(self.seed, len(self.cells) + 1))
                cell.stepwise = stepwise
                self.cells[f"l{layer}" + "_reverse" * way] = cell
        self.dropout: Dropout | None = None
        if dropout > 0.0 and self.num_layers == 1:
            warn_caller(
                f"{where}: dropout acts between layers, and there is only one: it does nothing.",
                UserWarning,
            )
        elif dropout > 0.0:
            self.dropout = Dropout(dropout, rng=child(self.seed, 0))

    @property
    def _directions(self) -> int:
        return 2 if self.bidir else 1

    def _row(self, layer: int) -> list[Cell]:
        """Return the cells of a layer."""
        cells = list(self.cells.values())
        return cells[layer * self._directions : (layer + 1) * self._directions]

    def forward(self, x: ArrayLike, state: Any = None) -> Any:
        """Walk along sequences.

        Parameters
        ----------
        x : array_like of shape (time, batch, input_size)
            Finite; (batch, time, input_size) with `batch_first`; (time, input_size) for a single
            sequence.
        state : list, optional
            Initial states, one entry per layer: h, of shape (batch, hidden_size), or for an LSTM
            (h, c); with `bidir` a list of two of these. Default, also of an entry that is None:
            zeros. For a single sequence without the batch axis.

        Returns
        -------
        output : ndarray of shape (time, batch, hidden_size)
            h of the last layer after every step, with the axes of `x`; with `bidir` twice as long:
            h of the forward direction, then that of the other, which has come from the end.
        list
            The final states, as `state`.

        Raises
        ------
        ShapeError, DataError
            If x or a state has another shape or structure, or holds NaN or infinity.
        """
        where = f"{type(self).__name__}.forward"
        array = self._checked_input(x, where)
        y = self._time_first(array)
        shape = (*array.shape[:-2], self.hidden_size)
        if array.ndim == 3:
            shape = (y.shape[1], self.hidden_size)
        states = self._read_states(state, shape, f"{where}: state")
        finals: list[Any] = []
        records: list[Any] = []
        for layer in range(self.num_layers):
            if layer and self.dropout is not None:
                y = self.dropout(y)
            outputs = []
            for way, cell in enumerate(self._row(layer)):
                output, final, record = cell.unroll(_turned(y, way), states[len(finals)])
                outputs.append(_turned(output, way))
                finals.append(final)
                records.append(record)
            y = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=2)
        output = self._as_given(y, array.ndim)
        self.keep((output.shape, shape, records, state is not None))
        return output, self._shown(finals, shape)

    def __call__(self, x: ArrayLike, state: Any = None) -> Any:
        """Return ``forward(x, state)``."""
        return self.forward(x, state)

    def backward(self, grad: ArrayLike, input_grad: bool = True, grad_state: Any = None) -> Any:
        """Go back through time, along the last training-mode forward not yet gone back through.

        Parameters
        ----------
        grad : array_like
            Gradient of the loss with respect to the output, of its shape.
        input_grad : bool, default True
            Whether the gradient with respect to x is wanted; it costs products.
        grad_state : list, optional
            The same for the final states, with their structure; default: zeros.

        Returns
        -------
        ndarray or None
            Gradient with respect to x, if wanted. Those with respect to initial states, if the
            forward was given any, are in `state_grad`.
        """
        where = f"{type(self).__name__}.backward"
        shape, state_shape, records, given = kept = self.recall()
        try:
            array = as_float32(grad, f"{where}: grad")
            check_shape(array, shape, self)
            as_finite(array, shape, f"{where}: grad")
            states = self._read_states(grad_state, state_shape, f"{where}: grad_state")
        except Exception:
            self.keep(kept)  # the walk can still be gone back
            raise
        d: Any = self._time_first(array)
        firsts: list[Any] = [None] * len(records)
        for layer in range(self.num_layers - 1, -1, -1):
            back: list[Any] = []
            for way, cell in enumerate(self._row(layer)):
                k = layer * self._directions + way
                part = d[:, :, way * self.hidden_size : (way + 1) * self.hidden_size]
                wanted = input_grad or layer > 0
                dx, firsts[k] = cell.unroll_back(
                    _turned(part, way), states[k], records[k], wanted, given
                )
                back.append(_turned(dx, way) if wanted else None)
            if wanted:
                d = back[0] if len(back) == 1 else back[0] + back[1]
            if layer and self.dropout is not None:
                d = self.dropout.backward(d)
        self.state_grad = self._shown(firsts, state_shape) if given else None
        return self._as_given(d, array.ndim) if input_grad else None

    def forget(self) -> None:
        """Drop what the newest forward kept: its backward is not needed."""
        if self._kept:
            for cell, record in zip(self.cells.values(), self._kept.pop()[2], strict=True):
                cell.drop(len(record))
            if self.dropout is not None:
                for _ in range(self.num_layers - 1):
                    self.dropout.forget()

    # ---------------------------------------------------------------- shapes

    def _checked_input(self, x: ArrayLike, where: str) -> Float:
        array = as_float32(x, f"{where}: x")
        if array.ndim not in (2, 3) or array.shape[-1] != self.input_size or not array.size:
            axes = "batch, time" if self.batch_first else "time, batch"
            raise ShapeError(
                f"{where}: x must have shape ({axes}, {self.input_size}), or (time, "
                f"{self.input_size}) for a single sequence, and no axis of length 0, got "
                f"{array.shape}."
            )
        return as_finite(array, array.shape, f"{where}: x")

    def _time_first(self, array: Float) -> Float:
        """Return an array of shape (time, batch, ...) from one as users give it."""
        if array.ndim == 2:
            return array[:, None]
        return np.swapaxes(array, 0, 1) if self.batch_first else array

    def _as_given(self, array: Float, ndim: int) -> Float:
        """Return it as users see it."""
        if ndim == 2:
            return array[:, 0]
        return np.swapaxes(array, 0, 1) if self.batch_first else array

    def _read_states(self, given: Any, shape: tuple[int, ...], where: str) -> list[Any]:
        names = next(iter(self.cells.values())).STATES
        states = read_states(given, names, self.num_layers, self._directions, shape, where)
        return [tuple(np.atleast_2d(part) for part in state) for state in states]

    def _shown(self, states: list[Any], shape: tuple[int, ...]) -> list[Any]:
        shown = [plain(tuple(part.reshape(shape) for part in state)) for state in states]
        return nested(shown, self._directions)

    def shapes(self) -> str:
        """Return ``in -> out``."""
        return f"{self.input_size} -> {self.hidden_size * self._directions}"

    def __repr__(self) -> str:
        kind = type(next(iter(self.cells.values()))).__name__
        more = f", num_layers={self.num_layers}" if self.num_layers > 1 else ""
        more += ", bidir=True" if self.bidir else ""
        return f"{type(self).__name__}({kind}, {self.input_size}, {self.hidden_size}{more})"


def _turned(array: Any, way: int) -> Any:
    """Return an array as a direction sees it: 1 walks from the end."""
    return array[::-1] if way else array
