"""Hidden parameters are read and set by name, all or nothing; what is derived follows."""

import numpy as np
import pytest

import rpusim as rs
from tests.devices.pulsed import FEATURES, HUSH, device_named, pulse, pulse_in_turn, tile_of

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

SHAPE = (3, 4)
COMMON = [
    "max_bound", "min_bound", "dwmin_up", "dwmin_down", "decay_scales", "diffusion_rates",
    "reset_bias", "drift_nu", "persistent_weights",
]  # fmt: skip


def new_tile(device=None):
    return rs.AnalogTile(*SHAPE, device or rs.SoftBoundsDevice(), rng=1)


def assert_same(a, b):
    """Compare two dicts of arrays bit by bit."""
    assert a.keys() == b.keys()
    for name in a:
        assert np.array_equal(a[name], b[name]), name


SLOPES, GAMMAS = ["slope_up", "slope_down"], ["gamma_up", "gamma_down"]
OWN = {
    rs.ConstantStepDevice: [],
    rs.LinearStepDevice: SLOPES,
    rs.SoftBoundsDevice: SLOPES,
    rs.SoftBoundsPmaxDevice: SLOPES,
    rs.SoftBoundsReferenceDevice: [*SLOPES, "reference"],
    rs.ExpStepDevice: [],
    rs.PowStepDevice: GAMMAS,
    rs.PowStepReferenceDevice: [*GAMMAS, "reference"],
    rs.PiecewiseStepDevice: [],
    rs.LookupTableDevice: [],
    rs.HiddenStepDevice: ["hs_scale_up", "hs_scale_down", "hidden_weights"],
}


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("kind", OWN)
def test_the_names_do_not_depend_on_the_noise(kind, noise):
    settings = {"write_noise_std": noise} if issubclass(kind, rs.WriteNoiseDevice) else {}
    names = set(new_tile(kind(dw_min_std=noise, **settings)).get_hidden_parameters())
    assert names == {*COMMON, *OWN[kind]}


def test_a_table_with_rows_adds_the_number_of_pulses():
    names = set(new_tile(device_named("table of numbers")).get_hidden_parameters())
    assert names == {*COMMON, "pulse_number"}


def test_every_array_is_a_copy_of_the_devices_shape():
    tile = new_tile()
    for name, plane in tile.get_hidden_parameters().items():
        assert plane.shape == SHAPE, name
        plane[:] = 7.0
    assert (tile.get_hidden_parameters()["max_bound"] != 7.0).all()


def test_some_parameters_can_be_set_in_any_order():
    tile = new_tile()
    before = tile.get_hidden_parameters()
    changes = {"reset_bias": np.full(SHAPE, 0.25), "dwmin_up": np.full(SHAPE, 0.125)}
    tile.set_hidden_parameters(changes, recompute_derived=False)
    assert_same(tile.get_hidden_parameters(), {**before, **changes})


@pytest.mark.parametrize("name", FEATURES)
def test_setting_what_was_read_changes_nothing(name):
    rich = dict(
        lifetime=1e7, lifetime_dtod=0.1, diffusion=0.1, diffusion_dtod=0.1, reset_dtod=0.1,
        drift=dict(nu=0.1, nu_dtod=0.1), corrupt_devices_prob=0.3,
    )  # fmt: skip
    if issubclass(FEATURES[name][0], rs.WriteNoiseDevice):
        rich["write_noise_std"] = 2.0
    tile = new_tile(device_named(name, **rich))
    pulse(tile, 1, 3)
    before = tile.state_dict()
    hidden = tile.get_hidden_parameters()
    tile.set_hidden_parameters(dict(reversed(hidden.items())))
    assert_same(tile.state_dict(), before)


@pytest.mark.parametrize("name", [name for name in FEATURES if "noisy" not in name])
def test_a_tile_given_all_that_another_carries_goes_the_same_way(name):
    device = device_named(name, dw_min_std=HUSH)
    one, other = (tile_of(device, SHAPE, rng=rng) for rng in (1, 2))
    pulse(one, 1, 2)
    other.set_hidden_parameters(one.get_hidden_parameters())
    directions = np.random.default_rng(3).choice([-1, 1], size=30)
    for tile in (one, other):
        pulse_in_turn(tile, directions)
    assert_same(one.get_hidden_parameters(), other.get_hidden_parameters())
    assert np.array_equal(one.get_weights()[0], other.get_weights()[0])


def test_granularity_changes_only_when_assigned():
    tile = new_tile(rs.ConstantStepDevice(dw_min=0.01, dw_min_dtod=0.0))
    tile.set_hidden_parameters({"dwmin_up": np.full(SHAPE, 0.04)})
    assert tile.weight_granularity == pytest.approx(0.01)
    tile.weight_granularity = 0.02
    assert tile.weight_granularity == 0.02


