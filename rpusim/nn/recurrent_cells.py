"""Recurrent cells to choose from: the same equations over digital and over analog matrices."""

from typing import Any

from rpusim.nn.checks import as_flag
from rpusim.nn.linear import AnalogLinear, Linear
from rpusim.nn.recurrent_cell import Cell
from rpusim.nn.recurrent_equations import (
    GRUEquations,
    LSTMCombinedEquations,
    LSTMEquations,
    VanillaEquations,
)

__all__ = [
    "DigitalCell",
    "AnalogCell",
    "VanillaRNNCell",
    "LSTMCell",
    "LSTMCellCombinedWeight",
    "GRUCell",
    "AnalogVanillaRNNCell",
    "AnalogLSTMCell",
    "AnalogLSTMCellCombinedWeight",
    "AnalogGRUCell",
]


class DigitalCell(Cell):
    """Cell whose matrices are `Linear` layers. For the parameters see `VanillaRNNCell`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        xavier: bool = False,
        rng: Any = None,
    ):
        bias = as_flag(bias, f"{type(self).__name__}.bias")

        def layer(inputs: int, outputs: int, seed: Any) -> Linear:
            return Linear(inputs, outputs, bias, rng=seed)

        self._set_up(input_size, hidden_size, xavier, rng, layer)


class AnalogCell(Cell):
    """Cell whose matrices are `AnalogLinear` layers. For the parameters see `AnalogLSTMCell`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        rpu_config: Any = None,
        *,
        xavier: bool = False,
        rng: Any = None,
        backend: str = "cpu",
    ):
        bias = as_flag(bias, f"{type(self).__name__}.bias")

        def layer(inputs: int, outputs: int, seed: Any) -> AnalogLinear:
            return AnalogLinear(inputs, outputs, bias, rpu_config, rng=seed, backend=backend)

        self._set_up(input_size, hidden_size, xavier, rng, layer)


class VanillaRNNCell(VanillaEquations, DigitalCell):
    r"""Digital cell with the equation of `VanillaEquations`.

    Parameters
    ----------
    input_size, hidden_size : int
        Lengths of x and h.
    bias : bool, default True
        Whether each matrix has a bias.
    xavier : bool, default False
        Initial weights uniform within :math:`\sqrt{6 / (n_\mathrm{in} + n_\mathrm{out})}` of the
        matrix, biases 0; else both uniform within :math:`1/\sqrt{n_\mathrm{hidden}}`.
    rng : None, int, SeedSequence or Generator
        Where initial values come from; an analog cell of the same seed starts with the same.

    Examples
    --------
    >>> import numpy as np
    >>> h, state = VanillaRNNCell(3, 2, rng=0)(np.ones((5, 3)))
    >>> h.shape
    (5, 2)
    """


class LSTMCell(LSTMEquations, DigitalCell):
    """Digital cell with the equations of `LSTMEquations`. Parameters: as `VanillaRNNCell`."""


class LSTMCellCombinedWeight(LSTMCombinedEquations, DigitalCell):
    """Digital LSTM cell with one matrix for x and h. Parameters: as `VanillaRNNCell`."""


class GRUCell(GRUEquations, DigitalCell):
    """Digital cell with the equations of `GRUEquations`. Parameters: as `VanillaRNNCell`."""


class AnalogVanillaRNNCell(VanillaEquations, AnalogCell):
    """Cell with the equation of `VanillaEquations` on tiles. Parameters: as `AnalogLSTMCell`."""


class AnalogLSTMCell(LSTMEquations, AnalogCell):
    """Cell with the equations of `LSTMEquations`, whose two matrices are on tiles.

    Parameters
    ----------
    input_size, hidden_size : int
        Lengths of x and h.
    bias : bool, default True
        Whether each matrix has a bias; the configuration's ``mapping.digital_bias`` says where.
    rpu_config : configuration or device, optional
        What the tiles are made of; None means the default configuration of a tile.
    xavier : bool, default False
        How initial values are drawn, see `VanillaRNNCell`; devices clip them to their bounds.
    rng : None, int, SeedSequence or Generator
        Where tiles and initial values get their seeds.
    backend : str, default "cpu"
        Where the tiles compute.

    Examples
    --------
    >>> import numpy as np, rpusim as rs
    >>> cell = AnalogLSTMCell(3, 2, rpu_config=rs.FloatingPointRPUConfig(), rng=0)
    >>> h, (h_again, c) = cell(np.ones((5, 3)))
    >>> h.shape, c.shape
    ((5, 2), (5, 2))
    """


class AnalogLSTMCellCombinedWeight(LSTMCombinedEquations, AnalogCell):
    """LSTM cell with one matrix for x and h on a tile. Parameters: as `AnalogLSTMCell`."""


class AnalogGRUCell(GRUEquations, AnalogCell):
    """Cell with the equations of `GRUEquations` on tiles. Parameters: as `AnalogLSTMCell`."""
