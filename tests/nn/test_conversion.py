"""Models change from digital to analog, back, and to other devices, and keep what they know."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from rpusim.errors import ClippedWeightsWarning, ConfigError, StateError
from rpusim.nn.conversion_registry import ANALOG_FOR, DIGITAL_FOR
from tests.naive.tolerance import check_mean, check_std, rounding

EXACT = rs.FloatingPointRPUConfig()
PERFECT = rs.IOParameters(is_perfect=True)
LIMITS = {"max_input_size": 3, "max_output_size": 2}
PULSED = rs.RPUConfig(
    device=rs.SoftBoundsDevice(w_max=2.0, w_min=-2.0), forward=PERFECT, backward=PERFECT
)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def close(a, b, size=1.0):
    np.testing.assert_allclose(a, b, rtol=0.0, atol=max(1e-6, rounding(8, size)))


class Encoder(nn.Module):
    """A user's model: layers as attributes, in a list, a tuple and a dict, one of them twice."""

    def __init__(self):
        self.first = nn.Linear(4, 4, rng=1)
        self.again = self.first
        self.blocks = [nn.Linear(4, 4, rng=2), nn.Tanh(), nn.Linear(4, 4, bias=False, rng=3)]
        self.heads = {"a": nn.Linear(4, 2, rng=4), "b": nn.Sequential(nn.Linear(4, 2, rng=5))}
        self.pair = (nn.ReLU(), self.blocks[0])

    def forward(self, x):
        x = self.again(self.first(x))
        for block in self.blocks:
            x = block(x)
        return self.heads["a"](x) + self.heads["b"](self.pair[1](self.pair[0](x)))


def kinds(model):
    return {n: type(m).__name__ for n, m in model.named_modules() if m.own_parameters()}


# ---------------------------------------------------------------- digital to analog and back


@pytest.mark.parametrize("limits", [{}, LIMITS], ids=["tiles", "grids"])
@pytest.mark.parametrize("omega", [0.0, 0.6])
@pytest.mark.parametrize("digital_bias", [True, False])
def test_an_ideal_model_goes_round(limits, omega, digital_bias):
    mapping = {**limits, "weight_scaling_omega": omega, "digital_bias": digital_bias}
    model, x = Encoder(), normal(5, 4)
    analog = nn.convert_to_analog(model, EXACT.replace(mapping=mapping), rng=1)
    back = nn.convert_to_digital(analog)
    assert set(kinds(analog).values()) == {"AnalogLinear"}
    assert kinds(back) == kinds(model)
    close(analog.eval()(x), model.eval()(x), 10.0)
    close(back.eval()(x), model(x), 10.0)
    theirs = dict(model.named_parameters())
    for name, ours in back.named_parameters():
        np.testing.assert_allclose(ours, theirs[name], rtol=0.0, atol=1e-6, err_msg=name)


def test_the_model_itself_stays_digital_unless_it_is_changed_in_place():
    model = Encoder()
    before, blocks = kinds(model), model.blocks
    nn.convert_to_analog(model, EXACT)
    assert kinds(model) == before
    assert nn.convert_to_analog(model, EXACT, inplace=True) is model
    assert model.blocks is blocks
    assert set(kinds(model).values()) == {"AnalogLinear"}
    single = nn.convert_to_analog(nn.Linear(3, 2, rng=1), EXACT, inplace=True)
    assert isinstance(single, nn.AnalogLinear)


def test_tied_layers_share_one_tile():
    for inplace in (False, True):
        made, report = nn.convert_to_analog(Encoder(), EXACT, inplace=inplace, report=True)
        assert made.first is made.again
        assert made.pair[1] is made.blocks[0]
        assert len(made.analog_layers()) == len(made.analog_tiles()) == report.tiles == 5
        assert [row.also for row in report.layers[:2]] == [("again",), ("pair.1",)]


def test_a_layer_keeps_its_mode_and_what_is_frozen():
    model = Encoder()
    model.first.freeze()
    model.blocks[0].bias.requires_grad = False
    made = nn.convert_to_analog(model.eval(), EXACT)
    assert not any(m.training for _, m in made.named_modules())
    assert not made.first.weight.requires_grad
    assert (made.blocks[0].weight.requires_grad, made.blocks[0].bias.requires_grad) == (1, 0)
    back = nn.convert_to_digital(made.train())
    assert not back.first.weight.requires_grad
    assert back.first.training


