"""Calls of a layer with one tile: its core computes, torch goes back through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rpusim.errors import DataError, StateError, warn_caller
from rpusim.tiles.lazy_pairs import LazyPair, gradient
from rpusim.torch.arrays import array_of, is_only_a_shape, tensor_of
from rpusim.torch.calls import TileCall, accumulator, will_be_accumulated
from rpusim.torch.tile_module import TileModule

__all__ = ["TileLayer", "check_tensor", "needs_grad", "refuse_tracing"]

#: So many backward passes without an optimizer that could step mean that it was forgotten.
MANY = 10


class TileLayer(TileModule):
    """Base of the layers that have one tile, or one grid of tiles.

    Parameters are those of `TileModule`. A subclass says what shape an output has, and what an
    ideal tile stands for.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return y for x of the shape that the layer of `rpusim.nn` takes, in the type of x."""
        check_tensor(x, f"{type(self).__name__}.forward: x")
        refuse_tracing(x, type(self).__name__)
        if is_only_a_shape(x):
            return x.new_empty(self.output_shape(tuple(x.shape)))
        if x.dtype == torch.float64 and self._is_exact():
            return self._exactly(x)
        if torch.compiler.is_compiling():
            return self._outside(x)
        return self._call(x)

    def _call(self, x: torch.Tensor) -> torch.Tensor:
        parameters = self.tensors()
        if needs_grad((x, *parameters)):
            return TileCall.apply(self, 1, x, *parameters)
        return self.run((x,), False)[0]

    #: What a tile does is not for a compiler, whose graph breaks here.
    _outside = torch.compiler.disable(_call)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of y for that of x; nothing is computed."""
        raise NotImplementedError

    def tensors(self) -> list[torch.Tensor]:
        """Return the parameters, as they are."""
        return [p for p in self._parameters.values() if p is not None]

    # ---------------------------------------------------------------- there and back

    def run(self, inputs: tuple[torch.Tensor, ...], keep: bool) -> tuple[torch.Tensor, Any]:
        """Return the output for one input, and what a backward needs: see `TileCall`."""
        x, core = inputs[0], self.core
        where = f"{type(self).__name__}.forward: x"
        array = array_of(x, where, self.allow_transfer, self.input_backend)
        with self._lock:
            self.prepare()
            core.training = self.training
            y = core.forward(array)
            kept = core.recall()
            kept = (core.without_inputs(kept), self.node()) if keep else None
            self._shared.pull(self._parameters)
        return tensor_of(y, x), kept

    def go_back(
        self, kept: Any, inputs: Any, grads: Any, needed: tuple[bool, ...]
    ) -> list[torch.Tensor | None]:
        """Return the gradients of input and parameters; record vectors if pulses learn."""
        x, where = inputs[0], f"{type(self).__name__}.backward: "
        array = array_of(x, f"{where}x", self.allow_transfer, self.input_backend)
        d = array_of(grads[0], f"{where}grad", self.allow_transfer, self.input_backend)
        if needed[1] and not self.learns_in_digital:
            array, d = array.copy(), d.copy()  # they wait for the step; torch's memory may change
        own, node = kept
        with self._lock:
            waiting, done = self.begin_back(needed[1:], node), False
            try:
                self.core.keep(self.core.with_inputs(own, array))
                dx = self.core.backward(d, input_grad=needed[0])
                done = True
            finally:
                found = self.end_back(waiting, done)
        return [None if dx is None else tensor_of(dx, x), *self.as_tensors(found)]

    def prepare(self) -> None:
        """Let the tile follow its tensors before a forward."""
        learns = self.anchor.requires_grad
        if not self.learns_in_digital:
            if learns and self.training:
                self._check_alone()
            bias = self._parameters["bias"]
            if self._mirror.column and bias is not None and bias.requires_grad != learns:
                raise StateError(
                    f"{type(self).__name__}.forward: bias is a column of the weight's devices, and "
                    "pulses change both or none: requires_grad must be the same, got "
                    f"{not learns} for bias and {learns} for weight. Freeze both, or take "
                    "mapping.digital_bias=True."
                )
        self._push()
        self.core.weight.requires_grad = learns

    def node(self) -> Any:
        """Return the node that tells a backward whether pulses are to learn; None in digital."""
        if self.learns_in_digital:
            return None
        return accumulator(self.anchor)

    def begin_back(self, needed: Sequence[bool], node: Any) -> list[Any]:
        """Tell the core which gradients are wanted; return what waits for the step already.

        Parameters
        ----------
        needed : sequence of bool
            Which parameters, in their order, need a gradient.
        node : object
            What `node` returned at the forward.
        """
        core, mirror = self.core, self._mirror
        wanted = dict(zip(self._names, needed, strict=True))
        learns = (
            any([wanted[name] for name in mirror.names]) if mirror.digital else wanted["weight"]
        )
        if learns and not mirror.digital:
            learns = will_be_accumulated(node)
        core.weight.requires_grad = learns
        for name in self._shared.names:
            getattr(core, name).requires_grad = wanted[name]
        return core.weight.take_pairs()

    def end_back(self, waiting: list[Any], done: bool) -> dict[str, np.ndarray]:
        """Return the gradients that the core's backward left, by name of the parameter.

        Vectors for pulses stay in the core, behind those that wait already.

        Parameters
        ----------
        waiting : list
            What `begin_back` returned.
        done : bool
            Whether the backward came to its end; nothing is recorded if it did not.
        """
        core, mirror, found = self.core, self._mirror, {}
        new, core.weight.pairs = core.weight.take_pairs(), waiting
        before = len(waiting)
        for name in self._shared.names:
            parameter = getattr(core, name)
            if parameter.grad is not None:
                found[name], parameter.grad = parameter.grad, None
        if not done:
            return {}
        if mirror.digital:
            if new:
                matrix = gradient(new, mirror.column)
                found |= mirror.values(core.tile.step_gradient(matrix))
            return found
        for pair in new:
            if isinstance(pair, LazyPair):
                core.weight.record_later(pair)
            else:
                core.weight.record(*pair)
        if not self.has_optimizer and before < MANY <= len(core.weight.pairs):
            warn_caller(
                f"{type(self).__name__}({self.extra_repr()}): vectors of {MANY} backward passes "
                "wait for a step, and no AnalogOptimizer has this layer: its devices do not learn. "
                "Wrap the optimizer, AnalogOptimizer(torch.optim.SGD(model.parameters(), lr=0.1)), "
                "or freeze the layer, layer.requires_grad_(False).",
                UserWarning,
            )
        return found

    def as_tensors(self, found: Mapping[str, np.ndarray]) -> list[torch.Tensor | None]:
        """Return gradients as tensors, in the order of the parameters."""
        tensors = zip(self._names, self.tensors(), strict=True)
        return [tensor_of(found[name], t) if name in found else None for name, t in tensors]

    def _check_alone(self) -> None:
        """Refuse to train devices in several processes: each would have a chip of its own."""
        distributed = torch.distributed
        if not (distributed.is_available() and distributed.is_initialized()):
            return
        if distributed.get_world_size() > 1:
            raise StateError(
                f"{type(self).__name__}.forward: pulses cannot train the same devices from "
                f"{distributed.get_world_size()} processes. Train in one process, or freeze the "
                "layer; tiles that learn in digital (InferenceRPUConfig) can be data-parallel."
            )

    # ---------------------------------------------------------------- double precision

    def _exactly(self, x: torch.Tensor) -> torch.Tensor:
        """Return y in double precision: what an ideal tile stands for."""
        raise NotImplementedError

    def _exact_parameters(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return weight, with learned scales, and bias."""
        w: Any = self.weight
        scaling = self._parameters.get("out_scaling")
        if scaling is not None:
            w = w * scaling.reshape(-1, *[1] * (w.ndim - 1))
        return w, self._parameters["bias"]

    def _is_exact(self) -> bool:
        """Whether the tile is ideal, and the layer in double precision: `double()`."""
        mirror, weight = self._mirror, self.anchor
        if weight.dtype != torch.float64 or not mirror.digital:
            return False
        config = self.core.tile.rpu_config
        if not hasattr(config, "forward"):
            return not mirror.column  # FloatingPointRPUConfig
        ideal = config.forward.perfect and config.forward.out_scale == 1.0
        back = config.backward.perfect or config.gradient.backward_mode.name != "ANALOG"
        plain = not config.pre_post.input_range.enable and not hasattr(config, "modifier")
        grid = any(name.startswith("out_scaling_") for name in self._shared.names)
        return bool(ideal and back and plain and not mirror.column and not grid)


def check_tensor(x: Any, where: str) -> None:
    """Raise `DataError` unless `x` is a tensor."""
    if not isinstance(x, torch.Tensor):
        raise DataError(
            f"{where} must be a tensor, got {type(x).__name__}; "
            "torch.as_tensor(x, dtype=torch.float32) makes one."
        )


def refuse_tracing(x: torch.Tensor, where: str) -> None:
    """Refuse to become a constant in a program that is traced or exported."""
    if torch.jit.is_tracing() or (torch.compiler.is_compiling() and is_only_a_shape(x)):
        raise StateError(
            f"{where}.forward: a tile cannot be traced or exported: its noise, and the numbers it "
            "computes, are not torch's. Export the digital model, convert_to_digital(model)."
        )


def needs_grad(tensors: Any) -> bool:
    """Return whether torch is to go back to any of the tensors."""
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
