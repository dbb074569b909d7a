"""A layer as a module of torch: weights that read as what the tile holds, copies, moves, modes."""

import copy
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')

import rpusim as rs  # noqa: E402
from rpusim.errors import BackendError, ConfigError, ShapeError, StateError  # noqa: E402
from rpusim.torch import AnalogConv2d, AnalogLinear, AnalogOptimizer  # noqa: E402

PULSED = rs.RPUConfig(device=rs.SoftBoundsDevice())
IDEAL = rs.FloatingPointRPUConfig()
HARDWARE_AWARE = rs.InferenceRPUConfig()
SCALED = rs.RPUConfig(
    device=rs.SoftBoundsDevice(),
    mapping=rs.MappingParameter(weight_scaling_omega=0.6, digital_bias=False),
)
every_config = pytest.mark.parametrize("config", [PULSED, IDEAL, HARDWARE_AWARE, SCALED])


def layer(config=PULSED, **options):
    return AnalogLinear(6, 4, rpu_config=config, rng=0, **options)


def train(made, steps=1):
    optimizer = AnalogOptimizer(torch.optim.SGD(made.parameters(), lr=0.1))
    for _ in range(steps):
        optimizer.zero_grad()
        made(torch.ones(3, 6)).square().sum().backward()
        optimizer.step()


def agree(made):
    w, b = made.get_weights()
    return torch.equal(made.weight.detach(), w) and torch.equal(made.bias.detach(), b)


# ---------------------------------------------------------------- story 4 of the public names


@every_config
def test_a_weight_reads_as_users_of_torch_expect(config):
    made = layer(config)
    w = made.get_weights()[0]
    assert made.weight.shape == torch.Size([4, 6])
    assert made.weight.size() == (4, 6)
    assert made.weight.numel() == 24
    assert made.weight.norm().item() == pytest.approx(float(w.norm()))
    assert torch.equal(made.weight > 0.1, w > 0.1)
    assert torch.equal(made.weight[1, 2:4], w[1, 2:4])
    assert torch.equal(made.weight.nonzero(), w.nonzero())
    assert np.array_equal(made.weight.detach().numpy(), w.numpy())
    assert sum(p.numel() for p in made.parameters()) == 28
    assert isinstance(made.weight, torch.nn.Parameter)


@every_config
def test_a_weight_reads_what_the_tile_holds_after_any_change(config):
    made = layer(config)
    held = made.weight
    assert agree(made)
    train(made)
    assert agree(made)
    assert torch.equal(held, made.weight)  # the same parameter, as an optimizer has it
    made.set_weights(torch.full((4, 6), 0.1), torch.zeros(4))
    assert agree(made)
    made.tile.update(np.ones((1, 6), np.float32), np.ones((1, 4), np.float32), 0.1)
    assert agree(made)
    made.load_state_dict(layer(config).state_dict())
    assert agree(made)
    made.to(torch.float64)
    assert made.weight.dtype == torch.float64


def test_the_tensors_memory_is_never_the_devices():
    made = layer(IDEAL)
    assert not np.shares_memory(made.weight.detach().numpy(), made.tile.crossbar.weights)


@pytest.mark.parametrize("write", ["counted", "uncounted"])
def test_writing_into_a_pulsed_weight_raises_and_names_set_weights(write):
    made = layer()
    before = made.get_weights()[0]
    if write == "counted":
        with torch.no_grad():
            made.weight.fill_(0.3)
    else:
        made.weight.data[0, 0] = 9.0
    with pytest.raises(StateError, match=r"layer.set_weights\(weight, bias\), or .*writable=True"):
        made.weight.norm()
    assert torch.equal(made.weight.detach(), before)


def test_a_forward_sees_a_counted_write_into_a_pulsed_weight():
    made = layer()
    torch.nn.init.zeros_(made.weight)
    with pytest.raises(StateError, match="set_weights"):
        made(torch.ones(1, 6))


