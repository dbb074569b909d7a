"""Classes of aihwkit that hold other fields than their namesakes here, and back.

Noise models hold what they were given or fill in (a converter, coefficients, conductances), where
those of rpusim hold None for their own. Quantisers hold the options of their estimator in an object
of its own. `READ` turns converted attributes into fields, `WRITE` a configuration into attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rpusim as rs
from rpusim.inference import hermes, pcm_noise, reram_cmo, reram_wan

__all__ = ["READ", "REFERENCE_COEFFS", "WRITE"]

Fields = dict[str, Any]
PCM_G_MAX = 25.0  # uS: of pairs, unless given
SINGLE = rs.SinglePairConductanceConverter
ERROR = (0.2, 0.0, 0.0)  # uS: of the model that does not depend on the state
REFERENCE_COEFFS = (0.0105392, 0.0768, -0.046925)  # aihwkit's default polynomial of modified copies


def _plain(value: Any) -> Any:
    """Return lists as tuples and tables as (key, value) pairs, all numbers as floats."""
    if isinstance(value, dict):
        return tuple(
            (_plain(k) if not isinstance(k, str) else k, _plain(v)) for k, v in value.items()
        )
    if isinstance(value, list | tuple):
        return tuple(_plain(v) for v in value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _own_if(fields: Fields, name: str, default: Any) -> None:
    """Replace a field by None if it has the value that None stands for."""
    if name in fields and _plain(fields[name]) == _plain(default):
        fields[name] = None


def _rows(table: Any) -> dict[Any, Any]:
    """Return (key, value) pairs as the dict of lists that aihwkit holds."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in table}


def _own_polynomial(kind: str, g_max: float) -> tuple[float, ...] | None:
    """Return what coefficients of None stand for in modified copies; None: nothing reads them."""
    if kind == "POLY":
        return tuple(c / g_max for c in pcm_noise.PCM_COEFFS)
    return pcm_noise.PCM_COEFFS if kind == "PROG_NOISE" else None


# -------------------------------------------------------------------- reading


def _largest(fields: Fields, own: float) -> Any:
    """Return the largest conductance: of the converter, as given, or the model's own."""
    return getattr(fields.get("g_converter"), "g_max", None) or fields.get("g_max") or own


def _read_converter(fields: Fields, g_max: float) -> None:
    """Settle converter and largest conductance: by the number, if it says all."""
    converter: Any = fields.get("g_converter")
    if not hasattr(converter, "g_max"):
        return
    if converter == SINGLE(g_max=converter.g_max):
        same = fields.get("g_max") in (None, converter.g_max)
        fields["g_max"] = converter.g_max if same else fields["g_max"]
        if same:
            fields["g_converter"] = None
            _own_if(fields, "g_max", g_max)
    elif fields.get("g_max") == converter.g_max:
        fields["g_max"] = None


def _read_coefficients(fields: Fields, coeffs: tuple[float, ...], measured: float) -> None:
    """Settle a polynomial and the conductance at which it was measured."""
    g_max = _largest(fields, measured)
    _own_if(fields, "prog_coeff", coeffs)
    own = measured if fields.get("prog_coeff") is None else g_max
    _own_if(fields, "prog_coeff_g_max_reference", own)


def _read_base(fields: Fields) -> Fields:
    _own_if(fields, "g_converter", SINGLE())
    return fields


def _read_pcm(fields: Fields) -> Fields:
    _read_converter(fields, PCM_G_MAX)
    _read_coefficients(fields, pcm_noise.PCM_COEFFS, PCM_G_MAX)
    return fields


def _read_hermes(fields: Fields) -> Fields:
    devices = fields.get("num_devices", 2)
    if devices in hermes.LARGEST:
        _read_converter(fields, hermes.LARGEST[devices])
        _read_coefficients(fields, hermes.ERROR[devices], hermes.LARGEST[devices])
        _own_if(fields, "t_0", hermes.AGE[devices])
    return fields


def _read_wan(fields: Fields) -> Fields:
    g_max = _largest(fields, PCM_G_MAX)
    _read_converter(fields, PCM_G_MAX)
    _own_if(fields, "coeff_dic", dict(reram_wan.MEASURED))
    own = reram_wan.FITTED_AT if fields.get("coeff_dic") is None else g_max
    _own_if(fields, "coeff_g_max_reference", own)
    return fields


def _read_cmo(fields: Fields) -> Fields:
    converter = fields.get("g_converter")
    _own_if(fields, "g_max", reram_cmo.LARGEST)
    _own_if(fields, "g_min", reram_cmo.SMALLEST)
    like = {name: fields[name] for name in ("g_max", "g_min") if fields.get(name) is not None}
    if converter == rs.SingleDeviceConductanceConverter(**like):
        fields["g_converter"] = None
    for name, own in (
        ("coeff_dict", reram_cmo.ERRORS),
        ("decay_dict", reram_cmo.DECAY),
        ("read_dict", reram_cmo.READ),
    ):
        _own_if(fields, name, dict(own))
    return fields


def _read_state_independent(fields: Fields) -> Fields:
    """As aihwkit computes it, read noise is relative to the largest conductance, in 1/uS."""
    g_max = _largest(fields, PCM_G_MAX)
    _read_converter(fields, PCM_G_MAX)
    _own_if(fields, "prog_coeff", ERROR)
    return {**fields, "read_q": 1.0 / g_max} if isinstance(g_max, int | float) else fields


def _read_pmax(fields: Fields) -> Fields:
    """Leave out what follows from the range, as it does in aihwkit, whatever is given there."""
    for name in ("w_max", "w_min", "dw_min", "up_down"):
        fields.pop(name, None)
    return fields


