"""The settings of a product through wires with resistance: `IOParametersIRDropT`."""

from __future__ import annotations

import dataclasses

from rpusim.config import Choice, param
from rpusim.errors import ConfigError
from rpusim.periphery.settings import POS_NEG, AnalogMVType, IOParameters

__all__ = ["IOParametersIRDropT", "LadderIntegration"]


class LadderIntegration(Choice):
    """How the charge of a line is integrated over the time that inputs last.

    EXACT: from each edge of a pulse to the next. SAMPLED: from currents at equidistant times, a sum
    or a trapezoid; it is what the established toolkit does and overrates every pulse by half a step
    with the trapezoid.
    """

    EXACT = "exact"
    SAMPLED = "sampled"


class IOParametersIRDropT(IOParameters):
    """One direction of the product with the resistance of wires, solved for every moment.

    Inputs are pulses that last as long as they are large, a nanosecond for each step of the DAC;
    each line of device pairs is a ladder of wire segments with an ADC at one end, which counts
    charge. `rpusim.periphery.ladder` has the equations.

    Notes
    -----
    Such inputs and such an ADC are those of Le Gallo et al., Nat. Electron. 6 (2023) 680.

    Examples
    --------
    >>> IOParametersIRDropT(ir_drop_segments=16)
    IOParametersIRDropT(ir_drop_segments=16)
    """

    ir_drop: float = param(
        1.0, low=0.0, unit="nominal", doc="factor of ir_drop_rs; 0: wires and ADC counts are ideal"
    )
    ir_drop_rs: float = param(0.15, low=0.0, unit="ohm", doc="wire from a device to the next")
    ir_drop_segments: int = param(
        8, low=1, doc="lumps of an output line, at most one for each input"
    )
    ir_drop_time_step_resolution_scale: float = param(
        1.0, above=0.0, doc="SAMPLED: samples for each step of the DAC"
    )
    ir_drop_v_bias: float = param(0.4, low=0.0, unit="V", doc="voltage of an idle input")
    ir_drop_v_read: float = param(0.4, low=0.0, unit="V", doc="at which the ADC holds lines")
    ir_drop_v_pulse: float = param(0.2, above=0.0, unit="V", doc="height of a pulse")
    ir_drop_integration: LadderIntegration = param(
        LadderIntegration.EXACT, doc="how charges are integrated"
    )
    ir_drop_integration_sum: bool = param(False, doc="SAMPLED: a plain sum, not a trapezoid")
    ir_drop_in_training: bool = param(False, doc="wires act in training too")
    apply_xdep_pcm_read_noise: bool = param(
        False, doc="read noise of PCM that depends on the duration of inputs"
    )
    xdep_pcm_read_noise_scale: float = param(1.0, low=0.0, unit="nominal", doc="its strength")
    adc_quantization: bool = param(True, doc="the ADC counts whole oscillations")
    adc_frequency: float = param(6.24, above=0.0, unit="GHz", doc="its oscillations at 100 uA")

    def check(self) -> None:
        """Refuse combinations that mean nothing."""
        super().check()
        if self.perfect:
            return
        where = type(self).__name__
        default = {f.name: f.default for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        bound, step = self.dac
        sampled = self.ir_drop_integration is LadderIntegration.SAMPLED
        needs = [
            (self.mv_type in POS_NEG, "mv_type", "ONE_PASS, SPLIT_MODE, BIT_WISE or IDEAL, as"
             " pulses of both signs drive the pairs of a line together"),
            (bound <= 0.0 or step <= 0.0, "inp_bound" if bound <= 0.0 else "inp_res",
             "positive and finite: pulses last whole steps of the DAC"),
            (bound > 0.0 and step > bound, "inp_res", "at most 1/2, a step for a pulse"),
            *((getattr(self, name) != default[name], name,
               "left alone: ir_drop_rs and ir_drop_segments describe the wires")
              for name in ("ir_drop_g_ratio", "ir_drop_far_first")),
            *((getattr(self, name) > 0.0, name,
               "0: ir_drop_v_read and ir_drop_rs say how a line is held")
              for name in ("v_offset_std", "r_series")),
            *((not sampled and getattr(self, name) != default[name], name,
               "left alone unless ir_drop_integration is SAMPLED")
              for name in ("ir_drop_integration_sum", "ir_drop_time_step_resolution_scale")),
            (not self.apply_xdep_pcm_read_noise and self.xdep_pcm_read_noise_scale != 1.0,
             "xdep_pcm_read_noise_scale", "left alone unless apply_xdep_pcm_read_noise is True"),
            (not self.adc_quantization and self.adc_frequency != default["adc_frequency"],
             "adc_frequency", "left alone unless adc_quantization is True"),
        ]  # fmt: skip
        for wrong, name, rule in needs:
            if wrong:
                value = getattr(self, name)
                got = value.name if isinstance(value, AnalogMVType) else repr(value)
                raise ConfigError(f"{where}.{name} must be {rule}, got {got}.")
