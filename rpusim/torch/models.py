"""Models of torch that hold tiles: their layers, programmed devices, calibration, draws.

The functions are those of `rpusim.nn`, which see the cores of a model's layers as one model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from rpusim import nn
from rpusim.errors import ConfigError
from rpusim.torch.tile_module import TileModule
from rpusim.torch.walk import Recurrent

__all__ = [
    "analog_layers",
    "calibrate_input_ranges",
    "drift_analog_weights",
    "program_analog_weights",
    "restore_analog_weights",
    "same_draws",
]


class Model(nn.Module):
    """A model of torch as the functions of `rpusim.nn` want it.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        if not isinstance(model, torch.nn.Module):
            raise ConfigError(f"model must be a module of torch, got {type(model).__name__}.")
        self._model, self.training = model, model.training
        self._layers = analog_layers(model)
        for layer in self._layers.values():
            layer.core.training = layer.training

    def named_children(self) -> dict[str, nn.Module]:
        """Return the cores of all layers, by the names of the layers."""
        return {name: layer.core for name, layer in self._layers.items()}

    def forward(self, x: Any) -> Any:
        """Run the model of torch."""
        with torch.no_grad():
            return self._model(torch.as_tensor(x))


def analog_layers(model: torch.nn.Module) -> dict[str, TileModule]:
    """Return the layers of a model that have tiles, by name, each once."""
    return {n: m for n, m in model.named_modules() if isinstance(m, TileModule)}


def program_analog_weights(model: torch.nn.Module, noise_model: Any = None) -> None:
    """Program the weights of all tiles for inference, each tile once.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode.
    noise_model : BaseNoiseModel, optional
        Instead of those of the tiles' configurations, for good.
    """
    Model(model).program_analog_weights(noise_model)


def drift_analog_weights(model: torch.nn.Module, t_inference: float = 0.0) -> None:
    """Let the devices of all tiles be what they are at a time, and compensate for drift.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode; its tiles are programmed first if they are not.
    t_inference : float
        Seconds since programming.
    """
    Model(model).drift_analog_weights(t_inference)


def restore_analog_weights(model: torch.nn.Module) -> None:
    """Give programmed devices up: products see the weights as they were trained."""
    Model(model).restore_analog_weights()


def calibrate_input_ranges(
    model: torch.nn.Module, batches: Iterable[Any], *args: Any, **options: Any
) -> dict[str, float]:
    """Set the input range of every tile from data, as `rpusim.nn.calibrate_input_ranges`.

    Parameters
    ----------
    model : torch.nn.Module
        Holds the tiles; it runs in evaluation mode, and is then in the mode that it was in.
    batches : iterable of Tensor, or of (Tensor, target) pairs
        Fed to the model.
    *args, **options : object
        Those of the function of `rpusim.nn`.

    Returns
    -------
    dict of str to float
        The new ranges by the names of tiles.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        pairs = (tuple(batch) if isinstance(batch, list) else batch for batch in batches)
        return nn.calibrate_input_ranges(Model(model), pairs, *args, **options)
    finally:
        for module, mode in modes:
            module.training = mode


def same_draws(model: torch.nn.Module) -> Callable[[], tuple[Any, Any]]:
    """Return the ``context_fn`` with which a checkpoint computes twice with the same draws.

    A checkpoint of activations runs a part of the model again when it goes back, and tiles draw
    noise at every product. In these contexts the second run draws what the first one drew, dropout
    of recurrent layers included.

    Parameters
    ----------
    model : torch.nn.Module
        What runs inside the checkpoint.

    Examples
    --------
    >>> from torch.utils.checkpoint import checkpoint
    >>> from rpusim.torch import AnalogLinear
    >>> layer, x = AnalogLinear(3, 2, rng=0), torch.ones(5, 3, requires_grad=True)
    >>> y = checkpoint(layer, x, use_reentrant=False, context_fn=same_draws(layer))
    >>> y.sum().backward()
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        seed = int(torch.randint(2**62, ()))
        counters = [(array, array.copy()) for array in _counters(model)]
        return _seeded(model, seed), _seeded(model, seed, counters)

    return contexts


def _counters(model: torch.nn.Module) -> list[np.ndarray]:
    """Return the arrays that count the draws of dropout in recurrent layers."""
    cores = [m.core for m in model.modules() if isinstance(m, Recurrent)]
    return [array for core in cores for _, array in core.named_buffers()]


@contextmanager
def _seeded(model: torch.nn.Module, seed: int, counters: Any = ()) -> Iterator[None]:
    """Have all draws of a model's tiles come from another seed, and set counters meanwhile."""
    now = [(array, array.copy()) for array, _ in counters]
    with ExitStack() as stack:
        stack.callback(_set, now)
        _set(counters)
        for number, tile in enumerate(Model(model).analog_tiles()):
            own = np.random.SeedSequence(seed, spawn_key=(number,))
            stack.enter_context(tile.seeded(own))
        yield


def _set(counters: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    """Write values into arrays."""
    for array, values in counters:
        array[...] = values
