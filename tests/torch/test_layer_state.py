"""States of tensors: safe loading, digital checkpoints in both directions, exact continuation."""

import io

import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')

import rpusim as rs  # noqa: E402
from rpusim import presets  # noqa: E402
from rpusim.torch import (  # noqa: E402
    AnalogConv2d,
    AnalogGRUCell,
    AnalogLinear,
    AnalogOptimizer,
    AnalogRNN,
    calibrate_input_ranges,
    drift_analog_weights,
)

LEARNED = rs.InferenceRPUConfig(
    mapping=rs.MappingParameter(weight_scaling_omega=0.6, learn_out_scaling=True),
    modifier=rs.WeightModifierParameter(type="AddNormal", std_dev=0.1),
)
GRID = rs.RPUConfig(device=rs.SoftBoundsDevice(), mapping=rs.MappingParameter(max_input_size=4))
CONFIGS = {
    "pulsed": rs.RPUConfig(device=rs.SoftBoundsDevice()),
    "analog bias": rs.RPUConfig(mapping=rs.MappingParameter(digital_bias=False)),
    "ideal": rs.FloatingPointRPUConfig(),
    "hardware-aware": LEARNED,
    "grid": GRID,
    "Tiki-Taka": presets.TikiTakaEcRamPreset(),
}
each_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def model(config, rng=0):
    return torch.nn.Sequential(
        torch.nn.Linear(5, 6), AnalogLinear(6, 4, rpu_config=config, rng=rng)
    )


def train(made, steps=2):
    optimizer = AnalogOptimizer(torch.optim.SGD(made.parameters(), lr=0.1))
    for _ in range(steps):
        made(torch.ones(3, 5)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@each_config
def test_a_run_goes_on_exactly_from_a_file_that_loads_safely(config):
    one, two = model(config), model(config, rng=9)
    train(one)
    state = through_a_file(one.state_dict())
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert two.load_state_dict(state) is not None
    train(one)
    train(two)
    for a, b in zip(one[1].get_weights(), two[1].get_weights(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(one(torch.ones(3, 5)), two(torch.ones(3, 5)))  # noise, too


def test_keys_are_those_of_the_contract():
    names = set(model(CONFIGS["pulsed"]).state_dict())
    assert {"1.weight", "1.bias", "1.tile.persistent_weights", "1.tile_meta"} <= names
    own = {name for name in names if name.startswith("1.")} - {"1.weight", "1.bias", "1.tile_meta"}
    assert all(name.startswith("1.tile.") for name in own)


@each_config
def test_a_digital_checkpoint_loads_into_an_analog_layer(config):
    digital = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Linear(6, 4))
    with torch.no_grad():
        digital[1].weight.mul_(0.1)  # within what devices can hold
        digital[1].bias.mul_(0.1)
    made = model(config)
    made.load_state_dict(digital.state_dict())
    w, b = made[1].get_weights()
    assert torch.allclose(w, digital[1].weight, atol=1e-6)
    assert torch.allclose(b, digital[1].bias, atol=1e-6)


@each_config
def test_an_analog_checkpoint_loads_into_a_digital_layer(config):
    made = model(config)
    train(made)
    digital = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Linear(6, 4))
    found = digital.load_state_dict(through_a_file(made.state_dict()), strict=False)
    assert found.missing_keys == []
    w, b = made[1].get_weights()
    assert torch.allclose(digital[1].weight, w, atol=1e-6)
    assert torch.allclose(digital[1].bias, b, atol=1e-6)


def test_a_state_keeps_targets_while_devices_drift():
    made = model(LEARNED).eval()
    target = made[1].get_weights()[0]
    drift_analog_weights(made, 1e6)
    state = through_a_file(made.state_dict())
    assert torch.allclose(state["1.weight"], target, atol=1e-6)
    other = model(LEARNED, rng=9).eval()
    other.load_state_dict(state)
    x = torch.ones(3, 5)
    assert torch.equal(made(x), other(x))


def test_a_calibrated_range_is_loaded_by_a_layer_without_one():
    made = model(rs.InferenceRPUConfig())
    calibrate_input_ranges(made, [torch.randn(40, 5)], "Max")
    other = model(rs.InferenceRPUConfig())
    other.load_state_dict(made.state_dict())
    assert other[1].tile.input_range == made[1].tile.input_range is not None


def test_convolutions_and_recurrent_layers_continue_too():
    made = [
        torch.nn.ModuleList(
            [
                AnalogConv2d(2, 3, 3, rpu_config=GRID, rng=rng),
                AnalogRNN(AnalogGRUCell, 3, 4, num_layers=2, dropout=0.5, rng=rng),
            ]
        )
        for rng in (0, 9)
    ]
    image, sequence = torch.ones(1, 2, 5, 5), torch.ones(4, 2, 3)
    made[0][1](sequence)
    made[1].load_state_dict(through_a_file(made[0].state_dict()))
    assert torch.equal(made[0][0](image), made[1][0](image))
    assert torch.equal(made[0][1](sequence)[0], made[1][1](sequence)[0])


def test_loading_leaves_the_callers_dict_alone():
    made = model(CONFIGS["pulsed"])
    state = made.state_dict()
    names = list(state)
    made.load_state_dict(state)
    assert list(state) == names


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("1.tile_meta"), "Missing key.*1.tile_meta"),
        (lambda s: s.pop("1.weight"), "Missing key.*1.weight"),
        (lambda s: s.update({"1.wieght": torch.ones(1)}), "Unexpected key.*1.wieght"),
        (lambda s: s.pop("1.tile.persistent_weights"), "1.*persistent_weights"),
        (lambda s: s.update({"1.tile.bias": torch.ones(7)}), r"1.*bias.*\(4,\).*\(7,\)"),
    ],
)
def test_a_state_that_does_not_fit_is_an_error_by_name(change, match):
    made = model(CONFIGS["pulsed"])
    state, before = made.state_dict(), made[1].get_weights()[0]
    change(state)
    with pytest.raises(RuntimeError, match=match):
        made.load_state_dict(state)
    assert torch.equal(made[1].get_weights()[0], before)


