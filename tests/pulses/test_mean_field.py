"""PulseType.MEAN_FIELD: the limit of ever smaller steps, against loops and against pulses."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.devices import PulsedDevice
from tests.backends import ALL

PLAIN = {
    "dw_min_dtod": 0.0,
    "up_down_dtod": 0.0,
    "w_max_dtod": 0.0,
    "w_min_dtod": 0.0,
    "w_max": 0.8,
    "w_min": -0.6,
}
EPS = float(np.finfo(np.float32).eps)


def tile(device, kind="MEAN_FIELD", backend="cpu", shape=(3, 4)):
    update = rs.UpdateParameters(pulse_type=kind, desired_bl=8)
    made = rs.AnalogTile(*shape, rs.RPUConfig(device=device, update=update), rng=1, backend=backend)
    made.set_weights(np.zeros(shape))
    return made


@pytest.mark.parametrize("backend", ALL)
def test_it_is_a_loop_of_fractions_of_steps(backend):
    t = tile(rs.SoftBoundsDevice(dw_min=0.002, **PLAIN), backend=backend)
    rng = np.random.default_rng(0)
    x, d = rng.normal(size=(20, 4)), rng.normal(size=(20, 3))
    t.update(x, d, learning_rate=0.05)
    w = np.zeros((3, 4))
    for b in range(20):
        drive = -0.05 * np.outer(d[b], x[b])
        bound = np.where(drive > 0, 0.8, -0.6)
        w = np.clip(w + drive * (1.0 - w / bound), -0.6, 0.8)
    assert np.abs(t.get_weights()[0] - w).max() < 20 * 8 * EPS


@pytest.mark.parametrize("kind", [rs.SoftBoundsDevice, rs.PowStepDevice, rs.ExpStepDevice])
def test_the_size_of_a_step_does_not_matter(kind):
    ends = []
    for dw_min in (1e-4, 1e-2):
        t = tile(kind(dw_min=dw_min, **PLAIN))
        t.update(np.ones((30, 4)), -np.ones((30, 3)), learning_rate=0.01)
        ends.append(t.get_weights()[0])
    assert np.abs(ends[0] - ends[1]).max() < 30 * 8 * EPS + 30 * 0.01 * 1e-6  # the granularity's
    assert ends[0].min() > 0.1


def test_pulses_come_closer_in_proportion_to_the_step():
    errors = []
    for dw_min in (0.02, 0.01, 0.005, 0.0025):
        device = rs.SoftBoundsDevice(dw_min=dw_min, dw_min_std=0.0, **PLAIN)
        ends = []
        for kind in ("MEAN_FIELD", "MEAN_COUNT"):
            t = tile(device, kind)
            for _ in range(round(0.8 / (4 * dw_min))):  # 4 pulses for every vector
                t.update(np.ones(4), -np.ones(3), learning_rate=4 * dw_min)
            ends.append(float(t.get_weights()[0][0, 0]))
        errors.append(ends[0] - ends[1])
    limit = 0.8 * (1.0 - np.exp(-1.0))
    assert abs(ends[0] - limit) < 0.01
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    assert np.abs(ratios - 2.0).max() < 0.1, errors


def test_a_constant_step_is_gradient_descent_within_bounds():
    t = tile(rs.ConstantStepDevice(dw_min=0.003, **PLAIN))
    t.update([1.0, -0.5, 0.0, 3.0], [0.2, -0.1, 0.0], learning_rate=1.0)
    exact = np.clip(-np.outer([0.2, -0.1, 0.0], [1.0, -0.5, 0.0, 3.0]), -0.6, 0.8)
    assert np.abs(t.get_weights()[0] - exact).max() < 8 * EPS


class Remembering(PulsedDevice):
    """A law with state."""

    level: float = rs.per_device(0.0)
    state = ("level",)

    @staticmethod
    def pulse(w, sign, dev, model, z):
        """Move by a constant step."""
        return w + sign * dev.dwmin_up, dev.level + sign


def test_a_law_with_state_is_refused():
    t = tile(Remembering(), backend="python")
    with pytest.raises(rs.ConfigError, match="MEAN_FIELD: Remembering has hidden state"):
        t.update(np.ones(4), np.ones(3), learning_rate=0.1)
