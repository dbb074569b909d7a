"""Configurations in dicts, text and files: nothing is lost, and what is wrong is refused."""

import copy
import dataclasses
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rpusim as rs
from rpusim.config import Choice, Config
from rpusim.config_files import to_toml, tomllib
from rpusim.errors import ConfigError

NAMES = dict(vars(rs))
CONCRETE = [
    kind
    for name, kind in sorted(vars(rs).items())
    if isinstance(kind, type) and issubclass(kind, Config) and kind.__name__ == name != "Config"
]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({}, r"needs a dict with a 'type', got \{\}"),
        ([1], r"needs a dict with a 'type', got \[1\]"),
        (None, "needs a dict with a 'type', got None"),
        ({"type": 3}, "needs a dict with a 'type'"),
        ({"type": "SoftBound"}, "no configuration is called 'SoftBound'; did you mean 'SoftBounds"),
        ({"type": "IdealDevice", "w_max": 1}, "IdealDevice has no parameter 'w_max'"),
        ({"type": "SoftBoundsDevice", "w_max": -1}, r"SoftBoundsDevice\.w_max must be >= 0"),
    ],
)
def test_a_dict_that_describes_no_configuration_is_refused(data, text):
    with pytest.raises(ConfigError, match=text):
        Config.from_dict(data)


def test_from_dict_of_a_class_refuses_other_kinds():
    data = rs.SoftBoundsDevice().to_dict()
    assert rs.Device.from_dict(data) == Config.from_dict(data) == rs.SoftBoundsDevice()
    with pytest.raises(ConfigError, match=r"^IOParameters\.from_dict got a SoftBoundsDevice\.$"):
        rs.IOParameters.from_dict(data)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("c.yaml", "", r"'.*c\.yaml' must end in \.toml or \.json"),
        ("c.toml", "type = ", r"c\.toml' cannot be read: "),
        ("c.json", '{"type": ', r"c\.json' cannot be read: "),
        ("c.toml", b"\xff\xfe", r"c\.toml' cannot be read: "),
        ("c.json", b"\xff\xfe\xfd", r"c\.json' cannot be read: "),
        ("c.json", "[1, 2]", "needs a dict with a 'type'"),
        ("c.toml", 'type = "RPUConfigg"', "no configuration is called 'RPUConfigg'; did you mean"),
        (
            "c.toml",
            'type = "IOParameters"\nout_noise = -1',
            r"IOParameters\.out_noise must be >= 0",
        ),
        (
            "c.json",
            '{"type": "IOParameters", "out_noise": NaN}',
            "out_noise must be finite, got nan",
        ),
    ],
)
def test_a_file_that_describes_no_configuration_is_refused(tmp_path, name, content, text):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=text):
        rs.load_config(tmp_path / name)


def test_files_leave_out_what_keeps_its_default(tmp_path):
    (tmp_path / "c.toml").write_text('type = "RPUConfig"\n[forward]\nout_noise = 0\n')
    assert rs.load_config(tmp_path / "c.toml") == rs.RPUConfig(forward={"out_noise": 0.0})
    with pytest.raises(ConfigError, match=r"save_config: 'c\.yaml' must end in \.toml or \.json"):
        rs.save_config("c.yaml", rs.RPUConfig())
    with pytest.raises(FileNotFoundError):
        rs.load_config(tmp_path / "none.toml")


# ---------------------------------------------------------------- every class, any values


def given_fields(kind):
    """Return the fields that do not follow from others."""
    return [f for f in dataclasses.fields(kind) if f.init]


def values(field):
    """Return a strategy for what a field may hold, as far as the field alone tells."""
    default, limits = field.default, field.metadata
    if isinstance(default, Choice):
        return st.sampled_from(type(default))
    if isinstance(default, bool):
        return st.booleans()
    if isinstance(default, Config):
        family = limits.get("family", type(default))
        return st.sampled_from([k for k in CONCRETE if issubclass(k, family)]).flatmap(configs)
    if isinstance(default, int):
        return st.integers(limits["low"], limits["high"])
    if isinstance(default, tuple):
        number = st.floats(-1e6, 1e6)
        return st.one_of(st.lists(number, max_size=4), st.lists(st.lists(number, max_size=3)))
    low = limits["above"] if limits["low"] is None else limits["low"]
    return st.floats(
        low,
        limits["high"],
        exclude_min=limits["above"] is not None,
        allow_nan=False,
        allow_infinity=None if limits["finite"] is False else False,
    )


@st.composite
def configs(draw, kind):
    """Draw a configuration with some fields changed; what contradicts others is left out."""
    config = kind()
    for field in draw(st.lists(st.sampled_from(given_fields(kind) or [None]), max_size=6)):
        try:
            config = config.replace(**{field.name: draw(values(field))}) if field else config
        except ConfigError:
            pass
    return config


@pytest.mark.parametrize("kind", CONCRETE)
@given(data=st.data())
def test_every_configuration_survives_repr_dict_json_toml_copy_and_pickle(kind, data):
    config = data.draw(configs(kind))
    text = json.dumps(config.to_dict())
    copies = [
        eval(repr(config), NAMES),
        kind.from_dict(json.loads(text)),
        Config.from_dict(tomllib.loads(to_toml(config))),
        copy.copy(config),
        copy.deepcopy(config),
        pickle.loads(pickle.dumps(config)),
        config.replace(),
    ]
    for again in copies:
        assert again == config
        assert (type(again), repr(again), hash(again)) == (kind, repr(config), hash(config))
        assert config.diff(again) == {}
