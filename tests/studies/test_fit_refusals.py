"""Data and parameters that cannot be fitted are refused, and the message says why."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.studies import fit, read_pulse_csv

PULSES = [1, 1, 1, -1, -1]
WEIGHTS = [0.0, 0.1, 0.19, 0.271, 0.144, 0.0296]


@pytest.mark.parametrize(
    ("pulses", "weights", "error", "text"),
    [
        (PULSES, WEIGHTS[:-1], rs.ShapeError, "5 pulses need 6 weights"),
        ([1, 2, 1, -1, -1], WEIGHTS, rs.DataError, r"must be \+1, -1, or 0"),
        (PULSES, [*WEIGHTS[:-1], np.inf], rs.DataError, "finite, or NaN"),
        (PULSES, [np.nan] * 6, rs.DataError, "at least 3 pulses are needed, got 0"),
        (np.ones((5, 2)), np.zeros((6, 3)), rs.ShapeError, "devices and repeats must agree"),
        (PULSES, np.zeros((6, 1, 1, 1)), rs.ShapeError, "weights must have shape"),
        (PULSES, ["a"] * 6, rs.DataError, "weights"),
    ],
)
def test_data_are_checked(pulses, weights, error, text):
    with pytest.raises(error, match=text):
        fit(rs.SoftBoundsDevice(), pulses, weights)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"parameters": ["dw_mim"]}, "dw_mim.*did you mean 'dw_min'"),
        ({"parameters": ["lifetime"]}, "lifetime"),
        ({"spreads": ["w_max_dtod"]}, "spreads need 6 devices or more, got 1"),
        ({"starts": 0}, "starts must be a positive integer"),
        ({"bootstrap": 2.5}, "bootstrap must be a positive integer"),
        ({"level": 1.0}, "level must be between 0 and 1"),
        ({"resolution": 0.0}, "resolution must be > 0"),
    ],
)
def test_options_are_checked(options, text):
    with pytest.raises(rs.ConfigError, match=text):
        fit(rs.SoftBoundsDevice(), PULSES, WEIGHTS, **options)


def test_a_device_without_pulses_is_refused():
    with pytest.raises(rs.ConfigError, match="device must be a pulsed device"):
        fit(rs.IdealDevice(), PULSES, WEIGHTS)


def test_a_file_is_read_whatever_the_order_of_its_rows(tmp_path):
    path = tmp_path / "pulses.csv"
    rows = [(name, t) for name in ("a", "b") for t in range(6)]
    np.random.default_rng(0).shuffle(rows)
    lines = ["device,pulse,direction,weight"]
    for name, t in rows:
        sign = PULSES[int(t) - 1] if int(t) else 0
        lines.append(f"{name},{t},{sign},{WEIGHTS[int(t)] + (name == 'b')}")
    path.write_text("\n".join(lines))
    data = read_pulse_csv(path)
    assert data.pulses.shape == (5, 2, 1)
    columns = {tuple(np.round(data.weights[:, n, 0] - WEIGHTS, 9)) for n in range(2)}
    assert columns == {(0.0,) * 6, (1.0,) * 6}
    assert (data.pulses[:, 0, 0] == PULSES).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pulse,direction\n0,0\n", "weight"),
        ("pulse,direction,weight\n0,0,x\n", "weight"),
        ("pulse,direction,weight\n0,0,0.1\n1,3,0.2\n", "direction"),
        ("pulse,direction,weight\n", "no rows"),
        ("pulse,direction,weight\n0,0,0.1\n0,0,0.2\n", "came before"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path, text, message):
    path = tmp_path / "pulses.csv"
    path.write_text(text)
    with pytest.raises(rs.DataError, match=message):
        read_pulse_csv(path)


def test_conductances_are_scaled_to_weights():
    g = 5.0 + 10.0 * (np.array(WEIGHTS) + 0.6) / 1.2  # 5 is w_min, 15 is w_max
    plain = fit(rs.SoftBoundsDevice(), PULSES, WEIGHTS, bootstrap=5)
    scaled = fit(rs.SoftBoundsDevice(), PULSES, g, units=(5.0, 15.0), bootstrap=5)
    assert scaled.device.dw_min == pytest.approx(plain.device.dw_min, rel=1e-5)
    assert scaled.device.w_max == pytest.approx(plain.device.w_max, rel=1e-5)


def test_a_fit_draws_itself_and_describes_itself():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    found = fit(rs.SoftBoundsDevice(), PULSES, WEIGHTS, bootstrap=5)
    ax = figure.subplots()
    assert found.plot(ax) is ax
    assert ax.lines
    assert "dw_min" in found.describe()
    assert "R2" in found.describe()
