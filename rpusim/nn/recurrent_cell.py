"""What all recurrent cells share: their matrices, and the walk through time and back.

A cell is one step in time, :math:`s_t = F(A_x x_t, s_{t-1})`; its subclasses in
`rpusim.nn.recurrent_equations` say what F is. The walk applies it to a sequence. What a cell
multiplies with x does not depend on the state, so the products of all time steps are one call.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ShapeError
from rpusim.kernels.streams import Streams
from rpusim.nn.checks import as_finite, as_flag, as_float32, as_size, check_shape
from rpusim.nn.initial import child, uniform_within
from rpusim.nn.module import Module
from rpusim.nn.parameter import AnalogParameter
from rpusim.nn.recurrent_states import plain, read_state, zeros
from rpusim.tiles.pairs import joined

__all__ = ["Cell", "State"]

Float = NDArray[np.float32]
State = tuple[Any, ...]


class Cell(Module):
    """Base of cells: one step in time, with matrices that are linear layers.

    A subclass states `advance` and `retreat`. Called by itself a cell makes one step, see
    `forward`; the layers `RNN` and `AnalogRNN` walk it along sequences.

    Attributes
    ----------
    input_size, hidden_size : int
        Lengths of x and h.
    ih, hh : Linear or AnalogLinear
        The matrices that x and h are multiplied with, each with a bias of its own.
    stepwise : bool
        Whether the products with x are done step by step, and pairs applied latest step first.
    state_grad : ndarray, tuple of ndarray, or None
        Gradient with respect to the given initial state, of the last backward.
    seed : int
        As `rng`, it makes the same cell again.
    """

    #: How many blocks of `hidden_size` rows the matrices have, and what the state consists of.
    GATES: ClassVar[int] = 1
    STATES: ClassVar[tuple[str, ...]] = ("h",)

    ih: Any
    hh: Any
    stepwise = False
    state_grad: Any = None

    def _set_up(
        self,
        input_size: int,
        hidden_size: int,
        xavier: bool,
        rng: Any,
        layer: Callable[[int, int, Any], Any],
    ) -> None:
        """Make the matrices by `layer` (inputs, outputs, seed), and draw their initial values."""
        where = type(self).__name__
        self.input_size = as_size(input_size, f"{where}.input_size")
        self.hidden_size = as_size(hidden_size, f"{where}.hidden_size")
        xavier = as_flag(xavier, f"{where}.xavier")
        self.seed: int = Streams(rng).seed
        for number, (name, inputs) in enumerate(self._matrices().items()):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the layer's own values, replaced below
                made = layer(inputs, self.GATES * self.hidden_size, child(self.seed, number))
            _initialise(made, self.hidden_size, xavier)
            setattr(self, name, made)

    def _matrices(self) -> dict[str, int]:
        """Return the number of inputs of each matrix, by name."""
        return {"ih": self.input_size, "hh": self.hidden_size}

    # ---------------------------------------------------------------- the equations

    def advance(self, part: Float, state: State) -> tuple[State, Any]:
        """Return the next state, and what `retreat` needs.

        Parameters
        ----------
        part : ndarray of shape (batch, outputs)
            What `inputs` made of x.
        state : tuple of ndarray
            The state before, each of shape (batch, hidden).
        """
        raise NotImplementedError(f"{type(self).__name__} does not define advance(part, state).")

    def retreat(self, d_state: State, kept: Any, wanted: bool) -> tuple[Float, State]:
        """Return the gradients of `part` and of the state before.

        Parameters
        ----------
        d_state : tuple of ndarray
            Gradients of the loss with respect to the state after the step.
        kept : object
            What `advance` returned.
        wanted : bool
            Whether the gradient of the state before is wanted; it costs a product.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define retreat.")

    def inputs(self, x: Float) -> Any:
        """Return what each step takes of x, of shape (time, batch, input): the products with it."""
        return [self.ih(step) for step in x] if self.stepwise else self.ih(x)

    def inputs_back(self, parts: list[Float], input_grad: bool) -> Float | None:
        """Return the gradient of x, if wanted, from those of what each step took of it."""
        if not self.stepwise:
            return self.ih.backward(np.stack(parts), input_grad=input_grad)
        steps = [self.ih.backward(part, input_grad=input_grad) for part in reversed(parts)]
        return np.stack(steps[::-1]) if input_grad else None

    # ---------------------------------------------------------------- through time

    def unroll(self, x: Float, state: State) -> tuple[Float, State, list[Any]]:
        """Walk along a sequence of shape (time, batch, input).

        Returns
        -------
        ndarray of shape (time, batch, hidden)
            h after each step.
        tuple of ndarray
            The last state.
        list
            What `unroll_back` needs; empty in evaluation mode.
        """
        outputs, record = [], []
        for part in self.inputs(x):
            state, kept = self.advance(part, state)
            outputs.append(state[0])
            if self.keeps:
                record.append(kept)
        return np.stack(outputs), state, record

    def unroll_back(
        self, d: Float, d_state: State, record: list[Any], input_grad: bool, state_grad: bool
    ) -> tuple[Float | None, State]:
        """Walk back: from gradients of all outputs and the last state to those of x and the first.

        Each tile gets one pair for all steps, in the order of time; with `stepwise` one per step,
        the latest first.
        """
        weights = [p for p in self.parameters() if isinstance(p, AnalogParameter)]
        recorded = [(weight, len(weight.pairs)) for weight in weights]
        parts = [d] * len(record)
        for t in range(len(record) - 1, -1, -1):
            d_state = (d_state[0] + d[t], *d_state[1:])
            parts[t], d_state = self.retreat(d_state, record[t], t > 0 or state_grad)
        dx = self.inputs_back(parts, input_grad)
        if not self.stepwise:
            for weight, before in recorded:
                if len(weight.pairs) > before + 1:
                    weight.pairs[before:] = [joined(weight.pairs[before:][::-1])]
        return dx, d_state

    def drop(self, steps: int) -> None:
        """Drop what the newest forward of so many steps left in the matrices."""
        for name, layer in self.named_children().items():
            for _ in range(1 if name == "ih" and not self.stepwise else steps):
                layer.forget()

    # ---------------------------------------------------------------- one step

    def forward(self, x: ArrayLike, state: Any = None) -> Any:
        """Make one step.

        Parameters
        ----------
        x : array_like of shape (batch, input_size) or (input_size,)
        state : array_like, or tuple of two for an LSTM, optional
            h, or (h, c), of shape (batch, hidden_size) or (hidden_size,); default: zeros.

        Returns
        -------
        ndarray
            The new h.
        ndarray or tuple
            The new state.
        """
        where = f"{type(self).__name__}.forward"
        x = as_float32(x, f"{where}: x")
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{where}: x must have shape (batch, {self.input_size}) or ({self.input_size},), "
                f"got {x.shape}."
            )
        x = as_finite(x, x.shape, f"{where}: x")
        shape = (*x.shape[:-1], self.hidden_size)
        start = zeros(self.STATES, shape)
        if state is not None:
            start = read_state(state, self.STATES, shape, f"{where}: state")
        rows = tuple(np.atleast_2d(part) for part in start)
        _, after, record = self.unroll(np.atleast_2d(x)[None], rows)
        self.keep((shape, record, state is not None))
        final = tuple(part.reshape(shape) for part in after)
        return final[0], plain(final)

    def __call__(self, x: ArrayLike, state: Any = None) -> Any:
        """Return ``forward(x, state)``."""
        return self.forward(x, state)

    def backward(self, grad: ArrayLike, input_grad: bool = True, grad_state: Any = None) -> Any:
        """Go back through the newest step.

        Parameters
        ----------
        grad : array_like
            Gradient of the loss with respect to the returned h.
        input_grad : bool, default True
            Whether the gradient with respect to x is wanted.
        grad_state : array_like or tuple, optional
            The same for the returned state, which adds to it; default: zeros.

        Returns
        -------
        ndarray or None
            Gradient with respect to x. That of a given state is in `state_grad`.
        """
        where = f"{type(self).__name__}.backward"
        shape, record, given = kept = self.recall()
        try:
            d = as_float32(grad, f"{where}: grad")
            check_shape(d, shape, self)
            d = as_finite(d, shape, f"{where}: grad")
            d_state = zeros(self.STATES, shape)
            if grad_state is not None:
                d_state = read_state(grad_state, self.STATES, shape, f"{where}: grad_state")
        except Exception:
            self.keep(kept)  # what the matrices keep belongs to it
            raise
        rows = tuple(np.atleast_2d(part) for part in d_state)
        dx, first = self.unroll_back(np.atleast_2d(d)[None], rows, record, input_grad, given)
        self.state_grad = plain(tuple(p.reshape(shape) for p in first)) if given else None
        return None if dx is None else dx[0].reshape(*shape[:-1], self.input_size)

    def forget(self) -> None:
        """Drop what the newest step kept."""
        if self._kept:
            self.drop(len(self._kept.pop()[1]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.input_size}, {self.hidden_size})"


def _initialise(layer: Any, hidden_size: int, xavier: bool) -> None:
    """Draw weights and bias anew, uniformly within 1/sqrt(hidden), or by Xavier's rule."""
    outputs, inputs = layer.weight.shape
    bound = 1.0 / math.sqrt(hidden_size)
    weight_bound = math.sqrt(6.0 / (inputs + outputs)) if xavier else bound
    bias_bound = 0.0 if xavier else bound
    drawn = uniform_within(
        layer.seed, outputs, inputs, layer.bias is not None, weight_bound, bias_bound
    )
    for _, tile in layer.named_analog_tiles():
        tile.stats.weights_clipped = 0
    layer.set_weights(*drawn)
