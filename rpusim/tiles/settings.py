"""Configurations of whole tiles: `RPUConfig`, `InferenceRPUConfig`, `FloatingPointRPUConfig`."""

from __future__ import annotations

from typing import Any

from rpusim.config import Choice, Config, param
from rpusim.devices import ConstantStepDevice, Device, FloatingPointDevice, IdealDevice
from rpusim.errors import ConfigError
from rpusim.inference import (
    BaseDriftCompensation,
    BaseNoiseModel,
    GlobalDriftCompensation,
    PCMLikeNoiseModel,
    WeightClipParameter,
    WeightModifierParameter,
    WeightRemapParameter,
)
from rpusim.periphery import (
    BoundManagementType,
    IOParameters,
    IOParametersIRDropT,
    PrePostProcessingParameter,
)
from rpusim.pulses import PulseType, UpdateParameters

__all__ = [
    "BackwardMode",
    "DigitalRankUpdateRPUConfig",
    "FloatingPointRPUConfig",
    "GradientParameter",
    "InferenceRPUConfig",
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
    max_input_size: int = param(512, low=0, unit="inputs", doc="largest tile of a layer; 0: any")
    max_output_size: int = param(512, low=0, unit="outputs", doc="largest tile of a layer; 0: any")

    def check(self) -> None:
        """Refuse combinations that mean nothing."""
        super().check()
        if self.out_scaling_columnwise and not self.learn_out_scaling:
            raise ConfigError(
                "MappingParameter.out_scaling_columnwise is True but there are no output scales: "
                "set learn_out_scaling=True too."
            )


class BackwardMode(Choice):
    """How error signals go back through a tile.

    EXACT: the exact transposed product with the weights that the forward used. STRAIGHT_THROUGH:
    the same, but nothing passes where the forward saturated its converters. ANALOG: the transposed
    product through the converters and noise of `backward`, as on a chip that trains.
    """

    EXACT = "exact"
    STRAIGHT_THROUGH = "straight_through"
    ANALOG = "analog"


class GradientParameter(Config):
    """What the gradients of a tile are gradients of."""

    backward_mode: BackwardMode = param(BackwardMode.ANALOG, doc="how error signals go back")
    mask_inputs: bool = param(
        True, doc="STRAIGHT_THROUGH: nothing passes where an input was clipped"
    )
    quantised_inputs: bool = param(
        False, doc="EXACT, STRAIGHT_THROUGH: weight gradients use the inputs behind the DAC"
    )

    def check(self) -> None:
        """Refuse combinations that mean nothing."""
        super().check()
        if self.quantised_inputs and self.backward_mode is BackwardMode.ANALOG:
            raise ConfigError(
                "GradientParameter.quantised_inputs needs backward_mode EXACT or STRAIGHT_THROUGH: "
                "on a chip the update has trains of its own."
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
    forward: IOParameters = param(IOParameters(), family=IOParameters, doc="the product y = W x")
    backward: IOParameters = param(IOParameters(), doc="the product with the transpose")
    update: UpdateParameters = param(UpdateParameters(), doc="the pulsed update")
    mapping: MappingParameter = param(MappingParameter(), doc="weights to devices")
    pre_post: PrePostProcessingParameter = param(
        PrePostProcessingParameter(),
        family=PrePostProcessingParameter,
        doc="digital steps before and after the tile",
    )
    gradient: GradientParameter = param(GradientParameter(), doc="what gradients mean")

    def check(self) -> None:
        """Refuse combinations that mean nothing."""
        super().check()
        check_products(self)


class InferenceRPUConfig(Config):
    """Configuration of an `InferenceTile`: trained in digital, then programmed onto devices.

    Only the forward product is analog; updates are exact, and error signals go back exactly but for
    what the forward saturated.

    Examples
    --------
    >>> from rpusim import InferenceRPUConfig, PCMLikeNoiseModel
    >>> InferenceRPUConfig(noise_model=PCMLikeNoiseModel(g_max=25.0))
    InferenceRPUConfig(noise_model=PCMLikeNoiseModel(g_max=25.0))
    """

    device: IdealDevice = param(IdealDevice(), doc="decay and diffusion in training")
    forward: IOParameters = param(IOParameters(), family=IOParameters, doc="the product y = W x")
    backward: IOParameters = param(IOParameters(is_perfect=True), doc="product with the transpose")
    update: UpdateParameters = param(
        UpdateParameters(pulse_type=PulseType.NONE), doc="the update: exact"
    )
    mapping: MappingParameter = param(MappingParameter(), doc="weights to devices")
    pre_post: PrePostProcessingParameter = param(
        PrePostProcessingParameter(),
        family=PrePostProcessingParameter,
        doc="digital steps before and after the tile",
    )
    gradient: GradientParameter = param(
        GradientParameter(backward_mode=BackwardMode.STRAIGHT_THROUGH), doc="what gradients mean"
    )
    noise_model: BaseNoiseModel = param(
        PCMLikeNoiseModel(), family=BaseNoiseModel, doc="programming error, drift, read noise"
    )
    drift_compensation: BaseDriftCompensation | None = param(
        GlobalDriftCompensation(),
        family=BaseDriftCompensation,
        optional=True,
        doc="correction of outputs for drift",
    )
    clip: WeightClipParameter = param(WeightClipParameter(), doc="limit of weights")
    remap: WeightRemapParameter = param(WeightRemapParameter(), doc="weights to scales")
    modifier: WeightModifierParameter = param(
        WeightModifierParameter(), doc="weights with which training computes"
    )

    def check(self) -> None:
        """Refuse combinations that mean nothing."""
        super().check()
        if self.update.pulse_type is not PulseType.NONE:
            raise ConfigError(
                "InferenceRPUConfig.update.pulse_type must be NONE: programmed devices take no "
                "pulses; for training by pulses use an RPUConfig."
            )
        check_products(self)


def check_products(config: Any) -> None:
    """Refuse settings of products that contradict each other."""
    where, mode, back = type(config).__name__, config.gradient.backward_mode, config.backward
    unused = (type(config).__dataclass_fields__["backward"].default, IOParameters(is_perfect=True))
    if mode is not BackwardMode.ANALOG and back not in unused:
        raise ConfigError(
            f"{where}.backward has no effect with gradient.backward_mode {mode.name}, which goes "
            "back exactly: set backward_mode ANALOG to send errors through it."
        )
    if not back.perfect and back.bound_management in (
        BoundManagementType.SHIFT,
        BoundManagementType.ITERATIVE_WORST_CASE,
    ):
        raise ConfigError(
            f"{where}.backward.bound_management must be NONE or ITERATIVE (ignored), got "
            f"{back.bound_management.name}: errors go back once."
        )
    if isinstance(back, IOParametersIRDropT) and not back.perfect:
        raise ConfigError(
            f"{where}.backward must be an IOParameters: the wires of IOParametersIRDropT are "
            "solved for the forward direction."
        )
    if config.gradient.quantised_inputs and config.forward.inp_sto_round:
        raise ConfigError(
            f"{where}.gradient.quantised_inputs needs inputs that are rounded to the nearest: "
            "forward.inp_sto_round must be False."
        )
    ranges = config.pre_post.input_range
    if ranges.enable and ranges.manage_output_clipping:
        io = config.forward
        managed = io.noise_management.name != "NONE" or io.bound_management.name != "NONE"
        if io.perfect or managed:
            raise ConfigError(
                f"{where}.pre_post.input_range.manage_output_clipping needs a forward that is not "
                "perfect, with noise_management and bound_management NONE."
            )


class FloatingPointRPUConfig(Config):
    """Configuration of a `FloatingPointTile`: exact products and updates."""

    device: FloatingPointDevice = param(FloatingPointDevice(), doc="decay, diffusion and drift")
    mapping: MappingParameter = param(MappingParameter(), doc="weights to memory")
    pre_post: PrePostProcessingParameter = param(
        PrePostProcessingParameter(),
        family=PrePostProcessingParameter,
        doc="digital steps before and after the tile",
    )


# The established names for one device, a unit cell and a rank update: the device tells which.
SingleRPUConfig = UnitCellRPUConfig = DigitalRankUpdateRPUConfig = RPUConfig


def as_config(rpu_config: Any, where: str) -> Any:
    """Return a tile configuration for None (the default), a configuration or a bare device."""
    if rpu_config is None:
        return RPUConfig()
    if isinstance(rpu_config, Device):
        return RPUConfig(device=rpu_config)
    if isinstance(rpu_config, RPUConfig | InferenceRPUConfig | FloatingPointRPUConfig):
        return rpu_config
    hint = "; call it to make one" if isinstance(rpu_config, type) or callable(rpu_config) else ""
    raise ConfigError(
        f"{where}: rpu_config must be a configuration (RPUConfig, InferenceRPUConfig, "
        f"FloatingPointRPUConfig) or a device, "
        f"got {rpu_config!r}{hint}."
    )
