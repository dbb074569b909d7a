"""The estimators pass scikit-learn's own checks, learn, and repeat."""

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.compose import TransformedTargetRegressor  # noqa: E402
from sklearn.datasets import load_digits, make_regression  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils import check_random_state  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

import rpusim as rs  # noqa: E402
from rpusim.errors import ConfigError  # noqa: E402
from rpusim.sklearn import AnalogMLPClassifier, AnalogMLPRegressor  # noqa: E402

DIGITS = load_digits(return_X_y=True)
X, LABELS = DIGITS[0][:300] / 16.0, np.array(list("abcdefghij"))[DIGITS[1][:300]]
XR, YR = make_regression(200, 5, n_informative=3, noise=5.0, random_state=0)
SOFT = rs.RPUConfig(device=rs.SoftBoundsDevice(w_max=1.0, w_min=-1.0))


@parametrize_with_checks([AnalogMLPClassifier(), AnalogMLPRegressor()])
@pytest.mark.filterwarnings("ignore")  # checks feed what warns
def test_scikit_learns_own_checks_pass(estimator, check):
    check(estimator)


def test_a_classifier_learns_digits_and_keeps_their_names():
    classifier = AnalogMLPClassifier(rpu_config=SOFT, epochs=15, random_state=0)
    classifier.fit(X[:200], LABELS[:200])
    assert classifier.classes_.tolist() == list("abcdefghij")
    assert classifier.score(X[200:], LABELS[200:]) > 0.8
    assert classifier.predict_proba(X[:3]).sum(axis=1) == pytest.approx(1.0)
    assert classifier.n_iter_ == len(classifier.history_["loss"]) == 15
    assert classifier.n_features_in_ == 64


def test_fits_and_predictions_repeat_bit_for_bit():
    fitted = [AnalogMLPClassifier(epochs=2, random_state=3).fit(X, LABELS) for _ in range(2)]
    a, b = (c.predict_proba(X) for c in fitted)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(fitted[0].predict_proba(X), a)
    for twin in (copy.deepcopy(fitted[0]), pickle.loads(pickle.dumps(fitted[0]))):
        np.testing.assert_array_equal(twin.predict_proba(X), a)
        for c in (twin, fitted[1]):
            c.partial_fit(X[:50], LABELS[:50])
        np.testing.assert_array_equal(twin.predict_proba(X), fitted[1].predict_proba(X))
        fitted[1] = copy.deepcopy(fitted[0])
    other = AnalogMLPClassifier(epochs=2, random_state=4).fit(X, LABELS)
    assert not np.array_equal(other.predict_proba(X), a)
    states = [check_random_state(5) for _ in range(2)]
    old = AnalogMLPClassifier(epochs=1, random_state=states[0]).fit(X, LABELS)
    assert old.seed_ == states[1].randint(2**31)


def test_partial_fits_are_passes_over_what_they_are_given():
    c = AnalogMLPClassifier(random_state=0)
    with pytest.raises(ConfigError, match="classes must be given in the first call"):
        c.partial_fit(X, LABELS)
    for _ in range(12):
        for part in (slice(0, 150), slice(150, 300)):
            c.partial_fit(X[part], LABELS[part], classes=list("jihgfedcba"))
    assert c.score(X, LABELS) > 0.8
    with pytest.raises(ConfigError, match="labels must be among classes, got"):
        c.partial_fit(X[:2], ["a", "z"])
    with pytest.raises(ConfigError, match="classes must be .* as in the first call"):
        c.partial_fit(X, LABELS, classes=["a", "b"])


def test_a_regressor_learns_scaled_targets_of_one_or_several_outputs():
    plain = AnalogMLPRegressor(epochs=20, standardize=True, random_state=0)
    scaled = TransformedTargetRegressor(plain, transformer=StandardScaler())
    assert scaled.fit(XR, YR).score(XR, YR) > 0.8
    both = np.column_stack([YR, -YR]) / YR.std()
    assert plain.fit(XR, both).predict(XR).shape == (200, 2)
    assert plain.score(XR, both) > 0.8


def test_inputs_are_scaled_only_on_request():
    far = XR * 30.0 + 500.0
    y = YR / YR.std()
    settings = {"epochs": 10, "random_state": 0}
    assert AnalogMLPRegressor(**settings).fit(far, y).score(far, y) < 0.3
    asked = AnalogMLPRegressor(standardize=True, **settings).fit(far, y)
    assert asked.score(far, y) > 0.7
    np.testing.assert_allclose(asked.mean_, far.mean(axis=0))


def test_early_stopping_ends_before_the_last_epoch():
    c = AnalogMLPClassifier(
        epochs=60, early_stopping=True, n_iter_no_change=2, tol=0.05, random_state=0
    )
    c.fit(X, LABELS)
    assert c.n_iter_ < 60
    assert c.history_.names == ["epoch", "lr", "loss", "validation_loss"]
    assert c.score(X, LABELS) > 0.7
    with pytest.raises(ConfigError, match="validation_fraction must be in 0 < value < 1"):
        c.set_params(validation_fraction=1.0).fit(X, LABELS)


def test_pipelines_and_grid_searches_take_them():
    pipeline = make_pipeline(StandardScaler(), AnalogMLPClassifier(epochs=3, random_state=0))
    assert cross_val_score(pipeline, X, LABELS, cv=2).mean() > 0.5
    search = GridSearchCV(
        AnalogMLPClassifier(epochs=2, random_state=0),
        {"rpu_config": [None, SOFT], "hidden_layer_sizes": [(), 16]},
        cv=2,
    ).fit(X, LABELS)
    assert set(search.best_params_) == {"rpu_config", "hidden_layer_sizes"}


def test_mistakes_are_told():
    for options, text in [
        ({"activation": "swish"}, "activation must be one of tanh, sigmoid, relu, got 'swish'"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be a positive integer, got 0"),
        ({"lr": -1.0}, "lr must be finite"),
        ({"epochs": 0}, "epochs must be a positive integer"),
    ]:
        with pytest.raises(ConfigError, match=text):
            AnalogMLPClassifier(**options).fit(X, LABELS)
