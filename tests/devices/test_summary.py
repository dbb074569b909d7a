"""What a device's parameters come to: the summary."""

import dataclasses

import numpy as np
import pytest

import rpusim as rs
from rpusim import presets
from rpusim.devices.fabrication import Draw
from rpusim.devices.summary import LEVELS, summary


def test_the_mean_device_is_summed_up():
    device = rs.SoftBoundsReferenceDevice(
        dw_min=0.01, up_down=0.2, w_max=1.0, w_min=-0.5, reference_mean=0.1,
        dw_min_std=2.0, write_noise_std=30.0,
    )  # fmt: skip
    made = summary(device)
    point = 0.002 / (0.01 / 1.0 + 0.008 / 0.5)  # raw: where 0.01 (1 - v) = 0.008 (1 + 2 v)
    assert made.device == device
    assert made.symmetry_point == pytest.approx(point - 0.1)
    assert made.step_at_symmetry_point == pytest.approx(0.01 * (1.0 - point))
    assert made.weight_granularity == pytest.approx(made.step_at_symmetry_point)
    assert made.num_states == pytest.approx(1.5 / made.weight_granularity)
    assert made.step_up == pytest.approx(0.01 * 0.9)
    assert made.step_down == pytest.approx(0.008 * 1.2)
    assert made.asymmetry == pytest.approx((0.009 - 0.0096) / (0.009 + 0.0096))
    assert (made.lowest, made.highest) == pytest.approx((-0.6, 0.9))
    assert made.cycle_noise_up == pytest.approx(0.02)
    assert made.cycle_noise_down == pytest.approx(0.016)
    assert made.write_noise == pytest.approx(0.3)
    assert (made.devices, made.quantiles) == (0, {})


@pytest.mark.parametrize(
    ("name", "granularity", "states", "point", "cycle", "write"),
    [
        ("ReRamSBPresetDevice", 0.002, 1000.0, 0.0, 0.0075, 0.112),
        ("CapacitorPresetDevice", 0.005, 400.0, 0.0, 0.0015, 0.0),
        ("EcRamPresetDevice", 0.002, 1000.0, 0.0, 0.0006, 0.0),
        ("EcRamMOPresetDevice", 2.8214e-4, 7088.7, 0.0, 5.6428e-4, 0.0),
        ("IdealizedPresetDevice", 0.0002, 10000.0, 0.0, 6e-5, 0.0),
        ("GokmenVlasovPresetDevice", 0.0016, 1250.0, 0.0, 4.8e-4, 0.0),
    ],
)
def test_presets_have_the_published_figures(name, granularity, states, point, cycle, write):
    made = summary(getattr(presets, name)())
    assert made.weight_granularity == pytest.approx(granularity)
    assert made.num_states == pytest.approx(states, rel=1e-4)
    assert made.symmetry_point == pytest.approx(point, abs=1e-9)
    assert made.cycle_noise_up == pytest.approx(cycle, rel=1e-6)
    assert made.write_noise == pytest.approx(write)


def test_quantiles_are_those_of_the_devices_that_move():
    device = rs.SoftBoundsDevice(corrupt_devices_prob=0.2)
    planes = device.fabricate((30, 40), Draw((1, 2)))
    made, moves = summary(device, planes), planes["dwmin_up"] > 0.0
    assert made.devices == 1200
    assert made.stuck == 1200 - moves.sum() > 0
    for name, plane in (("highest", "max_bound"), ("lowest", "min_bound"), ("step_up", "dwmin_up")):
        ordered = np.sort(planes[plane][moves].astype(float))
        below = np.searchsorted(ordered, made.quantiles[name], side="right") / ordered.size
        assert np.all(np.abs(below - LEVELS) <= 1.0 / ordered.size)
    assert made.without_symmetry_point == 0


def test_devices_without_a_symmetry_point_are_counted():
    device = rs.LinearStepDevice(gamma_up_dtod=0.0, gamma_down_dtod=0.0, up_down_dtod=0.1)
    made = summary(device, device.fabricate((5, 8), Draw((1, 2))))
    assert made.without_symmetry_point == 40
    assert np.isnan(made.quantiles["symmetry_point"]).all()
    assert "40 devices, 40 without symmetry point" in str(made)


@pytest.mark.parametrize("name", [n for n in presets.preset_names() if n.endswith("PresetDevice")])
def test_every_preset_prints_a_table(name):
    device = getattr(presets, name)()
    text = str(summary(device, device.fabricate((4, 5), Draw((1, 2)))))
    figures = [f.name for f in dataclasses.fields(summary(device))][1:13]
    assert [line.split()[0] for line in text.splitlines()[2:]] == figures
    assert "nan" not in text


def test_what_takes_no_pulses_has_no_summary():
    with pytest.raises(rs.ConfigError, match="summary: IdealDevice takes no pulses"):
        summary(rs.IdealDevice())


def test_missing_planes_are_named():
    device = rs.SoftBoundsDevice()
    planes = device.fabricate((2, 2), Draw((1, 2)))
    del planes["slope_up"]
    with pytest.raises(rs.DataError, match="planes of the devices are missing: slope_up"):
        summary(device, planes)
