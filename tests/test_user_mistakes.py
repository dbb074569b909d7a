"""The analog product in the hands of a new user: every mistake is refused in words that help."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn
from rpusim.errors import ConfigError, DataError, RpusimError, ShapeError, StateError

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("analog", "inference")
W = np.array([[0.3, -0.25, 0.1, 0.4], [-0.3, 0.2, 0.05, 0.1], [0.0, 0.1, -0.2, 0.3]])

#: A configuration with everything that the state of a tile may hold.
FULL = rs.InferenceRPUConfig(
    forward={"v_offset_std": 0.1, "out_noise_std": 0.2, "noise_management": "AVERAGE_ABS_MAX"},
    pre_post={"input_range": {"enable": True}},
    modifier={"type": "ADD_NORMAL", "std_dev": 0.1},
    mapping={"learn_out_scaling": True},
)


def made(kind="inference", config=None, rng=1, bias=False):
    """Return a tile of 3 outputs and 4 inputs."""
    analog = kind == "analog"
    default = rs.RPUConfig if analog else rs.InferenceRPUConfig
    tile = (rs.AnalogTile if analog else rs.InferenceTile)(
        3, 4, default() if config is None else config, bias, rng=rng
    )
    tile.set_weights(W)
    return tile


def used(rng=1):
    """Return a tile with everything, after some steps of training."""
    tile = made(config=FULL, rng=rng, bias=True)
    x = np.random.default_rng(rng).normal(size=(5, 4))
    tile.forward(x)
    tile.update(*tile.gradients(np.ones((5, 3))).pair, learning_rate=0.01)
    tile.post_update_step()
    tile.forward(x)
    return tile


def assert_same(state, before):
    assert state.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(state[name], value, err_msg=name)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("make", "typed", "meant"),
    [
        (rs.IOParameters, "noise_managment", "noise_management"),
        (rs.IOParameters, "out_resolution", "out_res"),
        (rs.IOParametersIRDropT, "ir_drop_segment", "ir_drop_segments"),
        (rs.InputRangeParameter, "enabled", "enable"),
        (rs.PeripheryQuantizationParameter, "n_bit", "n_bits"),
        (rs.PrePostProcessingParameter, "inputrange", "input_range"),
        (rs.PrePostProcessingParameterQuant, "periph_quants", "periph_quant"),
        (rs.WeightModifierParameter, "stddev", "std_dev"),
        (rs.WeightClipParameter, "fixedvalue", "fixed_value"),
        (rs.WeightRemapParameter, "remap_wmax", "remapped_wmax"),
        (rs.MappingParameter, "weight_scaling_columwise", "weight_scaling_columnwise"),
        (rs.GradientParameter, "backwards_mode", "backward_mode"),
        (rs.WeightQuantConfig, "bits", "n_bits"),
        (rs.ActivationQuantConfig, "momentun", "momentum"),
        (rs.SinglePairConductanceConverter, "gmax", "g_max"),
        (rs.SingleDeviceConductanceConverter, "wmax", "w_max"),
        (rs.CustomPairConductanceConverter, "invertability_test", "invertibility_test"),
        (rs.PCMLikeNoiseModel, "prog_noise_scal", "prog_noise_scale"),
        (rs.HermesNoiseModel, "num_device", "num_devices"),
        (rs.ReRamWan2022NoiseModel, "coeff_dict", "coeff_dic"),
        (rs.ReRamCMONoiseModel, "acceptance", "acceptance_range"),
        (rs.StateIndependentNoiseModel, "drift_nu_sdt", "drift_nu_std"),
        (rs.GlobalDriftCompensation, "probes", "probe"),
        (rs.InferenceRPUConfig, "modifer", "modifier"),
        (rs.InferenceRPUConfig, "drift_compensaton", "drift_compensation"),
    ],
)
def test_a_mistyped_field_is_answered_with_the_right_one(make, typed, meant):
    message = rf"{make.__name__} has no parameter '{typed}'; did you mean '{meant}'\?"
    with pytest.raises(ConfigError, match=message):
        make(**{typed: 1})
    with pytest.raises(ConfigError, match=message):
        make().replace(**{typed: 1})


@pytest.mark.parametrize(
    ("changes", "typed", "meant"),
    [
        (dict(forward=dict(noise_management="ABSMAX")), "ABSMAX", "ABS_MAX"),
        (dict(forward=dict(noise_management="abs_max")), "abs_max", "ABS_MAX"),
        (dict(forward=dict(bound_management="ITERATVE")), "ITERATVE", "ITERATIVE"),
        (dict(forward=dict(mv_type="BITWISE")), "BITWISE", "BIT_WISE"),
        (dict(forward=dict(w_noise_type="PCM")), "PCM", "PCM_READ"),
        (dict(forward=dict(v_offset_law="HALFNORMAL")), "HALFNORMAL", "HALF_NORMAL"),
        (dict(forward=dict(slice_adc="full")), "full", "FULL_RANGE"),
        (dict(modifier=dict(type="ADDNORMAL")), "ADDNORMAL", "ADD_NORMAL"),
        (dict(noise_model=dict(read_noise="PERCALL")), "PERCALL", "PER_CALL"),
        (dict(drift_compensation=dict(probe="ONEHOT")), "ONEHOT", "ONE_HOT"),
        (dict(clip=dict(type="FIXED")), "FIXED", "FIXED_VALUE"),
        (dict(remap=dict(type="CHANNELWISE")), "CHANNELWISE", "CHANNELWISE_SYMMETRIC"),
        (dict(gradient=dict(backward_mode="straight")), "straight", "STRAIGHT_THROUGH"),
    ],
)
def test_a_mistyped_member_of_an_enumeration_is_answered_with_the_right_one(changes, typed, meant):
    message = rf"must be one of \w+, .*, got '{typed}'; did you mean '{meant}'\?"
    with pytest.raises(ConfigError, match=message):
        rs.InferenceRPUConfig(**changes)


@pytest.mark.parametrize("typed", ["ignore", None, 1, True, rs.SliceADC.SCALED, ["RAISE"]])
def test_what_is_no_member_is_refused_with_all_that_there_are(typed):
    text = r"IOParameters\.on_nonfinite must be one of RAISE, PROPAGATE, SATURATE, got "
    with pytest.raises(ConfigError, match=text):
        rs.IOParameters(on_nonfinite=typed)


# ---------------------------------------------------------------- numbers

NUMBERS = [
    (rs.IOParameters, "out_noise"),
    (rs.IOParametersIRDropT, "ir_drop_rs"),
    (rs.InputRangeParameter, "init_value"),
    (rs.WeightModifierParameter, "std_dev"),
    (rs.WeightClipParameter, "sigma"),
    (rs.WeightRemapParameter, "remapped_wmax"),
    (rs.MappingParameter, "weight_scaling_omega"),
    (rs.SinglePairConductanceConverter, "g_max"),
    (rs.PCMLikeNoiseModel, "t_0"),
    (rs.HermesNoiseModel, "read_noise_scale"),
    (rs.StateIndependentNoiseModel, "read_q"),
    (rs.ReRamWan2022NoiseModel, "noise_scale"),
    (rs.ReRamCMONoiseModel, "drift_scale"),
]
WRONG = [
    (np.nan, "must be finite, got nan"),
    (np.inf, "must be finite, got inf"),
    (-1.0, r"must be >=? 0, got -1\.0"),
    (None, "must be a number, got None"),
    ("0.1", r"must be a number, got '0\.1'"),
    ([0.1], r"must be a number, got \[0\.1\]"),
    (np.ones(2), "must be a number, got array"),
    (1j, "must be a number, got 1j"),
    (True, "must be a number, got True"),
]


@pytest.mark.parametrize(("value", "message"), WRONG, ids=lambda v: str(v)[:12])
@pytest.mark.parametrize(("make", "field"), NUMBERS)
def test_what_is_no_number_in_range_is_refused_by_the_fields_name(make, field, value, message):
    with pytest.raises(ConfigError, match=rf"^{make.__name__}\.{field} {message}"):
        make(**{field: value})


@pytest.mark.parametrize(
    ("make", "field", "value", "message"),
    [
        (rs.IOParameters, "inp_bound", np.nan, "must be finite, got nan"),
        (rs.IOParameters, "max_bm_factor", 10.5, "must be an integer, got 10.5"),
        (rs.IOParameters, "is_perfect", 1, "must be True or False, got 1"),
        (rs.IOParameters, "read_noise", 0.1, "must be a ReadNoise, got 0.1"),
        (rs.IOParameters, "read_noise", rs.ReadNoise, "must be a ReadNoise, .*call it to make one"),
        (rs.IOParameters, "read_noise", np.ones(2), "must be a ReadNoise, got array"),
        (rs.IOParametersIRDropT, "ir_drop_segments", 8.0, "must be an integer, got 8.0"),
        (rs.InputRangeParameter, "init_from_data", -1, "must be >= 0, got -1"),
        (rs.InputRangeParameter, "input_min_percentage", 95, r"must be in 0\.\.1, got 95"),
        (rs.InputRangeParameter, "calibration_info", np.ones(2), "must be text, got array"),
        (rs.WeightModifierParameter, "coeffs", [], r"must be one or more numbers, got \(\)"),
        (rs.WeightModifierParameter, "coeffs", [1, "a"], "must be one or more numbers"),
        (rs.WeightModifierParameter, "coeffs", [np.nan], "must hold finite numbers, got nan"),
        (rs.WeightModifierParameter, "coeffs", 3.0, "must be a sequence, got 3.0"),
        (rs.WeightModifierParameter, "pdrop", 30, r"must be in 0\.\.1, got 30"),
        (rs.MappingParameter, "max_input_size", 256.0, "must be an integer, got 256.0"),
        (rs.MappingParameter, "max_output_size", -1, "must be >= 0, got -1"),
        (rs.InferenceRPUConfig, "forward", None, "must be an IOParameters, got None"),
        (rs.InferenceRPUConfig, "forward", rs.IOParameters, "must be an .*; call it to make one"),
        (rs.InferenceRPUConfig, "modifier", "ADD_NORMAL", "must be a WeightModifierParameter, got"),
        (rs.InferenceRPUConfig, "gradient", rs.BackwardMode.EXACT, "must be a GradientParameter"),
        (rs.InferenceRPUConfig, "noise_model", None, "must be a BaseNoiseModel, got None"),
        (rs.InferenceRPUConfig, "noise_model", "PCM", "must be a BaseNoiseModel, got 'PCM'"),
        (rs.InferenceRPUConfig, "noise_model", rs.PCMLikeNoiseModel, "must .*call it to make one"),
        (rs.InferenceRPUConfig, "drift_compensation", True, "must be a BaseDriftCompensation, got"),
        (
            rs.InferenceRPUConfig,
            "drift_compensation",
            rs.GlobalDriftCompensation,
            "must be a BaseDriftCompensation, .*call it to make one",
        ),
        (
            rs.PCMLikeNoiseModel,
            "g_converter",
            rs.SinglePairConductanceConverter,
            "must be a BaseConductanceConverter, .*call it to make one",
        ),
        (rs.PCMLikeNoiseModel, "prog_coeff", [], r"must be one or more numbers, got \(\)"),
        (rs.PCMLikeNoiseModel, "prog_coeff", [1, "a"], "must be one or more numbers"),
        (rs.PCMLikeNoiseModel, "prog_coeff", [np.nan], "must hold finite numbers, got nan"),
        (rs.PCMLikeNoiseModel, "prog_coeff", 3.0, "must be a sequence, got 3.0"),
        (rs.HermesNoiseModel, "num_devices", 1.5, "must be an integer, got 1.5"),
        (rs.ReRamWan2022NoiseModel, "coeff_dic", 3.0, "must be a"),
        (rs.ReRamCMONoiseModel, "read_dict", [1.0], "must be a dict, got"),
        (rs.GlobalDriftCompensation, "repeats", 0, "must be >= 1, got 0"),
        (rs.GlobalDriftCompensation, "repeats", 2.5, "must be an integer, got 2.5"),
        (rs.GlobalDriftCompensation, "probe_lines", -1, "must be >= 0, got -1"),
        (rs.InferenceRPUConfig, "device", rs.ConstantStepDevice(), "must be an IdealDevice, got"),
        (rs.PrePostProcessingParameter, "input_range", True, "must be an InputRangeParameter"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_the_fields_name(make, field, value, message):
    with pytest.raises(ConfigError, match=rf"^{make.__name__}\.{field} {message}"):
        make(**{field: value})


def test_coefficients_may_be_an_array():
    settings = rs.WeightModifierParameter(type="POLY", coeffs=np.array([0.1, 0.2]))
    assert settings.coeffs == (0.1, 0.2)


# ---------------------------------------------------------------- contradictions

WORST = {"bound_management": "ITERATIVE_WORST_CASE"}
ANALOG = {"backward_mode": "ANALOG"}
GROWS = {"input_range": {"enable": True, "manage_output_clipping": True}}
UNMANAGED = {"noise_management": "NONE", "bound_management": "NONE"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(forward=dict(inp_bound=2.0)), "inp_bound must be 1 unless noise_management is NONE"),
        (dict(forward=dict(w_noise=0.1)), "w_noise is 0.1 but w_noise_type is NONE: choose"),
        (dict(forward=dict(out_noise_std=0.1, out_noise=0.0)), "out_noise_std is 0.1, a spread"),
        (dict(forward=dict(out_nonlinearity_std=0.1)), "out_nonlinearity_std is 0.1, a spread of"),
        (dict(forward=dict(slope_calibration=0.5)), "slope_calibration is 0.5 but there is noth"),
        (
            dict(forward=dict(w_read_asymmetry_dtod=0.1)),
            "w_read_asymmetry_dtod is 0.1, which acts on negative inputs .* got ONE_PASS",
        ),
        (
            dict(forward=dict(WORST, noise_management="NONE")),
            "ITERATIVE_WORST_CASE changes the scale of the inputs, which noise_management NONE",
        ),
        (
            dict(forward=dict(bound_management="SHIFT", out_bound=0.0)),
            "bound_management SHIFT needs an out_bound",
        ),
        (
            dict(forward=dict(mv_type="BIT_WISE", inp_res=1 / 100)),
            r"mv_type BIT_WISE reads the bits .* inp_res 1 / \(2\*\*bits - 2\), such as 1/254",
        ),
        (
            dict(forward=dict(mv_type="SPLIT_MODE", split_mode_bit_shift=6)),
            "split_mode_bit_shift must be below 6, the bits of a magnitude, got 6",
        ),
        (dict(modifier=dict(pdrop=0.1)), "pdrop is 0.1 but type is NONE, which makes no copy"),
        (dict(modifier=dict(type="DROP_CONNECT")), "pdrop must be > 0 for DROP_CONNECT"),
        (
            dict(modifier=dict(type="DROP_CONNECT", pdrop=1.0, rescale_dropped=True)),
            "pdrop must be < 1 with rescale_dropped",
        ),
        (
            dict(modifier=dict(pcm_prob_at_gmax=0.6, pcm_prob_at_random=0.6)),
            "pcm_prob_at_random must not exceed 1 together, got 1.2",
        ),
        (dict(clip=dict(type="FIXED_VALUE")), "fixed_value must be > 0 for FIXED_VALUE, got -1.0"),
        (
            dict(remap=dict(type="LAYERWISE_SYMMETRIC", max_scale_range=2.0)),
            "type must be CHANNELWISE_SYMMETRIC, got LAYERWISE_SYMMETRIC",
        ),
        (
            dict(remap=dict(max_scale_range=2.0, remapped_wmax=0.5)),
            "max_scale_range needs remapped_wmax = 1, got 0.5",
        ),
        (dict(remap=dict(max_scale_range=0.5)), r"max_scale_range must be 0 \(any\) or >= 1, got"),
        (dict(remap=dict(max_scale_ref=0.5)), "max_scale_ref is 0.5, which max_scale_range counts"),
        (dict(mapping=dict(out_scaling_columnwise=True)), "set learn_out_scaling=True too"),
        (
            dict(gradient=dict(ANALOG, quantised_inputs=True)),
            "quantised_inputs needs backward_mode EXACT or STRAIGHT_THROUGH",
        ),
        (
            dict(gradient=dict(quantised_inputs=True), forward=dict(inp_sto_round=True)),
            "forward.inp_sto_round must be False",
        ),
        (
            dict(backward=rs.IOParameters(out_noise=0.01)),
            "backward has no effect with gradient.backward_mode STRAIGHT_THROUGH.*set backward_m",
        ),
        (
            dict(gradient=ANALOG, backward=rs.IOParameters(**WORST)),
            r"backward.bound_management must be NONE or ITERATIVE \(ignored\), got ITERATIVE_WORST",
        ),
        (
            dict(gradient=ANALOG, backward=rs.IOParametersIRDropT()),
            "backward must be an IOParameters: the wires of IOParametersIRDropT are solved",
        ),
        (dict(pre_post=GROWS), "input_range.manage_output_clipping needs a forward that is not"),
        (
            dict(pre_post=GROWS, forward=dict(UNMANAGED, is_perfect=True)),
            "input_range.manage_output_clipping needs a forward that is not perfect",
        ),
        (dict(update=dict(pulse_type="MEAN_COUNT")), "update.pulse_type must be NONE: programmed"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused_when_it_is_made(changes, message):
    with pytest.raises(ConfigError, match=rf"^\w+\.{message}|^\w+\.\w.*{message}"):
        rs.InferenceRPUConfig(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(mv_type="POS_NEG_SEPARATE"), "mv_type must be ONE_PASS, .*, got POS_NEG_SEPARATE"),
        (dict(inp_res=0.0), "inp_res must be positive and finite"),
        (dict(ir_drop_g_ratio=100.0), "ir_drop_g_ratio must be left alone: ir_drop_rs and"),
        (dict(r_series=0.1), "r_series must be 0: ir_drop_v_read and ir_drop_rs say"),
        (dict(ir_drop_integration_sum=True), "left alone unless ir_drop_integration is SAMPLED"),
        (dict(xdep_pcm_read_noise_scale=2.0), "left alone unless apply_xdep_pcm_read_noise is"),
        (dict(adc_quantization=False, adc_frequency=1.0), "alone unless adc_quantization is True"),
    ],
)
def test_what_wires_exclude_is_refused_in_every_configuration(changes, message):
    for make in (rs.RPUConfig, rs.InferenceRPUConfig):
        with pytest.raises(ConfigError, match=rf"IOParametersIRDropT\..*{message}"):
            make(forward={"type": "IOParametersIRDropT", **changes})


def test_a_tile_larger_than_its_wires_is_refused():
    config = rs.InferenceRPUConfig(forward=rs.IOParametersIRDropT(), mapping={"max_input_size": 3})
    with pytest.raises(ConfigError, match=r"got 3: split the layer, or enlarge mapping\.max_input"):
        rs.InferenceTile(3, 4, config)


def test_options_of_inference_are_not_there_for_training_by_pulses():
    for name in ("clip", "modifier", "noise_model", "drift_compensation"):
        with pytest.raises(ConfigError, match=f"RPUConfig has no parameter '{name}'"):
            rs.RPUConfig(**{name: {}})


def test_a_tile_of_the_wrong_kind_names_the_right_one():
    with pytest.raises(ConfigError, match="for an InferenceRPUConfig use InferenceTile"):
        rs.AnalogTile(3, 4, rs.InferenceRPUConfig())
    with pytest.raises(ConfigError, match="InferenceTile needs an InferenceRPUConfig.*AnalogTile"):
        rs.InferenceTile(3, 4, rs.RPUConfig())
    with pytest.raises(ConfigError, match="needs a FloatingPointRPUConfig, got InferenceRPUConf"):
        rs.FloatingPointTile(3, 4, rs.InferenceRPUConfig())
    with pytest.raises(ConfigError, match="InferenceRPUConfig'>; call it to make one"):
        rs.InferenceTile(3, 4, rs.InferenceRPUConfig)


def test_a_law_of_read_noise_that_reads_what_it_does_not_declare_is_named():
    class Misspelt(rs.ReadNoise):
        strength: float = rs.param(0.1)

        @staticmethod
        def sigma(w, model):
            return model.strenght * abs(w)

    tile = made("analog", rs.RPUConfig(forward={"read_noise": Misspelt()}))
    with pytest.raises(ConfigError, match=r"Misspelt\.sigma reads a parameter .*'strenght'"):
        tile.forward(np.ones(4))


# ---------------------------------------------------------------- programmed devices


class NoNumber(rs.BaseNoiseModel):
    """A model whose drift is no number."""

    @staticmethod
    def drift(g, target, c, model):
        return (g - g) / (g - g)


class NoError(rs.BaseNoiseModel):
    """A model whose programming is no number."""

    @staticmethod
    def program(g, model, z):
        return g / (g - g)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([1.0, 2.0], ShapeError, r"weights must have shape \(rows, cols\), got \(2,\)"),
        (1.0, ShapeError, r"weights must have shape \(rows, cols\), got \(\)"),
        ([[1.0, np.nan]], DataError, "weights must be finite, got NaN or infinity"),
        ([[1e39, 0.0]], DataError, "weights must be finite, got NaN or infinity"),
        ([[1.0, 2.0], [1.0]], DataError, "weights must be an array of numbers"),
        ([[1.0, 1j]], DataError, "weights must hold real numbers, got complex128"),
        ([["a", "b"]], DataError, "weights must hold real numbers, got <U1"),
        (None, DataError, "weights must hold real numbers, got object"),
    ],
    ids=str,
)
def test_devices_are_programmed_to_a_matrix_of_finite_numbers(weights, error, message):
    with pytest.raises(error, match=message):
        rs.inference.ProgrammedDevices(rs.PCMLikeNoiseModel(), weights, 1)


def test_devices_are_made_of_a_noise_model_that_works():
    make = rs.inference.ProgrammedDevices
    with pytest.raises(DataError, match="model must be a noise model, got .*; call it to make one"):
        make(rs.PCMLikeNoiseModel, W)
    with pytest.raises(DataError, match="model must be a noise model, got 'PCM'"):
        make("PCM", W)
    with pytest.raises(ConfigError, match="rng must be None, an integer"):
        make(rs.PCMLikeNoiseModel(), W, "seed")
    with pytest.raises(DataError, match="NoError: its laws must give finite numbers, got NaN or"):
        make(NoError(), W)
    held = make(NoNumber(), W)
    for method in (held.weights, held.conductances):
        with pytest.raises(DataError, match="NoNumber: its laws must give finite numbers, .* 5 s"):
            method(5.0)


@pytest.mark.parametrize("t", [-1.0, np.nan, np.inf, "1 h", [1.0], np.ones(1), True])
def test_what_is_no_time_is_refused_by_devices_and_tiles(t):
    held = rs.inference.ProgrammedDevices(rs.PCMLikeNoiseModel(), W, 1)
    for method in (held.weights, held.conductances):
        with pytest.raises(DataError, match="ProgrammedDevices: t must be a time >= 0, in seconds"):
            method(t)
    tile = used()
    before = tile.state_dict()
    for method in (tile.drift_weights, tile.drift_to, tile.age):
        with pytest.raises(DataError, match=r"InferenceTile\.\w+: \w+ must be a time >= 0, in sec"):
            method(t)
    assert_same(tile.state_dict(), before)
    assert not tile.is_programmed


def test_a_model_that_gives_no_number_leaves_the_weights_alone():
    tile = made()
    tile.drift_weights(5.0)
    before = tile.state_dict()
    with pytest.raises(DataError, match="NoError: its laws must give finite numbers"):
        tile.program_weights(noise_model=NoError())
    assert_same(tile.state_dict(), before)
    tile.program_weights(noise_model=NoNumber())
    with pytest.raises(DataError, match="NoNumber: its laws must give finite numbers"):
        tile.drift_weights(5.0)
    np.testing.assert_allclose(tile.get_weights()[0], W, rtol=0, atol=1e-6)


def test_weights_to_program_are_set_before():
    tile = made()
    with pytest.raises(ConfigError, match="(?s)must be True or False, got .* by set_weights"):
        tile.program_weights(W)
    with pytest.raises(ConfigError, match="noise_model must be one, got .*; call it to make one"):
        tile.program_weights(noise_model=rs.PCMLikeNoiseModel)
    assert not tile.is_programmed


def test_only_a_tile_becomes_one_for_inference():
    with pytest.raises(ConfigError, match=r"from_tile: tile must be an AnalogTile, got 'x'"):
        rs.InferenceTile.from_tile("x")
    with pytest.raises(ConfigError, match="InferenceTile needs an InferenceRPUConfig"):
        rs.InferenceTile.from_tile(made("analog"), rs.RPUConfig())


# ---------------------------------------------------------------- vectors

VECTORS = [
    ([1, 2, 3], ShapeError, r"x must have shape \(\.\.\., 4\), got \(3,\); this tile has 4 inputs"),
    (1.0, ShapeError, r"x must have shape \(\.\.\., 4\), got \(\)"),
    ([], ShapeError, r"x must have shape \(\.\.\., 4\), got \(0,\)"),
    (np.ones((4, 2)), ShapeError, r"x must have shape \(\.\.\., 4\), got \(4, 2\)"),
    (np.ones((2, 4), complex), DataError, "x must hold real numbers, got complex128"),
    (np.array([1, 2, 3, None]), DataError, "x must hold real numbers, got object"),
    ([[1, 2, 3, 4], [1, 2]], DataError, "x must be an array of numbers"),
    ("abcd", DataError, "x must hold real numbers, got <U4"),
    (iter([1, 2, 3, 4]), DataError, "x must hold real numbers, got object"),
    ([[0, 0, 0, 0], [1, 2, 3, np.nan]], DataError, "must be finite, got NaN or infinity in row 1"),
    ([1e39, 0, 0, 0], DataError, "must be finite, got NaN or infinity in row 0"),
]


@pytest.mark.parametrize(("x", "error", "message"), VECTORS, ids=range(len(VECTORS)))
@pytest.mark.parametrize("kind", KINDS)
def test_vectors_that_do_not_fit_are_refused_and_change_nothing(kind, x, error, message):
    tile = made(kind)
    before = tile.state_dict()
    with pytest.raises(error, match=rf"^{type(tile).__name__}\.forward: .*{message}"):
        tile.forward(x)
    assert_same(tile.state_dict(), before)
    assert tile.last_forward is None


def test_a_refused_batch_does_not_move_a_range_or_an_average():
    tile = used()
    before = tile.state_dict()
    with pytest.raises(DataError, match="must be finite, got NaN or infinity in row 1"):
        tile.forward([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, np.nan]])
    assert_same(tile.state_dict(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_any_leading_shape_and_no_vector_at_all_are_fine(kind):
    tile = made(kind)
    assert tile.forward([1, 2, 3, 4]).shape == (3,)
    assert tile.forward(np.ones((2, 5, 4))).shape == (2, 5, 3)
    assert tile.backward(np.ones((2, 5, 3))).shape == (2, 5, 4)
    assert tile.forward(np.zeros((0, 4))).shape == (0, 3)
    assert tile.backward(np.zeros((0, 3))).shape == (0, 4)


def test_moments_are_asked_for_vectors_of_a_product_that_has_them():
    with pytest.raises(ShapeError, match=r"Tile\.moments: x must have shape \(\.\.\., 4\)"):
        made().moments([1, 2, 3])
    with pytest.raises(DataError, match="x and w must be finite, got NaN"):
        made().moments([[1, 2, 3, np.nan]])
    shift = rs.InferenceRPUConfig(forward={"bound_management": "SHIFT"})
    with pytest.raises(ConfigError, match="SHIFT has no closed form: every output depends on the"):
        made(config=shift).moments(np.ones(4))
    wires = rs.InferenceRPUConfig(forward=rs.IOParametersIRDropT())
    with pytest.raises(ConfigError, match="IOParametersIRDropT has no closed form"):
        made(config=wires).moments(np.ones(4))


# ---------------------------------------------------------------- back


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_without_a_forward_are_refused(kind):
    with pytest.raises(StateError, match="gradients: there is no forward that d could belong to"):
        made(kind).gradients(np.ones((5, 3)))


@pytest.mark.parametrize("kind", KINDS)
def test_errors_that_do_not_fit_their_forward_are_refused(kind):
    tile = made(kind)
    tile.forward(np.ones((5, 4)))
    with pytest.raises(ShapeError, match="as many vectors as the forward it belongs to, 5, got 2"):
        tile.gradients(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"d must have shape \(\.\.\., 3\), got \(5, 4\)"):
        tile.backward(np.ones((5, 4)))
    with pytest.raises(DataError, match=r"backward: the input must be finite, got .* in row 0"):
        tile.backward([np.nan, 0, 0] if kind == "analog" else np.full((5, 3), np.nan))
    with pytest.raises(StateError, match=r"context must be a ForwardContext .* got 'last'"):
        tile.backward(np.ones((5, 3)), context="last")


def test_errors_of_another_batch_or_of_weights_that_have_gone_are_refused():
    tile = made()
    tile.forward(np.ones((5, 4)))
    with pytest.raises(StateError, match="2 errors for a forward of 5 vectors; give the context"):
        tile.backward(np.ones((2, 3)))
    tile.update(np.ones((5, 4)), np.ones((5, 3)), 0.1)
    with pytest.raises(StateError, match="the weights have changed since that forward; go back"):
        tile.backward(np.ones((5, 3)))


@pytest.mark.parametrize("mode", ["EXACT", "STRAIGHT_THROUGH", "ANALOG"])
def test_the_forward_of_a_tile_of_another_shape_is_refused(mode):
    """Both are as old, so that only the shape of the weights tells them apart."""
    config = rs.InferenceRPUConfig(gradient={"backward_mode": mode})
    tile, other = rs.InferenceTile(3, 4, config, rng=1), rs.InferenceTile(2, 4, config, rng=1)
    tile.forward(np.ones((5, 4)))
    other.forward(np.ones((5, 4)))
    for method in (tile.backward, tile.gradients):
        with pytest.raises(StateError, match="context must be that of a forward of this tile"):
            method(np.ones((5, 3)), context=other.last_forward)


def test_an_update_with_the_inputs_of_another_forward_is_refused():
    tile = made()
    tile.forward(np.ones((5, 4)))
    with pytest.raises(StateError, match="x must be the inputs of the forward in `context`"):
        tile.update(np.zeros((5, 4)), np.ones((5, 3)), 0.1, context=tile.last_forward)


# ---------------------------------------------------------------- parameters of lines, ranges


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"v_ofset": np.ones(3)}, StateError, r"called 'v_ofset'; did you mean 'v_offset'\? A par"),
        ({"w_asymmetry": np.ones((3, 4))}, StateError, "called 'w_asymmetry'. A parameter exists"),
        ({"v_offset": np.ones(4)}, ShapeError, r"v_offset must have shape \(3,\), got \(4,\)"),
        ({"v_offset": 0.1}, ShapeError, r"v_offset must have shape \(3,\), got \(\)"),
        ({"v_offset": [0, 0, np.inf]}, DataError, "v_offset must be finite, got NaN or infinity"),
        ({"v_offset": [1j, 0, 0]}, DataError, "v_offset must hold real numbers, got complex128"),
        ({"v_offset": ["1", "2", "3"]}, DataError, "v_offset must hold real numbers, got <U1"),
        ({"v_offset": [[1], [1, 2]]}, DataError, "v_offset must be an array of numbers"),
        ({"out_noise_values": [1, 1, -1]}, DataError, "out_noise_values must be >= 0, got -1"),
        ({"out_nonlinearity": [0, -2, 0]}, DataError, "out_nonlinearity must be >= 0, got -2"),
        ({"out_nonlinearity_factor": [0]}, DataError, "out_nonlinearity_factor must be > 0, got 0"),
        (None, DataError, "changes must be a dict of arrays by name, got None"),
        ([np.ones(3)], DataError, "changes must be a dict of arrays by name, got"),
    ],
)
def test_parameters_of_lines_that_do_not_fit_are_refused_and_change_nothing(
    changes, error, message
):
    io = rs.IOParameters(v_offset_std=0.1, out_noise_std=0.1, out_nonlinearity=0.1)
    tile = rs.AnalogTile(3, 3, rs.RPUConfig(forward=io, backward=io), rng=1)
    before = tile.state_dict()
    good = {"v_offset": np.zeros(3)} if isinstance(changes, dict) else None
    both = changes if good is None else {**good, **changes}
    for side in ("forward", "backward"):
        where = rf"AnalogTile\.set_{side}_parameters: .*{message}"
        with pytest.raises(error, match=where):
            getattr(tile, f"set_{side}_parameters")(both)
    assert_same(tile.state_dict(), before)


@pytest.mark.parametrize("value", [0, 0.0, -1, np.nan, np.inf, None, "1", [1.0], True, 1j])
@pytest.mark.parametrize("kind", KINDS)
def test_an_input_range_is_a_number_above_0(kind, value):
    tile = made(kind)
    config = tile.rpu_config
    message = rf"^{type(tile).__name__}\.set_input_range: value must be a number > 0, got "
    with pytest.raises(DataError, match=message):
        tile.set_input_range(value)
    assert tile.input_range is None
    assert tile.rpu_config is config


def test_an_input_range_that_the_configuration_excludes_is_refused():
    config = rs.RPUConfig(pre_post={"input_range": {"manage_output_clipping": True}})
    with pytest.raises(ConfigError, match="manage_output_clipping needs a forward that is not"):
        made("analog", config).set_input_range(1.0)


@pytest.mark.parametrize(
    ("batches", "options", "error", "message"),
    [
        ([], {}, DataError, "batches must hold at least one batch, got none"),
        (iter(()), {}, DataError, "batches must hold at least one batch, got none"),
        (None, {}, ConfigError, "batches must be an iterable of arrays, got None"),
        ([()], {}, DataError, r"a batch must be an array or \(array, target\), got \(\)"),
        ([np.ones((2, 5))], {}, ShapeError, r"x must have shape \(\.\.\., 4\), got \(2, 5\)"),
        ([np.full((2, 4), np.nan)], {}, DataError, "must be finite, got NaN or infinity in row 0"),
        (None, {"calibration_type": "MOVING_STDD"}, ConfigError, "did you mean 'MOVING_STD'"),
        (None, {"calibration_type": "max"}, ConfigError, "got 'max'; did you mean 'MAX'"),
        (None, {"calibration_type": 3}, ConfigError, r"one of NONE, .*, MSE, got 3\."),
        (None, {"quantile": "0.9"}, ConfigError, "quantile must be > 0 and <= 1, got '0.9'"),
        (None, {"quantile": 99}, ConfigError, "quantile must be > 0 and <= 1, got 99"),
        (None, {"std_alpha": "3"}, ConfigError, "std_alpha must be > 0 and finite, got '3'"),
        (None, {"max_samples": 1.5}, ConfigError, "max_samples must be an integer >= 1, got 1.5"),
        (None, {"rng": "seed"}, ConfigError, "rng must be None, an integer"),
    ],
)
def test_a_calibration_that_cannot_be_is_refused_and_changes_nothing(
    batches, options, error, message
):
    model = nn.Sequential(nn.AnalogLinear(4, 3, rpu_config=FULL, rng=1))
    before, config = model.state_dict(), model[0].tile.rpu_config
    batches = [np.ones((2, 4))] if options else batches
    with pytest.raises(error, match=message):
        rs.calibrate_input_ranges(model, batches, **options)
    assert_same(model.state_dict(), before)
    assert model[0].tile.rpu_config is config


def test_a_tile_is_no_model_to_calibrate():
    with pytest.raises(ConfigError, match="model must be a Module, got InferenceTile"):
        rs.calibrate_input_ranges(made(), [np.ones((2, 4))])


# ---------------------------------------------------------------- states and files

QUANT = rs.PrePostProcessingParameterQuant(periph_quant={"n_bits": 8}, input_range={"enable": True})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (rs.InferenceRPUConfig(), "missing: forward.*, input_range, .*modifier_step, out_scaling"),
        (rs.RPUConfig(), "missing: .*; unknown: .*plane_max_bound"),
        (rs.FloatingPointRPUConfig(), "missing: .*input_range"),
        (FULL.replace(modifier={"type": "NONE"}), r"missing: modifier_step\."),
        (FULL.replace(pre_post={"input_range": {"enable": False}}), "missing: input_range, input"),
        (FULL.replace(pre_post=QUANT), "unknown: bias.batches, .*scales.step"),
        (FULL.replace(forward={"v_offset_std": 0.0}), r"missing: forward\.v_offset\."),
    ],
)
def test_the_state_of_another_configuration_is_refused_and_changes_nothing(config, message):
    tile, kinds = used(), {rs.RPUConfig: rs.AnalogTile, rs.InferenceRPUConfig: rs.InferenceTile}
    other = kinds.get(type(config), rs.FloatingPointTile)(3, 4, config, True, rng=2)
    before, last = tile.state_dict(), tile.last_forward
    with pytest.raises(StateError, match=f"the state is of another kind of tile; {message}"):
        tile.load_state_dict(other.state_dict())
    assert_same(tile.state_dict(), before)
    assert tile.last_forward is last


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("input_range", [0.0], "value must be > 0 and finite, got 0.0"),
        ("input_range", [-2.0], "value must be > 0 and finite, got -2.0"),
        ("input_range", [np.inf], "value must be > 0 and finite, got inf"),
        ("input_range", [np.nan], "input_range must not hold NaN"),
        ("input_range", 2.0, r"input_range must have shape \(1,\), got \(\)"),
        ("forward.v_offset", [np.inf, 0.0, 0.0], "v_offset must be finite, got NaN or infinity"),
        ("forward.out_noise_values", [-1.0, 0.0, 0.0], "out_noise_values must be >= 0, got -1"),
        ("modifier_step", 1.5, "modifier_step must be int64, got float64"),
        ("out_scaling", ["1"], "out_scaling must be float32, got <U1"),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(name, value, message):
    tile = used()
    before = tile.state_dict()
    state = used(rng=2).state_dict()
    like = state[name]
    number = isinstance(value, list) and not isinstance(value[0], str)
    state[name] = np.array(value, like.dtype if number else None)
    with pytest.raises(RpusimError, match=message):
        tile.load_state_dict(state)
    assert_same(tile.state_dict(), before)
    other = used()
    np.testing.assert_array_equal(tile.forward(np.ones(4)), other.forward(np.ones(4)))


def test_a_path_is_no_state():
    message = r"state must be a dict of arrays, got 'tile\.npz'; files are read by rpusim\.load"
    with pytest.raises(StateError, match=message):
        made().load_state_dict("tile.npz")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the bytes of a file of a tile with everything."""
    path = tmp_path_factory.mktemp("files") / "tile.npz"
    rs.save(path, used(rng=2))
    return path.read_bytes()


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.6, 0.9, 0.99, 0.9999])
def test_a_truncated_file_is_refused_and_changes_nothing(whole, part, tmp_path):
    path, tile = tmp_path / "tile.npz", used()
    path.write_bytes(whole[: int(part * len(whole))])
    before, last = tile.state_dict(), tile.last_forward
    with pytest.raises(StateError, match=r"tile\.npz' is not a complete file of rpusim\.save: "):
        rs.load(path, into=tile)
    assert_same(tile.state_dict(), before)
    assert tile.last_forward is last


