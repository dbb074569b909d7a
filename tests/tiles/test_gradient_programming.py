"""Gradient programming: how fast errors shrink, where they end, and what is made up for."""

import math

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError, DataError, ShapeError, StateError
from rpusim.tiles.grid import TileGrid
from tests.naive.tolerance import Z
from tests.periphery.tiles import quiet

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*was not reached", "ignore::rpusim.errors.ClippedWeightsWarning"
)

FLAT = dict(dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0)
WIDE = rs.ConstantStepDevice(w_max=5.0, w_min=-5.0, **FLAT)
FINE = WIDE.replace(dw_min=0.0005)
EXACT = rs.UpdateParameters(pulse_type="NONE_WITH_DEVICE")
PERFECT = rs.IOParameters(is_perfect=True)
OUT, IN = 24, 32
BATCH, VARIANCE, RATE = 16, 1.0 / 3.0, 0.1
RNG = np.random.default_rng(4)
TARGET = RNG.uniform(-0.3, 0.3, (OUT, IN))
PUBLISHED = dict(batch=BATCH, learning_rate=RATE, input_std=math.sqrt(VARIANCE), tolerance=0.0)
SMALL = TARGET[:6, :5]


def made(device=WIDE, forward=PERFECT, update=None, rng=1, shape=(OUT, IN), bias=False, **mapping):
    update = update or rs.UpdateParameters()
    config = rs.RPUConfig(device=device, forward=forward, update=update, mapping=mapping)
    return rs.AnalogTile(*shape, config, bias=bias, rng=rng)


def squared_errors(tile, target=TARGET, **options):
    """Program; return the squared error of the weights before each update, and the result."""
    found = []

    def note(done, error):
        found.append(float(((tile.get_weights()[0].astype(np.float64) - target) ** 2).sum()))

    result = tile.program_weights(target, method="gradient", on_iteration=note, **options)
    return np.array(found), result


def relative(w, target=SMALL):
    return np.linalg.norm(w - target) / np.linalg.norm(target)


# ---------------------------------------------------------------- closed forms


def test_the_squared_error_contracts_as_for_any_linear_descent():
    ratios = []
    for seed in range(10):
        tile = made(update=EXACT, forward=quiet(), rng=seed)
        found, _ = squared_errors(tile, max_iter=40, patience=1000, w_init=0.0, **PUBLISHED)
        ratios.append(found[1:] / found[:-1])  # given the past, each has the mean rho
    rho = 1.0 - 2.0 * RATE + RATE**2 * (1.0 + (IN + 1) / BATCH)
    assert rho == pytest.approx(0.8306, abs=5e-5)
    std = np.std(ratios) / math.sqrt(np.size(ratios))
    assert std < 0.002
    assert abs(np.mean(ratios) - rho) < Z * std


def test_the_noise_of_the_outputs_leaves_the_floor():
    noise, skip, block = 0.05, 100, 50
    tile = made(update=EXACT, forward=quiet(out_noise=noise))
    options = dict(max_iter=1599, patience=10_000, w_init=TARGET, **PUBLISHED)
    found, result = squared_errors(tile, **options)
    rho = 1.0 - 2.0 * RATE + RATE**2 * (1.0 + (IN + 1) / BATCH)
    floor = RATE**2 * noise**2 * OUT * IN / (BATCH * VARIANCE * (1.0 - rho))
    assert floor == pytest.approx(0.02125, abs=1e-5)
    means = found[skip:].reshape(-1, block).mean(axis=1)  # blocks far longer than 1 / (1 - rho)
    std = means.std(ddof=1) / math.sqrt(means.size)
    assert std < 0.01 * floor
    assert abs(means.mean() - floor) < Z * std
    # what reads show, weights and noise together: rms over outputs, as E is independent of W's past
    shown = math.sqrt((VARIANCE * floor + OUT * noise**2) / (VARIANCE * np.sum(TARGET**2)))
    history = result.history[skip:]
    spread = history.std() * math.sqrt(block / history.size)  # counted in blocks, at most
    assert abs(history.mean() - shown) < Z * spread
    assert result.reads == BATCH * 1600 + 2 * BATCH
    # measured with one batch: two norms, of BATCH * OUT numbers and of BATCH products
    alone = noise * math.sqrt(OUT / VARIANCE) / np.linalg.norm(TARGET)
    size = np.linalg.eigvalsh(TARGET.T @ TARGET)
    products = math.sqrt(np.sum(size**2) / (2.0 * BATCH)) / size.sum()
    spread = math.hypot(1.0 / math.sqrt(2.0 * BATCH * OUT), products)
    assert result.noise_floor == pytest.approx(alone, rel=Z * spread)


