"""What both sides of the benchmark time, and how; imports neither library."""

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
DIGITS = ("FloatingPoint", "IdealizedPreset", "GokmenVlasovPreset", "EcRamPreset")
SHAPES = ((512, 32), (1024, 512), (64, 10))  # size, batch


def median(call, repeats=9):
    """Return the median time of a call, after two to warm up."""
    call(), call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times)[repeats // 2]
