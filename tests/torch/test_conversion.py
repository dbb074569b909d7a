"""Conversion of models of torch: which layers, with which weights, and what is refused."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')

import rpusim as rs  # noqa: E402
from rpusim import nn  # noqa: E402
from rpusim.errors import BackendError, ClippedWeightsWarning, ConfigError  # noqa: E402
from rpusim.torch import (  # noqa: E402
    AnalogConv2d,
    AnalogGRUCell,
    AnalogLinear,
    AnalogRNN,
    convert_to_analog,
    convert_to_digital,
)

IDEAL = rs.FloatingPointRPUConfig()
SCALED = rs.InferenceRPUConfig(mapping=rs.MappingParameter(weight_scaling_omega=1.0))


def lenet():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3, padding="same"),
        torch.nn.Tanh(),
        torch.nn.Flatten(),
        torch.nn.Sequential(torch.nn.Linear(32, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3)),
    )


def kinds(model):
    return [type(m).__name__ for m in model.modules() if not isinstance(m, torch.nn.Sequential)]


X = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 1, 4, 4)).astype(np.float32))


@pytest.mark.parametrize("config", [IDEAL, SCALED])
def test_there_and_back_is_the_same_model(config):
    digital = lenet()
    analog, report = convert_to_analog(digital, config, rng=0, report=True)
    back = convert_to_digital(analog)
    assert kinds(digital) == kinds(back)
    assert [row.became for row in report.converted] == ["AnalogConv2d"] + ["AnalogLinear"] * 2
    assert report.largest_error < 1e-6
    assert torch.allclose(back(X), digital(X), atol=1e-5)
    if config is IDEAL:
        assert torch.allclose(analog(X), digital(X), atol=1e-5)
    assert {n: p.shape for n, p in analog.named_parameters()} == {
        n: p.shape for n, p in digital.named_parameters()
    }


def test_devices_are_those_of_a_conversion_in_rpusim_nn():
    config = rs.RPUConfig(device=rs.SoftBoundsDevice())
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    other = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    one, two = convert_to_analog(model, config, rng=5), nn.convert_to_analog(other, config, rng=5)
    for k in range(2):
        ours, theirs = one[k].tile.get_hidden_parameters(), two[k].tile.get_hidden_parameters()
        for name in ("max_bound", "min_bound", "dwmin_up", "dwmin_down"):
            assert np.array_equal(ours[name], theirs[name])


def test_names_and_functions_choose_layers_and_configurations():
    model = lenet()
    chosen = convert_to_analog(
        model,
        IDEAL,
        exclude="3.2",
        config_for=lambda name, layer: SCALED if name == "0" else None,
    )
    assert kinds(chosen) == ["AnalogConv2d", "Tanh", "Flatten", "AnalogLinear", "ReLU", "Linear"]
    assert chosen[0].tile.rpu_config == SCALED
    selected = convert_to_analog(model, IDEAL, select=lambda name, layer: name == "3.0")
    assert kinds(selected).count("AnalogLinear") == 1
    with pytest.raises(ConfigError, match="no part of the model is called '3.7'"):
        convert_to_analog(model, IDEAL, exclude="3.7")


def test_a_copy_is_made_unless_the_model_itself_is_to_change():
    model = lenet()
    convert_to_analog(model, IDEAL)
    assert type(model[0]) is torch.nn.Conv2d
    assert convert_to_analog(model, IDEAL, inplace=True) is model
    assert type(model[0]) is AnalogConv2d


def test_a_layer_at_two_places_stays_one_layer_on_one_tile():
    shared = torch.nn.Linear(3, 3)
    model = torch.nn.Sequential(shared, torch.nn.Tanh(), shared)
    made, report = convert_to_analog(model, IDEAL, report=True)
    assert made[0] is made[2]
    assert report.tiles == 1
    assert report.layers[0].also == ("2",)


def test_flags_modes_and_types_are_carried_over():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2)).double().eval()
    model[0].weight.requires_grad_(False)
    made = convert_to_analog(model, IDEAL)
    assert [p.requires_grad for p in made.parameters()] == [False, True, True, True]
    assert made[0].weight.dtype == torch.float64
    assert not made[0].training
    root = convert_to_analog(torch.nn.Linear(3, 2), IDEAL)
    assert type(root) is AnalogLinear


def test_clipped_weights_are_reported_by_name():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        model[0].weight.fill_(9.0)
    with pytest.warns(ClippedWeightsWarning, match="convert_to_analog: .*4 of 4 in '0'"):
        _, report = convert_to_analog(model, rs.SoftBoundsDevice(), report=True)
    assert report.clipped == 4


class Special(torch.nn.Linear):
    pass


def tied():
    model = torch.nn.Sequential(torch.nn.Embedding(4, 3), torch.nn.Linear(3, 4, bias=False))
    model[1].weight = model[0].weight
    return model


def hooked():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4))
    model[0].register_forward_hook(lambda module, given, y: 2.0 * y)
    return model


REFUSED = [
    (lambda: torch.nn.Sequential(Special(2, 2)), "0 is a Special, a subclass of Linear"),
    (lambda: torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1, groups=2)), "0 has 2 groups"),
    (
        lambda: torch.nn.Sequential(torch.nn.Conv1d(2, 2, 1, padding_mode="reflect")),
        "0 pads by 'reflect'",
    ),
    (tied, "1 shares a parameter with '0'"),
    (hooked, "0 has hooks"),
    (
        lambda: torch.nn.Sequential(torch.nn.utils.spectral_norm(torch.nn.Linear(2, 2))),
        "0 has hook",
    ),
]


@pytest.mark.parametrize(("make", "match"), REFUSED)
def test_what_nearly_fits_is_refused_or_skipped(make, match):
    with pytest.raises(ConfigError, match=f'convert_to_analog: {match}.*on_unsupported="skip"'):
        convert_to_analog(make(), IDEAL)
    with pytest.warns(UserWarning, match="nothing was converted"):
        made, report = convert_to_analog(make(), IDEAL, on_unsupported="skip", report=True)
    assert match.split(" ", 1)[1] in str(report)


def test_hooks_of_analog_layers_are_not_lost_on_the_way_back():
    analog = convert_to_analog(torch.nn.Sequential(torch.nn.Linear(3, 4)), IDEAL)
    analog[0].register_forward_hook(lambda module, given, y: 2.0 * y)
    with pytest.raises(ConfigError, match="convert_to_digital: 0 has hooks.*exclude it"):
        convert_to_digital(analog)


def test_a_layer_without_numbers_is_refused_by_name():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4, device="meta"))
    with pytest.raises(BackendError, match="convert_to_analog: 0: .*meta"):
        convert_to_analog(model, IDEAL)


def encoder():
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    return torch.nn.TransformerEncoder(layer, 2).eval()


@pytest.mark.parametrize("mask", [None, torch.tensor([[False] * 5, [False] * 3 + [True] * 2])])
def test_encoders_call_their_analog_parts_in_evaluation(mask):
    noisy = rs.InferenceRPUConfig(forward=rs.IOParameters(out_noise=0.5))
    analog = convert_to_analog(encoder(), noisy, exclude="*self_attn", rng=0)
    ideal = convert_to_analog(encoder(), IDEAL, exclude="*self_attn", rng=0)
    x = torch.rand(2, 5, 8)
    with torch.no_grad():
        y, again = (analog(x, src_key_padding_mask=mask) for _ in range(2))
        assert not torch.equal(y, again)  # noise is drawn
        exact = encoder()(x, src_key_padding_mask=mask)
        close = torch.isclose(ideal(x, src_key_padding_mask=mask), exact, atol=1e-5).all(-1)
    assert bool(close.all() if mask is None else close[~mask].all())


def test_a_tile_put_into_an_encoder_by_hand_is_called_in_evaluation():
    layer = encoder().layers[0]
    noisy = rs.InferenceRPUConfig(forward=rs.IOParameters(out_noise=0.5))
    layer.linear1 = AnalogLinear(8, 16, rpu_config=noisy, rng=0).eval()
    with torch.no_grad():
        assert not torch.equal(layer(torch.ones(2, 5, 8)), layer(torch.ones(2, 5, 8)))


def test_recurrent_layers_stay_and_are_told():
    model = torch.nn.ModuleList([AnalogRNN(AnalogGRUCell, 2, 2), AnalogLinear(2, 2)])
    with pytest.raises(ConfigError, match=r"0.cells.l0.ih is a matrix of a recurrent cell"):
        convert_to_digital(model)
    made = convert_to_digital(model, exclude="0")
    assert type(made[1]) is torch.nn.Linear
    digital = torch.nn.ModuleList([torch.nn.GRU(2, 2), torch.nn.Linear(2, 2)])
    _, report = convert_to_analog(digital, IDEAL, report=True)
    assert [row.why for row in report.skipped] == ["has no analog counterpart"]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: convert_to_analog(nn.Linear(2, 2)), "must be a module of torch, got Linear"),
        (lambda: convert_to_analog(lenet(), on_unsupported="x"), "must be 'error' or 'skip'"),
        (lambda: convert_to_analog(lenet(), inplace=1), "inplace must be True or False"),
        (lambda: convert_to_analog(lenet(), config_for=1), "config_for must be a function"),
    ],
)
def test_what_is_no_argument_is_refused(call, match):
    with pytest.raises(ConfigError, match=match):
        call()
