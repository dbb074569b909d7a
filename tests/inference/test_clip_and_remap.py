"""Clipping follows its closed forms; remapping never changes a logical weight."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpusim.errors import ConfigError
from rpusim.inference.limits import clip_limit, remapped
from rpusim.inference.settings import WeightClipParameter, WeightRemapParameter
from tests.inference.modifiers import weights
from tests.naive import modify as naive
from tests.naive.tolerance import FLOAT32

LAYER, CHANNEL = "LAYERWISE_SYMMETRIC", "CHANNELWISE_SYMMETRIC"
EXAMPLE = np.array([[1.0, -0.4], [10.0, 5.0], [0.0, 0.0]], np.float32)


def limit(w, **settings):
    return clip_limit(np.asarray(w, np.float32), WeightClipParameter(**settings))


def remap(w, scales, **settings):
    return remapped(w, scales, WeightRemapParameter(**settings))


def test_a_fixed_limit_is_itself():
    assert limit(weights(), type="FIXED_VALUE", fixed_value=0.3) == 0.3


def test_without_a_type_there_is_no_limit():
    assert limit(weights(), fixed_value=0.3) is None


def test_the_gaussian_limit_is_a_multiple_of_the_standard_deviation_around_the_mean():
    # mean 2, squares of deviations 4 + 0 + 0 + 4, n - 1 = 3
    assert limit([[0, 2], [2, 4]], type="LAYER_GAUSSIAN", sigma=1.5) == pytest.approx(
        1.5 * np.sqrt(8.0 / 3.0), rel=1e-12
    )
    w = weights((50, 40)) + np.float32(0.1)
    c = limit(w, type="LAYER_GAUSSIAN")
    assert c == pytest.approx(2.5 * np.std(w.astype(np.float64).ravel(), ddof=1), rel=1e-12)
    assert np.clip(w, -c, c).max() == np.float32(c)


def test_the_channel_limit_is_the_mean_of_the_largest_weights():
    c = limit([[1, -3], [0.5, 0], [0, 0]], type="AVERAGE_CHANNEL_MAX")
    assert c == pytest.approx((3.0 + 0.5 + 0.0) / 3.0, rel=1e-12)


@pytest.mark.parametrize("kind", ["LAYER_GAUSSIAN", "AVERAGE_CHANNEL_MAX"])
def test_a_fixed_value_caps_the_other_limits(kind):
    w = weights()
    free = limit(w, type=kind)
    assert limit(w, type=kind, fixed_value=free / 2) == free / 2
    assert limit(w, type=kind, fixed_value=free * 2) == free
    assert limit(w, type=kind, fixed_value=0.0) == free


@pytest.mark.parametrize("value", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(1, 1), (7, 9)])
def test_weights_without_spread_are_not_erased(value, shape):
    w = np.full(shape, value)
    assert limit(w, type="LAYER_GAUSSIAN") is None
    assert limit(w, type="LAYER_GAUSSIAN", fixed_value=0.2) == 0.2
    channel = limit(w, type="AVERAGE_CHANNEL_MAX")
    assert channel is None if value == 0.0 else channel == pytest.approx(value, rel=FLOAT32)


def test_a_spread_of_rounding_only_sets_no_limit():
    w = np.full((7, 9), 0.1, np.float32)
    w[::2] = np.nextafter(w[::2], np.float32(1.0))
    assert np.std(w.astype(np.float64)) > 0.0
    assert limit(w, type="LAYER_GAUSSIAN") is None


def test_a_limit_that_would_erase_all_weights_is_refused():
    for value in (-1.0, 0.0):
        with pytest.raises(ConfigError, match=r"fixed_value must be > 0 for FIXED_VALUE, got"):
            WeightClipParameter(type="FIXED_VALUE", fixed_value=value)


@pytest.mark.parametrize(("kind", "whole"), [(LAYER, True), (CHANNEL, False)])
@pytest.mark.parametrize("wmax", [1.0, 0.8])
def test_remapping_follows_a_naive_loop(kind, whole, wmax):
    w, scales = weights((6, 9)), np.linspace(0.5, 3.0, 6)
    w[2] = 0.0
    got = remap(w, scales, type=kind, remapped_wmax=wmax)
    for mine, other in zip(got, naive.remapped(w, scales, wmax, whole), strict=True):
        assert mine.dtype == np.float32
        assert np.abs(mine - other).max() <= FLOAT32 * np.abs(other).max()


def test_the_largest_weight_lands_on_its_place():
    w, _ = remap(weights((6, 9)), 1.0, type=LAYER, remapped_wmax=0.8)
    assert np.abs(w).max() == np.float32(0.8)
    w, _ = remap(weights((6, 9)), 1.0, type=CHANNEL, remapped_wmax=0.8)
    assert np.abs(np.abs(w).max(axis=1) - np.float32(0.8)).max() <= FLOAT32


def test_unequal_scales_keep_their_ratios_layerwise():
    old = np.array([1.0, 2.0, 4.0])
    w, scales = remap(EXAMPLE / 10, old, type=LAYER, remapped_wmax=0.8)
    assert np.abs(scales - 1.25 * old).max() <= 4 * FLOAT32
    assert np.abs(w - 0.08 * EXAMPLE).max() <= FLOAT32


def test_a_bounded_scale_leaves_the_rest_with_the_weights():
    w, scales = remap(EXAMPLE, np.ones(3), type=CHANNEL, max_scale_range=3.0)
    assert scales.tolist() == [1.0, 3.0, 1.0]
    assert np.abs(w).max(axis=1) == pytest.approx([1.0, 10.0 / 3.0, 0.0], rel=FLOAT32)


@pytest.mark.parametrize(
    ("scales", "reference", "new", "largest"),
    [
        ([1.0, 2.0, 4.0], 0.0, [0.1, 2.0, 3.0], [1.0, 1.0, 0.0]),
        ([1.0, 2.0, 4.0], 2.0, [0.1, 2.0, 4.0], [1.0, 1.0, 0.0]),
        ([0.5, 10.0, 1.0], 0.0, [0.05, 1.5, 1.0], [1.0, 20.0 / 3.0, 0.0]),
        ([0.5, 10.0, 1.0], 2.0, [0.05, 6.0, 1.0], [1.0, 5.0 / 3.0, 0.0]),
        ([0.5, -10.0, 1.0], 0.0, [0.05, -1.5, 1.0], [1.0, 20.0 / 3.0, 0.0]),
        ([0.0, 10.0, 1.0], 0.0, [0.0, 3.0, 1.0], [1.0, 10.0 / 3.0, 0.0]),
        ([0.0, 0.0, 0.0], 0.0, [0.0, 0.0, 0.0], [1.0, 1.0, 0.0]),
    ],
)
def test_a_bound_counts_from_the_smallest_scale_or_the_reference(scales, reference, new, largest):
    w = np.array([[0.1, -0.04], [1.0, 0.5], [0.0, 0.0]], np.float32)
    settings = dict(type=CHANNEL, max_scale_range=3.0, max_scale_ref=reference)
    w, got = remap(w, np.array(scales), **settings)
    assert got == pytest.approx(new, rel=FLOAT32)
    assert np.abs(w).max(axis=1) == pytest.approx(largest, rel=FLOAT32)


@given(
    seed=st.integers(0, 1000),
    kind=st.sampled_from([LAYER, CHANNEL, "NONE"]),
    wmax=st.sampled_from([0.3, 1.0]),
    ratio=st.sampled_from([0.0, 1.0, 3.0]),
)
def test_remapping_keeps_the_logical_weights(seed, kind, wmax, ratio):
    rng = np.random.default_rng(seed)
    w = (rng.normal(size=(5, 4)) * 10.0 ** rng.uniform(-6, 3, (5, 1))).astype(np.float32)
    w[rng.random(5) < 0.2] = 0.0
    scales = (rng.normal(size=5) * (rng.random(5) > 0.2)).astype(np.float32)
    bounded = dict(max_scale_range=ratio) if kind == CHANNEL and wmax == 1.0 else {}
    new, factors = remap(w, scales, type=kind, remapped_wmax=wmax, **bounded)
    assert np.isfinite(new).all()
    assert np.isfinite(factors).all()
    logical = scales.astype(np.float64)[:, None] * w
    found = factors.astype(np.float64)[:, None] * new
    assert np.abs(found - logical).max() <= 2 * FLOAT32 * np.abs(logical).max()
    assert (np.abs(found - logical) <= 2 * FLOAT32 * np.abs(logical)).all()


@pytest.mark.parametrize("kind", [LAYER, CHANNEL])
def test_zeros_and_denormals_stay_as_they_are(kind):
    for value in (0.0, 1e-44):
        w, scales = remap(np.full((2, 3), value, np.float32), [1.0, 2.0], type=kind)
        assert (w == np.float32(value)).all()
        assert scales.tolist() == [1.0, 2.0]


def test_remapping_twice_changes_nothing_more():
    for kind in (LAYER, CHANNEL):
        once = remap(weights(), np.ones(7), type=kind)
        twice = remap(*once, type=kind)
        for a, b in zip(once, twice, strict=True):
            assert np.abs(a - b).max() <= FLOAT32 * np.abs(a).max()


def test_remapping_leaves_its_arguments():
    w, scales = weights(), np.ones(7, np.float32)
    for kind in ("NONE", LAYER, CHANNEL):
        new, factors = remap(w, scales, type=kind)
        assert not np.shares_memory(new, w)
        assert not np.shares_memory(factors, scales)
    assert (w == weights()).all()
    assert (scales == 1.0).all()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (dict(type=CHANNEL, max_scale_range=0.5), r"max_scale_range must be 0 \(any\) or >= 1"),
        (dict(type=CHANNEL, max_scale_ref=1.0), "max_scale_ref is 1.0, which max_scale_range"),
        (dict(type=LAYER, max_scale_range=2.0), "type must be CHANNELWISE_SYMMETRIC, got LAYER"),
        (dict(type=CHANNEL, max_scale_range=2.0, remapped_wmax=0.5), "needs remapped_wmax = 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, why):
    with pytest.raises(ConfigError, match=f"^WeightRemapParameter.*{why}"):
        WeightRemapParameter(**settings)
