import sys
from types import SimpleNamespace

import numpy as np
import pytest

import rpusim as rs
from rpusim import presets
from rpusim.studies import Dataset, MissingPackage, load_digits, train_classifier

DEVICE = presets.GokmenVlasovPresetDevice()


@pytest.fixture(scope="module")
def blobs():
    """Three clouds in four dimensions: learnt in a few epochs."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 150)
    x = 2.0 * np.eye(3, 4)[labels] + 0.2 * rng.standard_normal((150, 4))
    return Dataset(x[:100].astype("f4"), labels[:100], x[100:].astype("f4"), labels[100:])


@pytest.fixture(scope="module")
def run(blobs):
    return train_classifier(DEVICE, blobs, hidden=(6,), epochs=20, rng=1)


def test_the_digits_are_the_published_split():
    data = load_digits()
    assert data.train_x.shape == (1437, 64)
    assert data.test_x.shape == (360, 64)
    assert data.train_x.dtype == np.float32
    assert data.train_x.min() == 0.0
    assert data.train_x.max() == 1.0
    assert np.bincount(np.concatenate([data.train_t, data.test_t])).tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180
    ]  # fmt: skip
    order = np.random.default_rng(0).permutation(1797)
    assert data.test_t[0] == load_all()[order[1437]]


def load_all():
    from sklearn.datasets import load_digits as load

    return load(return_X_y=True)[1]


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    message = r'needs the package scikit-learn: pip install "rpusim\[demo\]"'
    with pytest.raises(MissingPackage, match=message):
        load_digits()


def test_digits_are_learnt_in_floating_point():
    run = train_classifier(presets.FloatingPoint(), load_digits(), epochs=8, rng=1)
    assert run.final_accuracy > 0.8  # the reference's mean of epochs 4 to 8: 0.86, spread 0.03
    assert run.loss[-1] < 0.5 * run.loss[0]
    assert run.sizes == (64, 32, 10)
    assert run.pulses == 0


def test_devices_learn_by_pulses(run):
    assert run.final_accuracy > 0.9
    assert run.loss[-1] < run.loss[0]
    assert run.pulses > 1000


def test_the_same_seed_repeats_the_run(run, blobs):
    again = train_classifier(DEVICE, blobs, hidden=(6,), epochs=20, rng=1)
    assert np.array_equal(again.accuracy, run.accuracy)
    assert np.array_equal(again.loss, run.loss)
    assert again.pulses == run.pulses
    assert all(map(np.array_equal, again.weights_after, run.weights_after))


def test_a_run_without_a_seed_can_be_repeated_by_the_one_it_shows(blobs):
    first = train_classifier(rs.IdealDevice(), blobs, epochs=1, rng=None)
    again = train_classifier(rs.IdealDevice(), blobs, epochs=1, rng=first.seed)
    assert np.array_equal(first.loss, again.loss)


def test_systems_with_the_same_seed_start_from_the_same_weights(run, blobs):
    other = train_classifier(presets.FloatingPoint(), blobs, hidden=(6,), epochs=1, rng=1)
    assert [w.shape for w in run.weights_before] == [(6, 4), (3, 6)]
    for w, bounded in zip(other.weights_before, run.weights_before, strict=True):
        inside = np.abs(bounded) < 0.1  # bounds of the devices clip the largest
        assert inside.any()
        assert np.array_equal(w[inside], bounded[inside])


def test_layers_and_tiles_have_streams_of_their_own(run):
    assert not np.array_equal(run.weights_before[0][:3, :4], run.weights_before[1][:3, :4])


def test_the_configuration_is_kept_and_survives_a_dict(run):
    assert run.config == rs.RPUConfig(device=DEVICE)
    assert rs.RPUConfig.from_dict(run.config.to_dict()) == run.config


def test_final_accuracy_is_the_mean_of_the_last_five_epochs(run):
    assert run.final_accuracy == pytest.approx(run.accuracy[-5:].mean())


def test_there_need_be_no_hidden_layer(blobs):
    run = train_classifier(rs.IdealDevice(), blobs, hidden=(), epochs=3, rng=1)
    assert run.sizes == (4, 3)
    assert run.final_accuracy > 0.9


def test_progress_is_reported_after_every_epoch(blobs):
    seen, bar = [], SimpleNamespace(count=0)
    bar.update = lambda n: setattr(bar, "count", bar.count + n)
    run = train_classifier(DEVICE, blobs, epochs=3, progress=lambda *now: seen.append(now))
    train_classifier(DEVICE, blobs, epochs=3, progress=bar)
    assert [epoch for epoch, _, _ in seen] == [1, 2, 3]
    assert [accuracy for _, accuracy, _ in seen] == run.accuracy.tolist()
    assert bar.count == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(epochs=0), "epochs must be a positive integer, got 0"),
        (dict(batch=2.0), "batch must be a positive integer, got 2.0"),
        (dict(hidden=(0,)), "hidden must be a positive integer, got 0"),
        (dict(lr=-1.0), "lr must be finite and >= 0"),
        (dict(progress=3), "progress must be callable"),
    ],
)
def test_what_does_not_fit_is_refused_with_reasons(blobs, changes, message):
    with pytest.raises(rs.ConfigError, match=message):
        train_classifier(DEVICE, blobs, **changes)


def test_samples_and_labels_must_fit_together(blobs):
    with pytest.raises(rs.ShapeError, match="test_x must have shape"):
        train_classifier(None, blobs._replace(test_t=blobs.test_t[:-1]))
    with pytest.raises(rs.ShapeError, match="train_t hold n >= 1 integer"):
        train_classifier(None, blobs._replace(train_t=blobs.train_t + 0.5))
    with pytest.raises(rs.ShapeError, match="labels count from 0"):
        train_classifier(None, blobs._replace(train_t=blobs.train_t - 1))
    with pytest.raises(rs.ShapeError, match="data must be"):
        train_classifier(None, blobs[:3])
