"""A matrix on devices is used as one of NumPy and SciPy: shapes, views, solvers, updates."""

import numpy as np
import pytest
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg

import rpusim as rs
from rpusim.errors import ConfigError, DataError, ShapeError
from rpusim.tiles import TileGrid
from tests.naive.tolerance import check_mean, check_std, rounding
from tests.periphery.tiles import quiet
from tests.tiles.grids import LIMITS, PERFECT, normal

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")

EXACT = rs.FloatingPointRPUConfig()
SHAPES = {
    "square": ((6, 6), {}),
    "tall": ((9, 4), {}),
    "wide": ((4, 9), {}),
    "one row": ((1, 5), {}),
    "tall grid": ((9, 4), LIMITS),
    "wide grid": ((4, 9), LIMITS),
}


def poisson(n):
    """Return the matrix of the 2-D Laplacian on n x n points."""
    one = 2.0 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    return np.kron(np.eye(n), one) + np.kron(one, np.eye(n))


def close(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=rounding(9, 9.0))


# ---------------------------------------------------------------- NumPy's semantics


@pytest.mark.parametrize(("shape", "limits"), SHAPES.values(), ids=SHAPES)
def test_products_are_those_of_numpy(shape, limits):
    w, (n, m) = normal(*shape).astype(float), shape
    a = rs.AnalogMatrix(w, EXACT.replace(mapping=limits), rng=1)
    assert isinstance(a.tile, TileGrid) == bool(limits)
    assert (a.shape, a.ndim, a.dtype) == (w.shape, 2, np.float64)
    x, y = normal(m, seed=1), normal(n, seed=2)
    xs, ys = normal(m, 3, seed=3), normal(n, 3, seed=4)
    for ours, theirs in [
        (a @ x, w @ x), (a @ xs, w @ xs), (y @ a, y @ w), (ys.T @ a, ys.T @ w),
        (a.T @ y, w.T @ y), (a.T @ ys, w.T @ ys), (a.H @ ys, w.T @ ys), (a.T.T @ x, w @ x),
        (x @ a.T, x @ w.T), (xs.T @ a.T, xs.T @ w.T), (a.dot(xs), w.dot(xs)),
        (a.matvec(x), w @ x), (a.matvec(x[:, None]), w @ x[:, None]), (a.matmat(xs), w @ xs),
        (a.rmatvec(y), w.T @ y), (a.rmatmat(ys), w.T @ ys), (a @ list(x), w @ x),
        (a @ xs[:, :0], w @ xs[:, :0]), (a @ xs[:, :1], w @ xs[:, :1]),
        (a @ (x + 2j * x), w @ (x + 2j * x)), (a.H @ (1j * y), w.T @ (1j * y)),
        (a @ np.arange(m), w @ np.arange(m)), ((2.0 * a + a) @ x, 3.0 * w @ x),
        ((a.T @ a) @ x, w.T @ w @ x), (a.toarray(), w), (a.T.toarray(), w.T),
    ]:  # fmt: skip
        close(ours, theirs)
        assert ours.dtype in (np.float64, np.complex128)
    for wrong in (lambda: a @ np.ones(m + 1), lambda: np.ones(n + 1) @ a, lambda: a.T @ ys[1:]):
        if n > 1:
            with pytest.raises(ValueError, match="dimension mismatch"):
                wrong()


def test_a_transpose_is_a_view_of_the_same_tile():
    w = normal(4, 9)
    a = rs.AnalogMatrix(w, EXACT, rng=1)
    assert type(a.T) is rs.AnalogMatrix
    assert a.T.tile is a.tile
    u, v = normal(9, seed=1), normal(4, seed=2)
    a.T.rank_update(u, v, 0.5)
    close(a.toarray(), w + 0.5 * np.outer(v, u))
    close(a.T.read(inputs="hadamard").weights, a.toarray().T)
    assert a.T.matvec_error().relative < 1e-6
    assert repr(a.T) == "<AnalogMatrix of shape (9, 4): 1 tile of FloatingPointDevice>"


def test_sparse_matrices_and_nested_lists_are_matrices():
    close(rs.AnalogMatrix(sparse.csr_array(np.eye(3)), EXACT).toarray(), np.eye(3))
    close(rs.AnalogMatrix([[1, 2], [3, 4]], EXACT).toarray(), np.array([[1.0, 2.0], [3.0, 4.0]]))


