"""A tile on a GPU computes what one on the CPU does, to rounding: simulated, or real by `-m gpu`.

Draws are the same words, so nothing here is statistics. A GPU fuses multiplications and additions:
numbers agree to some roundings, and where a converter or a train decides by the last bit, one step
may fall on the other side, in one of many.
"""

import numpy as np
import pytest

import rpusim as rs
from rpusim.kernels.cuda import simulated
from rpusim.kernels.device_arrays import host, place
from tests.backends import SIMULATED_OR_REAL
from tests.devices.pulsed import FEATURES

pytestmark = [
    pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning"),
    pytest.mark.parametrize("backend", SIMULATED_OR_REAL),
]

RNG = np.random.default_rng(5)
OUT, IN = 7, 9
X, D = (RNG.normal(size=(5, n)).astype(np.float32) for n in (IN, OUT))
FINE = rs.IOParameters(inp_res=0.0, out_res=0.0, out_noise=0.05)
COARSE = rs.IOParameters(ir_drop=0.3, v_offset_std=0.05, out_nonlinearity=0.1, r_series=0.01)
CELLS = {
    "Tiki-Taka": rs.TransferCompound([rs.SoftBoundsDevice()] * 2, units_in_mbatch=False),
    "buffered": rs.BufferedTransferCompound([rs.SoftBoundsDevice()] * 2, units_in_mbatch=False),
    "mixed precision": rs.MixedPrecisionCompound(rs.SoftBoundsDevice()),
    "one-sided": rs.OneSidedUnitCell([rs.SoftBoundsDevice()] * 2, refresh_every=2),
    "sum": rs.VectorUnitCell([rs.ConstantStepDevice(), rs.SoftBoundsDevice()]),
}
DEVICES = {name: kind(**options) for name, (kind, options) in FEATURES.items()} | CELLS
NOISE = {
    "pcm": rs.PCMLikeNoiseModel(),
    "reram": rs.ReRamCMONoiseModel(),
    "state-independent": rs.StateIndependentNoiseModel(),
}


def close(there, here, step=0.0, rare=0.02):
    """Check equality to rounding; `rare` of the numbers may differ by one `step`."""
    there, here = host(there), np.asarray(here)
    assert there.shape == here.shape
    rounding = 2e-5 * max(float(np.abs(here).max(initial=0.0)), 1e-3)
    apart = np.abs(there.astype(float) - here.astype(float)) > rounding
    assert (np.abs(there - here) <= step + rounding).all()
    assert apart.mean() <= (rare if step > 0.0 else 0.0)


@pytest.mark.parametrize("name", DEVICES)
def test_devices_take_the_same_pulses(name, backend):
    config = rs.RPUConfig(device=DEVICES[name], forward=FINE, backward=FINE)
    here, there = (rs.AnalogTile(OUT, IN, config, rng=3, backend=b) for b in ("cpu", backend))
    for tile in (here, there):
        for _ in range(3):
            tile.update(X, D, learning_rate=0.02)
            tile.post_update_step()
    assert there.stats.pulses == pytest.approx(here.stats.pulses, rel=1e-2)
    mine, theirs = here.state_dict(), there.state_dict()
    np.testing.assert_array_equal(theirs["rng_steps"], mine["rng_steps"])
    close(there.get_weights()[0], here.get_weights()[0], step=0.05)
    close(there.forward(X), here.forward(X), step=0.2, rare=1.0)


@pytest.mark.parametrize("io", [FINE, COARSE, rs.IOParameters()], ids=["fine", "coarse", "default"])
def test_products_are_the_same(io, backend):
    config = rs.RPUConfig(device=rs.IdealDevice(), forward=io, backward=io)
    here, there = (rs.AnalogTile(OUT, IN, config, rng=3, backend=b) for b in ("cpu", backend))
    scale = np.abs(X).max(axis=1)[:, None]
    step = float(scale.max() * io.out_bound * max(io.out_res, 0.0) * 2.0)
    for _ in range(2):
        close(there.forward(X), here.forward(X), step)
        close(there.backward(D), here.backward(D), float(np.abs(D).max() / scale.max() * step))
        close(there.forward(place(X, "cuda")), here.forward(X), step)


@pytest.mark.parametrize("name", NOISE)
def test_programmed_devices_drift_alike(name, backend):
    config = rs.InferenceRPUConfig(
        noise_model=NOISE[name],
        drift_compensation=rs.GlobalDriftCompensation(),
        modifier=dict(type="ADD_NORMAL", std_dev=0.1),
        forward=FINE,
    )
    here, there = (rs.InferenceTile(OUT, IN, config, rng=3, backend=b) for b in ("cpu", backend))
    close(there.forward(X), here.forward(X))
    for tile in (here, there):
        tile.update(X, D, learning_rate=0.02)
        tile.post_update_step()
        tile.program_weights()
    for t in (1.0, 3600.0, 3.2e7):
        here.drift_weights(t)
        there.drift_weights(t)
        close(there.get_weights()[0], here.get_weights()[0])
        close(there.alpha, here.alpha)
        close(there.forward(X, is_test=True), here.forward(X, is_test=True))


def test_large_products_go_to_a_library(backend):
    size, batch = (64, 4) if simulated() else (2048, 16)
    config = rs.RPUConfig(device=rs.IdealDevice(), forward=FINE)
    here, there = (rs.AnalogTile(size, size, config, rng=3, backend=b) for b in ("cpu", backend))
    x = RNG.normal(size=(batch, size)).astype(np.float32)
    close(there.forward(x), here.forward(x))
