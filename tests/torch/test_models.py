"""Models of torch on programmed devices, calibrated, and inside checkpoints of activations."""

import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')

from torch.utils.checkpoint import checkpoint, checkpoint_sequential  # noqa: E402

import rpusim as rs  # noqa: E402
from rpusim import nn  # noqa: E402
from rpusim.errors import ConfigError, StateError  # noqa: E402
from rpusim.torch import (  # noqa: E402
    AnalogLinear,
    AnalogLSTMCell,
    AnalogOptimizer,
    AnalogRNN,
    analog_layers,
    calibrate_input_ranges,
    drift_analog_weights,
    program_analog_weights,
    restore_analog_weights,
    same_draws,
)

INFERENCE = rs.InferenceRPUConfig()
NOISY = rs.RPUConfig(device=rs.SoftBoundsDevice(), forward=rs.IOParameters(out_noise=0.1))


def model(config=INFERENCE):
    return torch.nn.Sequential(
        AnalogLinear(6, 5, rpu_config=config, rng=0),
        torch.nn.Tanh(),
        AnalogLinear(5, 4, rpu_config=config, rng=1),
    )


X = torch.ones(3, 6)


def test_analog_layers_are_named_as_the_model_names_them():
    made = model()
    assert analog_layers(made) == {"0": made[0], "2": made[2]}


def test_programmed_devices_are_those_of_the_same_model_in_rpusim_nn():
    ours = model().eval()
    theirs = nn.Sequential(
        nn.AnalogLinear(6, 5, rpu_config=INFERENCE, rng=0),
        nn.Tanh(),
        nn.AnalogLinear(5, 4, rpu_config=INFERENCE, rng=1),
    ).eval()
    program_analog_weights(ours)
    theirs.program_analog_weights()
    drift_analog_weights(ours, 3600.0)
    theirs.drift_analog_weights(3600.0)
    assert torch.allclose(ours(X), torch.from_numpy(theirs(X.numpy())), atol=1e-6)


def test_training_gives_programmed_devices_up():
    made = model().eval()
    before = made[0].weight.detach().clone()
    drift_analog_weights(made, 1e6)
    assert torch.equal(made[0].weight, before)  # the target
    assert not torch.equal(made[0].get_weights()[0], before)  # what devices hold
    made.train()(X)
    assert not made[0].tile.is_programmed
    made.eval()
    program_analog_weights(made)
    restore_analog_weights(made)
    assert torch.equal(made[0].get_weights()[0], before)


def test_a_training_step_starts_from_targets_and_drift_from_what_was_trained():
    made = model().eval()
    drift_analog_weights(made, 1e6)
    optimizer = AnalogOptimizer(torch.optim.SGD(made.parameters(), lr=0.1))
    made.train()(X).sum().backward()
    optimizer.step()
    trained = made[2].weight.detach().clone()
    drift_analog_weights(made.eval(), 1.0)
    assert torch.equal(made[2].weight, trained)


def test_programming_needs_evaluation():
    with pytest.raises(StateError, match=r"eval\(\)"):
        program_analog_weights(model())


def test_calibration_sets_ranges_and_restores_modes():
    made = model()
    made[2].eval()
    ranges = calibrate_input_ranges(made, [(2.0 * X, None), (3.0 * X, None)], "Max")
    assert ranges["0.tile"] == pytest.approx(3.0)
    assert made[0].tile.input_range == pytest.approx(3.0)
    assert [module.training for module in made] == [True, True, False]


def test_what_is_no_module_is_refused():
    with pytest.raises(ConfigError, match="must be a module of torch, got Sequential"):
        program_analog_weights(nn.Sequential())


# ---------------------------------------------------------------- checkpoints of activations


def gradients(run, config=NOISY):
    torch.manual_seed(0)
    made, x = model(config), X.clone().requires_grad_()
    y = run(made, x)
    y.square().sum().backward()
    return y.detach(), x.grad, made


@pytest.mark.parametrize("same", [True, False])
def test_a_checkpoint_draws_again_what_it_drew_in_the_right_context(same):
    seen = []

    def run(made, x):
        made[1].register_forward_hook(lambda module, given, y: seen.append(y.detach()))
        options = {"context_fn": same_draws(made)} if same else {}
        return checkpoint(made, x, use_reentrant=False, **options)

    _, grad, made = gradients(run)
    first, second = seen
    assert torch.equal(first, second) == same
    (x, _), *more = made[2].core.weight.pairs
    assert torch.equal(torch.from_numpy(x), second)  # what the second layer learns with
    assert not more
    assert grad.shape == X.shape


class Tagger(torch.nn.Module):
    """Dropout, and behind it a layer whose inputs a checkpoint computes again."""

    def __init__(self):
        super().__init__()
        ideal = rs.FloatingPointRPUConfig()
        options = {"rpu_config": ideal, "rng": 0, "num_layers": 2, "dropout": 0.5}
        self.walk = AnalogRNN(AnalogLSTMCell, 3, 4, **options)
        self.last = AnalogLinear(4, 2, rpu_config=ideal, rng=1)

    def forward(self, x):
        return self.last(self.walk(x)[0])


def test_a_checkpoint_drops_again_what_it_dropped():
    x = torch.linspace(-1.0, 1.0, 36).reshape(6, 2, 3)
    plain, other = Tagger(), Tagger()
    plain(x).square().sum().backward()
    y = checkpoint(other, x, use_reentrant=False, context_fn=same_draws(other))
    y.square().sum().backward()
    assert torch.allclose(other.last.weight.grad, plain.last.weight.grad, atol=1e-6)
    assert torch.equal(other(x), plain(x))  # the next forward draws as if there had been one


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_of_ideal_tiles_give_the_plain_gradients(reentrant):
    ideal = rs.FloatingPointRPUConfig()

    def run(made, x):
        return checkpoint_sequential(made, 2, x, use_reentrant=reentrant)

    y, grad, made = gradients(run, ideal)
    z, other, plain = gradients(lambda made, x: made(x), ideal)
    assert torch.equal(y, z)
    assert torch.allclose(grad, other, atol=1e-6)
    assert torch.allclose(made[0].weight.grad, plain[0].weight.grad, atol=1e-5)


def test_a_compiled_model_runs_its_tiles_uncompiled():
    made = model(rs.FloatingPointRPUConfig())
    compiled = torch.compile(made, backend="eager")
    assert torch.allclose(compiled(X), made(X), atol=1e-6)
    compiled(X).sum().backward()
    assert made[0].weight.grad is not None
