"""Steps from tables: linear between nodes, as numpy interpolates; and by number of the pulse."""

import numpy as np
import pytest

import rpusim as rs
from tests.devices.pulsed import HUSH, flat, held, pulse, pulse_each, pulse_in_turn, tile_of
from tests.naive.tolerance import FLOAT32, check_mean, check_std, rounding

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

SHAPE = (1, 500)
UP, DOWN = [0.04, 0.01, 0.03, 0.0, 0.02, 0.05, 0.015], [0.0, 0.02, 0.01, 0.03, 0.02, 0.025, 0.04]


def table_of(kind, ups, downs, **settings):
    """Return a device with these steps, in weight units, at its nodes."""
    name, unit = ("piecewise", 0.01) if kind is rs.PiecewiseStepDevice else ("steps", 1.0)
    settings = {} if kind is rs.LookupTableDevice else {"dw_min": unit} | settings
    tables = {f"{name}_up": ups, f"{name}_down": downs}
    tables = {key: [v / unit for v in values] for key, values in tables.items()}
    return kind(dw_min_std=HUSH, **settings, **tables)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("kind", [rs.PiecewiseStepDevice, rs.LookupTableDevice])
def test_steps_are_interpolated_as_numpy_does(kind, count, direction):
    table = (UP if direction > 0 else DOWN)[:count]
    tile = tile_of(table_of(kind, UP[:count], DOWN[:count]), SHAPE, rng=4)
    hidden = {k: v.astype(np.float64).ravel() for k, v in tile.get_hidden_parameters().items()}
    high, low = hidden["max_bound"], hidden["min_bound"]
    # half of the devices at their nodes and bounds, the others anywhere
    part = np.where(np.arange(500) % 2, np.linspace(0, 1, 500), np.arange(500) % 7 / 6.0)
    tile.set_weights((low + part * (high - low)).reshape(SHAPE))
    start = held(tile)
    pulse(tile, direction)
    own = kind is rs.PiecewiseStepDevice
    bottom, top = (low, high) if own else (-0.6 + 0.0 * low, 0.6 + 0.0 * high)
    nodes = np.linspace(0.0, 1.0, count)
    step = np.array([
        np.interp((w - b) / (t - b), nodes, table)
        for w, b, t in zip(start, bottom, top, strict=True)
    ])  # fmt: skip
    gain = hidden["dwmin_up" if direction > 0 else "dwmin_down"] / tile.rpu_config.device.dw_min
    expected = np.clip(start + direction * gain * step, low, high)
    assert np.abs(held(tile) - expected).max() <= rounding(1, 1.0)


def test_the_nodes_of_a_lookup_table_are_the_mean_window_not_the_devices():
    device = rs.LookupTableDevice(w_max=0.5, w_min=-0.5, steps_up=UP, steps_down=DOWN)
    assert device.mean_step(0.5, 1) == 0.0  # a bound is a bound
    assert device.mean_step(-0.5, 1) == pytest.approx(UP[0])
    for k, w in enumerate(np.linspace(-0.5, 0.5, 7)[:-1]):
        assert device.mean_step(w, 1) == pytest.approx(UP[k], rel=1e-6, abs=1e-9)


def test_the_unit_of_a_lookup_table_is_its_mean_step():
    device = rs.LookupTableDevice(steps_up=UP, steps_down=DOWN, write_noise_std=2.0)
    assert device.dw_min == pytest.approx(np.mean([UP, DOWN]))
    assert device.write_noise == pytest.approx(2.0 * np.mean([UP, DOWN]))
    rows = rs.LookupTableDevice(steps_up=[UP, DOWN], steps_down=[DOWN, DOWN])
    assert rows.dw_min == device.dw_min


def test_devices_differ_by_a_gain_with_mean_1():
    device = rs.LookupTableDevice(
        steps_up=UP, steps_down=DOWN, dw_min_dtod=0.2, up_down_dtod=0.0, dw_min_std=HUSH,
        w_max_dtod=0.0, w_min_dtod=0.0, w_max=0.6,
    )  # fmt: skip
    tile = tile_of(device, start=-0.2, rng=5)  # between nodes 2 and 3: at 7/3 of the table
    pulse(tile, 1)
    gain = (held(tile) + 0.2) / np.interp(2.0, np.arange(7), UP)
    check_mean(gain, 1.0, 0.2, floor=1e-5)
    check_std(gain, 0.2)


NUMBERS = np.array([0.04, 0.03, 0.01])  # at pulses 0, 4 and 8 in a row


def numbered(restarts, interval=4.0):
    """Return one device whose steps depend on the number of the pulse only."""
    rows = [[float(v)] * 2 for v in NUMBERS]
    device = flat(
        rs.LookupTableDevice, steps_up=rows, steps_down=[[2.0 * v for v in row] for row in rows],
        pulse_interval=interval, count_restarts=restarts, dw_min_std=HUSH, w_max=9.0, w_min=-9.0,
    )  # fmt: skip
    return tile_of(device, (1, 1), 0.0)


