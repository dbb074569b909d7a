"""Momentum, decay and Adam equal their formulas, on arrays and on tiles that learn in digital."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from rpusim.errors import ConfigError, DataError, ShapeError, StateError
from tests.optim import naive

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")

SMALL = {"max_input_size": 3, "max_output_size": 2}
TILES = {
    "inference": rs.InferenceRPUConfig(forward=rs.IOParameters(is_perfect=True)),
    "scales": rs.InferenceRPUConfig(
        forward=rs.IOParameters(is_perfect=True),
        mapping={"weight_scaling_omega": 0.6, "weight_scaling_columnwise": True},
    ),
    "floating point": rs.FloatingPointRPUConfig(),
    "ideal": rs.RPUConfig(
        device=rs.IdealDevice(), forward={"is_perfect": True}, backward={"is_perfect": True}
    ),
    "analog bias": rs.FloatingPointRPUConfig(mapping={"digital_bias": False}),
    "grid": rs.FloatingPointRPUConfig(mapping=SMALL),
    "grid, analog bias": rs.FloatingPointRPUConfig(mapping={**SMALL, "digital_bias": False}),
}
PULSED = rs.RPUConfig(device=rs.SoftBoundsDevice())

SGD = {
    "plain": {},
    "momentum": {"momentum": 0.8},
    "nesterov": {"momentum": 0.8, "nesterov": True},
    "decay": {"weight_decay": 0.3},
    "all": {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1},
}
ADAM = {
    "adam": {},
    "betas": {"betas": (0.5, 0.7), "eps": 1e-3},
    "adam decay": {"weight_decay": 0.3},
    "adamw": {"weight_decay": 0.3, "decoupled": True},
}
RULES = {n: (optim.AnalogSGD, naive.SGD, o, 0.1) for n, o in SGD.items()}
RULES |= {n: (optim.AnalogAdam, naive.Adam, o, 0.01) for n, o in ADAM.items()}


def linear(kind, features=5, out=3, rng=0):
    if kind == "digital":
        return nn.Linear(features, out, rng=rng)
    return nn.AnalogLinear(features, out, rpu_config=TILES[kind], rng=rng)


def back(layer, rng, batch=4):
    """One forward and backward with random vectors; returns gradients of weight and bias."""
    out, features = layer.weight.shape
    x, d = rng.normal(size=(batch, features)), rng.normal(size=(batch, out))
    layer(x.astype(np.float32))
    layer.backward(d.astype(np.float32), input_grad=False)
    return d.T @ x, d.sum(axis=0)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["digital", *TILES])
def test_a_step_is_that_of_the_formula(kind, rule):
    make, formula, options, lr = RULES[rule]
    layer, rng = linear(kind), np.random.default_rng(1)
    optimizer = make(layer.parameters(), lr=lr, **options)
    w, b = (formula(a, lr, **options) for a in layer.get_weights())
    for _ in range(6):
        for mine, g in zip((w, b), back(layer, rng), strict=True):
            mine.step(g)
        optimizer.step()
    weight, bias = layer.get_weights()
    np.testing.assert_allclose(weight, w.p, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(bias, b.p, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("rule", ["momentum", "adam"])
def test_learned_output_scales_are_parameters_beside_the_weights(rule):
    make, formula, options, lr = RULES[rule]
    mapping = {"learn_out_scaling": True, "out_scaling_columnwise": True}
    config = TILES["inference"].replace(mapping=mapping)
    layer, rng = nn.AnalogLinear(5, 3, bias=False, rpu_config=config, rng=0), None
    rng = np.random.default_rng(1)
    layer.out_scaling[:] = [0.5, 2.0, 1.5]
    optimizer = make(layer.parameters(), lr=lr, **options)
    v = formula(layer.tile.trained_weights(), lr, **options)
    o = formula(layer.out_scaling.copy(), lr, **options)
    for _ in range(5):
        x, d = rng.normal(size=(4, 5)), rng.normal(size=(4, 3))
        layer(x.astype(np.float32))
        layer.backward(d.astype(np.float32), input_grad=False)
        gradients = o.p[:, None] * (d.T @ x), (d * (x @ v.p.T)).sum(axis=0)
        for mine, g in zip((v, o), gradients, strict=True):
            mine.step(g)
        optimizer.step()
    np.testing.assert_allclose(layer.out_scaling, o.p, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.get_weights()[0], o.p[:, None] * v.p, rtol=1e-4, atol=1e-5)


def test_a_rate_of_zero_remembers_and_moves_nothing():
    for kind in ("digital", "inference"):
        layer, rng = linear(kind), np.random.default_rng(1)
        optimizer = optim.AnalogSGD(layer.parameters(), lr=0.0, momentum=0.5)
        before, _ = layer.get_weights(), back(layer, rng)
        optimizer.step()
        for a, b in zip(before, layer.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        assert np.abs(optimizer.state_dict()["0.momentum"]).max() > 0


def test_clip_and_remap_follow_each_step():
    config = rs.InferenceRPUConfig(
        forward={"is_perfect": True}, clip={"type": "FIXED_VALUE", "fixed_value": 0.2}
    )
    layer = nn.AnalogLinear(5, 3, rpu_config=config, rng=0)
    optimizer = optim.AnalogAdam(layer.parameters(), lr=0.5)
    back(layer, np.random.default_rng(1))
    optimizer.step()
    assert np.abs(layer.get_weights()[0]).max() == np.float32(0.2)


def test_a_step_gives_programmed_devices_up_and_starts_from_the_targets():
    tile = rs.InferenceTile(3, 5, rng=1)
    before = tile.get_weights()[0]
    tile.program_weights()
    tile.drift_weights(1e6)
    tile.apply_step(np.full((3, 5), 0.01))
    assert not tile.is_programmed
    np.testing.assert_allclose(tile.get_weights()[0], before + 0.01, atol=1e-7)


def test_steps_of_tiles_are_checked():
    tile = rs.InferenceTile(3, 5, rng=1)
    before = tile.state_dict()
    for delta, error, text in [
        (np.ones((3, 4)), ShapeError, r"InferenceTile\.apply_step: delta must have shape \(3, 5\)"),
        (np.full((3, 5), np.nan), DataError, "delta must be finite"),
    ]:
        with pytest.raises(error, match=text):
            tile.apply_step(delta)
    for name, array in tile.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    large = PULSED.replace(mapping=SMALL)
    for pulsed in (rs.AnalogTile(3, 5, PULSED, rng=1), rs.TileGrid(3, 5, large, rng=1)):
        assert not pulsed.learns_in_digital
        with pytest.raises(StateError, match="apply_step: SoftBoundsDevice takes pulses only"):
            pulsed.apply_step(np.ones((3, 5)))


# ---------------------------------------------------------------- pulsed tiles


@pytest.mark.parametrize("config", [PULSED, PULSED.replace(mapping=SMALL)], ids=["tile", "grid"])
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda p, **o: optim.AnalogSGD(p, momentum=0.9, **o), "momentum"),
        (lambda p, **o: optim.AnalogSGD(p, weight_decay=0.1, **o), "weight_decay"),
        (lambda p, **o: optim.AnalogAdam(p, **o), "Adam"),
    ],
)
def test_what_pulses_cannot_follow_is_refused_by_name(make, what, config):
    layer = nn.AnalogLinear(5, 3, rpu_config=config, rng=0)
    kind = type(layer.tile).__name__
    message = rf"{what} cannot act on the {kind} of 5 inputs and 3 outputs: its SoftBoundsDevice"
    with pytest.raises(ConfigError, match=message):
        make(layer.parameters())
    layer.freeze()
    optimizer = make(layer.parameters())  # frozen: nobody asks it to
    layer.freeze(False)
    back(layer, np.random.default_rng(0))
    with pytest.raises(ConfigError, match=message):
        optimizer.step()
    with pytest.raises(ConfigError, match=r"analog_mode must be None or 'sgd', got 'adam'"):
        make(layer.parameters(), analog_mode="adam")


def test_pulsed_tiles_can_follow_plain_sgd_beside_adam():
    layers = [nn.AnalogLinear(5, 3, rpu_config=PULSED, rng=0) for _ in range(2)]
    weight, bias = layers[0].parameters()
    together = optim.AnalogAdam(
        [{"params": [weight], "lr": 0.1}, {"params": [bias]}], lr=0.01, analog_mode="sgd"
    )
    alone = optim.AnalogSGD([layers[1].weight], lr=0.1)
    b = naive.Adam(layers[0].get_weights()[1], 0.01)
    for step in range(4):
        for layer in layers:
            _, g = back(layer, np.random.default_rng(step))
        b.step(g)
        together.step()
        alone.step()
    np.testing.assert_array_equal(*(layer.get_weights()[0] for layer in layers))
    assert layers[0].tile.stats.pulses > 0
    np.testing.assert_allclose(layers[0].bias, b.p, atol=1e-6)


# ---------------------------------------------------------------- groups


def test_groups_have_rates_and_options_of_their_own():
    layers = [linear("digital", rng=i) for i in range(3)]
    groups = [
        {"params": layers[0].parameters()},
        {"params": layers[1].parameters(), "lr": 0.3, "momentum": 0.0},
        {"params": layers[2].parameters(), "lr": 0.05, "weight_decay": 0.2},
    ]
    optimizer = optim.AnalogSGD(groups, lr=0.1, momentum=0.5)
    assert optimizer.rates == [0.1, 0.3, 0.05]
    settings = [(0.1, 0.5, 0.0), (0.3, 0.0, 0.0), (0.05, 0.5, 0.2)]
    formulas = [
        naive.SGD(layer.weight, lr, momentum, weight_decay=decay)
        for layer, (lr, momentum, decay) in zip(layers, settings, strict=True)
    ]
    rng = np.random.default_rng(1)
    for _ in range(3):
        for layer, formula in zip(layers, formulas, strict=True):
            formula.step(back(layer, rng)[0])
        optimizer.step()
        optimizer.lr /= 2.0  # and the others' with it
        for formula in formulas:
            formula.lr /= 2.0
    np.testing.assert_allclose(optimizer.rates, [0.0125, 0.0375, 0.00625])
    for layer, formula in zip(layers, formulas, strict=True):
        np.testing.assert_allclose(layer.weight, formula.p, rtol=1e-5, atol=1e-6)


def test_tiles_have_rates_by_group():
    layers = [nn.AnalogLinear(5, 3, rpu_config=PULSED, rng=0) for _ in range(2)]
    groups = [{"params": layer.parameters(), "lr": lr} for layer, lr in zip(layers, (0.1, 0.0))]  # noqa: B905
    optimizer, before = optim.AnalogSGD(groups, lr=0.5), layers[0].get_weights()[0]
    for layer in layers:
        back(layer, np.random.default_rng(0))
    optimizer.step()
    assert not np.array_equal(layers[0].weight, before)
    np.testing.assert_array_equal(layers[1].weight, before)


def test_mistakes_in_groups_are_told():
    layer, other = linear("digital"), nn.AnalogLinear(5, 3, rpu_config=TILES["analog bias"], rng=0)
    p = layer.parameters()
    for groups, text in [
        ([{"params": p}, *other.parameters()], "must be parameters, or dicts, not both"),
        ([{"parameters": p}], r"a group is a dict with 'params', got \['parameters'\]"),
        ([{"params": p, "momentun": 0.1}], "no option 'momentun'; did you mean 'momentum'"),
        ([{"params": p, "lr": -1.0}], "lr of a group must be finite and >= 0, got -1.0"),
        ([{"params": p}, {"params": p}], "each parameter and each tile once"),
        ([{"params": []}], "must be parameters, .* got none"),
        ([{"params": [other.weight]}, {"params": [other.bias]}], "without its weight"),
    ]:
        with pytest.raises(ConfigError, match=text):
            optim.AnalogSGD(groups, lr=0.1)
    with pytest.raises(ConfigError, match=r"in proportion; lr must then be > 0, got 0"):
        optim.AnalogSGD([{"params": p, "lr": 0.1}], lr=0.0)
    for options, text in [
        ({"momentum": 1.0}, r"AnalogSGD\.momentum must be in 0 <= value < 1, got 1\.0"),
        ({"weight_decay": -1.0}, r"AnalogSGD\.weight_decay must be finite and >= 0"),
        ({"nesterov": True}, r"AnalogSGD\.nesterov needs a momentum > 0"),
    ]:
        with pytest.raises(ConfigError, match=text):
            optim.AnalogSGD(p, **options)
    for options, text in [
        ({"betas": (0.9, 1.0)}, r"AnalogAdam\.betas must be in 0 <= value < 1, got 1\.0"),
        ({"betas": 0.9}, r"AnalogAdam\.betas must be two numbers, got 0\.9"),
        ({"eps": -1.0}, r"AnalogAdam\.eps must be finite"),
    ]:
        with pytest.raises(ConfigError, match=text):
            optim.AnalogAdam(p, **options)


# ---------------------------------------------------------------- state


def network(rng):
    return nn.Sequential(
        nn.AnalogLinear(5, 4, rpu_config=PULSED, rng=rng),
        nn.Tanh(),
        nn.AnalogLinear(4, 3, rpu_config=TILES["inference"], rng=rng + 1),
        nn.Linear(3, 2, rng=rng + 2),
    )


def run(model, optimizer, steps):
    for step in steps:
        rng = np.random.default_rng(step)
        model(rng.normal(size=(4, 5)))
        model.backward(rng.normal(size=(4, 2)))
        optimizer.step()


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_training_continues_bit_for_bit_from_a_state(kind):
    def made(rng):
        model = network(rng)
        make = {
            "sgd": lambda p: optim.AnalogSGD(p, lr=0.1, momentum=0.9, analog_mode="sgd"),
            "adam": lambda p: optim.AnalogAdam(p, lr=0.01, analog_mode="sgd"),
        }[kind]
        return model, make(model.parameters())

    model, optimizer = made(1)
    run(model, optimizer, range(3))
    other, continued = made(7)
    other.load_state_dict(model.state_dict())
    continued.load_state_dict(optimizer.state_dict())
    for m, o in ((model, optimizer), (other, continued)):
        run(m, o, range(3, 6))
    for a, b in ((model, other), (optimizer, continued)):
        expected = a.state_dict()
        for name, array in b.state_dict().items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_states_that_do_not_fit_change_nothing():
    layer = linear("digital")
    optimizer = optim.AnalogAdam(layer.parameters(), lr=0.01)
    back(layer, np.random.default_rng(0))
    optimizer.step()
    before = optimizer.state_dict()
    sgd = optim.AnalogSGD(layer.parameters(), momentum=0.1).state_dict()
    for state, error, text in [
        (sgd, StateError, r"AnalogAdam\.load_state_dict: .*missing: 0\.mean, .*unknown: 0\.mom"),
        (
            {**before, "0.mean": np.zeros((2, 2), np.float32)},
            ShapeError,
            r"0\.mean must have shape",
        ),
        ({**before, "0.mean": before["0.mean"] * np.nan}, DataError, r"0\.mean must not hold NaN"),
        ({**before, "1.steps": np.array(1.5)}, DataError, r"1\.steps must be int64"),
        ({**before, "lr": np.array([-1.0, 1.0])}, ConfigError, "lr must be finite and >= 0"),
        ("file.npz", StateError, "must be a dict of arrays"),
    ]:
        with pytest.raises(error, match=text):
            optimizer.load_state_dict(state)
        for name, array in optimizer.state_dict().items():
            np.testing.assert_array_equal(array, before[name])


def test_zero_grad_never_drops_a_live_forward():
    model, rng = network(1), np.random.default_rng(0)
    optimizer = optim.AnalogSGD(model.parameters(), lr=0.1)
    model(rng.normal(size=(4, 5)))
    optimizer.zero_grad()
    model.backward(rng.normal(size=(4, 2)))
    optimizer.step()


def test_it_tells_its_options():
    p = linear("digital").parameters()
    sgd = optim.AnalogSGD(p, lr=0.1, momentum=0.9)
    assert repr(sgd) == "AnalogSGD(lr=0.1, momentum=0.9, 0 analog and 2 digital parameters)"
    groups = optim.AnalogSGD([{"params": [q]} for q in p])
    assert repr(groups) == "AnalogSGD(lr=0.1, 2 groups, 0 analog and 2 digital parameters)"
