r"""Carrying slices (columns or rows) of one crossbar to another: analog reads, pulsed writes.

A slice s of a part w is read by the analog product with a unit vector, :math:`v = w e_s` (rows:
:math:`w^\mathsf{T} e_s`). It is written by the outer product of that unit vector with n,
:math:`E[\Delta w_{\cdot s}] = \rho\, n`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import ConfigError
from rpusim.kernels.device_arrays import contiguous
from rpusim.kernels.streams import Purpose, Streams
from rpusim.periphery import (
    BoundManagementType,
    IOParameters,
    IOParametersIRDropT,
    NoiseManagementType,
)
from rpusim.periphery.mvm import Periphery
from rpusim.periphery.settings import POS_NEG
from rpusim.pulses.settings import UpdateParameters
from rpusim.tiles.ledger import UpdateReport

__all__ = ["Slices", "unmanaged"]

PER_LINE = (
    "out_noise_std",
    "out_nonlinearity",
    "r_series",
    "v_offset_std",
    "w_read_asymmetry_dtod",
)
TOGETHER = 16  # slices that are read at a time, where the others' lines do not matter


def unmanaged(io: IOParameters, where: str) -> IOParameters:
    """Return the settings of a read without noise and bound management.

    Raises
    ------
    ConfigError
        If the inputs of such a read would not be what they are (``inp_bound`` is not 1), or an
        option needs what such reads do not have: lines that differ, or wires in detail.
    """
    if io.perfect:
        return io
    if isinstance(io, IOParametersIRDropT):
        raise ConfigError(f"{where} must be an IOParameters, got an IOParametersIRDropT.")
    for name in PER_LINE:
        if getattr(io, name) != 0.0:
            raise ConfigError(
                f"{where}.{name} must be 0, got {getattr(io, name)!r}: its lines are alike."
            )
    if io.inp_bound != 1.0:
        raise ConfigError(f"{where}.inp_bound must be 1, got {io.inp_bound!r}.")
    return io.replace(
        noise_management=NoiseManagementType.NONE, bound_management=BoundManagementType.NONE
    )


class Slices:
    """The columns of a crossbar, or its rows, as what a transfer reads and writes.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    columns : bool
        Whether slices are columns, read by forward products; else rows, by backward ones.
    io : IOParameters
        Settings of the reads.
    settings : UpdateParameters
        Pulses of the writes.
    streams : Streams
        Where the noise of the reads comes from (purpose FORWARD).
    backend : {"cpu", "cuda", "python"}
        Where it runs.

    Attributes
    ----------
    count, length : int
        Number of slices, and elements of one.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        columns: bool,
        io: IOParameters,
        settings: UpdateParameters,
        streams: Streams,
        backend: str,
    ) -> None:
        self.columns, self.settings, self.streams = columns, settings, streams
        self.length, self.count = shape if columns else shape[::-1]
        self._read = Periphery(io, not columns, backend)
        # elsewhere only the line that is driven matters: the others need not be multiplied
        self._alone = io.perfect or not (io.inp_noise or io.ir_drop or io.mv_type in POS_NEG)
        self._digital = np.zeros((2, self.length), np.float32)
        self._digital[0] = 1.0

    def read(self, weights: np.ndarray, slices: np.ndarray) -> np.ndarray:
        """Return what reads of some slices give, shape (len(slices), length).

        Parameters
        ----------
        weights : ndarray of shape (rows, cols)
            What the read sees.
        slices : ndarray of int
            Their numbers.
        """
        first = self.streams.take(Purpose.FORWARD, len(slices))
        key = self.streams.key(Purpose.FORWARD)
        if not self._alone:
            x = np.zeros((len(slices), self.count), np.float32)
            x[np.arange(len(slices)), slices] = 1.0
            return self._read(x, weights, self._digital, first, key, "transfer")[0]
        results = []
        for k in range(0, len(slices), TOGETHER):
            here = slices[k : k + TOGETHER]
            lines = contiguous(weights[:, here] if self.columns else weights[here])
            x = np.eye(len(here), dtype=np.float32)
            results.append(self._read(x, lines, self._digital, first + k, key, "transfer")[0])
        return results[0] if len(results) == 1 else np.concatenate(results)

    def write(self, part: Any, slices: np.ndarray, n: np.ndarray, rate: float) -> UpdateReport:
        """Add ``rate * n`` to slices of a part, on average, by pulses, slice after slice.

        Parameters
        ----------
        part : Crossbar or Cell
            Whose weights change.
        slices : ndarray of int
            Numbers of the slices.
        n : ndarray of shape (len(slices), length)
            What is to be added to each, times `rate`.
        rate : float
            > 0.
        """
        unit = np.zeros((len(slices), self.count), np.float32)
        unit[np.arange(len(slices)), slices] = 1.0
        values = np.ascontiguousarray(-n, np.float32)
        x, d = (unit, values) if self.columns else (values, unit)
        return part.update(x, d, rate, self.settings)
