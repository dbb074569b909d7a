"""The CUDA target: launches in Numba's simulator, arrays that do not mix, code for a GPU."""

import copy
import operator
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import rpusim as rs
from rpusim.kernels import cuda, simulated_arrays
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import copied, host, is_device_array, place, put
from rpusim.kernels.team import (
    add_at,
    largest,
    meet,
    member,
    members,
    set_bits,
    total,
)

HERE = Path(__file__).parent


@pytest.fixture(params=[1, 3], ids=["alone", "three"])
def team(request, monkeypatch):
    monkeypatch.setattr(cuda, "SIMULATED_TEAM", request.param)


def summarise(begin, end, x, out, words):
    for i in range(begin, end):
        some = np.float32(0.0)
        for j in range(member(), x.shape[1], members()):
            some += x[i, j]
            add_at(out, 0, 0, x[i, j])
            set_bits(words, 0, 0, 1 << int(x[i, j]))
        out[i, 1] = total(some)
        out[i, 2] = largest(x[i, member() % x.shape[1]])
        meet()
    return 0


@pytest.mark.usefixtures("team")
def test_a_team_shares_a_row():
    x = np.arange(15, dtype=np.float32).reshape(3, 5)
    out, words = place(np.zeros((3, 3), np.float32), "cuda"), place(np.zeros((1, 1), int), "cuda")
    split(kernel(summarise, "cuda"), 3, 1e9, place(x, "cuda"), out, words)
    first = x[:, : cuda.SIMULATED_TEAM]
    expected = [x.sum(axis=1), first.max(axis=1)]
    np.testing.assert_array_equal(host(out)[:, 1:].T, expected)
    assert host(out)[0, 0] == x.sum()
    assert int(words[0, 0]) == 2**15 - 1


def test_a_launch_refuses_arrays_of_this_machine():
    here, there = np.zeros((1, 4), np.float32), place(np.zeros((1, 1), int), "cuda")
    with pytest.raises(rs.BackendError, match="place"):
        kernel(summarise, "cuda")(0, 1, place(here, "cuda"), here, there)


def test_arrays_of_the_two_memories_do_not_mix():
    here, there = np.ones(3), place(np.ones(3), "cuda")
    for mix in (
        lambda: there + here,
        lambda: here * there,
        lambda: np.where(there > 0, there, here),
        lambda: np.asarray(there),
        lambda: there.__setitem__(slice(None), here),
        lambda: np.add.reduce(there),
        lambda: there.max(initial=0.0),
    ):
        with pytest.raises(TypeError):
            mix()


def test_the_stand_in_offers_no_more_than_cupy():
    there = place(np.arange(6.0).reshape(2, 3), "cuda")
    for refused in (
        lambda: np.add(there, 1.0, where=there > 2.0),
        lambda: np.modf(there, out=(there, there)),
        lambda: np.spacing(there),
        lambda: np.max(there, initial=0.0),
        lambda: np.clip(there, min=0.0, max=1.0),
        lambda: np.percentile(there, 50.0),
        lambda: np.linalg.norm(there),
        lambda: there.sum(where=there > 2.0),
        lambda: there.astype(np.float32, casting="safe"),
        lambda: np.std(there, dtype=np.float64),  # of a mean in the dtype of the array
        lambda: there[there > 2.0],  # waits
        lambda: there.__setitem__(np.ones(2, bool), 0.0),
        lambda: there.item(0),
        lambda: operator.index(there.astype(np.int64).sum()),
        lambda: np.zeros(there.astype(np.int64)[0, 0]),
    ):
        with pytest.raises(TypeError):
            refused()
    with pytest.raises(ValueError, match="fill"):
        there[0] = [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="dtype"):
        place(np.array(["a"]), "cuda")
    assert not hasattr(there.flags, "writeable")


def test_arrays_of_the_stand_in_lie_and_last_as_those_of_cupy():
    there = place(np.arange(6.0).reshape(2, 3), "cuda")
    element, first = there[1, 2], next(iter(there[0]))
    there[...] = 7.0
    assert float(element) == float(first) == 7.0  # views, not numbers
    assert is_device_array(np.count_nonzero(there))
    assert is_device_array(np.array_equal(there, there))
    assert not there.T.flags.c_contiguous
    assert (there.T + 1.0).flags.c_contiguous
    assert place(np.asfortranarray(np.ones((2, 3))), "cuda").flags.f_contiguous
    assert place(np.ones((4, 3, 2)).transpose(0, 2, 1), "cuda").flags.c_contiguous
    assert there.T.__cuda_array_interface__["strides"] == (8, 24)
    assert there[:0].__cuda_array_interface__["data"][0] == 0
    other = copy.copy(there)
    other[...] = 0.0
    assert float(there.sum()) == 42.0


def test_a_launch_is_made_ready_once_and_without_a_warning(monkeypatch):
    made = []

    class Compiled:
        def __getitem__(self, configuration):
            warnings.warn("few teams", UserWarning, stacklevel=1)
            made.append(configuration)
            return len(made)

    launch = cuda.Launch(summarise, {})
    monkeypatch.setattr(launch, "_compiled", Compiled())
    monkeypatch.setattr(cuda, "_stream", lambda pointer: f"stream {pointer}")
    monkeypatch.setattr(cuda, "SIZES", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [launch._configured(teams, 0) for teams in (5, 5, 6, 7, 7)] == [1, 1, 2, 3, 3]
    assert made[0] == (5, cuda.TEAM, "stream 0", cuda.ROOM)


def test_arrays_go_there_and_back():
    a = np.arange(6.0).reshape(2, 3)
    there = place(a, "cuda")
    assert is_device_array(there)
    assert not is_device_array(a)
    assert place(there, "cuda") is there
    assert host(a) is a
    assert copied(a) is not a
    put(there, 2.0 * a)
    np.testing.assert_array_equal(host(there), 2.0 * a)
    put(a, there)
    np.testing.assert_array_equal(a, host(there))
    a[:] = 0.0
    assert float(there.sum()) == 30.0


def test_memory_that_nobody_set_shows_itself():
    assert np.isnan(host(simulated_arrays.empty((2, 2), np.float32))).all()


def test_without_a_gpu_there_is_an_error_and_no_fall_back():
    code = "import rpusim as rs; rs.AnalogTile(2, 3, backend='cuda')"
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0", "CUDA_VISIBLE_DEVICES": "-1"}
    environment["PYTHONWARNINGS"] = "ignore"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0
    assert "BackendError" in done.stderr
    assert "rpusim[cuda]" in done.stderr or "found no GPU" in done.stderr


def test_all_kernels_of_tiles_compile_for_a_gpu():
    pytest.importorskip("numba_cuda", reason="code for a GPU needs the package numba-cuda[cu12]")
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, str(HERE / "compile_launches.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1500,
    )
    if "no compiler" in done.stdout:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failed" in done.stdout
