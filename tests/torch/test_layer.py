"""Calls of layers with one tile: what they take, what goes back, what is recorded."""

import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')

import rpusim as rs  # noqa: E402
from rpusim import nn  # noqa: E402
from rpusim.errors import DataError, ShapeError, StateError  # noqa: E402
from rpusim.torch import AnalogConv2d, AnalogLinear, AnalogOptimizer  # noqa: E402

PULSED = rs.RPUConfig(device=rs.SoftBoundsDevice())
IDEAL = rs.FloatingPointRPUConfig()
X = np.random.default_rng(0).uniform(-1.0, 1.0, (5, 4)).astype(np.float32)


def layer(config=PULSED, **options):
    return AnalogLinear(4, 3, rpu_config=config, rng=0, **options)


def tensor(requires_grad=False):
    return torch.tensor(X, requires_grad=requires_grad)


# ---------------------------------------------------------------- item 1: the function


def test_outputs_are_those_of_the_layer_of_rpusim_nn():
    ours = nn.AnalogLinear(4, 3, rpu_config=PULSED, rng=0)
    assert np.array_equal(layer()(tensor()).detach().numpy(), ours(X))


def test_an_output_needs_a_gradient_even_if_the_input_does_not():
    assert layer()(tensor()).requires_grad


@pytest.mark.parametrize("config", [PULSED, IDEAL])
def test_nothing_is_copied_of_float32_on_the_cpu(config):
    seen = []
    made, x = layer(config), tensor()
    made.tile.on_input = seen.append
    made(x)
    assert np.shares_memory(seen[0], x.numpy())


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_are_computed_in_float32_and_come_back(kind):
    x = tensor().to(kind).requires_grad_()
    y = layer()(x)
    y.sum().backward()
    same = layer()(x.detach().float()).detach()
    assert (y.dtype, x.grad.dtype) == (kind, kind)
    assert torch.equal(y.detach(), same.to(kind))


def test_only_inputs_are_saved_and_through_torchs_hooks():
    saved = []

    def pack(t):
        saved.append(tuple(t.shape))
        return t.clone()

    made, x = layer(), tensor()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = made(x)
    assert saved == [(5, 4)]
    y.sum().backward()
    assert np.array_equal(made.core.weight.pairs[0][0], X)


def test_an_input_changed_in_place_before_the_backward_is_an_error():
    x = tensor()
    y = layer()(x)
    x.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_an_input_changed_between_backward_and_step_is_not_what_is_learned():
    made, x = layer(), tensor()
    made(x).sum().backward()
    x.fill_(7.0)
    assert np.array_equal(made.core.weight.pairs[0][0], X)


def test_two_forwards_before_one_backward_do_not_mix():
    io = rs.IOParameters(inp_bound=0.5, noise_management="NONE", bound_management="NONE")
    clipping = rs.RPUConfig(
        device=rs.IdealDevice(),
        forward=io,
        gradient=rs.GradientParameter(backward_mode="STRAIGHT_THROUGH"),
    )
    alone, both = layer(clipping), layer(clipping)
    a, b = tensor(True), torch.full((2, 4), 0.1, requires_grad=True)
    first, second = both(a), both(b)
    (first.sum() + second.sum()).backward()
    once = tensor(True)
    alone(once).sum().backward()
    assert torch.equal(a.grad, once.grad)
    assert bool((a.grad == 0.0).any())  # where the DAC clipped
    assert not bool((b.grad == 0.0).any())


def test_any_number_of_leading_axes_is_kept():
    made = layer()
    assert made(torch.ones(4)).shape == (3,)
    assert made(torch.ones(2, 6, 4)).shape == (2, 6, 3)
    x = torch.ones(2, 6, 4, requires_grad=True)
    made(x).sum().backward()
    assert x.grad.shape == x.shape


# ---------------------------------------------------------------- item 2: backward


def test_a_pair_is_recorded_if_the_weight_needs_a_gradient_at_the_forward():
    made, x = layer(), tensor(True)
    y = made(x)
    made._parameters["weight"].requires_grad_(False)  # too late for that forward
    y.sum().backward()
    made(x).sum().backward()
    assert len(made.core.weight.pairs) == 1


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_nothing_is_recorded_or_kept(mode):
    made = layer()
    with mode():
        y = made(tensor())
    assert not y.requires_grad
    assert made.core._kept == []


