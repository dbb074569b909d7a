"""Arrays from whatever a user gives: of real numbers, of any type, from NumPy's files."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import DataError

__all__ = ["any_array", "npz_arrays", "real_array", "real_numbers"]

NPY, ZIP = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")


def any_array(values: Any, where: str) -> np.ndarray:
    """Return `values` as an array of any type; raise `DataError` if they cannot be one.

    Parameters
    ----------
    values : array_like
        What was given.
    where : str
        Named in errors.
    """
    try:
        return np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise DataError(f"{where} must be an array of numbers: {error}") from error


def real_array(values: Any, where: str) -> np.ndarray:
    """Return `values` as an array if they are real numbers; raise `DataError` if they are not.

    Parameters
    ----------
    values : array_like
        What was given.
    where : str
        Named in errors.
    """
    array = any_array(values, where)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{where} must hold real numbers, got {array.dtype}.")
    return array


def real_numbers(values: Any, where: str) -> np.ndarray:
    """Return `values` as float32 if they are real numbers, too large ones as infinity.

    Parameters
    ----------
    values : array_like
        What was given.
    where : str
        Named in errors.
    """
    with np.errstate(over="ignore"):
        return real_array(values, where).astype(np.float32)


def npz_arrays(path: str) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz`` file by name; raise `DataError` that says what it is not.

    Parameters
    ----------
    path : str
        The file. What the system refuses to open raises its own `OSError`.
    """
    with open(path, "rb") as file:
        head = file.read(len(NPY))
        if not head:
            raise DataError("the file is empty")
        if head == NPY:
            raise DataError("it is an .npy file, of one array, and not an .npz file")
        if not head.startswith(ZIP):
            raise DataError(f"an .npz file begins with PK, this one with {head!r}")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except Exception as error:  # a damaged file can fail in any way
            objects = "allow_pickle" in str(error)
            text = "it holds objects, or is damaged" if objects else str(error)
            raise DataError(text) from error
