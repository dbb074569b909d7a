"""Training computes with a modified copy of the weights: one for each step, never a stale one."""

import copy

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from tests.naive.tolerance import check_mean, check_std

PERFECT = rs.IOParameters(is_perfect=True)
W = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 4)).astype(np.float32)
X = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
D = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
NORMAL = dict(type="ADD_NORMAL", std_dev=0.2)
KINDS = {
    "ADD_NORMAL": NORMAL,
    "MULT_NORMAL": dict(type="MULT_NORMAL", std_dev=0.5),
    "POLY": dict(type="POLY", std_dev=1.0),
    "PROG_NOISE": dict(type="PROG_NOISE", std_dev=1.0),
    "PCM_NOISE": dict(type="PCM_NOISE", std_dev=1.0, pcm_t_inference=3600.0),
    "DISCRETIZE": dict(type="DISCRETIZE", res=0.1, sto_round=True),
    "DISCRETIZE_ADD_NORMAL": dict(type="DISCRETIZE_ADD_NORMAL", res=0.1, std_dev=0.1),
    "DOREFA": dict(type="DOREFA", res=0.1, sto_round=True),
    "DROP_CONNECT": dict(type="DROP_CONNECT", pdrop=0.5),
    "COPY": dict(type="COPY", pdrop=0.3),
}


def tile_of(modifier=NORMAL, forward=PERFECT, bias=False, rng=1, **changes):
    """Return a tile that holds W; its products are exact, so that they show the copy."""
    config = rs.InferenceRPUConfig(forward=forward, modifier=modifier, **changes)
    tile = rs.InferenceTile(*W.shape, config, bias, rng=rng)
    tile.set_weights(W)
    return tile


def seen(tile, is_test=False):
    """Return the matrix that forwards multiply with, without bias."""
    y = tile.forward(np.eye(4), is_test=is_test)
    return (y if tile.bias is None else y - tile.bias).T


def seen_backwards(tile, context=None):
    """Return the matrix that the backward of a forward of `np.eye(4)` multiplies with."""
    return tile.backward(np.eye(4)[:, :3], context)[:3]


@pytest.mark.parametrize("kind", KINDS)
def test_forward_and_backward_see_one_copy_and_evaluation_the_weights(kind):
    tile = tile_of(KINDS[kind])
    noisy = seen(tile)
    assert not np.array_equal(noisy, W)
    assert np.array_equal(seen_backwards(tile), noisy)
    assert np.array_equal(seen(tile, is_test=True), W)
    assert np.array_equal(seen_backwards(tile), W)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_has_one_copy_and_the_next_another(kind):
    tile, copies = tile_of(KINDS[kind]), []
    for _ in range(3):
        copies.append(seen(tile))
        assert np.array_equal(seen(tile), copies[-1])  # gradients may accumulate
        seen(tile, is_test=True)
        assert np.array_equal(seen(tile), copies[-1])
        tile.post_update_step()
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert not np.array_equal(copies[one], copies[other])
    assert np.array_equal(tile.get_weights()[0], W)


def test_no_copy_is_made_without_a_modifier():
    tile = tile_of({})
    assert np.array_equal(seen(tile), W)
    assert np.array_equal(seen(tile), seen(tile, is_test=True))


def test_copies_of_many_steps_have_the_law_of_the_modifier():
    tile, n = tile_of(), 3000
    copies = np.empty((n, *W.shape))
    for k in range(n):
        copies[k] = seen(tile)
        tile.post_update_step()
    std = 0.2 * np.abs(W).max()
    check_mean(copies, W, std)
    check_std(copies, std)
    pairs = (copies[1:] - W) * (copies[:-1] - W)
    check_mean(pairs, 0.0, std**2)


WRITES = {
    "set_weights": lambda tile: tile.set_weights(0.0 * W),
    "the devices": lambda tile: tile.set_weights(0.0 * W, apply_weight_scaling=False),
    "update": lambda tile: tile.update(np.eye(4), W.T, learning_rate=1.0),
    "load": lambda tile: tile.load_state_dict(zeroed(tile)),
    "decay": lambda tile: tile.post_update_step(),
}