def test_going_back_twice_through_a_gradient_is_an_error():
    made, x = layer(IDEAL), tensor(True)
    (g,) = torch.autograd.grad(made(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


def test_a_gradient_of_the_input_alone_records_nothing():
    made, x = layer(), tensor(True)
    torch.autograd.grad(made(x).sum(), x)
    assert made.core.weight.pairs == []


def test_evaluation_can_be_gone_back_through():
    made, x = layer(IDEAL).eval(), tensor(True)
    made(x).sum().backward()
    expected = made.weight.detach().sum(0).expand(5, 4)
    assert torch.allclose(x.grad, expected, atol=1e-6)


# ---------------------------------------------------------------- item 3: no double update


def test_a_retained_graph_adds_a_pair_for_each_backward():
    made = layer()
    loss = made(tensor()).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert len(made.core.weight.pairs) == 2
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_the_weight_of_a_pulsed_tile_never_gets_a_gradient():
    made = layer()
    made(tensor()).sum().backward()
    assert made.weight.grad is None
    assert made.bias.grad is not None


def test_an_optimizer_that_knows_no_tiles_changes_no_devices():
    made = layer()
    before = made.get_weights()[0]
    made(tensor()).sum().backward()
    torch.optim.SGD(made.parameters(), lr=0.1).step()
    assert torch.equal(made.get_weights()[0], before)


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_bias_of_devices_is_frozen_with_its_weight_or_not_at_all(name):
    column = rs.RPUConfig(mapping=rs.MappingParameter(digital_bias=False))
    made = AnalogLinear(3, 2, rpu_config=column, rng=0)
    getattr(made, name).requires_grad_(False)
    with pytest.raises(StateError, match="bias is a column of the weight's devices.*Freeze both"):
        made(torch.ones(4, 3))
    made.requires_grad_(False)
    assert made(torch.ones(4, 3)).shape == (4, 2)


def test_a_view_with_other_signs_is_what_it_shows():
    made = AnalogLinear(3, 2, rpu_config=rs.FloatingPointRPUConfig(), rng=0)
    x = torch.complex(torch.ones(4, 3), torch.ones(4, 3)).conj().imag  # torch negates it when read
    assert torch.equal(made(x), made(-torch.ones(4, 3)))


def test_a_failed_backward_records_nothing():
    made = layer()
    y = made(tensor())
    with pytest.raises(DataError, match="grad must be finite"):
        y.backward(torch.full_like(y, torch.nan))
    assert made.core.weight.pairs == []


# ---------------------------------------------------------------- item 8: freezing


@pytest.mark.parametrize("config", [PULSED, rs.InferenceRPUConfig()])
def test_a_frozen_layer_stays_and_gradients_pass_through_it(config):
    model = torch.nn.Sequential(layer(IDEAL), AnalogLinear(3, 2, rpu_config=config, rng=1))
    model[1].requires_grad_(False)
    optimizer = AnalogOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))
    before = [m.get_weights() for m in model]
    states = model[1].tile.state_dict()
    model(tensor()).sum().backward()
    optimizer.step()
    assert not torch.equal(model[0].get_weights()[0], before[0][0])
    for name, array in model[1].tile.state_dict().items():
        counting = name in ("rng_steps", "ledger")
        assert counting or np.array_equal(array, states[name]), name


# ---------------------------------------------------------------- item 10: compile, trace, vmap


@pytest.mark.parametrize("make", [layer, lambda: AnalogConv2d(1, 2, 3, rng=0)])
def test_tensors_without_numbers_give_the_shape(make):
    made = make()
    shape = (5, 4) if isinstance(made, AnalogLinear) else (5, 1, 6, 6)
    y = made(torch.empty(shape, device="meta"))
    assert y.is_meta
    assert y.shape == made(torch.ones(shape)).shape


def test_a_fake_tensor_gives_a_fake_tensor():
    from torch._subclasses.fake_tensor import FakeTensorMode

    made = layer()
    with FakeTensorMode():
        y = made(torch.ones(5, 4))
    assert type(y).__name__ == "FakeTensor"
    assert y.shape == (5, 3)


def test_vmap_is_an_error():
    with pytest.raises(RuntimeError, match="setup_context|functorch"):
        torch.func.vmap(layer())(tensor())


def test_forward_mode_differentiation_is_an_error():
    import torch.autograd.forward_ad as forward_ad

    with forward_ad.dual_level(), pytest.raises((RuntimeError, NotImplementedError), match="jvp"):
        layer()(forward_ad.make_dual(tensor(), tensor()))


@pytest.mark.parametrize(
    "call",
    [
        lambda made: torch.jit.trace(made, tensor()),
        lambda made: torch.export.export(made, (tensor(),), strict=False),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_tile_never_becomes_a_constant_of_a_traced_program(call):
    with pytest.raises(StateError, match="cannot be traced or exported.*convert_to_digital"):
        call(layer(IDEAL).eval())


# ---------------------------------------------------------------- item 12: threads


def test_calls_from_several_threads_are_those_of_one_after_the_other():
    made = layer(IDEAL)
    inputs = [torch.full((64, 4), float(k)) for k in range(16)]
    expected = [made(x).detach() for x in inputs]
    found = [None] * len(inputs)

    def work(first):
        for k in range(first, len(inputs), 4):
            for _ in range(20):
                found[k] = made(inputs[k]).detach()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_tile_in_use_makes_another_thread_wait():
    made, done = layer(), threading.Event()
    thread = threading.Thread(target=lambda: (made(tensor()), done.set()))
    with made._lock:
        thread.start()
        assert not done.wait(0.2)
    thread.join()
    assert done.is_set()


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        ([[1.0] * 4], DataError, "must be a tensor, got list; torch.as_tensor"),
        (torch.ones(5, 7), ShapeError, r"must have shape \(..., 4\)"),
        (torch.full((5, 4), torch.nan), DataError, "must be finite"),
        (torch.ones(5, 4, dtype=torch.int64), DataError, r"got torch.int64; .*x.float\(\)"),
    ],
)
def test_what_is_no_input_is_refused_and_leaves_nothing_behind(x, error, match):
    made = layer()
    with pytest.raises(error, match=match):
        made(x)
    assert made.core._kept == []


def test_devices_are_not_trained_by_several_processes(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(StateError, match="cannot train the same devices from 2 processes"):
        layer()(tensor())
    layer().eval()(tensor())
    layer(rs.InferenceRPUConfig())(tensor())
