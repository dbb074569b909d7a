"""The map of programming errors: who learns what, on what the result depends, tables, pictures."""

import importlib
import sys
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from rpusim.errors import ConfigError
from rpusim.studies import MissingPackage
from rpusim.studies.programming_task import ALGORITHMS, SIZE, TARGET_RMS, algorithm_device

study = importlib.import_module("rpusim.studies.programming_map")
programming_map = study.programming_map
SMALL = {"offsets": (0.0, 0.5), "states": (20, 100), "vectors": 200, "replicas": 2}
STEP = 2.0 / 100  # of the devices that learn


@pytest.fixture(scope="module")
def learned():
    """A map at 100 states, without and with an offset."""
    return programming_map(offsets=(0.0, 0.4), states=(100,), vectors=5000, replicas=2)


@pytest.fixture(scope="module")
def small():
    """A map of which little is learned."""
    return programming_map(["SGD", "AGAD"], **SMALL)


def errors_of(found):
    """Return the errors by algorithm, without and with an offset."""
    return dict(zip(found.algorithms, found.error[:, :, 0].tolist(), strict=True))


# ---------------------------------------------------------------- who learns what


def test_with_exact_references_buffers_save_states(learned):
    exact = {name: pair[0] for name, pair in errors_of(learned).items()}
    assert max(exact["TTv2"], exact["c-TTv2"], exact["AGAD"]) < STEP
    assert max(exact["TTv2"], exact["c-TTv2"], exact["AGAD"]) < 0.5 * exact["SGD"]
    assert exact["SGD"] < 0.5 * TARGET_RMS


def test_an_offset_spoils_what_has_no_chopper(learned):
    for name in ("SGD", "TTv1", "TTv2"):
        exact, wrong = errors_of(learned)[name]
        assert wrong > 3.0 * exact
        assert wrong > 0.75 * TARGET_RMS


def test_choppers_learn_in_spite_of_it_but_later_and_less_well(learned):
    errors = errors_of(learned)
    exact, wrong = errors["c-TTv2"]
    assert 1.5 * exact < wrong < errors["TTv2"][1] / 3.0
    early = errors_of(programming_map(["c-TTv2", "AGAD"], (0.4,), (100,), vectors=2000))
    assert early["c-TTv2"][0] > 1.5 * wrong
    assert early["AGAD"][0] < STEP < wrong


def test_a_dynamic_reference_does_not_notice_it(learned):
    exact, wrong = errors_of(learned)["AGAD"]
    weights = 2 * SIZE * SIZE
    assert abs(wrong / exact - 1.0) < 5.0 * np.sqrt(2.0 / (2.0 * weights))  # of two rms values
    assert wrong < errors_of(learned)["c-TTv2"][1]


def test_until_it_has_a_reference_agad_leaves_the_error_of_the_target():
    sweeps = 1 + 20  # that of the start, and a chopper period
    found = programming_map(["AGAD"], (0.0, 0.5), (10, 100), vectors=sweeps * SIZE, replicas=5)
    np.testing.assert_array_equal(np.ptp(found.errors, axis=(1, 2)), 0.0)
    weights = 5 * SIZE * SIZE
    spread = np.sqrt(4.0 / 5.0 / weights)  # of the mean square of a uniform one, relative
    assert abs((found.error[0, 0, 0] / TARGET_RMS) ** 2 - 1.0) < 5.0 * spread
    assert TARGET_RMS == pytest.approx(np.sqrt(0.6**2 / 12.0))


def test_only_the_device_that_sees_the_gradient_is_off():
    assert algorithm_device("SGD", 50, 0.3).reference_std == 0.3
    for name in set(ALGORITHMS) - {"SGD"}:
        fast, slow = algorithm_device(name, 50, 0.3).unit_cell_devices
        assert fast == slow.replace(reference_std=0.3)
        assert slow.reference_std == 0.0
        assert slow.dw_min == 0.04
        assert slow.symmetry_point() == pytest.approx(0.0, abs=1e-9)


# ---------------------------------------------------------------- on what it depends


def test_processes_do_not_change_a_bit(small):
    other = programming_map(["SGD", "AGAD"], **SMALL, processes=2)
    np.testing.assert_array_equal(other.errors, small.errors)


