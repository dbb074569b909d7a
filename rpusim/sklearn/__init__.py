"""Estimators for scikit-learn: fully connected networks on analog tiles.

They follow scikit-learn's conventions (`get_params`, cloning, pipelines, grid searches, pickling)
and pass its own checks. What they add is `rpu_config`: what the tiles are made of.
"""

from rpusim.sklearn.estimators import AnalogMLPClassifier, AnalogMLPRegressor

__all__ = ["AnalogMLPClassifier", "AnalogMLPRegressor"]
