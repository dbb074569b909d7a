import re
import sys

import numpy as np
import pytest

import rpusim as rs
from rpusim import presets
from rpusim.studies import MissingPackage, Response, portrait, response

SAME = dict(
    dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0, w_max=1.0, w_min=-1.0
)
QUIET = dict(SAME, dw_min_std=0.0)


def test_constant_steps_make_a_straight_ramp_up_and_down():
    curve = response(rs.ConstantStepDevice(dw_min=0.01, **QUIET), pulses=30, devices=7, start=0.1)
    n = np.concatenate([np.arange(31), np.arange(29, -1, -1)])
    np.testing.assert_allclose(curve.mean, 0.1 + 0.01 * n, atol=1e-6)
    np.testing.assert_allclose(curve.std, 0.0, atol=1e-7)


def test_as_many_pulses_down_as_up_miss_the_start_by_the_asymmetry():
    device = rs.ConstantStepDevice(dw_min=0.01, up_down=0.3, **QUIET)
    curve = response(device, pulses=20, devices=3, start=0.0)
    assert curve.mean[20] == pytest.approx(20 * 0.01, abs=1e-6)
    assert curve.mean[40] == pytest.approx(20 * 0.01 * 0.3, abs=1e-6)


def test_soft_bounds_lead_up_pulses_exponentially_to_the_bound():
    curve = response(rs.SoftBoundsDevice(dw_min=0.02, **QUIET), np.ones(80), devices=3, start=0.0)
    np.testing.assert_allclose(curve.mean, 1.0 - 0.98**curve.pulse, atol=1e-5)


def test_cycle_noise_spreads_devices_with_the_root_of_the_pulses():
    device = rs.ConstantStepDevice(dw_min=0.001, dw_min_std=0.5, **SAME)
    curve = response(device, pulses=[1] * 100, devices=4000, start=0.0, rng=3)
    expected = 0.001 * 0.5 * np.sqrt(curve.pulse[1:])
    assert np.all(np.abs(curve.std[1:] - expected) < 5 * expected / np.sqrt(2 * 4000))
    assert np.all(np.abs(curve.mean[1:] - 0.001 * curve.pulse[1:]) < 5 * expected / np.sqrt(4000))


def test_devices_differ_in_their_steps_as_configured():
    device = rs.ConstantStepDevice(dw_min=0.001, **{**QUIET, "dw_min_dtod": 0.2})
    curve = response(device, pulses=[1] * 50, devices=4000, start=0.0, rng=1)
    assert abs(curve.std[50] / 0.05 - 0.2) < 5 * 0.2 / np.sqrt(2 * 4000)


PULSED = [
    name
    for name in presets.preset_names()
    if isinstance(
        getattr(getattr(presets, name)(), "device", getattr(presets, name)()),
        rs.PulsedDevice | rs.CompoundDevice,
    )
]


@pytest.mark.parametrize("name", PULSED)
def test_every_preset_that_takes_pulses_has_a_response(name):
    curve = response(getattr(presets, name)(), pulses=40, devices=20, rng=1)
    assert curve.traces.shape == (81, 5)
    assert np.isfinite(curve.mean).all()
    if not re.match("TikiTaka|TTv2|Chopped|AGAD", name):  # 40 updates change little on the last
        assert curve.mean[40] > curve.mean[0]


def test_a_cell_moves_by_its_mean_step():
    steps = [rs.ConstantStepDevice(dw_min=step, **QUIET) for step in (0.01, 0.03)]
    cell = rs.VectorUnitCell(steps, gamma_vec=[1.0, 1.0])
    curve = response(cell, pulses=20, devices=4, start=[0.0, 0.1, 0.2, -0.3], traces=4)
    n = np.concatenate([np.arange(21), np.arange(19, -1, -1)])
    expected = np.add.outer(0.04 * n, [0.0, 0.1, 0.2, -0.3])
    np.testing.assert_allclose(curve.traces, expected, atol=1e-5)


def test_what_a_fast_device_learns_arrives_on_the_slow_one():
    soft = rs.SoftBoundsDevice(dw_min=0.01, **QUIET)
    cell = rs.TransferCompound([soft, soft], gamma=0.0, transfer_every=1.0, units_in_mbatch=False)
    config = rs.RPUConfig(device=cell)
    curve = response(config, pulses=[1] * 200, devices=5, start=0.0)
    assert curve.mean[200] > 0.1
    with pytest.raises(rs.ConfigError, match="portrait: TransferCompound is several devices"):
        portrait(curve)
    assert response(config, devices=5).pulse[-1] == 2 * 200  # a range of 2 in steps of 0.01


def test_by_default_devices_start_at_their_own_lower_bounds_and_cross_their_range():
    curve = response(rs.ConstantStepDevice(dw_min=0.02, **QUIET), devices=2)
    assert curve.mean[0] == -1.0
    assert curve.mean[100] == pytest.approx(1.0, abs=1e-5)
    assert curve.pulse[-1] == 200