SCALE = np.ones(SHAPE)
WRONG = {
    "an unknown name": (
        {"max_boud": SCALE},
        rs.StateError,
        r"'max_boud'; did you mean 'max_bound'\?",
    ),
    "another shape": (
        {"max_bound": np.ones((4, 3))},
        rs.ShapeError,
        r"max_bound must have shape \(3, 4\), got \(4, 3\)",
    ),
    "a number": ({"reset_bias": 0.1}, rs.ShapeError, r"must have shape \(3, 4\), got \(\)"),
    "NaN": ({"dwmin_up": np.nan * SCALE}, rs.DataError, "dwmin_up must be finite, got NaN"),
    "an infinite step": ({"dwmin_up": np.inf * SCALE}, rs.DataError, "dwmin_up must be finite"),
    "a NaN bound": ({"max_bound": np.nan * SCALE}, rs.DataError, "max_bound must be finite"),
    "crossed bounds": (
        {"max_bound": -0.5 * SCALE, "min_bound": 0.5 * SCALE},
        rs.DataError,
        "min_bound must not exceed max_bound",
    ),
    "a bound below the other one": (
        {"max_bound": -9.0 * SCALE},
        rs.DataError,
        "min_bound must not exceed max_bound",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused_changes_nothing(name):
    changes, error, message = WRONG[name]
    tile = new_tile()
    before = tile.state_dict()
    with pytest.raises(error, match=message):
        tile.set_hidden_parameters({"dwmin_down": 0.5 * SCALE, **changes})
    assert_same(tile.state_dict(), before)


@pytest.mark.parametrize("kind", [rs.FloatingPointDevice, rs.IdealDevice])
def test_numbers_have_nothing_to_set(kind):
    tile = new_tile(kind())
    assert tile.get_hidden_parameters() == {}
    tile.set_hidden_parameters({})
    with pytest.raises(rs.StateError, match=f"{kind.__name__} has no hidden parameters"):
        tile.set_hidden_parameters({"max_bound": SCALE})


def test_soft_bounds_follow_their_bounds():
    tile = new_tile()
    tile.set_hidden_parameters({"max_bound": 0.5 * SCALE})
    hidden = tile.get_hidden_parameters()
    slope = -hidden["dwmin_up"].astype(np.float64) / 0.5
    assert np.allclose(hidden["slope_up"], slope, rtol=1e-6, atol=0.0)
    pulse(tile, 1, 100000)
    assert (tile.get_weights()[0] <= 0.5).all()
    assert (tile.get_weights()[0] > 0.45).all()


@pytest.mark.parametrize("own", [False, True])
def test_each_linear_device_keeps_its_gamma(own):
    tile = new_tile(
        rs.LinearStepDevice(gamma_up=0.5, gamma_up_dtod=0.1, mean_bound_reference=not own)
    )
    before = tile.get_hidden_parameters()
    tile.set_hidden_parameters({"dwmin_up": 2.0 * before["dwmin_up"], "max_bound": SCALE})
    after = tile.get_hidden_parameters()
    reference = before["max_bound"] / 1.0 if own else 1.0
    assert np.allclose(after["slope_up"], 2.0 * before["slope_up"] * reference, rtol=1e-6)


def test_derived_parameters_stay_if_asked_to_or_if_given():
    tile = new_tile()
    before = tile.get_hidden_parameters()
    tile.set_hidden_parameters({"max_bound": SCALE}, recompute_derived=False)
    assert np.array_equal(tile.get_hidden_parameters()["slope_up"], before["slope_up"])
    tile.set_hidden_parameters({"max_bound": 2.0 * SCALE, "slope_up": -0.25 * SCALE})
    assert (tile.get_hidden_parameters()["slope_up"] == -0.25).all()


def test_new_bounds_hold_at_once():
    tile = new_tile()
    tile.set_weights(0.1 * SCALE)
    tile.set_hidden_parameters({"max_bound": 0.05 * SCALE})
    assert (tile.get_weights()[0] == np.float32(0.05)).all()
    tile.set_hidden_parameters({"persistent_weights": 0.3 * SCALE})
    assert (tile.get_weights()[0] == np.float32(0.05)).all()


def test_what_is_held_can_be_set():
    tile = new_tile(rs.SoftBoundsDevice(write_noise_std=3.0, w_max_dtod=0.0))
    seen = tile.get_weights()[0]
    kept = tile.get_hidden_parameters()["persistent_weights"]
    kept[1, 2] = 0.25
    tile.set_hidden_parameters({"persistent_weights": kept})
    assert np.array_equal(tile.get_hidden_parameters()["persistent_weights"], kept)
    assert np.flatnonzero(tile.get_weights()[0] != seen).tolist() == [6]


def test_a_negative_step_given_by_hand_goes_the_other_way():
    tile = new_tile(rs.ConstantStepDevice(dw_min_std=0.0))
    tile.set_weights(np.zeros(SHAPE))
    tile.set_hidden_parameters({"dwmin_up": -0.01 * SCALE})
    tile.update(-np.ones((1, 4)), np.ones((1, 3)), learning_rate=0.003)
    assert (tile.get_weights()[0] < 0.0).all()


@pytest.mark.parametrize("name", ["decay_scales", "diffusion_rates", "drift_nu"])
def test_what_the_configuration_has_switched_off_cannot_be_set(name):
    tile = new_tile()
    before = tile.get_hidden_parameters()
    with pytest.raises(rs.StateError, match=f"{name} has no effect: make the tile with"):
        tile.set_hidden_parameters({name: np.full(SHAPE, 0.5)})
    assert_same(tile.get_hidden_parameters(), before)
