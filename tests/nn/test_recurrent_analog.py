"""Recurrent layers on tiles: exact where the tiles are, one update for a whole sequence."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim

EXACT = rs.FloatingPointRPUConfig()
BOUNDS = {"w_max": 1.0, "w_min": -1.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0}
PULSED = rs.RPUConfig(device=rs.SoftBoundsDevice(dw_min=0.01, **BOUNDS))
CELLS = {
    nn.AnalogVanillaRNNCell: nn.VanillaRNNCell,
    nn.AnalogLSTMCell: nn.LSTMCell,
    nn.AnalogLSTMCellCombinedWeight: nn.LSTMCellCombinedWeight,
    nn.AnalogGRUCell: nn.GRUCell,
}
T, B = 6, 4


def analog(cell=nn.AnalogLSTMCell, config=PULSED, rng=1, **options):
    return nn.AnalogRNN(cell, 3, 5, rpu_config=config, rng=rng, **options)


def sequences(seed=0):
    return np.random.default_rng(seed).normal(size=(T, B, 3)).astype(np.float32)


def learn(model, steps, seed, lr=0.1):
    optimizer, rng = optim.AnalogSGD(model.parameters(), lr=lr), np.random.default_rng(seed)
    for _ in range(steps):
        y, states = model(rng.normal(size=(T, B, 3)), None)
        model.backward(y - 0.5)
        optimizer.step()


def same_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("stepwise", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_on_exact_tiles_all_is_that_of_the_digital_layers(cell, stepwise):
    options = {"num_layers": 2, "bidir": True, "stepwise": stepwise}
    ours = analog(cell, EXACT, **options)
    theirs = nn.RNN(CELLS[cell], 3, 5, rng=1, **options)
    x, rng = sequences(), np.random.default_rng(1)
    d = rng.normal(size=(T, B, 10)).astype(np.float32)
    close = {"rtol": 1e-4, "atol": 1e-5}
    _, start = theirs.eval()(x)
    theirs.train()
    for _ in range(2):
        (y, states), (expected, _) = ours(x, start), theirs(x, start)
        np.testing.assert_allclose(y, expected, **close)
        dx = ours.backward(d, grad_state=states)
        np.testing.assert_allclose(dx, theirs.backward(d, grad_state=states), **close)
        for a, b in zip(np.ravel(ours.state_grad), np.ravel(theirs.state_grad), strict=True):
            np.testing.assert_allclose(a, b, **close)
        for model in (ours, theirs):
            optim.AnalogSGD(model.parameters(), lr=0.1).step()
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(a, b, **close)


@pytest.mark.parametrize("stepwise", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_tile_applies_the_pairs_of_all_steps_once_in_the_order_asked_for(
    cell, stepwise, monkeypatch
):
    model, x, updates = analog(cell, EXACT, stepwise=stepwise), sequences(), []
    for tile in model.analog_tiles():
        update = tile.update
        monkeypatch.setattr(
            tile, "update", lambda x, d, u=update, **k: (updates.append((x, d)), u(x, d, **k))
        )
    y, _ = model(x)
    optimizer = optim.AnalogSGD(model.parameters(), lr=0.1)
    model.backward(np.ones_like(y))
    optimizer.step()
    before = np.concatenate([np.zeros((1, B, 5)), y[:-1]])
    if cell is nn.AnalogLSTMCellCombinedWeight:
        inputs = [np.concatenate([x, before], axis=2)]
    else:
        inputs = [x, before]
    assert len(updates) == len(inputs)
    for (ours, errors), expected in zip(updates, inputs, strict=True):
        order = slice(None, None, -1 if stepwise else 1)
        np.testing.assert_array_equal(ours, expected[order].reshape(T * B, -1))
        assert errors.shape[0] == T * B
    with pytest.raises(rs.errors.StateError, match="no gradient was recorded"):
        optimizer.step()


def test_pairs_of_an_earlier_backward_stay_before_those_of_a_later_one():
    model, (a, b) = analog(config=EXACT), (sequences(1), sequences(2))
    for x in (a, b):
        y, _ = model(x)
        model.backward(y)
    for part in ("ih", "hh"):
        pairs = getattr(model.cells["l0"], part).weight.pairs
        assert len(pairs) == 2
        rows = np.concatenate([x for x, _ in pairs])
        assert len(rows) == 2 * T * B
        if part == "ih":
            np.testing.assert_array_equal(rows, np.concatenate([a, b]).reshape(-1, 3))
        else:
            assert not rows[:B].any()
            assert not rows[T * B : (T + 1) * B].any()


@pytest.mark.parametrize("cell", CELLS)
def test_products_of_all_steps_at_once_draw_what_single_ones_do(cell):
    at_once, by_step = analog(cell), analog(cell, stepwise=True)
    x = sequences()
    np.testing.assert_array_equal(at_once(x)[0], by_step(x)[0])
    reads = [[tile.stats.reads_forward for tile in m.analog_tiles()] for m in (at_once, by_step)]
    assert reads[0] == reads[1] == [T * B] * len(reads[0])


def test_noise_differs_from_step_to_step():
    forward = rs.IOParameters(out_noise=0.1, out_res=-1.0)
    noisy = rs.RPUConfig(forward=forward, device=PULSED.device)
    model = analog(nn.AnalogVanillaRNNCell, noisy).eval()
    model.cells["l0"].hh.set_weights(np.zeros((5, 5)), np.zeros(5))
    y, _ = model(np.ones((T, B, 3)))
    assert len(np.unique(y[..., 0])) == T * B


@pytest.mark.parametrize("cell", [nn.AnalogLSTMCell, nn.AnalogGRUCell])
def test_a_restored_model_continues_bit_for_bit(cell, tmp_path):
    options = {"num_layers": 2, "bidir": True, "dropout": 0.3}
    first, other = analog(cell, **options), analog(cell, rng=50, **options)
    learn(first, 3, seed=0)
    rs.save(tmp_path / "model.npz", first)
    rs.load(tmp_path / "model.npz", into=other)
    for model in (first, other):
        learn(model, 3, seed=1)
    same_state(first, other)
    again = analog(cell, **options)
    learn(again, 3, seed=0)
    learn(again, 3, seed=1)
    same_state(first, again)


def test_pulsed_training_moves_all_weights_and_lowers_the_loss():
    model, x = analog(nn.AnalogGRUCell), sequences()
    optimizer, losses = optim.AnalogSGD(model.parameters(), lr=0.2), []
    start = [np.array(layer.weight) for layer in model.analog_layers()]
    for _ in range(150):
        y, _ = model(x)
        loss, grad = nn.mse(y, np.tanh(np.cumsum(x, axis=0))[..., :1] * np.ones(5))
        model.backward(grad * len(x), input_grad=False)
        optimizer.step()
        losses.append(loss)
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:5])
    for layer, before in zip(model.analog_layers(), start, strict=True):
        assert (np.asarray(layer.weight) != before).mean() > 0.9


def test_tiles_are_those_of_a_module():
    model = nn.Sequential(analog(num_layers=2), nn.LastStep(), nn.AnalogLinear(5, 2, rng=0))
    names = [f"0.cells.{cell}.{part}.tile" for cell in ("l0", "l1") for part in ("ih", "hh")]
    assert [name for name, _ in model.named_tiles()] == [*names, "2.tile"]
    assert len(model.analog_layers()) == 5
    assert model.analog_layers()[2].shapes() == "5 -> 20"
    assert "0.cells.l1.hh  AnalogLinear  5 -> 20  SoftBoundsDevice" in model.summary()
    assert any(name.startswith("0.cells.l0.ih.tile.") for name in model.state_dict())


def test_a_frozen_cell_stays_and_lets_gradients_pass():
    model = analog(num_layers=2)
    model.cells["l1"].freeze()
    before = [np.array(layer.weight) for layer in model.analog_layers()]
    learn(model, 2, seed=0)
    moved = [
        not np.array_equal(layer.weight, w)
        for layer, w in zip(model.analog_layers(), before, strict=True)
    ]
    assert moved == [True, True, False, False]


@pytest.mark.parametrize("cell", CELLS)
def test_devices_are_programmed_and_drift(cell):
    config, x = rs.InferenceRPUConfig(forward=rs.IOParameters(is_perfect=True)), sequences()
    model = analog(cell, config).eval()
    trained = model(x)[0]
    with nn.programmed(model):
        model.drift_analog_weights(3600.0)
        assert all(tile.is_programmed for tile in model.analog_tiles())
        drifted = model(x)[0]
    assert 0.0 < np.abs(drifted - trained).max() < 0.5
    np.testing.assert_array_equal(model(x)[0], trained)


def test_large_matrices_are_on_grids():
    limits = rs.MappingParameter(max_input_size=3, max_output_size=8)
    config = EXACT.replace(mapping=limits)
    model, theirs = analog(nn.AnalogGRUCell, config), nn.RNN(nn.GRUCell, 3, 5, rng=1)
    x = sequences()
    assert len(model.analog_tiles()) > 2
    for one in (model, theirs):
        y, _ = one(x)
        one.backward(y)
        optim.AnalogSGD(one.parameters(), lr=0.1).step()
    np.testing.assert_allclose(model.eval()(x)[0], theirs.eval()(x)[0], rtol=1e-4, atol=1e-5)


def test_evaluation_keeps_nothing():
    model = analog(num_layers=2).eval()
    model(sequences())
    assert not any(module._kept for _, module in model.named_modules())


def test_initial_values_beyond_the_devices_are_counted_once():
    device = rs.SoftBoundsDevice(dw_min=0.01, **{**BOUNDS, "w_max": 0.1, "w_min": -0.1})
    with pytest.warns(rs.errors.ClippedWeightsWarning) as told:
        model = nn.AnalogRNN(nn.AnalogVanillaRNNCell, 1, 4, rpu_config=device, rng=0)
    drawn = nn.RNN(nn.VanillaRNNCell, 1, 4, rng=0).cells["l0"]
    beyond = [int((np.abs(m.weight.data) > 0.1).sum()) for m in (drawn.ih, drawn.hh)]
    assert [tile.stats.weights_clipped for tile in model.analog_tiles()] == beyond
    assert len(told) == 2
    for ours, theirs in zip(model.analog_layers(), (drawn.ih, drawn.hh), strict=True):
        np.testing.assert_allclose(ours.weight, np.clip(theirs.weight, -0.1, 0.1), rtol=1e-6)


def test_without_a_configuration_the_tiles_are_analog_all_the_same():
    for cell in CELLS:
        model = nn.AnalogRNN(cell, 3, 50, rng=0)
        assert len(model.analog_tiles()) == len(model.cells["l0"].children())


@pytest.mark.parametrize("config", [EXACT, PULSED], ids=["exact", "pulsed"])
def test_what_is_not_finite_is_refused_and_leaves_nothing_behind(config):
    model, x = analog(config=config), sequences()
    x[3, 1, 1] = np.nan
    with pytest.raises(rs.errors.DataError, match=r"AnalogRNN\.forward: x must be finite"):
        model(x)
    assert not any(module._kept for _, module in model.named_modules())