def test_writing_sets_all_weights_if_the_layer_is_writable():
    made = layer(writable=True)
    with torch.no_grad():
        made.weight.fill_(0.05)
    assert np.allclose(made.tile.get_weights()[0], 0.05)


@pytest.mark.parametrize("config", [IDEAL, HARDWARE_AWARE])
def test_writing_into_a_weight_that_learns_in_digital_is_a_step(config):
    made = layer(config)
    made.weight.data.fill_(0.05)
    x = torch.ones(1, 6)
    y = made.eval()(x) - made.bias
    assert np.allclose(made.tile.get_weights()[0], 0.05)
    assert config is HARDWARE_AWARE or torch.allclose(y, torch.tensor(0.3), atol=1e-6)


def test_assignment_goes_through_set_weights():
    made = layer()
    made.weight = torch.full((4, 6), 0.1)
    made.bias = torch.ones(4)
    w, b = made.get_weights()
    assert torch.allclose(w, torch.tensor(0.1))
    assert torch.equal(b, torch.ones(4))
    with pytest.raises(ShapeError, match=r"weights must have shape \(4, 6\), got \(2, 2\)"):
        made.weight = torch.ones(2, 2)
    with pytest.raises(StateError, match="cannot be removed"):
        made.bias = None


def test_reset_parameters_draws_from_torchs_generator():
    made = layer()
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        made.reset_parameters()
        drawn.append(made.get_weights()[0])
    assert torch.equal(*drawn)
    assert float(drawn[0].abs().max()) <= 6**-0.5


def test_torchs_seed_rules_where_none_is_given():
    made = []
    for _ in range(2):
        torch.manual_seed(5)
        made.append(AnalogLinear(6, 4, rpu_config=PULSED))
    assert torch.equal(made[0].weight, made[1].weight)
    assert made[0].tile.seed == made[1].tile.seed


# ---------------------------------------------------------------- copies


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@every_config
def test_a_copy_goes_on_like_its_original_and_apart_from_it(config, copied):
    made = layer(config)
    train(made)
    other = copied(made)
    before = made.get_weights()
    train(other, 2)
    assert all(torch.equal(a, b) for a, b in zip(before, made.get_weights(), strict=True))
    train(made, 2)
    for a, b in zip(made.get_weights(), other.get_weights(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_takes_no_vectors_along_as_it_takes_no_gradients(copied):
    made = layer(PULSED)
    made(torch.ones(2, 6)).sum().backward()
    assert copied(made).core.weight.pairs == []
    assert len(made.core.weight.pairs) == 1


def test_replicas_are_refused():
    with pytest.raises(StateError, match="one piece of hardware and has no replicas"):
        layer()._replicate_for_data_parallel()


# ---------------------------------------------------------------- types and devices


@every_config
@pytest.mark.parametrize("cast", ["half", "float", "double", "bfloat16"])
def test_a_model_can_be_cast_and_still_trains(config, cast):
    model = torch.nn.Sequential(torch.nn.Linear(6, 6), layer(config))
    getattr(model, cast)()
    x = torch.ones(3, 6, dtype=model[0].weight.dtype)
    optimizer = AnalogOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))
    before = model[1].get_weights()
    y = model(x)
    y.float().square().sum().backward()
    optimizer.step()
    assert y.dtype == x.dtype == model[1].weight.dtype
    after = model[1].get_weights()
    assert not torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])
    assert after[0].dtype == torch.float32  # what simulates stays as it is


def test_casting_there_and_back_changes_no_device():
    made = layer()
    before = made.get_weights()[0]
    made.half().float()
    assert torch.equal(made.weight.detach(), before)


@pytest.mark.parametrize("move", [lambda m: m.to("meta"), lambda m: m.to("cuda:0")])
def test_moving_elsewhere_is_refused_and_says_what_to_do(move):
    if torch.cuda.is_available() and "cuda" in move.__code__.co_consts:
        pytest.skip("there is a GPU: moving is refused by another line")
    with pytest.raises(BackendError, match="AnalogLinear: the layer must .* CPU, where tiles"):
        move(layer())


