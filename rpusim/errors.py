"""The library's exceptions and warnings: few, each also the built-in one a caller expects."""

import sys
import warnings

__all__ = [
    "RpusimError",
    "ConfigError",
    "ShapeError",
    "DataError",
    "StateError",
    "BackendError",
    "ClippedWeightsWarning",
    "ConversionWarning",
    "warn_caller",
]


class RpusimError(Exception):
    """Base of every error that rpusim raises on purpose."""


class ConfigError(RpusimError, ValueError):
    """A parameter is unknown, of the wrong type, out of range, or contradicts another one."""


class ShapeError(RpusimError, ValueError):
    """An array has the wrong shape."""


class DataError(RpusimError, ValueError):
    """An array holds values that no physics can use: NaN, infinity, objects, complex numbers."""


class StateError(RpusimError, RuntimeError):
    """The call is legal, but not now: something has to happen first."""


class BackendError(RpusimError, RuntimeError):
    """The backend asked for does not exist or is not installed."""


class ClippedWeightsWarning(UserWarning):
    """Weights were set beyond what the devices can hold and were clipped to their bounds."""


class ModelRangeWarning(UserWarning):
    """A formula is used outside the range in which it describes the physics."""


class ConversionWarning(UserWarning):
    """What was converted from another simulator will not do here all that it did there."""


def warn_caller(message: str, category: type[Warning]) -> None:
    """Give a warning that points at the line outside rpusim from which the call came."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("rpusim."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level + 1)
