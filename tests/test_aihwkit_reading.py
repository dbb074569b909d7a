"""Configurations of aihwkit become those of rpusim, or say what is in the way.

The objects are stand-ins with the names and values of aihwkit 1.1.0; see `aihwkit_standins`.
"""

import dataclasses
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rpusim as rs
from rpusim import presets
from rpusim.aihwkit import from_config
from rpusim.aihwkit.vocabulary import (
    CLASSES,
    DROPPED,
    ESTIMATORS,
    NO_COUNTERPART,
    PARTS,
    SILENT,
    added,
    fields_of,
)
from tests.aihwkit_standins import CLASSES as THEIRS
from tests.aihwkit_standins import OBJECTS, PRESETS, build, enumeration, kind, make
from tests.test_presets import expected as expected_preset

NEWER = {"scale_fast_lr"}  # of aihwkit 1.2.0
STATE = {  # attributes that objects have beyond fields and arguments
    "IOParametersIRDropT": {"split_mode_bit_shift"},
    "ReRamWan2022NoiseModel": {"prog_coeff_g_max_reference"},
    "ReRamCMONoiseModel": {"coeff_g_max_reference", "g_converter"},
    "CustomRPUConfig": set(),
    **{name: {"scale_ratio"} for name in CLASSES if name.endswith("Converter")},
    "BaseConductanceConverter": set(),
}
CELL = rs.VectorUnitCell()
TABLE = {
    "g_lst": [0.0, 10.0, 25.0],
    "nu_mean_lst": [0.1, 0.05, 0.04],
    "nu_std_lst": [0.04, 0.01, 0.01],
}
# what the default object of a class becomes, if not the default of rpusim's
DIFFERENT = {
    "IOParametersIRDropT": lambda: rs.IOParametersIRDropT(ir_drop_v_read=0.4005),
    "TorchInferenceRPUConfigIRDropT": lambda: rs.InferenceRPUConfig(
        forward=rs.IOParametersIRDropT(ir_drop_v_read=0.4005)
    ),
    "QuantizedTorchInferenceRPUConfig": lambda: rs.InferenceRPUConfig(
        pre_post=rs.PrePostProcessingParameterQuant()
    ),
    "UnitCellRPUConfig": lambda: rs.RPUConfig(device=rs.UnitCell()),
    "DigitalRankUpdateRPUConfig": lambda: rs.RPUConfig(
        device=rs.DigitalRankUpdateCell(device=CELL)
    ),
    "DigitalRankUpdateCell": lambda: rs.DigitalRankUpdateCell(device=CELL),
    "MixedPrecisionCompound": lambda: rs.MixedPrecisionCompound(device=CELL),
    # a required argument there, of the recorded object
    "CustomDriftPCMLikeNoiseModel": lambda: rs.CustomDriftPCMLikeNoiseModel(
        custom_drift_model=TABLE
    ),
    "ReRamWan2022NoiseModel": lambda: rs.ReRamWan2022NoiseModel(coeff_g_max_reference=25.0),
}


def converted(obj, **options):
    """Convert without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rs.ConversionWarning)
        return from_config(obj, **options)


def warned(obj, **options):
    """Return the warnings of a conversion."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        from_config(obj, **options)
    assert {w.category for w in caught} <= {rs.ConversionWarning}
    return [str(w.message) for w in caught]


def refused(obj):
    """Return the error of a conversion."""
    with pytest.raises(rs.ConfigError) as caught:
        from_config(obj)
    return str(caught.value)


# -------------------------------------------------------------------- vocabulary


def test_every_class_is_known_or_said_to_have_no_counterpart():
    assert set(CLASSES) | set(NO_COUNTERPART) == set(THEIRS)
    assert not set(CLASSES) & set(NO_COUNTERPART)
    assert set(PARTS) == {*ESTIMATORS, "RuntimeParameter"}