def test_an_input_that_is_elsewhere_is_copied_only_if_allowed(monkeypatch):
    made, x = layer(), torch.ones(2, 6)
    elsewhere = torch.device("cuda")
    monkeypatch.setattr(torch.Tensor, "device", property(lambda t: elsewhere))
    with pytest.raises(BackendError, match="allow_transfer=True"):
        rs.torch.arrays.array_of(x, "x")
    assert np.array_equal(rs.torch.arrays.array_of(x, "x", True), x.numpy())
    assert made.allow_transfer is False


def test_parameters_that_were_bound_anew_are_followed():
    made = layer(IDEAL)
    vector = torch.nn.utils.parameters_to_vector(made.parameters()).detach() * 0.5
    torch.nn.utils.vector_to_parameters(vector, made.parameters())
    w, b = made.get_weights()
    assert torch.equal(w.flatten(), vector[:24])
    made(torch.ones(1, 6))
    assert np.array_equal(made.tile.bias, vector[24:].numpy())


# ---------------------------------------------------------------- modules of torch


def test_modes_reach_the_tile():
    made = layer()
    made(torch.ones(1, 6))
    assert made.tile.last_forward.training
    torch.nn.Sequential(made).eval()(torch.ones(1, 6))
    assert not made.tile.last_forward.training


def test_apply_hooks_and_repr_work():
    made, seen = layer(), []
    made.register_forward_hook(lambda module, x, y: seen.append(y.shape))
    made.apply(lambda module: seen.append(type(module)))
    made(torch.ones(2, 6))
    assert seen == [AnalogLinear, (2, 4)]
    assert repr(made) == "AnalogLinear(6 -> 4, bias=True, SoftBoundsDevice)"
    conv = AnalogConv2d(1, 2, 3, padding=1, bias=False)
    assert repr(conv) == "AnalogConv2d(1, 2, 3, padding=1, bias=False, ConstantStepDevice)"


def test_attributes_are_those_of_digital_layers():
    made, digital = layer(), torch.nn.Linear(6, 4)
    assert (made.in_features, made.out_features) == (digital.in_features, digital.out_features)
    ours, theirs = (kind(1, 2, 3, 2, 1) for kind in (AnalogConv2d, torch.nn.Conv2d))
    for name in ("in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.weight.shape == theirs.weight.shape


def test_pruning_is_refused_by_name():
    from torch.nn.utils import prune

    with pytest.raises(StateError, match="weight was taken away, as pruning"):
        prune.l1_unstructured(layer(), "weight", 2)


def test_a_penalty_on_the_weight_of_a_pulsed_tile_is_refused():
    made = layer()
    optimizer = AnalogOptimizer(torch.optim.SGD(made.parameters(), lr=0.1))
    (made(torch.ones(2, 6)).sum() + made.weight.square().sum()).backward()
    with pytest.raises(StateError, match="which pulses change; nothing was set"):
        optimizer.step()
    assert made.core.weight.pairs == []


def test_zero_grad_of_the_layer_drops_what_waits():
    made = layer()
    made(torch.ones(1, 6)).sum().backward()
    made.zero_grad()
    assert made.core.weight.pairs == []
    assert made.bias.grad is None


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"rpu_confg": None}, TypeError, "rpu_confg"),
        ({"bias": 2}, ConfigError, "AnalogLinear.bias must be True or False"),
        ({"writable": "yes"}, ConfigError, "AnalogLinear.writable must be True or False"),
        ({"allow_transfer": 1}, ConfigError, "AnalogLinear.allow_transfer must be True or False"),
    ],
)
def test_what_is_no_option_is_refused(options, error, match):
    with pytest.raises(error, match=match):
        AnalogLinear(6, 4, **options)
