"""A tile in the hands of a new user: what is accepted, what is refused and in which words."""

import numpy as np
import pytest
from scipy.sparse.linalg import gmres, lsqr

import rpusim as rs
from rpusim.errors import (
    BackendError,
    ClippedWeightsWarning,
    ConfigError,
    DataError,
    RpusimError,
    ShapeError,
    StateError,
)
from rpusim.tiles.arguments import as_vectors

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")

PERFECT = rs.IOParameters(is_perfect=True)
IDEAL = rs.RPUConfig(device=rs.IdealDevice(), forward=PERFECT, backward=PERFECT)
W = np.array([[0.5, -0.25, 0.75], [-0.5, 1.0, 0.125]])


@pytest.fixture
def tile():
    tile = rs.AnalogTile(2, 3, IDEAL, rng=1)
    tile.set_weights(W)
    return tile


# ---------------------------------------------------------------- what is accepted


@pytest.mark.parametrize(
    "x",
    [
        [1, 2, 4],
        (1.0, 2.0, 4.0),
        np.array([1, 2, 4]),
        np.array([1, 2, 4], np.uint8),
        np.array([1, 2, 4], np.float16),
        np.array([1, 2, 4], ">f8"),
        np.array([1, 0, 2, 0, 4, 0], float)[::2],
        np.array([[4, 2, 1]], "f4")[0, ::-1],
    ],
)
def test_anything_that_reads_as_real_numbers_is_accepted(tile, x):
    y = tile.forward(x)
    np.testing.assert_array_equal(y, W @ [1, 2, 4])
    assert (y.shape, y.dtype) == ((2,), np.float32)


def test_inputs_are_left_as_they_were(tile):
    x, d = np.ones((4, 3), np.float32), np.ones((4, 2), np.float32)
    tile.update(x, d, 0.1)
    tile.forward(x)
    tile.backward(d)
    w = W.copy()
    tile.set_weights(w)
    tile.update([1, 2, 3], [1, 2], 0.5)
    assert (x == 1).all()
    assert (d == 1).all()
    np.testing.assert_array_equal(w, W)


def test_results_are_the_callers_own(tile):
    tile.get_weights()[0][:] = 7.0
    tile.forward(np.ones(3))[:] = 7.0
    tile.mapping_scales[:] = 7.0
    np.testing.assert_array_equal(tile.get_weights()[0], W)
    assert tile.get_weights()[1] is None


@pytest.mark.parametrize("lead", [(0,), (2, 0), (0, 2)])
def test_empty_batches_are_empty_results(tile, lead):
    assert tile.forward(np.zeros((*lead, 3))).shape == (*lead, 2)
    assert tile.backward(np.zeros((*lead, 2))).shape == (*lead, 3)
    tile.update(np.zeros((*lead, 3)), np.zeros((*lead, 2)), 0.1)
    np.testing.assert_array_equal(tile.get_weights()[0], W)


def test_a_learning_rate_of_zero_does_nothing(tile):
    tile.update(np.ones(3), np.ones(2), learning_rate=0)
    np.testing.assert_array_equal(tile.get_weights()[0], W)
    assert tile.stats.vectors_updated == 0


def test_stats_count_reads_updates_and_writes(tile):
    for _ in range(2):
        tile.forward(np.ones((5, 3)))
    tile.backward(np.ones((2, 4, 2)))
    tile.update(np.ones((3, 3)), np.ones((3, 2)), 0.1)
    s = tile.stats
    assert (s.reads_forward, s.reads_backward, s.vectors_updated, s.writes) == (10, 8, 3, 2)
    pulsed = rs.AnalogTile(2, 3, rs.ConstantStepDevice(dw_min_dtod=0.0, w_min=-9, w_max=9), rng=1)
    pulsed.update(np.ones(3), -np.ones(2), 0.02)
    pulsed.update(np.ones(3), np.ones(2), 0.01)
    up, down = pulsed.stats.pulses_up, pulsed.stats.pulses_down
    assert (up, down, pulsed.stats.pulses) == (
        120,
        60,
        180,
    )  # both lines always fire: 6 x 20, 6 x 10
    assert pulsed.stats.last_update.pulses_down == 60


# ---------------------------------------------------------------- arrays that do not fit