def test_the_same_seed_is_the_same_matrix():
    w = normal(5, 5)
    first = rs.AnalogMatrix(w, rng=3)
    second = rs.AnalogMatrix(w, rng=first.seed)
    np.testing.assert_array_equal(first @ w, second @ w)
    assert (first @ w != first @ w).any()  # each read is another one


def test_products_are_those_of_evaluation_both_ways():
    config = rs.InferenceRPUConfig(forward=PERFECT, modifier={"type": "ADD_NORMAL", "std_dev": 0.5})
    w = normal(4, 6)
    a = rs.AnalogMatrix(w, config, rng=1)
    close(a @ np.eye(6), w)
    close(np.eye(4) @ a, w)
    average = rs.IOParameters(noise_management="AVERAGE_ABS_MAX")
    b = rs.AnalogMatrix(w, rs.RPUConfig(forward=average, backward=average), rng=1)
    sides = b.tile.get_forward_parameters, b.tile.get_backward_parameters
    before = [float(side()["aux_nm_value"][0]) for side in sides]
    _ = b @ np.eye(6), b.T @ np.eye(4)
    assert [float(side()["aux_nm_value"][0]) for side in sides] == before


# ---------------------------------------------------------------- scale, programming


def test_a_matrix_of_any_scale_has_the_same_relative_error():
    w, found = normal(20, 30), []
    for scale in (1e-6, 1.0, 1e6):
        a = rs.AnalogMatrix(scale * w, rs.SoftBoundsDevice(), rng=1)
        found.append(a.matvec_error().relative)
        assert 0 < a.clipped < 0.05 * w.size
    np.testing.assert_allclose(found, found[0], rtol=1e-3)
    assert found[0] < 0.5


def test_the_largest_weight_fits_a_typical_device():
    w = np.array([[4.0, -1.0], [-1.0, 2.0]])
    device = rs.SoftBoundsDevice(w_max=0.6, w_min=-0.4, w_max_dtod=0.0, w_min_dtod=0.0)
    for sign in (1.0, -1.0):  # both signs have two of the four weights: the median is in between
        a = rs.AnalogMatrix(sign * w, device.replace(w_min=-0.6), rng=1)
        held = a.tile.get_weights(apply_weight_scaling=False)[0]
        assert np.abs(held).max() == pytest.approx(0.6, rel=1e-6)
        close(a.toarray(), sign * w)
        assert a.clipped == 0
    a = rs.AnalogMatrix(np.abs(w), device, rng=1)  # the lower bound does not matter
    assert a.tile.rpu_config.mapping.weight_scaling_omega == pytest.approx(0.6)
    ideal = rs.AnalogMatrix(3.0 * w, rs.IdealDevice(), rng=1)
    assert ideal.tile.rpu_config.mapping.weight_scaling_omega == 12.0 / 16.0
    np.testing.assert_array_equal(ideal.toarray(), 3.0 * w)
    asked = rs.AnalogMatrix(w, device, omega=0.2, rng=1)
    assert np.abs(asked.tile.get_weights(False)[0]).max() == pytest.approx(0.2)
    config = rs.RPUConfig(device=device, mapping={"weight_scaling_omega": 0.1})
    assert rs.AnalogMatrix(w, config).tile.rpu_config == config
    zero = rs.AnalogMatrix(np.zeros((2, 2)), device)
    np.testing.assert_array_equal(zero.toarray(), np.zeros((2, 2)))


def test_each_tile_of_a_grid_scales_its_part():
    w = normal(5, 7)
    w[:2, :3] *= 100.0
    device = rs.ConstantStepDevice(w_max_dtod=0.0, w_min_dtod=0.0)
    a = rs.AnalogMatrix(w, rs.RPUConfig(device=device, forward=PERFECT, mapping=LIMITS), rng=1)
    np.testing.assert_allclose(a @ np.eye(7), w, rtol=0.0, atol=rounding(3, 100.0))
    assert repr(a) == "<AnalogMatrix of shape (5, 7): 9 tiles of ConstantStepDevice>"


