"""What the support matrix tries: values of every field of a product, and what they need.

Fields whose values are members of an enumeration are tried with all of them.
"""

from __future__ import annotations

from typing import Any

from rpusim.config import Config, param
from rpusim.periphery import ReadNoise, WeightNoiseType

__all__ = [
    "CLIPS",
    "FIELDS",
    "GROUPS",
    "MODIFIERS",
    "REMAPS",
    "WIRES",
    "Cases",
    "HalfPowerNoise",
    "Settings",
]

Settings = dict[str, Any]
Cases = list[tuple[Any, Settings]]


class HalfPowerNoise(ReadNoise):
    """Read noise whose variance grows with the weight: a law of one's own, as a user writes it."""

    strength: float = param(0.1, low=0.0, doc="std at w = 1")

    @staticmethod
    def sigma(w, model):
        """Return the standard deviation of a weight."""
        return model.strength * abs(w) ** 0.5


del Config.registry["HalfPowerNoise"]  # an example, no configuration of the library


GROUPS = {
    "Passes": ("is_perfect", "mv_type"),
    "Inputs and their converter": (
        "inp_bound",
        "inp_noise",
        "inp_res",
        "inp_sto_round",
        "inp_asymmetry",
    ),
    "Outputs and their converter": (
        "out_bound",
        "out_noise",
        "out_noise_std",
        "out_noise_law",
        "out_res",
        "out_sto_round",
        "out_scale",
        "out_asymmetry",
    ),
    "Managements": ("bound_management", "noise_management"),
    "Noise of weights": ("w_noise", "w_noise_type", "read_noise"),
    "Wires and lines": (
        "ir_drop",
        "ir_drop_g_ratio",
        "ir_drop_far_first",
        "out_nonlinearity",
        "out_nonlinearity_std",
        "slope_calibration",
        "v_offset_std",
        "v_offset_law",
        "v_offset_w_min",
        "r_series",
        "r_series_max_total",
        "w_read_asymmetry_dtod",
    ),
    "Limits of managements": (
        "max_bm_factor",
        "max_bm_res",
        "bm_test_negative_bound",
        "nm_thres",
        "nm_assumed_wmax",
        "nm_decay",
    ),
    "Vectors out of the ordinary": ("zero_input_shortcut", "on_nonfinite"),
    "Slices": ("split_mode_bit_shift", "slice_adc"),
}

LOW = {"out_bound": 0.2}  # an ADC that these weights exceed
EXACT = {"out_res": 0.0}  # one that shows any change
OFFSETS, SHAPE = {"v_offset_std": 0.1}, {"out_nonlinearity": 0.5}
NOISES: dict[WeightNoiseType, Settings] = {
    kind: {} if kind is WeightNoiseType.NONE else {"w_noise": 0.1} for kind in WeightNoiseType
}
ADDITIVE = {"w_noise": 0.1, "w_noise_type": "ADDITIVE_CONSTANT"}

#: Values of fields (None: all members), and what is set beside them.
FIELDS: dict[str, Cases] = {
    "is_perfect": [(True, {})],
    "mv_type": [(None, ADDITIVE)],
    "inp_bound": [(0.5, {"noise_management": "NONE"}), (0.0, {"noise_management": "NONE"})],
    "inp_noise": [(0.1, {})],
    "inp_res": [(14.0, {}), (0.0, {})],
    "inp_sto_round": [(True, {})],
    "inp_asymmetry": [(0.2, {})],
    "out_bound": [(0.5, {}), (0.0, {})],
    "out_noise": [(0.2, {}), (0.0, {})],
    "out_noise_std": [(0.3, {})],
    "out_noise_law": [(None, {"out_noise_std": 0.3})],
    "out_res": [(62.0, {}), (0.0, {})],
    "out_sto_round": [(True, {})],
    "out_scale": [(2.0, {})],
    "out_asymmetry": [(0.2, {})],
    "bound_management": [(None, LOW)],
    "noise_management": [(None, LOW)],
    "w_noise": [(0.1, {"w_noise_type": "ADDITIVE_CONSTANT"})],
    "w_noise_type": list(NOISES.items()),
    "read_noise": [(HalfPowerNoise(), {})],
    "ir_drop": [(100.0, EXACT)],
    "ir_drop_g_ratio": [(1000.0, {"ir_drop": 1.0, **EXACT})],
    "ir_drop_far_first": [(True, {"ir_drop": 100.0, **EXACT})],
    "out_nonlinearity": [(0.5, {})],
    "out_nonlinearity_std": [(0.3, SHAPE)],
    "slope_calibration": [(0.5, SHAPE)],
    "v_offset_std": [(0.1, {})],
    "v_offset_law": [(None, OFFSETS)],
    "v_offset_w_min": [(0.0, OFFSETS)],
    "r_series": [(0.1, {})],
    "r_series_max_total": [(0.01, {"r_series": 0.1})],
    "w_read_asymmetry_dtod": [(0.2, {"mv_type": "POS_NEG_SEPARATE"})],
    "max_bm_factor": [(1, LOW)],
    "max_bm_res": [(0.01, LOW)],
    "bm_test_negative_bound": [(False, LOW)],
    "nm_thres": [(0.5, {}), (0.5, {"noise_management": "CONSTANT"})],
    "nm_assumed_wmax": [(0.1, {"noise_management": "ABS_MAX_NP_SUM", **LOW})],
    "nm_decay": [(0.5, {"noise_management": "AVERAGE_ABS_MAX"})],
    "zero_input_shortcut": [(False, {})],
    "on_nonfinite": [(None, {})],
    "split_mode_bit_shift": [(2, {"mv_type": "SPLIT_MODE"})],
    "slice_adc": [(None, {"mv_type": "SPLIT_MODE"}), (None, {"mv_type": "BIT_WISE"})],
}

SAMPLED = {"ir_drop_integration": "SAMPLED"}
#: The same for the fields that `IOParametersIRDropT` has of its own.
WIRES: dict[str, Cases] = {
    "ir_drop_rs": [(150.0, {}), (0.0, {})],
    "ir_drop_segments": [(16, {"ir_drop": 1000.0})],
    "ir_drop_time_step_resolution_scale": [(0.5, SAMPLED)],
    "ir_drop_v_bias": [(0.41, {})],
    "ir_drop_v_read": [(0.41, {})],
    "ir_drop_v_pulse": [(0.1, {"ir_drop_v_read": 0.41})],
    "ir_drop_integration": [(None, {})],
    "ir_drop_integration_sum": [(True, SAMPLED)],
    "ir_drop_in_training": [(True, {"ir_drop": 1000.0})],
    "apply_xdep_pcm_read_noise": [(True, {})],
    "xdep_pcm_read_noise_scale": [(2.0, {"apply_xdep_pcm_read_noise": True})],
    "adc_quantization": [(False, {})],
    "adc_frequency": [(1.0, {})],
}

#: What gives each type of weight modifier something to do.
MODIFIERS: dict[str, Settings] = {
    "NONE": {},
    "DISCRETIZE": {"res": 0.1},
    "DISCRETIZE_ADD_NORMAL": {"res": 0.1, "std_dev": 0.1},
    "DOREFA": {"res": 0.1},
    "DROP_CONNECT": {"pdrop": 0.3},
    "COPY": {},
}
CLIPS: dict[str, Settings] = {"FIXED_VALUE": {"fixed_value": 0.3}, "LAYER_GAUSSIAN": {"sigma": 1.0}}
REMAPS: dict[str, Settings] = {"CHANNELWISE_SYMMETRIC": {"max_scale_range": 2.0}}
