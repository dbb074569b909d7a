"""Settings of hardware-aware training: noisy copies of the weights, clipping, remapping."""

from __future__ import annotations

from rpusim.config import Choice, Config, check_coefficients, param
from rpusim.errors import ConfigError

__all__ = [
    "WeightClipParameter",
    "WeightClipType",
    "WeightModifierParameter",
    "WeightModifierType",
    "WeightRemapParameter",
    "WeightRemapType",
]


class WeightModifierType(Choice):
    """How the copy of the weights that training uses differs from them."""

    NONE = "None"
    DISCRETIZE = "Discretize"
    MULT_NORMAL = "MultNormal"
    ADD_NORMAL = "AddNormal"
    DISCRETIZE_ADD_NORMAL = "DiscretizeAddNormal"
    DOREFA = "DoReFa"
    POLY = "Poly"
    PCM_NOISE = "PCMNoise"
    PROG_NOISE = "ProgNoise"
    DROP_CONNECT = "DropConnect"
    COPY = "Copy"
    NOISE_MODEL = "NoiseModel"


class WeightClipType(Choice):
    """Where weights are clipped after each step."""

    NONE = "None"
    FIXED_VALUE = "FixedValue"
    LAYER_GAUSSIAN = "LayerGaussian"
    AVERAGE_CHANNEL_MAX = "AverageChannelMax"


class WeightRemapType(Choice):
    """What share of weights moves into the scales after each step."""

    NONE = "None"
    LAYERWISE_SYMMETRIC = "LayerwiseSymmetric"
    CHANNELWISE_SYMMETRIC = "ChannelwiseSymmetric"


class WeightModifierParameter(Config):
    """The copy of the weights with which a training step computes: noisy, discrete, with faults.

    A new one is drawn for each step, and whenever the weights are written; the update goes to the
    weights themselves. `rpusim.inference.modify` has the equations.
    """

    type: WeightModifierType = param(WeightModifierType.NONE, doc="what the copy is")
    std_dev: float = param(0.0, low=0.0, unit="of the largest weight", doc="strength of its noise")
    per_batch_sample: bool = param(False, doc="another copy for each vector")
    res: float = param(0.0, unit="of the largest weight", doc="step, or number of steps; <= 0: off")
    sto_round: bool = param(False, doc="discretise stochastically")
    dorefa_clip: float = param(0.6, above=0.0, unit="weight", doc="DOREFA: largest weight")
    pdrop: float = param(0.0, low=0.0, high=1.0, unit="probability", doc="of a weight to be 0")
    rescale_dropped: bool = param(False, doc="weights that are kept are divided by 1 - pdrop")
    enable_during_test: bool = param(False, doc="evaluation uses a copy too")
    rel_to_actual_wmax: bool = param(True, doc="the largest weight is that of the tile")
    assumed_wmax: float = param(1.0, above=0.0, unit="weight", doc="else it is this")
    copy_last_column: bool = param(False, doc="the last column, an analog bias, stays as it is")
    coeffs: tuple | None = param(
        None,
        like=(0.0,),
        doc="polynomial in |w| / largest: POLY relative, else in uS; none: that of PCM",
    )
    g_max: float = param(25.0, above=0.0, unit="uS", doc="conductance of the largest weight")
    pcm_zero_thres: float = param(0.0, low=0.0, doc="PCM_NOISE: below, a device counts as reset")
    pcm_t_inference: float = param(
        0.0, low=0.0, unit="s", doc="PCM_NOISE, NOISE_MODEL: time since programming"
    )
    pcm_prob_at_reset: float = param(0.0, low=0.0, high=1.0, doc="PCM_NOISE: devices stuck at 0")
    pcm_prob_at_gmax: float = param(0.0, low=0.0, high=1.0, doc="PCM_NOISE: stuck at g_max")
    pcm_prob_at_random: float = param(0.0, low=0.0, high=1.0, doc="PCM_NOISE: stuck anywhere")
    pcm_t0: float = param(20.0, above=0.0, unit="s", doc="PCM_NOISE: age at the end of programming")

    def check(self) -> None:
        """Refuse combinations that mean nothing."""
        super().check()
        kind = self.type
        check_coefficients("WeightModifierParameter.coeffs", self.coeffs)
        if self.pdrop > 0.0 and kind is WeightModifierType.NONE:
            raise ConfigError(
                f"WeightModifierParameter.pdrop is {self.pdrop!r} but type is NONE, which makes no "
                "copy: choose DROP_CONNECT, or COPY, or another type that it is combined with."
            )
        if self.pdrop == 0.0 and kind is WeightModifierType.DROP_CONNECT:
            raise ConfigError("WeightModifierParameter.pdrop must be > 0 for DROP_CONNECT.")
        if self.pdrop == 1.0 and self.rescale_dropped:
            raise ConfigError("WeightModifierParameter.pdrop must be < 1 with rescale_dropped.")
        stuck = self.pcm_prob_at_reset + self.pcm_prob_at_gmax + self.pcm_prob_at_random
        if stuck > 1.0:
            raise ConfigError(
                "WeightModifierParameter.pcm_prob_at_reset, pcm_prob_at_gmax and "
                f"pcm_prob_at_random must not exceed 1 together, got {stuck:g}."
            )