def test_a_matrix_is_programmed_by_pulses_or_with_the_errors_of_a_noise_model():
    w = 0.3 * normal(6, 5)
    device = rs.SoftBoundsDevice(dw_min=0.01, w_max_dtod=0.0, w_min_dtod=0.0)
    config = rs.RPUConfig(device=device, forward=PERFECT)
    a = rs.AnalogMatrix(w, config, programming="write_verify", tolerance=0.02, rng=1)
    assert a.programming.success
    scale = np.abs(w).max() / 0.6
    assert np.abs(a.toarray() - w).max() <= 0.02 * scale * 1.001
    assert np.abs(a.toarray() - w).max() > 0.001 * scale
    chip = rs.AnalogMatrix(w, rs.InferenceRPUConfig(), programming="noise_model", rng=1)
    assert chip.tile.is_programmed
    close(chip.tile.get_target_weights()[0], w)
    before = chip.toarray()
    chip.tile.drift_weights(1e5)
    assert (chip.toarray() != before).any()
    assert rs.AnalogMatrix(w, config).programming is None


def test_a_read_is_as_good_as_it_says():
    w = normal(40, 6)
    a = rs.AnalogMatrix(
        w,
        rs.RPUConfig(
            device=rs.IdealDevice(), forward=quiet(noise_management="ABS_MAX", out_noise=0.05)
        ),
    )
    found = a.read()
    z = (found.weights - a.toarray()) / found.standard_error
    # Student's law of 54 degrees of freedom, not independent within a row
    check_mean(z.ravel(), 0.0, 1.02)
    assert 0.8 < z.std() < 1.25
    assert found.standard_error.max() < 0.1


# ---------------------------------------------------------------- updates


@pytest.mark.parametrize("k", [None, 1, 3])
def test_an_update_adds_an_outer_product(k):
    shapes = [(4,), (7,)] if k is None else [(4, k), (7, k)]
    u, v = normal(*shapes[0], seed=1), normal(*shapes[1], seed=2)
    product = np.outer(u, v) if k is None else u @ v.T
    for limits in ({}, LIMITS):
        w = normal(4, 7)
        a = rs.AnalogMatrix(w, EXACT.replace(mapping=limits), rng=1)
        a.rank_update(u, v)
        a.rank_update(u, v, alpha=-0.25, parts=4)
        close(a.toarray(), w + 0.75 * product)


def test_pulses_add_an_outer_product_on_average():
    device = rs.ConstantStepDevice(
        dw_min=0.002, dw_min_dtod=0.0, dw_min_std=0.0, up_down_dtod=0.0, w_max=2.0, w_min=-2.0
    )
    w, u, v = 0.2 * normal(3, 5), normal(3, seed=1), normal(5, seed=2)
    change = 0.01 * np.outer(u, v)
    moved = []
    for seed in range(200):
        a = rs.AnalogMatrix(w, device, omega=0.5, rng=seed)
        before = a.toarray()
        assert a.rank_update(u, v, 0.01).pulses_up > 0
        moved.append(a.toarray() - before)
    # the number of coincidences is binomial at most, in steps of the scaled dw_min
    step = 0.002 * np.abs(w).max() / 0.5
    check_mean(np.array(moved), change, np.sqrt(step * np.abs(change)), floor=rounding(50, 1.0))


def test_a_saturated_update_is_told_and_parts_help():
    u, v, w = np.ones(3), np.ones(5), 0.2 * np.ones((3, 5))
    exact = {"dw_min_dtod": 0.0, "dw_min_std": 0.0, "up_down_dtod": 0.0}
    device = rs.ConstantStepDevice(**exact, w_max_dtod=0.0, w_min_dtod=0.0)
    a, b = (rs.AnalogMatrix(w, device, rng=1, omega=0.2) for _ in range(2))
    with pytest.warns(UserWarning, match="1 of 1 trains were saturated, so the matrix moved by"):
        a.rank_update(u, v, 0.1)
    b.rank_update(u, v, 0.1, parts=10)
    assert a.toarray().mean() < 0.25
    assert b.toarray().mean() == pytest.approx(0.3, abs=0.01)


# ---------------------------------------------------------------- errors of products