def test_learned_and_mapping_scales_become_part_of_the_weights():
    mapping = {
        "weight_scaling_omega": 0.5,
        "learn_out_scaling": True,
        "out_scaling_columnwise": True,
    }
    layer = nn.AnalogLinear(4, 3, rpu_config=EXACT.replace(mapping=mapping), rng=1)
    layer.out_scaling[...] = [0.5, 2.0, -1.0]
    back = nn.convert_to_digital(layer)
    x = normal(5, 4)
    close(back(x), layer(x))
    assert list(dict(back.named_parameters())) == ["weight", "bias"]


def test_a_mapped_layer_goes_back_and_a_converted_model_trains():
    mapped = nn.AnalogLinearMapped(4, 3, rpu_config=EXACT, rng=1)
    assert type(nn.convert_to_digital(mapped)) is nn.Linear
    chain = nn.Sequential(nn.Linear(4, 4, rng=1), nn.Tanh(), nn.Linear(4, 2, rng=2))
    models = [chain, nn.convert_to_analog(chain, EXACT)]
    x, t = normal(16, 4), normal(16, 2, seed=1)
    for model in models:
        optimizer = optim.AnalogSGD(model.parameters(), lr=0.1)
        for _ in range(10):
            _, grad = nn.mse(model(x), t)
            model.backward(grad)
            optimizer.step()
    close(models[1](x), models[0](x), 10.0)


# ---------------------------------------------------------------- what is converted


def test_patterns_and_functions_choose_layers_and_all_below_them():
    names = {"first", "blocks.0", "blocks.2", "heads.a", "heads.b.0"}

    def analog(**options):
        made = nn.convert_to_analog(Encoder(), EXACT, **options)
        return {name for name, kind in kinds(made).items() if kind == "AnalogLinear"}

    assert analog(exclude="heads.*") == names - {"heads.a", "heads.b.0"}
    assert analog(exclude="heads.b") == names - {"heads.b.0"}
    assert analog(exclude=["blocks.?", "heads.a"]) == {"first", "heads.b.0"}
    assert analog(exclude="again") == names - {"first"}  # any of its names will do
    assert analog(select="heads.*") == {"heads.a", "heads.b.0"}
    assert analog(select="blocks.*", exclude="blocks.0") == {"blocks.2"}
    small = lambda name, layer: getattr(layer, "out_features", 9) < 4  # noqa: E731
    assert analog(select=small) == {"heads.a", "heads.b.0"}
    with pytest.raises(ConfigError, match=r"exclude: no part .* 'head.a'; did you mean 'heads.a'"):
        analog(exclude="head.a")
    with pytest.raises(ConfigError, match="select must be a pattern, patterns, or a function"):
        analog(select=3)
    with pytest.warns(UserWarning, match="nothing was converted: is excluded"):
        analog(exclude="*")


def test_each_layer_may_have_a_configuration_of_its_own():
    seen = []

    def config_for(name, layer):
        seen.append((name, type(layer)))
        return rs.IdealDevice() if name.startswith("heads") else None

    made = nn.convert_to_analog(Encoder(), EXACT, exclude="blocks.0", config_for=config_for)
    assert [name for name, _ in seen] == ["first", "blocks.2", "heads.a", "heads.b.0"]
    assert isinstance(made.heads["a"].tile.rpu_config.device, rs.IdealDevice)
    assert made.first.tile.rpu_config == EXACT
    with pytest.raises(ConfigError, match=r"convert_to_analog: first: .* rpu_config must be"):
        nn.convert_to_analog(Encoder(), config_for=lambda name, layer: 3)


def test_a_layers_devices_follow_from_the_seed_and_its_name_alone():
    model = nn.Sequential(nn.Linear(4, 4, rng=1), nn.Linear(4, 4, rng=1))
    one, two = (nn.convert_to_analog(model, PULSED, rng=5, exclude=e) for e in ((), "0"))
    bounds = [m[1].tile.weight_range()[1] for m in (one, two)]
    np.testing.assert_array_equal(*bounds)
    assert (one[0].tile.weight_range()[1] != bounds[0]).any()
    _, report = nn.convert_to_analog(model, PULSED, report=True)
    again = nn.convert_to_analog(model, PULSED, rng=report.seed)
    np.testing.assert_array_equal(
        again[0].tile.weight_range()[1],
        nn.convert_to_analog(model, PULSED, rng=report.seed)[0].tile.weight_range()[1],
    )


class Doubled(nn.Linear):
    def forward(self, x):
        return super().forward(2.0 * np.asarray(x))


