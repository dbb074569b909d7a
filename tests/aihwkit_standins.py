"""Objects with the class names and attributes of aihwkit's, from the golden files.

A node {"$class": X, ...} becomes the default object of X with the attributes given; X may be a
preset, whose class then derives from that of its base. Nothing here imports rpusim or aihwkit.
"""

import enum
import functools
import json
import types
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"
CLASSES, ENUMS = (
    json.loads((GOLDEN / "defaults.json").read_text())[key] for key in ("classes", "enums")
)
PRESETS = json.loads((GOLDEN / "presets.json").read_text())["presets"]
OBJECTS = json.loads((GOLDEN / "aihwkit_objects.json").read_text())["objects"]
BASES = {  # of classes whose base says what they are
    "CustomDriftPCMLikeNoiseModel": "PCMLikeNoiseModel",
    "TorchInferenceRPUConfig": "InferenceRPUConfig",
    "QuantizedTorchInferenceRPUConfig": "TorchInferenceRPUConfig",
    "TorchInferenceRPUConfigIRDropT": "TorchInferenceRPUConfig",
    "IOParametersIRDropT": "IOParameters",
    "DriftParameter": "SimpleDriftParameter",
    "BufferedTransferCompound": "TransferCompound",
    "ChoppedTransferCompound": "TransferCompound",
    "DynamicTransferCompound": "ChoppedTransferCompound",
}


@functools.cache
def kind(name):
    """Return a class of this name, derived from that of its base, if that is listed."""
    base = PRESETS[name]["base"] if name in PRESETS else BASES.get(name)
    values = {"__init__": _init}
    if name in ("ActivationQuantConfig", "WeightQuantConfig"):
        values["range_estimator"] = property(lambda self: self._range_estimator, _set_estimator)
        values["range_estimator_params"] = property(lambda self: self._range_estimator_params)
    return type(name, (kind(base),) if base else (), values)


def _set_estimator(self, member):
    """Take an estimator, and the default options of that one."""
    names = {"current_minmax": "CurrentMinMax", "running_minmax": "RunningMinMax", "MSE": "MSE"}
    self._range_estimator = member
    self._range_estimator_params = make(f"{names[member.name]}EstimatorParams")


def _init(self, **values):
    known = next(k.__name__ for k in type(self).__mro__ if k.__name__ in {**CLASSES, **PRESETS})
    for name, node in defaults(known).items():
        setattr(self, name, build(node))
    for name, value in values.items():
        setattr(self, name, value)


def defaults(name):
    """Return the attributes of a default object, as nodes."""
    if name in PRESETS:
        return {**defaults(PRESETS[name]["base"]), **PRESETS[name]["changes"]}
    for node in OBJECTS.values():  # the first one of a class is the default object
        if node["$class"] == name and name not in ("ActivationQuantConfig", "WeightQuantConfig"):
            return {k: v for k, v in node.items() if k != "$class"}
    required = {"$required": True}
    return {k: v for k, v in CLASSES[name].items() if v != required}


@functools.cache
def enumeration(name):
    """Return an enumeration of aihwkit by its name."""
    if name == "OptMethod":
        return enum.Enum(name, {"grid": 1, "golden_section": 2})
    return enum.Enum(name, ENUMS[name])


def build(node):
    """Return what a node of a golden file stands for."""
    if isinstance(node, list):
        return [build(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$enum" in node:
        name, member = node["$enum"].split(".")
        return enumeration(name)[member]
    if "$type" in node:
        return type(node["$type"], (), {})
    if "$dict" in node:
        return {build(key): build(value) for key, value in node["$dict"]}
    changes = {k: build(v) for k, v in node.items() if k != "$class"}
    return kind(node["$class"])(**changes)


def package():
    """Return modules by name that have these classes where aihwkit 1.1.0 has them."""
    places = {
        "simulator.configs": ("RPUConfig", "Device", "Compound", "Cell", "Parameter"),
        "simulator.configs.compounds": ("UnitCell", "DigitalRankUpdateCell"),
        "simulator.configs.devices": ("PulsedDevice",),
        "simulator.parameters.pre_post": ("Quant", "PeripheryQuantizationParameter"),
        "simulator.parameters.quantization": ("QuantConfig",),
        "inference": ("NoiseModel", "ConductanceConverter"),
        "inference.compensation.drift": ("DriftCompensation", "ExactReference"),
    }
    modules = {name: types.ModuleType(name) for name in ("aihwkit", "aihwkit.simulator")}
    for place, endings in places.items():
        module = modules[f"aihwkit.{place}"] = types.ModuleType(f"aihwkit.{place}")
        for name in CLASSES:
            if name.endswith((*endings, *(f"{e}s" for e in endings), "IRDropT")):
                setattr(module, name, kind(name))
    return modules


def make(name, **changes):
    """Return the default object of a class, or a preset, with some attributes changed."""
    return kind(name)(**changes)
