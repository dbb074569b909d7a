"""The same laws on the CUDA grid: updates in Numba's simulator, laws as PTX where that compiles."""

import os
import subprocess
import sys
import textwrap

import pytest

SIMULATE = """
    import numpy as np
    import rpusim as rs
    from rpusim.kernels.cuda import launch_grid, simulated
    from rpusim.pulses.aggregate import aggregate_plainly
    from rpusim.pulses.plan import plan
    from rpusim.pulses.trains import chunks, coincide, trains
    from rpusim.pulses.walk import walk_plainly
    from rpusim.kernels.streams import Purpose

    class Cubic(rs.PulsedDevice):
        strength: float = rs.per_device(1.0, dtod=0.1)

        @staticmethod
        def pulse(w, sign, dev, model, z):
            gap = 1.0 - sign * w / (dev.max_bound if sign > 0.0 else -dev.min_bound)
            step = dev.strength * dev.dwmin_up * gap * gap * gap
            return w + sign * step * (1.0 + model.dw_min_std * z)

    assert simulated()
    rng = np.random.default_rng(0)
    x, d = rng.normal(size=(3, 6)).astype("f4"), rng.normal(size=(3, 5)).astype("f4")
    steep = rs.ConstantStepDevice(dw_min=0.02)
    for device in (
        steep,
        rs.LinearStepDevice(),
        rs.SoftBoundsDevice(),
        rs.SoftBoundsReferenceDevice(reference_mean=0.1),
        rs.ExpStepDevice(dw_min_std_add=0.1),
        rs.PowStepReferenceDevice(),
        rs.PiecewiseStepDevice(piecewise_up=[1, 2, 1], piecewise_down=[2, 1, 1]),
        rs.LookupTableDevice(steps_up=[[0.1, 0.2], [0.2, 0.1]], steps_down=[[0.1, 0.2]] * 2),
        rs.HiddenStepDevice(hs_dw_min_std=0.3),
        Cubic(),
    ):
        here, there = (rs.AnalogTile(5, 6, device, rng=4) for _ in range(2))
        here.update(x, d, 0.1)
        box, settings = there.crossbar, there.rpu_config.update
        planned = plan(x, d, 0.1, box.granularity, settings)
        keys = (*box.streams.key(Purpose.TRAIN_X), *box.streams.key(Purpose.TRAIN_D))
        t = trains(x, d, planned, chunks(planned)[0], settings, 0, keys)
        step = box.streams.take(Purpose.UPDATE_BATCH)
        noise = box.streams.keys((Purpose.UPDATE_BATCH, Purpose.UPDATE_PULSE))
        body = walk_plainly if device.step_depends_on_weight else aggregate_plainly
        names = {**device.bound_law()._asdict(), "coincide": coincide}
        hits, counts = np.zeros((0, 0), np.uint8), np.zeros((5, 2), np.int64)
        args = (box.persistent, box.planes, box._model, t.xw, t.xs, t.dw, t.ds, t.offsets)
        launch_grid(body, (5, 6), *args, step, noise, hits, counts, **names)
        assert np.array_equal(here.crossbar.persistent, box.persistent), type(device).__name__
        assert counts.sum() == here.stats.pulses > 0
    print("equal")
"""


def test_updates_on_the_simulated_grid_give_the_cpus_bits():
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SIMULATE)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.strip() == "equal", done.stderr


def double(x):
    return x + x


def test_the_laws_compile_to_ptx_without_double_precision():
    pytest.importorskip("numba_cuda", reason="PTX needs the package numba-cuda[cu13]")
    from numba import float32, int64, types

    import rpusim as rs
    from rpusim.kernels.cuda import ptx
    from rpusim.kernels.random import normals4

    try:
        ptx(double, (float32,))
    except Exception as error:
        pytest.skip(f"no compiler for PTX is installed (numba-cuda[cu13]): {type(error).__name__}")
    assert ".f64" not in ptx(normals4, (int64,) * 6)
    nodes = {"piecewise_up": [1, 2], "piecewise_down": [2, 1]}
    rows = {"steps_up": [[1, 2], [2, 1]], "steps_down": [[1, 2], [2, 1]]}
    for device, tables in (
        (rs.ConstantStepDevice(), 0),
        (rs.LinearStepDevice(), 0),
        (rs.SoftBoundsDevice(), 0),
        (rs.ExpStepDevice(), 0),
        (rs.PowStepDevice(), 0),
        (rs.PiecewiseStepDevice(**nodes), 2),
        (rs.LookupTableDevice(**rows), 2),
        (rs.HiddenStepDevice(), 0),
    ):
        law = device.bound_law()
        views = types.UniTuple(float32[::1], tables) if tables else types.Tuple(())
        arguments = (float32, float32, float32[::1], views, int64, int64, *[float32] * 4)
        assert ".f64" not in ptx(law.advance, arguments), type(device).__name__
