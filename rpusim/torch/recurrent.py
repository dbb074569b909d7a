"""Recurrent cells and layers for torch: those of `rpusim.nn`, each call a node of torch's graph.

Draws and the order of pulses are those of the layer that computes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from rpusim import nn
from rpusim.errors import ConfigError, ShapeError
from rpusim.torch.layer import TileLayer
from rpusim.torch.linear import AnalogLinear
from rpusim.torch.tile_module import torch_seed
from rpusim.torch.walk import Recurrent

__all__ = [
    "AnalogRNN",
    "AnalogVanillaRNNCell",
    "AnalogLSTMCell",
    "AnalogLSTMCellCombinedWeight",
    "AnalogGRUCell",
]


class _Cell(Recurrent):
    """Base of the cells; a subclass says what computes. Parameters: as `AnalogLSTMCell`."""

    kind: ClassVar[Any] = None

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
        allow_transfer: bool = False,
    ) -> None:
        super().__init__()
        options = {"xavier": xavier, "rng": torch_seed(rng), "backend": backend}
        core = self.kind(input_size, hidden_size, bias, rpu_config, **options)
        self._around(core, allow_transfer)

    def _around(self, core: Any, allow_transfer: bool = False) -> None:
        self._take(core, allow_transfer)
        self.input_size, self.hidden_size = core.input_size, core.hidden_size
        for name, matrix in core.named_children().items():
            layer = AnalogLinear.__new__(AnalogLinear)
            TileLayer.__init__(layer, matrix, allow_transfer)
            self.add_module(name, layer)

    def _shapes_only(self, x: torch.Tensor) -> Any:
        h = x.new_empty((*x.shape[:-1], self.hidden_size))
        states = tuple(torch.empty_like(h) for _ in self.core.STATES)
        return h, states if len(states) > 1 else states[0]

    def extra_repr(self) -> str:
        """Return ``input, hidden``."""
        return f"{self.input_size}, {self.hidden_size}"


class AnalogVanillaRNNCell(_Cell):
    """`rpusim.nn.AnalogVanillaRNNCell` for torch. Parameters: as `AnalogLSTMCell`."""

    kind = nn.AnalogVanillaRNNCell


class AnalogLSTMCell(_Cell):
    """`rpusim.nn.AnalogLSTMCell` for torch: one step, ``h, (h, c) = cell(x, (h, c))``.

    Parameters
    ----------
    input_size, hidden_size : int
        Lengths of x and h.
    bias : bool, default True
        Whether each matrix has a bias.
    rpu_config : configuration or device, optional
        What the tiles are made of.
    xavier : bool, default False
        How initial values are drawn, as for the cell of `rpusim.nn`.
    rng, backend, allow_transfer
        As for `AnalogLinear`.

    Attributes
    ----------
    ih, hh : AnalogLinear
        The matrices that x and h are multiplied with.
    """

    kind = nn.AnalogLSTMCell


class AnalogLSTMCellCombinedWeight(_Cell):
    """`rpusim.nn.AnalogLSTMCellCombinedWeight` for torch. Parameters: as `AnalogLSTMCell`."""

    kind = nn.AnalogLSTMCellCombinedWeight


class AnalogGRUCell(_Cell):
    """`rpusim.nn.AnalogGRUCell` for torch. Parameters: as `AnalogLSTMCell`."""

    kind = nn.AnalogGRUCell


class AnalogRNN(Recurrent):
    """`rpusim.nn.AnalogRNN` for torch: layers of cells that walk along sequences.

    Parameters
    ----------
    cell : type
        `AnalogVanillaRNNCell`, `AnalogLSTMCell`, `AnalogLSTMCellCombinedWeight`, `AnalogGRUCell`,
        of this package.
    input_size, hidden_size, bias, rpu_config
        As for `AnalogLSTMCell`.
    xavier, num_layers, bidir, dropout, batch_first, stepwise
        As for `rpusim.nn.AnalogRNN`; dropout draws from `rng`.
    rng, backend, allow_transfer
        As for `AnalogLinear`.

    Attributes
    ----------
    cells : torch.nn.ModuleDict
        ``l0``, ``l0_reverse``, ``l1``, ...

    Examples
    --------
    >>> layer = AnalogRNN(AnalogGRUCell, 3, 4, rng=0)
    >>> output, states = layer(torch.ones(7, 5, 3))
    >>> output.shape, [h.shape for h in states]
    (torch.Size([7, 5, 4]), [torch.Size([5, 4])])
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
        allow_transfer: bool = False,
    ) -> None:
        super().__init__()
        if not (isinstance(cell, type) and issubclass(cell, _Cell)):
            raise ConfigError(
                "AnalogRNN.cell must be a class of rpusim.torch, such as AnalogLSTMCell, got "
                f"{cell!r}."
            )
        core = nn.AnalogRNN(
            cell.kind,
            input_size,
            hidden_size,
            bias,
            rpu_config,
            xavier=xavier,
            num_layers=num_layers,
            bidir=bidir,
            dropout=dropout,
            batch_first=batch_first,
            stepwise=stepwise,
            rng=torch_seed(rng),
            backend=backend,
        )
        self._take(core, allow_transfer)
        self.input_size, self.hidden_size = core.input_size, core.hidden_size
        self.num_layers, self.bidir, self.batch_first = num_layers, bidir, batch_first
        self.cells = torch.nn.ModuleDict()
        for name, own in core.cells.items():
            made = cell.__new__(cell)
            torch.nn.Module.__init__(made)
            made._around(own, allow_transfer)
            self.cells[name] = made

    def _shapes_only(self, x: torch.Tensor) -> Any:
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"AnalogRNN.forward: x must have shape (time, batch, {self.input_size}), got "
                f"{tuple(x.shape)}."
            )
        ways = 2 if self.bidir else 1
        batch = x.shape[:-2] if x.ndim == 2 else (x.shape[0 if self.batch_first else 1],)
        one = x.new_empty((*batch, self.hidden_size))
        count = len(next(iter(self.core.cells.values())).STATES)
        state: Any = one if count == 1 else (one,) * count
        layers = [[state] * ways if ways > 1 else state for _ in range(self.num_layers)]
        return x.new_empty((*x.shape[:-1], self.hidden_size * ways)), layers

    def extra_repr(self) -> str:
        """Return ``input, hidden``."""
        return f"{self.input_size}, {self.hidden_size}"
