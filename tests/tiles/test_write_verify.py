"""Write-verify: what remains of the errors, how many pulses it takes, and on which devices."""

import math

import numpy as np
import pytest
from scipy.stats import uniform

import rpusim as rs
from rpusim.errors import ConfigError, DataError, ShapeError, StateError
from rpusim.tiles.grid import TileGrid
from tests.backends import OTHERS
from tests.devices.pulsed import FEATURES, device_named, tile_of
from tests.devices.test_population import TwoNoises
from tests.naive.tolerance import Z, check_law, check_same_law, check_std
from tests.naive.verify import write_verify

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")

STEP = 0.01
FLAT = dict(dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0)
EQUAL = dict(dw_min=STEP, w_max=5.0, w_min=-5.0, **FLAT)
CYCLE = rs.ConstantStepDevice(dw_min_std=0.3, **EQUAL)
LARGE = (200, 200)
UNIFORM = 1.8  # kurtosis
RNG = np.random.default_rng(2)
FAR = STEP * RNG.uniform(10.0, 20.0, LARGE)  # so far that the way there is forgotten
TARGET = RNG.uniform(-0.25, 0.25, (6, 5))


def verified(device=CYCLE, target=FAR, rng=1, backend="cpu", **options):
    """Return a tile of this shape, programmed from 0, and the result."""
    tile = rs.AnalogTile(*target.shape, device, rng=rng, backend=backend)
    options = {"w_init": 0.0, "max_pulses": 5000, **options}
    return tile, tile.program_weights(target, method="write_verify", **options)


def off(tile, target=FAR):
    """Return the errors of the weights in double precision."""
    return tile.get_weights()[0].astype(np.float64) - target


# ---------------------------------------------------------------- closed forms


# extra pulses as published figures have them, rounded to one digit, and their standard deviation
@pytest.mark.parametrize(("window", "extra"), [(0.25, 2.3), (0.1, 8.2), (0.05, 18.2)])
def test_pulses_are_those_of_the_way_and_those_that_jump_over_the_target(window, extra):
    tile, result = verified(tolerance=window * STEP)
    assert result.success
    assert result.reads == result.pulses + FAR.size
    way = (FAR - window * STEP) / STEP
    found = result.pulses / FAR.size - way.mean()
    std = extra + 1.0  # geometric, nearly: as large as the mean, and what the noise of the way adds
    assert abs(found - extra) < 0.05 + Z * std / math.sqrt(FAR.size)


@pytest.mark.parametrize("window", [0.1, 0.05])
def test_errors_are_uniform_within_the_tolerance(window):
    tile, _ = verified(tolerance=window * STEP)
    errors = off(tile) / STEP
    assert np.abs(errors).max() <= window * (1.0 + 1e-4)  # float32
    check_std(errors.ravel(), window / math.sqrt(3.0), UNIFORM)
    check_law(errors, uniform(-window, 2.0 * window).cdf)


@pytest.mark.parametrize(
    ("window", "noise", "reads"),
    [(0.1, 0.05, 1), (0.1, 0.1, 1), (0.05, 0.1, 1), (0.1, 0.2, 4), (0.05, 0.3, 9)],
)
def test_the_noise_of_the_last_read_comes_on_top(window, noise, reads):
    tile, result = verified(tolerance=window * STEP, read_noise=noise * STEP, reads=reads)
    assert result.success
    assert result.reads == reads * (result.pulses + FAR.size)
    # flat prior: exact for sigma, eps << step; a loop in double precision is off by 0.2 % at 0.1
    std = math.sqrt(window**2 / 3.0 + noise**2 / reads)
    check_std(off(tile).ravel() / STEP, std)


@pytest.mark.parametrize(
    ("window", "noise", "reads", "most"), [(0.5, 0.0, 1, 17), (0.25, 0.4, 2, 22)]
)
def test_it_is_a_loop_over_single_devices(window, noise, reads, most):
    """Also where no closed form holds."""
    rng, count = np.random.default_rng(7), 4000
    few = FAR.ravel()[:count]
    naive = [
        write_verify(0.0, t, STEP, 0.3, window * STEP, noise * STEP, reads, most, rng) for t in few
    ]
    w, pulses, done = (np.array(column) for column in zip(*naive, strict=True))
    options = dict(tolerance=window * STEP, read_noise=noise * STEP, reads=reads, max_pulses=most)
    device = CYCLE.replace(count_pulses=True)
    target = FAR.ravel()[count : 5 * count].reshape(80, -1)
    with pytest.warns(UserWarning, match="of 16000 devices did not come within"):
        tile, result = verified(device, target, **options)
    counts = sum(tile.pulse_counts.values())
    check_same_law(off(tile, target)[~result.failed], (w - few)[done])
    check_same_law(counts, pulses)
    spread = math.sqrt(done.mean() * (1.0 - done.mean()) * (1.0 / count + 1.0 / target.size))
    assert abs(result.failed.mean() - 1.0 + done.mean()) < Z * spread
    assert 0.05 < result.failed.mean() < 0.5  # both kinds were there to be compared


