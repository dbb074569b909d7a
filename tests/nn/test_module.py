"""The tree of modules: names, modes, state, summary, containers."""

import numpy as np
import pytest

from rpusim import nn
from rpusim.errors import DataError, ShapeError, StateError


class Residual(nn.Module):
    """A user's model: its parts are attributes, also in a list."""

    def __init__(self, build):
        self.blocks = [build(3, 3, rng=0), build(3, 3, rng=1)]
        self.squash = nn.Tanh()

    def forward(self, x):
        for block in self.blocks:
            x = x + self.squash(block(x))
        return x

    def backward(self, grad, input_grad=True):
        for block in reversed(self.blocks):
            grad = grad + block.backward(self.squash.backward(grad))
        return grad if input_grad else None


@pytest.fixture
def model(analog_linear):
    return nn.Sequential(analog_linear(4, 3, rng=1), nn.Sigmoid(), nn.Linear(3, 2, rng=2))


def test_parts_of_a_users_model_are_found_in_attributes_and_lists(analog_linear):
    model = Residual(analog_linear)
    names = [name for name, _ in model.named_modules()]
    assert names == ["", "blocks.0", "blocks.1", "squash"]
    assert [n for n, _ in model.named_parameters()][:2] == ["blocks.0.weight", "blocks.0.bias"]
    assert model.analog_layers() == model.blocks
    assert model.analog_tiles() == [block.tile for block in model.blocks]


def test_a_users_model_goes_back_through_a_layer_it_used_twice(analog_linear):
    model, rng = Residual(analog_linear), np.random.default_rng(0)
    x, d = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    model(x)
    dx = model.backward(d)
    step, eps = rng.normal(size=(2, 3)), 1e-2
    model.eval()
    change = (d * (model(x + eps * step) - model(x - eps * step))).sum() / (2 * eps)
    assert (dx * step).sum() == pytest.approx(change, rel=1e-3)


def test_a_shared_layer_counts_once(analog_linear):
    layer = analog_linear(3, 3, rng=0)
    model = nn.Sequential(layer, nn.Tanh(), layer)
    assert len(model.parameters()) == 2
    assert len(model.analog_layers()) == len(model.analog_tiles()) == 1
    model(np.ones((2, 3)))
    model.backward(np.ones((2, 3)))
    assert len(layer.weight.pairs) == 2


def test_modes_reach_every_module(model):
    assert not any(m.training for _, m in model.eval().named_modules())
    assert all(m.training for _, m in model.train().named_modules())


def test_a_chain_indexes_slices_and_iterates(model):
    assert len(model) == 3
    assert list(model) == [model[0], model[1], model[2]]
    assert model[-1] is model[2]
    assert [layer for layer in model[:2]] == [model[0], model[1]]  # noqa: C416
    assert nn.Sequential()(5) == 5


def test_the_first_layer_and_what_comes_before_it_compute_no_input_gradient(analog_linear):
    model = nn.Sequential(nn.Sequential(nn.Tanh()), nn.ReLU(), analog_linear(3, 2, rng=0))
    for _ in range(2):
        model(np.ones((1, 3)))
        assert model.backward(np.ones((1, 2))) is None
    assert [entry[0] for entry in model[2].tile.log] == ["forward", "forward"]
    assert not model[0][0]._kept
    assert not model[1]._kept
    model(np.ones((1, 3)))
    assert model.backward(np.ones((1, 2)), input_grad=True).shape == (1, 3)


def test_state_goes_round_with_dotted_names_and_copies(model, analog_linear):
    state = model.state_dict()
    assert list(state) == ["2.weight", "2.bias", "0.tile.weight", "0.tile.bias"]
    other = nn.Sequential(analog_linear(4, 3, rng=8), nn.Sigmoid(), nn.Linear(3, 2, rng=9))
    other.load_state_dict(state)
    x = np.random.default_rng(0).normal(size=(5, 4))
    np.testing.assert_array_equal(other(x), model(x))
    state["2.weight"][...] = state["0.tile.bias"][...] = 9.0
    np.testing.assert_array_equal(other(x), model(x))


def test_names_that_do_not_fit_are_listed_with_the_nearest(model):
    state = model.state_dict()
    state["2.wieght"] = state.pop("2.weight")
    before = model.state_dict()
    with pytest.raises(StateError) as error:
        model.load_state_dict(state)
    assert str(error.value) == (
        "Sequential.load_state_dict: the names must be those of this model's state_dict(); "
        "nothing was loaded.\n  missing: '2.weight'\n"
        "  unexpected: '2.wieght'; did you mean '2.weight'?"
    )
    for name, array in before.items():
        np.testing.assert_array_equal(model.state_dict()[name], array)


def test_a_tile_without_state_and_many_wrong_names_are_told_in_short(model):
    state = {f"x{i}": np.ones(1) for i in range(20)} | {"2.weight": 1, "2.bias": 1, "0.tile": 1}
    with pytest.raises(StateError, match=r"(?s)missing: '0\.tile\.\*'.*and 14 more$"):
        model.load_state_dict(state)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("2.bias", np.ones(3), ShapeError, r"2\.bias must have shape \(2,\), got \(3,\)"),
        ("2.bias", np.array([1, np.nan]), DataError, r"2\.bias must be finite, got nan"),
        ("2.bias", np.array(["a", "b"]), DataError, r"2\.bias must hold real numbers, got <U1"),
        ("0.tile.weight", np.ones((3, 5)), ShapeError, r"0\.tile: FakeTile.* Nothing was loaded"),
        ("0.tile.extra", np.ones(1), StateError, r"0\.tile: FakeTile has"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(model, name, value, error, message):
    before = model.state_dict()
    state = {key: array + 1 for key, array in before.items()} | {name: value}
    with pytest.raises(error, match=rf"Sequential\.load_state_dict: {message}"):
        model.load_state_dict(state)
    for key, array in before.items():
        np.testing.assert_array_equal(model.state_dict()[key], array)


def test_a_tile_that_refuses_undoes_the_tiles_before_it(analog_linear):
    model = nn.Sequential(analog_linear(2, 2, rng=0), analog_linear(2, 2, rng=1))
    before, state = model.state_dict(), model.state_dict()
    state["0.tile.weight"] = state["0.tile.weight"] + 1
    state["1.tile.weight"] = np.ones((3, 3))
    with pytest.raises(ShapeError, match=r"1\.tile: FakeTile"):
        model.load_state_dict(state)
    np.testing.assert_array_equal(model.state_dict()["0.tile.weight"], before["0.tile.weight"])


def test_the_summary_lists_shapes_devices_and_numbers(model):
    class SomeDevice:
        pass

    model[0].tile.rpu_config = SomeDevice()
    assert model.summary() == (
        "name  layer         shape   device      parameters\n"
        "0     AnalogLinear  4 -> 3  SomeDevice          15\n"
        "1     Sigmoid\n"
        "2     Linear        3 -> 2  digital              8\n"
        "23 parameters, 12 analog and 11 digital"
    )


def test_reprs_show_the_tree(model):
    text = repr(nn.Sequential(nn.Sequential(nn.ReLU()), nn.Linear(2, 3, bias=False)))
    assert text == ("Sequential(\n  Sequential(\n    ReLU(),\n  ),\n  Linear(2, 3, bias=False),\n)")
    assert repr(model[0]) == "AnalogLinear(4, 3, rpu_config=None)"


def test_a_module_without_equations_says_so():
    with pytest.raises(NotImplementedError, match=r"Module does not define forward\(x\)"):
        nn.Module()(1)
    with pytest.raises(NotImplementedError, match=r"Module does not define backward"):
        nn.Module().backward(1)