def _read_quantiser(fields: Fields) -> Fields:
    """Take the options out of the object of the estimator."""
    estimator = fields.pop("_range_estimator", None)
    options = fields.pop("_range_estimator_params", None) or {}
    if estimator is not None:
        fields["range_estimator"] = estimator
    if not isinstance(options, dict):  # a configuration refuses the name
        options = {"range_estimator_params": options}
    return {**fields, **options}


def _read_modifier(fields: Fields) -> Fields:
    """Take aihwkit's default polynomial for meant where something reads it, else for none."""
    own = _own_polynomial(fields.get("type", "NONE"), fields.get("g_max", PCM_G_MAX))
    _own_if(fields, "coeffs", own or REFERENCE_COEFFS)
    return fields


def _read_wires(fields: Fields) -> Fields:
    """Sample currents in time, if the object says how."""
    said = fields.get("ir_drop_integration_sum") is True
    said |= fields.get("ir_drop_time_step_resolution_scale", 1.0) != 1.0
    return {**fields, "ir_drop_integration": "SAMPLED"} if said else fields


#: class of aihwkit -> from its attributes, converted, to the fields of rpusim's class
READ: dict[str, Callable[[Fields], Fields]] = {
    "BaseNoiseModel": _read_base,
    "PCMLikeNoiseModel": _read_pcm,
    "CustomDriftPCMLikeNoiseModel": _read_pcm,
    "HermesNoiseModel": _read_hermes,
    "ReRamWan2022NoiseModel": _read_wan,
    "ReRamCMONoiseModel": _read_cmo,
    "StateIndependentNoiseModel": _read_state_independent,
    "SoftBoundsPmaxDevice": _read_pmax,
    "ActivationQuantConfig": _read_quantiser,
    "WeightQuantConfig": _read_quantiser,
    "WeightModifierParameter": _read_modifier,
    "IOParametersIRDropT": _read_wires,
}


# -------------------------------------------------------------------- writing


def _write_converter(config: Any) -> Fields:
    """Return a converter and its largest conductance, both of which aihwkit holds."""
    return {"g_converter": config.converter, "g_max": config.converter.g_max}


def _write_base(config: Any) -> Fields:
    return {"g_converter": config.converter}


def _write_coefficients(config: Any, coeffs: tuple[float, ...], measured: float) -> Fields:
    own = measured if config.prog_coeff is None else config.converter.g_max
    return {
        "prog_coeff": list(config.prog_coeff or coeffs),
        "prog_coeff_g_max_reference": config.prog_coeff_g_max_reference or own,
    }


def _write_pcm(config: Any) -> Fields:
    table = getattr(config, "custom_drift_model", None)
    return {
        **_write_converter(config),
        **_write_coefficients(config, pcm_noise.PCM_COEFFS, PCM_G_MAX),
        **({} if table is None else {"custom_drift_model": _rows(table)}),
    }


def _write_hermes(config: Any) -> Fields:
    n = config.num_devices
    return {
        **_write_converter(config),
        **_write_coefficients(config, hermes.ERROR[n], hermes.LARGEST[n]),
        "t_0": config.t_0 or hermes.AGE[n],
    }


def _write_wan(config: Any) -> Fields:
    own = reram_wan.FITTED_AT if config.coeff_dic is None else config.converter.g_max
    return {
        **_write_converter(config),
        "coeff_dic": _rows(config.coeff_dic or reram_wan.MEASURED),
        "coeff_g_max_reference": config.coeff_g_max_reference or own,
    }


def _write_cmo(config: Any) -> Fields:
    return {
        **_write_converter(config),
        "g_min": config.converter.g_min,
        "coeff_dict": _rows(config.coeff_dict or reram_cmo.ERRORS),
        "decay_dict": _rows(config.decay_dict or reram_cmo.DECAY),
        "read_dict": _rows(config.read_dict or reram_cmo.READ),
    }


def _write_state_independent(config: Any) -> Fields:
    gain = config.read_q * config.converter.g_max
    return {
        **_write_converter(config),
        "prog_coeff": list(config.prog_coeff or ERROR),
        "read_noise_scale": config.read_noise_scale * (1.0 if abs(gain - 1.0) < 1e-12 else gain),
    }


def _write_pmax(config: Any) -> Fields:
    return {}  # aihwkit derives the rest itself


def _write_modifier(config: Any) -> Fields:
    fields: Fields = {}
    if config.coeffs is None:
        own = _own_polynomial(config.type.name, config.g_max)
        fields["coeffs"] = list(own or REFERENCE_COEFFS)
    if config.res > 1.0:  # a number of steps, which aihwkit's tiles do not all know
        fields["res"] = 1.0 / config.res
    return fields


def _write_fusion(config: Any) -> Fields:
    whole = config.g_max == int(config.g_max)
    return {"g_max": int(config.g_max) if whole else config.g_max}


#: class of aihwkit -> from a configuration of rpusim to the attributes that differ from its fields
WRITE: dict[str, Callable[[Any], Fields]] = {
    "PCMLikeNoiseModel": _write_pcm,
    "CustomDriftPCMLikeNoiseModel": _write_pcm,
    "HermesNoiseModel": _write_hermes,
    "ReRamWan2022NoiseModel": _write_wan,
    "ReRamCMONoiseModel": _write_cmo,
    "StateIndependentNoiseModel": _write_state_independent,
    "BaseNoiseModel": _write_base,
    "SoftBoundsPmaxDevice": _write_pmax,
    "WeightModifierParameter": _write_modifier,
    "FusionConductanceConverter": _write_fusion,
}