@pytest.mark.parametrize("name", sorted({*CLASSES, *PARTS}))
def test_the_fields_of_a_class_are_those_of_aihwkit(name):
    own = fields_of(name) | set(DROPPED.get(name, ())) | set(SILENT.get(name, ()))
    more = own - set(THEIRS[name])
    assert set(THEIRS[name]) <= own
    assert more <= NEWER | STATE.get(name, set())


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_field_here_is_read_or_added(name):
    own = {f.name for f in dataclasses.fields(CLASSES[name]) if f.init}
    assert own == {field for field in own if field in fields_of(name)} | added(name)


def test_every_dropped_field_has_its_default_and_a_reason():
    for name, fields in DROPPED.items():
        for field, (default, reason) in fields.items():
            node = THEIRS[name][field]
            if isinstance(node, dict) and "$class" not in node:
                node = next(iter(node.values())).split(".")[-1]
            assert field == "runtime" or node == default
            assert reason


# -------------------------------------------------------------------- whole objects


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_default_object_becomes_the_default_or_what_is_listed(name):
    expected = DIFFERENT.get(name, CLASSES[name])()
    assert converted(make(name)) == expected
    assert name not in DIFFERENT or expected != CLASSES[name]()


@pytest.mark.parametrize("name", sorted(set(NO_COUNTERPART) - {"WeightProgrammingOptimizer"}))
def test_a_class_without_a_counterpart_says_what_to_do(name):
    assert refused(make(name)) == f"from_config: {name} {NO_COUNTERPART[name]}."


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_becomes_ours(name):
    """Those of its web page are none of ours: their values are those recorded."""
    ours = expected_preset(name) if "WebComposer" in name else getattr(presets, name)()
    assert converted(make(name)) == ours


EXPECTED = {
    "PCMLikeNoiseModel(g_max=10.0)": rs.PCMLikeNoiseModel(g_max=10.0),
    "PCMLikeNoiseModel(g_converter=SinglePairConductanceConverter(g_max=10.0), g_max=5.0)": (
        rs.PCMLikeNoiseModel(g_max=10.0)  # it ignores the other one
    ),
    "PCMLikeNoiseModel(g_converter=DualPairConductanceConverter(f_lst=[1.0, 2.0], g_max=30.0), "
    "t_0=10.0)": rs.PCMLikeNoiseModel(
        g_converter=rs.DualPairConductanceConverter(f_lst=[1.0, 2.0], g_max=30.0), t_0=10.0
    ),
    "PCMLikeNoiseModel(prog_coeff=[1.0, 2.0], g_max=10.0)": rs.PCMLikeNoiseModel(
        prog_coeff=[1.0, 2.0], g_max=10.0
    ),
    "PCMLikeNoiseModel(prog_coeff=[1.0, 2.0], prog_coeff_g_max_reference=10.0)": (
        rs.PCMLikeNoiseModel(prog_coeff=[1.0, 2.0])  # which it loses
    ),
    'CustomDriftPCMLikeNoiseModel(custom_drift_model={"g_lst": [0.0, 10.0, 25.0], "nu_mean_lst": '
    '[0.1, 0.05, 0.04], "nu_std_lst": [0.04, 0.01, 0.01]})': rs.CustomDriftPCMLikeNoiseModel(
        custom_drift_model=TABLE
    ),
    "HermesNoiseModel(num_devices=1)": rs.HermesNoiseModel(num_devices=1),
    "HermesNoiseModel(g_max=10.0, t_0=100.0)": rs.HermesNoiseModel(g_max=10.0, t_0=100.0),
    # coefficients of 40 uS, taken for those of the largest conductance, whatever that is
    "ReRamWan2022NoiseModel(g_max=40.0)": rs.ReRamWan2022NoiseModel(g_max=40.0),
    "ReRamWan2022NoiseModel(coeff_dic={1.0: [1.0, 2.0]}, g_max=30.0)": rs.ReRamWan2022NoiseModel(
        coeff_dic={1.0: [1.0, 2.0]}, g_max=30.0
    ),
    "ReRamCMONoiseModel(g_max=50.0, g_min=5.0, acceptance_range=2)": rs.ReRamCMONoiseModel(
        g_max=50.0, g_min=5.0, acceptance_range=2
    ),
    # read noise of 1 uS at full scale, times the scale
    "StateIndependentNoiseModel(g_max=10.0, read_noise_scale=2.0)": rs.StateIndependentNoiseModel(
        g_max=10.0, read_noise_scale=2.0, read_q=0.1
    ),
    "SinglePairConductanceConverter(g_min=0.1, g_max=33.0)": rs.SinglePairConductanceConverter(
        g_min=0.1, g_max=33.0
    ),
    "NPairConductanceConverter(f_lst=[1.0, 2.0, 4.0])": rs.NPairConductanceConverter(
        f_lst=[1.0, 2.0, 4.0]
    ),
    "FusionConductanceConverter(g_max=25)": rs.FusionConductanceConverter(g_max=25),
    "ActivationQuantConfig(n_bits=8, range_estimator=RangeEstimators.MSE)": (
        rs.ActivationQuantConfig(n_bits=8, range_estimator="MSE")
    ),
    "WeightQuantConfig(n_bits=4, per_channel=True)": rs.WeightQuantConfig(
        n_bits=4, per_channel=True
    ),
}


