"""Every default and enumeration member is that of the reference simulator, or stands in a table.

New classes are compared as soon as they exist: the golden file holds all of the reference's.
"""

import dataclasses
import json
from pathlib import Path

import pytest

import rpusim as rs
import rpusim.studies.programming_options  # registers what is imported later
from rpusim.config import Choice, Config

GOLDEN = json.loads((Path(__file__).parent / "golden" / "defaults.json").read_text())

PAIRS = tuple(
    f"{kind}ConductanceConverter" for kind in ("SinglePair", "NPair", "DualPair", "CustomPair")
)
CONVERTERS = (
    *PAIRS, "SingleDeviceConductanceConverter", "FusionConductanceConverter",
    "BaseConductanceConverter",
)  # fmt: skip
MODELS = (
    "BaseNoiseModel", "PCMLikeNoiseModel", "CustomDriftPCMLikeNoiseModel", "HermesNoiseModel",
    "ReRamWan2022NoiseModel", "ReRamCMONoiseModel", "StateIndependentNoiseModel",
)  # fmt: skip
COMPENSATIONS = tuple(
    f"{kind}DriftCompensation{more}"
    for kind, more in (
        ("Base", ""),
        ("Global", ""),
        ("Global", "WithExactReference"),
        ("PerColumn", ""),
    )
)
PLUMBING = "how the reference wires its own classes together; no physics"
DIFFERENCES = {
    ("UpdateParameters", "d_sparsity"): "nothing reads the statistics it collects",
    ("UnitCellRPUConfig", "device"): "the reference's default is abstract and cannot be built",
    ("DigitalRankUpdateRPUConfig", "device"): "the reference's default cannot be built",
    ("IOParametersIRDropT", "ir_drop_v_read"): "another voltage than at rest shifts all outputs",
    ("DigitalRankUpdateCell", "device"): "the reference's default is abstract and cannot be built",
    ("MixedPrecisionCompound", "device"): "the same",
    **{
        ("ReferenceUnitCell", name): "a reference cell has one way to learn and two devices"
        for name in ("update_policy", "first_update_idx", "gamma_vec")
    },
    ("WeightModifierParameter", "coeffs"): "the reference's have two digits exchanged, and fit one "
    "of the two types that use them",
    **{
        (kind, name): "the reference fills in the same numbers later"
        for kind in (*PAIRS, "SingleDeviceConductanceConverter")
        for name in ("g_max", "g_min")
    },
    **{(kind, "f_lst"): "the reference has no default" for kind in PAIRS[1:]},
    ("CustomPairConductanceConverter", "g_lst"): "the reference has no default",
    ("CustomDriftPCMLikeNoiseModel", "custom_drift_model"): "the reference has no default",
    ("ReRamCMONoiseModel", "acceptance_range"): "the reference's default is no entry of its table",
    **{
        (config, name): "flat fields name the estimator and its parameters"
        for config in ("ActivationQuantConfig", "WeightQuantConfig")
        for name in (
            "_range_estimator",
            "_range_estimator_params",
            "_range_estimator_to_params",
        )
    },
    **{
        (config, name): reason
        for config in (
            "SingleRPUConfig",
            "UnitCellRPUConfig",
            "DigitalRankUpdateRPUConfig",
            "InferenceRPUConfig",
            "FloatingPointRPUConfig",
        )
        for name, reason in (
            ("tile_class", PLUMBING),
            ("tile_array_class", PLUMBING),
            ("runtime", PLUMBING),
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
    "CompoundDevice": "base of everything with several devices at a crosspoint",
    "ERiderTransferCompound": "an algorithm that the reference does not have",
    "GradientParameter": "what gradients mean",
    "IntegerMixedPrecisionCompound": "not reachable from Python in the reference",
    "MultiTileResidualCompound": "an algorithm that the reference does not have",
    "ResidualTransferCompound": "an algorithm that the reference does not have",
    "ReadNoise": "base of laws of read noise",
    "RPUConfig": "one class for the reference's SingleRPUConfig, UnitCellRPUConfig and others",
    "AffineDriftCompensation": "a factor and an offset",
    "PairConverter": "base of the converters to pairs",
    "ProgrammingSearch": "options of an optimiser, which are its attributes in the reference",
    "PowerDriftNoiseModel": "base of the models with a power law of drift",
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
    **{
        (config, field): reason
        for config in ("IOParameters", "IOParametersIRDropT")
        for field, reason in {
            "nm_assumed_wmax": "the reference has it, but not in Python",
            "nm_decay": "the same",
            "r_series_max_total": "the same",
            "split_mode_bit_shift": "the reference's class has it, but takes no value",
            "slice_adc": "what an ADC sees of a slice",
            "v_offset_law": "the reference's offsets are half of them zero",
            "out_noise_law": "a spread that does not fold",
            "read_noise": "weight noise by a law of one's own",
            "ir_drop_far_first": "which end of a line the ADC is at",
            "zero_input_shortcut": "whether zeros are read",
            "on_nonfinite": "what NaN and infinity do",
        }.items()
    },
    **{
        ("IOParametersIRDropT", field): reason
        for field, reason in {
            "ir_drop_v_bias": "a constant in the reference",
            "ir_drop_v_pulse": "the same",
            "ir_drop_integration": "exact integrals beside the reference's sums",
            "ir_drop_in_training": "the reference's wires act in evaluation only",
        }.items()
    },
    **{
        (config, "gradient"): "what gradients mean is part of the configuration"
        for config in (
            "SingleRPUConfig",
            "UnitCellRPUConfig",
            "DigitalRankUpdateRPUConfig",
            "InferenceRPUConfig",
        )
    },
    **{
        (config, "scale_fast_lr"): "whether fast_lr is relative: versions of the reference differ"
        for config in (
            "TransferCompound",
            "BufferedTransferCompound",
            "ChoppedTransferCompound",
            "DynamicTransferCompound",
        )
    },
    ("InputRangeParameter", "exact_gradient"): "the gradient of the clip itself",
    ("PeripheryQuantizationParameter", "log_scales"): "scales of few bits over many decades",
    ("WeightModifierParameter", "rescale_dropped"): "dropping that keeps the mean",
    **{
        (config, field): "flat fields name the estimator and its parameters"
        for config in ("ActivationQuantConfig", "WeightQuantConfig")
        for field in ("range_estimator", "percentile", "num_candidates", "range_margin")
    },
    **{
        (kind, name): "a fixed scale, or one for every output, for any converter"
        for kind in CONVERTERS
        for name in ("w_max", "columnwise")
    },
    ("CustomPairConductanceConverter", "nodes"): "tables over weights that are not equally spaced",
    **{(kind, "read_noise"): "reads may draw their noise at each forward" for kind in MODELS},
    ("ReRamCMONoiseModel", "g_converter"): "any converter",
    **{
        (kind, "fresh_relaxation"): "a device's relaxation is drawn once, or at each drift"
        for kind in ("ReRamCMONoiseModel", "ReRamWan2022NoiseModel")
    },
    ("ReRamWan2022NoiseModel", "interpolate"): "times between the measured ones",
    **{
        (kind, "read_noise_from_target"): "what read noise follows in the published formula"
        for kind in ("PCMLikeNoiseModel", "CustomDriftPCMLikeNoiseModel", "HermesNoiseModel")
    },
    ("StateIndependentNoiseModel", "read_q"): "a relative noise instead of one that hangs on units",
    **{
        (kind, name): "which vectors a compensation reads, and how often"
        for kind in COMPENSATIONS
        for name in ("probe", "probe_lines", "repeats")
    },
    ("ActivationQuantConfig", "momentum"): "flat fields name the estimator and its parameters",
}

#: members that rpusim adds to an enumeration of the reference: (enumeration, member) -> why
ADDED_MEMBERS = {
    ("PulseType", "MEAN_FIELD"): "the limit of ever smaller steps",
    ("InputRangeCalibrationType", "MSE"): "the range of least error",
    ("WeightModifierType", "NOISE_MODEL"): "copies by the noise model of the tile",
}

#: enumerations of rpusim's own
OWN_CHOICES = {
    "ChopperScope": "what a chopper flips",
    "ReferenceSync": "when a reference is written",
    "ResidualBuffer": "what lies between two crossbars",
    "BackwardMode": "how errors go back",
    "LadderIntegration": "how currents are summed over time",
    "NonFinite": "what NaN and infinity do",
    "OffsetLaw": "how offsets are drawn",
    "ReadNoiseTime": "when reads of programmed devices draw their noise",
    "ProbeType": "which vectors a compensation reads",
    "QuantState": "whether ranges follow the data",
    "SliceADC": "what an ADC sees of a slice",
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
