"""`IOParameters`: what means nothing is refused by the field's name; the rest is accepted."""

import itertools

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError
from tests.periphery.tiles import both, tile_of


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inp_noise", -0.1),
        ("out_noise", -0.1),
        ("out_noise_std", -0.1),
        ("w_noise", -1.0),
        ("ir_drop", -1.0),
        ("ir_drop_g_ratio", 0.0),
        ("out_nonlinearity", -0.1),
        ("out_nonlinearity_std", -0.1),
        ("v_offset_std", -0.1),
        ("r_series", -0.1),
        ("r_series_max_total", -1.0),
        ("w_read_asymmetry_dtod", -0.1),
        ("max_bm_factor", 0),
        ("max_bm_res", 0.0),
        ("nm_assumed_wmax", 0.0),
        ("nm_decay", 0.0),
        ("split_mode_bit_shift", 0),
    ],
)
def test_what_cannot_be_negative_is_refused(field, value):
    with pytest.raises(ConfigError, match=rf"IOParameters\.{field} must be .*, got {value}"):
        rs.IOParameters(**{field: value})
    with pytest.raises(ConfigError, match=rf"IOParameters\.{field}"):
        rs.RPUConfig(backward={field: value})


@pytest.mark.parametrize("field", ["inp_asymmetry", "out_asymmetry", "v_offset_w_min", "out_scale"])
def test_what_may_have_any_sign_must_be_finite(field):
    assert getattr(rs.IOParameters(**{field: -0.5}), field) == -0.5
    for bad in (np.nan, np.inf):
        with pytest.raises(ConfigError, match=rf"IOParameters\.{field} must be"):
            rs.IOParameters(**{field: bad})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"w_noise": 0.1}, "w_noise is 0.1 but w_noise_type is NONE"),
        ({"out_noise_std": 0.1, "out_noise": 0.0}, "out_noise_std is 0.1, a spread of out_noise"),
        ({"out_nonlinearity_std": 0.1}, "out_nonlinearity_std is 0.1, a spread of out_nonlinear"),
        ({"slope_calibration": 0.5}, "slope_calibration is 0.5 but there is nothing to calibrate"),
        ({"w_read_asymmetry_dtod": 0.1}, "mv_type must be POS_NEG_SEPARATE or .* got ONE_PASS"),
        (
            {"bound_management": "ITERATIVE_WORST_CASE", "noise_management": "NONE"},
            "ITERATIVE_WORST_CASE changes the scale",
        ),
        ({"bound_management": "SHIFT", "out_bound": 0.0}, "SHIFT needs an out_bound"),
        ({"bound_management": "SHIFT", "out_bound": np.inf}, "SHIFT needs an out_bound"),
        ({"mv_type": "BIT_WISE", "inp_res": 0.0}, "BIT_WISE reads the bits of the inputs"),
        ({"mv_type": "SPLIT_MODE", "inp_res": 1 / 100}, r"inp_res 1 / \(2\*\*bits - 2\)"),
        (
            {"mv_type": "SPLIT_MODE", "split_mode_bit_shift": 6},
            "split_mode_bit_shift must be below 6, the bits of a magnitude, got 6",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(settings, message):
    with pytest.raises(ConfigError, match=rf"^IOParameters\.{message}|^IOParameters\..*{message}"):
        rs.IOParameters(**settings)
    assert rs.IOParameters(**settings, is_perfect=True).perfect  # where nothing of it acts


def test_a_dac_range_other_than_1_needs_unscaled_inputs():
    with pytest.raises(ConfigError, match="inp_bound must be 1 unless noise_management is NONE"):
        rs.IOParameters(inp_bound=2.0)
    assert rs.IOParameters(inp_bound=2.0, noise_management="NONE").inp_bound == 2.0
    assert rs.IOParameters(inp_bound=2.0, is_perfect=True).inp_bound == 2.0


@pytest.mark.parametrize(
    ("resolution", "bits"), [(1 / 254, 8), (254, 8), (1 / 126, 7), (1 / 2, 2), (1 / 100, 0), (0, 0)]
)
def test_the_bits_of_the_dac_follow_from_its_steps(resolution, bits):
    assert rs.IOParameters(inp_res=resolution).bits == bits


def members(choice):
    return [member.name for member in choice]


def test_every_combination_of_kinds_is_refused_by_name_or_works():
    """No member of an enumeration is there for show."""
    worked = set()
    for kinds in itertools.product(
        members(rs.AnalogMVType),
        members(rs.NoiseManagementType),
        members(rs.BoundManagementType),
        members(rs.WeightNoiseType),
    ):
        mv_type, managed, bound, noise = kinds
        strength = 0.0 if noise == "NONE" else 0.1
        settings = {"mv_type": mv_type, "noise_management": managed, "bound_management": bound}
        if bound == "ITERATIVE_WORST_CASE" and managed == "NONE" and mv_type != "IDEAL":
            with pytest.raises(ConfigError, match="ITERATIVE_WORST_CASE"):
                rs.IOParameters(**settings)
            continue
        io = rs.IOParameters(**settings, w_noise_type=noise, w_noise=strength)
        tile = tile_of([[0.5, -0.25], [0.1, 0.3], [0.0, 9.0]], *both(io))
        assert np.isfinite(tile.forward([[1.0, -0.5], [0.0, 0.0], [2.0, 8.0]])).all()
        assert np.isfinite(tile.backward([1.0, -0.5, 0.25])).all()
        worked |= set(kinds)
    for choice in (rs.AnalogMVType, rs.NoiseManagementType, rs.BoundManagementType):
        assert set(members(choice)) <= worked