def test_a_point_does_not_depend_on_the_others(small):
    part = programming_map(["AGAD"], (0.5,), (20,), 200, 1, rng=small.seed)
    assert part.errors.item() == small.errors[1, 1, 0, 0]


def test_replicas_and_seeds_are_different_tasks(small):
    other = programming_map(["SGD", "AGAD"], **SMALL, rng=1)
    assert (other.errors != small.errors).all()
    assert (small.errors[..., 0] != small.errors[..., 1]).all()


class BreakingPool:
    """Computes two errors, then breaks."""

    def __init__(self, *args):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *args):
        return False

    def map(self, function, tasks):
        yield from map(function, tasks[:2])
        raise BrokenProcessPool("lost")


def test_where_processes_are_lost_this_one_computes_the_rest(small, monkeypatch):
    monkeypatch.setattr(study, "ProcessPoolExecutor", BreakingPool)
    with pytest.warns(RuntimeWarning, match="one process computes the rest: BrokenProcessPool"):
        found = programming_map(["SGD", "AGAD"], **SMALL, processes=2)
    np.testing.assert_array_equal(found.errors, small.errors)


def test_where_there_are_none_this_one_computes_all(small, monkeypatch):
    def refuse(*args):
        raise NotImplementedError("no semaphores")

    monkeypatch.setattr(study, "ProcessPoolExecutor", refuse)
    with pytest.warns(RuntimeWarning, match="no semaphores"):
        found = programming_map(["SGD", "AGAD"], **SMALL, processes=2)
    np.testing.assert_array_equal(found.errors, small.errors)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"algorithms": ["AGADD"]}, "some of SGD, .*, AGAD, got .*; did you mean 'AGAD'"),
        ({"algorithms": []}, "algorithms must be some of"),
        ({"offsets": [-0.1]}, "offsets must be >= 0, got"),
        ({"offsets": [np.nan]}, "offsets must be >= 0, got"),
        ({"states": 10}, "states must be a list of numbers, got 10"),
        ({"states": [1]}, "states must be >= 2, got"),
        ({"vectors": 0}, "vectors must be a positive integer, got 0"),
        ({"replicas": 1.5}, "replicas must be a positive integer, got 1.5"),
        ({"processes": 0}, "processes must be a positive integer, got 0"),
    ],
)
def test_what_means_nothing_is_refused(changes, match):
    with pytest.raises(ConfigError, match=match):
        programming_map(**changes)


# ---------------------------------------------------------------- tables and pictures


def test_a_row_of_the_table_is_a_replica(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=dict))
    table = small.to_pandas()
    assert list(table) == ["algorithm", "offset", "states", "replica", "error"]
    rows = (table["algorithm"] == "AGAD") & (table["offset"] == 0.5) & (table["states"] == 20)
    np.testing.assert_array_equal(table["error"][rows], small.errors[1, 1, 0])
    np.testing.assert_array_equal(table["replica"][rows], [0, 1])


def test_the_picture_has_a_map_for_each_algorithm_in_the_same_colours(small):
    fig = small.picture()
    *maps, bar = fig.axes
    assert [ax.get_title() for ax in maps] == ["SGD", "AGAD"]
    for ax, values in zip(maps, small.error, strict=True):
        (image,) = ax.images
        np.testing.assert_array_equal(image.get_array(), values)
        assert image.norm is maps[0].images[0].norm
        assert [text.get_text() for text in ax.get_xticklabels()] == ["20", "100"]
    assert [text.get_text() for text in maps[0].get_yticklabels()] == ["0", "0.5"]
    assert bar.get_ylabel() == "rms error of the weights"
    fig.canvas.draw()


def test_a_map_of_one_point_is_drawn_too():
    programming_map(["SGD"], [0.1], [10], vectors=10, replicas=1).picture().canvas.draw()


def test_a_cut_through_the_maps_is_drawn_with_labels_and_a_legend(small):
    axes = Figure().subplots()
    assert small.plot(axes) is axes
    assert axes.get_ylabel() == "rms error of the weights, 100 states"
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_array_equal(lines["AGAD"], small.error[1, :, 1])
    assert len(axes.get_legend().get_texts()) == 3


def test_without_matplotlib_the_error_names_the_extra(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackage, match="ProgrammingMap.picture needs the package matplotlib"):
        small.picture()
