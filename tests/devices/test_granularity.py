"""The weight of one pulse, by which updates are planned, and the number of states it makes."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import presets
from tests.devices.pulsed import (
    FEATURES,
    LAWS,
    flat_named,
    numbers_of,
    pulse,
    seen,
    tile_of,
)
from tests.naive.tolerance import check_mean

#: weight_granularity and number of states of the reference, from its defaults and presets
REFERENCE = {
    "ConstantStepDevice": (0.001, 1200.0),
    "LinearStepDevice": (0.001, 1200.0),
    "SoftBoundsDevice": (0.001, 1200.0),
    "SoftBoundsPmaxDevice": (0.002541494, 2000.0),
    "SoftBoundsReferenceDevice": (0.001, 1200.0),
    "ExpStepDevice": (0.0009834245, 1220.23),
    "PowStepDevice": (0.0005, 2400.0),
    "PowStepReferenceDevice": (0.0005, 2400.0),
    "PiecewiseStepDevice": (0.001, 1200.0),
    "ReRamESPresetDevice": (0.001991436, 1004.3),
    "ReRamSBPresetDevice": (0.002, 1000.0),
    "CapacitorPresetDevice": (0.005, 400.0),
    "EcRamPresetDevice": (0.002, 1000.0),
    "EcRamMOPresetDevice": (0.00028214, 7088.68),
    "IdealizedPresetDevice": (0.0002, 10000.0),
    "GokmenVlasovPresetDevice": (0.0016, 1250.0),
    "PCMPresetDevice": (0.03235, 61.8238),
    "ReRamArrayOMPresetDevice": (0.0949, 21.0748),
    "ReRamArrayHfO2PresetDevice": (0.4622, 4.32713),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_the_references_figures_are_there_for_comparisons(name):
    settings = {"reference_pmax": True} if "Pmax" in name else {}
    make = getattr(presets, name) if "Preset" in name else getattr(rs, name)
    device = make(reference_granularity=True, **settings)
    granularity, states = REFERENCE[name]
    assert device.weight_granularity == pytest.approx(granularity, rel=1e-5)
    assert device.num_states == pytest.approx(states, rel=1e-5)


@pytest.mark.parametrize(("nodes", "middle"), [([1, 2, 3, 4], 3.0), ([1, 5], 5.0), ([2], 2.0)])
def test_the_reference_takes_the_upper_middle_of_the_up_steps(nodes, middle):
    device = rs.PiecewiseStepDevice(
        piecewise_up=nodes, piecewise_down=nodes[::-1], dw_min=0.01, reference_granularity=True
    )
    assert device.weight_granularity == pytest.approx(0.01 * middle)


def sizes(device, law, w):
    """Return the sizes of both steps of the mean device at `w`, beyond bounds if need be."""
    dev = numbers_of(device) | device.mean_device()._asdict()
    return [abs(law(w, rises, dict(dev), 0.0, 0.0) - w) for rises in (True, False)]


@pytest.mark.parametrize("up_down", [0.0, 0.1])
@pytest.mark.parametrize("name", [name for name in FEATURES if "hidden" not in name])
def test_a_pulse_counts_as_the_mean_of_both_steps_at_the_symmetry_point(name, up_down):
    device = flat_named(name, **({} if "pmax" in name else dict(up_down=up_down)))
    point = device.symmetry_point()
    w = 0.0 if np.isnan(point) else point
    reference = getattr(device.mean_device(), "reference", 0.0)
    expected = np.mean(sizes(device, LAWS[name], w + reference))
    assert device.weight_granularity == pytest.approx(expected, rel=1e-8)
    window = device.w_max - device.w_min
    assert device.num_states == pytest.approx(window / expected, rel=1e-8)


@pytest.mark.parametrize("kind", [
    rs.ConstantStepDevice, rs.LinearStepDevice, rs.SoftBoundsDevice, rs.SoftBoundsReferenceDevice,
])  # fmt: skip
@pytest.mark.parametrize("window", [dict(w_min=0.0), dict(w_max=0.0)])
def test_a_window_that_begins_at_0_does_not_halve_a_pulse(kind, window):
    assert kind(dw_min=0.01, **window).weight_granularity == pytest.approx(0.01)


@pytest.mark.parametrize("asymmetry", [0.0, 0.4])
def test_a_pulse_of_a_hidden_device_is_its_share_of_a_step(asymmetry):
    device = rs.HiddenStepDevice(dw_min=0.01, hs_hidden_states=4, hs_up_down=asymmetry)
    assert device.weight_granularity == pytest.approx(0.01 * (1.0 - 0.5 * asymmetry))
    reference = device.replace(reference_granularity=True)
    assert reference.weight_granularity == pytest.approx(0.01)


@pytest.mark.parametrize("name", [name for name in FEATURES if "noisy" not in name])
def test_it_is_what_a_pulse_does_on_average_at_the_symmetry_point(name):
    settings = {} if "table" in name or "pmax" in name else dict(dw_min=0.01)
    device = flat_named(name, dw_min_std=0.3, **settings)
    point, changes = np.nan_to_num(device.symmetry_point()), []
    for direction in (1, -1):
        tile = tile_of(device, (1, 4000), point, rng=3)
        for _ in range(6 if "hidden" in name else 1):
            pulse(tile, direction)
        moved = (seen(tile) - point) / (6 if "hidden" in name else 1)
        changes.append(direction * moved)
    mean = np.mean(changes, axis=0)
    check_mean(mean, device.weight_granularity, mean.std(), floor=1e-6)


@pytest.mark.parametrize("kind", [rs.SoftBoundsDevice, rs.ExpStepDevice])
def test_a_log_normal_spread_raises_the_pulse_unless_it_keeps_the_mean(kind):
    device = kind(dw_min=0.01, dw_min_dtod=0.7)
    plain, wide = device.weight_granularity, device.replace(dw_min_dtod_log_normal=True)
    assert wide.weight_granularity == pytest.approx(plain * np.exp(0.5 * 0.7**2))
    kept = wide.replace(dw_min_dtod_mean_preserving=True)
    assert kept.weight_granularity == pytest.approx(plain)


@pytest.mark.parametrize("kind", [rs.SoftBoundsDevice, rs.ExpStepDevice])
def test_the_references_figure_does_not_know_the_mean_of_a_log_normal(kind):
    device = kind(dw_min=0.01, dw_min_dtod=0.7, reference_granularity=True)
    wide = device.replace(dw_min_dtod_log_normal=True)
    assert wide.weight_granularity == pytest.approx(device.weight_granularity)
