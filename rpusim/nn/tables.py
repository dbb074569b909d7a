"""Samples and labels, and tables of them from files: text with a cell each, or NumPy's `.npz`.

What is truncated, foreign or not numeric is refused, with the place.
"""

from __future__ import annotations

import csv
import math
import numbers
import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rpusim.arrays import npz_arrays
from rpusim.errors import ConfigError, DataError

__all__ = ["Dataset", "Table", "read_csv", "read_npz"]


class Dataset(NamedTuple):
    """Samples and labels, to train on and to test with."""

    train_x: NDArray[np.float32]
    train_t: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_t: NDArray[np.int64]


class Table(NamedTuple):
    """Samples and labels that belong together.

    Attributes
    ----------
    x : ndarray of shape (n, features), float32
    t : ndarray of shape (n,)
        Numbers of classes, int64, or other targets, float32.
    names : tuple of str
        Of the features; empty if the file has none.
    classes : tuple of str
        What the numbers of classes stand for, if labels are words.
    """

    x: NDArray[np.float32]
    t: NDArray[Any]
    names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def split(self, test_fraction: float = 0.2, rng: Any = 0) -> Dataset:
        """Return the samples in random order, the last of them to test with.

        Parameters
        ----------
        test_fraction : float
            Between 0 and 1; at least one sample is left on either side.
        rng : None, int, SeedSequence or Generator
            Source of the order, by default always the same.
        """
        real = isinstance(test_fraction, numbers.Real)
        if not (real and 0.0 < test_fraction < 1.0) or len(self.x) < 2:
            raise ConfigError(
                "Table.split: test_fraction must be between 0 and 1, of at least 2 samples, got "
                f"{test_fraction!r} of {len(self.x)}."
            )
        order = np.random.default_rng(rng).permutation(len(self.x))
        cut = min(max(round(len(order) * (1.0 - test_fraction)), 1), len(order) - 1)
        train, test = order[:cut], order[cut:]
        return Dataset(self.x[train], self.t[train], self.x[test], self.t[test])


def read_csv(
    path: str | os.PathLike[str], *, label: int | str | None = -1, delimiter: str = ","
) -> Table:
    """Read a table of numbers with a column of labels from a text file.

    Parameters
    ----------
    path : path
        The file; a first row that is not of numbers names the columns.
    label : int, str or None
        Column of the labels, by place or name; None: there is none, and `t` is empty.
    delimiter : str
        What stands between cells.

    Returns
    -------
    Table
        Labels that are integers stay as they are, other numbers are targets, words are numbered in
        alphabetical order.

    Raises
    ------
    DataError
        With row and column, if a cell is missing or no finite number, or a row is longer than
        another.
    ConfigError
        If `label` is neither a place nor a name, or `delimiter` not one character.
    """
    where = f"read_csv: {path}"
    place_or_name = isinstance(label, str | numbers.Integral) and not isinstance(label, bool)
    if label is not None and not place_or_name:
        raise ConfigError(f"read_csv: label must be an integer, a name or None, got {label!r}.")
    if not isinstance(delimiter, str) or len(delimiter) != 1:
        raise ConfigError(f"read_csv: delimiter must be one character, got {delimiter!r}.")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, delimiter=delimiter)
            rows = [(lines.line_num, row) for row in lines if row and any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{where} is no table of text: {error}.") from error
    if not rows:
        raise DataError(f"{where} is empty.")
    width = len(rows[0][1])
    place = _label_place(label, rows[0][1], where)
    features = [k for k in range(width) if k != place]
    head = any(_number(rows[0][1][k]) is None for k in features) or isinstance(label, str)
    titles = [cell.strip() for cell in rows[0][1]] if head else []
    rows = rows[1:] if head else rows
    if not rows or not features:
        raise DataError(f"{where} must hold rows of at least one feature, got none.")
    x = np.empty((len(rows), len(features)), np.float32)
    for n, (line, row) in enumerate(rows):
        if len(row) != width:
            raise DataError(f"{where}: line {line} must have {width} cells, got {len(row)}.")
        for column, k in enumerate(features):
            value = _number(row[k])
            if value is None or not math.isfinite(value):
                title = f" ({titles[k]})" if head else ""
                raise DataError(
                    f"{where}: line {line}, column {k + 1}{title} must be a finite number, got "
                    f"{row[k]!r}."
                )
            x[n, column] = value
    names = tuple(titles[k] for k in features) if head else ()
    cells = [] if place is None else [row[place].strip() for _, row in rows]
    if "" in cells:
        raise DataError(f"{where}: line {rows[cells.index('')][0]} has no label.")
    return Table(x, *_labels(cells, names))


def _label_place(label: int | str | None, first: list[str], where: str) -> int | None:
    if label is None:
        return None
    titles = [cell.strip() for cell in first]
    if isinstance(label, str):
        if label not in titles:
            raise DataError(f"{where}: no column is called {label!r}; there are {titles}.")
        return titles.index(label)
    if not -len(first) <= label < len(first):
        raise DataError(f"{where}: there is no column {label}, the table has {len(first)}.")
    return label % len(first)


def _labels(cells: list[str], names: tuple[str, ...]) -> tuple[Any, tuple[str, ...], Any]:
    """Return targets, the names that were given, and what numbers of classes stand for."""
    numbers = [_number(cell) for cell in cells]
    if any(value is None or not math.isfinite(value) for value in numbers):
        classes, t = np.unique(cells, return_inverse=True)
        return t.astype(np.int64), names, tuple(classes.tolist())
    t = np.array(numbers, np.float64)
    whole = bool((t == np.round(t)).all())
    return t.astype(np.int64 if whole else np.float32), names, ()


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def read_npz(path: str | os.PathLike[str], x: str = "x", t: str = "t") -> Table | Dataset:
    """Read samples and labels from a NumPy file.

    Parameters
    ----------
    path : path
        An ``.npz`` file with ``train_x``, ``train_t``, ``test_x`` and ``test_t``, which gives a
        `Dataset`, or with samples and labels of the names below, which give a `Table`.
    x, t : str
        Names of samples and labels.

    Raises
    ------
    DataError
        If it is no such file, holds objects, or not as many labels as samples.
    """
    where = f"read_npz: {path}"
    try:
        arrays = npz_arrays(os.fspath(path))
    except (ValueError, TypeError) as error:
        raise DataError(f"{where} is no .npz file of plain arrays: {error}.") from error
    pairs = [("train_x", "train_t"), ("test_x", "test_t")]
    whole = all(name in arrays for pair in pairs for name in pair)
    pairs = pairs if whole else [(x, t)]
    made: list[Any] = []
    for samples, labels in pairs:
        if samples not in arrays or labels not in arrays:
            raise DataError(
                f"{where} must hold {samples!r} and {labels!r}, or {', '.join(Dataset._fields)}; "
                f"it has {', '.join(arrays) or 'nothing'}."
            )
        a, b = arrays[samples], arrays[labels]
        if {a.dtype.kind, b.dtype.kind} - set("fiub") or a.ndim < 2 or b.shape[:1] != a.shape[:1]:
            raise DataError(
                f"{where}: {samples} (n, ...) and {labels} (n,) must be numbers, got {a.shape} "
                f"{a.dtype} and {b.shape} {b.dtype}."
            )
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise DataError(f"{where}: {samples} and {labels} must be finite.")
        kind = np.float32 if b.dtype.kind == "f" else np.int64
        made += [a.astype(np.float32), b.astype(kind)]
    return Dataset(*made) if whole else Table(*made)
