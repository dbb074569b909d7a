"""Schedules: rates by formula, groups in proportion, states that continue."""

import math

import numpy as np
import pytest

from rpusim import nn, optim
from rpusim.errors import ConfigError, DataError, StateError

MADE = {
    "step": lambda o: optim.StepSchedule(o, every=3, factor=0.5),
    "exponential": lambda o: optim.ExponentialSchedule(o, 0.9),
    "cosine": lambda o: optim.CosineSchedule(o, 8, lowest=0.1),
    "warm-up": lambda o: optim.WarmUp(o, 4, start=0.2),
    "warm-up, cosine": lambda o: optim.WarmUp(o, 4, then=optim.CosineSchedule(o, 8)),
    "plateau": lambda o: optim.ReduceOnPlateau(o, factor=0.5, patience=1),
}
FACTOR = {
    "step": lambda k: 0.5 ** (k // 3),
    "exponential": lambda k: 0.9**k,
    "cosine": lambda k: 0.1 + 0.45 * (1 + math.cos(math.pi * min(k, 8) / 8)),
    "warm-up": lambda k: min(0.2 + 0.2 * k, 1.0),
    "warm-up, cosine": lambda k: (
        k / 4 if k < 4 else 0.5 * (1 + math.cos(math.pi * min(k - 4, 8) / 8))
    ),
    "plateau": lambda k: 0.5 ** (max(k - 1, 0) // 2),  # of a value that never falls
}


def optimizer(lr=0.4):
    weight, bias = nn.Linear(2, 1, rng=0).parameters()
    return optim.AnalogSGD([{"params": [weight]}, {"params": [bias], "lr": lr / 2}], lr=lr)


@pytest.mark.parametrize("kind", MADE)
def test_rates_follow_the_formula_and_groups_in_proportion(kind):
    o = optimizer()
    schedule = MADE[kind](o)
    for k in range(14):
        assert o.lr == pytest.approx(0.4 * FACTOR[kind](k), rel=1e-12, abs=1e-15)
        assert o.rates == pytest.approx([o.lr, o.lr / 2])
        schedule.step(1.0)


@pytest.mark.parametrize("kind", MADE)
def test_a_restored_schedule_continues(kind):
    first, second = optimizer(), optimizer(0.3)
    schedule, other = MADE[kind](first), MADE[kind](second)
    for k in range(5):
        schedule.step(1.0 / (1 + k // 2))
    other.load_state_dict(schedule.state_dict())
    for _ in range(5):
        assert first.lr == second.lr
        schedule.step(1.0)
        other.step(1.0)


def test_a_rate_that_somebody_changed_is_what_a_restored_schedule_goes_on_with():
    o, other = optimizer(), optimizer(0.3)
    schedule, restored = MADE["step"](o), MADE["step"](other)
    schedule.step()
    o.lr = 0.123
    restored.load_state_dict(schedule.state_dict())
    assert other.lr == 0.123
    for s in (schedule, restored):
        s.step()
        s.step()
    assert o.lr == other.lr == 0.2


def test_a_plateau_is_what_does_not_fall_by_the_threshold():
    o = optimizer(1.0)
    schedule = optim.ReduceOnPlateau(o, factor=0.1, patience=2, threshold=0.01, lowest=0.05)
    rates = []
    for value in [1.0, 0.995, 0.991, 0.992, 0.98, 0.98, 0.98, 0.5, -1.0, -1.001, -1.002, -1.003]:
        schedule.step(value)
        rates.append(o.lr)
    np.testing.assert_allclose(rates, [1, 1, 1, 0.1, *[0.1] * 7, 0.05])


def test_mistakes_are_told():
    o = optimizer()
    for call, error, text in [
        (lambda: optim.StepSchedule(o, every=0), ConfigError, "every must be a positive integer"),
        (lambda: optim.CosineSchedule(o, 3, lowest=-1), ConfigError, "lowest must be finite"),
        (lambda: optim.ExponentialSchedule(3, 0.5), ConfigError, "must have a rate lr, got 3"),
        (lambda: optim.ReduceOnPlateau(o).step(), DataError, "must be a finite number, got None"),
        (lambda: optim.WarmUp(o, 2, then=MADE["plateau"](o)), ConfigError, "with a factor"),
        (
            lambda: MADE["step"](o).load_state_dict(MADE["plateau"](o).state_dict()),
            StateError,
            r"StepSchedule\.load_state_dict: .* unknown: best, counters",
        ),
    ]:
        with pytest.raises(error, match=text):
            call()
    assert repr(MADE["step"](o)) == "StepSchedule(count=0, lr=0.4)"
