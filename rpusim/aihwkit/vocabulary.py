"""What aihwkit's configurations are called and hold, as far as it is not the same here.

A class has the fields of its namesake in `rpusim`, less those in `ADDED`, more those in `DROPPED`,
which mean nothing here, and in `SILENT`, whatever they hold. `STATES` has the few other exceptions.
The tests compare the result with every class of aihwkit.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import rpusim as rs
from rpusim.config import Config

__all__ = [
    "ADDED", "CLASSES", "DROPPED", "NO_COUNTERPART", "PARTS", "SILENT", "TORCH", "Dropped",
    "added", "fields_of",
]  # fmt: skip


class Dropped(NamedTuple):
    """A field of aihwkit without a counterpart: its default there, and why it is not here.

    Attributes
    ----------
    default : object
        The only value that can be converted; for a class used as a value, its name.
    reason : str
        What to know, and to do, if it is another.
    """

    default: Any
    reason: str


PAIRS = ("SinglePair", "NPair", "DualPair", "CustomPair")
COMPENSATIONS = ("Base", "Global", "PerColumn")
TORCH = (
    "TorchInferenceRPUConfig", "QuantizedTorchInferenceRPUConfig", "TorchInferenceRPUConfigIRDropT",
)  # fmt: skip

#: class of aihwkit -> class of rpusim
CLASSES: dict[str, type[Config]] = {
    name: getattr(rs, name)
    for name in (
        "IOParameters", "IOParametersIRDropT", "UpdateParameters", "MappingParameter",
        "InputRangeParameter", "PeripheryQuantizationParameter", "PrePostProcessingParameter",
        "PrePostProcessingParameterQuant", "WeightModifierParameter", "WeightClipParameter",
        "WeightRemapParameter", "SimpleDriftParameter", "DriftParameter", "ActivationQuantConfig",
        "WeightQuantConfig",
        "FloatingPointDevice", "IdealDevice", "PulsedDevice", "ConstantStepDevice",
        "LinearStepDevice", "SoftBoundsDevice", "SoftBoundsPmaxDevice", "SoftBoundsReferenceDevice",
        "ExpStepDevice", "PowStepDevice", "PowStepReferenceDevice", "PiecewiseStepDevice",
        "UnitCell", "VectorUnitCell", "ReferenceUnitCell", "OneSidedUnitCell", "DifferenceUnitCell",
        "TransferCompound", "BufferedTransferCompound", "ChoppedTransferCompound",
        "DynamicTransferCompound", "DigitalRankUpdateCell", "MixedPrecisionCompound",
        "BaseNoiseModel", "PCMLikeNoiseModel", "CustomDriftPCMLikeNoiseModel",
        "ReRamWan2022NoiseModel", "ReRamCMONoiseModel", "HermesNoiseModel",
        "StateIndependentNoiseModel", "BaseConductanceConverter",
        *(f"{kind}ConductanceConverter" for kind in (*PAIRS, "SingleDevice", "Fusion")),
        *(f"{kind}DriftCompensation" for kind in COMPENSATIONS),
        "GlobalDriftCompensationWithExactReference",
        "FloatingPointRPUConfig", "SingleRPUConfig", "UnitCellRPUConfig",
        "DigitalRankUpdateRPUConfig", "InferenceRPUConfig",
    )
} | dict.fromkeys(TORCH, rs.InferenceRPUConfig)  # fmt: skip

ABSTRACT = "is an abstract base: convert one of the classes that can be built"
PART = "is part of a quantiser: convert the ActivationQuantConfig or WeightQuantConfig it is in"
OWN_TILE = "describes a tile written in torch: write the device, or its noise, as a law of rpusim"
MODULES = (
    "says how modules of a torch model become ones of few bits: make them of rpusim.nn.QuantLinear "
    "and QuantActivation, with its ActivationQuantConfig and WeightQuantConfig converted"
)

#: class of aihwkit that has no counterpart -> what to do
NO_COUNTERPART = {
    **dict.fromkeys(
        ("RPUConfigBase", "MappableRPU", "PrePostProcessingRPU", "IOManagedRPUConfig"), ABSTRACT
    ),
    "BaseQuantConfig": ABSTRACT,
    **dict.fromkeys(
        (
            "CurrentMinMaxEstimatorParams", "RunningMinMaxEstimatorParams", "MSEEstimatorParams",
            "CrossEntropyEstimatorParams",
        ),
        PART,
    ),
    **dict.fromkeys(("QuantizationConfig", "QuantizedModuleConfig", "QuantizationMap"), MODULES),
    **dict.fromkeys(("CustomRPUConfig", "CustomUpdateParameters"), OWN_TILE),
    "RuntimeParameter": "says how tiles of aihwkit run, which configurations of rpusim do not",
    "WeightProgrammingOptimizer": "is a search, not a configuration: make an "
    "rpusim.WeightProgrammingOptimizer with the same arguments",
}  # fmt: skip

#: class without a counterpart of its own -> the field of another object that it is read from
PARTS = {
    "RuntimeParameter": "runtime",
    **dict.fromkeys(
        (name for name in NO_COUNTERPART if name.endswith("EstimatorParams")),
        "_range_estimator_params",
    ),
}

#: what rpusim reads of these
ESTIMATORS = {
    "CurrentMinMaxEstimatorParams": ("percentile",),
    "RunningMinMaxEstimatorParams": ("momentum",),
    "MSEEstimatorParams": ("num_candidates", "range_margin"),
    "CrossEntropyEstimatorParams": ("num_candidates", "range_margin"),
}

TILE = (
    "chooses between implementations; rpusim takes the one that the configuration asks for. A tile "
    "class of your own has no counterpart"
)
TILES = {
    "FloatingPointRPUConfig": "FloatingPointTile",
    "SingleRPUConfig": "AnalogTile",
    "UnitCellRPUConfig": "AnalogTile",
    "DigitalRankUpdateRPUConfig": "AnalogTile",
    "InferenceRPUConfig": "InferenceTile",
    "TorchInferenceRPUConfig": "TorchInferenceTile",
    "QuantizedTorchInferenceRPUConfig": "QuantizedTorchInferenceTile",
    "TorchInferenceRPUConfigIRDropT": "TorchInferenceTile",
}
MEMORY = "is about memory of aihwkit's tiles; there is nothing to be set for it"
RUNTIME = {
    "data_type": Dropped("FLOAT", "rpusim computes in single precision"),
    "on_the_fly_bindings": Dropped(False, "configurations of rpusim do not change: replace them"),
    "offload_input": Dropped(False, MEMORY),
    "offload_gradient": Dropped(False, MEMORY),
}
ONE_WAY = "a reference cell of rpusim has one way to learn: the first device, minus the second"

#: class of aihwkit -> its fields without a counterpart
DROPPED: dict[str, dict[str, Dropped]] = {
    "UpdateParameters": {
        "d_sparsity": Dropped(False, "nothing reads the statistics that it collects")
    },
    "ReferenceUnitCell": {
        "update_policy": Dropped("SINGLE_FIXED", ONE_WAY),
        "first_update_idx": Dropped(0, ONE_WAY),
        "gamma_vec": Dropped([1.0, -1.0], ONE_WAY),
    },
    "RuntimeParameter": RUNTIME,
    **{
        name: {
            "tile_class": Dropped(tile, TILE),
            "tile_array_class": Dropped(
                "QuantizedTileModuleArray" if "Quantized" in name else "TileModuleArray", TILE
            ),
            "runtime": Dropped({k: d.default for k, d in RUNTIME.items()}, "see its fields"),
        }
        for name, tile in TILES.items()
    },
}
for _name in TORCH:
    _tile = "TorchSimulatorTileIRDropT" if "IRDropT" in _name else "TorchSimulatorTile"
    DROPPED[_name]["simulator_tile_class"] = Dropped(_tile, TILE)
DROPPED["QuantizedTorchInferenceRPUConfig"]["act_quant_config"] = Dropped(
    None,
    "rounding of outputs is a layer of its own: put rpusim.nn.QuantActivation, with this "
    "configuration converted, behind the analog layer",
)

#: class of aihwkit -> attributes that only record what happened, or that nothing reads
SILENT = {
    **{f"{kind}ConductanceConverter": ("scale_ratio",) for kind in (*PAIRS, "Fusion")},
    "SingleDeviceConductanceConverter": ("scale_ratio",),
    "ReRamWan2022NoiseModel": ("prog_coeff_g_max_reference",),
    "ReRamCMONoiseModel": ("coeff_g_max_reference",),
    "MSEEstimatorParams": ("range_opt_method",),  # both searches are the same grid here
    "CrossEntropyEstimatorParams": ("range_opt_method",),
    "ActivationQuantConfig": ("_range_estimator_to_params",),
    "WeightQuantConfig": ("_range_estimator_to_params",),
}

#: fields that rpusim adds to classes of aihwkit, by name
ADDED = (
    # pulsed devices
    "dw_min_dtod_mean_preserving", "reference_granularity", "stuck_at_max_prob",
    "stuck_at_min_prob", "up_down_convention", "w_dtod_law", "reference_pmax",
    # products
    "nm_assumed_wmax", "nm_decay", "r_series_max_total", "slice_adc", "v_offset_law",
    "out_noise_law", "read_noise", "ir_drop_far_first", "zero_input_shortcut", "on_nonfinite",
    "ir_drop_v_bias", "ir_drop_v_pulse", "ir_drop_integration", "ir_drop_in_training",
    # training, ranges, few bits
    "gradient", "exact_gradient", "log_scales", "rescale_dropped",
    # programmed devices
    "w_max", "columnwise", "nodes", "fresh_relaxation", "interpolate", "read_noise_from_target",
    "read_q", "probe", "probe_lines", "repeats",
)  # fmt: skip

#: class of aihwkit that holds other fields than its namesake -> (those less, those more)
QUANT = ("_range_estimator", "_range_estimator_params")
FLAT = ("range_estimator", "percentile", "momentum", "num_candidates", "range_margin")
STATES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ActivationQuantConfig": (FLAT, QUANT),
    "WeightQuantConfig": (FLAT, QUANT),
    "SoftBoundsPmaxDevice": ((), ("w_max", "w_min", "dw_min", "up_down")),
    "PowStepReferenceDevice": (("write_noise_std", "apply_write_noise_on_set"), ()),
    "IOParameters": (("split_mode_bit_shift",), ()),
}


def _own(name: str) -> set[str]:
    return {f.name for f in dataclasses.fields(CLASSES[name]) if f.init}  # type: ignore[arg-type]


def added(name: str) -> set[str]:
    """Return the fields that rpusim's class has beyond its namesake `name` in aihwkit."""
    own = _own(name)
    device = issubclass(CLASSES[name], rs.Device)
    kept = {"w_max"} if device else set()  # of converters only
    return own & ((set(ADDED) - kept) | set(STATES.get(name, ((), ()))[0]))


def fields_of(name: str) -> set[str]:
    """Return the fields of aihwkit's class `name` that have a counterpart."""
    if name not in CLASSES:
        return set(ESTIMATORS.get(name, ()))
    return (_own(name) - added(name)) | set(STATES.get(name, ((), ()))[1])
