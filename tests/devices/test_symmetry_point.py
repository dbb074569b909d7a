"""The symmetry point: where formulas say, and where alternating and random pulses lead."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import presets
from tests.devices.pulsed import (
    FEATURES,
    HUSH,
    flat,
    flat_named,
    held,
    numbers_of,
    one_device,
    pulse,
    pulse_each,
    pulse_in_turn,
    seen,
    tile_of,
)
from tests.naive import response
from tests.naive.tolerance import check_mean

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

WINDOW = dict(w_max=1.0, w_min=-0.6)
EXACT = 1e-9  # of a bisection in double precision
AFFINE = {
    "linear": (rs.LinearStepDevice, dict(gamma_up=0.9, gamma_down=0.7)),
    "soft bounds": (rs.SoftBoundsDevice, {}),
    "soft bounds, reference": (rs.SoftBoundsReferenceDevice, dict(reference_mean=0.15)),
}


def mean_of(device):
    """Return the mean device and the numbers of its configuration by name."""
    return numbers_of(device) | device.mean_device()._asdict()


@pytest.mark.parametrize("up_down", [0.0, 0.3, -0.3])
@pytest.mark.parametrize("name", AFFINE)
def test_affine_steps_are_equal_where_the_formula_says(name, up_down):
    kind, own = AFFINE[name]
    device = kind(up_down=up_down, **WINDOW, **own)
    expected = response.symmetry_point(mean_of(device)) - own.get("reference_mean", 0.0)
    assert device.symmetry_point() == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("device", [
    rs.ExpStepDevice(gamma_up=12.0, gamma_down=12.0),
    rs.ExpStepDevice(gamma_up=4.0, gamma_down=4.0, up_down=-0.05, A_up=0.02, A_down=0.2, **WINDOW),
    presets.ReRamESPresetDevice(),
    presets.PCMPresetDevice(),
])  # fmt: skip
def test_exponential_steps_are_equal_at_the_root_of_a_quadratic(device):
    expected = response.exponential_symmetry_point(mean_of(device))
    assert device.symmetry_point() == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("asymmetry", [0.0, 0.4, -0.3])
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.3])
@pytest.mark.parametrize("kind", [rs.PowStepDevice, rs.PowStepReferenceDevice])
def test_power_steps_are_equal_where_their_powers_are(kind, gamma, asymmetry):
    device = kind(pow_gamma=gamma, pow_up_down=asymmetry, up_down=0.2, **WINDOW)
    expected = response.power_symmetry_point(mean_of(device))
    assert device.symmetry_point() == pytest.approx(expected, abs=EXACT)
    if asymmetry == 0.0:
        om = 1.0 / (1.0 + (1.0 / 0.8) ** (1.0 / gamma))
        assert device.symmetry_point() == pytest.approx(1.0 - 1.6 * om, abs=EXACT)


def test_equal_power_steps_meet_in_the_middle_of_the_window():
    device = rs.PowStepDevice(pow_gamma=1.7, **WINDOW)
    assert device.symmetry_point() == pytest.approx(0.2, abs=EXACT)


@pytest.mark.parametrize("kind", [rs.PiecewiseStepDevice, rs.LookupTableDevice])
def test_interpolated_steps_are_equal_where_their_segments_cross(kind):
    ups, downs = (1.6, 1.2, 1.0, 0.6, 0.1), (0.2, 0.8, 1.1, 1.1, 1.5)
    names = ("piecewise", "steps") if kind is rs.PiecewiseStepDevice else ("steps", "steps")
    device = kind(**{f"{names[0]}_up": ups, f"{names[0]}_down": downs}, **WINDOW)
    (expected,) = response.piecewise_symmetry_points(-0.6, 1.0, ups, downs)
    assert device.symmetry_point() == pytest.approx(expected, abs=EXACT)


def test_of_several_points_the_one_next_to_0_is_taken():
    ups, downs = (2.0, 0.5, 2.0, 1.5, 0.5), (1.0, 1.0, 1.0, 1.0, 1.0)
    device = rs.PiecewiseStepDevice(piecewise_up=ups, piecewise_down=downs, **WINDOW)
    points = response.piecewise_symmetry_points(-0.6, 1.0, ups, downs)
    assert len(points) == 2
    assert device.symmetry_point() == pytest.approx(min(points, key=abs), abs=EXACT)


@pytest.mark.parametrize("kind", [rs.ConstantStepDevice, rs.HiddenStepDevice])
def test_constant_steps_are_equal_everywhere_or_nowhere(kind):
    assert kind().symmetry_point() == 0.0
    assert np.isnan(kind(up_down=0.1).symmetry_point())


def test_steps_that_lead_away_have_no_symmetry_point():
    growing = dict(piecewise_up=[0.5, 1.5], piecewise_down=[1.5, 0.5])
    assert np.isnan(rs.PiecewiseStepDevice(**growing, **WINDOW).symmetry_point())


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("kind", [rs.SoftBoundsReferenceDevice, rs.PowStepReferenceDevice])
def test_spreads_do_not_move_the_mean_device(kind, subtract):
    device = kind(up_down=0.2, subtract_symmetry_point=subtract, reference_mean=0.1, **WINDOW)
    spread = device.replace(reference_std=0.3)
    assert spread.symmetry_point() == pytest.approx(device.symmetry_point(), abs=EXACT)
    assert device.symmetry_point() == pytest.approx(-0.1, abs=EXACT) or not subtract


@pytest.mark.parametrize(("name", "point"), [
    ("ReRamESPresetDevice", -0.2176), ("ReRamSBPresetDevice", 0.0), ("CapacitorPresetDevice", 0.0),
    ("EcRamPresetDevice", 0.0), ("EcRamMOPresetDevice", 0.0), ("IdealizedPresetDevice", 0.0),
    ("GokmenVlasovPresetDevice", 0.0), ("PCMPresetDevice", 0.5), ("ReRamArrayOMPresetDevice", 0.0),
    ("ReRamArrayHfO2PresetDevice", 0.0),
])  # fmt: skip
def test_presets_have_the_published_symmetry_points(name, point):
    # those of steps that change along the window were found by alternating pulses: 1e-3
    assert getattr(presets, name)().symmetry_point() == pytest.approx(point, abs=1e-3)


@pytest.mark.parametrize("up_down", [0.0, 0.3, -0.3])
@pytest.mark.parametrize("name", AFFINE)
def test_alternating_pulses_end_around_the_symmetry_point_of_affine_steps(name, up_down):
    kind, own = AFFINE[name]
    device = flat(kind, up_down=up_down, dw_min=0.02, dw_min_std=HUSH, **WINDOW, **own)
    tile = tile_of(device, (1, 1), 0.4)
    dev = one_device(tile)
    low, high, contraction = response.alternating(dev)
    pairs = int(np.ceil(30.0 / (1.0 - contraction)))
    pulse_in_turn(tile, [1, -1] * pairs)
    assert abs(held(tile)[0] - low) <= 1e-6
    pulse(tile, 1)
    assert abs(held(tile)[0] - high) <= 1e-6
    assert low <= device.symmetry_point() + dev.get("reference", 0.0) <= high


CURVED = [name for name in FEATURES if name.startswith(("exp", "pow", "piece", "table"))]
CURVED.remove("piecewise, one node")  # constant steps: there is no such point


def curved(name):
    """Return a device of equal devices with steps of about 0.01."""
    steps = {} if "table" in name else dict(dw_min=0.01)
    return flat_named(name, dw_min_std=HUSH, up_down=0.05, **steps)


def largest_step(device):
    """Return the largest of all steps of the mean device."""
    weights = np.linspace(device.w_min, device.w_max, 65)
    return max(abs(device.mean_step(w, sign)) for w in weights for sign in (1.0, -1.0))


@pytest.mark.parametrize("start", [-0.5, 0.5])
@pytest.mark.parametrize("name", CURVED)
def test_alternating_pulses_end_within_a_step_of_the_symmetry_point(name, start):
    device = curved(name)
    tile = tile_of(device, (1, 1), start)
    pulse_in_turn(tile, [1, -1] * 4000)
    low = seen(tile)[0]
    pulse(tile, 1)
    middle = 0.5 * (low + seen(tile)[0])
    if name == "table of numbers":  # equal pulses never follow each other: the first rows only
        device = device.replace(steps_up=device.steps_up[0], steps_down=device.steps_down[0])
    assert abs(middle - device.symmetry_point()) <= largest_step(device)


@pytest.mark.parametrize("name", [name for name in CURVED if name != "table of numbers"])
def test_random_pulses_end_within_a_step_of_the_symmetry_point(name):
    device = curved(name).replace(dw_min_std=0.3)
    point, step = device.symmetry_point(), largest_step(device)
    shape = (1, 4000)
    tile = tile_of(device, shape, point, rng=3)
    pulses = np.random.default_rng(4).choice(np.float32([-1.0, 1.0]), size=(600, shape[1]))
    pulse_each(tile, pulses)
    check_mean(seen(tile), point, seen(tile).std(), floor=step)


def test_a_subtracted_symmetry_point_is_where_alternating_pulses_lead_every_device():
    for kind in (rs.SoftBoundsReferenceDevice, rs.PowStepReferenceDevice):
        device = kind(
            up_down=0.3, w_max=1.0, w_min=-0.5, dw_min=0.005, dw_min_std=HUSH,
            subtract_symmetry_point=True,
        )  # fmt: skip
        tile = tile_of(device, (10, 10), 0.2, rng=3)
        pulse_in_turn(tile, [1, -1] * 6000)
        hidden = tile.get_hidden_parameters()
        step = np.maximum(hidden["dwmin_up"], hidden["dwmin_down"]).ravel()
        assert (np.abs(seen(tile)) <= step).all(), kind
        assert np.ptp(hidden["reference"]) > 0.1
