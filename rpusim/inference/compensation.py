r"""Drift compensation: a digital correction of the outputs, from a probe read now and before.

After programming the tile reads known vectors, and again after each drift; the reads pass
converters and noise of the tile, but no digital scale. With their results Y, (probes, outputs):

=================  ==================================  ===========================================
class              read-out R                          correction of the analog result a
=================  ==================================  ===========================================
Global...          mean of all \|Y\|                   :math:`\alpha a`, :math:`\alpha = R_0 / R`
Global...With-     the same                            the same, with :math:`R_0` of the exact
ExactReference                                         targets: for gain errors of programming, too
PerColumn...       mean of \|Y\| for each output       :math:`\alpha_i a_i`
Affine...          mean m of all Y, and mean R of      :math:`\alpha (a - o \sum_j u_j)` with
                   \|Y - m\|                           :math:`o = m - m_0 / \alpha`
=================  ==================================  ===========================================

R is at least 1e-4. Noise of the reads makes R larger, and so the correction smaller; the mean of
several reads (`repeats`), taken before the magnitude, lessens that.

Source: Joshi et al., Nat. Commun. 11 (2020) 2473.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from rpusim.config import Choice, Config, param
from rpusim.kernels.device_arrays import host

__all__ = [
    "AffineDriftCompensation",
    "BaseDriftCompensation",
    "GlobalDriftCompensation",
    "GlobalDriftCompensationWithExactReference",
    "PerColumnDriftCompensation",
    "ProbeType",
]

SMALLEST = 1e-4  # of a read-out
BLOCK = 1024  # vectors of a probe that are held at a time


class ProbeType(Choice):
    """The vectors of a probe.

    ONE_HOT: each input by itself. ONES: all at once, one vector. RANDOM_SIGNS: as many vectors as
    inputs, of +1 and -1, the same at every read.
    """

    ONE_HOT = "one_hot"
    ONES = "ones"
    RANDOM_SIGNS = "random_signs"


class BaseDriftCompensation(Config):
    """Base of the corrections of outputs for drift; subclass it to make your own.

    A subclass defines `readout`; it may define `correction`, and `probes`.
    """

    probe: ProbeType = param(ProbeType.ONE_HOT, doc="which vectors are read")
    probe_lines: int = param(0, low=0, unit="inputs", doc="ONE_HOT: the first so many; 0: all")
    repeats: int = param(1, low=1, doc="reads of each, of which the mean is taken")

    #: whether the first read-out is that of the exact targets, instead of a read
    exact_reference = False

    def probes(self, size: int, seed: int) -> Iterator[np.ndarray]:
        """Yield the vectors to read, in blocks of shape (n, size), float32.

        Parameters
        ----------
        size : int
            Inputs of the tile, with that of an analog bias.
        seed : int
            Of random vectors: the same for all reads of a tile.
        """
        if self.probe is ProbeType.ONES:
            yield np.ones((1, size), np.float32)
            return
        count = size
        if self.probe is ProbeType.ONE_HOT and self.probe_lines:
            count = min(size, self.probe_lines)
        rng = np.random.default_rng(seed)
        for begin in range(0, count, BLOCK):
            block = min(BLOCK, count - begin)
            if self.probe is ProbeType.ONE_HOT:
                yield np.eye(block, size, begin, dtype=np.float32)
            else:
                yield rng.choice(np.array([-1.0, 1.0], np.float32), (block, size))

    def read(self, product: Callable[[np.ndarray], np.ndarray], size: int, seed: int) -> np.ndarray:
        """Read the probe and return its read-out, in float64, of shape (k,).

        A read-out is digital: the results of a GPU are read back, which waits for it.

        Parameters
        ----------
        product : callable
            From vectors (n, size) to results (n, outputs), here or on a GPU.
        size, seed : int
            As for `probes`.
        """
        results = []
        for x in self.probes(size, seed):
            y = product(x)
            for _ in range(1, self.repeats):
                y = y + product(x)
            results.append(host(y / np.float32(self.repeats) if self.repeats > 1 else y))
        y = results[0] if len(results) == 1 else np.concatenate(results)
        return np.atleast_1d(np.asarray(self.readout(y), np.float64))

    def readout(self, y: np.ndarray) -> np.ndarray | float:
        """Return what is kept of the results of a probe: a number, or an array of some.

        Parameters
        ----------
        y : ndarray of shape (probes, outputs)
            The results, float32.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define readout(y).")

    def correction(self, now: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the factors of the outputs, of shape (outputs,) or (1,), and the offset.

        Parameters
        ----------
        now, before : ndarray of shape (k,)
            Read-outs after a drift, and after programming.
        """
        return before / now, 0.0


class GlobalDriftCompensation(BaseDriftCompensation):
    """One factor for a tile, from the mean magnitude of a probe.

    Source: Joshi et al., Nat. Commun. 11 (2020) 2473.
    """

    def readout(self, y: np.ndarray) -> np.ndarray | float:
        """Return the mean magnitude."""
        return max(float(np.abs(y).mean(dtype=np.float64)), SMALLEST)


class GlobalDriftCompensationWithExactReference(GlobalDriftCompensation):
    """One factor for a tile, that leads back to the targets instead of what was programmed."""

    exact_reference = True


class PerColumnDriftCompensation(BaseDriftCompensation):
    """A factor for every output (a column of the crossbar in the usual picture)."""

    def readout(self, y: np.ndarray) -> np.ndarray | float:
        """Return the mean magnitude of each output."""
        return np.maximum(np.abs(y).mean(axis=0, dtype=np.float64), SMALLEST)


class AffineDriftCompensation(BaseDriftCompensation):
    """A factor for a tile, and an offset of all its weights: for devices that drift to one side."""

    def readout(self, y: np.ndarray) -> np.ndarray | float:
        """Return mean deviation from the mean, and the mean."""
        mean = float(y.mean(dtype=np.float64))
        spread = float(np.abs(y - np.float32(mean)).mean(dtype=np.float64))
        return np.array([max(spread, SMALLEST), mean])

    def correction(self, now: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, float]:
        """Return factor and offset, see `BaseDriftCompensation.correction`."""
        gain = before[:1] / now[:1]
        return gain, float(now[1] - before[1] / gain[0])