@pytest.mark.parametrize(
    ("method", "value", "error", "text"),
    [
        ("forward", np.ones((2, 4)), ShapeError, r"x must .*, 3\), got \(2, 4\); .* 3 inputs"),
        ("forward", np.ones((3, 2)), ShapeError, r"x must have shape \(\.\.\., 3\), got \(3, 2\)"),
        ("forward", 1.0, ShapeError, r"x must have shape \(\.\.\., 3\), got \(\)"),
        ("forward", [], ShapeError, r"x must have shape \(\.\.\., 3\), got \(0,\)"),
        ("backward", np.ones(3), ShapeError, r"d must .*, 2\), got \(3,\); .* 2 outputs"),
        ("forward", [1j, 0, 0], DataError, "x must hold real numbers, got complex128"),
        ("forward", "abc", DataError, "x must hold real numbers, got <U3"),
        ("forward", ["1", "2", "3"], DataError, "x must hold real numbers, got <U1"),
        ("forward", None, DataError, "x must hold real numbers, got object"),
        ("backward", [1, None], DataError, "d must hold real numbers, got object"),
        ("forward", [1, 2, np.nan], DataError, "must be finite, got NaN or infinity in row 0"),
        ("backward", [[1, 2], [np.inf, 0]], DataError, "must be finite, got NaN or inf.* row 1"),
    ],
)
def test_a_vector_that_does_not_fit_is_refused(tile, method, value, error, text):
    with pytest.raises(error, match=rf"^AnalogTile\.{method}: .*{text}") as caught:
        getattr(tile, method)(value)
    assert isinstance(caught.value, (RpusimError, ValueError))
    assert tile.stats.reads_forward == tile.stats.reads_backward == 0


@pytest.mark.parametrize("value", [[[1, 2, 3], [1, 2]], 1e300])
def test_what_numpy_or_single_precision_cannot_hold_is_a_value_error(tile, value):
    with pytest.raises(ValueError, match="inhomogeneous|finite"):
        tile.forward(value if isinstance(value, list) else [value, 0.0, 0.0])


