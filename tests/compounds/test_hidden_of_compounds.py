"""Compounds open up: each array of A, A_ref, C, C_ref is read, set and decayed by name."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from rpusim.errors import DataError, ShapeError, StateError
from rpusim.tiles.compounds import BufferedTransferCompound, TransferCompound
from tests.compounds.cells import tile_of

NAMES = ("0_0", "1_0", "0_1", "1_1")  # A, A_ref, C, C_ref
SHAPE = (1, 2)


def sb(**changes):
    spreads = dict.fromkeys(
        ("dw_min_dtod", "up_down_dtod", "w_max_dtod", "w_min_dtod", "lifetime_dtod"), 0.0
    )
    return rs.SoftBoundsDevice(
        **{"w_max": 1.0, "w_min": -1.0, "lifetime": 100.0, **spreads, **changes}
    )


def pairs(kind=TransferCompound, **changes):
    pair = rs.ReferenceUnitCell([sb(), sb()])
    return kind([pair, pair], **changes)


def arrays(values, stem="hidden_weights"):
    return {f"{stem}_{name}": np.full(SHAPE, v) for name, v in zip(NAMES, values, strict=True)}


def visible(values, gamma, gamma_c=1.0):
    a, a_ref, c, c_ref = values
    return gamma * (a - a_ref) + gamma_c * (c - c_ref)


@pytest.mark.parametrize(
    ("changes", "gammas"),
    [
        (dict(gamma=0.0), (0.0,)),
        (dict(gamma=0.2), (0.2,)),
        (dict(gamma=1.0), (1.0,)),
        (dict(gamma_vec=[0.0, 1.0]), (0.0, 1.0)),
        (dict(gamma_vec=[0.5, -0.5]), (0.5, -0.5)),
    ],
)
def test_four_arrays_are_set_seen_and_decay_each_by_its_own_factor(changes, gammas):
    config = rs.UnitCellRPUConfig(device=pairs(**changes))
    model = nn.AnalogLinear(2, 1, bias=False, rpu_config=config, rng=0)
    tile = next(iter(model.analog_tiles()))
    values, decays = (0.4, 0.2, 0.6, 0.1), (0.95, 0.78, 0.93, 0.92)
    tile.set_hidden_parameters(arrays(values))
    hidden = tile.get_hidden_parameters()
    for name, array in arrays(values).items():
        np.testing.assert_array_equal(hidden[name], array.astype(np.float32))
    np.testing.assert_allclose(hidden["hidden_weights_0"], 0.2, rtol=1e-6)
    np.testing.assert_allclose(hidden["hidden_weights_1"], 0.5, rtol=1e-6)
    w = tile.get_weights(apply_weight_scaling=False)[0]
    np.testing.assert_allclose(w, visible(values, *gammas), rtol=1e-6)
    tile.set_hidden_parameters(arrays(decays, "decay_scales"))
    optimizer, steps = optim.AnalogSGD(model.parameters(), lr=0.0), 3
    for _ in range(steps):
        x, target = np.array([[0.1, 0.2], [0.2, 0.4]]), np.array([[0.3], [0.6]])
        model.backward(nn.mse(model(x), target)[1])
        optimizer.step()
    left = [v * decay**steps for v, decay in zip(values, decays, strict=True)]
    w = tile.get_weights(apply_weight_scaling=False)[0]
    np.testing.assert_allclose(w, visible(left, *gammas), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("gamma", "expected"), [(0.0, 0.52), (0.5, 0.65)])
def test_decay_leads_each_array_to_its_rest(gamma, expected):
    tile = tile_of(pairs(gamma=gamma), SHAPE)
    values, decays, rest = [0.47, 0.21, 0.64, 0.12], (0.95, 0.28, 0.33, 0.12), 0.3
    tile.set_hidden_parameters(arrays(values))
    np.testing.assert_allclose(tile.get_weights()[0], expected, rtol=1e-6)
    tile.set_hidden_parameters(arrays(decays, "decay_scales") | arrays([rest] * 4, "reset_bias"))
    for _ in range(2):
        tile.post_update_step()
        values = [(v - rest) * decay + rest for v, decay in zip(values, decays, strict=True)]
        np.testing.assert_allclose(tile.get_weights()[0], visible(values, gamma), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5])
@pytest.mark.parametrize("kind", [TransferCompound, BufferedTransferCompound])
def test_weights_that_are_set_are_seen_and_leave_the_references(kind, gamma):
    tile = tile_of(pairs(kind, gamma=gamma), SHAPE)
    tile.set_hidden_parameters(arrays((0.4, 0.2, 0.6, 0.1)))
    assert tile.set_weights(np.full(SHAPE, 0.4)) == 0
    np.testing.assert_allclose(tile.get_weights()[0], 0.4, rtol=1e-6)
    hidden = tile.get_hidden_parameters()
    np.testing.assert_array_equal(hidden["hidden_weights_0"], 0.0)
    np.testing.assert_allclose(hidden["hidden_weights_1_0"], 0.2)
    np.testing.assert_allclose(hidden["hidden_weights_1_1"], 0.1)


def test_names_may_be_given_in_part_in_any_order_and_with_what_follows_from_them():
    tile = tile_of(pairs(gamma=0.5), SHAPE)
    tile.set_hidden_parameters({"hidden_weights_0_1": np.full(SHAPE, 0.3)})
    tile.set_hidden_parameters(
        {
            "hidden_weights_0": np.full(SHAPE, 0.25),
            "decay_scales_1_1": np.full(SHAPE, 0.5),
            "hidden_weights_1_0": np.full(SHAPE, -0.05),
            "hidden_weights_0_0": np.full(SHAPE, 0.2),
        }
    )
    np.testing.assert_allclose(tile.get_weights()[0], 0.5 * 0.25 + 0.3, rtol=1e-6)
    np.testing.assert_allclose(tile.get_hidden_parameters()["decay_scales_1_1"], 0.5, rtol=1e-6)


def test_all_that_is_read_can_be_set_on_another_tile():
    device = pairs(BufferedTransferCompound, gamma=0.5, units_in_mbatch=False, fast_lr=0.3)
    one, other = (tile_of(device, SHAPE, rs.UpdateParameters(), rng=seed) for seed in (1, 2))
    rng = np.random.default_rng(0)
    one.update(rng.normal(size=(20, 2)), rng.normal(size=(20, 1)), 0.5)
    hidden = one.get_hidden_parameters()
    assert np.abs(hidden["buffered_FP_weight_0"]).max() > 0.0
    other.set_hidden_parameters(dict(reversed(hidden.items())))
    for name, array in other.get_hidden_parameters().items():
        np.testing.assert_allclose(array, hidden[name], rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"hidden_weights_0": np.full(SHAPE, 0.5)}, StateError, "follows from hidden_weights_0_0"),
        ({"hidden_weights_2": np.zeros(SHAPE)}, StateError, "no hidden parameter"),
        ({"buffered_FP_weight_1": np.zeros(SHAPE)}, StateError, "mean 'buffered_FP_weight_0'"),
        ({"buffered_FP_weight_0": np.zeros(2)}, ShapeError, r"must have shape \(1, 2\)"),
        ({"buffered_FP_weight_0": np.full(SHAPE, np.nan)}, DataError, "must be finite"),
    ],
)
def test_what_is_refused_changes_nothing(changes, error, match):
    tile = tile_of(pairs(BufferedTransferCompound), SHAPE)
    before = tile.state_dict()
    good = {"hidden_weights_0_1": np.full(SHAPE, 0.3), "buffered_FP_weight_0": np.ones(SHAPE)}
    with pytest.raises(error, match=match):
        tile.set_hidden_parameters({**good, **changes})
    for name, array in tile.state_dict().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