def test_equal_steps_are_counted_to_the_pulse():
    device = CYCLE.replace(dw_min_std=0.0, count_pulses=True)
    target = STEP * np.array([[0.2, 0.9, -3.3, 4.4, -7.4, 12.2]])
    tile = rs.AnalogTile(1, 6, device, rng=1)
    with pytest.warns(UserWarning, match="1 of 6 devices did not come within 0.0045 .* 8 pulses"):
        result = tile.program_weights(
            target, method="write_verify", w_init=0.0, tolerance=0.45 * STEP, max_pulses=8
        )
    up, down = tile.pulse_counts["up"], tile.pulse_counts["down"]
    np.testing.assert_array_equal(up, [[0, 1, 0, 4, 0, 8]])
    np.testing.assert_array_equal(down, [[0, 0, 3, 0, 7, 0]])
    np.testing.assert_array_equal(result.failed, [[False] * 5 + [True]])
    assert (result.success, result.iterations) == (False, 8)
    # rounds of reads: 6 devices, then those that are left
    assert result.reads == 6 + 5 + 4 + 4 + 3 + 2 + 2 + 2 + 1
    held = STEP * np.array([0.0, 1.0, -3.0, 4.0, -7.0, 8.0])
    mean = np.abs(held - target).mean() / np.abs(target).max()
    assert result.error == pytest.approx(mean, rel=1e-5)
    assert result.error == result.history[-1]
    assert result.history[0] == pytest.approx(np.abs(target).mean() / (12.2 * STEP), rel=1e-5)
    assert result.history.shape == (9,)


# ---------------------------------------------------------------- every law


class FourNoises(rs.PulsedDevice):
    """A law with four normals and a state."""

    level: float = rs.per_device(0.0)
    draws = 4
    state = ("level",)

    @staticmethod
    def pulse(w, sign, dev, model, z):
        """Move by the step, with four noises."""
        noise = 1.0 + 0.1 * (z[0] + z[1] + z[2] + z[3])
        return w + sign * dev.dwmin_up * noise, dev.level + sign


COMMON = dict(dw_min=0.01, w_max=0.6, w_min=-0.6, corrupt_devices_prob=0.1, count_pulses=True)
LAWS = {
    **{name: device_named(name, **COMMON) for name in FEATURES},
    "soft bounds, write noise": rs.SoftBoundsDevice(write_noise_std=1.0, **COMMON),
    "soft bounds, quiet": rs.SoftBoundsDevice(**{**COMMON, "dw_min_std": 0.0}),
    "drift": rs.SoftBoundsDevice(drift=dict(nu=0.1, nu_std=0.2), **COMMON),
    "two draws": TwoNoises(**COMMON),
    "four draws": FourNoises(**COMMON),
}


@pytest.mark.filterwarnings("ignore:.*did not come within")
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", LAWS)
def test_all_backends_give_the_same_bits(name, other):
    states = []
    for backend in ("cpu", other):
        options = dict(read_noise=0.003, max_pulses=20, rng=3, backend=backend)
        tile, result = verified(LAWS[name], TARGET, **options)
        counts = tile.pulse_counts
        assert result.pulses == tile.stats.pulses == counts["up"].sum() + counts["down"].sum() > 0
        assert tile.stats.pulses_up == counts["up"].sum()
        states.append({**tile.state_dict(), "history": result.history, "failed": result.failed})
    for key, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][key], err_msg=key)


WALKED = [name for name, device in LAWS.items() if device.step_depends_on_weight]


@pytest.mark.filterwarnings("ignore:.*did not come within")
@pytest.mark.parametrize("name", WALKED)
def test_its_pulse_is_that_of_an_update_bit_for_bit(name):
    tiles = [tile_of(LAWS[name], (7, 20), np.zeros((7, 20)), rng=4) for _ in range(2)]
    signs = np.where(np.arange(20) % 3 == 0, -1.0, 1.0)
    tiles[0].update(-signs, np.ones(7), learning_rate=4.0)
    beyond = 9.0 * np.broadcast_to(signs, (7, 20))
    tiles[1].program_weights(beyond, method="write_verify", max_pulses=1)
    one, two = (tile.state_dict() for tile in tiles)
    for key in one.keys() - {"rng_steps", "ledger"}:
        np.testing.assert_array_equal(one[key], two[key], err_msg=key)
    assert tiles[0].stats.pulses == tiles[1].stats.pulses == 140


