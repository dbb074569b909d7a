"""Bound management: who is repeated, how often, and what that leaves alone."""

import numpy as np
import pytest

import rpusim as rs
from tests.periphery.tiles import io, quiet, same_rows, tile_of

ALPHA = 0.5
RNG = np.random.default_rng(6)


def largest(**settings):
    """Return what a tile says of an exact result of 10 million, for inputs of size ALPHA."""
    tile = tile_of([[1e7 / ALPHA]], io(**settings))
    return float(tile.forward([ALPHA])[0]) / ALPHA


def test_by_default_results_saturate_at_192_times_the_scale():
    assert largest() == pytest.approx(16 * 12)


def test_with_an_ideal_dac_they_saturate_at_12288_times_the_scale():
    assert largest(inp_res=0.0) == pytest.approx(1024 * 12)


def test_without_bound_management_they_saturate_at_the_bound():
    assert largest(bound_management="NONE") == pytest.approx(12)
    assert largest(bound_management="NONE", inp_res=0.0, out_bound=3.0) == pytest.approx(3)


@pytest.mark.parametrize(("factor", "expected"), [(1, 2), (3, 4), (4, 8), (5, 8), (1000, 1024)])
def test_max_bm_factor_ends_the_rounds_once_passed(factor, expected):
    assert largest(inp_res=0.0, max_bm_factor=factor) == pytest.approx(12 * expected)


@pytest.mark.parametrize(
    ("limit", "expected"), [(1e-3, 1), (0.017, 2), (0.25, 16), (0.5, 32), (1.0, 64)]
)
def test_max_bm_res_ends_the_rounds_once_passed(limit, expected):
    assert largest(max_bm_res=limit) == pytest.approx(12 * expected)


@pytest.mark.parametrize(
    ("weight", "reduction"), [(10, 1), (-10, 1), (20, 2), (-40, 4), (80, 8), (160, 16)]
)
def test_the_reduction_is_the_smallest_power_of_two_that_fits(weight, reduction):
    count = 2**13
    y = tile_of([[weight]], io(out_noise=0.06, out_res=0.0)).forward(same_rows([1.0], count))
    assert y.std() == pytest.approx(0.06 * reduction, rel=5.0 / np.sqrt(2 * count))


def test_results_that_fit_after_some_rounds_are_right_to_the_converters():
    w, x = RNG.normal(size=(20, 50)) * 3.0, RNG.normal(size=(200, 50))
    y = tile_of(w, io()).forward(x)
    alpha = np.abs(x).max(axis=1, keepdims=True)
    reduction = 2.0 ** np.ceil(
        np.log2(np.maximum(np.abs(x @ w.T).max(axis=1) / alpha[:, 0] / 12, 1))
    )
    assert set(reduction) >= {1.0, 2.0, 4.0}
    dac = (1 / 126) * np.abs(w).sum(axis=1)
    bound = alpha * 2.0 * reduction[:, None] * (dac + 12.0 / 510.0)  # one round more near the bound
    assert (np.abs(y - x @ w.T) <= bound).all()


def test_with_ideal_converters_it_changes_nothing():
    w, x = RNG.normal(size=(20, 50)) * 30.0, RNG.normal(size=(100, 50))
    exact = (x.astype(np.float32).astype(np.float64)) @ w.astype(np.float32).T.astype(np.float64)
    for noise_management in ("NONE", "ABS_MAX", "CONSTANT"):
        settings = {"noise_management": noise_management, "bound_management": "ITERATIVE"}
        y = tile_of(w, quiet(out_bound=9.0, inp_bound=1.0, nm_thres=10.0, **settings)).forward(
            x / 5
        )
        np.testing.assert_allclose(y, exact / 5, rtol=1e-4, atol=1e-4)


def test_only_vectors_that_exceed_the_bound_are_repeated():
    w = RNG.normal(size=(10, 20))
    settings = rs.IOParameters(inp_noise=0.1, out_sto_round=True, inp_sto_round=True)
    calm = RNG.normal(size=(40, 20)) * np.where(np.arange(20) == 0, 5.0, 0.3)
    wild = calm.copy()
    loud = np.sign(w[0]) * 9.0  # adds up to more than the bound on line 0
    wild[[3, 17, 39]] = loud
    quiet_rows = np.setdiff1d(np.arange(40), [3, 17, 39])
    a, b = (tile_of(w, settings).forward(x) for x in (calm, wild))
    assert np.abs(w[0]).sum() > 12.0
    assert (b[[3, 17, 39], 0] > 9.0 * 12.0).all()
    np.testing.assert_array_equal(a[quiet_rows], b[quiet_rows])


def test_a_repeated_vector_does_not_depend_on_its_company():
    w, settings = RNG.normal(size=(10, 20)) * 4.0, rs.IOParameters(inp_noise=0.1, out_bound=6.0)
    x = RNG.normal(size=(60, 20))
    together = tile_of(w, settings).forward(x)
    tile = tile_of(w, settings)
    np.testing.assert_array_equal(np.concatenate([tile.forward(row[None]) for row in x]), together)


def test_repeated_rounds_draw_new_noise():
    count, x = 2**15, same_rows([1.0], 2**15)
    settings = quiet(out_noise=0.25, out_bound=6.0)
    first = tile_of([[9.0]], quiet(out_noise=0.25)).forward(x) - 9.0
    again = tile_of([[9.0]], settings.replace(bound_management="ITERATIVE")).forward(x) - 9.0
    assert again.std() == pytest.approx(2.0 * first.std(), rel=5.0 / np.sqrt(count))
    correlation = np.corrcoef(first.ravel(), again.ravel())[0, 1]
    assert abs(correlation) < 5.0 / np.sqrt(count)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_without_the_negative_test_only_the_upper_bound_counts_in_any_order(order):
    w = np.array([[50.0], [-50.0]])[order]
    settings = io(bm_test_negative_bound=False, inp_res=0.0, out_res=0.0)
    y = tile_of(w, settings).forward([1.0])
    np.testing.assert_allclose(y, np.array([50.0, -50.0])[order], rtol=1e-6)


def test_without_the_negative_test_negative_results_are_clipped():
    for negative, expected in ((True, -50.0), (False, -12.0)):
        settings = io(bm_test_negative_bound=negative, inp_res=0.0, out_res=0.0)
        assert tile_of([[-50.0]], settings).forward([1.0])[0] == pytest.approx(expected)


def test_a_result_that_rounds_to_the_bound_does_not_exceed_it():
    settings = {"out_res": 1 / 24, "inp_res": 1 / 2, "out_bound": 12.0}  # steps of 1: code 12
    assert tile_of([[12.49]], io(**settings)).forward([1.0])[0] == pytest.approx(12.0)
    assert tile_of([[12.51]], io(**settings, max_bm_res=2.0)).forward([1.0])[0] != 12.0


def test_backward_has_no_bound_management():
    tile = tile_of([[100.0]], io(), io())
    assert tile.forward([ALPHA])[0] == pytest.approx(50.0, rel=0.05)
    assert tile.backward([ALPHA])[0] == pytest.approx(12.0 * ALPHA)


def test_plain_python_repeats_the_same_vectors():
    w, x = RNG.normal(size=(6, 8)) * 8.0, RNG.normal(size=(20, 8))
    fast, plain = (tile_of(w, rs.IOParameters(), backend=b).forward(x) for b in ("cpu", "python"))
    np.testing.assert_array_equal(fast, plain)
