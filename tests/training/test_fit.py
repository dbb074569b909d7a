"""The loop does what a loop written by hand does; interrupted and resumed, it ends in its bits."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from rpusim.errors import ConfigError, DataError, StateError

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")

SOFT = rs.SoftBoundsDevice(w_max=1.0, w_min=-1.0, dw_min=0.01, lifetime=500.0)
PULSED = rs.RPUConfig(device=SOFT, forward={"out_noise": 0.01})
COMPOUND = rs.RPUConfig(device=rs.TransferCompound([SOFT, SOFT], transfer_every=3.0))
AWARE = rs.InferenceRPUConfig(
    forward={"out_noise": 0.01},
    modifier={"type": "ADD_NORMAL", "std_dev": 0.05},
    clip={"type": "FIXED_VALUE", "fixed_value": 0.9},
)
RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(60, 6)).astype(np.float32), RNG.integers(0, 3, 60)
HELD = RNG.normal(size=(25, 6)), RNG.integers(0, 3, 25)


def accuracy(y, t):
    return float((y.argmax(axis=1) == t).mean())


def network(rng=1):
    return nn.Sequential(
        nn.AnalogLinear(6, 5, rpu_config=PULSED, rng=rng),
        nn.Tanh(),
        nn.AnalogLinear(5, 5, rpu_config=COMPOUND, rng=rng + 1),
        nn.Tanh(),
        nn.AnalogLinear(5, 4, rpu_config=AWARE, rng=rng + 2),
        nn.Tanh(),
        nn.Linear(4, 3, rng=rng + 3),
    )


def made(rng=1):
    model = network(rng)
    optimizer = optim.AnalogSGD(model.parameters(), lr=0.2, momentum=0.5, analog_mode="sgd")
    return model, optimizer, optim.ExponentialSchedule(optimizer, 0.8)


def run(model, optimizer, schedule, loss=nn.cross_entropy, data=(X, T), **options):
    settings = dict(epochs=4, batch_size=16, validation=HELD, metrics={"accuracy": accuracy})
    settings |= dict(max_norm=2.0, progress=False) | options
    return rs.fit(model, optimizer, loss, data, schedule=schedule, **settings)


def state_of(history, *objects):
    states = [history.state_dict(), *(thing.state_dict() for thing in objects)]
    return {f"{i}.{name}": a for i, state in enumerate(states) for name, a in state.items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_it_is_the_loop_that_one_would_write():
    model, optimizer, schedule = made()
    history = run(model, optimizer, schedule, epochs=2, rng=5)
    other, opt, sched = made()
    for epoch in range(2):
        total = 0.0
        order = np.random.SeedSequence(5, spawn_key=(epoch,))
        for x, t in nn.batches(X, T, size=16, rng=order):
            loss, grad = nn.cross_entropy(other(x), t)
            other.backward(grad)
            optim.clip_grad_norm(other.parameters(), 2.0)
            opt.step()
            total += loss * len(x)
        other.eval()
        results = [(other(x), t) for x, t in nn.batches(*HELD, size=16, shuffle=False)]
        other.train()
        sched.step()
        assert history["loss"][epoch] == total / 60
        shown = sum(nn.cross_entropy(y, t)[0] * len(t) for y, t in results) / 25
        assert history["validation_loss"][epoch] == pytest.approx(shown, rel=1e-12)
        right = sum(accuracy(y, t) * len(t) for y, t in results) / 25
        assert history["accuracy"][epoch] == pytest.approx(right, rel=1e-12)
    assert_same(model.state_dict(), other.state_dict())
    assert history["lr"].tolist() == [0.2, 0.2 * 0.8]
    assert model.training


class Interrupting:
    """A loss that is interrupted at one of its calls."""

    def __init__(self, call):
        self.left = call

    def __call__(self, y, t):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return nn.cross_entropy(y, t)


@pytest.fixture(scope="module")
def whole():
    objects = made()
    return state_of(run(*objects, rng=5), *objects)


@pytest.mark.parametrize("call", [1, 3, 5, 10, 13, 23])  # in training and in evaluation
@pytest.mark.parametrize("same", [True, False])
def test_an_interrupted_and_resumed_run_ends_in_the_same_bits(call, same, whole, tmp_path):
    path, objects = tmp_path / "run.npz", made()
    with pytest.raises(KeyboardInterrupt):
        run(*objects, loss=Interrupting(call), checkpoint=path, rng=5)
    objects = objects if same else made(rng=77)
    history = run(*objects, checkpoint=path, resume=path)
    assert_same(state_of(history, *objects), whole)
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


def test_a_checkpoint_for_each_epoch_can_be_resumed_and_a_finished_run_has_nothing_left(
    whole, tmp_path
):
    run(*made(), checkpoint=tmp_path / "run-{epoch}.npz", rng=5)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"run-{e}.npz" for e in range(5)]
    for epoch in (0, 2, 4):
        objects = made(rng=9)
        history = run(*objects, resume=tmp_path / f"run-{epoch}.npz")
        assert_same(state_of(history, *objects), whole)
    model = network(rng=9)
    rs.load(tmp_path / "run-4.npz", into={"model": model})  # for use, without the rest
    assert_same(model.state_dict(), {n[2:]: a for n, a in whole.items() if n.startswith("1.")})


def test_equal_runs_write_equal_files(tmp_path):
    for name in "ab":
        run(*made(), epochs=1, checkpoint=tmp_path / name, rng=5)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_checkpoint_of_another_run_is_refused_and_changes_nothing(tmp_path):
    path = tmp_path / "run.npz"
    run(*made(), epochs=1, checkpoint=path, rng=5)
    model, optimizer, schedule = objects = made(rng=3)
    before = state_of(rs.History(), *objects)
    whole = path.read_bytes()

    def attempt(text, *given, error=StateError, **options):
        with pytest.raises(error, match=text):
            run(*(given or objects), resume=path, **options)
        assert_same(state_of(rs.History(), *objects), before)

    attempt("fit: batch_size must be 16, as it was, got 8", batch_size=8)
    attempt("fit: samples must be 60, as it was, got 59", data=(X[1:], T[1:]))
    attempt("fit: shuffled must be 1, as it was, got 0", shuffle=False)
    attempt("scheduled must be 1, as it was, got 2", schedule_every="step")
    attempt("rng must be None, or the seed 5 as it was, got 6", rng=6)
    attempt("columns must be epoch, lr, loss, validation_loss, got .*accuracy", metrics=None)
    attempt("scheduled must be 1, as it was, got 0", model, optimizer, None)
    plain = optim.AnalogSGD(model.parameters(), lr=0.1)
    exponential = optim.ExponentialSchedule(plain, 0.8)
    attempt("optimizer: AnalogSGD.load_state_dict: .*unknown", model, plain, exponential)
    path.write_bytes(whole[: len(whole) // 2])
    attempt("is not a complete file of rpusim.save")
    rs.save(path, model)
    attempt("holds one object, not fit, history, model, optimizer, schedule")


def test_patience_callbacks_and_schedules_by_step():
    seen = []

    def stop(epoch, values):
        seen.append((epoch, sorted(values)))
        return epoch == 3

    history = run(*made(), epochs=9, callbacks=[stop], rng=1)
    assert len(history) == 3
    names = ["accuracy", "epoch", "loss", "lr", "validation_loss"]
    assert seen == [(e, names) for e in (1, 2, 3)]

    model, optimizer, schedule = made()
    history = run(model, optimizer, schedule, epochs=30, patience=2, min_delta=10.0, rng=1)
    assert len(history) == 3  # the first is the lowest; then two without a lower one
    assert history.waited("validation_loss", 10.0) == 2

    model, optimizer, schedule = made()
    history = run(model, optimizer, schedule, epochs=2, schedule_every="step", rng=1)
    np.testing.assert_allclose(history["lr"], [0.2, 0.2 * 0.8**4])

    model, optimizer, _ = made()
    schedule = optim.ReduceOnPlateau(optimizer, factor=0.5, patience=1, threshold=0.9)
    history = run(model, optimizer, schedule, epochs=5, rng=1)
    assert history["lr"].tolist() == [0.2, 0.2, 0.2, 0.1, 0.1]


def test_a_run_that_a_callback_stopped_stays_stopped(tmp_path):
    path, objects = tmp_path / "run.npz", made()
    first = run(*objects, checkpoint=path, callbacks=[lambda e, v: e == 2], rng=1)
    again = run(*made(), resume=path)
    assert_same(first.state_dict(), again.state_dict())


def test_data_may_be_a_function_of_the_epochs_seed(tmp_path):
    def batches(source):
        rng = np.random.default_rng(source)
        for _ in range(3):
            chosen = rng.integers(0, 60, 8)
            yield X[chosen], T[chosen]

    objects, path = made(), tmp_path / "run.npz"
    expected = state_of(run(*objects, data=batches, rng=5), *objects)
    run(*made(), data=batches, rng=5, epochs=2, checkpoint=path)
    objects = made(rng=8)
    history = run(*objects, data=batches, resume=path)
    assert_same(state_of(history, *objects), expected)
    with pytest.raises(DataError, match="data gave no batch"):
        run(*made(), data=lambda source: iter(()))


def test_mistakes_are_told():
    model, optimizer, schedule = made()
    for options, text in [
        ({"epochs": 0}, "epochs must be a positive integer, got 0"),
        ({"batch_size": 2.5}, "batch_size must be a positive integer, got 2.5"),
        ({"schedule_every": "batch"}, "schedule_every must be 'epoch' or 'step', got 'batch'"),
        ({"monitor": "acuracy"}, "monitor must be one of loss, validation_loss, accuracy, got"),
        ({"validation": None}, r"metrics are evaluated on validation=\(X, T\)"),
        ({"patience": 0}, "patience must be a positive integer"),
    ]:
        with pytest.raises(ConfigError, match=text):
            run(model, optimizer, schedule, **options)
    with pytest.raises(ConfigError, match="fit needs a model and its optimizer, got AnalogSGD"):
        run(optimizer, model, schedule)


def test_modes_come_back_and_the_history_is_a_table_and_a_picture():
    model, optimizer, schedule = made()
    model.eval()
    history = run(model, optimizer, schedule, epochs=2)
    assert not any(module.training for _, module in model.named_modules())
    assert repr(history).startswith("History(2 epochs: epoch=2, lr=0.16, loss=")
    table = pytest.importorskip("pandas") and history.to_pandas()
    assert table.columns.tolist() == ["epoch", "lr", "loss", "validation_loss", "accuracy"]
    pytest.importorskip("matplotlib")
    labels = [line.get_label() for line in history.plot().get_lines()]
    assert labels == ["loss", "validation loss", "accuracy"]
    with pytest.raises(StateError, match="the columns are epoch, lr, loss"):
        history.append({"loss": 1.0})
    with pytest.raises(DataError, match="columns must be of numbers and of one length"):
        history.load_state_dict({"loss": np.zeros(2), "lr": np.zeros(3)})
