"""What an up pulse does to w, a down pulse does to -w in the mirror image of the device."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.devices.mirror import mirror, mirror_planes
from tests.devices.pulsed import (
    FEATURES,
    HUSH,
    WalkedConstantStep,
    device_named,
    held,
    pulse,
    seen,
    tile_of,
)
from tests.naive.tolerance import rounding

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

SHAPE = (6, 7)
PULSES = 60
ASYMMETRIC = dict(up_down=0.2, w_max_dtod=0.2, w_min_dtod=0.3, reset=0.05, reset_dtod=0.02)
DEVICES = {name: device_named(name, **ASYMMETRIC) for name in FEATURES if "pmax" not in name} | {
    "constant, walked": WalkedConstantStep(dw_min=0.05, **ASYMMETRIC),
    "constant, other convention": rs.ConstantStepDevice(up_down_convention="Mean", **ASYMMETRIC),
    "constant, stuck": rs.ConstantStepDevice(
        stuck_at_max_prob=0.2, stuck_at_min_prob=0.1, corrupt_devices_prob=0.1, **ASYMMETRIC
    ),
    "linear, additive": rs.LinearStepDevice(gamma_up=0.5, mult_noise=False, **ASYMMETRIC),
    "linear, reversed": rs.LinearStepDevice(gamma_up=0.5, reverse_up=True, **ASYMMETRIC),
    "soft bounds, pmax": rs.SoftBoundsPmaxDevice(p_max=50, alpha=0.03, range_max=0.5),
    "table of all numbers": device_named("table of numbers", count_restarts=False, **ASYMMETRIC),
}
#: noise that does not know the direction of a pulse: only its law is mirrored
UNDIRECTED = (
    "constant", "constant, other convention", "constant, stuck", "exponential, complex",
)  # fmt: skip
#: interpolating from the other end rounds differently; everything else is exact
TABLES = ("piecewise", "table", "table of numbers", "table of all numbers")


def mirrored_pair(device, start=0.1):
    """Return a tile and one of its mirror images, with the same noise to come."""
    tile, image = (tile_of(d, SHAPE, rng=5) for d in (device, mirror(device)))
    planes = {name: tile.crossbar.plane(name).copy() for name in device.planes()}
    for name, plane in mirror_planes(device, planes).items():
        image.crossbar.plane(name)[:] = plane
    tile.set_weights(np.full(SHAPE, start))
    image.set_weights(np.full(SHAPE, -start))
    return tile, image


def assert_mirrored(name, a, b):
    """Compare two arrays of opposite weights."""
    allowed = rounding(PULSES, np.abs(a).max()) if name in TABLES else 0.0
    assert np.abs(a + b).max() <= allowed, f"{name}: off by {np.abs(a + b).max()}"


@pytest.mark.parametrize("name", DEVICES)
def test_the_image_takes_the_mirrored_path(name):
    device = DEVICES[name]
    if name in UNDIRECTED:
        device = device.replace(dw_min_std=HUSH)
    tile, image = mirrored_pair(device)
    assert_mirrored(name, held(tile), held(image))
    for direction in np.random.default_rng(2).choice([-1, 1], size=PULSES):
        pulse(tile, direction)
        pulse(image, -direction)
        assert_mirrored(name, held(tile), held(image))
        assert_mirrored(name, seen(tile), seen(image))


@pytest.mark.parametrize("name", UNDIRECTED)
def test_noise_that_does_not_know_the_direction_moves_both_alike(name):
    device = DEVICES[name]
    quiet = [held(tile) for tile in pulsed_once(device.replace(dw_min_std=HUSH))]
    noisy = [held(tile) for tile in pulsed_once(device)]
    moved = [a - b for a, b in zip(noisy, quiet, strict=True)]
    assert np.abs(moved[0] - moved[1]).max() <= rounding(1, 1.0)
    assert np.abs(moved[0]).max() > 0.0005


def pulsed_once(device):
    tile, image = mirrored_pair(device)
    pulse(tile, 1)
    pulse(image, -1)
    return tile, image


@pytest.mark.parametrize("name", DEVICES)
def test_reset_and_decay_lead_the_image_to_the_mirrored_target(name):
    quiet = dict(lifetime=3.0, reset_std=0.0)
    tile, image = mirrored_pair(DEVICES[name].replace(**quiet))
    for t in (tile, image):
        t.post_update_step()
    assert np.array_equal(held(tile), -held(image))
    for t in (tile, image):
        t.reset_columns()
    assert np.array_equal(seen(tile), -seen(image))


@pytest.mark.parametrize("name", DEVICES)
def test_drift_knows_no_direction(name):
    tile, image = mirrored_pair(DEVICES[name].replace(drift=dict(nu=0.1, nu_dtod=0.2)))
    for t in (tile, image):
        t.drift_weights(50.0)
    assert np.array_equal(seen(tile), -seen(image))


@pytest.mark.parametrize("name", DEVICES)
def test_a_mirror_twice_is_nothing(name):
    device = DEVICES[name]
    assert mirror(mirror(device)) == device
    planes = {n: p.copy() for n, p in tile_of(device, SHAPE).get_hidden_parameters().items()}
    planes = {n: planes[n] for n in device.planes() if n in planes}
    again = mirror_planes(mirror(device), mirror_planes(device, planes))
    for n, plane in planes.items():
        assert np.array_equal(again[n], plane), n


@pytest.mark.parametrize("name", DEVICES)
def test_the_mean_device_of_the_image_is_the_image_of_the_mean_device(name):
    device = DEVICES[name]
    expected = mirror_planes(device, device.mean_device()._asdict())
    found = mirror(device).mean_device()._asdict()
    for plane, value in expected.items():
        assert found[plane] == pytest.approx(value, rel=1e-12, abs=1e-15), plane


@pytest.mark.parametrize("name", DEVICES)
def test_the_symmetry_point_changes_sign_and_the_granularity_stays(name):
    device = DEVICES[name]
    point = device.symmetry_point()
    assert mirror(device).symmetry_point() == pytest.approx(-point, abs=1e-12, nan_ok=True)
    granularity = mirror(device).weight_granularity
    assert granularity == pytest.approx(device.weight_granularity, rel=1e-9)


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        (rs.SoftBoundsPmaxDevice(reference_pmax=True), "reference_pmax makes up and down differ"),
        (rs.SoftBoundsDevice(drift=dict(nu=0.1, nu_k=0.1)), "nu_k knows the sign of a weight"),
    ],
)
def test_what_has_no_mirror_image_is_refused(device, reason):
    with pytest.raises(rs.ConfigError, match=reason):
        mirror(device)


def test_a_drift_with_offsets_is_mirrored():
    drift = dict(nu=0.1, g_offset=3.0, wg_ratio=0.5, w_offset=0.1)
    device = rs.SoftBoundsDevice(w_max=1.0, w_min=-1.0, w_max_dtod=0, w_min_dtod=0, drift=drift)
    ends = []
    for made, sign in ((device, 1.0), (mirror(device), -1.0)):
        tile = rs.AnalogTile(2, 3, made, rng=1)
        tile.set_weights(np.full((2, 3), 0.5 * sign))
        tile.drift_weights(20.0)
        ends.append(sign * tile.get_weights()[0])
    assert np.array_equal(*ends)
    shrink = 20.0**-0.1
    assert np.allclose(ends[0], 0.5 * shrink + (3.0 * 0.5 - 0.1) * (shrink - 1.0), rtol=1e-5)