def test_the_default_number_of_pulses_is_limited():
    curve = response(presets.IdealizedPresetDevice(), devices=2)
    assert curve.pulse[-1] == 2 * 2000


def test_directions_and_traces_are_recorded():
    curve = response(rs.ConstantStepDevice(), pulses=[1, 1, -1], devices=9, rng=1)
    assert isinstance(curve, Response)
    assert curve.direction.tolist() == [0, 1, 1, -1]
    assert curve.traces.shape == (4, 5)
    assert curve.devices == 9


def test_all_traces_are_kept_on_request():
    curve = response(rs.SoftBoundsDevice(), pulses=8, devices=30, traces=30)
    assert curve.traces.shape == (17, 30)
    np.testing.assert_allclose(curve.traces.mean(axis=1), curve.mean, atol=1e-6)
    np.testing.assert_allclose(curve.traces.std(axis=1), curve.std, atol=1e-6)
    assert response(rs.SoftBoundsDevice(), pulses=8, devices=3, traces=0).traces.shape == (17, 0)


def test_more_traces_than_memory_holds_are_refused():
    with pytest.raises(rs.DataError, match=r"60000 traces of 20001 weights need 4.8 GB; at most 4"):
        response(rs.SoftBoundsDevice(), pulses=10000, devices=60000, traces=60000)


def test_the_same_seed_gives_the_same_response():
    a, b, c = (response(presets.EcRamPreset(), pulses=20, devices=50, rng=s) for s in (4, 4, 5))
    assert np.array_equal(a.mean, b.mean)
    assert np.array_equal(a.traces, b.traces)
    assert not np.array_equal(a.mean, c.mean)


def test_a_response_without_a_seed_can_be_repeated_by_the_one_it_shows():
    first = response(rs.ConstantStepDevice(), pulses=5, devices=10, rng=None)
    again = response(rs.ConstantStepDevice(), pulses=5, devices=10, rng=first.seed)
    assert np.array_equal(first.traces, again.traces)


def test_of_a_configuration_only_the_device_matters():
    device = rs.LinearStepDevice()
    config = rs.RPUConfig(
        device=device,
        update=rs.UpdateParameters(desired_bl=7),
        mapping=rs.MappingParameter(weight_scaling_omega=0.3),
    )
    a, b = (response(given, pulses=10, devices=20, rng=1) for given in (device, config))
    assert np.array_equal(a.traces, b.traces)


def test_steps_larger_than_one_are_pulsed_too():
    device = rs.ConstantStepDevice(dw_min=3.0, **{**QUIET, "w_max": 10.0, "w_min": -10.0})
    assert response(device, pulses=2, devices=2, start=0.0).mean.tolist() == [0, 3, 6, 3, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((rs.IdealDevice(),), "response: IdealDevice takes no pulses"),
        ((presets.FloatingPoint(),), "response: FloatingPointDevice takes no pulses"),
        ((rs.VectorUnitCell([rs.SoftBoundsDevice()] * 2), 0), "pulses must be a positive integer"),
        ((rs.SoftBoundsDevice(), 0), "pulses must be a positive integer, got 0"),
        ((rs.SoftBoundsDevice(), 2.5), "pulses must be a positive integer, got 2.5"),
        ((rs.SoftBoundsDevice(), [1, 2]), "a list of \\+1 and -1"),
        ((rs.SoftBoundsDevice(), []), "not empty"),
        ((rs.SoftBoundsDevice(), "up"), "pulses must be a number or an array"),
        ((rs.SoftBoundsDevice(), 5, 0), "devices must be a positive integer, got 0"),
        ((rs.SoftBoundsDevice(), 5, 4, [0.0, 0.1]), "start must be a weight, or 4 of them"),
        ((rs.SoftBoundsDevice(), 5, 4, None, 0, -1), "traces must be an integer >= 0, got -1"),
        ((rs.SoftBoundsDevice,), "call it to make one"),
    ],
)
def test_what_does_not_fit_is_refused_with_reasons(arguments, message):
    with pytest.raises(rs.RpusimError, match=message):
        response(*arguments)


def test_the_picture_has_labels_and_the_mean():
    from matplotlib.figure import Figure

    curve = response(rs.ConstantStepDevice(), pulses=10, devices=20)
    axes = Figure().subplots()
    assert curve.plot(axes) is axes
    assert axes.get_xlabel() == "pulse number (10 up, then 10 down)"
    assert "weight" in axes.get_ylabel()
    assert any(np.array_equal(line.get_ydata(), curve.mean) for line in axes.lines)


def test_without_axes_pyplot_makes_a_figure():
    from matplotlib import pyplot

    axes = response(rs.ConstantStepDevice(), pulses=[-1, -1], devices=3).plot()
    assert axes.get_xlabel() == "pulse number"
    pyplot.close(axes.figure)


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    curve = response(rs.ConstantStepDevice(), pulses=2, devices=3)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = r'needs the package matplotlib: pip install "rpusim\[plot\]"'
    with pytest.raises(MissingPackage, match=message):
        curve.plot()