def test_the_standard_error_is_that_of_the_reported_error():
    noise, calls, batch = 0.1, 400, 64
    w, target = TARGET + 0.05 * RNG.standard_normal(TARGET.shape), TARGET
    tile = made(forward=quiet(out_noise=noise))
    tile.set_weights(w)
    seen = np.sum((tile.get_weights()[0] - target) ** 2) + OUT * noise**2 / VARIANCE
    true = math.sqrt(seen / np.sum(target**2))
    options = dict(method="gradient", batch=batch, on_iteration=lambda done, error: True)
    results = [tile.program_weights(target, **options) for _ in range(calls)]
    z = np.array([(r.error - true) / r.standard_error for r in results])
    # of a ratio of means over a batch mean and width are right to the order 1 / batch
    assert abs(z.mean()) < Z / math.sqrt(calls) + 1.0 / math.sqrt(batch)
    assert abs(z.std() - 1.0) < Z * math.sqrt((3.0 - 1.0) / (4.0 * calls)) + 2.0 / batch
    assert tile.stats.pulses == 0


@pytest.mark.parametrize("top", [0.5, 2.0])
def test_clipped_inputs_do_not_change_the_rate(top):
    std, rate, batch, ends = 1.0, 0.5, 400, []
    for seed in range(10):
        tile = made(update=EXACT, forward=quiet(inp_bound=top), rng=seed, shape=(6, 5))
        options = dict(input_std=std, learning_rate=rate, batch=batch, w_init=0.0, tolerance=0.0)
        tile.program_weights(SMALL, method="gradient", max_iter=1, **options)
        ends.append(np.sum(tile.get_weights()[0] * SMALL) / np.sum(SMALL**2))
    error = np.std(ends, ddof=1) / math.sqrt(len(ends))
    assert error < 0.01
    assert abs(np.mean(ends) - rate) < Z * error


def test_weights_of_all_scales_and_the_bias_are_corrected_by_the_same_fraction():
    rate, batch, bias = 0.5, 20_000, np.linspace(-0.5, 0.5, 6)
    target = SMALL * np.array([1, 2, 3, 4, 5, 0.2])[:, None]
    mapping = dict(digital_bias=False, weight_scaling_omega=0.5, weight_scaling_columnwise=True)
    tile = made(update=EXACT, shape=(6, 5), bias=True, learn_out_scaling=True, **mapping)
    options = dict(learning_rate=rate, batch=batch, w_init=0.0, tolerance=0.0, max_iter=1)
    tile.program_weights(target, bias, method="gradient", **options)
    assert np.ptp(tile.mapping_scales) > 0.5
    found, whole = np.column_stack(tile.get_weights()), np.column_stack([target, bias])
    # D scatters by at most the norm of a row times sqrt(2 / (B s))
    norm = np.linalg.norm(whole, axis=1, keepdims=True)
    allowed = Z * rate * norm * math.sqrt(2.0 / (batch * VARIANCE))
    assert (np.abs(found - rate * whole) < allowed).all()


