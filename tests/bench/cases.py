"""What both sides of the benchmark time, and how; imports neither library."""

import sys
import time

DEVICES = {
    "constant": ("ConstantStepDevice", {}),
    "linear": ("LinearStepDevice", {}),
    "soft bounds": ("SoftBoundsDevice", {}),
    "soft bounds, pmax": ("SoftBoundsPmaxDevice", {}),
    "soft bounds, reference": ("SoftBoundsReferenceDevice", {}),
    "soft bounds, write noise": ("SoftBoundsDevice", {"write_noise_std": 10.0}),
    "exponential": ("ExpStepDevice", {}),
    "exponential, complex noise": ("ExpStepDevice", {"dw_min_std_add": 0.01}),
    "power": ("PowStepDevice", {}),
    "power, reference": ("PowStepReferenceDevice", {}),
    "piecewise, 1 node": ("PiecewiseStepDevice", {}),
    "piecewise, 5 nodes": (
        "PiecewiseStepDevice",
        {"piecewise_up": [1.2, 1.1, 1.0, 0.9, 0.8], "piecewise_down": [0.8, 0.9, 1.0, 1.1, 1.2]},
    ),
}
TO_AND_FRO = ("constant", "soft bounds")
TRAINS = ((2, 0.01), (31, 1.0))  # length, learning rate
PCM = {"w_noise": 0.0175, "w_noise_type": "PCM_READ"}
PRODUCTS = {
    "additive weight noise": {"w_noise": 0.0175, "w_noise_type": "ADDITIVE_CONSTANT"},
    "PCM read noise": PCM,
    "PCM read noise, wires": {**PCM, "ir_drop": 1.0},
    "lines bent, offset, in series": {
        "out_nonlinearity": 0.5,
        "slope_calibration": 0.5,
        "v_offset_std": 0.1,
        "r_series": 0.1,
    },
    "signs apart": {"mv_type": "POS_NEG_SEPARATE"},
    "signs apart, PCM read noise, wires": {
        **PCM,
        "ir_drop": 1.0,
        "mv_type": "POS_NEG_SEPARATE_DIGITAL_SUM",
    },
}
ENUMERATIONS = {"w_noise_type": "WeightNoiseType", "mv_type": "AnalogMVType"}
LADDER = ("ONE_PASS", "SPLIT_MODE", "BIT_WISE")  # 256 x 256, batch 8, with and without noise
COMPOUNDS = (
    "PCMPreset",
    "ReRamSB2Preset",
    "TikiTakaReRamSBPreset",
    "TTv2ReRamSBPreset",
    "ChoppedTTv2ReRamSBPreset",
    "AGADReRamSBPreset",
    "MixedPrecisionReRamSBPreset",
)
MODELS = (
    "PCMLikeNoiseModel",
    "HermesNoiseModel",
    "StateIndependentNoiseModel",
    "ReRamWan2022NoiseModel",
    "ReRamCMONoiseModel",
)
COMPENSATED = ("compensated", "")  # 1024 x 1024, drift to a day
SECTIONS = ("updates", "forward", "products", "ladder", "compounds", "inference", "digits")
DIGITS = (
    "FloatingPoint",
    "IdealizedPreset",
    "GokmenVlasovPreset",
    "EcRamPreset",
    "PCMPreset",
    "TikiTakaCapacitorPreset",
    "TTv2ReRamSBPreset",
    "ChoppedTTv2EcRamPreset",
    "AGADReRamESPreset",
    "MixedPrecisionReRamESPreset",
)
SHAPES = ((512, 32), (1024, 512), (64, 10))  # size, batch


def wanted(section):
    """Return whether a section is to be timed: it is named in the arguments, or none is."""
    return len(sys.argv) < 2 or section in sys.argv[1:]


def median(call, repeats=9):
    """Return the median time of a call, after two to warm up."""
    call(), call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times)[repeats // 2]
