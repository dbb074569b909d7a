"""Tiles that learn in digital: ordinary parameters, any optimizer, hooks after a step, item 5."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')

import rpusim as rs  # noqa: E402
from rpusim import nn, optim  # noqa: E402
from rpusim.torch import AnalogLinear, AnalogOptimizer  # noqa: E402

PERFECT = rs.IOParameters(is_perfect=True)
PLAIN = rs.InferenceRPUConfig(forward=PERFECT)
NOISY = PLAIN.replace(modifier={"type": "AddNormal", "std_dev": 0.1})
CLIPPED = PLAIN.replace(clip={"type": "FixedValue", "fixed_value": 0.1})
X = np.random.default_rng(0).uniform(-1.0, 1.0, (8, 5)).astype(np.float32)


def layer(config=PLAIN):
    return AnalogLinear(5, 3, rpu_config=config, rng=0)


def loss(made):
    return (made(torch.tensor(X)) - 1.0).square().mean()


def test_the_gradient_is_that_of_the_logical_weight():
    scaled = PLAIN.replace(mapping={"weight_scaling_omega": 0.6})
    made, digital = layer(scaled), torch.nn.Linear(5, 3)
    digital.load_state_dict(made.state_dict(), strict=False)
    loss(made).backward()
    loss(digital).backward()
    assert torch.allclose(made.weight.grad, digital.weight.grad, atol=1e-6)


def test_the_gradient_survives_a_copy():
    made = layer(PLAIN.replace(mapping={"weight_scaling_omega": 0.6}))
    other = copy.deepcopy(made)
    loss(made).backward()
    loss(other).backward()
    assert torch.equal(made.weight.grad, other.weight.grad)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        lambda p: torch.optim.Adam(p, lr=0.05),
        lambda p: torch.optim.RMSprop(p, lr=0.05),
        lambda p: torch.optim.Adagrad(p, lr=0.1),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_any_optimizer_does_what_it_does_to_a_digital_layer(make, wrapped):
    made, digital = layer(), torch.nn.Linear(5, 3)
    digital.load_state_dict(made.state_dict(), strict=False)
    ours, theirs = make(made.parameters()), make(digital.parameters())
    ours = AnalogOptimizer(ours) if wrapped else ours
    for _ in range(10):
        for one, optimizer in ((made, ours), (digital, theirs)):
            optimizer.zero_grad()
            loss(one).backward()
            optimizer.step()
    assert torch.allclose(made.weight, digital.weight, atol=1e-5)
    assert torch.allclose(made.get_weights()[0], digital.weight, atol=1e-5)


def test_a_loop_without_a_wrapper_trains_and_after_step_clips():
    made = layer(CLIPPED)
    for _ in range(3):
        made.zero_grad()
        loss(made).backward()
        for p in made.parameters():
            p.data -= 0.5 * p.grad  # as loops were written before torch.no_grad()
        made.after_step()
        assert float(made.weight.abs().max()) <= 0.1 + 1e-7
    assert np.allclose(made.tile.get_weights()[0], made.weight.detach().numpy())


def test_the_wrapper_clips_after_each_step():
    made = layer(CLIPPED)
    optimizer = AnalogOptimizer(torch.optim.SGD(made.parameters(), lr=0.5))
    loss(made).backward()
    optimizer.step()
    assert float(made.weight.abs().max()) <= 0.1 + 1e-7


def test_a_modified_copy_is_drawn_lazily_and_once_per_step():
    made, x = layer(NOISY), torch.eye(5)
    seen = [made(x).detach() - made.bias for _ in range(2)]  # without any step before
    assert torch.equal(*seen)
    assert not torch.allclose(seen[0].T, made.weight, atol=1e-3)
    made.after_step()
    assert not torch.equal(seen[0], made(x).detach() - made.bias)
    exact = made.eval()(x) - made.bias
    assert torch.allclose(exact.T, made.weight, atol=1e-6)


def test_a_step_of_another_optimizer_draws_a_new_copy_too():
    made, x = layer(NOISY), torch.eye(5)
    optimizer = torch.optim.SGD(made.parameters(), lr=1e-9)
    before = made(x).detach()
    loss(made).backward()
    made.weight.grad.fill_(1.0)
    optimizer.param_groups[0]["lr"] = 1e-3
    optimizer.step()
    moved = (made(x) - before).abs().max()
    assert float(moved) > 0.01  # noise of 0.1, and not the step of 0.001


def test_training_is_that_of_rpusim_nn():
    config = NOISY.replace(
        clip={"type": "LayerGaussian", "sigma": 2.0},
        mapping={"learn_out_scaling": True, "weight_scaling_omega": 0.6, "digital_bias": False},
        pre_post={"input_range": {"enable": True}},
    )
    ours, theirs = layer(config), nn.AnalogLinear(5, 3, rpu_config=config, rng=0)
    one = AnalogOptimizer(torch.optim.Adam(ours.parameters(), lr=0.01))
    two = optim.AnalogAdam(theirs.parameters(), lr=0.01)
    for _ in range(20):
        one.zero_grad()
        loss(ours).backward()
        one.step()
        _, grad = nn.mse(theirs(X), np.ones((8, 3)))
        theirs.backward(grad, input_grad=False)
        two.step()
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert np.allclose(a, b, rtol=0.0, atol=1e-5)
    assert ours.input_range.item() == pytest.approx(theirs.tile.input_range, rel=1e-5)