def sent(tile, directions):
    """Return the size of each of some pulses, relative to the table of its direction."""
    sizes = []
    for direction in directions:
        before = held(tile)[0]
        pulse(tile, direction)
        sizes.append(direction * (held(tile)[0] - before) / (1.0 if direction > 0 else 2.0))
    return np.array(sizes)


@pytest.mark.parametrize("interval", [1.0, 2.5, 4.0])
@pytest.mark.parametrize("restarts", [True, False])
def test_a_run_of_pulses_goes_down_the_rows(restarts, interval):
    for direction in (1, -1):
        found = sent(numbered(restarts, interval), [direction] * 14)
        expected = np.interp(np.arange(14) / interval, [0, 1, 2], NUMBERS)
        assert np.abs(found - expected).max() <= rounding(1, 0.6)


def test_a_turn_begins_anew():
    found = sent(numbered(True), [1] * 3 + [-1] * 2 + [1] * 6 + [-1] * 9)
    numbers = [*range(3), *range(2), *range(6), *range(9)]
    expected = np.interp(np.array(numbers) / 4.0, [0, 1, 2], NUMBERS)
    assert np.abs(found - expected).max() <= rounding(1, 0.6)


def test_or_all_pulses_count():
    found = sent(numbered(False), [1] * 3 + [-1] * 2 + [1] * 6)
    expected = np.interp(np.arange(11) / 4.0, [0, 1, 2], NUMBERS)
    assert np.abs(found - expected).max() <= rounding(1, 0.6)


@pytest.mark.parametrize(("restarts", "number"), [(True, -4.0), (False, 9.0)])
def test_the_number_can_be_read_and_set(restarts, number):
    tile = numbered(restarts)
    pulse_in_turn(tile, [1] * 5 + [-1] * 4)
    assert tile.get_hidden_parameters()["pulse_number"][0, 0] == number
    tile.set_hidden_parameters({"pulse_number": [[8.0]]})
    assert sent(tile, [1])[0] == pytest.approx(NUMBERS[2], rel=1e-4)


def test_nothing_but_pulses_changes_the_number():
    tile = numbered(True)
    pulse(tile, 1, 5)
    tile.set_weights([[0.0]])
    tile.reset_columns()
    assert tile.get_hidden_parameters()["pulse_number"][0, 0] == 5.0


def test_every_device_counts_its_own_pulses():
    rows = [[float(v)] * 2 for v in NUMBERS]
    device = flat(rs.LookupTableDevice, steps_up=rows, steps_down=rows, dw_min_std=HUSH)
    tile = tile_of(device, (1, 4), 0.0)
    pulse_each(tile, np.float32([[1, 0, -1, 1], [1, 1, -1, -1], [0, 0, -1, 0]]))
    assert tile.get_hidden_parameters()["pulse_number"].tolist() == [[2.0, 1.0, -3.0, -1.0]]


@pytest.mark.parametrize("name", ["piecewise", "steps"])
@pytest.mark.parametrize(("ups", "downs", "message"), [
    ([], [1.0], r"_up must not be empty"),
    ([1.0, 2.0], [1.0], r"must have as many nodes, got shapes \(2,\) and \(1,\)"),
    ([1.0, "a"], [1.0, 1.0], "must hold numbers"),
])  # fmt: skip
def test_tables_that_do_not_fit_are_refused(name, ups, downs, message):
    kind = rs.PiecewiseStepDevice if name == "piecewise" else rs.LookupTableDevice
    with pytest.raises(rs.ConfigError, match=message):
        kind(**{f"{name}_up": ups, f"{name}_down": downs})


@pytest.mark.parametrize(("settings", "message"), [
    (dict(steps_up=[[[1.0]]], steps_down=[[[1.0]]]), "must be a row of numbers, or rows"),
    (dict(steps_up=[[1.0, 2.0], [1.0]], steps_down=[1.0]), "rows of equal length"),
    (dict(w_max=0.0, w_min=0.0), "needs w_max > w_min"),
    (dict(pulse_interval=0.0), "pulse_interval must be > 0"),
    (dict(steps_up=[0.0], steps_down=[0.0]), "must not be all 0"),
])  # fmt: skip
def test_impossible_lookup_tables_are_refused(settings, message):
    with pytest.raises(rs.ConfigError, match=message):
        rs.LookupTableDevice(**settings)


def test_the_last_node_is_met_exactly():
    device = flat(rs.PiecewiseStepDevice, dw_min=0.01, dw_min_std=HUSH, w_max=0.7, w_min=-0.3,
                  piecewise_up=[1.0, 0.5, 0.0], piecewise_down=[0.0, 0.5, 1.0])  # fmt: skip
    tile = tile_of(device, (1, 1), 0.7)
    pulse(tile, 1)
    assert held(tile)[0] == pytest.approx(0.7, abs=FLOAT32)
    pulse(tile, -1)
    assert held(tile)[0] == pytest.approx(0.69, abs=2.0 * FLOAT32)
