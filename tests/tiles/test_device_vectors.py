"""Vectors that live on a GPU: device arrays in, device arrays out, and the numbers of NumPy's."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.kernels.device_arrays import host, is_device_array, place
from rpusim.kernels.simulated_arrays import SimulatedArray
from rpusim.tiles.ledger import Ledger, UpdateReport

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

RNG = np.random.default_rng(3)
X, D = (RNG.normal(size=(4, n)).astype(np.float32) for n in (6, 5))
RANGE = dict(input_range=dict(enable=True, init_from_data=0, init_value=1.0))
CONFIGS = {
    "noisy": rs.RPUConfig(device=rs.SoftBoundsDevice()),
    "analog bias, scales": rs.RPUConfig(
        device=rs.ConstantStepDevice(),
        mapping=dict(digital_bias=False, weight_scaling_omega=0.3, weight_scaling_columnwise=True),
    ),
    "range, learned scales": rs.RPUConfig(
        device=rs.ConstantStepDevice(), mapping=dict(learn_out_scaling=True), pre_post=RANGE
    ),
    "straight through": rs.RPUConfig(
        device=rs.ConstantStepDevice(),
        forward=rs.IOParameters(out_bound=0.3, bound_management="NONE", nm_thres=0.5),
        gradient=dict(backward_mode="STRAIGHT_THROUGH"),
    ),
    "quantised inputs": rs.RPUConfig(
        device=rs.IdealDevice(), gradient=dict(backward_mode="EXACT", quantised_inputs=True)
    ),
    "floating point": rs.RPUConfig(device=rs.FloatingPointDevice()),
    "Tiki-Taka": rs.RPUConfig(device=rs.TransferCompound([rs.SoftBoundsDevice()] * 2)),
    "chopped": rs.RPUConfig(device=rs.ChoppedTransferCompound([rs.SoftBoundsDevice()] * 2)),
    "mixed precision": rs.RPUConfig(device=rs.MixedPrecisionCompound(rs.SoftBoundsDevice())),
    "one-sided": rs.RPUConfig(device=rs.OneSidedUnitCell([rs.SoftBoundsDevice()] * 2)),
}


def lived(name, move, backend="cuda"):
    """Return what a tile answers, and its state, for vectors that went through `move`."""
    tile = rs.AnalogTile(5, 6, CONFIGS[name], bias=True, rng=2, backend=backend)
    x, d = move(X), move(D)
    answers = [tile.forward(x), tile.backward(d)]
    tile.forward(x)
    gradients = tile.gradients(d)
    answers += [gradients.input, *gradients.pair, *gradients.digital.values()]
    tile.update(x, d, learning_rate=0.05)
    answers += [tile.forward(x[0]), tile.transposed(d), tile @ x.T]
    return tile, answers


@pytest.mark.parametrize("name", CONFIGS)
def test_they_give_the_numbers_of_numpys(name):
    tile, answers = lived(name, lambda v: place(v, "cuda"))
    same, expected = lived(name, lambda v: v)
    for answer, number in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(host(answer), number)
    for key, value in same.state_dict().items():
        np.testing.assert_array_equal(tile.state_dict()[key], value, err_msg=key)
    assert tile.stats.state().tolist() == same.stats.state().tolist()


@pytest.mark.parametrize("name", ["noisy", "analog bias, scales", "floating point"])
def test_results_stay_there(name):
    _, answers = lived(name, lambda v: place(v, "cuda"))
    assert all(is_device_array(answer) for answer in answers)
    _, answers = lived(name, lambda v: v)
    assert all(type(answer) is np.ndarray for answer in answers)


class Foreign:
    """An array of another library."""

    def __init__(self, array):
        self.__cuda_array_interface__ = SimulatedArray(array).__cuda_array_interface__
        self.held = array


class Lent:
    """An array of another library that offers its memory by DLPack alone."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__()

    def __dlpack_device__(self):
        return 2, 0


def test_memory_may_be_lent_by_dlpack_alone():
    tile, same = (rs.AnalogTile(5, 6, CONFIGS["noisy"], rng=2, backend="cuda") for _ in range(2))
    y = tile.forward(Lent(X))
    assert is_device_array(y)
    np.testing.assert_array_equal(host(y), same.forward(X))


