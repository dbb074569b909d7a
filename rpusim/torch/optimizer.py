"""`AnalogOptimizer`: an optimizer of torch, whose step also moves the devices of tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from rpusim.errors import ConfigError, DataError, StateError, warn_caller
from rpusim.optim.groups import has_column
from rpusim.tiles.lazy_pairs import norm_squared, rescaled, updates
from rpusim.torch.tile_module import TileModule, layer_of

__all__ = ["AnalogOptimizer"]


class AnalogOptimizer(torch.optim.Optimizer):
    r"""Wraps an optimizer of torch, for models with tiles.

    One `step` does, in this order,

    1. the step of the wrapped optimizer, for all that has a gradient: digital parameters, and the
       weights of tiles that learn in digital;
    2. for every pulsed tile :math:`W \leftarrow W - \eta \sum_b d_b x_b^\mathsf{T}`, realised by
       its devices from all pairs (x, d) that backward passes recorded since the last step, at the
       learning rate :math:`\eta` that the group of its weight has now;
    3. for every tile what happens once per step: decay, diffusion, clip, remap.

    Afterwards no pairs are left, also if something fails. Momentum, weight decay and moments cannot
    act on pulsed tiles, which follow plain gradient descent; a warning says so once.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Made with the parameters of the model, such as ``torch.optim.SGD(model.parameters(),
        lr=0.1)``. Schedulers, `state_dict`, groups and closures work through the wrapper.

    Attributes
    ----------
    optimizer : torch.optim.Optimizer
        What is wrapped.

    Examples
    --------
    >>> from rpusim.torch import AnalogLinear
    >>> layer = AnalogLinear(2, 1, rng=0)
    >>> optimizer = AnalogOptimizer(torch.optim.SGD(layer.parameters(), lr=0.1))
    >>> loss = (layer(torch.ones(8, 2)) - 3.0).square().mean()
    >>> loss.backward()
    >>> optimizer.step()
    >>> bool((layer(torch.ones(8, 2)) - 3.0).square().mean() < loss)
    True
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        # What the base class would hold is the wrapped optimizer's.
        if not isinstance(optimizer, torch.optim.Optimizer) or isinstance(
            optimizer, AnalogOptimizer
        ):
            raise ConfigError(
                "AnalogOptimizer.optimizer must be an optimizer of torch, as in "
                "AnalogOptimizer(torch.optim.SGD(model.parameters(), lr=0.1)), got "
                f"{optimizer!r}."
            )
        self.optimizer = optimizer
        self._warned = False
        self._warn()

    # ---------------------------------------------------------------- the step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step of everything.

        Parameters
        ----------
        closure : callable, optional
            Passed to the wrapped optimizer; it computes the loss again.

        Returns
        -------
        object
            What the wrapped optimizer returns.
        """
        layers = self._layers()
        before = [_scales(layer) for layer, _ in layers]
        try:
            self._refuse_scaler()
            result = self.optimizer.step() if closure is None else self.optimizer.step(closure)
            for (layer, group), scales in zip(layers, before, strict=True):
                self._update(layer, group, scales)
            for layer, _ in layers:
                layer.after_step()
        finally:
            for layer, _ in layers:
                layer.core.weight.take_pairs()
        return result

    def _update(self, layer: TileModule, group: dict[str, Any], scales: Any) -> None:
        """Let pulses act, with the scales and ranges that the recorded errors belong to."""
        rate, tile, weight = float(group["lr"]), layer.core.tile, layer.core.weight
        pairs = weight.take_pairs()
        if not pairs or rate == 0.0 or not layer.anchor.requires_grad:
            return
        if group.get("maximize", False):
            pairs = [rescaled(pair, -1.0) for pair in pairs]
        stepped = [(array, array.copy()) for array, _ in scales]
        with layer._lock:
            for array, old in scales:
                array[...] = old
            try:
                for x, d in updates(pairs, tile.learns_by_batch):
                    tile.update(x, d, learning_rate=rate)
            finally:
                for array, new in stepped:
                    array[...] = new

    def _layers(self) -> list[tuple[TileModule, dict[str, Any]]]:
        """Return the layers whose weights it has, in order, with their groups."""
        found = []
        for group in self.param_groups:
            each = [layer_of(parameter) for parameter in group["params"]]
            found += [(layer, group) for layer in each if layer is not None]
        for layer, _ in found:
            layer.has_optimizer = True
        return found

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear gradients, and vectors that wait for a step."""
        self.optimizer.zero_grad(set_to_none)
        for layer, _ in self._layers():
            layer.core.weight.take_pairs()

    def clip_grad_norm(self, max_norm: float = math.inf) -> float:
        r"""Scale all gradients, of pulsed tiles too, so that their norm is at most `max_norm`.

        The norm of a pulsed tile's gradient :math:`\sum_b d_b x_b^\mathsf{T}` follows from its
        vectors; `torch.nn.utils.clip_grad_norm_` does not see it.

        Parameters
        ----------
        max_norm : float, default infinity
            Largest norm, > 0; infinity only measures.

        Returns
        -------
        float
            The norm before.
        """
        if not max_norm > 0.0:
            raise ConfigError(
                f"AnalogOptimizer.clip_grad_norm: max_norm must be > 0, got {max_norm!r}."
            )
        grads = [p.grad for group in self.param_groups for p in group["params"]]
        grads = [grad for grad in grads if grad is not None]
        weights = [layer.core.weight for layer, _ in self._layers()]
        total = sum(float(grad.double().square().sum()) for grad in grads)
        total += sum(norm_squared(w.pairs, has_column(w.tile)) for w in weights if w.pairs)
        norm = math.sqrt(total)
        if not math.isfinite(norm):
            raise DataError(f"AnalogOptimizer.clip_grad_norm: the norm must be finite, got {norm}.")
        if norm > max_norm:
            for grad in grads:
                grad.mul_(max_norm / norm)
            for w in weights:
                w.pairs = [rescaled(pair, max_norm / norm) for pair in w.pairs]
        return norm

    # ---------------------------------------------------------------- what is the wrapped one's

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The groups of the wrapped optimizer."""
        return self.optimizer.param_groups

    @property
    def state(self) -> Any:  # type: ignore[override]
        """The state of the wrapped optimizer, by parameter."""
        return self.optimizer.state

    @property
    def defaults(self) -> dict[str, Any]:  # type: ignore[override]
        """The default options of the wrapped optimizer."""
        return self.optimizer.defaults

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the wrapped optimizer."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of the wrapped optimizer."""
        self.optimizer.load_state_dict(state_dict)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to the wrapped optimizer."""
        self.optimizer.add_param_group(param_group)
        self._warn()

    def register_step_pre_hook(self, hook: Any) -> Any:
        """Have a function called before the step of the wrapped optimizer."""
        return self.optimizer.register_step_pre_hook(hook)

    def register_step_post_hook(self, hook: Any) -> Any:
        """Have a function called after the step of the wrapped optimizer, before the tiles."""
        return self.optimizer.register_step_post_hook(hook)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "optimizer" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")
        return getattr(self.optimizer, name)

    def __getstate__(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer, "_warned": self._warned}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        return f"AnalogOptimizer({self.optimizer!r})"

    # ---------------------------------------------------------------- what pulses cannot do

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Whether a GradScaler is to leave scaling to `step`, which refuses it."""
        return any(not layer.learns_in_digital for layer, _ in self._layers())

    def _refuse_scaler(self) -> None:
        given = [self.__dict__.pop(name, None) for name in ("grad_scale", "found_inf")]
        if given != [None, None]:  # the next step may be one without a scaler
            raise StateError(
                "AnalogOptimizer.step: a GradScaler cannot unscale the vectors that pulsed tiles "
                "have recorded. Use autocast with bfloat16, which needs no scaler, or "
                "GradScaler(enabled=False)."
            )

    def _warn(self) -> None:
        """Warn, once, of options that have no effect on pulsed tiles."""
        names, tiles = set(), []
        for layer, group in self._layers():
            asked = list(self._asked(group))
            if asked and not layer.learns_in_digital:
                names.update(asked)
                tiles.append(f"{type(layer).__name__}({layer.extra_repr()})")
        if tiles and not self._warned:
            self._warned = True
            warn_caller(
                f"AnalogOptimizer: {', '.join(sorted(names))} cannot act on pulsed tiles, which "
                "take the vectors x and d and no gradient matrix; they follow plain gradient "
                f"descent at their group's learning rate: {'; '.join(tiles)}.",
                UserWarning,
            )

    def _asked(self, group: dict[str, Any]) -> Iterable[str]:
        """Return what in a group's options needs a gradient matrix."""
        if not isinstance(self.optimizer, torch.optim.SGD):
            return [type(self.optimizer).__name__]
        return [name for name in ("momentum", "weight_decay") if group.get(name)]


def _scales(layer: TileModule) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the arrays of scales and ranges of a pulsed tile, each with a copy of its values."""
    if layer.learns_in_digital:
        return []
    arrays = layer.core.tile.digital_parameters()
    return [(array, array.copy()) for name, array in arrays.items() if name != "bias"]
