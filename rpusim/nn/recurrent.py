"""Recurrent layers, digital and analog."""

from __future__ import annotations

from typing import Any

from rpusim.errors import ConfigError
from rpusim.nn.checks import as_flag
from rpusim.nn.recurrent_cell import Cell
from rpusim.nn.recurrent_cells import AnalogCell, DigitalCell
from rpusim.nn.recurrent_layer import Recurrent

__all__ = ["RNN", "AnalogRNN"]


class RNN(Recurrent):
    r"""Recurrent layers with digital cells.

    Parameters
    ----------
    cell : type
        `VanillaRNNCell`, `LSTMCell`, `LSTMCellCombinedWeight` or `GRUCell`.
    input_size, hidden_size : int
        Lengths of x and of h.
    bias : bool, default True
        Whether each matrix has a bias.
    xavier : bool, default False
        How initial values are drawn, see `VanillaRNNCell`.
    num_layers : int, default 1
        How many layers; each walks along the outputs of the one before.
    bidir : bool, default False
        Whether each layer has a second cell, which walks from the end to the beginning.
    dropout : float, default 0
        Probability with which an output of any layer but the last is set to 0, in training.
    batch_first : bool, default False
        Whether x and output have the shape (batch, time, ...) instead of (time, batch, ...).
    stepwise : bool, default False
        Whether products with x are done step by step; see `AnalogRNN`.
    rng : None, int, SeedSequence or Generator
        Where initial values and dropout get their seeds.

    Attributes
    ----------
    cells : dict of str to cell
        ``l0``, ``l0_reverse``, ``l1``, ...
    state_grad : list or None
        Gradients with respect to the given initial states, of the last backward.
    seed : int
        As `rng`, it makes the same layers again.

    Examples
    --------
    >>> import numpy as np
    >>> from rpusim.nn import LSTMCell
    >>> output, states = RNN(LSTMCell, 3, 4, num_layers=2, rng=0)(np.ones((7, 5, 3)))
    >>> output.shape, [h.shape for h, c in states]
    ((7, 5, 4), [(5, 4), (5, 4)])
    """

    def __init__(
        self,
        cell: Any,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        xavier: bool = False,
        num_layers: int = 1,
        bidir: bool = False,
        dropout: float = 0.0,
        batch_first: bool = False,
        stepwise: bool = False,
        rng: Any = None,
    ):
        _check_cell("RNN", cell, DigitalCell, "LSTMCell", "analog cells AnalogRNN")
        bias, xavier = as_flag(bias, "RNN.bias"), as_flag(xavier, "RNN.xavier")

        def make(inputs: int, seed: Any) -> Cell:
            return cell(inputs, hidden_size, bias, xavier=xavier, rng=seed)

        sizes = (input_size, hidden_size, num_layers)
        self._set_up(make, sizes, bidir, dropout, batch_first, stepwise, rng)


class AnalogRNN(Recurrent):
    """Recurrent layers whose matrices are on tiles.

    A forward multiplies with the same tiles at every time step. The products with x do not wait
    for a state, so those of all steps are one batch. The backward leaves, for the next step of the
    optimizer, the pairs (x, d) of all time steps in the order of time, and a tile applies them at
    once. With `stepwise` each product is by itself and pairs are in the order in which the way
    back meets them, latest first.

    Parameters
    ----------
    cell : type
        `AnalogVanillaRNNCell`, `AnalogLSTMCell`, `AnalogLSTMCellCombinedWeight`, `AnalogGRUCell`.
    input_size, hidden_size, bias
        As for `RNN`.
    rpu_config : configuration or device, optional
        What the tiles are made of; None means the default configuration of a tile.
    xavier, num_layers, bidir, dropout, batch_first
        As for `RNN`.
    stepwise : bool, default False
        See above. What a forward draws is the same; averages that follow the batches, such as
        input ranges, see one batch per step.
    rng : None, int, SeedSequence or Generator
        Where tiles, initial values and dropout get their seeds.
    backend : str, default "cpu"
        Where the tiles compute.

    Attributes
    ----------
    cells, state_grad, seed
        As of `RNN`.

    Examples
    --------
    >>> import numpy as np
    >>> from rpusim.nn import AnalogGRUCell
    >>> from rpusim import FloatingPointRPUConfig
    >>> layer = AnalogRNN(AnalogGRUCell, 3, 4, rpu_config=FloatingPointRPUConfig(), rng=0)
    >>> output, states = layer(np.ones((7, 5, 3)))
    >>> [h.shape for h in states], len(layer.analog_tiles())
    ([(5, 4)], 2)
    """

    def __init__(
        self,
        cell: Any,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        rpu_config: Any = None,
        *,
        xavier: bool = False,
        num_layers: int = 1,
        bidir: bool = False,
        dropout: float = 0.0,
        batch_first: bool = False,
        stepwise: bool = False,
        rng: Any = None,
        backend: str = "cpu",
    ):
        _check_cell("AnalogRNN", cell, AnalogCell, "AnalogLSTMCell", "digital cells RNN")
        bias, xavier = as_flag(bias, "AnalogRNN.bias"), as_flag(xavier, "AnalogRNN.xavier")

        def make(inputs: int, seed: Any) -> Cell:
            options = {"xavier": xavier, "rng": seed, "backend": backend}
            return cell(inputs, hidden_size, bias, rpu_config, **options)

        sizes = (input_size, hidden_size, num_layers)
        self._set_up(make, sizes, bidir, dropout, batch_first, stepwise, rng)


def _check_cell(name: str, cell: Any, base: type, example: str, other: str) -> None:
    if not (isinstance(cell, type) and issubclass(cell, base)):
        got = cell.__name__ if isinstance(cell, type) else repr(cell)
        raise ConfigError(
            f"{name}.cell must be a class such as nn.{example}, got {got}; for {other}."
        )