@pytest.mark.parametrize(("cols", "batch"), [(200, 4), (10, 64)])
def test_the_rate_of_its_own_converges_for_any_size(cols, batch):
    tile = made(update=EXACT, shape=(5, cols), rng=2)
    target = RNG.uniform(-0.3, 0.3, (5, cols))
    best = 1.0 / (1.0 + (cols + 1) / batch)
    rho = 1.0 - 0.75 * best  # of a rate of half the best
    steps = math.ceil(10.0 / (1.0 - rho))
    found, _ = squared_errors(tile, target, batch=batch, max_iter=steps, w_init=0.0, tolerance=0.0)
    assert math.log(found[-1] / found[0]) < 0.5 * steps * math.log(rho)  # a typical case is faster


# ---------------------------------------------------------------- what is made up for


def correlated(cols, count=400):
    """Return vectors whose neighbouring elements go together."""
    mix = np.eye(cols) + 0.8 * np.roll(np.eye(cols), 1, 0) + 0.5 * np.roll(np.eye(cols), 2, 0)
    x = np.random.default_rng(6).standard_normal((count, cols)) @ mix
    return x / np.abs(x).max()


def test_stuck_devices_are_made_up_for_as_well_as_least_squares_can():
    cols, rows, rate, batch = 24, 16, 0.2, 64
    device = WIDE.replace(corrupt_devices_prob=0.1)
    x, target = correlated(cols), RNG.uniform(-0.3, 0.3, (rows, cols))
    second = x.T @ x / len(x)

    def squared(w):
        return float(np.sum((x @ (w - target).T) ** 2))

    checked = made(device, shape=(rows, cols), rng=5)
    low, high = checked.weight_range()
    stuck, best = low == high, target.copy()
    assert 20 < stuck.sum() < 60
    for i, fixed in enumerate(stuck):
        rest = x @ target[i] - x[:, fixed] @ low[i, fixed]
        best[i, fixed] = low[i, fixed]
        best[i, ~fixed] = np.linalg.lstsq(x[:, ~fixed], rest, rcond=None)[0]
    with pytest.warns(UserWarning, match="did not come within"):
        result = checked.program_weights(target, method="write_verify", w_init=0.0)
    np.testing.assert_array_equal(result.failed, stuck)
    left = squared(checked.get_weights()[0])
    assert left > 3.0 * squared(best)

    descended = made(device, update=EXACT, shape=(rows, cols), rng=5)
    options = dict(x_values=x, batch=batch, learning_rate=rate, max_iter=2000, patience=2000)
    descended.program_weights(target, method="gradient", w_init=0.0, tolerance=0.0, **options)
    found = squared(descended.get_weights()[0])
    # misadjustment of an LMS filter (Widrow): half the rate times the trace of the second moments
    size = np.linalg.eigvalsh(second)
    excess = 0.5 * rate / batch * size.sum() / size[-1]
    assert squared(best) * (1.0 - 1e-6) < found < squared(best) * (1.0 + 2.0 * excess)
    np.testing.assert_array_equal(descended.get_weights()[0][stuck], low[stuck])


def test_wires_are_made_up_for_by_weights_that_are_wrong_by_themselves():
    wires = rs.IOParameters(
        ir_drop=1000.0,
        inp_res=0.0,
        out_res=0.0,
        out_noise=0.0,
        inp_bound=1.0,
        out_bound=0.0,
        bound_management="NONE",
        noise_management="NONE",
    )  # fmt: skip; a small crossbar needs bad wires
    x, errors = RNG.uniform(-1.0, 1.0, (400, IN)), {}
    for method in ("write_verify", "gradient"):
        tile = made(FINE, wires)
        tile.program_weights(TARGET, method=method, w_init=TARGET, tolerance=0.001)
        errors[method] = np.linalg.norm(tile.forward(x, is_test=True) - x @ TARGET.T)
        errors[method] /= np.linalg.norm(x @ TARGET.T)
    assert errors["write_verify"] > 0.02
    assert errors["gradient"] < 0.5 * errors["write_verify"]


# ---------------------------------------------------------------- devices and tiles


