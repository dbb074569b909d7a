"""Ideal tiles: gradients in double precision, updates as those of digital layers, item 11."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')

import rpusim as rs  # noqa: E402
from rpusim.torch import (  # noqa: E402
    AnalogConv1d,
    AnalogConv2d,
    AnalogConv2dMapped,
    AnalogConv3d,
    AnalogLinear,
    AnalogLinearMapped,
    AnalogOptimizer,
)

PERFECT = rs.IOParameters(is_perfect=True)
IDEAL = rs.RPUConfig(device=rs.IdealDevice(), forward=PERFECT, backward=PERFECT)
SCALED = IDEAL.replace(
    mapping={"learn_out_scaling": True, "out_scaling_columnwise": True, "weight_scaling_omega": 0.6}
)
FLOAT = rs.FloatingPointRPUConfig()

# name -> (analog layer, digital layer, shape of x)
LAYERS = {
    "linear": (
        lambda c: AnalogLinear(5, 3, rpu_config=c),
        lambda: torch.nn.Linear(5, 3),
        (4, 5),
    ),
    "linear mapped": (
        lambda c: AnalogLinearMapped(5, 3, rpu_config=c.replace(mapping={"max_input_size": 2})),
        lambda: torch.nn.Linear(5, 3),
        (2, 3, 5),
    ),
    "conv1d": (
        lambda c: AnalogConv1d(2, 3, 3, padding="same", dilation=2, rpu_config=c),
        lambda: torch.nn.Conv1d(2, 3, 3, padding="same", dilation=2),
        (2, 2, 6),
    ),
    "conv2d": (
        lambda c: AnalogConv2d(2, 3, (2, 3), (2, 1), (1, 0), rpu_config=c),
        lambda: torch.nn.Conv2d(2, 3, (2, 3), (2, 1), (1, 0)),
        (2, 2, 4, 5),
    ),
    "conv2d unbatched": (
        lambda c: AnalogConv2dMapped(2, 3, 2, rpu_config=c),
        lambda: torch.nn.Conv2d(2, 3, 2),
        (2, 4, 4),
    ),
    "conv3d": (
        lambda c: AnalogConv3d(1, 2, 2, padding=1, rpu_config=c),
        lambda: torch.nn.Conv3d(1, 2, 2, padding=1),
        (1, 1, 2, 3, 2),
    ),
}
every_layer = pytest.mark.parametrize("name", LAYERS)
EPS32 = float(np.finfo(np.float32).eps)


def pair(name, config=FLOAT):
    make, digital, shape = LAYERS[name]
    torch.manual_seed(0)
    analog, plain = make(config), digital()
    plain.load_state_dict(analog.state_dict(), strict=False)
    return analog, plain, torch.randn(shape)


# A grid learns output scales for each of its tiles, and then computes in float32 only.
COMBINED = [(n, c) for n in LAYERS for c in (FLOAT, IDEAL)]
COMBINED += [(n, SCALED) for n in LAYERS if n not in ("linear mapped", "conv2d unbatched")]


@pytest.mark.parametrize(("name", "config"), COMBINED)
def test_gradcheck_passes_in_double_precision(name, config):
    made, _, x = pair(name, config)
    made.double()
    parameters = [p.requires_grad_() for p in made.parameters()]
    assert len(parameters) == (3 if config is SCALED else 2)

    x = x.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *ignored: made(x), (x, *parameters))


@every_layer
def test_in_double_precision_it_is_the_digital_layer(name):
    analog, digital, x = pair(name)
    analog.double()
    digital.double()
    a, b = (x.double().requires_grad_() for _ in range(2))
    y, z = analog(a), digital(b)
    weight = torch.randn_like(y)
    for out in (y, z):
        (out * weight).sum().backward()
    found = [y, a.grad, analog.weight.grad, analog.bias.grad]
    expected = [z, b.grad, digital.weight.grad, digital.bias.grad]
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=0.0, atol=1e-10)


@every_layer
def test_updates_in_double_precision_are_those_of_sgd(name):
    analog, digital, x = pair(name)
    analog.double()
    digital.double()
    ours = AnalogOptimizer(torch.optim.SGD(analog.parameters(), lr=0.1, momentum=0.9))
    theirs = torch.optim.SGD(digital.parameters(), lr=0.1, momentum=0.9)
    for _ in range(5):
        for layer, optimizer in ((analog, ours), (digital, theirs)):
            optimizer.zero_grad()
            layer(x.double()).square().mean().backward()
            optimizer.step()
    assert torch.allclose(analog.weight, digital.weight, rtol=0.0, atol=1e-12)
    assert torch.allclose(analog.bias, digital.bias, rtol=0.0, atol=1e-12)
    held = torch.from_numpy(analog.tile.get_weights()[0]).reshape(analog.weight.shape)
    assert torch.allclose(held.double(), analog.weight, rtol=0.0, atol=EPS32)  # the tile follows


@pytest.mark.parametrize("config", [FLOAT, IDEAL])
@every_layer
def test_in_single_precision_gradients_are_exact_to_rounding(name, config):
    analog, digital, x = pair(name, config)
    a, b = (x.clone().requires_grad_() for _ in range(2))
    y, z = analog(a), digital(b)
    for out in (y, z):
        out.square().sum().backward()
    found = [y, a.grad, analog.weight.grad, analog.bias.grad]
    expected = [z, b.grad, digital.weight.grad, digital.bias.grad]
    for one, other in zip(found, expected, strict=True):
        most = float(other.detach().abs().max())
        assert torch.allclose(one, other, rtol=0.0, atol=200.0 * EPS32 * max(most, 1.0))


def test_noise_is_never_lost_by_double_precision():
    noisy = IDEAL.replace(forward=rs.IOParameters(out_noise=0.1))
    made, x = AnalogLinear(5, 3, rpu_config=noisy, rng=0).double(), torch.ones(4, 5).double()
    assert not torch.equal(made(x), made(x))
    programmed = rs.InferenceRPUConfig(forward=PERFECT)
    made = AnalogLinear(5, 3, rpu_config=programmed, rng=0).double().eval()
    rs.torch.drift_analog_weights(made, 1e6)
    assert not torch.allclose(made(x), torch.nn.functional.linear(x, made.weight, made.bias))
