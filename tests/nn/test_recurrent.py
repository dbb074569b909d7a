"""Recurrent layers with digital cells against loops in float64, and what they refuse."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from tests.naive.recurrent import STATES, network

CELLS = {
    "vanilla": nn.VanillaRNNCell,
    "lstm": nn.LSTMCell,
    "combined": nn.LSTMCellCombinedWeight,
    "gru": nn.GRUCell,
}
T, B, INPUT, HIDDEN = 3, 2, 2, 3


def flat(states, directions):
    """List the states of all cells, each a list of arrays."""
    cells = [way for layer in states for way in layer] if directions == 2 else states
    return [list(cell) if isinstance(cell, tuple) else [cell] for cell in cells]


def shaped(parts, kind, directions):
    """Turn such a list into what a layer takes."""
    cells = [tuple(cell) if STATES[kind] == 2 else cell[0] for cell in parts]
    return [cells[i : i + 2] for i in range(0, len(cells), 2)] if directions == 2 else cells


def matrices(model):
    """List the matrices of all cells in double precision."""
    double = lambda a: None if a is None else a.astype(np.float64)  # noqa: E731
    return [
        [tuple(map(double, layer.get_weights())) for layer in cell.children()]
        for cell in model.cells.values()
    ]


def slope(f, array, places, eps=1e-5):
    """Return central differences of f at some places of an array that it looks at."""
    found = []
    for place in places:
        here = array[place]
        array[place] = here + eps
        above = f()
        array[place] = here - eps
        found.append((above - f()) / (2 * eps))
        array[place] = here
    return np.array(found)


@pytest.mark.parametrize("stepwise", [False, True])
@pytest.mark.parametrize(("layers", "directions"), [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", CELLS)
def test_outputs_and_gradients_are_those_of_the_equations(kind, bias, layers, directions, stepwise):
    rng = np.random.default_rng(1)
    model = nn.RNN(
        CELLS[kind],
        INPUT,
        HIDDEN,
        bias,
        num_layers=layers,
        bidir=directions == 2,
        stepwise=stepwise,
        rng=2,
    )
    x, count = rng.normal(size=(T, B, INPUT)), layers * directions
    start = [[rng.normal(size=(B, HIDDEN)) for _ in range(STATES[kind])] for _ in range(count)]
    d = rng.normal(size=(T, B, HIDDEN * directions))
    d_state = [[rng.normal(size=(B, HIDDEN)) for _ in range(STATES[kind])] for _ in range(count)]
    cells = matrices(model)

    def loss():
        y, finals = network(kind, x, cells, start, layers, directions)
        pairs = zip(sum(finals, []), sum(d_state, []), strict=True)
        return (y * d).sum() + sum((a * b).sum() for a, b in pairs)

    y, finals = model(x, shaped(start, kind, directions))
    expected, states = network(kind, x, cells, start, layers, directions)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(flat(finals, directions), states, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)

    dx = model.backward(d, grad_state=shaped(d_state, kind, directions))
    looked_at = [(dx, x)]
    for ours, theirs in zip(flat(model.state_grad, directions), start, strict=True):
        looked_at += zip(ours, theirs, strict=True)
    for cell, pairs in zip(model.cells.values(), cells, strict=True):
        for layer, (w, b) in zip(cell.children(), pairs, strict=True):
            looked_at.append((layer.weight.grad, w))
            if bias:
                looked_at.append((layer.bias.grad, b))
    for ours, array in looked_at:
        every = list(np.ndindex(array.shape))
        places = [every[i] for i in rng.permutation(len(every))[:3]]
        found = slope(loss, array, places)
        mine = np.array([ours[place] for place in places])
        np.testing.assert_allclose(mine, found, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", CELLS)
def test_one_cell_makes_the_steps_of_a_layer(kind):
    rng = np.random.default_rng(0)
    layer = nn.RNN(CELLS[kind], INPUT, HIDDEN, rng=1)
    cell, x, d = layer.cells["l0"], rng.normal(size=(2, B, INPUT)), rng.normal(size=(B, HIDDEN))
    start = [[rng.normal(size=(B, HIDDEN)).astype("f4") for _ in range(STATES[kind])]]
    y, _ = layer(x, shaped(start, kind, 1))
    expected = layer.backward(np.stack([d, d]))
    (state,) = shaped(start, kind, 1)
    for t in range(2):
        h, state = cell(x[t], state)
        np.testing.assert_allclose(h, y[t], rtol=1e-6)
    later = cell.backward(d)
    earlier = cell.backward(d, grad_state=cell.state_grad)
    np.testing.assert_allclose(np.stack([earlier, later]), expected, rtol=1e-4, atol=1e-6)
    both = flat([cell.state_grad], 1)[0], flat(layer.state_grad, 1)[0]
    np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", CELLS)
def test_axes_may_come_in_another_order_or_be_left_out(kind):
    rng = np.random.default_rng(0)
    x, d = rng.normal(size=(T, B, INPUT)), rng.normal(size=(T, B, HIDDEN))
    make = lambda **more: nn.RNN(CELLS[kind], INPUT, HIDDEN, rng=1, **more)  # noqa: E731
    model, swapped = make(), make(batch_first=True)
    y, states = model(x, shaped([[d[0]] * STATES[kind]], kind, 1))
    dx = model.backward(d)
    turned, same = swapped(np.swapaxes(x, 0, 1), shaped([[d[0]] * STATES[kind]], kind, 1))
    np.testing.assert_array_equal(np.swapaxes(turned, 0, 1), y)
    np.testing.assert_array_equal(np.swapaxes(swapped.backward(np.swapaxes(d, 0, 1)), 0, 1), dx)
    np.testing.assert_array_equal(flat(same, 1)[0], flat(states, 1)[0])
    for model in (make(), make(batch_first=True)):
        single, after = model(x[:, 0], shaped([[d[0, 0]] * STATES[kind]], kind, 1))
        np.testing.assert_allclose(single, y[:, 0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            flat(after, 1)[0], [part[0] for part in flat(states, 1)[0]], rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(model.backward(d[:, 0]), dx[:, 0], rtol=1e-4, atol=1e-6)
        assert flat(model.state_grad, 1)[0][0].shape == (HIDDEN,)


def test_a_sequence_in_two_parts_is_the_whole_sequence():
    rng = np.random.default_rng(0)
    model = nn.RNN(nn.LSTMCell, INPUT, HIDDEN, num_layers=2, rng=1)
    x, d = rng.normal(size=(6, B, INPUT)), rng.normal(size=(6, B, HIDDEN))
    y, _ = model(x)
    dx = model.backward(d)
    grad = model.cells["l0"].hh.weight.grad
    model.cells["l0"].hh.weight.grad = None
    first, states = model(x[:4])
    second, _ = model(x[4:], states)
    np.testing.assert_allclose(np.concatenate([first, second]), y, rtol=1e-5, atol=1e-6)
    late = model.backward(d[4:])
    early = model.backward(d[:4], grad_state=model.state_grad)
    np.testing.assert_allclose(np.concatenate([early, late]), dx, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.cells["l0"].hh.weight.grad, grad, rtol=1e-4, atol=1e-6)


def test_initial_values_lie_within_one_over_the_root_of_the_hidden_size():
    layer = nn.RNN(nn.LSTMCell, 3, 100, rng=1).cells["l0"]
    for matrix in (layer.ih, layer.hh):
        for values in (matrix.weight.data, matrix.bias.data):
            assert np.abs(values).max() <= 0.1
            assert values.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.15)


def test_xaviers_values_lie_within_his_bound_and_biases_are_zero():
    for cell, model in ((nn.GRUCell, nn.RNN), (nn.AnalogGRUCell, nn.AnalogRNN)):
        options = {"rpu_config": rs.FloatingPointRPUConfig()} if model is nn.AnalogRNN else {}
        layer = model(cell, 20, 40, xavier=True, rng=1, **options).cells["l0"]
        for matrix, inputs in ((layer.ih, 20), (layer.hh, 40)):
            bound = np.sqrt(6 / (inputs + 120))
            assert 0.95 * bound < np.abs(matrix.weight.data).max() <= bound
            assert not matrix.bias.data.any()


def test_cells_and_layers_have_seeds_of_their_own():
    model = nn.RNN(nn.VanillaRNNCell, 3, 3, num_layers=2, bidir=True, rng=5)
    weights = [cell.hh.weight.data for cell in model.cells.values()]
    weights.append(model.cells["l0"].ih.weight.data)
    assert len({w.tobytes() for w in weights}) == 5
    again = nn.RNN(nn.VanillaRNNCell, 3, 3, num_layers=2, bidir=True, rng=model.seed)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], array)


def test_dropout_between_layers_masks_alike_there_and_back():
    rng = np.random.default_rng(0)
    model = nn.RNN(nn.VanillaRNNCell, 4, 50, num_layers=2, dropout=0.4, rng=1)
    x, seen = rng.normal(size=(20, 5, 4)), []
    inner = model.cells["l1"].unroll
    model.cells["l1"].unroll = lambda y, s: (seen.append(y), inner(y, s))[1]
    model(x)
    dropped = seen[0] == 0.0
    assert dropped.mean() == pytest.approx(0.4, abs=5 * np.sqrt(0.24 / dropped.size))
    y0, _, _ = model.cells["l0"].unroll(x.astype("f4"), (np.zeros((5, 50), "f4"),))
    np.testing.assert_allclose(seen[0][~dropped], y0[~dropped] / 0.6, rtol=1e-5)
    model.cells["l0"].drop(20)
    back = {}
    outer = model.cells["l0"].unroll_back
    model.cells["l0"].unroll_back = lambda d, *rest: (back.update(d=d), outer(d, *rest))[1]
    model.backward(np.ones((20, 5, 50)))
    assert not back["d"][dropped].any()
    assert back["d"][~dropped].all()
    model.eval()(x)
    assert (seen[1] != 0.0).all()


def test_dropout_draws_anew_and_a_restored_model_draws_on():
    make = lambda seed: nn.RNN(nn.GRUCell, 2, 8, num_layers=3, dropout=0.5, rng=seed)  # noqa: E731
    model, other, x = make(1), make(2), np.ones((4, 3, 2))
    first, second = model(x)[0], model(x)[0]
    assert not np.array_equal(first, second)
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(model(x)[0], other(x)[0])
    np.testing.assert_array_equal(make(1)(x)[0], first)


def test_in_a_chain_a_module_takes_the_output():
    rng = np.random.default_rng(0)
    x, d = rng.normal(size=(5, T, INPUT)), rng.normal(size=(5, 2))
    rnn = nn.RNN(nn.GRUCell, 4, HIDDEN, batch_first=True, rng=2)
    model = nn.Sequential(
        nn.Linear(INPUT, 4, rng=1),
        nn.RNN(nn.LSTMCell, 4, 4, batch_first=True, bidir=False, rng=4),
        nn.AllSteps(),
        rnn,
        nn.LastStep(batch_first=True),
        nn.Linear(HIDDEN, 2, rng=3),
    )
    y = model(x)
    dx = model.backward(d, input_grad=True)
    assert y.shape == (5, 2)
    h = model[1](model[0](x))[0]
    last = rnn(h)[0][:, -1]
    np.testing.assert_array_equal(y, model[5](last))
    back = np.zeros((5, T, HIDDEN), np.float32)
    back[:, -1] = model[5].backward(d)
    expected = model[0].backward(model[1].backward(rnn.backward(back)))
    np.testing.assert_array_equal(dx, expected)
    assert nn.LastStep()(nn.RNN(nn.GRUCell, 2, 3, rng=0)(np.ones((4, 2)))).shape == (3,)
    model(x)
    model.forget()
    with pytest.raises(rs.errors.StateError):
        model.backward(d)


def test_a_chain_with_a_recurrent_layer_learns():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.RNN(nn.LSTMCell, 1, 8, rng=1), nn.LastStep(), nn.Linear(8, 2, rng=2))
    optimizer, losses = optim.AnalogSGD(model.parameters(), lr=0.5), []
    for _ in range(300):
        x = rng.choice([-1.0, 1.0], size=(4, 20, 1))
        loss, grad = nn.cross_entropy(model(x), (x[0, :, 0] > 0).astype(int))
        model.backward(grad)
        optimizer.step()
        losses.append(loss)
    assert np.mean(losses[-20:]) < 0.1 < 0.5 < np.mean(losses[:10])


def test_evaluation_keeps_nothing_and_forgetting_drops_all():
    model = nn.RNN(nn.LSTMCell, 2, 3, num_layers=2, dropout=0.5, rng=1)
    kept = lambda: sum(len(m._kept) for _, m in model.named_modules())  # noqa: E731
    model.eval()(np.ones((4, 2, 2)))
    model.cells["l0"](np.ones((2, 2)))
    assert kept() == 0
    model.train()(np.ones((4, 2, 2)))
    assert kept() == 1 + 2 * (1 + 4) + 1
    model.forget()
    assert kept() == 0
    model.cells["l0"](np.ones((2, 2)))
    model.cells["l0"].forget()
    assert kept() == 0
    with pytest.raises(rs.errors.StateError, match=r"RNN\.backward must follow a forward"):
        model.backward(np.ones((4, 2, 3)))


def lstm(**options):
    return nn.RNN(nn.LSTMCell, 2, 3, num_layers=2, rng=0, **options)


H = np.zeros((5, 3))


@pytest.mark.parametrize(
    ("model", "state", "message"),
    [
        (lstm(), H, r"state must be a list with one entry per layer, of 2 entries, got ndarray"),
        (lstm(), [(H, H)], r"state must be a list with one entry per layer, of 2 entries, got 1\."),
        (lstm(), [H, H], r"state\[0\] must be a tuple \(h, c\), of 2 arrays, got ndarray of shape"),
        (lstm(), [(H, H), (H,)], r"state\[1\] must be a tuple \(h, c\), of 2 arrays, got 1\."),
        (lstm(), [(H, H[1:])] * 2, r"state\[0\], c, must have shape \(5, 3\), got \(4, 3\)"),
        (lstm(bidir=True), [(H, H)] * 2, r"state\[0\]\[0\] must be a tuple \(h, c\)"),
        (lstm(bidir=True), [[(H, H)]] * 2, r"state\[0\] must be a list of two, .*, got 1\."),
    ],
)
def test_initial_states_of_another_form_are_refused(model, state, message):
    with pytest.raises(rs.errors.ShapeError, match=message):
        model(np.zeros((4, 5, 2)), state)


def test_a_missing_state_is_zero():
    model = lstm()
    x = np.ones((4, 5, 2))
    np.testing.assert_array_equal(model(x, [None, (H, H)])[0], model(x)[0])
    model.backward(np.ones((4, 5, 3)), grad_state=[None, None])
    assert model.state_grad is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value):
    model, x = nn.RNN(nn.GRUCell, 2, 3, rng=0), np.ones((4, 5, 2))
    bad = x.copy()
    bad[1, 2, 0] = value
    with pytest.raises(rs.errors.DataError, match=r"RNN\.forward: x must be finite"):
        model(bad)
    with pytest.raises(rs.errors.DataError, match=r"state\[0\] must be finite"):
        model(x, [np.full((5, 3), value)])
    with pytest.raises(rs.errors.DataError, match=r"GRUCell\.forward: x must be finite"):
        model.cells["l0"](bad[1])
    model(x)
    with pytest.raises(rs.errors.DataError, match=r"RNN\.backward: grad must be finite"):
        model.backward(np.full((4, 5, 3), value))
    assert model.backward(np.ones((4, 5, 3))).shape == x.shape  # the walk is still there
    cell = model.cells["l0"]
    cell(x[0])
    with pytest.raises(rs.errors.DataError, match=r"GRUCell\.backward: grad must be finite"):
        cell.backward(np.full((5, 3), value))
    assert cell.backward(np.ones((5, 3))).shape == (5, 2)


def test_shapes_that_do_not_fit_are_refused():
    model = nn.RNN(nn.GRUCell, 2, 3, rng=0)
    for shape in [(2,), (4, 5, 3), (1, 4, 5, 2), (0, 5, 2), (4, 0, 2)]:
        with pytest.raises(rs.errors.ShapeError, match=r"x must have shape \(time, batch, 2\)"):
            model(np.zeros(shape))
    with pytest.raises(rs.errors.ShapeError, match=r"GRUCell\.forward: x must have shape"):
        model.cells["l0"](np.zeros((4, 5, 2)))
    model(np.zeros((4, 5, 2)))
    with pytest.raises(rs.errors.ShapeError, match=r"grad must have the shape of the output"):
        model.backward(np.zeros((4, 5, 2)))
    with pytest.raises(rs.errors.ShapeError, match=r"must be what a recurrent layer returns"):
        nn.LastStep()(np.zeros((4, 5, 2)))


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(rs.ConfigError, match=r"RNN\.cell must be .* for analog cells AnalogRNN"):
        nn.RNN(nn.AnalogLSTMCell, 2, 3)
    with pytest.raises(rs.ConfigError, match=r"AnalogRNN\.cell must be .*, got LSTMCell; .* RNN"):
        nn.AnalogRNN(nn.LSTMCell, 2, 3)
    with pytest.raises(rs.ConfigError, match=r"RNN\.hidden_size must be an integer >= 1"):
        nn.RNN(nn.LSTMCell, 2, 0)
    with pytest.raises(rs.ConfigError, match=r"RNN\.num_layers"):
        nn.RNN(nn.LSTMCell, 2, 3, num_layers=0)
    with pytest.raises(rs.ConfigError, match=r"RNN\.dropout must be at least 0 and below 1"):
        nn.RNN(nn.LSTMCell, 2, 3, num_layers=2, dropout=1.0)
    with pytest.warns(UserWarning, match="dropout acts between layers"):
        nn.RNN(nn.LSTMCell, 2, 3, dropout=0.5)


@pytest.mark.parametrize("name", ["bias", "xavier", "bidir", "batch_first", "stepwise"])
@pytest.mark.parametrize(("kind", "cell"), [(nn.RNN, nn.GRUCell), (nn.AnalogRNN, nn.AnalogGRUCell)])
@pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")
def test_flags_are_true_or_false(kind, cell, name):
    must = rf"\.{name} must be True or False, got "
    for value in (None, "no", 2, np.ones(2)):
        with pytest.raises(rs.ConfigError, match=f"^{kind.__name__}{must}"):
            kind(cell, 2, 3, **{name: value})
        if name in ("bias", "xavier"):
            with pytest.raises(rs.ConfigError, match=f"^{cell.__name__}{must}"):
                cell(2, 3, **{name: value})
    with pytest.raises(rs.ConfigError, match=r"LastStep\.batch_first must be True or False, got 2"):
        nn.LastStep(2)
    kind(cell, 2, 3, **{name: np.True_})
