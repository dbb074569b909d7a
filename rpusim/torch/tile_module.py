"""A layer with one tile as a module of torch: parameters, state, copies, moves.

A layer of torch holds the layer of `rpusim.nn` of the same name, its `core`, which has the tile.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from rpusim.errors import BackendError, StateError
from rpusim.nn.checks import as_flag
from rpusim.torch import layer_state
from rpusim.torch.arrays import check_device
from rpusim.torch.mirror import Mirror
from rpusim.torch.shared import SharedParameters

__all__ = ["TileModule", "is_called", "layer_of", "torch_seed"]

#: The layers by the identity of their weight: how an optimizer finds the tile of a parameter.
LAYERS: weakref.WeakValueDictionary[int, TileModule] = weakref.WeakValueDictionary()


def layer_of(parameter: torch.Tensor) -> TileModule | None:
    """Return the layer whose weight a parameter is, if there is one."""
    layer = LAYERS.get(id(parameter))
    return layer if layer is not None and layer.anchor is parameter else None


def torch_seed(rng: Any) -> Any:
    """Return `rng`, or a seed from torch's generator if it is None: `torch.manual_seed` rules."""
    return int(torch.randint(2**62, ())) if rng is None else rng


class TileModule(torch.nn.Module):
    """Base of the layers that have one tile, or one grid of tiles.

    Parameters
    ----------
    core : AnalogLinear of rpusim.nn
        What computes.
    allow_transfer : bool
        Whether inputs that are not on the CPU are copied there, and outputs back.
    writable : bool
        Whether writes into `weight` set the weights of devices that pulses train.
    """

    core: Any
    weight: torch.nn.Parameter
    bias: torch.nn.Parameter | None
    takes_gpu = False  # whether the core passes on arrays of the GPU that its tile lives on

    @property
    def input_backend(self) -> str:
        """Where inputs may be, beside the CPU: a backend."""
        return self.core.tile.backend if self.takes_gpu else "cpu"

    def __init__(self, core: Any, allow_transfer: bool = False, writable: bool = False) -> None:
        super().__init__()
        where = type(self).__name__
        self.allow_transfer = as_flag(allow_transfer, f"{where}.allow_transfer")
        core.keeps_in_evaluation = True  # torch goes back through evaluation as well
        self.core = core
        mirror = Mirror(core, as_flag(writable, f"{where}.writable"))
        shared = SharedParameters(core.tile)
        self.register_parameter("weight", torch.nn.Parameter(torch.empty(core.weight.shape)))
        self.register_parameter("bias", None)
        if core.bias is not None:
            self.register_parameter("bias", torch.nn.Parameter(torch.empty(core.bias.shape)))
        for name, array in core.tile.digital_parameters().items():
            if name != "bias":
                self.register_parameter(name, torch.nn.Parameter(torch.empty(array.shape)))
        mirror.show(self._parameters)
        shared.show(self._parameters)
        self._mirror, self._shared = mirror, shared
        self._names = [name for name, p in self._parameters.items() if p is not None]
        self.register_forward_pre_hook(is_called)
        self.has_optimizer = False
        self._set_up()

    def _set_up(self) -> None:
        """Make what no copy and no file takes along."""
        self._lock = threading.RLock()
        LAYERS[id(self.anchor)] = self

    # ---------------------------------------------------------------- weights

    @property
    def anchor(self) -> Any:
        """The parameter `weight` as it is, without a look at the tile."""
        return self._parameters["weight"]

    @property
    def learns_in_digital(self) -> bool:
        """Whether the weights are numbers, with a gradient, and not devices that take pulses."""
        return self._mirror.digital

    @property
    def tile(self) -> Any:
        """The tile, or grid of tiles, that computes, as it is now."""
        with self._lock:
            self._push(True)
        return self.core.tile

    def get_weights(self, **options: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return copies of logical weights and bias; options are those of the tile's method."""
        with self._lock:
            self._push(True)
            w, b = self.core.get_weights(**options)
        return torch.from_numpy(w), None if b is None else torch.from_numpy(b)

    def set_weights(self, weight: Any, bias: Any = None, **options: Any) -> Any:
        """Write logical weights and bias; options and result are those of the tile's method.

        Parameters
        ----------
        weight : Tensor or array_like
            Of the shape of `weight`.
        bias : Tensor or array_like, optional
            Left as it is if not given.
        **options : object
            Such as ``realistic=True``.
        """
        given = [_values(weight), None if bias is None else _values(bias)]
        with self._lock:
            self._shared.push(self._parameters)
            result = self.core.set_weights(*given, **options)
            self._show()
        return result

    def reset_parameters(self) -> None:
        """Draw new initial weights, from torch's generator, as a digital layer does."""
        bound = self.core.in_features**-0.5
        bias = None if self.bias is None else torch.empty(self.bias.shape).uniform_(-bound, bound)
        self.set_weights(torch.empty(self.core.weight.shape).uniform_(-bound, bound), bias)

    def after_step(self) -> None:
        """Do what belongs to a step: the tile takes it over, then clips, remaps, decays.

        `AnalogOptimizer` calls it; a loop without one does so after each step. A frozen layer stays
        as it is.
        """
        with self._lock:
            self._push(True)
            if self.anchor.requires_grad:
                self.core.tile.project_digital_parameters()
                self.core.tile.post_update_step()
            self._pull()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear gradients, and vectors that wait for a step."""
        super().zero_grad(set_to_none)
        self.core.weight.take_pairs()

    def _push(self, thorough: bool = False) -> None:
        """Let the tile follow its tensors."""
        if "weight" not in self._parameters:
            raise StateError(
                f"{type(self).__name__}: the parameter weight was taken away, as pruning and "
                "parametrizations do; a tile needs it. Prune by set_weights, or before converting."
            )
        self._shared.push(self._parameters)
        self._mirror.push(self._parameters, thorough)

    def _pull(self) -> None:
        """Let the tensors follow their tile."""
        self._mirror.pull(self._parameters)
        self._shared.pull(self._parameters)

    def _show(self) -> None:
        """Let the tensors show the tile, whatever they hold."""
        self._mirror.show(self._parameters)
        self._shared.show(self._parameters)

    # ---------------------------------------------------------------- a module among others

    def __getattr__(self, name: str) -> Any:
        if name in ("weight", "bias") and "_mirror" in self.__dict__:
            with self._lock:  # what is read is what the tile holds now
                self._push(True)
                self._pull()
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in ("weight", "bias") or "_mirror" not in self.__dict__:
            super().__setattr__(name, value)
        elif name == "weight":
            self.set_weights(value)
        elif value is not None:
            self.set_weights(self.get_weights()[0], value)
        elif self._parameters["bias"] is not None:
            raise StateError(f"{type(self).__name__}.bias is the tile's and cannot be removed.")

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
        where = f"{type(self).__name__}: the layer"
        try:
            device = fn(torch.empty(0)).device
        except Exception as error:
            raise BackendError(
                f"{where} must stay on the CPU, where tiles compute, and could not be moved: "
                f"{error}"
            ) from error
        stays = self.input_backend == "cuda" and device.type == "cuda"  # it takes inputs from there
        if not stays:
            check_device(device, where, self.allow_transfer)
        with self._lock:
            self._push(True)
            super()._apply((lambda tensor: fn(tensor).cpu()) if stays else fn, recurse)
            self._show()
            self._set_up()
        return self

    def _replicate_for_data_parallel(self) -> Any:
        raise StateError(
            f"{type(self).__name__}: a tile is one piece of hardware and has no replicas; train it "
            "in one process, without DataParallel."
        )

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            self._push(True)
            self._pull()
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._set_up()
        self._shared.show(self._parameters)
        self.has_optimizer = False  # that of the original does not know a copy
        self.core.weight.take_pairs()  # nor do copies of torch take gradients along

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        with self._lock:
            self._push(True)
            self._pull()
            super()._save_to_state_dict(destination, prefix, keep_vars)
            layer_state.save(self, destination, prefix)

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        lists = missing_keys, unexpected_keys, error_msgs
        for hook in self._load_state_dict_pre_hooks.values():
            hook(state_dict, prefix, local_metadata, strict, *lists)
        with self._lock:
            self._push(True)
            layer_state.load(self, state_dict, prefix, strict, *lists)
            self._show()
            layer_state.take_finer(self, state_dict, prefix)

    def extra_repr(self) -> str:
        """Return sizes, and what the weights are made of."""
        device = getattr(self.core.tile.rpu_config, "device", None)
        made = type(self.core.tile.rpu_config if device is None else device).__name__
        return f"{self.core.shapes()}, bias={self._parameters['bias'] is not None}, {made}"


def is_called(*_: Any) -> None:
    """Do nothing: a module with a hook is called, not passed by in a fused kernel of torch."""


def _values(given: Any) -> Any:
    """Return a tensor as an array; anything else as it is."""
    if isinstance(given, torch.Tensor):
        check_device(given.device, "set_weights: the tensor", may_move=True)
        return given.detach().to("cpu", torch.float32).numpy()
    return np.asarray(given)
