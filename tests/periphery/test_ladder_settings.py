"""The settings of products through wires: defaults, and what is refused."""

import pytest

from rpusim.errors import ConfigError
from rpusim.periphery.ladder_settings import IOParametersIRDropT, LadderIntegration
from rpusim.periphery.settings import IOParameters


def test_defaults_are_nominal_wires_at_one_voltage_integrated_exactly():
    io = IOParametersIRDropT()
    assert io.ir_drop_v_read == io.ir_drop_v_bias == 0.4
    assert (io.ir_drop, io.ir_drop_rs, io.ir_drop_segments) == (1.0, 0.15, 8)
    assert io.ir_drop_integration is LadderIntegration.EXACT
    assert not io.ir_drop_in_training
    assert isinstance(io, IOParameters)
    assert repr(io) == "IOParametersIRDropT()"
    assert IOParametersIRDropT.from_dict(io.to_dict()) == io


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mv_type": "POS_NEG_SEPARATE"}, "mv_type must be ONE_PASS, .* got POS_NEG_SEPARATE"),
        ({"inp_res": 0.0}, "inp_res must be positive and finite: pulses last whole steps"),
        ({"inp_res": 1.0}, "inp_res must be at most 1/2"),
        ({"inp_bound": 0.0, "noise_management": "NONE"}, "inp_bound must be positive and finite"),
        ({"ir_drop_g_ratio": 1e5}, "ir_drop_g_ratio must be left alone: ir_drop_rs"),
        ({"ir_drop_far_first": True}, "ir_drop_far_first must be left alone"),
        ({"v_offset_std": 0.1}, "v_offset_std must be 0: ir_drop_v_read"),
        ({"r_series": 0.1}, "r_series must be 0: ir_drop_v_read"),
        ({"ir_drop_segments": 0}, "ir_drop_segments must be >= 1, got 0"),
        ({"ir_drop_v_pulse": 0.0}, "ir_drop_v_pulse must be > 0"),
        ({"ir_drop_integration_sum": True}, "integration_sum must be left alone unless .* SAMPLED"),
        (
            {"ir_drop_time_step_resolution_scale": 2.0},
            "resolution_scale must be left alone unless ir_drop_integration is SAMPLED, got 2.0",
        ),
        ({"xdep_pcm_read_noise_scale": 2.0}, "left alone unless apply_xdep_pcm_read_noise is True"),
        (
            {"adc_quantization": False, "adc_frequency": 1.0},
            "adc_frequency must be left alone unless adc_quantization is True",
        ),
        ({"adc_frequency": 0.0}, "adc_frequency must be > 0"),
    ],
)
def test_what_means_nothing_is_refused_by_name(settings, message):
    with pytest.raises(ConfigError, match=message):
        IOParametersIRDropT(**settings)


def test_a_perfect_product_takes_any_settings():
    IOParametersIRDropT(is_perfect=True, inp_res=0.0, r_series=0.1)


def test_sampling_takes_its_settings():
    io = IOParametersIRDropT(
        ir_drop_integration="SAMPLED",
        ir_drop_integration_sum=True,
        ir_drop_time_step_resolution_scale=0.5,
    )
    assert io.ir_drop_integration is LadderIntegration.SAMPLED
