"""`MultiplyingTile`: a tile's products, there and back, and the gradients they imply."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import ShapeError, StateError
from rpusim.kernels.streams import Purpose
from rpusim.periphery.passage import APART_DIGITAL, SLICES
from rpusim.tiles.arguments import as_vectors, with_lead
from rpusim.tiles.context import ForwardContext, Gradients, context_of
from rpusim.tiles.peripheral import PeripheralTile
from rpusim.tiles.settings import BackwardMode

__all__ = ["MultiplyingTile"]


class MultiplyingTile(PeripheralTile):
    """A tile that multiplies. Parameters and attributes are those of `AnalogTile`."""

    # ---------------------------------------------------------------- forward

    def forward(self, x: Any, is_test: bool = False) -> np.ndarray:
        """Multiply: ``y = W x``, with all that the configuration says happens on the way.

        Parameters
        ----------
        x : array_like of shape (..., in_size)
            Input vectors; finite.
        is_test : bool
            Whether this is evaluation: nothing is learned from the inputs, and no weight is
            modified.

        Returns
        -------
        ndarray of shape (..., out_size), float32

        Raises
        ------
        ShapeError, DataError
            If `x` has another last axis, or holds NaN or infinity.
        """
        where = f"{type(self).__name__}.forward"
        x2, lead = as_vectors(x, self.in_size, f"{where}: x", "inputs", self.backend)
        if self.on_input is not None:
            self.on_input(x2)
        u, beyond = self._digital.before(x2, not is_test)
        r, o = self.input_range, self.out_scaling
        weights, version = self._weights_for(not is_test)
        y, context = self._read(u, weights, version, is_test, where)
        y, context.unscaled = self._digital.after(y, u, not is_test)
        context.x, context.beyond, context.training = x2, beyond, not is_test
        context.input_range, context.out_scaling = r, None if o is None else o.copy()
        self.last_forward = context
        return with_lead(y, lead)

    def _read(
        self, u: np.ndarray, weights: np.ndarray, version: Any, is_test: bool, where: str
    ) -> tuple[np.ndarray, ForwardContext]:
        """Return the tile's products of scaled inputs, and what became of them."""
        mode = self._backward.mode
        masked = mode is BackwardMode.STRAIGHT_THROUGH
        first, key = self._streams.peek(Purpose.FORWARD), self._streams.key(Purpose.FORWARD)
        y, report, masks = self._forward(
            u, weights, self._digital.factors, first, key, where, version, not is_test, masked
        )
        self._streams.take(Purpose.FORWARD, len(u))  # not if it was refused
        self.stats.reads_forward += len(u)
        context = ForwardContext(mode, self.crossbar.version, u, weights, version, report, masks)
        passage = self._forward.passage
        if passage.perfect == 0.0 and passage.passes in (APART_DIGITAL, SLICES):
            context.readings = int(passage.parts)
        return y, context

    # ---------------------------------------------------------------- backward

    def backward(self, d: Any, context: ForwardContext | None = None) -> np.ndarray:
        """Multiply with the transpose: ``W^T d``, in the way of ``gradient.backward_mode``.

        Parameters
        ----------
        d : array_like of shape (..., out_size)
            Error vectors; finite.
        context : ForwardContext, optional
            The forward that they belong to; default: the last one. ANALOG needs none.

        Returns
        -------
        ndarray of shape (..., in_size), float32

        Raises
        ------
        StateError
            If the forward had another number of vectors, or the weights have changed since.
        """
        where = f"{type(self).__name__}.backward"
        d2, lead = as_vectors(d, self.out_size, f"{where}: d", "outputs", self.backend)
        context = self._belonging(len(d2), context, where)
        g = self._back(self._backward.masked_errors(d2, context), context, where)
        return with_lead(self._backward.masked_inputs(g, context), lead)

    def transposed(self, d: Any, is_test: bool = False) -> np.ndarray:
        """Multiply with the transpose of the present weights, for no forward: without masks.

        Parameters
        ----------
        d : array_like of shape (..., out_size)
            Vectors; finite.
        is_test : bool
            Whether this is evaluation, as for `forward`.

        Returns
        -------
        ndarray of shape (..., in_size), float32
        """
        where = f"{type(self).__name__}.transposed"
        d2, lead = as_vectors(d, self.out_size, f"{where}: d", "outputs", self.backend)
        return with_lead(self._back(d2, None, where, is_test), lead)

    def gradients(
        self, d: Any, context: ForwardContext | None = None, input_grad: bool = True
    ) -> Gradients:
        """Return all gradients of one forward: of inputs, weights and digital parameters.

        Parameters
        ----------
        d : array_like of shape (..., out_size)
            Gradient of the loss with respect to the outputs.
        context : ForwardContext, optional
            The forward; default: the last one.
        input_grad : bool
            Whether the gradient of the inputs is wanted; it costs a product.

        Returns
        -------
        Gradients
            With inputs of shape (..., in_size).
        """
        where = f"{type(self).__name__}.gradients"
        d2, lead = as_vectors(d, self.out_size, f"{where}: d", "outputs", self.backend)
        last = context_of(context, self.last_forward)
        if last is None:
            raise StateError(f"{where}: there is no forward that d could belong to; call it first.")
        if len(last.x) != len(d2):
            raise ShapeError(
                f"{where}: d must have as many vectors as the forward it belongs to, "
                f"{len(last.x)}, got {len(d2)}."
            )
        context = self._belonging(len(d2), last, where)
        errors = self._backward.masked_errors(d2, last)
        g = x = None
        if input_grad or self._digital.learns_range:
            g = self._back(errors, context, where)
        if input_grad and g is not None:
            x = with_lead(self._backward.masked_inputs(g, last), lead)
        return Gradients(x, self._pair(errors, last), *self._digital.gradients(d2, g, last))

    def learning_pair(self, d: Any, context: ForwardContext) -> tuple[np.ndarray, np.ndarray]:
        """Return the ``pair`` of `gradients` alone, whatever became of the weights since."""
        where = f"{type(self).__name__}.learning_pair"
        d2, _ = as_vectors(d, self.out_size, f"{where}: d", "outputs", self.backend)
        return self._pair(self._backward.masked_errors(d2, context), context)

    def _pair(self, errors: np.ndarray, context: ForwardContext) -> tuple[np.ndarray, np.ndarray]:
        analog = self._backward.mode is BackwardMode.ANALOG
        scale = np.float32(1.0 if analog else self._forward.io.out_scale)
        return self._backward.learnt_inputs(context), errors if scale == 1.0 else errors * scale

    def _belonging(
        self, batch: int, context: ForwardContext | None, where: str
    ) -> ForwardContext | None:
        """Return the forward that errors go back through, checked; None if there is none."""
        context = context_of(context, self.last_forward)
        if context is None:
            return None
        if context.weights.shape != self.crossbar.shape:
            raise StateError(f"{where}: context must be that of a forward of this tile.")
        if self._backward.mode is BackwardMode.ANALOG:  # through what the devices are now
            version = self.crossbar.version
            return context if (len(context.x), context.version) == (batch, version) else None
        context.check(batch, self.crossbar.version, where)
        return context

    def _back(
        self, d2: np.ndarray, context: ForwardContext | None, where: str, is_test: bool = False
    ) -> np.ndarray:
        """Return the transposed product of errors of the outputs, without masks of inputs."""
        first, key = self._streams.peek(Purpose.BACKWARD), self._streams.key(Purpose.BACKWARD)
        scaling = None
        if context is None:
            weights, mark = self._weights_for(not is_test)
        else:
            weights, mark, scaling = context.weights, context.mark, context.out_scaling
        d2 = self._mapping.through_scales(d2, scaling)
        trains = not is_test if context is None else context.training
        x = self._backward(d2, weights, first, key, where, mark, trains)
        if self._mapping.offset != 0.0:
            x = x - self._digital.excess(d2)
        self._streams.take(Purpose.BACKWARD, len(d2))
        self.stats.reads_backward += len(d2)
        return self._mapping.without_line(x)
