"""Compile for a GPU what the tiles launch, without one: run as a program by `test_cuda.py`.

Every launch is replaced by its compilation to PTX for its arguments; nothing is computed, so what
the tiles return is meaningless. The simulator cannot do this: it knows no types.
"""

import sys
import traceback
import warnings

import numpy as np
from numba import float32, typeof

import rpusim as rs
from rpusim.kernels import cuda, simulated_arrays

seen = {}


def double(x):
    return x + x


def compile_instead(launch, first, last, *args):
    """Compile a launch for its arguments."""
    inner = tuple(cuda.launchable(a) for a in args)
    key = (id(launch), str(typeof(inner)))
    if last > first and key not in seen:
        seen[key] = "failed"
        name = launch.name
        try:
            text = cuda.ptx_of_launch(launch, *inner)
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {str(error)[:2000]}")
            return 0
        lines = [line for line in text.splitlines() if ".f64" in line]
        double = sum(".param" not in line and ".reg" not in line for line in lines)
        seen[key] = name
        print(f"{name}: {len(text)} characters, {double} instructions in double precision")
    return 0


def exercise(config, kind=rs.AnalogTile):
    """Let a tile do what it can."""
    rng = np.random.default_rng(0)
    x, d = rng.normal(size=(3, 6)).astype("f4"), rng.normal(size=(3, 5)).astype("f4")
    tile = kind(5, 6, config, rng=1, backend="cuda")
    calls = [
        lambda: tile.update(x, d, 0.1),
        lambda: tile.forward(x),
        lambda: tile.backward(d),
        lambda: tile.post_update_step(),
        lambda: tile.reset_columns(),
    ]
    if kind is rs.InferenceTile:
        calls.append(lambda: tile.program_weights())
    calls += [lambda: tile.drift_weights(2.0), lambda: tile.forward(x, is_test=True)]
    for call in calls:
        try:
            call()
        except rs.RpusimError as error:  # of meaningless numbers
            print(f"({type(error).__name__}: {str(error)[:80]})")


def main():
    cuda.arrays, cuda.check = simulated_arrays, lambda: None
    try:
        cuda.ptx(double, (float32,))
    except Exception as error:
        print(f"no compiler for a GPU is installed (numba-cuda[cu12]): {type(error).__name__}")
        return 0
    cuda.Launch.__call__ = compile_instead
    simulated_arrays.empty = simulated_arrays.zeros  # numbers that nobody computes: no NaN
    warnings.simplefilter("ignore")
    everything = dict(lifetime=10.0, diffusion=0.1, drift=dict(nu=0.1, nu_std=0.1), reset_std=0.1)
    rows = {"steps_up": [[0.1, 0.2], [0.2, 0.1]], "steps_down": [[0.1, 0.2]] * 2}
    for device in (
        rs.ConstantStepDevice(**everything),
        rs.LinearStepDevice(count_pulses=True, write_noise_std=1.0),
        rs.SoftBoundsReferenceDevice(subtract_symmetry_point=True),
        rs.ExpStepDevice(dw_min_std_add=0.1),
        rs.PowStepDevice(),
        rs.PiecewiseStepDevice(piecewise_up=[1, 2], piecewise_down=[2, 1]),
        rs.LookupTableDevice(**rows),
        rs.HiddenStepDevice(hs_dw_min_std=0.1),
        rs.MixedPrecisionCompound(rs.ConstantStepDevice()),
        rs.IntegerMixedPrecisionCompound(rs.ConstantStepDevice()),
        rs.OneSidedUnitCell([rs.SoftBoundsDevice()] * 2),
    ):
        exercise(rs.RPUConfig(device=device))
    constant = rs.ConstantStepDevice()
    for kind in rs.PulseType:
        exercise(rs.RPUConfig(device=constant, update=rs.UpdateParameters(pulse_type=kind)))
    for io in (
        rs.IOParameters(ir_drop=0.1, v_offset_std=0.1, r_series=0.01, out_nonlinearity=0.1),
        rs.IOParameters(w_noise=0.1, w_noise_type="PCM_READ"),
        rs.IOParametersIRDropT(),
    ):
        exercise(rs.RPUConfig(forward=io))
    for model in (
        rs.PCMLikeNoiseModel(),
        rs.StateIndependentNoiseModel(),
        rs.ReRamWan2022NoiseModel(interpolate=True),
        rs.ReRamCMONoiseModel(),
    ):
        exercise(rs.InferenceRPUConfig(noise_model=model), rs.InferenceTile)
    for modifier in rs.WeightModifierType:
        options = dict(type=modifier.name, std_dev=0.1)
        if modifier.name == "DROP_CONNECT":
            options["pdrop"] = 0.1
        exercise(rs.InferenceRPUConfig(modifier=options), rs.InferenceTile)
    failed = sum(value == "failed" for value in seen.values())
    print(f"{len(seen)} kernels, {failed} failed")
    return failed


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception:
        traceback.print_exc(file=sys.stdout)
        sys.exit(1)