def test_results_do_not_depend_on_the_number_of_threads():
    before, held = rs.get_num_threads(), []
    try:
        for threads in (1, 3):
            rs.set_num_threads(threads)
            tile, result = verified(rs.LinearStepDevice(**EQUAL), read_noise=0.002, reads=2)
            held.append((tile.get_weights()[0], result.history, result.reads))
    finally:
        rs.set_num_threads(before)
    for one, two in zip(*held, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_restored_tile_goes_on_as_the_other_would_have():
    first, _ = verified(target=TARGET, read_noise=0.004)
    again = rs.AnalogTile(6, 5, CYCLE, rng=8)
    again.load_state_dict(first.state_dict())
    options = dict(method="write_verify", read_noise=0.004)
    histories = [tile.program_weights(-TARGET, **options).history for tile in (first, again)]
    np.testing.assert_array_equal(*histories)
    np.testing.assert_array_equal(first.get_weights()[0], again.get_weights()[0])


# ---------------------------------------------------------------- what is seen


def test_the_weight_that_is_programmed_is_that_without_the_reference():
    device = rs.SoftBoundsReferenceDevice(
        **{**FLAT, "dw_min": 0.005, "w_max": 1.0, "w_min": -1.0},
        reference_mean=0.2,
        reference_std=0.1,
    )
    tile, result = verified(device, TARGET)
    assert result.success
    assert np.abs(off(tile, TARGET)).max() <= 0.5 * tile.weight_granularity * (1.0 + 1e-4)
    assert np.abs(tile.get_hidden_parameters()["persistent_weights"] - TARGET).mean() > 0.1


def test_write_noise_is_part_of_what_is_accepted_and_redrawn_by_pulses_only():
    device = rs.LinearStepDevice(write_noise_std=2.0, dw_min_std=0.0, **EQUAL)
    tile, result = verified(device)
    assert result.success
    assert np.abs(off(tile)).max() <= 0.5 * STEP * (1.0 + 1e-4)
    # what pulses act on is off by the noise that was accepted with it
    assert np.abs(tile.get_hidden_parameters()["persistent_weights"] - FAR).mean() > 0.5 * STEP
    before = tile.get_weights()[0]
    target = before.copy()
    target[:, ::2] += 10.0 * STEP
    tile.program_weights(target, method="write_verify")
    np.testing.assert_array_equal(tile.get_weights()[0][:, 1::2], before[:, 1::2])


def test_devices_start_as_they_are_or_where_they_are_told_to():
    tile = rs.AnalogTile(6, 5, CYCLE, rng=1)
    tile.set_weights(TARGET)
    result = tile.program_weights(TARGET, method="write_verify")
    assert (result.pulses, result.reads, result.iterations) == (0, 30, 0)
    assert tile.program_weights(method="write_verify").pulses == 0  # what they hold is the target
    assert tile.stats.writes == 2  # at construction, and by set_weights
    result = tile.program_weights(TARGET, method="write_verify", w_init=TARGET + 0.1)
    assert result.history[0] == pytest.approx(0.1 / np.abs(TARGET).max(), rel=1e-5)
    found = []
    note = dict(on_iteration=lambda done, error: found.append(tile.get_weights()[0]) or True)
    with pytest.warns(UserWarning, match="did not come within"):
        result = tile.program_weights(TARGET, method="write_verify", w_init=0.05, **note)
    assert (result.iterations, result.pulses) == (0, 0)  # the callback had seen enough
    assert 0.03 < np.abs(found[0]).max() <= 0.05


def test_devices_that_cannot_reach_their_target_fail_and_get_all_pulses():
    device = rs.ConstantStepDevice(count_pulses=True, dw_min=0.01, **FLAT, stuck_at_min_prob=0.2)
    tile = rs.AnalogTile(10, 10, device, rng=2)
    low, high = tile.weight_range()
    stuck, target = low == high, np.full((10, 10), 0.3)
    target[0] = 0.9  # beyond 0.6
    with pytest.warns(UserWarning, match="devices did not come within 0.005 of their targets"):
        result = tile.program_weights(target, method="write_verify", max_pulses=100, w_init=0.0)
    lost = stuck | (target > high)
    assert 10 < lost.sum() < 60
    np.testing.assert_array_equal(result.failed, lost)
    assert result.clipped == lost.sum()
    np.testing.assert_array_equal(tile.pulse_counts["up"][lost], 100)
    assert tile.pulse_counts["up"][~lost].max() < 100
    assert result.noise_floor == 0.0


# ---------------------------------------------------------------- tiles


@pytest.mark.parametrize("omega", [0.0, 0.4])
def test_bias_and_scales_are_those_of_the_mapping(omega):
    mapping = dict(digital_bias=False, weight_scaling_omega=omega)
    config = rs.RPUConfig(device=CYCLE, mapping=mapping)
    tile, bias = rs.AnalogTile(6, 5, config, bias=True, rng=1), np.linspace(-0.2, 0.2, 6)
    result = tile.program_weights(3.0 * TARGET, bias, method="write_verify", tolerance=0.001)
    assert result.success
    assert result.failed.shape == (6, 6)
    w, b = tile.get_weights()
    allowed = 0.001 * tile.mapping_scales[:, None] * (1.0 + 1e-3)
    assert (np.abs(np.column_stack([w - 3.0 * TARGET, b - bias])) <= allowed).all()
    assert (tile.mapping_scales == 1.0).all() == (omega == 0.0)


def test_set_weights_takes_the_method_too():
    tile = rs.AnalogTile(6, 5, CYCLE, rng=1)
    assert tile.set_weights(TARGET, realistic=True, method="write_verify", tolerance=0.002) == 0
    assert 0.0 < np.abs(off(tile, TARGET)).max() <= 0.002 * (1.0 + 1e-4)


@pytest.mark.parametrize("analog", [False, True])
def test_a_grid_adds_up_its_tiles(analog):
    limits = dict(max_input_size=3, max_output_size=4, digital_bias=not analog)
    device = CYCLE.replace(w_max=0.35, w_min=-0.35)
    config = rs.RPUConfig(device=device, mapping=limits)
    grid, target, bias = TileGrid(6, 7, config, bias=True, rng=1), np.full((6, 7), 0.2), np.ones(6)
    target[5, 6] = target[0, 0] = 0.5
    start = np.zeros(grid.layout.device_shape)
    start[2, 3] = 0.2
    first = []
    with pytest.warns(UserWarning, match="did not come within"):
        result = grid.program_weights(
            target, bias, method="write_verify", w_init=start, max_pulses=50,
            on_iteration=lambda done, error: first.append(error) if done == 0 else None,
        )  # fmt: skip
    lost = np.column_stack([target, bias]) > 0.4 if analog else target > 0.4
    np.testing.assert_array_equal(result.failed, lost)
    assert not result.success
    assert result.clipped == lost.sum()
    assert result.pulses == grid.stats.pulses
    assert result.reads == result.pulses + lost.size
    assert min(first) < max(first) == 1.0  # the tile with the block of `start` had less to do
    np.testing.assert_allclose(grid.get_weights()[0][~(target > 0.4)], 0.2, atol=0.0051)


# ---------------------------------------------------------------- what does not fit


def test_several_devices_at_a_crosspoint_are_refused():
    tile = rs.AnalogTile(6, 5, rs.VectorUnitCell([CYCLE, CYCLE]), rng=1)
    before = tile.state_dict()
    with pytest.raises(StateError, match='VectorUnitCell has several .* use method="gradient"'):
        tile.program_weights(TARGET, method="write_verify")
    for name, value in tile.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    with pytest.raises(StateError, match="IdealDevice takes no pulses"):
        rs.AnalogTile(6, 5, rs.IdealDevice(), rng=1).program_weights(TARGET, method="write_verify")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (dict(method="write_verfy"), ConfigError, "got 'write_verfy'; did you mean 'write_verify'"),
        (dict(method=3), ConfigError, "method must be one of fixed_inputs, write_verify, gradient"),
        (dict(tolerance=-0.1), DataError, "tolerance must be a number >= 0, got -0.1"),
        (dict(tolerance="fine"), DataError, "tolerance must be a number >= 0, got 'fine'"),
        (dict(max_pulses=0), ConfigError, "max_pulses must be a positive integer, got 0"),
        (dict(reads=1.5), ConfigError, "reads must be a positive integer, got 1.5"),
        (dict(read_noise=np.nan), DataError, "read_noise must be a number >= 0, got nan"),
        (dict(w_init=np.zeros((5, 6))), ShapeError, r"w_init must have shape \(6, 5\), got \(5, 6"),
        (dict(learning_rate=0.1), TypeError, "learning_rate"),
    ],
)
def test_an_argument_that_does_not_fit_changes_nothing(options, error, text):
    mapping = rs.MappingParameter(weight_scaling_omega=0.5)
    tile = rs.AnalogTile(6, 5, rs.RPUConfig(device=CYCLE, mapping=mapping), bias=True, rng=1)
    tile.set_weights(TARGET, np.ones(6))
    before = tile.state_dict()
    with pytest.raises(error, match=text):
        tile.program_weights(2.0 * TARGET, np.zeros(6), **{"method": "write_verify", **options})
    with pytest.raises(DataError, match="weights must be finite"):
        tile.program_weights(TARGET * np.nan, method="write_verify")
    with pytest.raises(ShapeError, match=r"weights must have shape \(6, 5\), got \(5, 6\)"):
        tile.program_weights(TARGET.T, method="write_verify")
    for name, value in tile.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
