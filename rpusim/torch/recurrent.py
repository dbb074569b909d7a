"""Recurrent cells and layers for torch: those of `rpusim.nn`, each call a node of torch's graph.

A walk through time is one node, with the draws and the order of pulses of the layer that computes;
the matrices are `AnalogLinear` layers, with parameters and states of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import numpy as np
import torch

from rpusim import nn
from rpusim.errors import ConfigError, ShapeError
from rpusim.nn.kept import put_back, take_out
from rpusim.torch.arrays import array_of, is_only_a_shape, tensor_of
from rpusim.torch.calls import TileCall
from rpusim.torch.layer import TileLayer, check_tensor, needs_grad
from rpusim.torch.linear import AnalogLinear
from rpusim.torch.tile_module import torch_seed

__all__ = [
    "AnalogRNN",
    "AnalogVanillaRNNCell",
    "AnalogLSTMCell",
    "AnalogLSTMCellCombinedWeight",
    "AnalogGRUCell",
]


class _Recurrent(torch.nn.Module):
    """Base of what walks through time: a core of `rpusim.nn`, whose matrices are layers here."""

    core: Any

    def _take(self, core: Any, allow_transfer: bool) -> None:
        self.core, self.allow_transfer = core, allow_transfer
        for _, module in core.named_modules():
            module.keeps_in_evaluation = True

    def forward(self, x: torch.Tensor, state: Any = None) -> Any:
        """Return output and final state; shapes are those of the layer of `rpusim.nn`."""
        where = f"{type(self).__name__}.forward"
        check_tensor(x, f"{where}: x")
        given = list(_flat(state))
        for part in given:
            check_tensor(part, f"{where}: state")
        if is_only_a_shape(x):
            return self._shapes_only(x)
        if torch.compiler.is_compiling():
            return self._outside(x, state, given)
        return self._walk(x, state, given)

    def _walk(self, x: torch.Tensor, state: Any, given: list[torch.Tensor]) -> Any:
        call = _Walk(self, state)
        parameters = [p for leaf in call.leaves for p in leaf.tensors()]
        if needs_grad((x, *given, *parameters)):
            flat = TileCall.apply(call, 1 + len(given), x, *given, *parameters)
        else:
            flat = call.run((x, *given), False)[0]
        return flat[0], _like(call.final, iter(flat[1:]))

    _outside = torch.compiler.disable(_walk)

    def _shapes_only(self, x: torch.Tensor) -> Any:
        raise NotImplementedError

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, array in self.core.named_buffers():
            destination[f"{prefix}{name}"] = torch.from_numpy(array.copy())

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        buffers = {f"{prefix}{name}": array for name, array in self.core.named_buffers()}
        missing, unexpected = args[2], args[3]
        for name, array in buffers.items():
            if name in state_dict:
                array[...] = state_dict[name].cpu().numpy()
            elif args[1]:
                missing.append(name)
        before = list(unexpected)
        super()._load_from_state_dict(state_dict, prefix, *args)
        unexpected[:] = before + [n for n in unexpected[len(before) :] if n not in buffers]


class _Walk:
    """One call of a recurrent layer, as `TileCall` wants it."""

    def __init__(self, owner: _Recurrent, state: Any) -> None:
        self.owner, self.core, self.state = owner, owner.core, state
        self.leaves = [m for m in owner.modules() if isinstance(m, TileLayer)]
        self.modules = [module for _, module in owner.core.named_modules()]
        self.final: Any = None

    def run(
        self, inputs: tuple[torch.Tensor, ...], keep: bool
    ) -> tuple[tuple[torch.Tensor, ...], Any]:
        """Return output and final states, flat, and what the cells kept."""
        arrays = self._arrays(inputs, "forward: x")
        with self._locks():
            for module in self.modules:
                module.training = self.owner.training
            for leaf in self.leaves:
                leaf.prepare()
            try:
                y, final = self.core.forward(arrays[0], _like(self.state, iter(arrays[1:])))
            finally:
                kept = take_out(self.modules)
            for leaf in self.leaves:
                leaf._shared.pull(leaf._parameters)
            nodes = [leaf.node() for leaf in self.leaves] if keep else []
        self.final = final
        return tuple(tensor_of(a, inputs[0]) for a in (y, *_flat(final))), (kept, nodes)

    def go_back(
        self, kept: Any, inputs: Any, grads: Any, needed: tuple[bool, ...]
    ) -> list[torch.Tensor | None]:
        """Return the gradients of inputs and parameters."""
        d = self._arrays(grads, "backward: grad")
        each, first, (kept, nodes) = [], len(inputs), kept
        with self._locks():
            for leaf, node in zip(self.leaves, nodes, strict=True):
                last = first + len(leaf.tensors())
                each.append((leaf, leaf.begin_back(needed[first:last], node)))
                first = last
            put_back(self.modules, kept)
            done = False
            try:
                states = _like(self.final, iter(d[1:]))
                dx = self.core.backward(d[0], input_grad=needed[0], grad_state=states)
                done = True
            finally:
                take_out(self.modules)
                left = [(leaf, leaf.end_back(waiting, done)) for leaf, waiting in each]
        found = [dx, *_where_given(self.state, self.core.state_grad)]
        pairs = zip(found, inputs, strict=True)
        tensors = [None if g is None else tensor_of(g, x) for g, x in pairs]
        return [*tensors, *(t for leaf, own in left for t in leaf.as_tensors(own))]

    def _arrays(self, tensors: Any, where: str) -> list[np.ndarray]:
        """Return copies: vectors wait for the step, and torch's memory may change until then."""
        name = f"{type(self.owner).__name__}.{where}"
        return [array_of(t, name, self.owner.allow_transfer).copy() for t in tensors]

    def _locks(self) -> ExitStack:
        """Return a context in which no other thread uses the tiles."""
        stack = ExitStack()
        for leaf in self.leaves:
            stack.enter_context(leaf._lock)
        return stack


class _Cell(_Recurrent):
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
        self._around(self.kind(input_size, hidden_size, bias, rpu_config, **options))
        self.allow_transfer = allow_transfer

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


class AnalogRNN(_Recurrent):
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


def _flat(state: Any) -> Iterator[Any]:
    """Yield the arrays or tensors of nested lists and tuples; None stands for none."""
    if isinstance(state, list | tuple):
        for part in state:
            yield from _flat(part)
    elif state is not None:
        yield state


def _where_given(state: Any, values: Any) -> Iterator[Any]:
    """Yield the values of one nesting where another has an entry that is not None."""
    if isinstance(state, list | tuple):
        for part, value in zip(state, values, strict=True):
            yield from _where_given(part, value)
    elif state is not None:
        yield values


def _like(state: Any, values: Iterator[Any]) -> Any:
    """Return other values in the nesting of a state."""
    if isinstance(state, list | tuple):
        return type(state)([_like(part, values) for part in state])
    return None if state is None else next(values)
