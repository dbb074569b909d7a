"""Devices without a pulse law: `IdealDevice` and `FloatingPointDevice` are updated exactly."""

from __future__ import annotations

from rpusim.config import param
from rpusim.devices.drift import SimpleDriftParameter
from rpusim.devices.parameters import Device, check_lifetime

__all__ = ["FloatingPointDevice", "IdealDevice"]


class IdealDevice(Device):
    """Device that takes any weight exactly and has no bounds; products may still be noisy."""

    construction_seed: int = param(0, low=0, doc="accepted for symmetry: nothing is drawn")
    diffusion: float = param(0.0, low=0.0, unit="weight/step", doc="random walk per optimizer step")
    lifetime: float = param(
        0.0, low=0.0, unit="steps", doc="decay constant in optimizer steps; 0: none"
    )
    reset_std: float = param(0.01, low=0.0, unit="weight", doc="noise of each reset")

    def check(self) -> None:
        """Refuse lifetimes below one step."""
        super().check()
        check_lifetime(self)


class FloatingPointDevice(Device):
    """A number in digital memory, with optional decay, diffusion and drift.

    In a `FloatingPointTile` the product is exact too; in an `AnalogTile` it is what `forward` and
    `backward` say.
    """

    diffusion: float = param(0.0, low=0.0, unit="weight/step", doc="random walk per optimizer step")
    lifetime: float = param(
        0.0, low=0.0, unit="steps", doc="decay constant in optimizer steps; 0: none"
    )
    drift: SimpleDriftParameter = param(
        SimpleDriftParameter(), doc="drift with time, on request only"
    )

    def check(self) -> None:
        """Refuse lifetimes below one step."""
        super().check()
        check_lifetime(self)
