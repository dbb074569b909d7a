"""A parameter is an array: it shows what its tile holds now, and is written to only on request."""

import copy

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from rpusim.errors import StateError
from tests.naive.tolerance import rounding

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")
COLUMN = rs.RPUConfig(device=rs.IdealDevice(), mapping={"digital_bias": False})
SCALED = rs.RPUConfig(device=rs.SoftBoundsDevice(), mapping={"weight_scaling_omega": 0.4})
LIMITS = {"max_input_size": 4, "max_output_size": 3}
GRID = rs.RPUConfig(device=rs.IdealDevice(), mapping=LIMITS)
INFERENCE = rs.InferenceRPUConfig()
CONFIGS = {"scaled": SCALED, "column": COLUMN, "grid": GRID, "inference": INFERENCE}


def holds_what_the_tile_holds(layer):
    w, held = layer.weight, layer.tile.get_weights()[0]
    assert (w.shape, w.size, w.ndim, len(w)) == ((4, 6), 24, 2, 4)
    np.testing.assert_array_equal(np.asarray(w), held)
    np.testing.assert_array_equal(w > 0.1, held > 0.1)
    np.testing.assert_array_equal(w[1:, ::2], held[1:, ::2])
    assert w.norm() == pytest.approx(np.linalg.norm(held))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_it_is_in_sync_after_update_load_copy_and_move(config, tmp_path):
    layer = nn.AnalogLinear(6, 4, rpu_config=config, rng=1)
    holds_what_the_tile_holds(layer)
    before = np.array(layer.weight)
    optimizer = optim.AnalogSGD(layer.parameters(), lr=0.5)
    layer(np.ones((8, 6)))
    layer.backward(np.ones((8, 4)))
    optimizer.step()
    holds_what_the_tile_holds(layer)
    assert (layer.weight != before).any()

    other = nn.AnalogLinear(6, 4, rpu_config=config, rng=2)
    rs.save(tmp_path / "layer.npz", layer)
    rs.load(tmp_path / "layer.npz", into=other)
    holds_what_the_tile_holds(other)
    np.testing.assert_array_equal(other.weight, layer.weight)

    twin = copy.deepcopy(layer)  # as for another process
    twin.tile.set_weights(np.zeros((4, 6)))
    holds_what_the_tile_holds(twin)
    assert twin.weight.norm() == 0.0
    assert layer.weight.norm() > 0.0


def test_it_shows_programmed_devices_and_targets_again():
    layer = nn.AnalogLinear(6, 4, rpu_config=INFERENCE, rng=1).eval()
    target = np.array(layer.weight)
    with nn.programmed(layer):
        layer.drift_analog_weights(1e4)
        holds_what_the_tile_holds(layer)
        assert (layer.weight != target).any()
    np.testing.assert_array_equal(layer.weight, target)


def rebind(w):
    if isinstance(w, np.ndarray):
        w[...] = 0.25
    else:
        w.data = np.full((4, 6), 0.25)


WRITES = {
    "item": lambda w: w.__setitem__((1, 2), 0.25),
    "row": lambda w: w.__setitem__(2, 0.25),
    "in place": lambda w: w.__imul__(0.5),
    "out": lambda w: np.negative(w, out=w),
    "at": lambda w: np.add.at(w, (0, 1), 0.125),
    "fill": lambda w: w.fill(0.25),
    "put": lambda w: np.put(w, [3], 0.25),
    "data": rebind,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_write_goes_to_the_tile_only_where_it_was_asked_for(write, config):
    layer = nn.AnalogLinear(6, 4, rpu_config=config, rng=1)
    before = np.array(layer.weight)
    with pytest.raises(StateError, match=r"set_weights\(weight, bias\), or .* writable=True"):
        write(layer.weight)
    np.testing.assert_array_equal(layer.weight, before)

    layer = nn.AnalogLinear(6, 4, rpu_config=config, rng=1, writable=True)
    bias, expected = np.array(layer.bias), before.copy()
    write(expected)
    write(layer.weight)
    held = layer.tile.get_weights()[0]
    if config is SCALED:  # what devices cannot hold is clipped, as by set_weights
        layer.set_weights(expected)
        np.testing.assert_array_equal(held, layer.tile.get_weights()[0])
    else:
        np.testing.assert_allclose(held, expected, rtol=0.0, atol=rounding(1, 1.0))
    np.testing.assert_array_equal(layer.bias, bias)
    holds_what_the_tile_holds(layer)


def test_a_bias_of_devices_is_written_beside_the_weights():
    layer = nn.AnalogLinear(6, 4, rpu_config=COLUMN, rng=1, writable=True)
    before = np.array(layer.weight)
    layer.bias[1:] = 0.5
    layer.bias += 1.0
    np.testing.assert_array_equal(layer.get_weights()[1][1:], np.full(3, 1.5))
    np.testing.assert_array_equal(layer.weight, before)
    twin = copy.deepcopy(layer)
    twin.bias[0] = 9.0
    assert twin.get_weights()[1][0] == 9.0
    assert layer.bias[0] != 9.0