def zeroed(tile):
    state = tile.state_dict()
    for name in ("persistent_weights", "decay_carry"):
        state[name] = np.zeros_like(state[name])
    return state


@pytest.mark.parametrize("evaluated", [False, True])
@pytest.mark.parametrize("write", WRITES)
def test_a_copy_never_outlives_its_weights(write, evaluated):
    modifier = dict(type="MULT_NORMAL", std_dev=0.5, enable_during_test=evaluated)
    tile = tile_of(modifier, device=rs.IdealDevice(lifetime=1.0))
    context = (seen(tile), tile.last_forward)[1]
    WRITES[write](tile)
    assert (tile.get_weights()[0] == 0.0).all()
    assert (seen(tile, is_test=evaluated) == 0.0).all()
    with pytest.raises(rs.StateError, match="the weights have changed since that forward"):
        tile.backward(np.zeros((4, 3)), context)


def test_diffusion_clip_and_remap_renew_the_copy():
    for changes in (
        dict(device=rs.IdealDevice(diffusion=0.1)),
        dict(clip=dict(type="FIXED_VALUE", fixed_value=0.1)),
        dict(remap=dict(type="CHANNELWISE_SYMMETRIC")),
    ):
        tile = tile_of(
            dict(type="DISCRETIZE", res=1e-6), **changes
        )  # a copy as good as the weights
        first = seen(tile)
        tile.post_update_step()
        assert np.abs(seen(tile) - tile.get_weights()[0]).max() < 1e-5
        if "remap" not in changes:
            assert np.abs(seen(tile) - first).max() > 0.01


def test_the_backward_of_an_earlier_step_sees_that_steps_copy():
    for several in (False, True):
        tile = tile_of(dict(NORMAL, per_batch_sample=several))
        before = seen(tile)
        context = tile.last_forward
        expected = tile.backward(np.eye(4)[:, :3], context)
        tile.post_update_step()  # nothing moves the weights, but the copy is another one
        assert not np.array_equal(seen(tile), before)
        assert np.array_equal(tile.backward(np.eye(4)[:, :3], context), expected)


def test_evaluation_uses_the_copy_only_if_enabled():
    tile = tile_of(dict(NORMAL, enable_during_test=True))
    noisy = seen(tile)
    assert np.array_equal(seen(tile, is_test=True), noisy)
    assert np.array_equal(seen_backwards(tile), noisy)
    fresh = tile_of(dict(NORMAL, enable_during_test=True))
    assert np.array_equal(seen(fresh, is_test=True), noisy)


@pytest.mark.parametrize("mode", ["EXACT", "STRAIGHT_THROUGH", "ANALOG"])
def test_updates_go_to_the_weights_themselves(mode):
    tile = tile_of(gradient=dict(backward_mode=mode))
    tile.forward(X)
    tile.update(*tile.gradients(D).pair, learning_rate=0.1)
    assert np.allclose(tile.get_weights()[0], W - 0.1 * D.T @ X, atol=1e-6)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("mode", ["EXACT", "STRAIGHT_THROUGH", "ANALOG"])
def test_every_mode_goes_back_through_the_copy(mode, several):
    tile = tile_of(dict(NORMAL, per_batch_sample=several), gradient=dict(backward_mode=mode))
    x = np.eye(4, dtype=np.float32)
    y = tile.forward(x)
    back = tile.gradients(np.eye(4)[:, :3]).input
    for k in range(3):  # vector k shows row k backwards, and column k forwards, of one matrix
        assert back[k, k] == y[k, k]
    assert np.abs(back[:3] - W).max() > 0.01


def test_each_vector_can_see_a_copy_of_its_own():
    tile, n = tile_of(dict(NORMAL, per_batch_sample=True)), 2000
    x = np.tile(np.float32([1.0, 0.0, 0.0, 0.0]), (n, 1))
    y = tile.forward(x)
    std = 0.2 * np.abs(W).max()
    check_mean(y, W[:, 0], std)
    check_std(y, std)
    back = tile.backward(np.tile(np.float32([1.0, 0.0, 0.0]), (n, 1)))
    assert np.array_equal(back[:, 0], y[:, 0])  # the same copy, vector by vector
    assert not np.array_equal(tile.forward(x), y)


