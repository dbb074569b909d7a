"""The parameters that all pulsed devices have, and what they must fulfil."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.config import Config, param
from rpusim.devices.drift import DriftParameter
from rpusim.devices.spread import STUCK, SpreadLaw, UpDownConvention
from rpusim.errors import ConfigError

__all__ = ["WIDE", "Device", "PulsedParameters", "check_lifetime"]

WIDE = 1e30  # bounds beyond this are those of a perfect bias, whose steps are constant
EPS = float(np.finfo(np.float32).eps)


class Device(Config):
    """Base of everything that can stand at the crosspoints of a tile."""


def check_lifetime(device: Any) -> None:
    """Refuse a lifetime below one step."""
    if 0.0 < device.lifetime < 1.0:
        name = type(device).__name__
        raise ConfigError(
            f"{name}.lifetime must be 0 (none) or >= 1 step, got {device.lifetime!r}."
        )


class PulsedParameters(Device):
    """The common parameters of `PulsedDevice`, which says what they do."""

    construction_seed: int = param(
        0, low=0, doc="> 0: every tile of this shape gets the same devices"
    )
    corrupt_devices_prob: float = param(0.0, low=0.0, high=1.0, doc="probability of a stuck device")
    corrupt_devices_range: float = param(
        0.1, low=0.0, unit="weight", doc="they are stuck within +- this"
    )
    diffusion: float = param(
        0.0, low=0.0, unit="weight/step", doc="mean random walk per optimizer step"
    )
    diffusion_dtod: float = param(0.0, low=0.0, unit="relative", doc="spread of diffusion")
    drift: DriftParameter = param(DriftParameter(), doc="drift with time, on request only")
    dw_min: float = param(0.001, above=0.0, unit="weight", doc="mean step of one pulse at w = 0")
    dw_min_dtod: float = param(
        0.3, low=0.0, unit="relative", doc="spread of the step, both directions"
    )
    dw_min_dtod_log_normal: bool = param(False, doc="that spread is log-normal (median 1)")
    dw_min_dtod_mean_preserving: bool = param(
        False, doc="a log-normal spread has mean 1 instead of median 1"
    )
    dw_min_std: float = param(0.3, low=0.0, unit="of a step", doc="cycle-to-cycle noise of a pulse")
    enforce_consistency: bool = param(True, doc="fold steps to be positive and bounds around 0")
    lifetime: float = param(
        0.0, low=0.0, unit="steps", doc="decay constant in optimizer steps; 0: none"
    )
    lifetime_dtod: float = param(0.0, low=0.0, unit="relative", doc="spread of lifetime")
    perfect_bias: bool = param(False, doc="devices of an analog bias: symmetric, unbounded")
    reset: float = param(0.0, unit="weight", doc="where reset and decay lead to")
    reset_dtod: float = param(0.0, low=0.0, unit="weight", doc="spread of it")
    reset_std: float = param(0.01, low=0.0, unit="weight", doc="noise of each reset")
    up_down: float = param(
        0.0, low=-1.0, high=1.0, unit="of dw_min", doc="> 0: down steps are smaller"
    )
    up_down_convention: UpDownConvention = param(
        UpDownConvention.MAX, doc="MAX: one direction is reduced; MEAN: dw_min * (1 +- up_down)"
    )
    up_down_dtod: float = param(0.01, low=0.0, unit="of dw_min", doc="spread of up_down")
    stuck_at_max_prob: float = param(
        0.0, low=0.0, high=1.0, doc="probability of being stuck at the upper bound"
    )
    stuck_at_min_prob: float = param(
        0.0, low=0.0, high=1.0, doc="probability of being stuck at the lower bound"
    )
    w_dtod_law: SpreadLaw = param(
        SpreadLaw.NORMAL, doc="law of the bounds' spread; NORMAL is folded at 0"
    )
    w_max: float = param(0.6, low=0.0, unit="weight", doc="mean upper bound")
    w_max_dtod: float = param(0.3, low=0.0, unit="relative", doc="spread of the upper bound")
    w_min: float = param(-0.6, high=0.0, unit="weight", doc="mean lower bound")
    w_min_dtod: float = param(0.3, low=0.0, unit="relative", doc="spread of the lower bound")
    count_pulses: bool = param(False, doc="keep pulse counts of every device")
    reference_granularity: bool = param(
        False, doc="take aihwkit's figure for weight_granularity, for comparisons"
    )

    def check(self) -> None:
        """Refuse windows without width, lifetimes below one step and steps float32 cannot add."""
        super().check()
        name = type(self).__name__
        check_lifetime(self)
        if sum(getattr(self, prob) for prob in ("corrupt_devices_prob", *STUCK)) > 1.0:
            raise ConfigError(
                f"{name}: corrupt_devices_prob, stuck_at_max_prob and stuck_at_min_prob must sum "
                "to at most 1."
            )
        largest = max(self.w_max, -self.w_min)
        if self.dw_min < 4.0 * EPS * largest:
            raise ConfigError(
                f"{name}.dw_min is {self.dw_min!r}, too small to be added to weights near "
                f"{largest:g} in single precision; it must be "
                f">= {4.0 * EPS * largest:.1g}."
            )