@pytest.mark.parametrize("layer", [Doubled(4, 4, rng=1), nn.QuantLinear(4, 4, rng=1)])
def test_a_subclass_is_not_converted_unless_somebody_says_how(layer):
    model = nn.Sequential(nn.Linear(4, 4, rng=2), layer)
    kind = type(layer).__name__
    with pytest.raises(ConfigError, match=rf"1 is a subclass of Linear, .*_conversion\({kind}"):
        nn.convert_to_analog(model, EXACT)
    made, report = nn.convert_to_analog(model, EXACT, on_unsupported="skip", report=True)
    assert type(made[1]) is type(layer)
    assert [row.name for row in report.converted] == ["0"]
    assert report.skipped[0].why.startswith("is a subclass of Linear")
    assert type(nn.convert_to_analog(model, EXACT, exclude="1")[1]) is type(layer)


def test_a_users_layer_is_converted_once_it_is_registered(monkeypatch):
    class AnalogDoubled(nn.AnalogLinear):
        def forward(self, x):
            return super().forward(2.0 * np.asarray(x))

    for table in (ANALOG_FOR, DIGITAL_FOR):
        monkeypatch.setattr(f"rpusim.nn.conversion_registry.{_name(table)}", dict(table))
    nn.register_conversion(
        Doubled,
        lambda old, config, **options: AnalogDoubled(4, 4, True, config, **options),
        lambda old: Doubled(4, 4),
        analog_class=AnalogDoubled,
    )
    model = nn.Sequential(Doubled(4, 4, rng=1))
    made = nn.convert_to_analog(model, EXACT)
    assert type(made[0]) is AnalogDoubled
    close(made(np.ones(4)), model(np.ones(4)), 4.0)
    assert type(nn.convert_to_digital(made)[0]) is Doubled
    with pytest.raises(ConfigError, match="analog_class must be a class of modules, got 3"):
        nn.register_conversion(Doubled, None, None, analog_class=3)


def _name(table):
    return "ANALOG_FOR" if table is ANALOG_FOR else "DIGITAL_FOR"


def test_what_has_no_counterpart_stays_and_shared_parameters_are_refused():
    class Shift(nn.Module):
        def __init__(self):
            self.by = nn.Parameter(np.ones(4))

    model = nn.Sequential(nn.Linear(4, 4, rng=1), Shift(), nn.Linear(4, 4, rng=2))
    _, report = nn.convert_to_analog(model, EXACT, report=True)
    assert [(row.name, row.why) for row in report.skipped] == [("1", "has no analog counterpart")]
    model[2].weight = model[0].weight
    with pytest.raises(ConfigError, match="0 shares a parameter with '2'"):
        nn.convert_to_analog(model, EXACT)
    mixed = nn.Sequential(nn.AnalogLinear(4, 4, rpu_config=EXACT, rng=1), nn.Linear(4, 2, rng=1))
    made, report = nn.convert_to_analog(mixed, PULSED, report=True)
    assert made[0].tile.rpu_config == EXACT
    assert report.layers[0].why == "is analog already"


def test_wrong_arguments_are_named():
    model = nn.Linear(2, 2, rng=1)
    for call, message in [
        (lambda: nn.convert_to_analog(3), "model must be a Module, got int"),
        (lambda: nn.convert_to_analog(model, on_unsupported="digital"), "'error' or 'skip'"),
        (lambda: nn.convert_to_analog(model, config_for=EXACT), "a function of name and layer"),
        (
            lambda: nn.convert_to_analog(model, inplace="no"),
            "analog: inplace must be True or F",
        ),
        (lambda: nn.convert_to_digital(model, inplace=None), "digital: inplace must be True or F"),
        (lambda: nn.convert_to_digital(model, realistic=2), "realistic must be True or False"),
        (lambda: nn.replace_config(model, EXACT, inplace=1), "replace_config: inplace must be Tr"),
        (lambda: nn.to_inference(model, in_place="no"), "to_inference: in_place must be True"),
        (lambda: nn.to_inference(model, report="no"), "to_inference: report must be True"),
        (lambda: nn.convert_to_analog(model, backend="gpu"), "convert_to_analog: the model: "),
    ]:
        with pytest.raises(rs.RpusimError, match=message):
            call()


# ---------------------------------------------------------------- the report


