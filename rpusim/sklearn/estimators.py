"""Classifier and regressor: scikit-learn's interface, analog layers inside."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from rpusim import nn
from rpusim.errors import ConfigError
from rpusim.sklearn.network import AnalogMLP

__all__ = ["AnalogMLPClassifier", "AnalogMLPRegressor"]


class AnalogMLPClassifier(ClassifierMixin, AnalogMLP):
    """Classifier: fully connected analog layers, trained on the cross entropy.

    Parameters are those of `AnalogMLP`.

    Attributes
    ----------
    classes_ : ndarray
        The labels.
    model_ : Sequential
        The network; `optimizer_` trains it.
    history_ : History
        Loss and rate of each epoch; of the last call, after `partial_fit`.
    n_iter_ : int
        Epochs trained by `fit`.
    n_features_in_ : int
        Inputs.

    Notes
    -----
    The noise of predictions is drawn from the seed, anew from its beginning in each call: the same
    samples give the same prediction. It differs from sample to sample, so that a sample's
    prediction depends on its place. ``estimator.model_(X)`` draws fresh noise in each call.
    """

    def fit(self, X: Any, y: Any) -> AnalogMLPClassifier:
        """Train a new network.

        Parameters
        ----------
        X : array_like of shape (samples, features)
            Samples.
        y : array_like of shape (samples,)
            Labels, of any kind.
        """
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_, labels = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        self._fit(X, labels, len(self.classes_), nn.cross_entropy)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> AnalogMLPClassifier:
        """Train once more with some samples.

        Parameters
        ----------
        X, y : array_like
            Samples and labels.
        classes : array_like, optional
            All labels there will be; needed in the first call.
        """
        first = not hasattr(self, "model_")
        X, y = validate_data(self, X, y, reset=first)
        check_classification_targets(y)
        if first and classes is None:
            raise ConfigError(
                "AnalogMLPClassifier.partial_fit: classes must be given in the first call."
            )
        if first:
            self.classes_ = np.unique(classes)
            self._build(X, len(self.classes_))
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ConfigError(
                f"AnalogMLPClassifier.partial_fit: classes must be {self.classes_}, as in the "
                f"first call, got {np.unique(classes)}."
            )
        y = column_or_1d(y, warn=True)
        if not np.isin(y, self.classes_).all():
            raise ConfigError(
                "AnalogMLPClassifier.partial_fit: labels must be among classes, got "
                f"{np.setdiff1d(y, self.classes_)}."
            )
        self._pass(X, np.searchsorted(self.classes_, y), nn.cross_entropy)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, shape (samples, classes): softmax of the outputs.

        Parameters
        ----------
        X : array_like of shape (samples, features)
            Samples.
        """
        z = self._outputs(X).astype(np.float64)
        p = np.exp(z - z.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most likely label of each sample.

        Parameters
        ----------
        X : array_like of shape (samples, features)
            Samples.
        """
        p = self.predict_proba(X)
        return self.classes_[p.argmax(axis=1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True  # noise differs from sample to sample
        return tags


class AnalogMLPRegressor(RegressorMixin, AnalogMLP):
    """Regressor: fully connected analog layers, trained on the mean squared error.

    Targets should be of the order of 1, as weights on devices are bounded: scale them, such as by
    scikit-learn's ``TransformedTargetRegressor``. Parameters are those of `AnalogMLP`, attributes
    and notes those of `AnalogMLPClassifier`.
    """

    def fit(self, X: Any, y: Any) -> AnalogMLPRegressor:
        """Train a new network.

        Parameters
        ----------
        X : array_like of shape (samples, features)
            Samples.
        y : array_like of shape (samples,) or (samples, outputs)
            Targets.
        """
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True)
        T = self._targets(y)
        self._fit(X, T, T.shape[1], nn.mse)
        return self

    def partial_fit(self, X: Any, y: Any) -> AnalogMLPRegressor:
        """Train once more with some samples.

        Parameters
        ----------
        X, y : array_like
            Samples and targets.
        """
        first = not hasattr(self, "model_")
        X, y = validate_data(self, X, y, reset=first, multi_output=True, y_numeric=True)
        T = self._targets(y)
        if first:
            self._build(X, T.shape[1])
        self._pass(X, T, nn.mse)
        return self

    def _targets(self, y: np.ndarray) -> np.ndarray:
        self._flat = y.ndim == 1
        return y.reshape(len(y), -1)

    def predict(self, X: Any) -> np.ndarray:
        """Return the outputs for each sample, of the shape of the targets.

        Parameters
        ----------
        X : array_like of shape (samples, features)
            Samples.
        """
        y = self._outputs(X).astype(np.float64)
        return y[:, 0] if self._flat else y

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True  # noise differs from sample to sample
        tags.target_tags.multi_output = True
        return tags
