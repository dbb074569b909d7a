"""Configurations of rpusim become objects of aihwkit that come back as what they were.

A package of stand-ins takes the place of aihwkit; see `aihwkit_standins`.
"""

import sys
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rpusim as rs
from rpusim import presets
from rpusim.aihwkit import from_config, to_config
from rpusim.aihwkit.vocabulary import CLASSES
from rpusim.optional import MissingPackage
from rpusim.presets import preset_names
from tests.aihwkit_standins import package
from tests.test_aihwkit_reading import EXPECTED, numeric_fields, replaced

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ConversionWarning")


@pytest.fixture(autouse=True, scope="module")
def aihwkit():
    """Let stand-ins be imported as aihwkit."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in sys.modules if n.split(".")[0] == "aihwkit"]:
            patch.delitem(sys.modules, name)
        for name, module in package().items():
            module.__path__ = []
            patch.setitem(sys.modules, name, module)
        yield


def refused(config):
    """Return the error of a conversion."""
    with pytest.raises(rs.ConfigError) as caught:
        to_config(config)
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_default_comes_back(name):
    config = CLASSES[name]()
    assert from_config(to_config(config)) == config


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_comes_back(name):
    config = getattr(presets, name)()
    assert from_config(to_config(config)) == config


@pytest.mark.parametrize("config", EXPECTED.values(), ids=repr)
def test_a_programmed_device_or_quantiser_comes_back(config):
    assert from_config(to_config(config)) == config


NOT_ALONE = {  # (class, field): whose value comes back in another way, with the same meaning
    ("StateIndependentNoiseModel", "read_noise_scale"),
    ("IOParametersIRDropT", "ir_drop_time_step_resolution_scale"),
}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([p for p in numeric_fields() if p not in NOT_ALONE]), st.floats(-2.0, 2.0))
def test_a_changed_number_comes_back(place, value):
    name, field = place
    config, _ = replaced(CLASSES[name](), field, value)
    if config is not None:
        back = from_config(to_config(config))
        if name == "WeightModifierParameter" and value > 1.0 and field == "res":
            config = config.replace(res=1.0 / value)  # a number of steps, as their width
        assert back == config


WHOLE = rs.RPUConfig(
    device=rs.TransferCompound(
        [
            rs.VectorUnitCell([rs.SoftBoundsDevice(w_max=0.3), presets.EcRamPresetDevice()]),
            rs.ReferenceUnitCell([presets.ReRamSBPresetDevice(dw_min=0.25)]),
        ],
        gamma_vec=[0.5, 1.0],
        transfer_forward=rs.IOParameters(out_res=-1.0),
    ),
    backward=rs.IOParameters(is_perfect=True),
    update=rs.UpdateParameters(pulse_type="MEAN_COUNT"),
    mapping=rs.MappingParameter(weight_scaling_omega=0.6, learn_out_scaling=True),
    pre_post=rs.PrePostProcessingParameter(input_range=rs.InputRangeParameter(enable=True)),
)


def test_a_nested_configuration_comes_back():
    obj = to_config(WHOLE)
    assert obj.device.unit_cell_devices[0].unit_cell_devices[0].w_max == 0.3
    assert obj.device.gamma_vec == [0.5, 1.0]
    assert obj.update.pulse_type.name == "MEAN_COUNT"
    assert from_config(obj) == WHOLE


INFERENCE = rs.InferenceRPUConfig()


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (rs.RPUConfig(), "SingleRPUConfig"),
        (rs.RPUConfig(device=rs.IdealDevice()), "SingleRPUConfig"),
        (WHOLE, "UnitCellRPUConfig"),
        (presets.MixedPrecisionPCMPreset(), "DigitalRankUpdateRPUConfig"),
        (rs.FloatingPointRPUConfig(), "FloatingPointRPUConfig"),
        (INFERENCE, "InferenceRPUConfig"),
        (
            INFERENCE.replace(forward=rs.IOParametersIRDropT()),
            "TorchInferenceRPUConfigIRDropT",
        ),
        (
            INFERENCE.replace(pre_post=rs.PrePostProcessingParameterQuant()),
            "QuantizedTorchInferenceRPUConfig",
        ),
        (
            INFERENCE.replace(
                modifier={"per_batch_sample": True, "type": "DISCRETIZE", "res": 0.1}
            ),
            "TorchInferenceRPUConfig",
        ),
    ],
)
def test_the_class_is_the_one_that_has_what_is_set(config, name):
    obj = to_config(config)
    assert type(obj).__name__ == name
    assert from_config(obj) == config


def test_what_aihwkit_does_not_have_is_named_all_at_once():
    device = rs.SoftBoundsDevice(stuck_at_max_prob=0.1)
    config = rs.RPUConfig(
        device=rs.VectorUnitCell([rs.SoftBoundsDevice(), device]),
        update=rs.UpdateParameters(pulse_type="MEAN_FIELD"),
        forward=rs.IOParameters(bound_management="SHIFT"),
    )
    assert refused(config) == (
        "to_config: aihwkit has nothing for\n"
        "- device.unit_cell_devices[1].stuck_at_max_prob=0.1\n"
        "- forward.bound_management=BoundManagementType.SHIFT: it has the name, but no tile that "
        "takes it\n"
        "- update.pulse_type=PulseType.MEAN_FIELD"
    )


class Cubic(rs.SoftBoundsDevice):
    """A law of one's own."""


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (rs.RPUConfig(device=rs.HiddenStepDevice()), "device: HiddenStepDevice"),
        (rs.RPUConfig(device=Cubic()), "device: Cubic"),
        (Cubic(), "this: Cubic"),
        (rs.RPUConfig(gradient={"backward_mode": "EXACT"}), "gradient=GradientParameter(backward"),
        (rs.IOParameters(mv_type="BIT_WISE", inp_res=1 / 254), "mv_type=AnalogMVType.BIT_WISE"),
        (rs.GlobalDriftCompensation(repeats=4), "repeats=4"),
    ],
)
def test_what_aihwkit_does_not_have_is_refused(config, text):
    assert refused(config).startswith(f"to_config: aihwkit has nothing for\n- {text}")


def test_an_option_to_repeat_aihwkit_is_what_it_does_anyway():
    device = rs.SoftBoundsPmaxDevice(reference_pmax=True, reference_granularity=True)
    assert from_config(to_config(device), reference_behaviour=True) == device
    wires = rs.IOParametersIRDropT(ir_drop_integration="SAMPLED")
    assert from_config(to_config(wires), reference_behaviour=True) == wires


def test_a_read_noise_that_aihwkit_has_not_becomes_its_scale():
    model = rs.StateIndependentNoiseModel(g_max=10.0, read_q=0.05, read_noise_scale=3.0)
    back = from_config(to_config(model))
    assert back.read_noise_scale * back.read_q == pytest.approx(3.0 * 0.05, rel=1e-12)


def test_other_behaviour_is_warned_of_without_options_that_the_object_has_not():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        to_config(presets.ReRamESPreset())
    (message,) = [str(w.message) for w in caught]
    assert message.startswith("to_config: device: ExpStepDevice.dw_min: a pulse counts as")
    assert "reference_behaviour" not in message


def test_what_is_no_configuration_is_refused():
    with pytest.raises(rs.ConfigError, match="to_config needs a configuration of rpusim, got 3"):
        to_config(3)


def test_without_aihwkit_the_error_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "aihwkit", None)
    with pytest.raises(MissingPackage, match=r"to_config needs the package aihwkit: pip install"):
        to_config(rs.RPUConfig())
