"""What happens in digital before and after a tile: input range, scales of few bits; settings."""

from __future__ import annotations

from rpusim.config import Config, param
from rpusim.errors import ConfigError

__all__ = [
    "InputRangeParameter",
    "PeripheryQuantizationParameter",
    "PrePostProcessingParameter",
    "PrePostProcessingParameterQuant",
]


class InputRangeParameter(Config):
    r"""Range r to which the inputs of a tile are clipped and by which they are divided.

    .. math:: u = \mathrm{clip}(x, -r, r) / r, \qquad y = r\, W u

    In training r is set from the data at first and learned later: `rpusim.tiles.input_range` has
    the equations.
    """

    enable: bool = param(False, doc="clip and scale inputs")
    learn_input_range: bool = param(True, doc="r is a trainable parameter")
    init_value: float = param(3.0, above=0.0, unit="input", doc="r before any data is seen")
    init_from_data: int = param(
        100, low=0, unit="batches", doc="training batches that re-estimate r"
    )
    init_std_alpha: float = param(
        3.0, above=0.0, unit="standard deviations", doc="r, estimated from a batch"
    )
    decay: float = param(1e-3, low=0.0, unit="per step", doc="shrinks r while little is clipped")
    input_min_percentage: float = param(
        0.95, low=0.0, high=1.0, unit="fraction", doc="r decays if more inputs are within it"
    )
    manage_output_clipping: bool = param(False, doc="r grows when outputs saturate the ADC")
    output_min_percentage: float = param(
        0.95, low=0.0, high=1.0, unit="fraction", doc="r grows if fewer outputs are within range"
    )
    gradient_scale: float = param(1.0, low=0.0, doc="factor of the gradient of clipped inputs")
    gradient_relative: bool = param(True, doc="that gradient is multiplied by r")
    exact_gradient: bool = param(
        False, doc="the gradient of the clip itself, also where it asks for a smaller r"
    )
    calibration_info: str | None = param(None, like="", doc="calibration that r came from")


class PeripheryQuantizationParameter(Config):
    r"""Quantisation of a tile's digital scales and of its bias.

    One uniform grid serves all scales of a tile, so small ones suffer: below half a step they
    become 0. With `log_scales` the n bits count magnitudes at equal ratios instead, from the
    largest scale m down to the smallest :math:`m_0`, and each is met within
    :math:`(m/m_0)^{1/(2 (2^n - 2))} - 1` of itself: `rpusim.periphery.grids` has the equations.
    """

    n_bits: int = param(0, low=0, high=24, unit="bits", doc="of scales and bias; 0: exact")
    symmetric: bool = param(True, doc="grid around 0, else from smallest to largest")
    learn_quant_params: bool = param(False, doc="grid is kept after init_learning_after batches")
    init_learning_after: int = param(
        100, low=1, unit="batches", doc="training batches that set the grid"
    )
    log_scales: bool = param(False, doc="scales on a logarithmic grid, the bias on a uniform one")

    def check(self) -> None:
        """Refuse grids that have too few codes to be one."""
        super().check()
        if self.log_scales and self.n_bits < 3:
            raise ConfigError(
                "PeripheryQuantizationParameter.log_scales needs n_bits >= 3: a code for 0 and two "
                f"magnitudes of either sign; got n_bits={self.n_bits}."
            )
        if self.symmetric and self.n_bits == 1:
            raise ConfigError(
                "PeripheryQuantizationParameter.n_bits must be 0 or >= 2 for a symmetric grid, "
                "got 1."
            )


class PrePostProcessingParameter(Config):
    """What happens to vectors in digital before and after a tile."""

    input_range: InputRangeParameter = param(InputRangeParameter(), doc="input range")


class PrePostProcessingParameterQuant(PrePostProcessingParameter):
    """The same, with scales and bias of few bits."""

    periph_quant: PeripheryQuantizationParameter = param(
        PeripheryQuantizationParameter(), doc="scales and bias of few bits"
    )
