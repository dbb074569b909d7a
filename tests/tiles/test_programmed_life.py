"""The life of programmed devices on a tile and on a grid: programming, drift, and the way back."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError, DataError, StateError
from rpusim.kernels.device_arrays import host
from rpusim.kernels.streams import Purpose
from rpusim.tiles import TileGrid
from tests.inference.programmed import DAY, PERFECT, YEAR, tile_of
from tests.naive.ladder import ladder_product
from tests.naive.tolerance import FLOAT32, Z, check_mean, check_variance
from tests.periphery.ladders import ladder_io

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")

OUT, IN = 5, 7
DATA = np.random.default_rng(3)
W = DATA.uniform(-0.4, 0.4, (OUT, IN)).astype(np.float32)
B = DATA.uniform(-0.4, 0.4, OUT).astype(np.float32)
X = DATA.normal(size=(6, IN)).astype(np.float32)
LIMITS = {"max_input_size": 3, "max_output_size": 2}
ANALOG = {"digital_bias": False}
SCALED = {"weight_scaling_omega": 1.0, "weight_scaling_columnwise": True}
#: A product of some ten terms of order 1, in float32, in another order, with factors up to 3.
CLOSE = dict(rtol=0, atol=64 * FLOAT32)


def config(**changes):
    options = dict(
        forward=PERFECT,
        noise_model=rs.PCMLikeNoiseModel(),
        drift_compensation=rs.GlobalDriftCompensation(),
    )
    return rs.InferenceRPUConfig(**{**options, **changes})


def made(kind, bias=None, rng=1, mapping=None, **changes):
    """Return a tile or a grid of these weights."""
    limits = LIMITS if kind == "grid" else {}
    settings = config(mapping={**limits, **(mapping or {})}, **changes)
    tile = (TileGrid if kind == "grid" else rs.InferenceTile)(
        OUT, IN, settings, bias is not None, rng=rng
    )
    tile.set_weights(W, bias)
    return tile


def parts(tile):
    """Return the tiles of a grid, or the one tile."""
    return list(tile.named_tiles().values()) if isinstance(tile, TileGrid) else [tile]


def hidden(tile):
    return {
        f"{k}/{name}": array
        for k, part in enumerate(parts(tile))
        for name, array in part.get_hidden_parameters().items()
    }


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


KINDS = pytest.mark.parametrize("kind", ["tile", "grid"])


# ---------------------------------------------------------------- programming, drift


@KINDS
def test_nothing_is_programmed_at_first(kind):
    tile = made(kind)
    assert not tile.is_programmed
    assert tile.time == 0.0
    assert (tile.alpha == 1.0).all()
    assert hidden(tile) == {}
    for part in parts(tile):
        with pytest.raises(StateError, match=r"no devices are programmed; program_weights\(\)"):
            part.get_conductances()
    np.testing.assert_allclose(tile.forward(X), X @ W.T, **CLOSE)


@KINDS
def test_programming_leaves_errors_and_drift_a_trajectory_of_each_device(kind):
    tile = made(kind)
    tile.program_weights()
    devices = hidden(tile)
    names = {name.partition("/")[2] for name in devices}
    assert names == {
        f"{what}_{k}"
        for what in ("conductance_target", "conductance", "drift_coefficient")
        for k in (0, 1)
    }
    programmed = tile.get_weights()[0]
    assert 0.0 < np.abs(programmed - W).max() < 0.4 * 5 * 0.05
    assert (tile.alpha == 1.0).all()
    quiet = made(kind, noise_model=rs.PCMLikeNoiseModel(read_noise_scale=0.0))
    seen = {}
    for t in (YEAR, 0.0, 1.0, DAY, YEAR, 0.0):
        tile.drift_weights(t)
        quiet.drift_weights(t)
        assert tile.time == quiet.time == t
        assert_same(hidden(tile), devices)
        assert_same(hidden(quiet), devices)
        now = quiet.get_weights(apply_weight_scaling=False)[0]
        np.testing.assert_array_equal(seen.setdefault(t, now), now)
    np.testing.assert_allclose(seen[0.0] * 1.0, quiet.get_weights()[0], rtol=4 * FLOAT32)
    assert np.abs(seen[YEAR]).sum() < 0.6 * np.abs(seen[0.0]).sum()


@KINDS
def test_reads_are_drawn_anew_by_each_drift(kind):
    tile = made(kind)
    tile.drift_weights(DAY)
    first = tile.get_weights(False)[0]
    tile.drift_weights(DAY)
    assert not np.array_equal(tile.get_weights(False)[0], first)
    assert np.corrcoef(tile.get_weights(False)[0].ravel(), first.ravel())[0, 1] > 0.98


@KINDS
def test_programming_again_starts_from_the_same_targets_and_draws_other_devices(kind):
    tile = made(kind)
    tile.drift_weights(YEAR)
    first, alpha = hidden(tile), tile.alpha
    tile.program_weights()
    assert (tile.alpha == 1.0).all()
    assert (alpha > 1.5).all()
    assert tile.time == 0.0
    second = hidden(tile)
    for name in first:
        assert np.array_equal(first[name], second[name]) == ("target" in name), name
    np.testing.assert_array_equal(tile.get_target_weights()[0], W)
    again = made(kind)
    again.program_weights()
    assert_same(hidden(again), first)


@KINDS
def test_what_devices_hold_can_become_the_target(kind):
    tile = made(kind)
    tile.drift_weights(YEAR)
    held = tile.get_weights(apply_weight_scaling=False)[0]
    tile.program_weights(from_reference=False)
    np.testing.assert_array_equal(tile.get_target_weights(apply_weight_scaling=False)[0], held)
    tile.restore()
    np.testing.assert_array_equal(tile.get_weights(apply_weight_scaling=False)[0], held)
    fresh = made(kind)
    fresh.program_weights(from_reference=False)  # nothing is held yet: the weights themselves
    np.testing.assert_array_equal(fresh.get_target_weights()[0], W)


@KINDS
def test_another_noise_model_stays(kind):
    tile, other = made(kind), rs.PCMLikeNoiseModel(prog_noise_scale=0.0)
    tile.program_weights(noise_model=other)
    np.testing.assert_allclose(tile.get_weights()[0], W, rtol=0, atol=4 * FLOAT32)
    assert all(part.rpu_config.noise_model == other for part in parts(tile))
    tile.program_weights()
    np.testing.assert_allclose(tile.get_weights()[0], W, rtol=0, atol=4 * FLOAT32)
    tile.set_weights(0.5 * W)
    tile.program_weights()
    np.testing.assert_allclose(tile.get_weights()[0], 0.5 * W, rtol=0, atol=4 * FLOAT32)
    tile.program_weights(noise_model=rs.ReRamWan2022NoiseModel())
    with pytest.raises(DataError, match="knows the times 1, 86400, 172800 s, got 5"):
        tile.drift_weights(5.0)
    tile.drift_weights(1.0)


@KINDS
def test_devices_that_were_trained_in_place_have_no_error(kind):
    tile = made(kind)
    tile.program_weights(programmed_already=True)
    np.testing.assert_allclose(tile.get_weights()[0], W, rtol=0, atol=4 * FLOAT32)
    tile.drift_weights(DAY)
    assert (np.abs(tile.get_weights(False)[0]) < np.abs(W) * 1.2).all()
    assert (tile.alpha > 1.3).all()


@KINDS
def test_age_adds_up(kind):
    tile = made(kind)
    tile.age(5.0)
    tile.age(DAY)
    assert tile.time == 5.0 + DAY
    assert all(part.time == 5.0 + DAY for part in parts(tile))
    tile.drift_to(1.0)
    assert tile.time == 1.0
    assert tile.drifts


# ---------------------------------------------------------------- giving devices up

WAYS = {
    "set_weights": lambda tile: tile.set_weights(W),
    "update": lambda tile: tile.update(X, np.zeros((6, OUT)), 0.1),
    "reset_columns": lambda tile: tile.reset_columns(0, 2),
    "restore": lambda tile: tile.restore(),
    "from elsewhere": lambda tile: tile.load_state_dict(
        made("grid" if isinstance(tile, TileGrid) else "tile").state_dict()
    ),
}


@KINDS
@pytest.mark.parametrize("compensation", [rs.GlobalDriftCompensation(), None, "affine"])
@pytest.mark.parametrize("way", WAYS)
def test_what_changes_weights_gives_devices_up(kind, compensation, way):
    compensation = rs.AffineDriftCompensation() if compensation == "affine" else compensation
    tile = made(kind, drift_compensation=compensation)
    tile.drift_weights(YEAR)
    WAYS[way](tile)
    assert not tile.is_programmed
    assert tile.time == 0.0
    assert (tile.alpha == 1.0).all()
    assert all(part.offset == 0.0 for part in parts(tile))
    assert hidden(tile) == {}
    w = tile.get_weights()[0]
    if way == "reset_columns":
        np.testing.assert_array_equal(w[:, 2:], W[:, 2:])
        assert (w[:, :2] != W[:, :2]).all()
    else:
        np.testing.assert_array_equal(w, W)
    np.testing.assert_allclose(tile.forward(X), X @ w.T, **CLOSE)
    tile.drift_weights(1.0)  # programmed anew, from the present weights
    np.testing.assert_array_equal(tile.get_target_weights()[0], w)


@KINDS
def test_new_weights_do_not_come_back_as_the_old_ones(kind):
    """The reference writes old programmed weights over new ones."""
    tile = made(kind)
    tile.drift_weights(DAY)
    tile.set_weights(-W)
    tile.drift_weights(DAY)
    assert np.corrcoef(tile.get_weights()[0].ravel(), -W.ravel())[0, 1] > 0.95


@KINDS
def test_a_learning_step_goes_on_from_the_targets(kind):
    tile, twin = made(kind), made(kind)
    tile.drift_weights(YEAR)
    d = DATA.normal(size=(6, OUT))
    for each in (tile, twin):
        each.update(X, d, 0.01)
    np.testing.assert_array_equal(tile.get_weights()[0], twin.get_weights()[0])


@KINDS
def test_clip_remap_decay_and_diffusion_leave_programmed_devices_alone(kind):
    options = dict(
        clip={"type": "FIXED_VALUE", "fixed_value": 0.1},
        remap={"type": "CHANNELWISE_SYMMETRIC"},
        device=rs.IdealDevice(lifetime=5.0, diffusion=0.1),
    )
    tile = made(kind, **options)
    tile.drift_weights(DAY)
    before = tile.state_dict()
    tile.post_update_step()
    assert_same(tile.state_dict(), before)
    d = np.zeros((6, OUT))
    tile.update(X, d, 0.1)  # a step of learning: the devices are given up, then limits act
    tile.post_update_step()
    assert not tile.is_programmed
    held = tile.get_weights(apply_weight_scaling=False)[0]
    np.testing.assert_allclose(np.abs(held).max(axis=1)[:2], 1.0, rtol=1e-6)
    tile.drift_weights(DAY)
    np.testing.assert_array_equal(tile.get_target_weights(False)[0], held)


@KINDS
@pytest.mark.parametrize(
    "refused",
    [
        lambda tile: tile.set_weights(np.ones((2, 2))),
        lambda tile: tile.set_weights(np.full((OUT, IN), np.nan)),
        lambda tile: tile.set_weights(W, np.ones(OUT)),
        lambda tile: tile.set_weights(W, realistic=True),
        lambda tile: tile.update(X, np.full((6, OUT), np.nan), 0.1),
        lambda tile: tile.update(X, np.ones((6, OUT)), -1.0),
        lambda tile: tile.reset_columns(0, 2, 7.0),
        lambda tile: tile.drift_weights(-1.0),
        lambda tile: tile.drift_weights("a day"),
        lambda tile: tile.age(np.nan),
        lambda tile: tile.program_weights(noise_model="PCM"),
        lambda tile: tile.program_weights(noise_model=rs.PCMLikeNoiseModel),
        lambda tile: tile.program_weights(W),
        lambda tile: tile.program_weights(from_reference=None),
        lambda tile: tile.program_weights(programmed_already=1),
        lambda tile: tile.forward(np.full(IN, np.nan)),
    ],
)
def test_what_is_refused_leaves_programmed_devices_alone(kind, refused):
    tile = made(kind)
    tile.drift_weights(DAY)
    before, weights = tile.state_dict(), tile.get_weights()[0]
    with pytest.raises((ConfigError, DataError, rs.ShapeError, StateError)):
        refused(tile)
    assert tile.is_programmed
    assert_same(tile.state_dict(), before)
    np.testing.assert_array_equal(tile.get_weights()[0], weights)


@KINDS
def test_a_context_programs_and_gives_up_even_after_an_error(kind):
    tile = made(kind)
    with tile.programmed():
        tile.drift_weights(DAY)
        assert tile.is_programmed
        assert not np.array_equal(tile.get_weights()[0], W)
    assert not tile.is_programmed
    other = rs.StateIndependentNoiseModel()
    with pytest.raises(ZeroDivisionError), tile.programmed(other):
        raise ZeroDivisionError
    assert all(part.rpu_config.noise_model == other for part in parts(tile))
    assert not tile.is_programmed
    np.testing.assert_array_equal(tile.get_weights()[0], W)


# ---------------------------------------------------------------- weights and products

MAPPINGS = {
    "plain": ({}, None),
    "digital bias": ({}, B),
    "analog bias": (ANALOG, B),
    "scales": (SCALED, B),
    "learned": ({**SCALED, "learn_out_scaling": True, "out_scaling_columnwise": True}, B),
}
COMPENSATIONS = {
    "none": None,
    "global": rs.GlobalDriftCompensation(),
    "exact": rs.GlobalDriftCompensationWithExactReference(),
    "columns": rs.PerColumnDriftCompensation(),
    "affine": rs.AffineDriftCompensation(),
}


@KINDS
@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("compensation", COMPENSATIONS)
@pytest.mark.parametrize("ranged", [False, True])
def test_products_are_those_of_the_logical_weights(kind, mapping, compensation, ranged):
    options, bias = MAPPINGS[mapping]
    pre_post = {"input_range": {"enable": True, "init_value": 4.0, "init_from_data": 0}}
    tile = made(
        kind,
        bias,
        mapping=options,
        drift_compensation=COMPENSATIONS[compensation],
        pre_post=pre_post if ranged else {},
    )
    for part in parts(tile):
        if part.out_scaling is not None:
            part.out_scaling[:] = np.linspace(0.5, 1.5, part.out_size)
    before = tile.get_weights()
    tile.drift_weights(YEAR)
    w, b = tile.get_weights()
    b = np.zeros(OUT) if b is None else b
    assert np.abs(w - before[0]).max() > 0.01
    target = tile.get_target_weights()
    np.testing.assert_array_equal(target[0], before[0])
    x = np.clip(X, -4.0, 4.0)
    for is_test in (True, False):
        np.testing.assert_allclose(tile.forward(x, is_test), x @ w.T + b, rtol=0, atol=4e-6)
    d = DATA.normal(size=(6, OUT)).astype(np.float32)
    np.testing.assert_allclose(tile.backward(d), d @ w, rtol=0, atol=4e-6)
    np.testing.assert_allclose(tile.transposed(d), d @ w, rtol=0, atol=4e-6)
    if bias is not None:
        np.testing.assert_array_equal(target[1], before[1])
        # only a bias on devices drifts, and is compensated
        assert np.array_equal(b, before[1]) == (mapping != "analog bias")
    if mapping == "plain" and kind == "tile":
        held = tile.get_weights(apply_weight_scaling=False)[0]
        np.testing.assert_allclose(
            w, tile.alpha[:, None] * (held - tile.offset), rtol=8 * FLOAT32, atol=1e-8
        )
        assert (tile.offset != 0.0) == (compensation == "affine")
        assert (len(set(tile.alpha)) > 1) == (compensation == "columns")
        assert (tile.alpha == 1.0).all() == (compensation == "none")


@pytest.mark.parametrize("compensation", ["columns", "affine"])
def test_gradients_are_those_of_the_compensated_product(compensation):
    """Finite differences in steps of powers of two; products of ten terms in float32."""
    options = {**SCALED, "learn_out_scaling": True, "out_scaling_columnwise": True}
    pre_post = {
        "input_range": {
            "enable": True,
            "init_value": 1.0,
            "init_from_data": 0,
            "exact_gradient": True,
            "gradient_relative": False,
            "decay": 0.0,
        }
    }
    tile = made(
        "tile",
        B,
        mapping=options,
        pre_post=pre_post,
        drift_compensation=COMPENSATIONS[compensation],
    )
    tile.drift_weights(YEAR)
    d = DATA.normal(size=(6, OUT)).astype(np.float32)

    def loss(x):
        y = tile.forward(x)
        return float((y.astype(np.float64) * d).sum())

    loss(X)
    found = tile.gradients(d)
    step = 2.0**-7
    inside = np.abs(np.abs(X) - 1.0) > step
    for i, j in np.argwhere(inside):
        up, down = X.copy(), X.copy()
        up[i, j] += step
        down[i, j] -= step
        slope = (loss(up) - loss(down)) / (up[i, j] - down[i, j]).astype(float)
        assert abs(slope - found.input[i, j] * (abs(X[i, j]) < 1.0)) <= 2e-3
    for name, gradient in found.digital.items():
        array = tile.digital_parameters()[name]
        for k in range(array.size):
            kept = array[k]
            array[k] = kept + step
            more = loss(X)
            array[k] = kept - step
            slope = (more - loss(X)) / (2.0 * step)
            array[k] = kept
            # a range moves what it clips in straight lines, but for inputs that it passes
            passed = np.abs(found.input[~inside]).sum() if name == "input_range" else 0.0
            assert abs(slope - gradient[k]) <= 2e-3 + passed, name


def test_an_affine_compensation_takes_a_shift_back():
    """All devices lose 0.089 ln t on average: weights shift, and a factor cannot help."""
    t, size = 10 * YEAR, 200
    w = np.random.default_rng(1).uniform(-0.7, 1.0, (size, size))
    errors = {}
    for name in ("none", "global", "affine"):
        tile = tile_of(w, rs.ReRamCMONoiseModel(), compensation=COMPENSATIONS[name], rng=2)
        tile.program_weights()
        programmed = tile.get_weights()[0].astype(float)
        tile.drift_weights(t)
        errors[name] = (tile.get_weights()[0] - programmed).mean()
        now = host(tile.crossbar.weights).astype(float)
        if name == "affine":
            factor = np.abs(programmed - programmed.mean()).mean() / np.abs(now - now.mean()).mean()
            np.testing.assert_allclose(tile.alpha, factor, rtol=1e-5)
            offset = now.mean() - programmed.mean() / factor
            assert tile.offset == pytest.approx(offset, abs=1e-6)
        elif name == "global":
            np.testing.assert_allclose(
                tile.alpha, np.abs(programmed).mean() / np.abs(now).mean(), rtol=1e-5
            )
    assert errors["none"] < -0.035
    assert abs(errors["affine"]) <= 1e-5  # float32 means of 40 000
    assert abs(errors["global"]) > 0.9 * abs(errors["none"])


def test_moments_of_a_programmed_tile_are_those_of_its_products():
    io = rs.IOParameters(out_noise=0.05, inp_res=0.0, out_res=0.0, bound_management="NONE")
    tile = made("tile", B, forward=io, drift_compensation=COMPENSATIONS["affine"])
    tile.drift_weights(YEAR)
    found = tile.moments(X)
    y = np.array([tile.forward(X, is_test=True) for _ in range(3000)])
    check_mean(y, found.mean, np.sqrt(found.variance), floor=1e-6)
    check_variance(y, found.variance)
    w, b = tile.get_weights()
    np.testing.assert_allclose(found.mean, X @ w.T + b, rtol=0, atol=4e-6)


def test_wires_see_the_programmed_conductances():
    """The naive circuit, with conductances that no converter makes of any weights."""
    wires = ladder_io(ir_drop=30.0)
    tile = made("tile", forward=wires, drift_compensation=None, mapping={"max_input_size": IN})
    tile.drift_weights(YEAR)
    g = tile.get_conductances().astype(np.float64)
    assert (np.minimum(*g) > 0.0).any()  # both devices of a pair conduct
    scale = host(tile.crossbar.devices.params["scale_ratio"])
    np.testing.assert_allclose((g[0] - g[1]) / scale, tile.get_weights()[0], rtol=0, atol=1e-6)
    x = np.round(127.0 * X / np.abs(X).max(axis=1, keepdims=True)) / 127.0
    y = tile.forward(x, is_test=True)
    settings = {name: getattr(value, "name", value) for name, value in vars(wires).items()}
    pairs = [(g[0], g[1], 1.0)], scale
    expected = ladder_product(tile.get_weights()[0], x, settings, pairs, IN)
    off = np.abs(y - expected).max()
    assert off <= 2e-4 * np.abs(expected).max()
    again = ladder_product(tile.get_weights()[0], x, settings, None, IN)  # converted once more
    assert np.abs(y - again).max() > 10.0 * off


# ---------------------------------------------------------------- probes


def test_probes_are_the_vectors_that_they_say():
    kind = rs.GlobalDriftCompensation
    one_hot = np.concatenate(list(kind().probes(5, 1)))
    np.testing.assert_array_equal(one_hot, np.eye(5))
    some = np.concatenate(list(kind(probe_lines=3).probes(5, 1)))
    np.testing.assert_array_equal(some, np.eye(5)[:3])
    many = np.concatenate(list(kind().probes(2500, 1)))  # in blocks
    np.testing.assert_array_equal(many, np.eye(2500))
    assert max(len(block) for block in kind().probes(2500, 1)) < 2500
    np.testing.assert_array_equal(next(kind(probe="ONES").probes(5, 1)), np.ones((1, 5)))
    signs = np.concatenate(list(kind(probe="RANDOM_SIGNS").probes(300, 7)))
    assert signs.shape == (300, 300)
    assert (np.abs(signs) == 1.0).all()
    assert abs(signs.mean()) <= Z / 300
    again = np.concatenate(list(kind(probe="RANDOM_SIGNS").probes(300, 7)))
    np.testing.assert_array_equal(signs, again)


@pytest.mark.parametrize(
    ("options", "value"),
    [
        (dict(), lambda w: np.abs(w).mean()),
        (dict(probe_lines=3), lambda w: np.abs(w[:, :3]).mean()),
        (dict(probe_lines=99), lambda w: np.abs(w).mean()),
        (dict(probe="ONES"), lambda w: np.abs(w.sum(axis=1)).mean()),
        (dict(repeats=3), lambda w: np.abs(w).mean()),
    ],
    ids=str,
)
@pytest.mark.parametrize("bias", [None, B], ids=["no bias", "analog bias"])
def test_factors_are_ratios_of_what_the_probe_reads(options, value, bias):
    """Ranges, scales, learned scales and a digital bias have no part in it."""
    tile = made(
        "tile",
        bias,
        mapping={**SCALED, **ANALOG, "learn_out_scaling": True},
        pre_post={"input_range": {"enable": True, "init_value": 0.1, "init_from_data": 0}},
        drift_compensation=rs.GlobalDriftCompensation(**options),
    )
    tile.program_weights()
    before = host(tile.crossbar.weights).astype(float)
    for t in (YEAR, 1.0):
        tile.drift_weights(t)
        expected = value(before) / value(host(tile.crossbar.weights).astype(float))
        np.testing.assert_allclose(tile.alpha, expected, rtol=16 * FLOAT32)


def test_random_signs_read_what_their_vectors_give():
    tile = made("tile", drift_compensation=rs.GlobalDriftCompensation(probe="RANDOM_SIGNS"))
    tile.program_weights()
    seed = tile._streams.key(Purpose.PROGRAM)[0]
    x = np.concatenate(list(tile.rpu_config.drift_compensation.probes(IN, seed))).astype(float)
    before = np.abs(x @ host(tile.crossbar.weights).T.astype(float)).mean()
    tile.drift_weights(YEAR)
    now = np.abs(x @ host(tile.crossbar.weights).T.astype(float)).mean()
    np.testing.assert_allclose(tile.alpha, before / now, rtol=16 * FLOAT32)


def test_repeats_lessen_what_noise_of_reads_does_to_factors():
    """E|w + s z| grows with s; the mean of n reads has s / sqrt(n)."""
    size, s = 200, 0.1
    w = np.random.default_rng(5).normal(0.0, 0.1, (size, size)).clip(-0.4, 0.4)
    io = rs.IOParameters(out_noise=s, inp_res=0.0, out_res=0.0, out_bound=0.0, inp_bound=0.0,
                         noise_management="NONE", bound_management="NONE")  # fmt: skip
    rng, found = np.random.default_rng(6), {}
    for repeats in (1, 4, 64):
        compensation = rs.GlobalDriftCompensation(repeats=repeats)
        tile = tile_of(w, forward=io, compensation=compensation, rng=7)
        tile.program_weights()
        before = host(tile.crossbar.weights).astype(float)
        tile.drift_weights(YEAR)
        now = host(tile.crossbar.weights).astype(float)
        noise = s / np.sqrt(repeats)
        sides = [np.abs(v + noise * rng.normal(size=(50, *v.shape))).mean() for v in (before, now)]
        found[repeats] = float(tile.alpha[0]), np.abs(before).mean() / np.abs(now).mean()
        error = np.sqrt(2.0) * noise / (size * sides[1]) * np.sqrt(1.0 + 1.0 / 50.0)
        assert abs(tile.alpha[0] / (sides[0] / sides[1]) - 1.0) <= Z * error
    bias = {n: (alpha - ideal) / ideal for n, (alpha, ideal) in found.items()}
    assert bias[1] < -0.25  # under-compensated
    assert bias[1] < bias[4] < bias[64] < 0.0
    assert bias[64] > -0.04


@KINDS
def test_a_probe_is_counted_and_does_not_touch_training(kind):
    tile = made(kind, B, forward=rs.IOParameters(noise_management="AVERAGE_ABS_MAX"))
    reads = tile.stats.reads_forward
    before = [part.get_forward_parameters() for part in parts(tile)]
    tile.drift_weights(DAY)
    expected = 2 * sum(part.crossbar.shape[1] for part in parts(tile))
    assert tile.stats.reads_forward - reads == expected
    for part, had in zip(parts(tile), before, strict=True):
        assert_same(part.get_forward_parameters(), had)
        assert part.last_forward is None


def test_a_compensation_of_ones_own():
    class Largest(rs.inference.BaseDriftCompensation):
        """By the largest result, for each output."""

        def readout(self, y):
            return np.abs(y).max(axis=0)

        def correction(self, now, before):
            return 0.5 * before / now, 0.25

    tile = made("tile", drift_compensation=Largest())
    tile.program_weights()
    before = np.abs(host(tile.crossbar.weights)).max(axis=1)
    tile.drift_weights(YEAR)
    now = np.abs(host(tile.crossbar.weights)).max(axis=1)
    np.testing.assert_allclose(tile.alpha, 0.5 * before / now, rtol=4 * FLOAT32)
    assert tile.offset == 0.25
    np.testing.assert_allclose(tile.forward(X), X @ tile.get_weights()[0].T, **CLOSE)


# ---------------------------------------------------------------- from other tiles


def test_a_trained_tile_becomes_one_for_inference():
    trained = rs.AnalogTile(
        OUT,
        IN,
        rs.RPUConfig(device=rs.SoftBoundsDevice(), mapping=SCALED | {"digital_bias": True}),
        True,
        rng=1,
    )
    trained.set_weights(W, B)
    w, b = trained.get_weights()
    tile = rs.InferenceTile.from_tile(trained, config(), rng=2)
    assert tile.is_programmed
    assert tile.seed == 2
    found = tile.get_weights()
    np.testing.assert_allclose(found[0], w, rtol=0, atol=4 * FLOAT32)
    np.testing.assert_array_equal(found[1], b)
    tile.drift_weights(DAY)
    assert (tile.alpha > 1.3).all()
    apart = rs.InferenceTile.from_tile(trained, config(), in_place=False, rng=2)
    assert not apart.is_programmed
    np.testing.assert_allclose(apart.get_weights()[0], w, rtol=0, atol=4 * FLOAT32)
    with pytest.raises(ConfigError, match="digital_bias must be that of the tile"):
        rs.InferenceTile.from_tile(trained, config(mapping=ANALOG))


@KINDS
def test_tiles_that_are_not_programmed_say_so(kind):
    limits = {"mapping": LIMITS} if kind == "grid" else {}
    make = TileGrid if kind == "grid" else rs.AnalogTile
    tile = make(OUT, IN, rs.RPUConfig(device=rs.ConstantStepDevice(), **limits), rng=1)
    assert not tile.is_programmed
    if kind == "grid":
        for attempt in (
            lambda: tile.alpha,
            lambda: tile.restore(),
            lambda: tile.get_target_weights(),
            lambda: tile.programmed().__enter__(),
        ):
            with pytest.raises(StateError, match="these tiles are not programmed; an InferenceRPU"):
                attempt()
