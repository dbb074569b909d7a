"""Every default and enumeration member is that of the reference simulator, or stands in a table.

New classes are compared as soon as they exist: the golden file holds all of the reference's.
"""

import dataclasses
import json
from pathlib import Path

import pytest

import rpusim as rs
from rpusim.config import Choice, Config

GOLDEN = json.loads((Path(__file__).parent / "golden" / "defaults.json").read_text())

PLUMBING = "how the reference wires its own classes together; no physics"
LATER = "not built yet"
DIFFERENCES = {
    ("UpdateParameters", "d_sparsity"): "nothing reads the statistics it collects",
    ("UnitCellRPUConfig", "device"): "the reference's default is abstract and cannot be built",
    ("DigitalRankUpdateRPUConfig", "device"): "the reference's default cannot be built",
    **{
        (config, name): reason
        for config in (
            "SingleRPUConfig",
            "UnitCellRPUConfig",
            "DigitalRankUpdateRPUConfig",
            "FloatingPointRPUConfig",
        )
        for name, reason in (
            ("tile_class", PLUMBING),
            ("tile_array_class", PLUMBING),
            ("runtime", PLUMBING),
            ("pre_post", LATER),
        )
    },
}

#: public configurations that the reference does not have under this name
OWN = {
    "Device": "base of all devices",
    "PulsedParameters": "the common parameters of PulsedDevice, split off by idea",
    "WriteNoiseDevice": "base of the devices with write noise",
    "LookupTableDevice": "steps from measured tables",
    "HiddenStepDevice": "not reachable from Python in the reference",
    "RPUConfig": "one class for the reference's SingleRPUConfig, UnitCellRPUConfig and others",
}

#: fields that rpusim adds to a class of the reference: (class, field) -> why
PULSED = {
    "dw_min_dtod_mean_preserving": "a log-normal spread need not raise the mean step",
    "reference_granularity": "the reference's own figure, for comparisons",
    "stuck_at_max_prob": "stuck devices anywhere, not only near 0",
    "stuck_at_min_prob": "the same",
    "up_down_convention": "the documented convention of the reference beside its actual one",
    "w_dtod_law": "bounds whose spread does not fold",
}
ADDED: dict = {
    **{
        (kind, field): reason
        for kind in (
            "PulsedDevice",
            "ConstantStepDevice",
            "LinearStepDevice",
            "SoftBoundsDevice",
            "SoftBoundsPmaxDevice",
            "SoftBoundsReferenceDevice",
            "ExpStepDevice",
            "PowStepDevice",
            "PowStepReferenceDevice",
            "PiecewiseStepDevice",
        )
        for field, reason in PULSED.items()
    },
    ("SoftBoundsPmaxDevice", "reference_pmax"): "the reference's conversion, for comparisons",
    ("PiecewiseStepDevice", "level_up"): "derived, for the law of one node",
    ("PiecewiseStepDevice", "level_down"): "derived, for the law of one node",
    ("PowStepReferenceDevice", "write_noise_std"): "no reason why this one should have none",
    ("PowStepReferenceDevice", "apply_write_noise_on_set"): "the same",
}

#: members that rpusim adds to an enumeration of the reference: (enumeration, member) -> why
ADDED_MEMBERS = {("PulseType", "MEAN_FIELD"): "the limit of ever smaller steps"}

#: enumerations of rpusim's own
OWN_CHOICES = {
    "SpreadLaw": "how bounds vary",
    "UpDownConvention": "what up_down does",
}


def is_ours(kind, base):
    own = isinstance(kind, type) and issubclass(kind, base) and kind is not base
    return own and kind.__module__.startswith("rpusim.")


def public_configs():
    """Return rpusim's configuration classes by name, aliases included."""
    named = {k: v for k, v in {**Config.registry, **vars(rs)}.items() if is_ours(v, Config)}
    return {name: kind for name, kind in named.items() if not name.startswith("_")}


def choices(base=Choice):
    """Return rpusim's enumerations by name."""
    return {kind.__name__: kind for kind in base.__subclasses__() if is_ours(kind, Choice)}


def value_of(node, classes):
    """Return what a node of the golden file stands for; a missing class is a KeyError."""
    if isinstance(node, list):
        return tuple(value_of(v, classes) for v in node)
    if isinstance(node, dict) and "$enum" in node:
        kind, member = node["$enum"].split(".")
        return choices()[kind][member]
    if isinstance(node, dict) and "$class" in node:
        changes = {k: value_of(v, classes) for k, v in node.items() if k != "$class"}
        return classes[node["$class"]](**changes)
    return node


SHARED = sorted(set(GOLDEN["classes"]) & set(public_configs()))
FIELDS = [(name, field) for name in SHARED for field in GOLDEN["classes"][name]]


@pytest.mark.parametrize(("name", "field"), [pair for pair in FIELDS if pair not in DIFFERENCES])
def test_a_default_is_the_references(name, field):
    kind = public_configs()[name]
    found = {f.name: f.default for f in dataclasses.fields(kind)}
    assert field in found, "the field is missing; add it, or list it in DIFFERENCES"
    expected = value_of(GOLDEN["classes"][name][field], public_configs())
    assert found[field] == expected
    assert isinstance(found[field], bool) == isinstance(expected, bool)
    derived = {f.name for f in dataclasses.fields(kind) if not f.init}
    assert field in derived or getattr(kind(), field) == expected


@pytest.mark.parametrize(("name", "field"), DIFFERENCES)
def test_a_deliberate_difference_is_still_one(name, field):
    assert field in GOLDEN["classes"][name]
    found = {f.name: f.default for f in dataclasses.fields(public_configs()[name])}
    node = GOLDEN["classes"][name][field]
    try:
        expected = value_of(node, public_configs())
    except (KeyError, TypeError):
        return  # stands for a class that rpusim does not have
    assert field not in found or found[field] != expected, "no longer: strike it off the table"


@pytest.mark.parametrize("name", SHARED)
def test_a_class_has_no_fields_of_its_own_that_are_not_listed(name):
    own = {f.name for f in dataclasses.fields(public_configs()[name])}
    own -= set(GOLDEN["classes"][name])
    assert own == {field for kind, field in ADDED if kind == name}


def test_every_configuration_class_is_compared_or_listed_as_our_own():
    assert set(public_configs()) - set(SHARED) == set(OWN)


@pytest.mark.parametrize("name", sorted(set(GOLDEN["enums"]) & set(choices())))
def test_an_enumeration_has_the_references_members(name):
    added = {member for kind, member in ADDED_MEMBERS if kind == name}
    found = {member.name: member.value for member in choices()[name]}
    assert added <= set(found)
    assert {k: v for k, v in found.items() if k not in added} == GOLDEN["enums"][name]


def test_every_enumeration_is_compared():
    assert set(choices()) - set(GOLDEN["enums"]) == set(OWN_CHOICES)
    assert all(is_ours(getattr(rs, name), Choice) for name in choices()), "one is not public"