@pytest.mark.parametrize("made_by", EXPECTED)
def test_an_object_that_fills_in_its_attributes_becomes_what_it_was_made_of(made_by):
    assert converted(build(OBJECTS[made_by])) == EXPECTED[made_by]


def test_a_nested_object_keeps_all_of_its_values():
    policy = enumeration("VectorUnitCellUpdatePolicy").SINGLE_RANDOM
    pair = make("VectorUnitCell", update_policy=policy)
    pair.unit_cell_devices = [make("SoftBoundsDevice", w_max=0.3), make("EcRamPresetDevice")]
    cell = make("TransferCompound", gamma_vec=np.array([0.5, 1.0]), transfer_every=np.int64(2))
    cell.unit_cell_devices = [pair, make("ReRamSBPresetDevice", dw_min=np.float32(0.25))]
    cell.transfer_forward = make("IOParameters", out_res=-1.0)
    assert converted(make("UnitCellRPUConfig", device=cell)) == rs.RPUConfig(
        device=rs.TransferCompound(
            [
                rs.VectorUnitCell(
                    [rs.SoftBoundsDevice(w_max=0.3), presets.EcRamPresetDevice()],
                    update_policy="SINGLE_RANDOM",
                ),
                presets.ReRamSBPresetDevice(dw_min=0.25),
            ],
            gamma_vec=[0.5, 1.0],
            transfer_every=2,
            transfer_forward=rs.IOParameters(out_res=-1.0),
        )
    )


def test_a_newer_field_is_read_and_its_absence_is_the_older_meaning():
    cell = make("TransferCompound")
    assert not converted(cell).scale_fast_lr
    cell.scale_fast_lr = True
    assert converted(cell).scale_fast_lr


def test_a_class_attribute_counts_as_a_value():
    wires = make("IOParametersIRDropT")
    assert converted(wires).split_mode_bit_shift == 3
    other = type("Wires", (type(wires),), {"split_mode_bit_shift": 2})
    assert converted(other()).split_mode_bit_shift == 2


def test_no_compensation_is_none():
    assert converted(make("InferenceRPUConfig", drift_compensation=None)).drift_compensation is None


def numeric_fields():
    """List (class, field) of all numbers that may be any positive one."""
    found = []
    for name, fields in THEIRS.items():
        for field, node in fields.items():
            number = isinstance(node, float) and not isinstance(node, bool)
            if name in CLASSES and number and field in fields_of(name):
                found.append((name, field))
    return found


def replaced(config, field, value):
    """Return a configuration with a field changed and "", or None and why that cannot be."""
    try:
        return config.replace(**{field: value}), ""
    except rs.ConfigError as error:
        return None, str(error)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(numeric_fields()), st.floats(-2.0, 2.0))
