"""A walk along a sequence as one node of torch's graph.

The core, a cell or layer of `rpusim.nn`, walks; its matrices are layers here, with parameters of
their own, whose gradients the node returns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch

from rpusim.nn.kept import put_back, take_out
from rpusim.torch.arrays import array_of, is_only_a_shape, tensor_of
from rpusim.torch.calls import TileCall
from rpusim.torch.layer import TileLayer, check_tensor, needs_grad, refuse_tracing

__all__ = ["Recurrent", "flat"]


class Recurrent(torch.nn.Module):
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
        given = list(flat(state))
        for part in given:
            check_tensor(part, f"{where}: state")
        refuse_tracing(x, type(self).__name__)
        if is_only_a_shape(x):
            return self._shapes_only(x)
        if torch.compiler.is_compiling():
            return self._outside(x, state, given)
        return self._walk(x, state, given)

    def _walk(self, x: torch.Tensor, state: Any, given: list[torch.Tensor]) -> Any:
        call = _Walk(self, state)
        parameters = [p for leaf in call.leaves for p in leaf.tensors()]
        if needs_grad((x, *given, *parameters)):
            outputs = TileCall.apply(call, 1 + len(given), x, *given, *parameters)
        else:
            outputs = call.run((x, *given), False)[0]
        return outputs[0], _like(call.final, iter(outputs[1:]))

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

    def __init__(self, owner: Recurrent, state: Any) -> None:
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
        return tuple(tensor_of(a, inputs[0]) for a in (y, *flat(final))), (kept, nodes)

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


def flat(state: Any) -> Iterator[Any]:
    """Yield the arrays or tensors of nested lists and tuples; None stands for none."""
    if isinstance(state, list | tuple):
        for part in state:
            yield from flat(part)
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
