"""One matrix over many tiles: what one tile would compute, block by block."""

import warnings

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError, DataError, ShapeError, StateError
from rpusim.kernels.backend import get_num_threads, set_num_threads
from rpusim.tiles import TileGrid, build_tile
from rpusim.tiles.grid_layout import split_sizes
from rpusim.tiles.pairs import TileVectors, outer_product
from tests.naive.tolerance import check_mean, check_variance, rounding
from tests.periphery.tiles import QUIET, quiet
from tests.tiles.grids import BATCH, IN, LIMITS, OUT, blocks, config, holding, normal

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")

MODES = ["EXACT", "STRAIGHT_THROUGH", "ANALOG"]


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("size", "cap", "pieces"),
    [
        (1000, 512, [500, 500]),
        (1025, 512, [342, 342, 341]),
        (1030, 512, [344, 343, 343]),
        (7, 3, [3, 2, 2]),
        (7, 0, [7]),
        (3, 3, [3]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_pieces_are_balanced_and_as_few_as_possible(size, cap, pieces):
    assert split_sizes(size, cap) == pieces


def test_a_configuration_gets_a_grid_only_where_a_limit_is_exceeded():
    for caps, kind in [((3, 5), TileGrid), ((7, 4), TileGrid), ((7, 5), rs.AnalogTile)]:
        limits = dict(zip(("max_input_size", "max_output_size"), caps, strict=True))
        assert type(build_tile(OUT, IN, config(limits=limits), rng=1)) is kind
    for caps in [(0, 5), (7, 0), (0, 0)]:  # 0 is no limit, alone or not
        limits = dict(zip(("max_input_size", "max_output_size"), caps, strict=True))
        assert type(build_tile(OUT, IN, config(limits=limits), rng=1)) is rs.AnalogTile
        assert len(TileGrid(OUT, IN, config(limits=limits), rng=1).named_tiles()) == 1
    tile = build_tile(OUT, IN, rs.InferenceRPUConfig(mapping=LIMITS), rng=1).tiles[2][2]
    assert type(tile) is rs.InferenceTile
    tile = build_tile(OUT, IN, rs.FloatingPointRPUConfig(mapping=LIMITS), rng=1).tiles[0][0]
    assert type(tile) is rs.FloatingPointTile


def test_the_line_of_an_analog_bias_counts_as_one_of_a_tile():
    settings = config(limits={"max_input_size": 4, "max_output_size": 0}, digital_bias=False)
    assert type(build_tile(2, 4, settings, rng=1)) is rs.AnalogTile
    grid = build_tile(2, 4, settings, bias=True, rng=1)
    assert [tile.crossbar.shape for tile in grid.named_tiles().values()] == [(2, 3), (2, 2)]
    with pytest.raises(ConfigError, match="max_input_size must be >= 2 for an analog bias"):
        TileGrid(2, 4, config(limits={"max_input_size": 1}, digital_bias=False), bias=True)


def test_utilisation_is_the_fraction_of_devices_in_use():
    assert TileGrid(OUT, IN, config()).utilisation == pytest.approx(35 / (9 * 6))
    unlimited = config(limits={"max_input_size": 4, "max_output_size": 0})
    assert TileGrid(OUT, IN, unlimited).utilisation == pytest.approx(35 / (2 * 4 * 5))


# ---------------------------------------------------------------- the same as one tile


@pytest.mark.parametrize("bias", [None, "digital", "analog"])
@pytest.mark.parametrize("mode", MODES)
def test_an_ideal_grid_is_an_ideal_tile(mode, bias):
    settings = config(mode=mode, digital_bias=bias != "analog")
    grid, tile = (holding(settings, bias is not None, kind) for kind in (TileGrid, rs.AnalogTile))
    x, d = normal(2, 3, IN, seed=1), normal(2, 3, OUT, seed=2)
    close = {"rtol": 0.0, "atol": rounding(IN + 1, np.abs(x).max())}
    np.testing.assert_allclose(grid.forward(x), tile.forward(x), **close)
    np.testing.assert_allclose(grid.backward(d), tile.backward(d), **close)
    ours, theirs = grid.gradients(d), tile.gradients(d)
    np.testing.assert_allclose(ours.input, theirs.input, **close)
    np.testing.assert_allclose(outer_product(*ours.pair), outer_product(*theirs.pair), **close)
    if bias == "digital":
        np.testing.assert_array_equal(ours.bias, theirs.bias)
    for one in (grid, tile):
        one.update(x, d, 0.1)
    for mine, other in zip(grid.get_weights(), tile.get_weights(), strict=True):
        if other is not None:
            np.testing.assert_allclose(mine, other, **close)
    grid.forward(x)
    assert grid.gradients(d, input_grad=False).input is None


def test_a_grid_of_one_tile_draws_as_that_tile_would():
    settings = rs.RPUConfig(device=rs.SoftBoundsDevice())
    grid = TileGrid(OUT, IN, settings, rng=3)
    tile = rs.AnalogTile(OUT, IN, settings, rng=grid.tiles[0][0].seed)
    x, d = normal(BATCH, IN), normal(BATCH, OUT)
    np.testing.assert_array_equal(grid.forward(x), tile.forward(x))
    np.testing.assert_array_equal(grid.backward(d), tile.backward(d))
    for one in (grid, tile):
        one.update(x, d)
    np.testing.assert_array_equal(grid.get_weights()[0], tile.get_weights()[0])


# ---------------------------------------------------------------- each tile by itself


@pytest.mark.parametrize("mode", ["STRAIGHT_THROUGH", "ANALOG"])
def test_errors_pass_where_a_tile_did_not_saturate(mode):
    bound = 0.25
    grid = holding(config(quiet(out_bound=bound), mode), bias=False)
    x, d = normal(BATCH, IN, seed=1), normal(BATCH, OUT, seed=2)
    y, dx, dw = np.zeros((BATCH, OUT)), np.zeros((BATCH, IN)), np.zeros((OUT, IN))
    clipped = 0
    for tile, cols, rows in blocks(grid):
        w = tile.get_weights()[0].astype(float)
        current = x[:, cols] @ w.T
        saturated = np.abs(current) > bound
        clipped += saturated.sum()
        passing = d[:, rows] * (1.0 if mode == "ANALOG" else ~saturated)
        y[:, rows] += np.clip(current, -bound, bound)
        dx[:, cols] += passing @ w
        dw[rows, cols] = passing.T @ x[:, cols]
    close = {"rtol": 0.0, "atol": rounding(IN, 4.0)}
    np.testing.assert_allclose(grid.forward(x), y, **close)
    gradients, before = grid.gradients(d), grid.get_weights()[0]
    assert isinstance(gradients.pair[1], TileVectors) == (mode == "STRAIGHT_THROUGH")
    np.testing.assert_allclose(gradients.input, dx, **close)
    np.testing.assert_allclose(outer_product(*gradients.pair), dw, **close)
    readings = BATCH * OUT * len(grid.tiles)
    assert grid.last_forward.outputs_clipped == pytest.approx(clipped / readings)
    assert 0.1 < clipped / readings < 0.9
    grid.update(*gradients.pair, learning_rate=0.1)
    np.testing.assert_allclose(grid.get_weights()[0], before - 0.1 * dw, **close)


def test_arrays_given_to_update_are_masked_as_their_forward_was():
    settings = config(quiet(out_bound=0.25), "STRAIGHT_THROUGH")
    x, d, other = normal(BATCH, IN, seed=1), normal(BATCH, OUT), normal(BATCH, IN, seed=9)
    other[:, :3] = x[:, :3]  # a block of inputs of another forward may well be the same
    grids = [holding(settings, bias=False) for _ in range(3)]
    for grid in grids:
        grid.forward(x)
    forward = grids[2].last_forward
    grids[0].update(*grids[0].gradients(d).pair)
    grids[1].update(x, d)
    grids[2].forward(other)
    grids[2].update(x, d)  # whose forward is not the last one: nothing is known of clipping
    masked, same, unknown = (grid.get_weights()[0] for grid in grids)
    np.testing.assert_array_equal(masked, same)
    start = holding(settings, bias=False).get_weights()[0]
    close = {"rtol": 0.0, "atol": rounding(BATCH, 1.0)}
    np.testing.assert_allclose(unknown, start - 0.01 * d.T @ x, **close)
    with pytest.raises(StateError, match="x must be the inputs of the forward in `context`"):
        grids[2].update(other, d, context=forward)


def test_each_tile_learns_from_what_its_own_range_lets_pass():
    grid = holding(config(), bias=False)
    x, d, dw = normal(BATCH, IN), normal(BATCH, OUT), np.zeros((OUT, IN))
    for number, (tile, cols, rows) in enumerate(blocks(grid)):
        r = 0.3 + 0.2 * number
        tile.set_input_range(r)
        dw[rows, cols] = d[:, rows].T @ np.clip(x[:, cols], -r, r)
    grid.forward(x)
    pair = grid.gradients(d).pair
    np.testing.assert_allclose(outer_product(*pair), dw, rtol=0.0, atol=rounding(BATCH, 4.0))
    before = grid.get_weights()[0]
    grid.update(*pair, learning_rate=0.1)
    close = {"rtol": 0.0, "atol": rounding(2 * BATCH, 4.0)}
    np.testing.assert_allclose(grid.get_weights()[0], before - 0.1 * dw, **close)
    assert grid.input_range[2, 2] == pytest.approx(1.9)


def test_a_bias_of_few_bits_is_rounded_once_for_the_whole_grid():
    few = rs.PrePostProcessingParameterQuant(
        periph_quant=rs.PeripheryQuantizationParameter(n_bits=4, symmetric=False)
    )
    grid, x = holding(config(pre_post=few)), normal(BATCH, IN)
    w, b = grid.get_weights()
    y = grid.forward(x)
    step = (b.max() - b.min()) / 15
    partial = sum(
        tile.forward(x[:, cols])[:, :1] for tile, cols, rows in blocks(grid) if not rows.start
    )
    found = (y[:, :1] - partial)[:, 0]
    assert 1e-3 < abs(found[0] - b[0]) <= 0.5 * step
    np.testing.assert_allclose(found, found[0], rtol=0.0, atol=rounding(4, 4.0))
    np.testing.assert_allclose(found / step, np.rint(found / step), rtol=0.0, atol=1e-3)
    np.testing.assert_allclose(grid.moments(x).mean, y, rtol=0.0, atol=rounding(IN, 4.0))


def test_every_tile_draws_for_itself():
    for seed in (0, 7):
        device = rs.ConstantStepDevice(construction_seed=seed)
        grid = TileGrid(4, 4, config(device=device, limits=dict.fromkeys(LIMITS, 2)), rng=1)
        tiles = list(grid.named_tiles().values())
        assert len({tile.seed for tile in tiles} | {grid.seed}) == 5
        for name in ("dwmin_up", "max_bound"):
            planes = [tile.get_hidden_parameters()[name].tobytes() for tile in tiles]
            assert len(set(planes)) == 4, (seed, name)
    again = TileGrid(4, 4, grid.rpu_config, rng=99)
    same = again.get_hidden_parameters()["dwmin_up"] == grid.get_hidden_parameters()["dwmin_up"]
    assert same.all()  # of the same construction seed


def test_noise_of_the_partial_sums_adds_up():
    n, sigma = 20000, 0.06
    grid = holding(config(rs.IOParameters(**{**QUIET, "out_noise": sigma, "inp_bound": 0.0})))
    x = normal(1, IN)
    y = grid.forward(np.repeat(x, n, axis=0)).astype(float)
    check_variance(y, 3 * sigma**2)
    w, b = grid.get_weights()
    check_mean(y, x @ w.T + b, np.sqrt(3) * sigma, floor=1e-6)
    correlations = np.corrcoef(y.T)[~np.eye(OUT, dtype=bool)]
    assert np.abs(correlations).max() < 5.0 / np.sqrt(n)


def test_moments_are_those_of_repeated_reads():
    n = 20000
    grid = holding(config(rs.IOParameters(bound_management="NONE", out_bound=1.0)))
    x = normal(1, IN)
    moments, y = grid.moments(x), grid.forward(np.repeat(x, n, axis=0), is_test=True)
    check_mean(y, moments.mean, np.sqrt(moments.variance))
    spread = y.astype(float) - moments.mean
    error = np.sqrt(np.var(spread**2, axis=0) / n)
    assert (np.abs(np.mean(spread**2, axis=0) - moments.variance[0]) <= 5.0 * error).all()


def test_rows_do_not_depend_on_threads_or_on_the_cut_of_a_batch(monkeypatch):
    monkeypatch.setattr("rpusim.kernels.backend.WORTH_A_THREAD", 1)
    x, threads = normal(40, IN), get_num_threads()
    results = []
    try:
        for count, cuts in [(1, [40]), (3, [40]), (1, [7, 1, 32])]:
            set_num_threads(count)
            grid = holding(rs.RPUConfig(mapping=LIMITS))
            parts = np.split(x, np.cumsum(cuts)[:-1])
            results.append(np.concatenate([grid.forward(part) for part in parts]))
    finally:
        set_num_threads(threads)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


# ---------------------------------------------------------------- as a tile


def test_a_grid_is_a_linear_operator():
    grid = holding(config(mode="ANALOG"))
    operator, w = grid.as_linear_operator(), grid.get_weights()[0].astype(float)
    np.testing.assert_allclose(operator @ np.eye(IN), w, rtol=0.0, atol=1e-6)
    np.testing.assert_allclose(operator.T @ np.eye(OUT), w.T, rtol=0.0, atol=1e-6)
    np.testing.assert_allclose(grid @ np.ones(IN), w.sum(axis=1) + grid.bias, rtol=0.0, atol=1e-6)
    assert (grid @ np.ones((IN, 3))).shape == (OUT, 3)


def test_reads_pulses_and_writes_are_summed_over_the_tiles():
    grid = holding(rs.RPUConfig(mapping=LIMITS))
    grid.forward(normal(BATCH, IN))
    grid.backward(normal(BATCH, OUT))
    grid.update(normal(BATCH, IN), normal(BATCH, OUT), 0.05)
    stats, tiles = grid.stats, grid.named_tiles().values()
    assert (stats.reads_forward, stats.reads_backward) == (9 * BATCH, 9 * BATCH)
    assert stats.pulses == sum(tile.stats.pulses for tile in tiles) > 0
    assert stats.last_update.vectors == 9 * BATCH
    lengths = [tile.stats.last_update.mean_length for tile in tiles]
    assert stats.last_update.mean_length == pytest.approx(np.mean(lengths))


def test_diagnostics_are_given_for_each_tile():
    grid = holding(rs.RPUConfig(mapping=LIMITS))
    x = normal(BATCH, IN)
    grid.forward(x)
    largest = [np.abs(x[:, cols]).max(axis=1) for cols in grid.layout.cols]
    last = grid.last_forward
    np.testing.assert_array_equal(last.alpha[:, :, 1], np.stack(largest, axis=1))
    assert last.rounds.shape == last.reduction.shape == (BATCH, 3, 3)
    assert (last.rounds == 1).all()
    assert last.inputs_clipped == last.outputs_clipped == last.wire_current == 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_before_any_tile_has_drawn(value):
    grid = holding(rs.RPUConfig(mapping=LIMITS))
    x, d = normal(BATCH, IN), normal(BATCH, OUT)
    grid.forward(x)
    before = grid.state_dict()
    x[3, -1] = d[3, -1] = value
    for call, where in [
        (lambda: grid.forward(x), "TileGrid.forward: .* in row 3"),
        (lambda: grid.backward(d), "TileGrid.backward: .* in row 3"),
        (lambda: grid.gradients(d), "TileGrid.gradients: .* in row 3"),
        (lambda: grid.update(x, normal(BATCH, OUT)), "x must be finite, .* in row 3"),
        (lambda: grid.set_weights(np.full((OUT, IN), value)), "weights must be finite"),
    ]:
        with pytest.raises(DataError, match=where):
            call()
    after = grid.state_dict()
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_errors_name_the_grid_and_its_sizes():
    grid = TileGrid(OUT, IN, rs.RPUConfig(mapping=LIMITS), rng=1)
    with pytest.raises(ShapeError, match=r"TileGrid\.forward: x must have shape \(\.\.\., 7\)"):
        grid.forward(np.ones((2, 6)))
    with pytest.raises(ShapeError, match=r"as many vectors, got 2 and 3"):
        grid.update(np.ones((2, IN)), np.ones((3, OUT)))
    with pytest.raises(StateError, match="this grid has no bias"):
        grid.set_weights(np.zeros((OUT, IN)), np.zeros(OUT))
    with pytest.raises(StateError, match="context must be a GridContext"):
        grid.backward(np.ones((2, OUT)), grid.tiles[0][0].last_forward or 1)
    assert repr(grid) == f"TileGrid({OUT}, {IN}, {grid.rpu_config!r}, bias=False, rng=1)"


def test_errors_of_another_batch_or_of_older_weights_are_refused():
    grid = holding(config())
    grid.forward(normal(BATCH, IN))
    with pytest.raises(StateError, match="2 errors for a forward of 6 vectors"):
        grid.backward(normal(2, OUT))
    grid.set_weights(np.zeros((OUT, IN)))
    with pytest.raises(StateError, match="the weights have changed since"):
        grid.backward(normal(BATCH, OUT))


def test_no_vectors_give_no_results():
    grid = holding(rs.RPUConfig(mapping=LIMITS))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert grid.forward(np.zeros((0, IN))).shape == (0, OUT)
        assert grid.gradients(np.zeros((0, OUT))).input.shape == (0, IN)
    grid.update(np.zeros((0, IN)), np.zeros((0, OUT)))
