"""After a step: diffusion, decay, clip, remap, a new copy; in this order, and nothing else."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from tests.naive.tolerance import FLOAT32, check_mean, check_std

PERFECT = rs.IOParameters(is_perfect=True)
W = np.float32([[0.5, -0.25, 0.8, 0.1], [-2.4, 3.6, 0.4, 0.0], [0.0, 0.0, 0.0, 0.0]])
B = np.float32([0.3, -1.7, 0.9])
X = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
D = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
CLIP = dict(type="FIXED_VALUE", fixed_value=0.6)
REMAPS = ["LAYERWISE_SYMMETRIC", "CHANNELWISE_SYMMETRIC"]


def tile_of(w=W, bias=False, forward=PERFECT, rng=1, **changes):
    config = rs.InferenceRPUConfig(forward=forward, **changes)
    tile = rs.InferenceTile(*w.shape, config, bias, rng=rng)
    tile.set_weights(w, B if bias else None)
    return tile


def held(tile):
    """Return what the devices hold, in float64."""
    return tile.get_weights(apply_weight_scaling=False)[0].astype(float)


def test_by_default_nothing_happens():
    tile = tile_of(bias=True)
    tile.forward(X)
    before, context = tile.state_dict(), tile.last_forward
    tile.post_update_step()
    for name, array in tile.state_dict().items():
        assert np.array_equal(array, before[name]), name
    tile.backward(D, context)  # the weights are the same


def test_decay_takes_a_share_of_every_weight():
    tile = tile_of(device=rs.IdealDevice(lifetime=10.0))
    for step in (1, 2, 3):
        tile.post_update_step()
        assert np.abs(held(tile) - W * 0.9**step).max() <= 4.0 * FLOAT32 * 3.6


def test_diffusion_adds_noise_that_the_decay_of_the_step_already_takes():
    w = np.full((60, 50), 2.0, np.float32)
    tile = tile_of(w, device=rs.IdealDevice(diffusion=0.3, lifetime=2.0))
    tile.post_update_step()
    check_mean(held(tile).ravel(), 1.0, 0.15)
    check_std(held(tile).ravel(), 0.15)


def test_the_clip_is_of_what_decay_left_and_of_devices_not_of_logical_weights():
    clip, mapping = dict(CLIP, fixed_value=0.45), dict(weight_scaling_omega=1.0)
    tile = tile_of(device=rs.IdealDevice(lifetime=2.0), clip=clip, mapping=mapping)
    before, scales = held(tile), tile.mapping_scales
    tile.post_update_step()
    assert np.abs(held(tile) - np.clip(0.5 * before, -0.45, 0.45)).max() <= 2.0 * FLOAT32
    assert np.abs(held(tile)).max() == np.float32(0.45)
    assert np.array_equal(tile.mapping_scales, scales)


@pytest.mark.parametrize("analog", [False, True])
def test_a_bias_is_clipped_only_as_a_column_of_devices(analog):
    tile = tile_of(bias=True, clip=CLIP, mapping=dict(digital_bias=not analog))
    tile.post_update_step()
    expected = np.clip(B, -0.6, 0.6) if analog else B
    assert np.array_equal(tile.get_weights()[1], expected.astype(np.float32))


@pytest.mark.parametrize(
    ("clip", "limit"),
    [
        (dict(type="LAYER_GAUSSIAN", sigma=1.5), 1.5 * np.std(W, ddof=1, dtype=float)),
        (dict(type="LAYER_GAUSSIAN", sigma=1.5, fixed_value=0.7), 0.7),
        (dict(type="AVERAGE_CHANNEL_MAX"), (0.8 + 3.6 + 0.0) / 3.0),
        (dict(type="AVERAGE_CHANNEL_MAX", fixed_value=9.0), (0.8 + 3.6 + 0.0) / 3.0),
    ],
    ids=str,
)
def test_limits_follow_the_weights_at_hand(clip, limit):
    tile = tile_of(clip=clip)
    tile.post_update_step()
    assert np.abs(held(tile) - np.clip(W, -limit, limit)).max() <= 2.0 * FLOAT32 * limit


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("analog", [False, True])
@pytest.mark.parametrize("kind", REMAPS)
def test_a_remap_moves_magnitude_into_the_scales_and_leaves_logical_weights(kind, analog, learned):
    mapping = dict(digital_bias=not analog, learn_out_scaling=learned)
    mapping |= dict(out_scaling_columnwise=True) if learned else {}
    tile = tile_of(bias=True, remap=dict(type=kind, remapped_wmax=0.5), mapping=mapping)
    if learned:
        tile.out_scaling[:] = [2.0, 0.5, -3.0]
        tile.set_weights(W, B)
    y = tile.forward(X, is_test=True)
    for _ in range(2):  # the second has nothing left to move
        tile.post_update_step()
        w, b = tile.get_weights()
        assert np.allclose(w, W, rtol=8.0 * FLOAT32, atol=0.0)
        assert np.allclose(b, B, rtol=8.0 * FLOAT32, atol=0.0)
    columns = tile.get_weights(apply_weight_scaling=False)
    lines = np.abs(np.column_stack(columns) if analog else columns[0]).max(axis=1)
    if kind == "CHANNELWISE_SYMMETRIC":
        assert np.allclose(lines, [0.5, 0.5, 0.5 if analog else 0.0], rtol=1e-6)
    assert lines.max() == pytest.approx(0.5, rel=1e-6)
    assert tile.out_scaling is None or (tile.out_scaling == 1.0).all()
    assert np.allclose(tile.forward(X, is_test=True), y, rtol=1e-5, atol=1e-6)


def test_a_bounded_remap_holds_large_scales_back():
    remap = dict(type="CHANNELWISE_SYMMETRIC", max_scale_range=3.0)
    w = np.float32([[1.0, -0.4], [10.0, 5.0], [0.0, 0.0]])
    tile = tile_of(w, remap=remap)
    tile.post_update_step()
    assert np.allclose(tile.mapping_scales, [1.0, 3.0, 1.0], rtol=1e-6)
    assert np.abs(held(tile)).max() == pytest.approx(10.0 / 3.0, rel=1e-6)
    assert np.allclose(tile.get_weights()[0], w, rtol=8.0 * FLOAT32)


def test_the_remap_comes_after_the_clip():
    tile = tile_of(clip=CLIP, remap=dict(type="LAYERWISE_SYMMETRIC"))
    tile.post_update_step()
    assert np.abs(tile.get_weights()[0]).max() == pytest.approx(0.6, rel=1e-6)
    assert np.abs(held(tile)).max() == 1.0
    assert np.allclose(tile.mapping_scales, 0.6, rtol=1e-6)


def test_the_next_copy_is_of_what_the_step_left():
    modifier = dict(type="DISCRETIZE", res=0.25)
    remap = dict(type="LAYERWISE_SYMMETRIC")
    tile = tile_of(clip=CLIP, remap=remap, modifier=modifier)
    tile.forward(X)
    tile.post_update_step()
    expected = 0.25 * np.rint(held(tile) / 0.25) * 0.6
    assert np.allclose(tile.forward(np.eye(4)).T, expected, atol=1e-6)


def test_time_does_not_pass_in_a_step():
    device = rs.ConstantStepDevice(drift=dict(nu=0.5))
    tile = rs.AnalogTile(2, 3, rs.RPUConfig(device=device), rng=1)
    before = tile.get_weights()[0]
    for _ in range(3):
        tile.post_update_step()
    assert np.array_equal(tile.get_weights()[0], before)
    tile.drift_weights(100.0)
    assert not np.array_equal(tile.get_weights()[0], before)


def layer_of(**changes):
    config = rs.InferenceRPUConfig(forward=PERFECT, **changes)
    layer = nn.AnalogLinear(4, 3, bias=False, rpu_config=config, rng=1)
    layer.set_weights(W)
    return layer


def test_an_optimizer_steps_first_and_clips_after():
    layer = layer_of(clip=CLIP)
    layer(X)
    layer.backward(D)
    optim.AnalogSGD(layer.parameters(), lr=0.2).step()
    expected = np.clip(W - 0.2 * D.T.astype(float) @ X, -0.6, 0.6)
    assert np.abs(layer.weight - expected).max() <= 16.0 * FLOAT32 * 4.0


def test_every_tile_takes_its_step_whether_it_learned_or_not():
    idle, used = layer_of(clip=CLIP), layer_of(clip=CLIP)
    optimizer = optim.AnalogSGD([*idle.parameters(), *used.parameters()], lr=0.0)
    used(X)
    used.backward(D)
    optimizer.step()
    for layer in (idle, used):
        assert np.array_equal(layer.weight, np.clip(W, -0.6, 0.6).astype(np.float32))


def test_a_frozen_tile_is_left_alone():
    frozen = layer_of(clip=CLIP, device=rs.IdealDevice(lifetime=5.0, diffusion=0.1)).freeze()
    used = layer_of()
    optimizer = optim.AnalogSGD([*frozen.parameters(), *used.parameters()], lr=0.1)
    used(frozen(X)[:, [0, 1, 2, 0]])
    frozen.backward(used.backward(D)[:, :3])
    optimizer.step()
    assert np.array_equal(frozen.weight, W)
    assert not np.array_equal(used.weight, W)