@pytest.mark.parametrize(
    ("x", "d", "error", "text"),
    [
        (np.ones((3, 3)), np.ones((2, 2)), ShapeError, "x and d must hold as many .* 3 and 2"),
        (np.ones((1, 4)), np.ones((1, 2)), ShapeError, r"update: x must have shape \(\.\.\., 3\)"),
        (np.ones((1, 3)), np.ones((1, 3)), ShapeError, r"update: d must have shape \(\.\.\., 2\)"),
        ([1, np.nan, 0], [1, 1], DataError, "x must be finite, got NaN or infinity in row 0"),
        (np.ones((2, 3)), [[1, 1], [1, np.inf]], DataError, "d must be finite, .* in row 1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "device", [rs.IdealDevice(), rs.SoftBoundsDevice(), rs.FloatingPointDevice()]
)
def test_an_update_that_does_not_fit_is_refused_and_changes_nothing(x, d, error, text, device):
    tile = rs.AnalogTile(2, 3, device, rng=1)
    before = tile.state_dict()
    with pytest.raises(error, match=text):
        tile.update(x, d, 0.1)
    for name, value in tile.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


@pytest.mark.parametrize("rate", [-0.1, np.nan, np.inf, None, "0.1", [0.1], True, 1j])
def test_a_learning_rate_that_is_no_number_from_0_on_is_refused(tile, rate):
    with pytest.raises(
        DataError, match=r"AnalogTile\.update: learning_rate must be a number >= 0, got"
    ):
        tile.update(np.ones(3), np.ones(2), rate)


@pytest.mark.parametrize("time", [-1.0, np.nan, np.inf, None, "1"])
def test_a_time_that_is_no_number_from_0_on_is_refused(tile, time):
    with pytest.raises(DataError, match=r"drift_weights: delta_t must be a time >= 0, got"):
        tile.drift_weights(time)


@pytest.mark.parametrize("prob", [-0.1, 1.1, np.nan, None, "1"])
def test_a_probability_outside_0_to_1_is_refused(tile, prob):
    with pytest.raises(DataError, match=r"reset_columns: prob must be in 0\.\.1, got"):
        tile.reset_columns(0, 1, prob)


@pytest.mark.parametrize(
    ("weights", "bias", "error", "text"),
    [
        (W.T, None, ShapeError, r"weights must have shape \(2, 3\), got \(3, 2\)"),
        (W[0], None, ShapeError, r"weights must have shape \(2, 3\), got \(3,\)"),
        (W * np.nan, None, DataError, "weights must be finite, got NaN or infinity"),
        (W * 1j, None, DataError, "weights must hold real numbers, got complex128"),
        (W, [1.0, 2.0], StateError, "this tile has no bias; make it with bias=True"),
        (W, [1.0], ShapeError, r"bias must have shape \(2,\), got \(1,\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_change_nothing(tile, weights, bias, error, text):
    with pytest.raises(error, match=rf"set_weights: {text}"):
        tile.set_weights(weights, bias)
    np.testing.assert_array_equal(tile.get_weights()[0], W)


def test_weights_that_do_not_fit_on_the_devices_are_reported():
    device = rs.ConstantStepDevice(w_max_dtod=0.0, w_min_dtod=0.0)
    tile = rs.AnalogTile(2, 3, device, rng=1)
    text = r"4 of 6 weights were clipped to what their devices can hold \(see weight_range\(\)"
    with pytest.warns(ClippedWeightsWarning, match=text) as caught:
        assert tile.set_weights([[0.7, 0.1, -0.7], [2.0, 0.0, -9.0]]) == 4
    assert caught[0].filename == __file__
    assert tile.stats.weights_clipped == 4
    np.testing.assert_allclose(tile.get_weights()[0], [[0.6, 0.1, -0.6], [0.6, 0, -0.6]])


# ---------------------------------------------------------------- construction


@pytest.mark.parametrize(
    ("config", "hint"),
    [
        (rs.RPUConfig, "; call it to make one"),
        (rs.SoftBoundsDevice, "; call it to make one"),
        (rs.presets.EcRamPreset, "; call it to make one"),
        ({"device": 1}, ""),
        (rs.IOParameters(), ""),
        ("SoftBoundsDevice", ""),
    ],
)
def test_what_is_no_configuration_is_refused(config, hint):
    with pytest.raises(ConfigError, match=rf"rpu_config must be .* or a device, got .*{hint}\.$"):
        rs.AnalogTile(2, 3, config)


def test_a_tile_refuses_the_configuration_of_the_other_kind():
    with pytest.raises(ConfigError, match="for a FloatingPointRPUConfig use FloatingPointTile"):
        rs.AnalogTile(2, 3, rs.FloatingPointRPUConfig())
    with pytest.raises(ConfigError, match="for other configurations use AnalogTile"):
        rs.FloatingPointTile(2, 3, rs.RPUConfig())


@pytest.mark.parametrize("size", [0, -1, 2.0, "2", None, True, (2,)])
def test_a_size_must_be_a_positive_integer(size):
    with pytest.raises(ConfigError, match="AnalogTile: out_size must be a positive integer, got "):
        rs.AnalogTile(size, 3)
    with pytest.raises(ConfigError, match="AnalogTile: in_size must be a positive integer, got "):
        rs.AnalogTile(3, size)


@pytest.mark.parametrize(
    ("backend", "text"),
    [("gpu", "of cpu, cuda, python"), ("cpuu", "got 'cpuu'"), ("CPU", "got 'CPU'"), (None, "None")],
)
def test_a_backend_that_is_not_there_is_refused(backend, text):
    with pytest.raises(BackendError, match=text):
        rs.AnalogTile(2, 3, backend=backend)


@pytest.mark.parametrize("rng", ["1", -1, 1.5, True])
def test_a_seed_that_is_none_is_refused(rng):
    with pytest.raises(ConfigError, match="rng must be None, an integer in"):
        rs.AnalogTile(2, 3, rng=rng)


# ---------------------------------------------------------------- as a linear operator


def test_a_tile_multiplies_vectors_and_columns(tile):
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_allclose(tile @ x, W @ x, rtol=1e-6)
    np.testing.assert_allclose(tile @ x[:, 0], W @ x[:, 0], rtol=1e-6)
    np.testing.assert_allclose(tile @ [1, 2, 3], W @ [1, 2, 3], rtol=1e-6)


def test_scipys_solvers_run_on_an_ideal_tile():
    a = np.random.default_rng(1).normal(size=(20, 20)) / 9 + np.eye(20)
    tile = rs.AnalogTile(20, 20, IDEAL, rng=1)
    tile.set_weights(a)
    operator, x = tile.as_linear_operator(), np.linspace(-1.0, 1.0, 20)
    assert (operator.shape, operator.dtype) == ((20, 20), np.float64)
    np.testing.assert_allclose(lsqr(operator, a @ x, atol=1e-7, btol=1e-7)[0], x, atol=1e-4)
    np.testing.assert_allclose(gmres(operator, a @ x, rtol=1e-6)[0], x, atol=1e-4)
    np.testing.assert_allclose(operator.T @ x, a.T @ x, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(operator @ np.eye(20), a, atol=1e-6)


@pytest.mark.parametrize("digital", [True, False])
def test_a_bias_is_not_part_of_the_operator(digital):
    config = IDEAL.replace(mapping={"digital_bias": digital})
    tile = rs.AnalogTile(2, 3, config, bias=True, rng=1)
    tile.set_weights(W, [1.0, -2.0])
    np.testing.assert_allclose(tile.as_linear_operator() @ np.ones(3), W @ np.ones(3), rtol=1e-6)
    np.testing.assert_allclose(tile.forward(np.ones(3)), W @ np.ones(3) + [1.0, -2.0], rtol=1e-6)


def test_arrays_that_cannot_be_written_to_need_no_machine_code_of_their_own():
    x = np.ones((2, 3), np.float32)
    assert as_vectors(x, 3, "", "inputs")[0] is x
    x.flags.writeable = False
    seen, _ = as_vectors(x, 3, "", "inputs")
    assert seen.flags.writeable
    np.testing.assert_array_equal(seen, x)
