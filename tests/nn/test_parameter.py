"""Story 4: a parameter behaves like its array, is always in sync, and refuses writes by name."""

import copy
import pickle

import numpy as np
import pytest

from rpusim import nn
from rpusim.errors import StateError
from rpusim.nn.parameter import MOST_PAIRS


@pytest.fixture(params=["digital", "analog"])
def layer(request, analog_linear):
    return (analog_linear if request.param == "analog" else nn.Linear)(6, 4, rng=0)


def test_it_reads_as_its_array(layer):
    w, a = layer.weight, layer.get_weights()[0]
    assert (w.shape, w.size, w.ndim, w.dtype, len(w)) == ((4, 6), 24, 2, np.float32, 4)
    assert w.norm() == pytest.approx(np.linalg.norm(a))
    for ours, theirs in [
        (w, a), (w + 1, a + 1), (2 * w, 2 * a), (w > 0.1, a > 0.1), (w == a, a == a), (-w, -a),
        (w @ w.T, a @ a.T), (abs(w), abs(a)), (np.exp(w), np.exp(a)), (w[1, 2:], a[1, 2:]),
        (w[w > 0], a[a > 0]), (w.mean(axis=0), a.mean(axis=0)), (np.array(w), a),
        (list(w), list(a)), (w.reshape(-1), a.reshape(-1)),
        (np.concatenate([w, w]), np.concatenate([a, a])), (np.float64(2) * w, 2 * a),
        (w - w, a - a), (np.linalg.norm(w), np.linalg.norm(a)), (np.asarray(w, "f8"), a),
    ]:  # fmt: skip
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_it_shows_what_the_tile_holds_now(analog_linear):
    layer = analog_linear(6, 4, rng=0)
    w, before = layer.weight, np.asarray(layer.weight)
    layer.tile.update(np.ones((1, 6), "f4"), np.ones((1, 4), "f4"), learning_rate=0.5)
    np.testing.assert_array_equal(w, before - 0.5)
    layer.set_weights(np.zeros((4, 6)), np.ones(4))
    assert w.norm() == 0.0
    np.testing.assert_array_equal(layer.bias, np.ones(4))


@pytest.mark.parametrize(
    "write",
    [
        lambda w: w.__setitem__((0, 0), 3.0),
        lambda w: w.__iadd__(1),
        lambda w: np.add(w, 1, out=w),
        lambda w: np.add.at(w, 0, 1),
        lambda w: w.fill(0),
        lambda w: w.sort(),
        lambda w: np.put(w, 0, 1),
        lambda w: setattr(w, "data", np.ones((4, 6))),
    ],
)
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_write_to_devices_is_refused_and_names_set_weights(write, name, analog_linear):
    layer = analog_linear(6, 4, bias="analog", rng=0)
    before = np.array(getattr(layer, name))
    with pytest.raises(StateError, match=r"set_weights\(weight, bias\)"):
        write(getattr(layer, name))
    np.testing.assert_array_equal(getattr(layer, name), before)


def test_an_array_read_out_of_a_tile_cannot_be_mistaken_for_the_tile(analog_linear):
    w = analog_linear(6, 4, rng=0).weight
    for a in (np.asarray(w), w.data, w[0]):
        with pytest.raises(ValueError, match="read-only"):
            a[...] = 0
    np.array(w)[0, 0] = 5.0  # a copy, as with any array
    with pytest.raises(ValueError, match="makes a copy"):
        np.array(w, copy=False)


def test_a_layer_refuses_to_lose_a_parameter(layer):
    with pytest.raises(StateError, match=r"weight is a parameter .* ndarray; .* set_weights"):
        layer.weight = np.zeros((4, 6))


def test_a_digital_parameter_is_written_in_place():
    p = nn.Parameter([[1.0, 2.0]])
    data = p.data
    p[0, 0] = 5.0
    p *= 2
    p.fill(p[0, 1])
    assert isinstance(p, nn.Parameter)
    np.testing.assert_array_equal(data, [[4.0, 4.0]])


def test_the_digital_bias_is_the_tiles_own_vector(analog_linear):
    layer = analog_linear(6, 4, rng=0)
    assert layer.bias.data is layer.tile.bias
    layer.bias[...] = 7.0
    np.testing.assert_array_equal(layer.get_weights()[1], np.full(4, 7.0))


def test_parameters_survive_copy_and_pickle_with_their_tile(analog_linear):
    layer = analog_linear(6, 4, rng=0)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin.weight.tile is twin.tile is not layer.tile
        assert twin.bias.data is twin.tile.bias
        np.testing.assert_array_equal(twin.weight, layer.weight)


def test_pairs_that_nobody_steps_are_not_collected_for_ever(analog_linear):
    weight = analog_linear(2, 1, rng=0).weight
    for _ in range(MOST_PAIRS):
        weight.record(None, None)
    with pytest.raises(StateError, match=r"pairs wait for a step. Call step\(\) or zero_grad\(\)"):
        weight.record(None, None)


def test_a_repr_is_short(layer):
    assert repr(layer.weight).endswith(f"Parameter(shape=(4, 6), norm={layer.weight.norm():.6g})")