def test_a_changed_number_arrives_or_is_refused_as_rpusim_would(place, value):
    name, field = place
    obj = make(name, **{field: value})
    base = converted(make(name))
    expected, reason = replaced(base, field, value)
    if reason:
        assert reason in refused(obj)
        return
    made = converted(obj)
    if name == "IOParametersIRDropT" and field == "ir_drop_time_step_resolution_scale":
        expected = expected.replace(ir_drop_integration="SAMPLED")
    assert getattr(made, field) == pytest.approx(value, rel=1e-15)
    assert made == expected


# -------------------------------------------------------------------- what cannot be converted


def test_unknown_fields_are_named_with_their_paths_all_at_once():
    config = make("UnitCellRPUConfig")
    config.device = make("TransferCompound")
    config.device.unit_cell_devices = [make("SoftBoundsDevice"), make("SoftBoundsDevice")]
    config.device.unit_cell_devices[1].dw_minn = 0.1
    config.forward.out_nois = 0.2
    config.zzz = 1
    assert refused(config) == (
        "from_config: 3 things in this UnitCellRPUConfig cannot be converted:\n"
        "- forward.out_nois: IOParameters has no such field, got 0.2; did you mean 'out_noise'?\n"
        "- device.unit_cell_devices[1].dw_minn: SoftBoundsDevice has no such field, got 0.1; did "
        "you mean 'dw_min'?\n"
        "- zzz: UnitCellRPUConfig has no such field, got 1."
    )


def test_a_field_that_only_rpusim_has_is_unknown():
    message = refused(make("SoftBoundsDevice", stuck_at_max_prob=0.1))
    assert "stuck_at_max_prob: SoftBoundsDevice has no such field" in message


def test_values_out_of_range_are_refused_with_their_paths_all_at_once():
    config = make("SingleRPUConfig")
    config.device.dw_min = -0.1
    config.update.desired_bl = 0
    message = refused(config)
    assert "\n- device: ConstantStepDevice.dw_min must be > 0, got -0.1." in message
    assert "\n- update: UpdateParameters.desired_bl must be in 1..65536, got 0." in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: setattr(c.update, "d_sparsity", True),
            "update.d_sparsity: UpdateParameters.d_sparsity must be False, its default, got True: "
            "nothing reads the statistics that it collects.",
        ),
        (
            lambda c: setattr(c.runtime, "data_type", enumeration("RPUDataType").DOUBLE),
            "runtime.data_type: RuntimeParameter.data_type must be 'FLOAT', its default, got "
            "'DOUBLE': rpusim computes in single precision.",
        ),
        (
            lambda c: setattr(c, "tile_class", type("MyTile", (), {})),
            "tile_class: SingleRPUConfig.tile_class must be 'AnalogTile', its default, got "
            "'MyTile': chooses between implementations",
        ),
        (
            lambda c: setattr(
                c, "device", make("ReferenceUnitCell", first_update_idx=1, gamma_vec=[1.0, -0.5])
            ),
            "device.gamma_vec: ReferenceUnitCell.gamma_vec must be [1.0, -1.0], its default, got "
            "[1.0, -0.5]: a reference cell of rpusim has one way to learn",
        ),
    ],
)
def test_a_changed_field_without_a_counterpart_says_what_to_do(change, message):
    config = make("SingleRPUConfig")
    change(config)
    assert message in refused(config)


def test_rounding_of_outputs_is_refused_with_the_layer_that_does_it():
    config = make("QuantizedTorchInferenceRPUConfig")
    config.act_quant_config = make("ActivationQuantConfig", n_bits=8)
    assert "put rpusim.nn.QuantActivation, with this configuration" in refused(config)


def test_a_class_with_code_of_its_own_is_refused_and_one_with_values_is_not():
    base = kind("PCMLikeNoiseModel")
    values = type("Mine", (base,), {"about": "measured in 2024"})
    assert converted(values()) == rs.PCMLikeNoiseModel()
    code = type("Mine", (base,), {"apply_noise": lambda self, w: w})
    config = make("InferenceRPUConfig", noise_model=code())
    assert refused(config) == (
        "from_config: noise_model: Mine is a PCMLikeNoiseModel with code of its own (apply_noise), "
        "which cannot be converted: write it as a subclass of an rpusim configuration."
    )