def test_a_tile_of_this_machine_refuses_them():
    tile = rs.AnalogTile(5, 6, CONFIGS["noisy"], rng=2, backend="cpu")
    with pytest.raises(rs.BackendError, match=r'forward: x is an array of a GPU.*backend="cuda"'):
        tile.forward(place(X, "cuda"))
    with pytest.raises(rs.BackendError, match="update: x"):
        tile.update(Foreign(X), D)


def test_wrong_shapes_and_types_are_refused_there_too():
    tile = rs.AnalogTile(5, 6, CONFIGS["noisy"], rng=2, backend="cuda")
    with pytest.raises(rs.ShapeError, match=r"x must have shape \(\.\.\., 6\), got \(4, 5\)"):
        tile.forward(place(D, "cuda"))
    with pytest.raises(rs.DataError, match="real numbers, got complex"):
        tile.forward(place(X.astype(complex), "cuda"))


def test_a_grid_takes_them():
    config = rs.RPUConfig(
        device=rs.SoftBoundsDevice(), mapping=dict(max_input_size=4, max_output_size=3)
    )
    answers = []
    for move in (lambda v: v, lambda v: place(v, "cuda")):
        grid = rs.TileGrid(5, 6, config, bias=True, rng=2, backend="cuda")
        x, d = move(X), move(D)
        y, g = grid.forward(x), grid.backward(d)
        grid.update(x, d, learning_rate=0.05)
        answers.append([host(y), host(g), grid.get_weights()[0]])
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_update_refuses_what_is_not_finite_and_changes_nothing():
    tile = rs.AnalogTile(5, 6, CONFIGS["noisy"], rng=2, backend="cuda")
    before = tile.state_dict()
    x = X.copy()
    x[2, 1] = np.nan
    for move in (lambda v: v, lambda v: place(v, "cuda")):
        with pytest.raises(rs.DataError, match="update: x must be finite.*row 2"):
            tile.update(move(x), move(D), learning_rate=0.1)
    for key, value in tile.state_dict().items():
        np.testing.assert_array_equal(before[key], value, err_msg=key)


def test_an_update_waits_for_nothing_if_vectors_come_from_here(monkeypatch):
    tile = rs.AnalogTile(5, 6, CONFIGS["noisy"], rng=2, backend="cuda")
    tile.update(X, D, learning_rate=0.05)

    def asked(*args):
        raise AssertionError("the GPU was waited for")

    for name in ("get", "item", "__bool__", "__int__", "__float__"):
        monkeypatch.setattr(SimulatedArray, name, asked)
    tile.update(X, D, learning_rate=0.05)


def test_pulses_that_are_awaited_add_up():
    ledger, known = Ledger(), UpdateReport(vectors=1, pulses_up=2, pulses_down=3)
    for k in range(100):
        report = UpdateReport(vectors=1)
        report.await_pulses(place(np.full((4, 2), [k, 1]), "cuda"))
        ledger.record(report)
        ledger.record(known)
    assert ledger.pulses_up == 4 * sum(range(100)) + 200
    assert ledger.pulses_down == 400 + 300
    assert ledger.last_update is known
    assert (report.pulses_up, report.pulses_down) == (396, 4)
    with pytest.raises(AttributeError, match="UpdateReport has no attribute 'pulse'"):
        report.pulse  # noqa: B018


def test_a_state_moves_between_backends(tmp_path):
    there = rs.AnalogTile(5, 6, CONFIGS["noisy"], rng=2, backend="cuda")
    there.update(X, D, learning_rate=0.05)
    here = rs.AnalogTile(5, 6, CONFIGS["noisy"], rng=9)
    rs.save(tmp_path / "tile.npz", there)
    rs.load(tmp_path / "tile.npz", into=here)
    np.testing.assert_array_equal(here.forward(X), there.forward(X))


@pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")
@pytest.mark.parametrize("method", ["fixed_inputs", "gradient", "write_verify"])
def test_weights_are_programmed_by_pulses_as_on_the_cpu(method):
    config = rs.RPUConfig(device=rs.SoftBoundsDevice(), forward=rs.IOParameters(is_perfect=True))
    results = []
    for backend in ("cpu", "cuda"):
        tile = rs.AnalogTile(2, 3, config, rng=1, backend=backend)
        results.append(tile.program_weights(np.full((2, 3), 0.2), method=method, tolerance=0.1))
        assert results[-1].success
        results.append(tile.program_weights(method=method, tolerance=0.1))  # what it has
    for mine, theirs in zip(results[:2], results[2:], strict=True):
        np.testing.assert_allclose(mine.history, theirs.history, rtol=1e-4, atol=1e-6)
