"""The ledger of a tile: what it has done since it was made."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from rpusim.kernels.device_arrays import host

__all__ = ["Ledger", "PulsesSent", "UpdateReport"]

MOST = 64  # numbers of pulses that are waited for together


class PulsesSent:
    """How many pulses went up, or down: a number that a GPU may still be finding.

    Parameters
    ----------
    total : array of shape (rows, 2)
        Pulses of each row, up and down.
    column : int
        Which of them.
    """

    def __init__(self, total: Any, column: int) -> None:
        self._total, self._column = total, column

    def __int__(self) -> int:
        return int(host(self._total)[:, self._column].sum())


class PulseCount:
    """A count of pulses in a dataclass; who reads it waits for those that are still being found."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, holder: Any, kind: type | None = None) -> int:
        if holder is None:  # asked for the default
            return 0
        known, awaited = holder.__dict__[self._name]
        if awaited:
            known, awaited = known + sum(int(sent) for sent in awaited), ()
            holder.__dict__[self._name] = known, awaited
        return known

    def __set__(self, holder: Any, value: Any) -> None:
        sent = isinstance(value, PulsesSent)
        holder.__dict__[self._name] = (0, (value,)) if sent else (int(value), ())

    @classmethod
    def add(cls, holder: Any, name: str, other: Any) -> None:
        """Add the count of another dataclass, without waiting for it."""
        (known, awaited), (more, later) = (h.__dict__[f"_{name}"] for h in (holder, other))
        holder.__dict__[f"_{name}"] = known + more, awaited + later
        if len(awaited) > MOST:
            getattr(holder, name)


@dataclasses.dataclass
class UpdateReport:
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
    pulses_up: PulseCount = PulseCount()
    pulses_down: PulseCount = PulseCount()
    transfers: int = 0

    def add_pulses(self, other: UpdateReport) -> None:
        """Add the pulses, and the transfers, of another update that this one caused."""
        PulseCount.add(self, "pulses_up", other)
        PulseCount.add(self, "pulses_down", other)
        self.transfers += other.transfers

    @property
    def saturated_fraction(self) -> float:
        """Fraction of the vector pairs that saturated their trains."""
        return self.saturated / self.vectors if self.vectors else 0.0


@dataclasses.dataclass
class Ledger:
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
    pulses_up: PulseCount = PulseCount()
    pulses_down: PulseCount = PulseCount()
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
        PulseCount.add(self, "pulses_up", report)
        PulseCount.add(self, "pulses_down", report)
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