def test_clipped_weights_are_reported_by_layer_and_scaled_ones_are_not_clipped():
    model = nn.Sequential(nn.Linear(8, 4, rng=1), nn.Linear(4, 2, rng=2))
    model[0].set_weights(np.full((4, 8), 0.2))
    model[1].weight[0, :3] = 1.0, -2.0, 0.1
    config = rs.RPUConfig(device=rs.SoftBoundsDevice(w_max_dtod=0.0, w_min_dtod=0.0))
    with pytest.warns(ClippedWeightsWarning, match=r"convert_to_analog: .* hold, 2 of 10 in '1'"):
        made, report = nn.convert_to_analog(model, config, report=True)
    assert [row.clipped for row in report.layers] == [0, 2]
    assert report.largest_error == pytest.approx(2.0 - 0.6)
    assert made[1].weight[0, 1] == np.float32(-0.6)
    scaled = config.replace(mapping={"weight_scaling_omega": 0.6})
    _, report = nn.convert_to_analog(model, scaled, report=True)
    assert report.clipped == 0
    assert report.largest_error < rounding(1, 2.0)


def test_the_report_reads_as_a_table():
    model = Encoder()
    limits = rs.FloatingPointRPUConfig(mapping=LIMITS)
    _, report = nn.convert_to_analog(model, limits, exclude="heads.a", report=True)
    assert str(report).splitlines() == [
        "name       layer   became        tiles  weights  clipped  error",
        "first      Linear  AnalogLinear      4       20        0      0  also again",
        "blocks.0   Linear  AnalogLinear      4       20        0      0  also pair.1",
        "blocks.2   Linear  AnalogLinear      4       16        0      0",
        "heads.a    Linear  -                                             is excluded",
        "heads.b.0  Linear  AnalogLinear      2       10        0      0",
        "4 layers converted, 1 not; 14 tiles; 0 weights clipped, largest error 0",
    ]


# ---------------------------------------------------------------- programmed devices, reads


def test_of_programmed_devices_the_targets_become_digital_or_what_they_hold():
    layer = nn.AnalogLinear(6, 4, rpu_config=rs.InferenceRPUConfig(forward=PERFECT), rng=1).eval()
    target = np.array(layer.weight)
    layer.drift_analog_weights(1e5)
    held = np.array(layer.weight)
    np.testing.assert_array_equal(nn.convert_to_digital(layer).weight, target)
    now, report = nn.convert_to_digital(layer, from_devices=True, report=True)
    np.testing.assert_array_equal(now.weight, held)
    assert layer.tile.is_programmed
    assert (held != target).any()
    read = nn.convert_to_digital(layer, realistic=True)
    close(read.weight, held)


def test_a_realistic_conversion_has_the_errors_of_a_read():
    forward = rs.IOParameters(inp_res=0.0, out_res=0.0, out_noise=0.05)
    layer = nn.AnalogLinear(
        8, 400, False, rs.RPUConfig(device=rs.IdealDevice(), forward=forward), rng=1
    )
    found = layer.tile.read_weights(apply_weight_scaling=True)
    read = nn.convert_to_digital(layer, realistic=True)
    z = (read.weight - np.array(layer.weight)) / found.standard_error.mean()
    check_mean(z.ravel(), 0.0, 1.2)
    check_std(z.ravel() / z.std(), 1.0)
    assert 0.8 < z.std() < 1.2


def test_an_input_range_that_is_left_behind_is_told():
    ranged = rs.RPUConfig(pre_post={"input_range": {"enable": True, "init_value": 2.5}})
    layer = nn.AnalogLinear(3, 2, rpu_config=ranged, rng=1)
    _, report = nn.convert_to_digital(layer, report=True)
    assert report.layers[0].why == "without its input range 2.5"


# ---------------------------------------------------------------- other configurations


def test_another_configuration_keeps_weights_devices_and_ranges():
    ranged = PULSED.replace(pre_post={"input_range": {"enable": True}})
    model = nn.Sequential(nn.AnalogLinear(6, 4, rpu_config=ranged, rng=1), nn.Tanh())
    model[0].input_range[...] = 1.75
    noisy = ranged.replace(forward={"is_perfect": False, "out_noise": 0.1})
    made = nn.replace_config(model, noisy)
    assert made[0].tile.rpu_config.forward.out_noise == 0.1
    np.testing.assert_array_equal(made[0].weight, model[0].weight)
    np.testing.assert_array_equal(made[0].bias, model[0].bias)
    ours, theirs = (m[0].tile.get_hidden_parameters() for m in (made, model))
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name], err_msg=name)
    assert made[0].input_range == 1.75

    _, report = nn.replace_config(model, PULSED, report=True)
    assert report.layers[0].why == "without its input range"
    own = lambda name, layer: layer.tile.rpu_config.replace(mapping={**LIMITS})  # noqa: E731
    split = nn.replace_config(model, config_for=own, inplace=True)
    assert split is model
    assert len(model.analog_tiles()) == 4
    close(model[0].weight, made[0].weight)