@pytest.mark.parametrize(
    ("name", "field", "value", "message"),
    [
        ("SingleRPUConfig", "backward", None, "RPUConfig.backward must be an IOParameters"),
        ("TorchInferenceRPUConfig", "modifier", 3, "InferenceRPUConfig.modifier must be a Weight"),
        ("PCMLikeNoiseModel", "g_converter", 3, "PCMLikeNoiseModel.g_converter must be a Base"),
        ("StateIndependentNoiseModel", "g_max", "x", "Model.g_max must be a number, got 'x'"),
        ("WeightQuantConfig", "_range_estimator_params", 3, "no parameter 'range_estimator_params"),
        ("SoftBoundsDevice", "drift", [1.0], "SoftBoundsDevice.drift must be a DriftParameter"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_its_field(name, field, value, message):
    assert message in refused(make(name, **{field: value}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "from_config: needs a configuration object of aihwkit, got 3."),
        (rs.RPUConfig(), "from_config: RPUConfig is a configuration of rpusim already."),
        (kind("SingleRPUConfig"), "is the class SingleRPUConfig; call it to make an object."),
        (pytest, "from_config: module is no configuration of aihwkit."),
    ],
)
def test_what_is_no_object_of_aihwkit_is_refused(given, message):
    assert message in refused(given)


# -------------------------------------------------------------------- other behaviour


def test_silence_means_that_nothing_was_found():
    assert warned(make("TikiTakaEcRamPreset")) == []
    assert warned(make("StandardHWATrainingPreset")) == []


def test_another_granularity_is_warned_of_once_for_equal_devices_and_can_be_repeated():
    (message,) = warned(make("ReRamES2Preset"))
    device = presets.ReRamESPresetDevice()
    figures = device.weight_granularity, device.replace(reference_granularity=True)
    assert "device.unit_cell_devices[0]: ExpStepDevice.dw_min: a pulse counts as" in message
    assert f"{figures[0]:.4g} here" in message
    assert f"{figures[1].weight_granularity:.4g} in aihwkit" in message
    made = converted(make("ReRamES2Preset"), reference_behaviour=True)
    assert all(part.reference_granularity for part in made.device.unit_cell_devices)
    assert warned(make("ReRamES2Preset"), reference_behaviour=True) == []


SLICED = {"mv_type": enumeration("AnalogMVType").BIT_WISE, "inp_res": 1 / 254}


def cell(name, *devices, **changes):
    made = make(name, **changes)
    made.unit_cell_devices = list(devices)
    return made


def native(**changes):
    return make("InferenceRPUConfig", modifier=make("WeightModifierParameter", **changes))


WARNED = {
    "construction_seed gives other": lambda: make("SoftBoundsDevice", construction_seed=3),
    "w_offset is subtracted": lambda: make(
        "SoftBoundsDevice", drift=make("DriftParameter", nu=0.1, w_offset=0.2)
    ),
    "p_max pulses cross": lambda: make("SoftBoundsPmaxDevice"),
    "aihwkit takes the second": lambda: cell(
        "TransferCompound",
        *(make("SoftBoundsDevice", w_max=w) for w in (0.6, 0.6, 0.5)),
    ),
    "pulses onto a part count": lambda: cell(
        "TransferCompound", *(make("SoftBoundsDevice", dw_min=w) for w in (0.001, 0.01))
    ),
    "a device that is pulsed alone": lambda: cell(
        "VectorUnitCell",
        *(make("SoftBoundsDevice", dw_min=w) for w in (0.001, 0.01)),
        update_policy=enumeration("VectorUnitCellUpdatePolicy").SINGLE_FIXED,
    ),
    "a refresh brings back": lambda: make("PCMPresetUnitCell"),
    "the mean up step": lambda: cell("OneSidedUnitCell", make("PCMPresetDevice")),
    "copy_inverted mirrors": lambda: cell(
        "OneSidedUnitCell", make("SoftBoundsDevice"), copy_inverted=True
    ),
    "what is sent leaves": lambda: make(
        "MixedPrecisionCompound", device=make("SoftBoundsDevice"), transfer_lr=0.5
    ),
    "every line has an offset": lambda: make("IOParameters", v_offset_std=0.1),
    "matched to each slice": lambda: make("IOParametersIRDropT", **SLICED),
    "integrated exactly": lambda: make("IOParametersIRDropT"),
    "number of steps here; in aihwkit nothing": lambda: make("UpdateParameters", res=100),
    "gradient_scale acts": lambda: make(
        "InputRangeParameter", enable=True, gradient_scale=0.1, gradient_relative=False
    ),
    "25 times smaller": lambda: native(type=enumeration("WeightModifierType").PROG_NOISE),
    "multiplied by the largest weight": lambda: native(
        type=enumeration("WeightModifierType").MULT_NORMAL, std_dev=0.1
    ),
    "weights become 0": lambda: native(type=enumeration("WeightModifierType").DISCRETIZE, res=20.0),
    "percentile leaves out": lambda: make(
        "WeightQuantConfig",
        n_bits=8,
        _range_estimator_params=make("CurrentMinMaxEstimatorParams", percentile=1.0),
    ),
    "relaxation is drawn once": lambda: make("ReRamWan2022NoiseModel"),
}


@pytest.mark.parametrize("text", WARNED)
def test_a_setting_that_acts_in_another_way_is_warned_of(text):
    assert sum(text in message for message in warned(WARNED[text]())) == 1


@pytest.mark.parametrize(
    "text", [t for t in WARNED if any("reference_behaviour" in m for m in warned(WARNED[t]()))]
)
def test_the_option_ends_the_warnings_that_name_it(text):
    messages = warned(WARNED[text](), reference_behaviour=True)
    assert not any("reference_behaviour" in message for message in messages)


def test_a_grid_of_a_tile_in_torch_has_steps_twice_as_wide():
    modifier = make(
        "WeightModifierParameter", type=enumeration("WeightModifierType").DISCRETIZE, res=0.1
    )
    for name, res in (("InferenceRPUConfig", 0.1), ("TorchInferenceRPUConfig", 0.2)):
        assert converted(make(name, modifier=modifier)).modifier.res == res
    modifier.res = 20.0  # steps: it takes their inverse
    made = converted(make("TorchInferenceRPUConfig", modifier=modifier))
    assert made.modifier.res == 0.1
    modifier.res = 0.7
    message = refused(make("TorchInferenceRPUConfig", modifier=modifier))
    assert "modifier.res: must be at most 0.5" in message


def test_settings_that_say_how_to_sample_currents_ask_for_samples():
    made = converted(make("IOParametersIRDropT", ir_drop_integration_sum=True))
    assert made.ir_drop_integration is rs.LadderIntegration.SAMPLED


def test_a_repetition_that_errors_do_not_have_is_left_out():
    worst = enumeration("BoundManagementType").ITERATIVE_WORST_CASE
    config = make("SingleRPUConfig")
    config.forward.bound_management = config.backward.bound_management = worst
    made = converted(config)
    assert made.forward.bound_management is rs.BoundManagementType.ITERATIVE_WORST_CASE
    assert made.backward.bound_management is rs.BoundManagementType.NONE


def test_a_default_polynomial_is_meant_where_it_is_read():
    kinds = enumeration("WeightModifierType")
    for member, coeffs in (("ADD_NORMAL", None), ("POLY", (0.0105392, 0.0768, -0.046925))):
        made = converted(make("WeightModifierParameter", type=kinds[member]))
        assert made.coeffs == coeffs


# -------------------------------------------------------------------- the package


def test_the_module_is_imported_when_it_is_first_used_and_aihwkit_is_not():
    code = (
        "import sys, rpusim as rs; assert 'rpusim.aihwkit' not in sys.modules; "
        "assert callable(rs.aihwkit.from_config); assert 'aihwkit' in dir(rs); "
        "assert not any(m.split('.')[0] == 'aihwkit' for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
