"""Recurrent cells and layers: gradients as torch's, states, shapes, refusals."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')

import rpusim as rs  # noqa: E402
from rpusim.errors import ConfigError, DataError, ShapeError  # noqa: E402
from rpusim.torch import (  # noqa: E402
    AnalogGRUCell,
    AnalogLSTMCell,
    AnalogLSTMCellCombinedWeight,
    AnalogOptimizer,
    AnalogRNN,
    AnalogVanillaRNNCell,
)

IDEAL = rs.FloatingPointRPUConfig()
PULSED = rs.RPUConfig(device=rs.SoftBoundsDevice())
DIGITAL = {
    AnalogVanillaRNNCell: torch.nn.RNN,
    AnalogLSTMCell: torch.nn.LSTM,
    AnalogGRUCell: torch.nn.GRU,
}
CELLS = [*DIGITAL, AnalogLSTMCellCombinedWeight]
TOLERANCE = 1e-5  # sums of some twenty products of size 1 in float32, over seven steps


def sequence(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).requires_grad_()


def digital_of(layer, cell):
    """Return torch's own layer with the same weights."""
    made = DIGITAL[cell](3, 4, layer.num_layers, bidirectional=layer.bidir)
    with torch.no_grad():
        for name, own in layer.cells.items():
            for part in ("ih", "hh"):
                matrix = getattr(own, part)
                getattr(made, f"weight_{part}_{name}").copy_(matrix.weight)
                getattr(made, f"bias_{part}_{name}").copy_(matrix.bias)
    return made


@pytest.mark.parametrize("bidir", [False, True])
@pytest.mark.parametrize("cell", DIGITAL)
def test_outputs_and_gradients_of_ideal_tiles_are_those_of_torch(cell, bidir):
    layer = AnalogRNN(cell, 3, 4, rpu_config=IDEAL, num_layers=2, bidir=bidir, rng=0)
    digital, x = digital_of(layer, cell), sequence(7, 2, 3)
    other = x.detach().clone().requires_grad_()
    y, z = layer(x)[0], digital(other)[0]
    y.square().sum().backward()
    z.square().sum().backward()
    assert torch.allclose(y, z, atol=TOLERANCE)
    assert torch.allclose(x.grad, other.grad, atol=10 * TOLERANCE)
    for name, own in layer.cells.items():
        grad = getattr(digital, f"weight_hh_{name}").grad
        assert torch.allclose(own.hh.weight.grad, grad, atol=10 * TOLERANCE)
        grad = getattr(digital, f"bias_ih_{name}").grad
        assert torch.allclose(own.ih.bias.grad, grad, atol=10 * TOLERANCE)


def test_gradients_reach_initial_states_and_come_from_final_ones():
    layer = AnalogRNN(AnalogLSTMCell, 3, 4, rpu_config=IDEAL, rng=0)
    digital, x = digital_of(layer, AnalogLSTMCell), sequence(5, 2, 3)
    starts = [[sequence(2, 4), sequence(2, 4)] for _ in range(2)]
    _, [(h, c)] = layer(x, [tuple(starts[0])])
    (h.sum() + 2.0 * c.sum()).backward()
    _, (h, c) = digital(x.detach(), tuple(s[None] for s in starts[1]))
    (h.sum() + 2.0 * c.sum()).backward()
    for one, other in zip(*starts, strict=True):
        assert torch.allclose(one.grad, other.grad, atol=TOLERANCE)


@pytest.mark.parametrize("cell", CELLS)
def test_cells_in_a_loop_are_the_layer(cell):
    layer = AnalogRNN(cell, 3, 4, rpu_config=IDEAL, rng=0)
    x, state, outputs = sequence(6, 2, 3), None, []
    for step in x:
        h, state = layer.cells["l0"](step, state)
        outputs.append(h)
    assert torch.allclose(torch.stack(outputs), layer(x)[0], atol=TOLERANCE)
    torch.stack(outputs).sum().backward()
    looped, x.grad = x.grad, None
    layer(x)[0].sum().backward()
    assert torch.allclose(looped, x.grad, atol=TOLERANCE)


