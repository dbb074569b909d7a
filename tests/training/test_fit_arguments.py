"""What `fit` refuses: each mistake by name, before anything is trained; and losses that diverge."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from rpusim.errors import ConfigError, DataError, ShapeError, StateError

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(12, 3)).astype(np.float32), RNG.normal(size=(12, 2))


def made():
    model = nn.Sequential(nn.Linear(3, 2, rng=1))
    return model, optim.AnalogSGD(model.parameters(), lr=0.1)


def run(model, optimizer, loss=nn.mse, data=(X, T), **options):
    settings = dict(epochs=2, batch_size=4, progress=False, rng=0) | options
    return rs.fit(model, optimizer, loss, data, **settings)


def zero(y, t):
    return 0.0


MISUSES = [
    (
        {"validation": X},
        ConfigError,
        r"fit: validation must be a pair \(X, T\), got ndarray of sha",
    ),
    ({"validation": (X, T, T)}, ConfigError, "validation must be .*, got tuple of length 3"),
    ({"validation": (X, T[1:])}, ShapeError, r"fit: validation: X and T .*\(12, 3\) and \(11, 2\)"),
    ({"validation": (X[:0], T[:0])}, ShapeError, "validation: .* at least one"),
    ({"validation": (X.astype(str), T)}, DataError, "validation: X must hold real numbers"),
    ({"data": 3}, ConfigError, r"fit: data must be a pair \(X, T\), or callable, got int 3"),
    ({"data": (X, T[1:])}, ShapeError, "fit: data: X and T must hold equally many"),
    ({"data": (X, [[1], [1, 2]])}, DataError, "fit: data: T must be an array"),
    ({"data": lambda source: 3}, DataError, "data must return an iterable of batches, got int 3"),
    ({"data": lambda source: [X]}, DataError, r"batch 1 of data must be a pair \(x, t\), got nda"),
    ({"loss": 3}, ConfigError, "fit: loss must be callable, as nn.mse, got 3"),
    (
        {"loss": zero},
        DataError,
        r"fit: epoch 1, step 1: loss must return \(number, gradient\), got",
    ),
    ({"loss": lambda y, t: (y, y)}, DataError, "step 1: loss must return a real number, got nda"),
    ({"loss": lambda y, t: (1.0, None)}, DataError, "step 1: loss must return .*, got no gradient"),
    ({"schedule": 0.5}, ConfigError, "schedule must be a schedule of rpusim.optim, got 0.5"),
    (
        {"schedule": optim.StepSchedule(made()[1], 1)},
        ConfigError,
        "schedule must be made for the optimizer that is given, got a StepSchedule of another",
    ),
    ({"optimizer": made()[1]}, ConfigError, "optimizer must be made with parameters of the model"),
    ({"callbacks": print}, ConfigError, r"callbacks must be a list, as \[print\]"),
    ({"callbacks": None}, ConfigError, "callbacks must be a list of callables, got NoneType"),
    ({"callbacks": [print, 3]}, ConfigError, "callbacks: number 1 must be callable, got 3"),
    ({"metrics": [zero]}, ConfigError, "metrics must be a dict of str to callable, got list"),
    ({"metrics": {"zero": 0}}, ConfigError, "metrics: zero must be callable, got 0"),
    ({"metrics": {1: zero}}, ConfigError, "names of metrics must be strings, .* got 1"),
    *(
        ({"metrics": {name: zero}}, ConfigError, f"not one of the columns .*, got '{name}'")
        for name in ("epoch", "lr", "loss", "validation_loss")
    ),
    ({"shuffle": 1}, ConfigError, "fit: shuffle must be True or False, got 1"),
    ({"progress": None}, ConfigError, "fit: progress must be True or False, got None"),
    ({"max_norm": 0}, ConfigError, "fit: max_norm must be None or a number > 0, got 0"),
    ({"max_norm": "1"}, ConfigError, "fit: max_norm must be None or a number > 0, got '1'"),
    ({"checkpoint": 3}, ConfigError, "fit: checkpoint must be a path to a file, got 3"),
    ({"checkpoint": "no/run"}, ConfigError, "checkpoint must be in a folder that exists, got 'no/"),
    ({"checkpoint": "."}, ConfigError, "checkpoint must be a file, got the folder"),
    ({"resume": b"run"}, ConfigError, "fit: resume must be a path to a file, got b'run'"),
    (
        {"resume": "no/run"},
        ConfigError,
        "fit: resume must be in a folder that exists, got 'no/run'",
    ),
]


@pytest.mark.parametrize(("options", "error", "text"), MISUSES)
def test_a_mistake_is_told_and_nothing_is_trained(options, error, text):
    model, optimizer = made()
    before = model.state_dict()
    with pytest.raises(error, match=text):
        run(model, **{"optimizer": optimizer, "validation": (X, T)} | options)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


@pytest.mark.parametrize("value", [None, "high", np.ones(1), 1j])
def test_a_metric_that_is_no_number_is_named(value):
    with pytest.raises(DataError, match="epoch 1: metric odd must return a real number, got"):
        run(*made(), validation=(X, T), metrics={"odd": lambda y, t: value})


def test_numbers_of_any_real_type_are_taken():
    def loss(y, t):
        value, grad = nn.mse(y, t)
        return np.float32(value), grad

    metrics = {"one": lambda y, t: np.array(1), "all": lambda y, t: np.True_}
    history = run(*made(), loss, (X.tolist(), T.tolist()), validation=[X, T], metrics=metrics)
    assert history.last["one"] == history.last["all"] == 1.0
    np.testing.assert_allclose(history["loss"], run(*made())["loss"], rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, None])
def test_a_loss_that_is_not_finite_stops_before_the_step(value):
    """At the second step of the second epoch; None: the outputs, as a built-in loss finds them."""
    seen, (model, optimizer) = [], made()

    def loss(y, t):
        seen.append(model.state_dict())
        result = nn.mse(np.full_like(y, np.nan) if len(seen) == 5 and value is None else y, t)
        return (value, result[1]) if len(seen) == 5 else result

    with pytest.raises(DataError, match="fit: epoch 2, step 2: .*must be finite, got (nan|inf)"):
        run(model, optimizer, loss)
    assert len(seen) == 5
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, seen[-1][name])
        assert not np.array_equal(array, seen[-2][name])


class Own(optim.Schedule):
    """A schedule with a table and a function."""

    def __init__(self, optimizer, table, function=zero):
        self.table, self.function, self._calls = np.array(table), function, 0
        super().__init__(optimizer)

    def factor(self, count):
        self._calls += 1
        return float(self.table[min(count, len(self.table) - 1)])


SCHEDULES = {
    "StepSchedule(every=2, drop=0.5)": lambda o: optim.StepSchedule(o, 2, 0.5),
    "StepSchedule(every=1, drop=0.1)": lambda o: optim.StepSchedule(o, 1, 0.1),
    "ExponentialSchedule(drop=0.5)": lambda o: optim.ExponentialSchedule(o, 0.5),
    "WarmUp(steps=2, start=0.0, then=None)": lambda o: optim.WarmUp(o, 2),
    "WarmUp(steps=2, start=0.0, then=ExponentialSchedule(drop=0.5))": lambda o: optim.WarmUp(
        o, 2, then=optim.ExponentialSchedule(o, 0.5)
    ),
    "ReduceOnPlateau(drop=0.1, patience=1, threshold=0.0001, lowest=0.0)": lambda o: (
        optim.ReduceOnPlateau(o, patience=1)
    ),
    "ReduceOnPlateau(drop=0.1, patience=2, threshold=0.0001, lowest=0.0)": lambda o: (
        optim.ReduceOnPlateau(o, patience=2)
    ),
    "Own(table=[1.0, 0.5], function=zero)": lambda o: Own(o, [1.0, 0.5]),
    "Own(table=[1.0, 0.25], function=zero)": lambda o: Own(o, [1.0, 0.25]),
}


@pytest.mark.parametrize("saved", SCHEDULES)
def test_a_run_is_resumed_with_the_schedule_that_it_had_only(saved, tmp_path):
    path, (model, optimizer) = tmp_path / "run.npz", made()
    run(model, optimizer, schedule=SCHEDULES[saved](optimizer), checkpoint=path)
    with np.load(path, allow_pickle=False) as file:
        assert file["state/fit/schedule"] == saved
    for given, make in SCHEDULES.items():
        other, optimizer = made()
        schedule, before = make(optimizer), other.state_dict()["0.weight"].copy()
        if given == saved:
            assert len(run(other, optimizer, schedule=schedule, resume=path, epochs=3)) == 3
            continue
        with pytest.raises(StateError) as caught:
            run(other, optimizer, schedule=schedule, resume=path, epochs=3)
        assert f"fit: schedule must be {saved}, as it was, got {given}." in str(caught.value)
        np.testing.assert_array_equal(other.state_dict()["0.weight"], before)


def test_a_run_is_resumed_with_the_largest_norm_that_it_had_only(tmp_path):
    path = tmp_path / "run.npz"
    run(*made(), max_norm=2, checkpoint=path)
    for value in (1.0, None):
        with pytest.raises(StateError, match=f"max_norm must be 2.0, as it was, got {value}"):
            run(*made(), max_norm=value, resume=path)
    assert len(run(*made(), max_norm=2.0, resume=path, epochs=3)) == 3