def test_a_corrupt_file_is_refused_or_harmless(whole, tmp_path):
    path, tile, other = tmp_path / "tile.npz", used(), used(rng=2).state_dict()
    before = tile.state_dict()
    for place in range(0, len(whole), 53):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            rs.load(path, into=tile)
        except StateError:
            assert_same(tile.state_dict(), before)
        else:  # a byte that nobody reads, such as the date of an entry
            assert_same(tile.state_dict(), other)
            tile.load_state_dict(before)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"[forward]\nout_noise = 0.1\n"])
def test_a_foreign_file_is_refused_and_changes_nothing(content, tmp_path):
    path, tile = tmp_path / "tile.npz", used()
    path.write_bytes(content)
    before = tile.state_dict()
    with pytest.raises(StateError, match=r"tile\.npz' is not a complete file of rpusim\.save: "):
        rs.load(path, into=tile)
    np.savez(path, weights=W)
    with pytest.raises(StateError, match="is not a complete file of rpusim.save"):
        rs.load(path, into=tile)
    assert_same(tile.state_dict(), before)


def test_the_file_of_another_tile_is_refused_and_changes_nothing(tmp_path):
    path, tile = tmp_path / "tile.npz", used()
    before = tile.state_dict()
    rs.save(path, made("analog", bias=True))
    with pytest.raises(StateError, match="the state is of another kind of tile; missing: "):
        rs.load(path, into=tile)
    rs.save(path, rs.InferenceTile(4, 3, FULL, True, rng=1))
    with pytest.raises(ShapeError, match=r"must have shape \(3, 4\), got \(4, 3\)"):
        rs.load(path, into=tile)
    assert_same(tile.state_dict(), before)


