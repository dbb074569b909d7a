"""NOISE_MODEL copies: what programmed devices make of the weights, whatever they are."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.inference.modify import modified
from tests.naive.tolerance import check_mean, check_std

KEY = (7, 11)
PCM = rs.PCMLikeNoiseModel()
W = np.tile(np.array([0.0, 0.25, -0.5, 1.0], np.float32), (20_000, 1))
#: mean and standard deviation of programmed phase-change memory, by quadrature
PROGRAMMED = ([0.0, 0.2458, -0.4958, 0.9958], [0.0087, 0.0279, 0.0386, 0.0427])


def copy_of(w=W, step=0, sample=None, model=PCM, backend="cpu", bias=False, **settings):
    settings = rs.WeightModifierParameter(type="NOISE_MODEL", **{"std_dev": 1.0, **settings})
    return modified(w, settings, KEY, step, backend, bias, sample, model)


def test_the_copy_is_what_programming_makes_of_the_weights():
    copy, (mean, std) = copy_of(), PROGRAMMED
    check_mean(copy, mean, std, floor=5e-5)  # the figures have four digits
    check_std(copy[:, 1:], np.array(std[1:]) + 5e-5)


def test_strength_multiplies_what_goes_wrong():
    once, half = copy_of(step=3), copy_of(step=3, std_dev=0.5)
    np.testing.assert_allclose(half - W, 0.5 * (once - W), atol=1e-6)
    np.testing.assert_array_equal(copy_of(std_dev=0.0), W)


def test_the_mean_of_the_drift_is_taken_out():
    fresh, later = copy_of(step=5), copy_of(step=5, pcm_t_inference=86400.0)
    assert np.abs(later).sum(dtype=float) == pytest.approx(np.abs(fresh).sum(dtype=float), rel=1e-5)
    assert later[:, 3].std() > 1.5 * fresh[:, 3].std()


def test_steps_and_vectors_have_copies_of_their_own():
    copies = [copy_of(step=s, sample=k) for s in (0, 1) for k in (None, 0, 1)]
    for a in range(len(copies)):
        for b in range(a):
            r = np.corrcoef(copies[a][:, 3], copies[b][:, 3])[0, 1]
            assert abs(r) < 5.0 / np.sqrt(len(W))
    np.testing.assert_array_equal(copy_of(step=1, sample=1), copies[-1])


def test_plain_python_draws_the_same():
    few = W[:3]
    for t in (0.0, 3600.0):
        compiled, plain = (copy_of(few, backend=b, pcm_t_inference=t) for b in ("cpu", "python"))
        np.testing.assert_array_equal(compiled, plain)


def test_a_bias_column_stays_and_does_not_set_the_scale():
    w = np.column_stack([W[:50], np.full(50, 40.0, np.float32)])
    copy = copy_of(w, bias=True)
    np.testing.assert_array_equal(copy[:, -1], w[:, -1])
    np.testing.assert_array_equal(copy[:, :-1], copy_of(W[:50]))


def test_a_tile_trains_with_copies_by_a_model_of_the_users_own():
    class OneSided(rs.BaseNoiseModel):
        loss: float = rs.param(0.2, doc="share that is lost")

        @staticmethod
        def program(g, model, z):
            return g * (1.0 - model.loss)

    config = rs.InferenceRPUConfig(
        noise_model=OneSided(),
        modifier=rs.WeightModifierParameter(type="NOISE_MODEL", std_dev=1.0),
        forward=rs.IOParameters(is_perfect=True),
    )
    tile = rs.InferenceTile(3, 4, config, rng=1)
    x = np.eye(4, dtype=np.float32)
    w = tile.get_weights()[0]
    np.testing.assert_allclose(tile.forward(x), 0.8 * w.T, rtol=1e-5)
    np.testing.assert_allclose(tile.forward(x, is_test=True), w.T, rtol=1e-6)