@each_config
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_weight_that_is_not_the_tiles_is_an_error_that_says_what_to_do(config, name):
    made = model(config)
    train(made)
    state = made.state_dict()
    state[f"1.{name}"] = state[f"1.{name}"] + 0.1
    with pytest.raises(
        RuntimeError, match=f"1.{name} is not what the tile.*Leave the entries tile"
    ):
        made.load_state_dict(state)


@each_config
@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
def test_a_state_of_another_precision_is_what_its_tile_holds(config, kind):
    made = model(config).to(kind)
    optimizer = AnalogOptimizer(torch.optim.SGD(made.parameters(), lr=0.01))
    made(torch.ones(3, 5, dtype=kind)).square().mean().backward()
    optimizer.step()
    other = model(config, rng=9)
    other.load_state_dict(through_a_file(made.state_dict()))
    assert torch.equal(other[1].get_weights()[0], made[1].get_weights()[0])


def test_a_run_in_double_precision_goes_on_exactly():
    one, two = (model(CONFIGS["ideal"], rng).double() for rng in (0, 9))
    steps = [AnalogOptimizer(torch.optim.SGD(m.parameters(), lr=0.1)) for m in (one, two)]
    x = torch.rand(3, 5, dtype=torch.float64)

    def step(made, optimizer):
        optimizer.zero_grad()
        made(x).square().sum().backward()
        optimizer.step()

    step(one, steps[0])
    two.load_state_dict(through_a_file(one.state_dict()))
    for made, optimizer in zip((one, two), steps, strict=True):
        step(made, optimizer)
    for ours, theirs in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("config", [CONFIGS["pulsed"], CONFIGS["analog bias"], LEARNED])
def test_a_bias_alone_is_not_passed_over(config):
    made = model(config)
    before = made[1].get_weights()[0]
    left = made.load_state_dict({"1.bias": torch.full((4,), 0.05)}, strict=False)
    assert "1.weight" in left.missing_keys
    assert torch.allclose(made[1].bias, torch.full((4,), 0.05), atol=1e-6)
    assert torch.allclose(made[1].get_weights()[0], before, atol=1e-6)


def test_the_state_of_other_devices_is_an_error_that_names_both():
    with pytest.raises(RuntimeError, match="ConstantStepDevice.*SoftBoundsDevice"):
        model(CONFIGS["pulsed"]).load_state_dict(model(rs.ConstantStepDevice()).state_dict())


def test_hooks_before_loading_are_called():
    made = model(CONFIGS["ideal"])

    def zeros(state, prefix, *_):
        state[f"{prefix}weight"] = torch.zeros(4, 6)

    made[1]._register_load_state_dict_pre_hook(zeros)
    made.load_state_dict({}, strict=False)
    assert not made[1].get_weights()[0].any()


def test_an_empty_state_misses_weight_and_bias():
    with pytest.raises(RuntimeError, match="1.weight.*1.bias"):
        model(CONFIGS["pulsed"]).load_state_dict({})