def test_what_holds_no_state_is_neither_saved_nor_loaded_into(tmp_path):
    path = tmp_path / "tile.npz"
    with pytest.raises(StateError, match=r"got .*; the path comes first: save\(path, obj\)"):
        rs.save(made(), str(path))
    with pytest.raises(StateError, match="save: obj must be a tile or a model, .* got Inference"):
        rs.save(path, FULL)
    assert list(tmp_path.iterdir()) == []
    rs.save(path, made())
    with pytest.raises(StateError, match="load: into must be a tile or a model, .* call it to mak"):
        rs.load(path, into=rs.InferenceTile)


KILLED = """
    import os, signal
    import numpy as np
    import rpusim as rs

    def half(file, **_):
        file.write(b"PK half of it")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    tile = rs.load("tile.npz")
    tile.set_weights(np.zeros((3, 4)))
    np.savez = half
    rs.save("tile.npz", tile)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a process cannot be killed like this")
def test_a_process_that_is_killed_while_it_saves_leaves_the_old_file(whole, tmp_path):
    path = tmp_path / "tile.npz"
    path.write_bytes(whole)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", textwrap.dedent(KILLED)]
    process = subprocess.run(command, cwd=tmp_path, env=environment, check=False)
    assert process.returncode == -signal.SIGKILL
    assert path.read_bytes() == whole
    assert_same(rs.load(path).state_dict(), used(rng=2).state_dict())
