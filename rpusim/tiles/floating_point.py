"""`FloatingPointTile`: the tile with exact products and updates, to compare the others with."""

from __future__ import annotations

from typing import Any

from rpusim.errors import ConfigError
from rpusim.periphery import IOParameters
from rpusim.pulses import PulseType, UpdateParameters
from rpusim.tiles.analog import AnalogTile
from rpusim.tiles.settings import FloatingPointRPUConfig, GradientParameter

__all__ = ["FloatingPointTile"]

PERFECTLY, EXACTLY = IOParameters(is_perfect=True), UpdateParameters(pulse_type=PulseType.NONE)


class FloatingPointTile(AnalogTile):
    """A tile whose products and updates are exact in float32.

    Parameters are those of `AnalogTile`; `rpu_config` is a `FloatingPointRPUConfig` (the default).
    """

    def __init__(
        self,
        out_size: int,
        in_size: int,
        rpu_config: Any = None,
        bias: bool = False,
        *,
        rng: Any = None,
        backend: str = "cpu",
    ) -> None:
        rpu_config = FloatingPointRPUConfig() if rpu_config is None else rpu_config
        super().__init__(out_size, in_size, rpu_config, bias, rng=rng, backend=backend)

    def _check_config(self) -> None:
        if not isinstance(self.rpu_config, FloatingPointRPUConfig):
            raise ConfigError(
                f"FloatingPointTile needs a FloatingPointRPUConfig, got {self.rpu_config!r}; "
                "for other configurations use AnalogTile."
            )

    def _products(self) -> tuple[IOParameters, IOParameters, GradientParameter]:
        return PERFECTLY, PERFECTLY, GradientParameter()

    def _update_settings(self) -> UpdateParameters:
        return EXACTLY
