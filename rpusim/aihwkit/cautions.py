"""Where a converted configuration will not do what the object of aihwkit did, in words.

Only settings that are there are spoken of, one sentence each; the whole list is in
docs/differences-from-aihwkit.md. `repeat_reference` sets the options that make some of them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import rpusim as rs
from rpusim.aihwkit.states import REFERENCE_COEFFS
from rpusim.config import Config
from rpusim.periphery.settings import SLICED
from rpusim.tiles.compounds.rising import up_step

__all__ = ["OPTION", "REFERENCE", "cautions", "repeat_reference"]

#: field of rpusim -> the value with which it does as aihwkit 1.1.0 does
REFERENCE: dict[str, Any] = {
    "reference_granularity": True,
    "reference_pmax": True,
    "fresh_relaxation": True,
    "ir_drop_integration": "SAMPLED",
    "slice_adc": "FULL_RANGE",
}
OPTION = "; reference_behaviour=True does as aihwkit"
SAME = 1e-3  # relative difference of granularities that nobody will see


def repeat_reference(config: Any) -> Any:
    """Return a configuration with those options set of `REFERENCE` that act in it.

    Parameters
    ----------
    config : Config
        Of any kind; nested ones are left alone.
    """
    values = {name: value for name, value in REFERENCE.items() if hasattr(config, name)}
    if isinstance(config, rs.IOParameters) and config.mv_type not in SLICED:
        values.pop("slice_adc")
    return config.replace(**values) if values else config


def cautions(name: str, config: Any) -> list[str]:
    """Return what will be different, a sentence each, with the path that it speaks of.

    Parameters
    ----------
    name : str
        The class of aihwkit that it was converted from, or will be converted to.
    config : Config
        What it is here.
    """
    return list(_walk(name, config, ""))


def _walk(name: str, config: Any, path: str) -> Iterator[str]:
    where = f"{path}: " if path else ""
    for kind, speak in SPEAKERS:
        if isinstance(config, kind):
            yield from (f"{where}{name}.{text}" for text in speak(name, config))
    if isinstance(config, rs.OneSidedUnitCell):  # what it says of its devices is all there is
        return
    for field, value in config._values().items():
        parts = [(field, value)]
        if isinstance(value, tuple):  # equal ones are spoken of once
            parts = [(f"{field}[{value.index(v)}]", v) for v in dict.fromkeys(value)]
        for part, inner in parts:
            if isinstance(inner, Config):
                yield from _walk(type(inner).__name__, inner, f"{path}.{part}" if path else part)


def _pulsed(name: str, device: Any) -> Iterator[str]:
    if device.construction_seed > 0:
        yield "construction_seed gives other devices here than in aihwkit, drawn by the same laws."
    if device.drift.nu > 0.0 and device.drift.w_offset != 0.0:
        yield "drift.w_offset is subtracted from weights here, added in aihwkit."
    pmax = isinstance(device, rs.SoftBoundsPmaxDevice)
    if pmax and not device.reference_pmax:
        yield (
            "p_max pulses cross the range here, as documented; in aihwkit fewer pulses lead to "
            f"other ends{OPTION}."
        )
    if type(device) is rs.PulsedDevice or pmax:
        return
    own = device.weight_granularity
    theirs = _reference_granularity(device)
    if abs(own / theirs - 1.0) > SAME:
        yield (
            f"dw_min: a pulse counts as {own:.4g} here, the mean step, as {theirs:.4g} in aihwkit, "
            f"so that a learning rate asks for {theirs / own:.3g} times as many{OPTION}."
        )


def _reference_granularity(device: Any) -> float:
    return float(device.replace(reference_granularity=True).weight_granularity)


def _granularities(cell: Any) -> set[float]:
    parts = cell.unit_cell_devices
    single = [part for part in parts if isinstance(part, rs.PulsedDevice)]
    return {round(part.weight_granularity, 12) for part in single}


def _transfer(name: str, cell: Any) -> Iterator[str]:
    parts = cell.unit_cell_devices
    if len(set(parts[1:])) > 1:
        yield "unit_cell_devices: each is what it is here; aihwkit takes the second for all others."
    if len(_granularities(cell)) > 1:
        yield (
            "unit_cell_devices differ in granularity: pulses onto a part count in steps of that "
            "part here, in the mean of all in aihwkit, so that rates act differently."
        )


def _vector(name: str, cell: Any) -> Iterator[str]:
    policy = cell.update_policy.name
    if policy != "ALL" and len(_granularities(cell)) > 1:
        yield (
            "unit_cell_devices differ in granularity: a device that is pulsed alone counts in its "
            "own steps here, in the mean of all in aihwkit."
        )


def _one_sided(name: str, cell: Any) -> Iterator[str]:
    if cell.refresh_every:
        yield (
            "refresh_every: a refresh brings back the whole weight here, by as many pulses as that "
            "takes; in aihwkit at most one train of them."
        )
    for device in dict.fromkeys(cell.pair() if cell.unit_cell_devices else ()):
        own, theirs = up_step(device), _reference_granularity(device)
        if abs(own / theirs - 1.0) > SAME:
            yield (
                f"unit_cell_devices: a pulse counts as {own:.4g} here, the mean up step, as "
                f"{theirs:.4g} in aihwkit, that of both directions."
            )
    if cell.copy_inverted:
        yield "copy_inverted mirrors the first device here; in aihwkit the second mirrors itself."


def _mixed(name: str, cell: Any) -> Iterator[str]:
    if cell.transfer_lr != 1.0:
        yield (
            "transfer_lr: what is sent leaves the accumulator here; in aihwkit whole steps leave "
            "it, whatever is sent."
        )


def _product(name: str, io: Any) -> Iterator[str]:
    if io.perfect:
        return
    if io.v_offset_std > 0.0:
        yield (
            "v_offset_std: every line has an offset here (see v_offset_law); in aihwkit half of "
            "them have none."
        )
    if io.mv_type in SLICED and io.slice_adc.name == "SCALED":
        yield (
            f"mv_type {io.mv_type.name}: the ADC is matched to each slice of bits here; in aihwkit "
            f"it is that of a full input, and its noise grows{OPTION}."
        )


def _wires(name: str, io: Any) -> Iterator[str]:
    if not io.perfect and io.ir_drop_integration.name == "EXACT":
        yield (
            "ir_drop: charges are integrated exactly here; in aihwkit by samples in time, half a "
            f"step too much for each pulse{OPTION}."
        )


def _update(name: str, update: Any) -> Iterator[str]:
    for field in ("res", "x_res_implicit", "d_res_implicit"):
        if getattr(update, field) > 1.0:
            yield f"{field} above 1 is a number of steps here; in aihwkit nothing is updated."


def _input_range(name: str, ranges: Any) -> Iterator[str]:
    if ranges.enable and ranges.gradient_scale != 1.0 and not ranges.gradient_relative:
        yield "gradient_scale acts here; without gradient_relative aihwkit ignores it."


def _modifier(name: str, modifier: Any) -> Iterator[str]:
    if modifier.type.name == "PROG_NOISE" and modifier.coeffs == REFERENCE_COEFFS:
        yield (
            "coeffs are aihwkit's default, 25 times smaller than measured for type PROG_NOISE: "
            "coeffs=None takes those of phase-change memory."
        )


def _inference(name: str, config: Any) -> Iterator[str]:
    modifier, native = config.modifier, name == "InferenceRPUConfig"
    if native and modifier.type.name == "MULT_NORMAL" and modifier.rel_to_actual_wmax:
        yield (
            "modifier: std_dev of MULT_NORMAL is relative to each weight here; in this tile of "
            "aihwkit it is also multiplied by the largest weight."
        )
    rounded = modifier.type.name in ("DISCRETIZE", "DISCRETIZE_ADD_NORMAL", "DOREFA")
    if native and rounded and modifier.res > 1.0:
        yield (
            "modifier: res above 1 is a number of steps here; this tile of aihwkit takes it for a "
            "width, and weights become 0."
        )


def _relaxing(name: str, model: Any) -> Iterator[str]:
    if not model.fresh_relaxation:
        yield f"relaxation is drawn once for each device here, at each drift in aihwkit{OPTION}."


def _quantiser(name: str, config: Any) -> Iterator[str]:
    if config.percentile is not None:
        yield "percentile leaves out values at both ends here; in aihwkit at the lower end only."


Speaker = Callable[[str, Any], Iterator[str]]
SPEAKERS: list[tuple[Any, Speaker]] = [
    (rs.PulsedDevice, _pulsed),
    (rs.TransferCompound, _transfer),
    (rs.VectorUnitCell, _vector),
    (rs.OneSidedUnitCell, _one_sided),
    (rs.MixedPrecisionCompound, _mixed),
    (rs.IOParameters, _product),
    (rs.IOParametersIRDropT, _wires),
    (rs.UpdateParameters, _update),
    (rs.InputRangeParameter, _input_range),
    (rs.WeightModifierParameter, _modifier),
    (rs.InferenceRPUConfig, _inference),
    ((rs.ActivationQuantConfig, rs.WeightQuantConfig), _quantiser),
    ((rs.ReRamWan2022NoiseModel, rs.ReRamCMONoiseModel), _relaxing),
]
