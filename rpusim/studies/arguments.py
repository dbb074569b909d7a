"""What several studies are told: some of a list of methods, the numbers along an axis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from rpusim.config import nearest
from rpusim.errors import ConfigError

__all__ = ["as_axis", "some_of"]


def some_of(known: Iterable[str], names: Sequence[str], where: str) -> tuple[str, ...]:
    """Return one name, or several, as a tuple, if all are `known`; `where` is named in errors."""
    known, found = tuple(known), (names,) if isinstance(names, str) else tuple(names)
    unknown = [name for name in found if name not in known]
    if unknown or not found:
        raise ConfigError(
            f"{where} must be some of {', '.join(known)}, "
            f"got {names!r}{nearest(unknown[0], known) if unknown else ''}"
        )
    return found


def as_axis(values: Sequence[float], where: str) -> NDArray[np.float64]:
    """Return one or more numbers as an array of one axis; `where` is named in errors."""
    axis = np.asarray(values)
    if axis.ndim != 1 or not axis.size or axis.dtype.kind not in "fiu":
        raise ConfigError(f"{where} must be a list of numbers, got {values!r}.")
    return axis.astype(np.float64)
