"""The ledger of a tile: what it has done since it was made."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from rpusim.kernels.device_arrays import host

__all__ = ["Ledger", "UpdateReport"]

MOST = 64  # updates whose pulses are waited for together


class Counting:
    """Counts of pulses up and down, some of which a GPU may still be finding.

    While it is, the two attributes are missing; who reads one waits for both.
    """

    pulses_up: int
    pulses_down: int

    def __getattr__(self, name: str) -> int:
        """Return a count that is missing."""
        if name not in ("pulses_up", "pulses_down") or "_awaited" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        up, down, awaited = self.__dict__.pop("_awaited")
        for total in awaited:
            more = host(total).sum(axis=0)
            up, down = up + int(more[0]), down + int(more[1])
        self.pulses_up, self.pulses_down = up, down
        return self.__dict__[name]

    def await_pulses(self, total: Any) -> None:
        """Take the pulses of every row, up and down, shape (rows, 2), as the only ones."""
        self._await((0, 0, (total,)))

    def count(self, other: Counting) -> None:
        """Add the pulses of another, without waiting for them."""
        if "_awaited" in self.__dict__ or "_awaited" in other.__dict__:
            (up, down, awaited), (more_up, more_down, more) = self._parts(), other._parts()
            self._await((up + more_up, down + more_down, awaited + more))
            if len(awaited) > MOST:
                _ = self.pulses_up
        else:
            self.pulses_up += other.pulses_up
            self.pulses_down += other.pulses_down

    def _parts(self) -> tuple[int, int, tuple[Any, ...]]:
        parts = self.__dict__.get("_awaited")
        return (self.pulses_up, self.pulses_down, ()) if parts is None else parts

    def _await(self, parts: tuple[int, int, tuple[Any, ...]]) -> None:
        for name in ("pulses_up", "pulses_down"):
            self.__dict__.pop(name, None)
        self.__dict__["_awaited"] = parts


@dataclasses.dataclass
class UpdateReport(Counting):
    """What one call of `update` did.

    Attributes
    ----------
    vectors : int
        Vector pairs, and how many of them were `silent` (an x or d of zeros) or `saturated` (their
        strongest crosspoint asked for more pulses than the train has slots).
    mean_length : float
        Mean train length of the pairs that were not silent.
    pulses_up, pulses_down : int
        Coincidences over all crosspoints.
    transfers : int
        Slices carried from one crossbar of a compound to the next.
    """

    vectors: int = 0
    silent: int = 0
    saturated: int = 0
    mean_length: float = 0.0
    pulses_up: int = dataclasses.field(default_factory=int)  # so that the class has none
    pulses_down: int = dataclasses.field(default_factory=int)
    transfers: int = 0

    def add_pulses(self, other: UpdateReport) -> None:
        """Add the pulses, and the transfers, of another update that this one caused."""
        self.count(other)
        self.transfers += other.transfers

    @property
    def saturated_fraction(self) -> float:
        """Fraction of the vector pairs that saturated their trains."""
        return self.saturated / self.vectors if self.vectors else 0.0


@dataclasses.dataclass
class Ledger(Counting):
    """Counts since construction, and the report of the last update.

    Attributes
    ----------
    reads_forward, reads_backward : int
        Vectors multiplied.
    vectors_updated, vectors_saturated : int
        Vector pairs of all updates, and those whose trains were saturated.
    pulses_up, pulses_down : int
        Pulses that devices received.
    writes : int
        Calls of `set_weights`.
    weights_clipped : int
        Weights that these could not set because the devices' bounds forbid them.
    transfers : int
        Transfers between the crossbars of a compound.
    last_update : UpdateReport
        The last call of `update`.
    """

    reads_forward: int = 0
    reads_backward: int = 0
    vectors_updated: int = 0
    vectors_saturated: int = 0
    pulses_up: int = dataclasses.field(default_factory=int)  # so that the class has none
    pulses_down: int = dataclasses.field(default_factory=int)
    writes: int = 0
    weights_clipped: int = 0
    transfers: int = 0
    last_update: UpdateReport = dataclasses.field(default_factory=UpdateReport)

    @property
    def pulses(self) -> int:
        """All pulses that devices received."""
        return self.pulses_up + self.pulses_down

    def record(self, report: UpdateReport) -> None:
        """Add one update."""
        self.last_update = report
        self.vectors_updated += report.vectors
        self.vectors_saturated += report.saturated
        self.count(report)
        self.transfers += report.transfers

    def state(self) -> np.ndarray:
        """Return the counts as an array."""
        return np.array([getattr(self, name) for name in self._counts()], np.int64)

    def restore(self, counts: np.ndarray) -> None:
        """Continue from what `state` returned."""
        for name, count in zip(self._counts(), counts, strict=True):
            setattr(self, name, int(count))

    @classmethod
    def _counts(cls) -> list[str]:
        return [f.name for f in dataclasses.fields(cls) if f.name != "last_update"]
