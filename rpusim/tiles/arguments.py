"""What a tile accepts: sizes, rates, batches of vectors, matrices of weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rpusim.arrays import real_numbers
from rpusim.errors import BackendError, ConfigError, DataError, ShapeError
from rpusim.kernels.device_arrays import namespace, offers_gpu_memory, taken

__all__ = ["as_matrix", "as_rate", "as_size", "as_vectors", "with_lead"]


def as_size(size: Any, where: str) -> int:
    """Return a positive integer."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise ConfigError(f"{where} must be a positive integer, got {size!r}.")
    return int(size)


def as_rate(value: Any, where: str, must: str = "a number >= 0", top: float = math.inf) -> float:
    """Return a finite number in 0..`top`; `must` tells in errors what it has to be."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (number and 0.0 <= value <= top and value < math.inf):
        raise DataError(f"{where} must be {must}, got {value!r}.")
    return float(value)


def as_vectors(
    a: Any, size: int, where: str, kind: str, backend: str = "cpu"
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return `a` as a contiguous float32 (batch, size) array, and its leading shape.

    An array of a GPU stays there; it needs the backend "cuda".
    """
    on_device = offers_gpu_memory(a)
    if on_device:
        a = _device_numbers(a, where, backend)
    elif type(a) is not np.ndarray or a.dtype != np.float32:
        a = real_numbers(a, where)
    if a.ndim == 0 or a.shape[-1] != size:
        raise ShapeError(
            f"{where} must have shape (..., {size}), got {a.shape}; this tile has {size} {kind}."
        )
    lead = a.shape[:-1]
    if len(lead) != 1:
        a = a.reshape(-1, size)
    if on_device:
        return namespace(backend).ascontiguousarray(a), lead
    a = np.ascontiguousarray(a)
    # Machine code is compiled for arrays that can be written to; others would need their own.
    return (a if a.flags.writeable else a.copy()), lead


def _device_numbers(a: Any, where: str, backend: str) -> Any:
    """Return an array of a GPU, whose ever it is, as float32; without a copy if it is that."""
    if backend != "cuda":
        raise BackendError(
            f"{where} is an array of a GPU, and this tile has backend={backend!r}; make it with "
            'backend="cuda", or give a NumPy array.'
        )
    a = taken(a)
    if a.dtype.kind not in "fiub":
        raise DataError(f"{where} must hold real numbers, got {a.dtype}.")
    return a if a.dtype == np.float32 else a.astype(np.float32)


def with_lead(y: np.ndarray, lead: tuple[int, ...]) -> np.ndarray:
    """Return vectors (batch, size) with the leading shape that `as_vectors` found."""
    return y if len(lead) == 1 else y.reshape(*lead, y.shape[-1])


def as_matrix(a: Any, shape: tuple[int, ...], where: str) -> np.ndarray:
    """Return `a` as a float32 array of this shape, all finite."""
    a = real_numbers(a, where)
    if a.shape != shape:
        raise ShapeError(f"{where} must have shape {shape}, got {a.shape}.")
    if not np.isfinite(a).all():
        raise DataError(f"{where} must be finite, got NaN or infinity.")
    return a