def test_the_error_of_products_is_that_of_the_noise():
    w, sigma = normal(50, 20), 0.02
    config = rs.RPUConfig(
        device=rs.IdealDevice(), forward=quiet(noise_management="ABS_MAX", out_noise=sigma)
    )
    a = rs.AnalogMatrix(w, config, omega=1.0, rng=1)
    found = a.matvec_error(400)
    x = np.random.default_rng(0).standard_normal((20, 400))
    scale = np.abs(w).max() * np.sqrt(np.mean(np.abs(x).max(axis=0) ** 2))
    np.testing.assert_allclose(found.std, sigma * scale, rtol=5.0 * 1.3 / np.sqrt(2 * 400))
    check_mean(found.mean[:, None].T, 0.0, sigma * scale / np.sqrt(400))
    expected = sigma * scale / np.sqrt(np.mean((a.toarray() @ x) ** 2))
    assert found.relative == pytest.approx(expected, rel=5.0 * 1.3 / np.sqrt(2 * 400 * 50))
    assert found.vectors == 400
    assert a.matvec_error(400, matrix=2.0 * w).relative == pytest.approx(0.5, rel=0.01)


# ---------------------------------------------------------------- SciPy's solvers

SOLVERS = ["cg", "cgs", "bicg", "bicgstab", "gmres", "lgmres", "gcrotmk", "minres", "qmr", "tfqmr"]


@pytest.mark.parametrize("name", SOLVERS)
def test_a_system_of_an_ideal_matrix_is_solved_in_as_many_steps_as_numpys(name):
    matrix, b, counts, found = poisson(5), normal(25).astype(float), [], []
    for operator in (matrix, rs.AnalogMatrix(matrix, EXACT)):
        steps = []
        options = {"callback_type": "pr_norm"} if name == "gmres" else {}
        tolerance = {} if name == "minres" else {"atol": 0.0}
        x, info = getattr(linalg, name)(
            operator, b, rtol=1e-5, callback=lambda _, s=steps: s.append(1), **options, **tolerance
        )
        assert info == 0
        counts.append(len(steps))
        found.append(x)
    assert abs(counts[1] - counts[0]) <= (1 if name in ("cgs", "tfqmr") else 0)
    np.testing.assert_allclose(found[1], found[0], rtol=0.0, atol=1e-3 * np.abs(found[0]).max())


