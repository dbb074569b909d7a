r"""Weight noise of a read, by a law: what a spread of every device does to an output.

With fresh independent noise of standard deviation :math:`\sigma(w_{ij})` on every weight, the
output of line i is normal with variance

.. math:: \sum_j \sigma(w_{ij})^2 \hat x_j^2

added to its mean :math:`\sum_j w_{ij} \hat x_j`: one more product, and one normal for each output
instead of one for each device. It is exact while the conductance of a single device is not clipped
and acts linearly.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from rpusim.config import Config
from rpusim.errors import ConfigError, DataError
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import namespace, place
from rpusim.kernels.law import with_parameters
from rpusim.kernels.team import member, members

__all__ = ["ReadNoise", "read_variance"]

PER_WEIGHT = 5.0  # nanoseconds, to judge whether threads pay


class ReadNoise(Config):
    """Base of laws of read noise: subclass it, declare parameters, define `sigma`.

    Examples
    --------
    >>> from rpusim import IOParameters, param
    >>> class ShotNoise(ReadNoise):
    ...     strength: float = param(0.01, low=0.0, doc="std at w = 1")
    ...
    ...     @staticmethod
    ...     def sigma(w, model):
    ...         return model.strength * abs(w) ** 0.5
    >>> IOParameters(read_noise=ShotNoise(strength=0.02))
    IOParameters(read_noise=ShotNoise(strength=0.02))
    """

    @staticmethod
    def sigma(w, model):
        """Return the standard deviation of a weight `w`; `model` has the law's parameters."""
        return 0.0 * w


def spread(w, numbers):
    """Stand for the law of a `ReadNoise` with its parameters; `bind` puts it here."""
    raise NotImplementedError


def fill_variance(begin, end, out, w, numbers):
    """Add the square of the law's standard deviation to rows `begin`..`end` of `out`."""
    for i in range(begin, end):
        for j in range(member(), w.shape[1], members()):
            sigma = spread(w[i, j], numbers)
            out[i, j] += sigma * sigma
    return 0


def read_variance(law: ReadNoise, w: Any, backend: str) -> Any:
    """Return the variance of every weight, shape (rows, cols), where the weights are.

    It waits for a GPU, to see whether the law gives finite numbers.

    Raises
    ------
    ConfigError, DataError
        If the law reads what it does not declare, or gives NaN or infinity.
    """
    names = [f.name for f in dataclasses.fields(law)]  # type: ignore[arg-type]
    numbers: Any = np.array([getattr(law, name) for name in names], np.float32)
    out = namespace(backend).zeros(w.shape, np.float32)
    bound = with_parameters(type(law).sigma, tuple(names))
    try:
        with np.errstate(all="ignore"):
            bound(np.float32(0.5), numbers)
    except AttributeError as error:  # a compiler says it in fifty lines
        raise ConfigError(
            f"{type(law).__name__}.sigma reads a parameter that the law does not declare: {error}."
        ) from error
    rows = kernel(fill_variance, backend, spread=bound)
    split(rows, w.shape[0], PER_WEIGHT * w.size, out, w, place(numbers, backend))
    if not np.isfinite(out).all():
        raise DataError(f"{type(law).__name__}.sigma must give finite numbers for all weights.")
    return out