def test_copies_of_vectors_do_not_depend_on_how_a_batch_is_cut():
    whole, parts = (tile_of(dict(NORMAL, per_batch_sample=True)) for _ in range(2))
    y, g = whole.forward(X), whole.backward(D)
    for cut in (slice(0, 2), slice(2, 3), slice(3, 5)):
        assert np.array_equal(parts.forward(X[cut]), y[cut])
        assert np.array_equal(parts.backward(D[cut]), g[cut])


def test_an_analog_bias_can_be_left_out():
    mapping, n = dict(digital_bias=False), 20
    for spared in (False, True):
        tile = tile_of(dict(NORMAL, copy_last_column=spared), bias=True, mapping=mapping)
        tile.set_weights(W, [0.1, -0.2, 5.0])
        biases = []
        for _ in range(n):
            biases.append(tile.forward(np.zeros((1, 4)))[0])
            tile.post_update_step()
        same = np.abs(np.array(biases) - np.float32([0.1, -0.2, 5.0])).max() < 1e-6
        assert same == spared
        largest = np.abs(W).max() if spared else 5.0  # what is left out does not set the scale
        noise = np.array([seen_once(tile) - W for _ in range(300)])
        check_std(noise.reshape(-1), 0.2 * largest)


def seen_once(tile):
    """Return the matrix of one copy, and ask for the next."""
    zero = tile.forward(np.zeros((1, 4)))
    w = (tile.forward(np.eye(4)) - zero).T
    tile.post_update_step()
    return w


def test_an_optimizers_step_asks_for_the_next_copy():
    config = rs.InferenceRPUConfig(forward=PERFECT, modifier=NORMAL)
    layer = nn.AnalogLinear(4, 3, bias=False, rpu_config=config, rng=1)
    layer.set_weights(W)
    optimizer, copies = optim.AnalogSGD(layer.parameters(), lr=0.0), []
    for _ in range(2):
        copies.append(layer(np.eye(4)).T)
        layer.backward(np.zeros((4, 3)))
        optimizer.step()
    assert np.array_equal(layer.weight, W)
    assert not np.array_equal(*copies)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("when", ["before", "within", "after"])
def test_a_restored_tile_continues_with_the_copy_it_was_at(when, several):
    tile = tile_of(dict(NORMAL, per_batch_sample=several), forward=rs.IOParameters())
    if when != "before":
        tile.forward(X)
    if when == "after":
        tile.post_update_step()
    others = [tile_of(dict(NORMAL, per_batch_sample=several), rs.IOParameters(), rng=9)]
    others[0].forward(X)
    others[0].load_state_dict(tile.state_dict())
    others.append(copy.deepcopy(tile))
    for _ in range(2):
        y, g = tile.forward(X), tile.backward(D)
        tile.post_update_step()
        for other in others:
            assert np.array_equal(other.forward(X), y)
            assert np.array_equal(other.backward(D), g)
            other.post_update_step()


@pytest.mark.parametrize("several", [False, True])
def test_refused_inputs_leave_the_next_results_as_they_would_have_been(several):
    settings = dict(modifier=dict(NORMAL, per_batch_sample=several), forward=rs.IOParameters())
    tile, untouched = tile_of(**settings), tile_of(**settings)
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(rs.DataError, match=r"forward: the input must be finite, .* in row 3"):
        tile.forward(bad)
    assert tile.stats.reads_forward == 0
    for _ in range(2):
        assert np.array_equal(tile.forward(X), untouched.forward(X))


def test_a_seed_repeats_the_copies_and_another_draws_others():
    one, same, other = (tile_of(rng=seed) for seed in (1, 1, 2))
    assert np.array_equal(seen(one), seen(same))
    assert not np.array_equal(seen(one), seen(other))