@pytest.mark.parametrize(
    "device",
    [
        FINE,
        rs.SoftBoundsDevice(dw_min=0.0005, w_max=1.0, w_min=-1.0, **FLAT),
        rs.VectorUnitCell([FINE, FINE]),
        rs.OneSidedUnitCell([rs.SoftBoundsDevice(dw_min=0.0005, w_max=1.0, w_min=-1.0, **FLAT)]),
    ],
    ids=lambda device: type(device).__name__,
)
def test_pulses_bring_products_to_the_target(device):
    tile = made(device, shape=(6, 5))
    result = tile.program_weights(SMALL, method="gradient", tolerance=0.02, w_init=0.0)
    assert result.success
    assert 0.0 < result.error < 0.02
    assert math.isnan(result.noise_floor)
    assert result.failed is None
    assert result.history.shape == (result.iterations + 1,)
    assert result.reads == 64 * (result.iterations + 1) == tile.stats.reads_forward
    assert result.pulses == tile.stats.pulses > 0
    # inputs are independent: the relative error of products is that of weights, up to a batch's
    assert relative(tile.get_weights()[0]) == pytest.approx(result.error, rel=0.5)


@pytest.mark.parametrize("omega", [0.0, 0.8])
@pytest.mark.parametrize("analog", [False, True])
def test_bias_and_scales_are_those_of_the_mapping(analog, omega):
    mapping = dict(digital_bias=not analog, weight_scaling_omega=omega, learn_out_scaling=True)
    target, bias = SMALL * np.array([1, 2, 3, 4, 5, 2.0])[:, None], np.linspace(-0.5, 0.5, 6)
    tile = made(FINE, shape=(6, 5), bias=True, **mapping)
    result = tile.program_weights(target, bias, method="gradient")
    assert result.success
    w, b = tile.get_weights()
    assert relative(w, target) < 0.03
    np.testing.assert_allclose(b, bias, atol=0.02 if analog else 1e-6)


def test_inputs_stay_within_the_input_range():
    ranges = rs.InputRangeParameter(enable=True, init_value=0.4, init_from_data=0)
    config = rs.RPUConfig(
        device=FINE, forward=quiet(inp_bound=1.0), pre_post=dict(input_range=ranges)
    )
    tile, largest = rs.AnalogTile(6, 5, config, rng=1), []
    tile.on_input = lambda x: largest.append(np.abs(x).max())
    assert tile.program_weights(SMALL, method="gradient").success
    assert 0.39 < max(largest) <= np.float32(0.4)
    assert relative(tile.get_weights()[0]) < 0.02


def test_a_grid_programs_its_tiles():
    mapping = dict(max_input_size=3, max_output_size=4)
    grid = TileGrid(6, 5, rs.RPUConfig(device=FINE, forward=PERFECT, mapping=mapping), rng=1)
    result = grid.program_weights(SMALL, method="gradient", x_values=RNG.uniform(-1, 1, (99, 5)))
    assert result.success
    assert result.pulses == grid.stats.pulses
    assert relative(grid.get_weights()[0]) < 0.02


def test_nothing_moves_within_the_dead_zone():
    tile = made(update=EXACT, shape=(6, 5))
    start = SMALL + np.where(np.arange(5) == 2, 0.2, 0.0)
    options = dict(w_init=start, learning_rate=0.5, batch=4000, max_iter=1, tolerance=0.0)
    tile.program_weights(SMALL, method="gradient", dead_zone=0.05, **options)
    w = tile.get_weights()[0]
    np.testing.assert_array_equal(w[:, [0, 1, 3, 4]], SMALL[:, [0, 1, 3, 4]].astype(np.float32))
    np.testing.assert_allclose(w[:, 2] - SMALL[:, 2], 0.1, atol=0.1 * Z * math.sqrt(2.0 / 4000))
    pulsed = made(WIDE, shape=(6, 5))
    result = pulsed.program_weights(SMALL, method="gradient", dead_zone=9.0, max_iter=20)
    assert (result.pulses, result.iterations) == (0, 20)


