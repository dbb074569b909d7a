"""Presets hold the published values: those of the reference simulator, field by field."""

import json
import re
from pathlib import Path

import pytest

import rpusim as rs
from rpusim import presets
from rpusim.config import Config
from rpusim.errors import ConfigError
from rpusim.presets import Preset, preset_names
from tests.test_defaults import public_configs, value_of

GOLDEN = json.loads((Path(__file__).parent / "golden" / "presets.json").read_text())
OWN = {"FloatingPoint": "the exact tile; its products and its updates"}
SHARED = [name for name in preset_names() if name in GOLDEN["presets"]]
SINGLE = [name for name in SHARED if GOLDEN["presets"][name]["base"] == "SingleRPUConfig"]


def expected(name):
    """Return the configuration that a record describes: its base's defaults, then its changes."""
    record = GOLDEN["presets"][name]
    classes = {
        other: lambda *, n=other, **c: expected(n).replace(**c) for other in GOLDEN["presets"]
    }
    classes |= public_configs()
    classes["TorchInferenceRPUConfig"] = rs.InferenceRPUConfig  # one class of ours for both
    return value_of({"$class": record["base"], **record["changes"]}, classes)


@pytest.mark.parametrize("name", SHARED)
def test_a_preset_has_the_recorded_values(name):
    made = getattr(presets, name)()
    assert made.diff(expected(name)) == {}
    assert made == expected(name)


@pytest.mark.parametrize("name", SHARED)
def test_a_preset_cites_the_recorded_papers(name):
    preset = getattr(presets, name)
    cited = " | ".join(preset.source)
    for key in GOLDEN["presets"][name]["source"]:
        paper = GOLDEN["papers"][key]
        author = re.match(r"\w+", paper["paper"])[0]
        assert re.search(rf"{author}\b.*\({paper['year']}\)", cited), f"{key} is not cited"
    assert len(preset.source) == len(GOLDEN["presets"][name]["source"])


def test_every_preset_is_compared_or_our_own_and_public():
    assert set(preset_names()) - set(SHARED) == set(OWN)
    assert len(preset_names()) == len(set(preset_names()))
    assert set(preset_names()) == set(presets.__all__) - {"Preset", "preset_names"}


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_says_what_it_is(name):
    preset = getattr(presets, name)
    assert (type(preset), preset.__name__) == (Preset, name)
    assert len(preset.about) > 20
    assert not preset.about[0].islower()
    assert preset.about.endswith(".")
    assert preset.about in preset.__doc__
    assert "Source: " in preset.__doc__
    assert repr(preset) == f"<preset {name}: {preset.about}>"
    assert isinstance(preset(), Config)
    assert preset() == preset()


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_survives_storage(name):
    made = getattr(presets, name)()
    assert Config.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert eval(repr(made), dict(vars(rs))) == made


@pytest.mark.parametrize("name", SINGLE)
def test_a_whole_preset_makes_a_tile_that_learns(name):
    tile = rs.AnalogTile(3, 4, getattr(presets, name)(), rng=1)
    tile.update([0.5] * 4, [-1.0] * 3, learning_rate=0.1)
    assert tile.stats.pulses > 0


def test_keywords_replace_single_values():
    device = presets.EcRamPresetDevice(dw_min_std=0.0, gamma_up=0.2)
    assert device == presets.EcRamPresetDevice().replace(dw_min_std=0.0, gamma_up=0.2)
    config = presets.EcRamPreset(forward=rs.IOParameters())
    assert config == presets.EcRamPreset().replace(forward=rs.IOParameters())


@pytest.mark.parametrize(
    "changes",
    [
        {"forward": {"out_noise": 0.0}},
        {"device": {"dw_min_std": 0.1}},
        {"update": {"desired_bl": 5}},
    ],
)
def test_a_nested_change_keeps_the_other_values_of_the_preset(changes):
    assert presets.EcRamPreset(**changes) == presets.EcRamPreset().replace(**changes)


def test_a_wrong_keyword_is_refused_by_name():
    with pytest.raises(ConfigError, match="has no parameter 'dw_mim'; did you mean 'dw_min'"):
        presets.EcRamPresetDevice(dw_mim=0.1)
