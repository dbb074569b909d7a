"""`TileGrid`: one matrix over many tiles, whose partial results are added in digital."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import ShapeError, StateError
from rpusim.kernels.device_arrays import is_device_array, same_vectors
from rpusim.pulses.plan import check_pairs
from rpusim.tiles.arguments import as_matrix, as_rate, as_vectors
from rpusim.tiles.grid_context import GridContext
from rpusim.tiles.grid_time import AgeingGrid
from rpusim.tiles.pairs import TileVectors

__all__ = ["TileGrid"]


class TileGrid(AgeingGrid):
    r"""A matrix too large for one tile, on a grid of them.

    With the weights cut into blocks of inputs i and of outputs j,

    .. math::
        y_j = \sum_i \text{tile}_{ij}(x_i) + b_j, \qquad
        \frac{\partial L}{\partial x_i} = \sum_j \text{tile}_{ij}^{\mathsf T}(d_j)

    Each tile is a full one: its own converters and noise, scales, input range, devices and random
    streams. The sums are float32, over i and over j in their order. A digital bias belongs to the
    grid; an analog one is a column of the tiles of the first input block.

    Parameters
    ----------
    out_size, in_size : int
        Outputs and inputs of the matrix.
    rpu_config : configuration or Device, optional
        What each tile is made of, and how large it may be: `mapping.max_input_size` and
        `max_output_size`. A device's `construction_seed` gives each tile other devices.
    bias : bool
        Whether outputs have a bias.
    rng : None, int, SeedSequence or Generator
        Source of all its randomness.
    backend : {"cpu", "cuda", "python"}
        Where it runs.
    in_unit : int
        Inputs that are not cut apart: those of one channel of a convolution.

    Attributes
    ----------
    tiles : list of list of AnalogTile
        By input and output block: ``tiles[i][j]``.
    layout : GridLayout
        Sizes and places of the blocks.
    bias : ndarray of shape (out_size,) or None
        The digital bias.
    last_forward : GridContext or None
        What the last forward did, tile by tile.
    on_input : callable or None
        Called with the inputs of every forward; tiles have one of their own.

    Examples
    --------
    >>> import numpy as np
    >>> from rpusim.tiles import MappingParameter, RPUConfig
    >>> limits = MappingParameter(max_input_size=3, max_output_size=2)
    >>> grid = TileGrid(4, 7, RPUConfig(mapping=limits), rng=1)
    >>> [tile.crossbar.shape for tile in (grid.tiles[0][0], grid.tiles[2][1])]
    [(2, 3), (2, 2)]
    >>> grid.forward(np.ones((5, 7))).shape, round(grid.utilisation, 3)
    ((5, 4), 0.778)
    """

    def update(
        self, x: Any, d: Any, learning_rate: float = 0.01, context: GridContext | None = None
    ) -> None:
        """Learn: ``W <- W - learning_rate * sum_b d_b x_b^T`` on average, each tile its block.

        Parameters
        ----------
        x, d : array_like of shape (..., in_size), (..., out_size), or TileVectors
            Inputs and errors, or the ``pair`` of `gradients`.
        learning_rate : float
            >= 0; with 0 nothing happens at all.
        context : GridContext, optional
            The forward of these inputs, as for `AnalogTile.update`.
        """
        where = f"{type(self).__name__}.update"
        rate = as_rate(learning_rate, f"{where}: learning_rate")
        forward = self._forward_of(x, context, where)
        inputs, errors = self._parts(x, True, where), self._parts(d, False, where)
        if forward is not None and is_device_array(forward.x):  # the very arrays the tiles had
            inputs = self._by_place(lambda i, j: forward.tiles[i][j].x)
        for i, j in self.layout.places:
            counts = len(inputs[i][j]), len(errors[i][j])
            if counts[0] != counts[1]:
                raise ShapeError(
                    f"{where}: x and d must hold as many vectors, got {counts[0]} and {counts[1]}."
                )
        if rate == 0.0:
            return
        for i, j in self.layout.places:  # before any tile has learned
            check_pairs(inputs[i][j], errors[i][j])
        for i, j in self.layout.places:
            tile, own = self.tiles[i][j], None if forward is None else forward.tiles[i][j]
            # What a tile's last forward was matters only if the grid's was that of these inputs.
            last, tile.last_forward = tile.last_forward, None
            try:
                tile.update(inputs[i][j], errors[i][j], rate, own)
            finally:
                tile.last_forward = last

    def _forward_of(self, x: Any, context: Any, where: str) -> GridContext | None:
        """Return the forward that had these inputs; None if unknown, or if `x` tells its result."""
        last = GridContext.of(context, self.last_forward)
        if last is not None and not isinstance(x, TileVectors):
            x2, _ = as_vectors(x, self.in_size, f"{where}: x", "inputs", self.backend)
            if same_vectors(last.x, x2):
                return last if context is not None or last.training else None
        if context is not None:
            raise StateError(f"{where}: x must be the inputs of the forward in `context`.")
        return None

    def _parts(self, vectors: Any, inputs: bool, where: str) -> Any:
        """Return inputs, or errors, by input and output block."""
        if isinstance(vectors, TileVectors):
            return vectors.parts
        if inputs:
            x, _ = as_vectors(vectors, self.in_size, f"{where}: x", "inputs", self.backend)
            columns = self.layout.inputs(x)
            return self._by_place(lambda i, j: columns[i])
        d, _ = as_vectors(vectors, self.out_size, f"{where}: d", "outputs", self.backend)
        rows = self.layout.outputs(d)
        return self._by_place(lambda i, j: rows[j])

    @property
    def learns_by_batch(self) -> bool:
        """Whether it matters which vectors an update has together, as for `AnalogTile`."""
        return self.tiles[0][0].learns_by_batch

    # ---------------------------------------------------------------- steps of digital weights

    @property
    def learns_in_digital(self) -> bool:
        """Whether the weights are numbers in digital memory, which can take any step."""
        return all(tile.learns_in_digital for tile in self.named_tiles().values())

    def trained_weights(self) -> np.ndarray:
        """Return the weights that `apply_step` moves, as `AnalogTile.trained_weights`."""
        return self.layout.devices(self._by_tile(lambda tile: tile.trained_weights()))

    def step_gradient(self, gradient: np.ndarray) -> np.ndarray:
        """Return the gradient with respect to `trained_weights`, as `AnalogTile.step_gradient`."""
        cut = self.layout.device_block
        return self.layout.devices(
            self._by_place(lambda i, j: self.tiles[i][j].step_gradient(cut(gradient, i, j)))
        )

    def apply_step(self, delta: Any) -> None:
        """Move `trained_weights` by `delta`, each tile its block, as `AnalogTile.apply_step`."""
        where = f"{type(self).__name__}.apply_step"
        if not self.learns_in_digital:
            raise StateError(f"{where}: {type(self.rpu_config.device).__name__} takes pulses only.")
        step = as_matrix(delta, self.layout.device_shape, f"{where}: delta")
        for i, j in self.layout.places:
            self.tiles[i][j].apply_step(self.layout.device_block(step, i, j))

    def post_update_step(self) -> None:
        """Let happen in each tile what happens once per step: diffusion, decay, clip, remap."""
        self._by_tile(lambda tile: tile.post_update_step())

    def reset_columns(self, start: int = 0, count: int = -1, prob: float = 1.0) -> None:
        """Reset `count` columns from `start` on, as `AnalogTile.reset_columns`."""
        prob = as_rate(prob, "reset_columns: prob", "in 0..1", 1.0)
        cols = self.layout.device_shape[1]
        marked = np.zeros((1, cols), np.uint8)
        marked[0, np.arange(start, start + (cols if count < 0 else count)) % cols] = 1
        whole = np.broadcast_to(marked, self.layout.device_shape)
        for i, j in self.layout.places:
            self.tiles[i][j].crossbar.reset(self.layout.device_block(whole, i, j)[0], prob)