def test_it_stops_when_the_error_does_not_fall_any_more():
    tile = made(rs.ConstantStepDevice(dw_min=0.05, **FLAT), shape=(6, 5))
    result = tile.program_weights(SMALL, method="gradient", patience=15)
    assert not result.success
    assert result.history.argmin() == result.iterations - 15
    assert result.noise_floor == 0.0
    with pytest.warns(UserWarning, match="error is .* of the products; .* reads alone makes"):
        tile.program_weights(SMALL, method="gradient", patience=15)


def test_devices_start_as_they_are():
    tile = made(shape=(6, 5))
    tile.set_weights(SMALL)
    before = tile.stats.writes
    result = tile.program_weights(SMALL, method="gradient")
    assert (result.success, result.iterations, result.pulses) == (True, 0, 0)
    assert tile.program_weights(method="gradient").success  # what they hold is the target
    assert tile.stats.writes == before
    assert tile.program_weights(SMALL, method="gradient", w_init=0.0).history[0] == 1.0


def test_a_target_of_zeros_is_reached_absolutely():
    tile = made(FINE, shape=(6, 5))
    options = dict(w_init=0.1, tolerance=0.005, input_std=1.0)
    assert tile.program_weights(np.zeros((6, 5)), method="gradient", **options).success
    assert np.sqrt(np.square(tile.get_weights()[0]).sum(axis=1).mean()) < 0.01


def test_a_restored_tile_goes_on_as_the_other_would_have():
    noise = rs.IOParameters(out_noise=0.01)
    first, again = made(forward=noise, shape=(6, 5)), made(forward=noise, shape=(6, 5), rng=8)
    first.program_weights(SMALL, method="gradient")
    again.load_state_dict(first.state_dict())
    one, two = (tile.program_weights(-SMALL, method="gradient") for tile in (first, again))
    np.testing.assert_array_equal(one.history, two.history)
    np.testing.assert_array_equal(first.get_weights()[0], again.get_weights()[0])


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (dict(batch=0), ConfigError, "batch must be a positive integer, got 0"),
        (dict(learning_rate=0.0), DataError, "learning_rate must be a number > 0, got 0.0"),
        (dict(learning_rate="fast"), DataError, "learning_rate must be a number > 0, got 'fast'"),
        (dict(input_std=-1.0), DataError, "input_std must be a number > 0, got -1.0"),
        (dict(x_values=np.eye(6)), ShapeError, r"x_values must have shape \(\.\.\., 5\), got"),
        (dict(x_values=np.zeros((3, 5))), DataError, "x_values must be finite and not all 0"),
        (dict(x_values=np.eye(5), input_std=1.0), DataError, "give input_std or x_values, not bo"),
        (dict(dead_zone=np.nan), DataError, "dead_zone must be a number >= 0, got nan"),
        (dict(patience=0), ConfigError, "patience must be a positive integer, got 0"),
        (dict(max_iter=1.5), ConfigError, "max_iter must be a positive integer, got 1.5"),
        (dict(tolerance=-1.0), DataError, "tolerance must be a number >= 0, got -1.0"),
        (dict(w_init=np.zeros((5, 6))), ShapeError, r"w_init must have shape \(6, 5\), got \(5, 6"),
        (dict(max_pulses=3), TypeError, "max_pulses"),
    ],
)
def test_an_argument_that_does_not_fit_changes_nothing(options, error, text):
    tile = made(shape=(6, 5), bias=True, weight_scaling_omega=0.5)
    tile.set_weights(SMALL, np.ones(6))
    before = tile.state_dict()
    with pytest.raises(error, match=text):
        tile.program_weights(2.0 * SMALL, np.zeros(6), method="gradient", **options)
    with pytest.raises(DataError, match="weights must be finite"):
        tile.program_weights(SMALL * np.nan, method="gradient")
    for name, value in tile.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_devices_that_take_no_pulses_are_refused():
    with pytest.raises(StateError, match="IdealDevice takes no pulses"):
        rs.AnalogTile(6, 5, rs.IdealDevice(), rng=1).program_weights(SMALL, method="gradient")
