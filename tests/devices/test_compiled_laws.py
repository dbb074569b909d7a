"""Machine code does what plain Python does, bit by bit, whichever process cached it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rpusim as rs
from tests.backends import OTHERS
from tests.devices.pulsed import FEATURES, device_named

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, numpy as np, rpusim as rs
from tests.devices.pulsed import flat, held, pulse, tile_of
for mult_noise in (word == "mult" for word in sys.argv[1:]):
    law = dict(gamma_up=0.5, w_max=1.0, w_min=-1.0, mult_noise=mult_noise)
    tile = tile_of(flat(rs.LinearStepDevice, dw_min=0.01, dw_min_std=1.0, **law), (100, 100), -0.8)
    pulse(tile, 1)
    sys.stdout.write(f"{held(tile).std():.6f} ")
"""


def spreads(cache, *laws):
    """Return the spread after one pulse of each law, in a process with this cache."""
    paths = {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, *laws],
        env=os.environ | paths, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return answer.stdout.split()


@pytest.mark.slow
def test_laws_cached_by_different_processes_do_not_mix(tmp_path):
    expected = spreads(tmp_path / "a", "mult") + spreads(tmp_path / "b", "additive")
    assert float(expected[0]) > 1.2 * float(expected[1])
    shutil.copytree(tmp_path / "a", tmp_path / "b", dirs_exist_ok=True)
    assert spreads(tmp_path / "b", "mult", "additive") == expected


def rich(name):
    """Return a device with noise of all kinds and some stuck neighbours."""
    noise = dict(dw_min_std=0.7, corrupt_devices_prob=0.1, lifetime=30.0, reset_dtod=0.05)
    if issubclass(FEATURES[name][0], rs.WriteNoiseDevice):
        noise["write_noise_std"] = 1.0
    return device_named(name, **noise)


def trained(device, backend):
    """Return the state of a tile after updates with batches, decay and reset."""
    tile = rs.AnalogTile(3, 5, device, rng=4, backend=backend)
    rng = np.random.default_rng(5)
    for _ in range(4):
        tile.update(rng.normal(size=(6, 5)), rng.normal(size=(6, 3)), learning_rate=0.03)
        tile.post_update_step()
    tile.reset_columns(start=1, count=2, prob=0.5)
    return tile.state_dict()


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", FEATURES)
def test_all_backends_give_the_same_bits(name, other):
    fast, plain = (trained(rich(name), backend) for backend in ("cpu", other))
    for key, value in fast.items():
        assert np.array_equal(value, plain[key]), key


@pytest.mark.parametrize("name", FEATURES)
def test_a_device_passes_the_checks_for_laws_of_ones_own(name):
    rs.testing.check_device(rich(name))
