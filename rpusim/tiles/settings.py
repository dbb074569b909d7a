"""Configurations of whole tiles: `RPUConfig`, `FloatingPointRPUConfig`, `MappingParameter`."""

from __future__ import annotations

from typing import Any

from rpusim.config import Config, param
from rpusim.devices import ConstantStepDevice, Device, FloatingPointDevice
from rpusim.errors import ConfigError
from rpusim.periphery import IOParameters
from rpusim.pulses import UpdateParameters

__all__ = [
    "DigitalRankUpdateRPUConfig",
    "FloatingPointRPUConfig",
    "MappingParameter",
    "RPUConfig",
    "SingleRPUConfig",
    "UnitCellRPUConfig",
    "as_config",
]


class MappingParameter(Config):
    r"""How the weights of a layer are put on devices.

    With :math:`\omega` = `weight_scaling_omega` > 0 the devices hold :math:`w \omega / \max|w|`,
    and the tile multiplies its outputs by :math:`\max|w| / \omega` (of the tile, or of each output
    if `weight_scaling_columnwise`).
    """

    digital_bias: bool = param(True, doc="the bias is a digital vector, not a column of devices")
    weight_scaling_omega: float = param(
        0.0, low=0.0, unit="weight", doc="largest weight on devices; 0: as is"
    )
    weight_scaling_columnwise: bool = param(False, doc="a scale for every output")
    weight_scaling_lr_compensation: bool = param(
        False, doc="scales act on the learning rate, not on d"
    )
    learn_out_scaling: bool = param(False, doc="trainable output scales")
    out_scaling_columnwise: bool = param(False, doc="one of them for every output")
    max_input_size: int = param(
        512, low=0, unit="inputs", doc="largest tile of a mapped layer; 0: any"
    )
    max_output_size: int = param(
        512, low=0, unit="outputs", doc="largest tile of a mapped layer; 0: any"
    )

    def check(self) -> None:
        """Refuse what this version does not compute."""
        super().check()
        if self.learn_out_scaling or self.out_scaling_columnwise:
            raise ConfigError(
                "MappingParameter.learn_out_scaling and out_scaling_columnwise must be False "
                "in this version."
            )


class RPUConfig(Config):
    """Configuration of an `AnalogTile`: its devices and everything around them.

    Examples
    --------
    >>> from rpusim import RPUConfig, SoftBoundsDevice
    >>> RPUConfig(device=SoftBoundsDevice(w_max=0.5)).replace(forward=dict(out_noise=0.0))
    RPUConfig(device=SoftBoundsDevice(w_max=0.5), forward=IOParameters(out_noise=0.0))
    """

    device: Device = param(
        ConstantStepDevice(), family=Device, doc="what stands at the crosspoints"
    )
    forward: IOParameters = param(IOParameters(), doc="the product y = W x")
    backward: IOParameters = param(IOParameters(), doc="the product with the transpose")
    update: UpdateParameters = param(UpdateParameters(), doc="the pulsed update")
    mapping: MappingParameter = param(MappingParameter(), doc="weights to devices")


class FloatingPointRPUConfig(Config):
    """Configuration of a `FloatingPointTile`: exact products and updates."""

    device: FloatingPointDevice = param(FloatingPointDevice(), doc="decay, diffusion and drift")
    mapping: MappingParameter = param(MappingParameter(), doc="weights to memory")


# The established names for one device, a unit cell and a rank update: the device tells which.
SingleRPUConfig = UnitCellRPUConfig = DigitalRankUpdateRPUConfig = RPUConfig


def as_config(rpu_config: Any, where: str) -> Any:
    """Return a tile configuration for None (the default), a configuration or a bare device."""
    if rpu_config is None:
        return RPUConfig()
    if isinstance(rpu_config, Device):
        return RPUConfig(device=rpu_config)
    if isinstance(rpu_config, RPUConfig | FloatingPointRPUConfig):
        return rpu_config
    hint = "; call it to make one" if isinstance(rpu_config, type) or callable(rpu_config) else ""
    raise ConfigError(
        f"{where}: rpu_config must be an RPUConfig, a FloatingPointRPUConfig or a device, "
        f"got {rpu_config!r}{hint}."
    )
