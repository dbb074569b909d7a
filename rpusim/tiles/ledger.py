"""The ledger of a tile: what it has done since it was made."""

from __future__ import annotations

import dataclasses

import numpy as np

__all__ = ["Ledger", "UpdateReport"]


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
    pulses_up: int = 0
    pulses_down: int = 0
    transfers: int = 0

    def add_pulses(self, other: UpdateReport) -> None:
        """Add the pulses, and the transfers, of another update that this one caused."""
        self.pulses_up += other.pulses_up
        self.pulses_down += other.pulses_down
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
    pulses_up: int = 0
    pulses_down: int = 0
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
        self.pulses_up += report.pulses_up
        self.pulses_down += report.pulses_down
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
