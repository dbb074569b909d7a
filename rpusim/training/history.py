"""What a training run recorded, a row for each epoch; and where it is, for a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpusim.errors import DataError, StateError
from rpusim.kernels.streams import seed_of, seed_words
from rpusim.result import Result
from rpusim.tiles.state import check_names

__all__ = ["History", "Position"]

#: Columns that no picture shows as a curve.
BESIDE = ("epoch", "lr")
#: Columns that `fit` writes itself, whose names no metric can have.
RESERVED = (*BESIDE, "loss", "validation_loss")


class History(Result):
    """Numbers of each epoch, by name: ``history["loss"]``.

    ``epoch`` counts from 1; ``lr`` is the rate at its beginning; ``loss`` is the mean over its
    training samples, each at the time when it was trained; ``validation_loss`` and metrics are
    those of the evaluation after it. `to_pandas` and `plot` give a table and a picture.

    Parameters
    ----------
    names : sequence of str, optional
        The columns, if they are known before the first epoch.

    Examples
    --------
    >>> history = History()
    >>> history.append({"epoch": 1, "loss": 0.5})
    >>> history.append({"epoch": 2, "loss": 0.25})
    >>> history["loss"], len(history), history.last
    (array([0.5 , 0.25]), 2, {'epoch': 2.0, 'loss': 0.25})
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._columns: dict[str, list[float]] = {name: [] for name in names}

    def append(self, values: Mapping[str, float]) -> None:
        """Add the numbers of one epoch, by the same names each time."""
        if self._columns and set(values) != set(self._columns):
            raise StateError(
                f"History.append: the columns are {', '.join(self._columns)}, got "
                f"{', '.join(values)}."
            )
        for name, value in values.items():
            self._columns.setdefault(name, []).append(float(value))

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return np.array(self._columns[name])

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), []))

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    @property
    def last(self) -> dict[str, float]:
        """The numbers of the last epoch, by name; empty before the first."""
        return {name: column[-1] for name, column in self._columns.items() if column}

    def waited(self, name: str, min_delta: float = 0.0) -> int:
        """Return for how many epochs a number has not fallen below its lowest by `min_delta`."""
        best, waited = math.inf, 0
        for value in self._columns.get(name, []):
            better = value < best - min_delta
            best, waited = (value, 0) if better else (best, waited + 1)
        return waited

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the columns as arrays."""
        return {name: np.array(column) for name, column in self._columns.items()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Replace all columns by those that `state_dict` returned."""
        arrays = {name: np.asarray(column) for name, column in state.items()}
        lengths = {column.shape for column in arrays.values()}
        good = all(column.ndim == 1 and column.dtype.kind == "f" for column in arrays.values())
        if len(lengths) > 1 or not good:
            raise DataError(
                "History.load_state_dict: columns must be of numbers and of one length, got shapes "
                f"{sorted(lengths)}."
            )
        if self._columns and set(arrays) != set(self._columns):
            raise StateError(
                f"History.load_state_dict: columns must be {', '.join(self._columns)}, got "
                f"{', '.join(arrays)}."
            )
        self._columns = {name: column.tolist() for name, column in arrays.items()}

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={value:.6g}" for name, value in self.last.items())
        return f"History({len(self)} epochs{': ' if last else ''}{last})"

    def _table(self) -> dict[str, Any]:
        return self.state_dict()

    def _draw(self, ax: Any) -> None:
        for name, column in self._columns.items():
            if name not in BESIDE:
                ax.plot(self["epoch"], column, label=name.replace("_", " "))
        ax.set_xlabel("epoch")
        if self._columns:
            ax.legend()


class Position:
    """Where a run is, and what must not change when it is resumed.

    Parameters
    ----------
    seed : int or None
        Of the order of the samples; None: taken from the file.
    fixed : dict of str to int or str
        Numbers and texts that a file must agree with, by name.
    """

    def __init__(self, seed: int | None, fixed: Mapping[str, int | str]) -> None:
        self.seed, self.fixed = seed, dict(fixed)
        self.epoch, self.stopped = 0, False

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return all of it as arrays; the seed as words of 32 bits, none if there is none yet."""
        return {
            "epoch": np.array(self.epoch),
            "stopped": np.array(self.stopped),
            "seed": np.array([], np.uint32) if self.seed is None else seed_words(self.seed),
            **{name: np.array(value) for name, value in self.fixed.items()},
        }

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `state_dict` returned, if this run is the same."""
        check_names(self.state_dict(), state, "the file was not written by this version of fit")
        for name, value in self.fixed.items():
            before = np.asarray(state[name]).tolist()
            if before != value:
                raise StateError(f"{name} must be {before}, as it was, got {value}.")
        words = state["seed"]
        seed = seed_of(words) if len(words) else None
        if seed is not None and self.seed not in (None, seed):
            raise StateError(f"rng must be None, or the seed {seed} as it was, got {self.seed}.")
        self.seed = seed
        self.epoch, self.stopped = int(state["epoch"]), bool(state["stopped"])
