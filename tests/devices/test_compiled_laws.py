"""Laws whose machine code was cached by different processes stay apart where both are loaded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
