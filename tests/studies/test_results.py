"""Tables and pictures of the studies' results."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

import rpusim as rs
from rpusim.studies import (
    MissingPackage,
    number_of_states,
    portrait,
    response,
    scatter,
    signal_to_noise,
    symmetry_point,
)
from rpusim.studies.optional import progress
from tests.naive.tolerance import Z

DEVICE = rs.SoftBoundsReferenceDevice(
    dw_min=0.02, up_down=0.3, write_noise_std=2.0, w_max=1.0, w_min=-0.8
)
POINT = DEVICE.symmetry_point()
STEPS = {1: (0.02, 0.02), -1: (0.014, 0.014 / 0.8)}  # at 0, and how they change with the weight


@pytest.fixture(scope="module")
def results():
    """One result of each study, small."""
    return {
        "Response": response(DEVICE, pulses=5, devices=20),
        "SymmetryPoints": symmetry_point(DEVICE, devices=6, pulses=100),
        "NumberOfStates": number_of_states(DEVICE, devices=7),
        "SignalToNoise": signal_to_noise(DEVICE, devices=8, nodes=9),
        "Scatter": scatter(DEVICE, pulses=30, devices=9, nodes=7),
    }


COLUMNS = {
    "Response": (11, ["pulse", "direction", "mean", "std", *(f"device_{k}" for k in range(5))]),
    "SymmetryPoints": (6, ["exact", "measured", "error"]),
    "NumberOfStates": (7, ["granular", "pulses_up", "pulses_down", "distinguishable"]),
    "SignalToNoise": (
        2 * 9 * 8,
        ["device", "direction", "weight", "step", "cycle_noise", "ratio", "seen_ratio"],
    ),
    "Scatter": (14, ["direction", "weight", "mean", "std", "total"]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_result_becomes_a_table_of_equal_columns(name, results, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=dict))
    columns = results[name].to_pandas()
    rows, names = COLUMNS[name]
    assert type(results[name]).__name__ == name
    assert {key: np.shape(column) for key, column in columns.items()} == dict.fromkeys(
        names, (rows,)
    )


def test_the_table_of_a_device_is_its_row(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=dict))
    made = results["SignalToNoise"]
    columns = made.to_pandas()
    rows = (columns["device"] == 3) & (columns["direction"] == -1)
    np.testing.assert_array_equal(columns["step"][rows], made.step[1, :, 3])
    np.testing.assert_array_equal(columns["weight"][rows], made.weight)


@pytest.mark.parametrize("name", COLUMNS)
def test_pandas_takes_the_tables(name, results):
    pytest.importorskip("pandas")
    frame = results[name].to_pandas()
    rows, names = COLUMNS[name]
    assert len(frame) == rows
    assert list(frame.columns) == names


@pytest.mark.parametrize("name", COLUMNS)
def test_without_pandas_the_error_names_the_extra(name, results, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    message = rf'{name}.to_pandas needs the package pandas: pip install "rpusim\[pandas\]"'
    with pytest.raises(MissingPackage, match=message):
        results[name].to_pandas()


@pytest.mark.parametrize("name", COLUMNS)
def test_a_result_draws_itself_with_labels_and_a_legend(name, results):
    axes = Figure().subplots()
    assert results[name].plot(axes) is axes
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    assert len(axes.get_legend().get_texts()) >= 2


def test_up_and_down_are_told_apart_without_colour(results):
    for name in ("SignalToNoise", "Scatter"):
        axes = results[name].plot(Figure().subplots())
        styles = {line.get_label(): line.get_linestyle() for line in axes.lines}
        assert styles["up"] != styles["down"]


def test_without_tqdm_there_is_no_bar(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with progress(3, "pulses") as bar:
        bar.update()
        bar.update(2)


# ---------------------------------------------------------------- the portrait


@pytest.fixture(scope="module")
def drawn(results):
    """A portrait: the figure, its left and right axes."""
    fig = portrait(results["Response"], "A device", "Somebody et al. (2018)")
    return fig, *fig.axes


def test_a_portrait_has_a_title_its_source_and_labels(drawn):
    fig, left, right = drawn
    assert fig.get_suptitle() == "A device"
    assert "Parameters: Somebody et al. (2018)." in fig.get_supxlabel()
    assert "Write noise (standard deviation 0.04) is in a, not in b." in fig.get_supxlabel()
    assert left.get_xlabel() == "pulse number (5 up, then 5 down)"
    assert right.get_xlabel() == left.get_ylabel() == "weight $w$"
    assert right.get_ylabel() == r"step per pulse $|\Delta w|$ ($10^{-2}$)"


def line_of(axes, label):
    """Return x and y of the line of that label."""
    (line,) = (line for line in axes.lines if line.get_label() == label)
    return line.get_xdata(), line.get_ydata()


def test_a_portrait_shows_the_mean_devices_steps_meeting_at_the_symmetry_point(drawn):
    right = drawn[2]
    w, up = line_of(right, "up, mean device")
    _, down = line_of(right, "down, mean device")
    expected = [[100.0 * s * DEVICE.mean_step(v, s) for v in w] for s in (1, -1)]
    known = np.isfinite(up) & np.isfinite(down)
    assert known.mean() > 0.9
    np.testing.assert_allclose(np.array([up, down])[:, known], np.array(expected)[:, known])
    (x, y) = line_of(right, f"symmetry point, $w = {POINT:.3g}$")
    assert x[0] == POINT
    assert y[0] == pytest.approx(np.interp(POINT, w[known], up[known]), rel=1e-3)


def test_pulses_in_a_portrait_lie_around_the_computed_steps(drawn):
    right = drawn[2]
    marks = {c.get_label(): c for c in right.containers}
    nodes = -0.8 + 0.2 * (np.arange(9) + 0.5)
    for direction, sign in (("up", 1), ("down", -1)):
        line, _, bars = marks[f"{direction}, pulses ± their std"]
        found = 0.01 * line.get_ydata()
        std = 0.01 * np.array([0.5 * np.ptp(s[:, 1]) for s in bars[0].get_segments()])
        step, slope = STEPS[sign]
        noise = np.hypot(DEVICE.dw_min_std * step, slope * 0.1)  # and steps around the node differ
        pulses = 0.5 * 40000 / 1.8 * 0.1 * np.sqrt(2.0 * np.pi)  # at least half of those sent
        for n in range(2, 7):  # away from the bounds
            computed = sign * DEVICE.mean_step(nodes[n], sign)
            assert abs(found[n] - computed) < Z * noise / np.sqrt(pulses)
            assert abs(std[n] / noise - 1.0) < Z / np.sqrt(2.0 * pulses)


def test_steps_that_a_bound_would_cut_are_not_drawn():
    device = rs.ConstantStepDevice(dw_min=0.11, w_max=1.0, w_min=-1.0)
    right = portrait(response(device, pulses=3, devices=5)).axes[1]
    w, up = line_of(right, "up, mean device")
    assert np.array_equal(np.isnan(up), w > 0.89)
    assert not any("symmetry" in line.get_label() for line in right.lines)


@pytest.mark.parametrize(
    "device", [rs.HiddenStepDevice(), rs.SoftBoundsDevice(corrupt_devices_prob=1.0)]
)
def test_a_device_that_seems_not_to_move_is_drawn_too(device):
    fig = portrait(response(device, pulses=3, devices=5))
    fig.canvas.draw()