def test_two_forwards_can_be_gone_back_in_any_order():
    layer = AnalogRNN(AnalogGRUCell, 3, 4, rpu_config=IDEAL, rng=0)
    a, b = sequence(6, 2, 3), sequence(3, 1, 3)
    first, second = layer(a)[0], layer(b)[0]
    first.sum().backward()
    second.sum().backward()
    together = [a.grad.clone(), b.grad.clone()]
    for x, grad in zip((a, b), together, strict=True):
        x.grad = None
        layer(x)[0].sum().backward()
        assert torch.equal(x.grad, grad)


def test_a_retained_walk_can_be_gone_back_twice():
    layer = AnalogRNN(AnalogLSTMCell, 3, 4, rpu_config=PULSED, rng=0)
    loss = layer(sequence(6, 2, 3))[0].sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert [len(own.ih.core.weight.pairs) for own in layer.cells.values()] == [2]


def test_pulsed_layers_learn_and_frozen_ones_do_not():
    layer = AnalogRNN(AnalogLSTMCell, 3, 4, rpu_config=PULSED, num_layers=2, rng=0)
    layer.cells["l1"].requires_grad_(False)
    optimizer = AnalogOptimizer(torch.optim.SGD(layer.parameters(), lr=0.5))
    before = {name: own.hh.get_weights()[0] for name, own in layer.cells.items()}
    layer(sequence(7, 2, 3))[0].square().sum().backward()
    optimizer.step()
    same = [torch.equal(own.hh.get_weights()[0], before[n]) for n, own in layer.cells.items()]
    assert same == [False, True]


def test_nothing_is_kept_without_gradients_and_evaluation_goes_back():
    layer = AnalogRNN(
        AnalogGRUCell, 3, 4, rpu_config=IDEAL, num_layers=2, dropout=0.5, rng=0
    ).eval()
    x = sequence(6, 2, 3)
    with torch.no_grad():
        layer(x)
    assert all(not module._kept for _, module in layer.core.named_modules())
    layer(x)[0].sum().backward()
    assert float(x.grad.abs().min()) > 0.0


def test_a_copy_goes_on_alike_and_shares_no_tile():
    layer = AnalogRNN(AnalogGRUCell, 3, 4, rpu_config=PULSED, rng=0)
    other, x = copy.deepcopy(layer), sequence(6, 2, 3)
    assert torch.equal(layer(x)[0], other(x)[0])
    other.cells["l0"].hh.set_weights(torch.zeros(12, 4))
    assert float(layer.cells["l0"].hh.weight.norm()) > 0.0
    assert other.core.cells["l0"].hh.tile is other.cells["l0"].hh.core.tile


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("options", [{}, {"bidir": True, "num_layers": 2}, {"batch_first": True}])
def test_tensors_without_numbers_give_the_shapes(cell, options):
    layer = AnalogRNN(cell, 3, 4, rpu_config=IDEAL, **options)
    y, states = layer(torch.empty(6, 2, 3, device="meta"))
    real, expected = layer(torch.ones(6, 2, 3))
    assert y.shape == real.shape
    shapes = [[tuple(t.shape) for t in rs.torch.walk.flat(s)] for s in (states, expected)]
    assert shapes[0] == shapes[1]


def test_half_precision_and_single_sequences_come_back_as_they_are():
    layer = AnalogRNN(AnalogLSTMCell, 3, 4, rpu_config=IDEAL, rng=0).half()
    y, [(h, c)] = layer(torch.ones(6, 3).half())
    assert (y.shape, y.dtype, h.shape, c.dtype) == ((6, 4), torch.float16, (4,), torch.float16)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda layer: layer(np.ones((6, 2, 3))), DataError, "x must be a tensor, got ndarray"),
        (lambda layer: layer(torch.ones(6, 2, 9)), ShapeError, r"\(time, batch, 3\)"),
        (lambda layer: layer(torch.ones(6, 2, 3), torch.ones(2, 4)), ShapeError, "state must be"),
        (lambda layer: AnalogRNN("lstm", 3, 4), ConfigError, "class of rpusim.torch"),
        (lambda layer: AnalogRNN(rs.nn.AnalogLSTMCell, 3, 4), ConfigError, "class of rpusim.torch"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call(AnalogRNN(AnalogLSTMCell, 3, 4, rpu_config=IDEAL, rng=0))
