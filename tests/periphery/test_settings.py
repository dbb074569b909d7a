"""`IOParameters`: what is not built, and what means nothing, is refused by the field's name."""

import pytest

import rpusim as rs
from rpusim.errors import ConfigError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mv_type", "POS_NEG_SEPARATE"),
        ("mv_type", "SPLIT_MODE"),
        ("bound_management", "ITERATIVE_WORST_CASE"),
        ("bound_management", "SHIFT"),
        ("noise_management", "MAX"),
        ("noise_management", "ABS_MAX_NP_SUM"),
        ("noise_management", "AVERAGE_ABS_MAX"),
        ("w_noise_type", "PCM_READ"),
        ("inp_asymmetry", 0.1),
        ("out_asymmetry", 0.1),
        ("out_noise_std", 0.1),
        ("ir_drop", 1.0),
        ("out_nonlinearity", 0.1),
        ("out_nonlinearity_std", 0.1),
        ("slope_calibration", 0.5),
        ("v_offset_std", 0.1),
        ("r_series", 0.1),
        ("w_read_asymmetry_dtod", 0.1),
    ],
)
def test_an_option_of_later_versions_is_refused_by_name(field, value):
    with pytest.raises(
        ConfigError, match=rf"^IOParameters\.{field} must be .* in this version, got"
    ):
        rs.IOParameters(**{field: value})
    with pytest.raises(ConfigError, match=rf"IOParameters\.{field}"):
        rs.RPUConfig(backward={field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inp_noise", -0.1),
        ("out_noise", -0.1),
        ("w_noise", -1.0),
        ("max_bm_factor", 0),
        ("max_bm_res", 0.0),
    ],
)
def test_what_cannot_be_negative_is_refused(field, value):
    with pytest.raises(ConfigError, match=rf"IOParameters\.{field} must be >=? .*, got {value}"):
        rs.IOParameters(**{field: value})


def test_weight_noise_needs_a_kind():
    with pytest.raises(ConfigError, match="w_noise is 0.1 but w_noise_type is NONE"):
        rs.IOParameters(w_noise=0.1)


def test_a_dac_range_other_than_1_needs_unscaled_inputs():
    with pytest.raises(ConfigError, match="inp_bound must be 1 unless noise_management is NONE"):
        rs.IOParameters(inp_bound=2.0)
    assert rs.IOParameters(inp_bound=2.0, noise_management="NONE").inp_bound == 2.0
    assert rs.IOParameters(inp_bound=2.0, is_perfect=True).inp_bound == 2.0