def test_rectangular_systems_and_singular_values_are_found():
    w = normal(30, 8).astype(float)
    a = rs.AnalogMatrix(w, EXACT.replace(mapping={"max_input_size": 5}))
    b = normal(30).astype(float)
    expected = np.linalg.lstsq(w, b, rcond=None)[0]
    np.testing.assert_allclose(linalg.lsqr(a, b)[0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(linalg.lsmr(a, b)[0], expected, rtol=1e-4, atol=1e-5)
    values = linalg.svds(a, k=3, return_singular_vectors=False, rng=0)
    np.testing.assert_allclose(np.sort(values), np.linalg.svd(w)[1][2::-1], rtol=1e-5)


@pytest.mark.parametrize("name", ["cg", "gmres", "lgmres", "bicgstab"])
def test_an_inexact_inverse_is_a_preconditioner(name):
    matrix, b, counts = poisson(7), normal(49).astype(float), []
    inverse = np.linalg.inv(matrix)
    forward = quiet(noise_management="ABS_MAX", out_noise=0.002, inp_res=1 / 254)
    a = rs.AnalogMatrix(inverse, rs.RPUConfig(device=rs.IdealDevice(), forward=forward), rng=1)
    for m in (None, a):
        steps = []
        x, info = getattr(linalg, name)(
            matrix, b, M=m, rtol=1e-8, callback=lambda _, s=steps: s.append(1),
            **({"callback_type": "pr_norm"} if name == "gmres" else {}),
        )  # fmt: skip
        assert info == 0
        counts.append(len(steps))
    assert np.linalg.norm(matrix @ x - b) <= 2e-8 * np.linalg.norm(b)
    if name in ("cg", "bicgstab"):  # GMRES minds that no two products are the same
        assert counts[1] < counts[0]


def test_refinement_with_a_noisy_inverse_contracts_as_its_noise_says():
    # r' = r - P (M r + e) = -P e,  e = sigma s max|r| z:  E |r'|^2 = (sigma s max|r| |P|_F)^2
    matrix, b, sigma = poisson(6), normal(36).astype(float), 0.01
    config = rs.RPUConfig(
        device=rs.IdealDevice(), forward=quiet(noise_management="ABS_MAX", out_noise=sigma)
    )
    m = rs.AnalogMatrix(np.linalg.inv(matrix), config, rng=1)
    scale, size = float(m.tile.mapping_scales[0]), np.linalg.norm(matrix)
    gram, ratios, factors = matrix.T @ matrix, [], []
    for _ in range(20):
        x, r = np.zeros(36), b
        for _ in range(5):
            x += m @ r
            new = b - matrix @ x
            factors.append(np.linalg.norm(new) / np.linalg.norm(r))
            ratios.append((np.linalg.norm(new) / (sigma * scale * np.abs(r).max() * size)) ** 2)
            r = new
    std = np.sqrt(2.0 * np.trace(gram @ gram)) / size**2
    check_mean(np.array(ratios), 1.0, std, floor=1e-3)
    check_std(np.array(ratios), std, kurtosis=12.0)
    assert max(factors) < 0.6
    for _ in range(30):  # on, to the precision of float64, far below that of the tile
        x += m @ (b - matrix @ x)
    assert np.linalg.norm(b - matrix @ x) < 1e-14 * np.linalg.norm(b)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rs.AnalogMatrix(np.ones(3)), ShapeError, r"shape \(n, m\), got \(3,\)"),
        (lambda: rs.AnalogMatrix(np.ones((0, 3))), ShapeError, r"shape \(n, m\), got \(0, 3\)"),
        (lambda: rs.AnalogMatrix([[1j]]), DataError, "must hold real numbers, got complex128"),
        (lambda: rs.AnalogMatrix([[1, 2], [3]]), DataError, "matrix must be an array of numbers"),
        (lambda: rs.AnalogMatrix([[np.nan]]), DataError, "must be finite"),
        (
            lambda: rs.AnalogMatrix(np.eye(2), programming="write-verify"),
            ConfigError,
            "one of set, fixed_inputs, write_verify, gradient, got .* mean 'write_verify'",
        ),
        (
            lambda: rs.AnalogMatrix(np.eye(2), rs.InferenceRPUConfig(), programming="gradient"),
            ConfigError,
            "of a InferenceRPUConfig must be one of set, noise_model",
        ),
        (lambda: rs.AnalogMatrix(np.eye(2), tolerance=1), ConfigError, "tolerance needs program"),
        (
            lambda: rs.AnalogMatrix(-np.eye(2), rs.ConstantStepDevice(w_min=0.0)),
            ConfigError,
            "most devices cannot hold weights of the sign",
        ),
        (
            lambda: rs.AnalogMatrix(np.eye(2), EXACT).rank_update(np.ones(3), np.ones(2)),
            ShapeError,
            r"u must have shape \(2,\) or \(2, k\), got \(3,\)",
        ),
        (
            lambda: rs.AnalogMatrix(np.eye(2), EXACT).rank_update(np.eye(2), np.ones(2)),
            ShapeError,
            "u and v must hold as many vectors, got 2 and 1",
        ),
        (
            lambda: rs.AnalogMatrix(np.eye(2), EXACT).rank_update([1, 1], [1, 1], parts=0),
            ConfigError,
            "parts must be a positive integer, got 0",
        ),
        (
            lambda: rs.AnalogMatrix(np.eye(2), EXACT).rank_update([1, 1], [1, 1], alpha=np.nan),
            DataError,
            "alpha must be a finite number, got nan",
        ),
        (
            lambda: rs.AnalogMatrix(np.eye(2), EXACT).rank_update([1, 1], [1, 1], alpha="a"),
            DataError,
            "alpha must be a finite number, got 'a'",
        ),
        (
            lambda: rs.AnalogMatrix(np.eye(2), EXACT).rank_update([1, 1], [1, 1], parts="a"),
            ConfigError,
            "parts must be a positive integer, got 'a'",
        ),
        (
            lambda: rs.AnalogMatrix(np.eye(2), EXACT).rank_update("a", "b"),
            DataError,
            "rank_update: u must hold real numbers, got <U1",
        ),
        (
            lambda: rs.AnalogMatrix(np.eye(2), EXACT).rank_update([1, 1], [[1], [1, 2]]),
            DataError,
            "rank_update: v must be an array of numbers",
        ),
        (
            lambda: rs.AnalogMatrix(np.eye(2), EXACT).matvec_error(matrix=np.eye(3)),
            ShapeError,
            r"matrix must have shape \(2, 2\), got \(3, 3\)",
        ),
    ],
)
def test_what_is_no_matrix_is_refused_in_words(call, error, message):
    with pytest.raises(error, match=message):
        call()