class WeightClipParameter(Config):
    """Limits of the weights, imposed after each step; `rpusim.inference.limits` has the laws."""

    type: WeightClipType = param(WeightClipType.NONE, doc="where the limit comes from")
    fixed_value: float = param(
        -1.0, unit="weight", doc="the limit; if > 0 the other types' largest; < 0: none"
    )
    sigma: float = param(2.5, above=0.0, unit="standard deviations", doc="LAYER_GAUSSIAN: limit")

    def check(self) -> None:
        """Refuse a limit that would erase all weights."""
        super().check()
        if self.type is WeightClipType.FIXED_VALUE and self.fixed_value <= 0.0:
            raise ConfigError(
                "WeightClipParameter.fixed_value must be > 0 for FIXED_VALUE, "
                f"got {self.fixed_value!r}."
            )


class WeightRemapParameter(Config):
    """Magnitude moved from weights into digital scales after each step."""

    type: WeightRemapType = param(WeightRemapType.NONE, doc="of the tile, or of each output")
    remapped_wmax: float = param(1.0, above=0.0, unit="weight", doc="largest weight afterwards")
    max_scale_range: float = param(
        0.0, low=0.0, doc="CHANNELWISE: largest ratio of a scale to the smallest; 0: any"
    )
    max_scale_ref: float = param(
        0.0, low=0.0, unit="scale", doc="smallest scale that this ratio counts from"
    )

    def check(self) -> None:
        """Refuse combinations that mean nothing."""
        super().check()
        if self.max_scale_range > 0.0 and self.remapped_wmax != 1.0:
            raise ConfigError(
                "WeightRemapParameter.max_scale_range needs remapped_wmax = 1, "
                f"got {self.remapped_wmax!r}."
            )
        if 0.0 < self.max_scale_range < 1.0:
            raise ConfigError(
                "WeightRemapParameter.max_scale_range must be 0 (any) or >= 1, "
                f"got {self.max_scale_range!r}."
            )
        if self.max_scale_ref > 0.0 and self.max_scale_range == 0.0:
            raise ConfigError(
                f"WeightRemapParameter.max_scale_ref is {self.max_scale_ref!r}, which "
                "max_scale_range counts from, but that is 0: any."
            )
        single = self.type is WeightRemapType.CHANNELWISE_SYMMETRIC
        if self.max_scale_range > 0.0 and not single:
            raise ConfigError(
                "WeightRemapParameter.max_scale_range limits the scales of single outputs: type "
                f"must be CHANNELWISE_SYMMETRIC, got {self.type.name}."
            )
