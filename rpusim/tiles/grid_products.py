"""A grid's products, there and back: those of its tiles, added in digital."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import DataError
from rpusim.kernels.device_arrays import as_it_is, beside, is_device_array
from rpusim.periphery import Moments, NonFinite
from rpusim.periphery.nonfinite import without_nonfinite
from rpusim.tiles.arguments import as_vectors, with_lead
from rpusim.tiles.context import Gradients
from rpusim.tiles.grid_context import GridContext, GridGradients
from rpusim.tiles.grid_moments import grid_moments
from rpusim.tiles.grid_weights import GridWeights
from rpusim.tiles.pairs import pair_of

__all__ = ["MultiplyingGrid"]


class MultiplyingGrid(GridWeights):
    """A grid that multiplies. Parameters and attributes are those of `TileGrid`."""

    last_forward: GridContext | None = None
    on_input: Any = None

    def forward(self, x: Any, is_test: bool = False) -> np.ndarray:
        """Multiply: ``y = W x``, the sum of what the tiles give.

        Parameters
        ----------
        x : array_like of shape (..., in_size)
            Input vectors; finite.
        is_test : bool
            Whether this is evaluation, as for `AnalogTile.forward`.

        Returns
        -------
        ndarray of shape (..., out_size), float32
        """
        where = f"{type(self).__name__}.forward"
        x2, lead = as_vectors(x, self.in_size, f"{where}: x", "inputs", self.backend)
        self._refuse_nonfinite(x2, self.tiles[0][0]._forward.io, where)
        if self.on_input is not None:
            self.on_input(x2)
        y = beside(np.zeros((len(x2), self.out_size), np.float32), x2)
        contexts = []
        for column, part in zip(self.tiles, self.layout.inputs(x2), strict=True):
            for tile, rows in zip(column, self.layout.rows, strict=True):
                y[:, rows] += tile.forward(part, is_test)
            contexts.append([tile.last_forward for tile in column])
        if self.bias is not None:
            y += beside(self._added_bias(not is_test), y)
        self.last_forward = GridContext(x2, contexts)
        return with_lead(y, lead)

    def backward(self, d: Any, context: GridContext | None = None) -> np.ndarray:
        """Multiply with the transpose: ``W^T d``, in the way of ``gradient.backward_mode``.

        Parameters
        ----------
        d : array_like of shape (..., out_size)
            Error vectors; finite.
        context : GridContext, optional
            The forward that they belong to; default: the last one.

        Returns
        -------
        ndarray of shape (..., in_size), float32
        """
        d2, lead = self._errors(d, "backward")
        forwards, errors = self._forwards(context), self.layout.outputs(d2)
        g = self._by_place(lambda i, j: self.tiles[i][j].backward(errors[j], forwards[i][j]))
        return self._sum_over_outputs(g, lead)

    def transposed(self, d: Any, is_test: bool = False) -> np.ndarray:
        """Multiply with the transpose of the present weights, for no forward: without masks.

        Parameters
        ----------
        d : array_like of shape (..., out_size)
            Vectors; finite.
        is_test : bool
            Whether this is evaluation, as for `AnalogTile.forward`.

        Returns
        -------
        ndarray of shape (..., in_size), float32
        """
        d2, lead = self._errors(d, "transposed")
        errors = self.layout.outputs(d2)
        g = self._by_place(lambda i, j: self.tiles[i][j].transposed(errors[j], is_test))
        return self._sum_over_outputs(g, lead)

    def gradients(
        self, d: Any, context: GridContext | None = None, input_grad: bool = True
    ) -> GridGradients:
        """Return all gradients of one forward: of inputs, weights and digital parameters.

        Parameters
        ----------
        d : array_like of shape (..., out_size)
            Gradient of the loss with respect to the outputs.
        context : GridContext, optional
            The forward; default: the last one.
        input_grad : bool
            Whether the gradient of the inputs is wanted; it costs a product.
        """
        d2, lead = self._errors(d, "gradients")
        forwards, errors = self._forwards(context), self.layout.outputs(d2)
        parts: list[list[Gradients]] = self._by_place(
            lambda i, j: self.tiles[i][j].gradients(errors[j], forwards[i][j], input_grad)
        )
        digital = {} if self.bias is None else {"bias": d2.sum(axis=0)}
        for i, j in self.layout.places:
            digital |= {f"{name}_{i}_{j}": own for name, own in parts[i][j].digital.items()}
        inputs = [[own.pair[0] for own in column] for column in parts]
        pair = pair_of(inputs, [[own.pair[1] for own in column] for column in parts])
        if not input_grad:
            return GridGradients(None, pair, digital)
        x = self._sum_over_outputs([[own.input for own in column] for column in parts], lead)
        return GridGradients(x, pair, digital)

    def learning_pair(self, d: Any, context: GridContext) -> tuple[Any, Any]:
        """Return the ``pair`` of `gradients` alone, whatever became of the weights since."""
        d2, _ = self._errors(d, "learning_pair")
        errors, forwards = self.layout.outputs(d2), context.tiles
        parts = self._by_place(
            lambda i, j: self.tiles[i][j].learning_pair(errors[j], forwards[i][j])
        )
        inputs = [[own[0] for own in column] for column in parts]
        return pair_of(inputs, [[own[1] for own in column] for column in parts])

    def _errors(self, d: Any, method: str) -> tuple[np.ndarray, tuple[int, ...]]:
        where = f"{type(self).__name__}.{method}"
        d2, lead = as_vectors(d, self.out_size, f"{where}: d", "outputs", self.backend)
        self._refuse_nonfinite(d2, self.tiles[0][0]._backward.periphery.io, where)
        return d2, lead

    def _forwards(self, context: GridContext | None) -> Any:
        """Return what the tiles' forwards left, or None for each of them."""
        context = GridContext.of(context, self.last_forward)
        return self._by_tile(lambda tile: None) if context is None else context.tiles

    def _sum_over_outputs(self, g: Any, lead: tuple[int, ...]) -> np.ndarray:
        """Return the gradient of the inputs from those of the tiles."""
        x = np.concatenate([sum(column[1:], start=column[0]) for column in g], axis=1)
        return with_lead(x, lead)

    def _added_bias(self, training: bool) -> Any:
        """Return the digital bias, in few bits if it is to be."""
        if self._quantiser is None or self.bias is None:
            return self.bias
        return self._quantiser.bias(self.bias, training).astype(np.float32, copy=False)

    @staticmethod
    def _refuse_nonfinite(x: np.ndarray, io: Any, where: str) -> None:
        """Raise what a tile would raise, before any of them has drawn."""
        if is_device_array(x):  # nobody looks whether these are finite
            return
        finite = np.isfinite(x).all(axis=1)
        if finite.all():
            return
        if io.on_nonfinite is not NonFinite.RAISE:
            without_nonfinite(x, io, where)
            return
        row = int(np.flatnonzero(~finite)[0])
        raise DataError(f"{where}: the input must be finite, got NaN or infinity in row {row}.")

    def moments(self, x: Any) -> Moments:
        """Return mean and variance of ``forward(x, is_test=True)``, as `AnalogTile.moments`.

        `clip_probability` is that of a clip in any of the tiles that add to an output, `rounds` a
        mean over the tiles.
        """
        where = f"{type(self).__name__}.moments"
        x2, _ = as_vectors(x, self.in_size, f"{where}: x", "inputs")
        parts = self.layout.inputs(x2)
        total = grid_moments(self._by_place(lambda i, j: self.tiles[i][j].moments(parts[i])))
        return total if self.bias is None else total.behind(1.0, self._added_bias(False))

    def as_linear_operator(self) -> Any:
        """Return a `scipy.sparse.linalg.LinearOperator`, with `transposed` as its transpose."""
        from rpusim.tiles.operator import linear_operator

        return linear_operator(self)

    def __matmul__(self, x: Any) -> np.ndarray:
        """Multiply with a vector (in_size,) or the columns of a matrix (in_size, n): ``W @ x``."""
        x = as_it_is(x)
        return self.forward(x) if x.ndim == 1 else self.forward(x.T).T
