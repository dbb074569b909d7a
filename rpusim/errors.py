"""The library's exceptions and warnings: few, and each also the built-in one a caller would expect."""

__all__ = [
    "RpusimError",
    "ConfigError",
    "ShapeError",
    "DataError",
    "StateError",
    "BackendError",
    "ClippedWeightsWarning",
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