def test_a_configuration_is_not_replaced_under_programmed_devices_or_a_waiting_update():
    model = nn.Sequential(nn.AnalogLinear(4, 2, rpu_config=rs.InferenceRPUConfig(), rng=1)).eval()
    model.program_analog_weights()
    with pytest.raises(StateError, match=r"replace_config: 0: .* restore_analog_weights\(\) first"):
        nn.replace_config(model, PULSED)
    model.restore_analog_weights()
    model.train()(np.ones((1, 4)))
    model.backward(np.ones((1, 2)))
    with pytest.raises(StateError, match=r"0: an update of its tile waits for step\(\)"):
        nn.replace_config(model, PULSED)
    model.parameters()[0].take_pairs()
    np.testing.assert_array_equal(nn.replace_config(model, PULSED)[0].weight, model[0].weight)


def test_an_analog_layer_that_nobody_registered_is_refused():
    class Odd(nn.AnalogLinear):
        pass

    model = nn.Sequential(Odd(3, 2, rpu_config=EXACT, rng=1), nn.Linear(2, 2, rng=1))
    with pytest.raises(ConfigError, match="0 is a Odd, for which register_conversion knows no"):
        nn.convert_to_digital(model)
    with pytest.warns(UserWarning, match="nothing was converted"):
        nn.replace_config(model, PULSED, on_unsupported="skip")


# ---------------------------------------------------------------- trained in place, then drifting


@pytest.mark.parametrize("limits", [{}, LIMITS], ids=["tile", "grid"])
def test_devices_trained_in_place_drift_without_a_programming_error(limits):
    omega = {"weight_scaling_omega": 0.5, **limits}
    layer = nn.AnalogLinear(6, 4, rpu_config=PULSED.replace(mapping=omega), rng=1)
    layer.bias[...] = [1.0, 2.0, 3.0, 4.0]
    model = nn.Sequential(layer, nn.ReLU())
    for _ in range(3):
        layer(normal(5, 6))
        layer.backward(normal(5, 4))
        optim.AnalogSGD(layer.parameters(), lr=0.05).step()
    config = rs.InferenceRPUConfig(
        forward=PERFECT,
        mapping=limits,
        noise_model=rs.PCMLikeNoiseModel(read_noise_scale=0.0),
        drift_compensation=None,
    )
    made = nn.to_inference(model, config, rng=1)
    assert (made.training, model.training) == (False, True)
    assert made[0].tile.is_programmed
    assert made[0].weight.tile is made[0].bias.tile is made[0].tile
    close(made[0].weight, layer.weight)
    np.testing.assert_array_equal(made[0].bias, layer.bias)
    x = normal(5, 6, seed=2)
    close(made(x), model.eval()(x), 10.0)
    made.drift_analog_weights(1e6)
    assert np.linalg.norm(made[0].weight) < 0.9 * np.linalg.norm(layer.weight)
    np.testing.assert_array_equal(made[0].weight, made[0].tile.get_weights()[0])
    made.restore_analog_weights()
    close(made[0].weight, layer.weight)

    later = nn.to_inference(model, config, in_place=False, rng=1)
    assert not later[0].tile.is_programmed
    later.program_analog_weights()
    assert np.abs(later[0].weight - layer.weight).max() > 1e-3


def test_a_model_becomes_another_chip_with_another_seed():
    model = nn.Sequential(nn.AnalogLinear(6, 4, rpu_config=PULSED, rng=1))
    drifted = []
    for seed in (1, 1, 2):
        made = nn.to_inference(model, rng=seed)
        made.drift_analog_weights(1e6)
        drifted.append(np.array(made[0].weight))
    np.testing.assert_array_equal(drifted[0], drifted[1])
    assert (drifted[0] != drifted[2]).any()


def test_a_takeover_needs_the_same_tiles_and_programmed_devices():
    model = nn.Sequential(nn.AnalogLinear(6, 4, rpu_config=PULSED, rng=1))
    with pytest.raises(ConfigError, match="to_inference: 0: the configuration must cut"):
        nn.to_inference(model, rs.InferenceRPUConfig(mapping=LIMITS))
    with pytest.raises(ConfigError, match="to_inference: 0: needs an InferenceRPUConfig, got RPU"):
        nn.to_inference(model, PULSED)
    with pytest.raises(ConfigError, match="digital_bias must be that of the tile"):
        nn.to_inference(model, rs.InferenceRPUConfig(mapping={"digital_bias": False}))
    assert type(model[0].tile) is rs.AnalogTile
