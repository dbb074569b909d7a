"""The analog weights of a model on programmed devices, and their drift."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rpusim.errors import StateError, warn_caller

if TYPE_CHECKING:
    from rpusim.nn.module import Module

__all__ = ["drift_analog_weights", "program_analog_weights", "programmed", "restore_analog_weights"]


def program_analog_weights(model: Module, noise_model: Any = None) -> None:
    """Program the weights of all tiles for inference, each tile once.

    Parameters
    ----------
    model : Module
        In evaluation mode.
    noise_model : BaseNoiseModel, optional
        Instead of those of the tiles' configurations, for good.
    """
    where = f"{type(model).__name__}.program_analog_weights"
    _need_evaluation(model, where)
    for tile in _programmable(model, where):
        tile.program_weights(noise_model=noise_model)


def drift_analog_weights(model: Module, t_inference: float = 0.0) -> None:
    """Let the devices of all tiles be what they are at a time, and compensate for drift.

    Tiles for inference are programmed first if they are not. Tiles of devices that learn, and
    drift, age until their clock shows that time. A warning is given if no tile drifts.

    Parameters
    ----------
    model : Module
        In evaluation mode.
    t_inference : float
        Seconds since programming.
    """
    where = f"{type(model).__name__}.drift_analog_weights"
    _need_evaluation(model, where)
    drifting = [tile for _, tile in model.named_analog_tiles() if tile.drifts]
    if not drifting:
        warn_caller(
            f"{where}: no tile of the model drifts; an InferenceRPUConfig, or devices with "
            "drift.nu > 0, make tiles that do.",
            UserWarning,
        )
    for tile in drifting:
        tile.check_time(t_inference)
    for tile in drifting:
        tile.drift_to(t_inference)


def restore_analog_weights(model: Module) -> None:
    """Give programmed devices up: products see the weights as they were trained.

    Parameters
    ----------
    model : Module
        In any mode.
    """
    for _, tile in model.named_analog_tiles():
        if tile.is_programmed:
            tile.restore()


@contextmanager
def programmed(model: Module, noise_model: Any = None) -> Iterator[None]:
    """Return a context in which a model is evaluated on programmed devices.

    It is in evaluation mode there; afterwards modes and weights are as before.

    Parameters
    ----------
    model : Module
        With tiles for inference.
    noise_model : BaseNoiseModel, optional
        Instead of those of the tiles' configurations, for good.

    Examples
    --------
    >>> import numpy as np, rpusim as rs
    >>> layer = rs.nn.AnalogLinear(4, 3, rpu_config=rs.InferenceRPUConfig(), rng=1)
    >>> with programmed(layer):
    ...     layer.drift_analog_weights(3600.0)
    ...     y = layer(np.ones((2, 4)))
    >>> layer.tile.is_programmed
    False
    """
    modes = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        program_analog_weights(model, noise_model)
        yield
    finally:
        restore_analog_weights(model)
        for module, mode in modes:
            module.training = mode


def _need_evaluation(model: Module, where: str) -> None:
    if model.training:
        raise StateError(f"{where}: the model is in training mode; call eval() first.")


def _programmable(model: Module, where: str) -> list[Any]:
    tiles = [tile for _, tile in model.named_analog_tiles() if hasattr(tile, "restore")]
    if not tiles:
        raise StateError(
            f"{where}: no tile of the model can be programmed; an InferenceRPUConfig makes tiles "
            "that can."
        )
    return tiles
