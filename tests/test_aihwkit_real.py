"""The same with aihwkit itself, where it is installed: its objects, and tiles made of ours."""

import dataclasses
import warnings

import numpy as np
import pytest

import rpusim as rs
from rpusim import presets
from rpusim.aihwkit import from_config, to_config
from rpusim.aihwkit.vocabulary import CLASSES, DROPPED, SILENT, fields_of
from rpusim.aihwkit.writing import REQUIRED, _find
from rpusim.presets import preset_names
from tests.aihwkit_standins import OBJECTS, PRESETS
from tests.test_aihwkit_reading import DIFFERENT, EXPECTED, TABLE
from tests.test_presets import expected as expected_preset

pytest.importorskip("aihwkit.simulator.configs", reason="aihwkit is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")

GIVEN = {"f_lst": [1.0], "g_lst": [[0.0, 0.0, 25.0], [25.0, 0.0, 0.0]], "custom_drift_model": TABLE}
TWO = {"DualPairConductanceConverter": {"f_lst": [1.0, 1.0]}}


def default(name):
    """Return the default object of a class of aihwkit, with sample arguments if it needs some."""
    values = {field: GIVEN[field] for field in REQUIRED.get(name, ())}
    return _find(name)(**{**values, **TWO.get(name, {})})


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_class_is_found_and_its_default_becomes_ours(name):
    assert from_config(default(name)) == DIFFERENT.get(name, CLASSES[name])()


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_its_objects_hold_nothing_but_what_is_known(name):
    obj = default(name)
    held = set(vars(obj))
    if dataclasses.is_dataclass(obj):
        held |= {f.name for f in dataclasses.fields(obj)}
    assert held <= fields_of(name) | set(DROPPED.get(name, ())) | set(SILENT.get(name, ()))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_becomes_ours(name):
    import aihwkit.simulator.presets as theirs
    import aihwkit.simulator.presets.web as page

    if "WebComposer" in name:
        assert from_config(getattr(page, name)()) == expected_preset(name)
    else:
        assert from_config(getattr(theirs, name)()) == getattr(presets, name)()


@pytest.mark.parametrize("made_by", EXPECTED)
def test_an_object_that_fills_in_its_attributes_becomes_what_it_was_made_of(made_by):
    assert made_by in OBJECTS
    from aihwkit.simulator.digital_low_precision.range_estimators import RangeEstimators

    names = {"RangeEstimators": RangeEstimators, **{n: _find(n) for n in CLASSES}}
    assert from_config(eval(made_by, names)) == EXPECTED[made_by]


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_comes_back(name):
    config = getattr(presets, name)()
    assert from_config(to_config(config)) == config


@pytest.mark.parametrize("config", EXPECTED.values(), ids=repr)
def test_a_programmed_device_or_quantiser_comes_back(config):
    assert from_config(to_config(config)) == config


@pytest.mark.parametrize(
    "name", [n for n in preset_names() if isinstance(getattr(presets, n)(), rs.RPUConfig)]
)
def test_aihwkit_makes_a_tile_of_what_we_give_it(name):
    from aihwkit.nn import AnalogLinear

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer = AnalogLinear(3, 2, rpu_config=to_config(getattr(presets, name)()))
        assert tuple(layer.get_weights()[0].shape) == (2, 3)


@pytest.mark.parametrize(
    "config", [c for c in EXPECTED.values() if isinstance(c, rs.BaseNoiseModel)], ids=repr
)
def test_aihwkit_programs_what_we_give_it(config):
    from aihwkit.nn import AnalogLinear

    layer = AnalogLinear(
        3, 2, rpu_config=to_config(rs.InferenceRPUConfig(noise_model=config))
    ).eval()
    layer.program_analog_weights()
    layer.drift_analog_weights(1.0)
    assert layer.get_weights()[0].isfinite().all()


@pytest.mark.parametrize("name", ["StandardHWATrainingPreset", "EcRamPreset"])
def test_a_checkpoint_that_was_carried_over_multiplies_alike(name):
    import aihwkit.simulator.presets as theirs
    import torch
    from aihwkit.nn import AnalogLinear

    config = getattr(theirs, name)()
    config.forward.is_perfect = True
    old = AnalogLinear(6, 4, rpu_config=config)
    ours = rs.nn.AnalogLinear(6, 4, rpu_config=from_config(config), rng=0)
    old(3.0 * torch.randn(20, 6))  # finds an input range
    drawn = next(old.analog_tiles()).get_hidden_parameters()
    ours.tile.set_hidden_parameters({k: v.numpy() for k, v in drawn.items()})
    weight, bias = old.get_weights()
    assert ours.set_weights(weight.numpy(), bias.numpy()) == 0
    if config.pre_post.input_range.enable:
        ours.tile.set_input_range(float(next(old.analog_tiles()).input_range))
    x = torch.randn(20, 6)
    seen = old.eval()(x).detach().numpy()
    np.testing.assert_allclose(ours.eval()(x.numpy()), seen, atol=2e-6)


@pytest.mark.parametrize("name", ["InferenceRPUConfig", "TorchInferenceRPUConfig"])
def test_a_grid_of_weights_is_that_of_the_tile(name):
    import torch
    from aihwkit.nn import AnalogLinear

    config = _find(name)()
    config.forward.is_perfect = True
    kinds = type(config.modifier.type)
    config.modifier.type, config.modifier.res = kinds.DISCRETIZE, 0.1
    w = np.linspace(-1.0, 1.0, 400, dtype=np.float32).reshape(10, 40)
    theirs = AnalogLinear(40, 10, bias=False, rpu_config=config)
    theirs.set_weights(torch.tensor(w))
    tile = next(theirs.analog_tiles())
    tile.post_update_step()
    ours = rs.InferenceTile(10, 40, from_config(config), rng=0)
    ours.set_weights(w)
    x = np.eye(40, dtype=np.float32)
    seen = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours.forward(x), seen, atol=1e-6)
