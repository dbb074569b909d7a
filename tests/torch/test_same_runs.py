"""A training run through torch and the same run through `rpusim.nn` give the same weights."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')

import rpusim as rs  # noqa: E402
import rpusim.torch as rt  # noqa: E402
from rpusim import nn, optim, presets  # noqa: E402

SOFT = rs.SoftBoundsDevice()
CONFIGS = {
    "pulsed": rs.RPUConfig(device=SOFT),
    "analog bias": rs.RPUConfig(device=SOFT, mapping=rs.MappingParameter(digital_bias=False)),
    "learned scales": rs.RPUConfig(
        device=SOFT,
        mapping=rs.MappingParameter(learn_out_scaling=True, weight_scaling_omega=0.6),
        pre_post=rs.PrePostProcessingParameter(input_range={"enable": True}),
    ),
    "grid": rs.RPUConfig(
        device=SOFT, mapping=rs.MappingParameter(max_input_size=50, max_output_size=2)
    ),
    "Tiki-Taka": presets.TikiTakaEcRamPreset(),
    "hardware-aware": rs.InferenceRPUConfig(
        modifier=rs.WeightModifierParameter(type="AddNormal", std_dev=0.05)
    ),
    "ideal": rs.FloatingPointRPUConfig(),
}
rng = np.random.default_rng(0)
X = rng.uniform(0.0, 1.0, (6, 10, 1, 6, 6)).astype(np.float32)
LABELS = rng.integers(0, 3, (6, 10))
STEPS, RATE = len(X), 0.1
EPS = float(np.finfo(np.float32).eps)

#: A weight of size 1 is rounded a few times in each step, in each of two layers.
CLOSE = 20 * STEPS * EPS


def ours(config):
    return nn.Sequential(
        nn.AnalogConv2d(1, 2, 3, rpu_config=config, rng=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.AnalogLinear(32, 3, rpu_config=config, rng=2),
    )


def theirs(config):
    return torch.nn.Sequential(
        rt.AnalogConv2d(1, 2, 3, rpu_config=config, rng=1),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        rt.AnalogLinear(32, 3, rpu_config=config, rng=2),
    )


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")
def test_a_run_through_torch_gives_the_weights_of_a_run_through_rpusim_nn(config):
    one, two = ours(config), theirs(config)
    first = optim.AnalogSGD(one.parameters(), lr=RATE)
    second = rt.AnalogOptimizer(torch.optim.SGD(two.parameters(), lr=RATE))
    start = two[3].get_weights()[0]
    for x, labels in zip(X, LABELS, strict=True):
        # Half the sum of squares: its gradient has the same bits in both, and a pulse that falls
        # or not for the sake of a last bit would make a step of it.
        target = np.eye(3, dtype=np.float32)[labels]
        one.backward((one(x) - target) / np.float32(8.0), input_grad=False)
        first.step()
        second.zero_grad()
        loss = (two(torch.from_numpy(x)) - torch.from_numpy(target)).square().sum() / 16.0
        loss.backward()
        second.step()
    assert not torch.equal(start, two[3].get_weights()[0])
    for name, layer in (("conv", 0), ("linear", 3)):
        a, b = one[layer].get_weights(), two[layer].get_weights()
        exact = not two[layer].learns_in_digital  # devices take the same pulses
        assert np.allclose(a[0], b[0].numpy(), rtol=0.0, atol=0.0 if exact else CLOSE), name
        assert np.allclose(a[1], b[1].numpy(), rtol=0.0, atol=CLOSE), name


@pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")
@pytest.mark.parametrize("stepwise", [False, True])
def test_recurrent_layers_learn_alike(stepwise):
    config = CONFIGS["pulsed"]
    options = dict(rpu_config=config, num_layers=2, bidir=True, dropout=0.3, stepwise=stepwise)
    one = nn.AnalogRNN(nn.AnalogLSTMCell, 3, 4, **options, rng=0)
    two = rt.AnalogRNN(rt.AnalogLSTMCell, 3, 4, **options, rng=0)
    first = optim.AnalogSGD(one.parameters(), lr=RATE)
    second = rt.AnalogOptimizer(torch.optim.SGD(two.parameters(), lr=RATE))
    for k in range(3):
        x = X[k, :, 0, :5, :3].transpose(1, 0, 2).copy()
        y, _ = one(x)
        one.backward(np.ones_like(y), input_grad=False)
        first.step()
        second.zero_grad()
        two(torch.from_numpy(x))[0].sum().backward()
        second.step()
    for name, cell in one.cells.items():
        for part in ("ih", "hh"):
            a, b = getattr(cell, part).get_weights(), getattr(two.cells[name], part).get_weights()
            assert np.array_equal(a[0], b[0].numpy())
