"""The input range: its start from data, its gradient, and that it stays positive."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.tiles import build_tile
from rpusim.tiles.input_range import InputRange


def made(**settings):
    return InputRange(rs.InputRangeParameter(enable=True, **settings))


def at(r, **settings):
    return made(init_value=r, **settings)


def normal(*shape, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def naive_gradient(x, g, r, p, s):
    """Follow the definition, one input after the other, in float64."""
    total, inside = 0.0, 0
    for xi, gi in zip(x.ravel().tolist(), g.ravel().tolist(), strict=True):
        if xi >= r:
            total += gi if s.exact_gradient else min(gi, 0.0)
        elif xi <= -r:
            total -= gi if s.exact_gradient else max(gi, 0.0)
        else:
            inside += 1
    total *= s.gradient_scale * (r if s.gradient_relative else 1.0)
    if s.manage_output_clipping and p < s.output_min_percentage:
        total -= (1.0 - p) * r
    if s.decay > 0.0 and inside / x.size > s.input_min_percentage:
        total += s.decay * r
    return total


# ---------------------------------------------------------------- from data


def test_the_first_batches_give_the_running_mean_of_their_deviations():
    tile_range, r = made(init_value=50.0, init_std_alpha=2.5), 50.0
    for c in range(7):
        x = normal(6, 5, seed=c, scale=1.0 + c)
        mean = sum(x.ravel().tolist()) / 30
        sigma = (sum((v - mean) ** 2 for v in x.ravel().tolist()) / 29) ** 0.5
        r = (r * c + 2.5 * sigma) / (c + 1)
        tile_range.observe(x)
        assert tile_range.batches == c + 1
        np.testing.assert_allclose(tile_range.value, [r], rtol=1e-6)


def test_the_estimate_ends_after_init_from_data_batches():
    tile_range = made(init_from_data=2)
    for seed in range(2):
        tile_range.observe(normal(4, 3, seed=seed))
    r = tile_range.value.copy()
    tile_range.observe(normal(4, 3, seed=9, scale=100.0))
    assert tile_range.value == r
    assert tile_range.batches == 2


@pytest.mark.parametrize(
    "x",
    [np.full((7, 3), 0.1), np.zeros((4, 2)), np.ones((1, 1)), np.empty((0, 3)), [[1.0, np.inf]]],
    ids=["equal", "zero", "single", "empty", "infinite"],
)
def test_batches_without_a_spread_do_not_count(x):
    tile_range = at(2.0)
    tile_range.observe(np.asarray(x, np.float32))
    assert tile_range.value == 2.0
    assert tile_range.batches == 0


# ---------------------------------------------------------------- scaling


def test_inputs_are_clipped_to_the_range_and_divided_by_it():
    u, clipped = at(2.0).scale(np.array([[-5.0, -2.0, 0.0], [1.0, 2.0, 2.5]], np.float32))
    np.testing.assert_array_equal(u, np.float32([[-1.0, -1.0, 0.0], [0.5, 1.0, 1.0]]))
    np.testing.assert_array_equal(clipped, [[True, False, False], [False, False, True]])
    assert u.dtype == np.float32


@pytest.mark.parametrize("r", [0.3, 1e-30, 3e7])
def test_no_scaled_input_exceeds_one_and_none_is_marked_where_none_is_clipped(r):
    tile_range = at(r)
    x = normal(50, 20, scale=r)
    u, clipped = tile_range.scale(x)
    assert np.abs(u).max() == 1.0
    assert clipped.sum() == (np.abs(x) > tile_range.value).sum()
    edge = np.float32([[r, -r]])
    np.testing.assert_array_equal(tile_range.scale(edge)[0], [[1.0, -1.0]])
    assert tile_range.scale(edge)[1] is None


def test_what_is_not_finite_stays_so_and_leaves_other_vectors_alone():
    x = np.float32([[np.inf, 0.5], [np.nan, -np.inf], [3.0, 0.5]])
    u, clipped = at(1.0).scale(x)
    np.testing.assert_array_equal(u[:2], x[:2])
    np.testing.assert_array_equal(u[2], [1.0, 0.5])
    np.testing.assert_array_equal(clipped[2], [True, False])


def test_scaling_changes_no_input():
    x = normal(5, 4, scale=3.0)
    before = x.copy()
    at(1.0).scale(x)
    np.testing.assert_array_equal(x, before)


# ---------------------------------------------------------------- gradient


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize(("r", "p"), [(0.5, 1.0), (2.5, 0.9), (9.0, 0.5)])
def test_the_gradient_follows_its_definition(exact, relative, scale, r, p):
    tile_range = at(
        r,
        exact_gradient=exact,
        gradient_relative=relative,
        gradient_scale=scale,
        manage_output_clipping=True,
    )
    x, g = normal(40, 30), normal(40, 30, seed=1)
    naive = naive_gradient(x, g, r, p, tile_range.settings)
    # Each of up to 1200 terms is exact in float32; the result is rounded once.
    np.testing.assert_allclose(tile_range.gradient(x, g, p), [naive], rtol=1e-6, atol=1e-9)


def test_only_decay_is_left_where_nothing_is_clipped():
    x, g = np.ones((3, 4), np.float32), normal(3, 4)
    np.testing.assert_allclose(at(10.0, decay=0.01).gradient(x, g), [0.1], rtol=1e-6)
    assert at(10.0, decay=0.0).gradient(x, g) == 0.0


def test_without_clipping_descent_shrinks_the_range_exponentially():
    tile_range, lr = at(10.0, decay=0.05), 0.2
    for _ in range(30):
        tile_range.value -= lr * tile_range.gradient(np.ones((2, 2)), np.ones((2, 2)))
        tile_range.project()
    np.testing.assert_allclose(tile_range.value, [10.0 * (1 - lr * 0.05) ** 30], rtol=1e-5)


def test_the_range_only_decays_while_enough_inputs_are_within():
    x, g = np.ones((10, 10), np.float32), np.zeros((10, 10), np.float32)
    x[0, :5] = 3.0
    assert at(2.0, decay=0.5, input_min_percentage=0.94).gradient(x, g) == 1.0
    assert at(2.0, decay=0.5, input_min_percentage=0.95).gradient(x, g) == 0.0


def test_the_scale_counts_also_where_the_gradient_is_not_relative():
    x, g = np.float32([[3.0, -3.0]]), np.float32([[-1.0, 1.0]])
    settings = {"gradient_scale": 0.25, "decay": 0.0}
    assert at(2.0, gradient_relative=False, **settings).gradient(x, g) == -0.5
    assert at(2.0, gradient_relative=True, **settings).gradient(x, g) == -1.0


def test_saturated_outputs_enlarge_the_range_by_their_share_of_outputs():
    x, g = np.zeros((3, 6), np.float32), np.zeros((3, 6), np.float32)
    managed = at(2.0, decay=0.0, manage_output_clipping=True)
    assert managed.gradient(x, g, 0.0) == -2.0
    assert managed.gradient(x, g, 0.75) == -0.5
    assert managed.gradient(x, g, 0.95) == 0.0
    assert at(2.0, decay=0.0).gradient(x, g, 0.0) == 0.0


def test_by_default_the_loss_never_asks_for_a_smaller_range():
    x, g = np.float32([[3.0, -3.0]]), np.float32([[1.0, -1.0]])
    assert at(2.0, decay=0.0).gradient(x, g) == 0.0
    assert at(2.0, decay=0.0, exact_gradient=True).gradient(x, g) == 4.0


@pytest.mark.parametrize("r", [0.4, 1.1, 2.0])
def test_the_exact_gradient_is_the_slope_of_the_loss(r):
    x, w, d = normal(20, 8), normal(5, 8, seed=1), normal(20, 5, seed=2)

    def loss(r):
        return np.sum(d * (np.clip(x.astype(float), -r, r) @ w.T.astype(float)))

    tile_range = at(r, exact_gradient=True, gradient_relative=False, decay=0.0)
    h = 1e-6  # the loss is piecewise linear: exact unless an input lies within h of the range
    assert np.abs(np.abs(x) - r).min() > h
    slope = (loss(r + h) - loss(r - h)) / (2 * h)
    np.testing.assert_allclose(tile_range.gradient(x, d @ w), [slope], rtol=1e-5)


def test_the_gradient_of_no_inputs_is_zero():
    assert at(2.0).gradient(np.empty((0, 3), np.float32), np.empty((0, 3), np.float32)) == 0.0


# ---------------------------------------------------------------- on a tile


@pytest.mark.parametrize("mode", list(rs.BackwardMode))
@pytest.mark.parametrize("settings", [{}, {"exact_gradient": True}, {"gradient_scale": 0.5}])
def test_a_tile_gives_the_gradient_of_all_clipped_inputs_in_every_backward_mode(mode, settings):
    settings = {"enable": True, "init_value": 0.8, "init_from_data": 0, **settings}
    perfect = rs.IOParameters(is_perfect=True)
    config = rs.InferenceRPUConfig(
        forward=perfect, backward=perfect, gradient=rs.GradientParameter(backward_mode=mode)
    ).replace(pre_post={"input_range": settings})
    tile = build_tile(4, 6, config, rng=3)
    x, d = normal(9, 6), normal(9, 4, seed=1)
    tile.forward(x)
    found = tile.gradients(d).input_range
    g = d.astype(float) @ tile.get_weights()[0]
    naive = naive_gradient(x, g, np.float32(0.8), 1.0, config.pre_post.input_range)
    np.testing.assert_allclose(found, [naive], rtol=1e-5)


def test_infinite_inputs_are_refused_not_clipped():
    config = rs.RPUConfig().replace(pre_post={"input_range": {"enable": True}})
    tile = build_tile(2, 2, config)
    with pytest.raises(rs.DataError, match="finite"):
        tile.forward([[np.inf, 1.0]], is_test=True)
    with pytest.raises(rs.DataError, match="finite"):
        tile.forward([[np.inf, 1.0]])
    assert tile.input_range == 3.0


# ---------------------------------------------------------------- positive, saved


@pytest.mark.parametrize("r", [1e-8, 2.0, 1e8])
def test_no_step_makes_the_range_smaller_than_a_tenth(r):
    tile_range = at(r)
    tile_range.value -= np.float32(5.0 * r)
    tile_range.project()
    np.testing.assert_allclose(tile_range.value, [0.1 * r], rtol=1e-6)
    tile_range.value *= np.float32(0.5)
    tile_range.project()
    np.testing.assert_allclose(tile_range.value, [0.05 * r], rtol=1e-6)


def test_the_range_stays_positive_whatever_happens():
    tile_range = at(1.0)
    for _ in range(100):
        tile_range.value -= 1e9
        tile_range.project()
    assert tile_range.value > 0.0
    assert np.isfinite(tile_range.scale(np.float32([[1.0, -1.0, 0.0]]))[0]).all()


def test_a_step_to_nothing_finite_is_refused_and_undone():
    tile_range = at(2.0)
    tile_range.value[:] = np.nan
    with pytest.raises(rs.DataError, match=r"must stay finite, got nan from a step at 2\.0"):
        tile_range.project()
    assert tile_range.value == 2.0


def test_a_value_that_is_no_range_is_refused():
    tile_range = at(2.0)
    with pytest.raises(rs.DataError, match="value must be > 0 and finite, got -1"):
        tile_range.set(-1.0)
    tile_range.value[:] = 0.0
    with pytest.raises(rs.DataError, match="InputRange.value must be > 0"):
        tile_range.scale(np.ones((1, 1), np.float32))


def test_a_restored_range_goes_on_as_the_first_and_in_the_same_array():
    first, other = made(init_from_data=5), made(init_from_data=5)
    held = other.value
    for seed in range(3):
        first.observe(normal(4, 3, seed=seed))
    other.restore(first.state())
    for seed in range(3, 8):
        first.observe(normal(4, 3, seed=seed))
        other.observe(normal(4, 3, seed=seed))
    assert other.value == first.value
    assert other.batches == first.batches == 5
    assert other.value is held


def test_a_range_that_was_set_is_not_estimated_any_more():
    tile_range = made()
    tile_range.set(1.5)
    tile_range.finish()
    tile_range.observe(normal(4, 3))
    assert tile_range.value == 1.5
