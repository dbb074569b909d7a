"""Threads: every row once, the largest result, errors that come through, who sets their number."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import BackendError, ConfigError
from rpusim.kernels import backend
from rpusim.kernels.backend import check_backend, split

ROOT = Path(__file__).resolve().parents[2]
MUCH = 1e12  # nanoseconds: worth any number of threads


@pytest.fixture(autouse=True)
def keep_the_number_of_threads():
    before = rs.get_num_threads()
    yield
    rs.set_num_threads(before)


def ranges(count, threads, work=MUCH):
    """Return the ranges that `split` asks for, and the threads that worked on them."""
    rs.set_num_threads(threads)
    seen, lock = [], threading.Lock()

    def note(first, last):
        with lock:
            seen.append((first, last, threading.get_ident()))
        return last

    return split(note, count, work), sorted(seen)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 100])
def test_split_covers_every_row_once_and_returns_the_largest(count, threads):
    largest, seen = ranges(count, threads)
    assert [row for first, last, _ in seen for row in range(first, last)] == [*range(count)]
    assert len(seen) == min(count, threads)
    assert all(last > first for first, last, _ in seen)
    assert largest == count


def test_split_of_nothing_asks_for_nothing():
    assert ranges(0, 3)[1] == [(0, 0, threading.get_ident())]


def test_little_work_stays_in_the_calling_thread():
    for work in (0.0, 1.9 * backend.WORTH_A_THREAD):
        _, seen = ranges(100, 4, work)
        assert seen == [(0, 100, threading.get_ident())]
    assert len(ranges(100, 4, 2.0 * backend.WORTH_A_THREAD)[1]) == 2


@pytest.mark.parametrize("guilty", [0, 25, 50, 75])
def test_an_exception_in_any_thread_reaches_the_caller(guilty):
    rs.set_num_threads(4)

    def fail(first, last):
        if first == guilty:
            raise ArithmeticError(f"rows from {first}")
        return 0

    with pytest.raises(ArithmeticError, match=f"rows from {guilty}$"):
        split(fail, 100, MUCH)
    assert ranges(100, 4)[0] == 100  # and the next call works


def test_arguments_are_passed_on():
    out = np.zeros(10)

    def fill(first, last, values, scale):
        out[first:last] = scale * values[first:last]
        return 0

    rs.set_num_threads(3)
    split(fill, 10, MUCH, np.arange(10.0), 2.0)
    np.testing.assert_array_equal(out, 2.0 * np.arange(10.0))


def test_callers_may_have_threads_of_their_own():
    rs.set_num_threads(2)
    tile = rs.AnalogTile(300, 200, rs.IdealDevice(), rng=1)
    x = np.random.default_rng(1).normal(size=(700, 200)).astype(np.float32)
    io = tile._forward
    digital = np.stack([np.ones(300, np.float32), np.zeros(300, np.float32)])
    args = (tile.crossbar.weights, digital, 0, (1, 2))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: io(x, *args)[0], range(4)))
    for result in results:
        np.testing.assert_array_equal(result, results[0])


# ---------------------------------------------------------------- their number


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", None, True])
def test_the_number_of_threads_must_be_a_positive_integer(count):
    before = rs.get_num_threads()
    with pytest.raises(
        ConfigError, match=r"set_num_threads: count must be a positive integer, got "
    ):
        rs.set_num_threads(count)
    assert rs.get_num_threads() == before


def test_the_number_that_was_set_is_returned():
    for count in (3, 1, 2):
        rs.set_num_threads(count)
        assert rs.get_num_threads() == count


def test_a_numpy_integer_is_an_integer():
    rs.set_num_threads(np.int64(2))
    assert rs.get_num_threads() == 2


def test_the_environment_variable_sets_the_number_at_start():
    code = "import rpusim as rs, sys; sys.stdout.write(str(rs.get_num_threads()))"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "RPUSIM_NUM_THREADS": "5"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "5"), done.stderr


@pytest.mark.parametrize("text", ["0", "-2", "many", "1.5"])
def test_an_environment_variable_that_is_no_number_is_refused(text, monkeypatch):
    monkeypatch.setenv("RPUSIM_NUM_THREADS", text)
    monkeypatch.setattr(backend, "_threads", None)
    with pytest.raises(ConfigError, match=f"RPUSIM_NUM_THREADS must be a positive .*'{text}'"):
        rs.get_num_threads()


def test_without_it_there_are_as_many_threads_as_cores(monkeypatch):
    monkeypatch.delenv("RPUSIM_NUM_THREADS", raising=False)
    monkeypatch.setattr(backend, "_threads", None)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert rs.get_num_threads() == cores


# ---------------------------------------------------------------- backends


@pytest.mark.parametrize("name", ["cpu", "python"])
def test_the_backends_that_exist_are_accepted(name):
    assert check_backend(name) == name


def test_a_backend_that_is_not_there_is_refused_by_name():
    for name in ("cpuu", "CPU", "", None, 1):
        with pytest.raises(
            BackendError, match=f"backend must be one of cpu, cuda, python, got {name!r}"
        ):
            check_backend(name)
