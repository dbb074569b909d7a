r"""Several devices at a crosspoint as one weight: `VectorUnitCell`, `ReferenceUnitCell`.

.. math:: W = \sum_k \gamma_k w_k, \qquad
          \Delta w_k = -\eta\, d x^\mathsf{T} \frac{g_k}{g} \quad \text{for the devices chosen}

With ALL, the trains of an update are the same for all devices, and count in pulses of the mean
granularity g: with :math:`\gamma_k = 1/n` the weight moves by :math:`-\eta\,d x^\mathsf{T}`. A
single device is pulsed by its own granularity; the next batch goes to the next one, or to a random
one.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rpusim.config import Choice, param
from rpusim.config_fields import check_numbers
from rpusim.errors import ConfigError, DataError
from rpusim.kernels.device_arrays import place
from rpusim.kernels.streams import Purpose, Streams
from rpusim.pulses.settings import UpdateParameters
from rpusim.tiles.compounds.cell import Cell
from rpusim.tiles.compounds.unit_cell import TRAINS, UnitCell
from rpusim.tiles.ledger import UpdateReport

__all__ = ["ReferenceUnitCell", "VectorUnitCell", "VectorUnitCellUpdatePolicy"]


class VectorUnitCellUpdatePolicy(Choice):
    """Which devices of a cell an update goes to."""

    ALL = "All"
    SINGLE_FIXED = "SingleFixed"
    SINGLE_SEQUENTIAL = "SingleSequential"
    SINGLE_RANDOM = "SingleRandom"


class VectorUnitCell(UnitCell):
    """Devices whose weights add up; an update goes to all of them, or to one after the other."""

    update_policy: VectorUnitCellUpdatePolicy = param(
        VectorUnitCellUpdatePolicy.ALL, doc="which devices a batch goes to"
    )
    first_update_idx: int = param(0, low=0, doc="the first device, if it is one at a time")
    gamma_vec: tuple = param((), doc="weights of the sum; empty: 1/n each")

    def check(self) -> None:
        """Refuse weights that do not fit the devices."""
        super().check()
        where, count = type(self).__name__, len(self.unit_cell_devices)
        check_numbers(f"{where}.gamma_vec", self.gamma_vec)
        if self.gamma_vec and count and len(self.gamma_vec) != count:
            raise ConfigError(
                f"{where}.gamma_vec must have one number for each of {count} devices, "
                f"got {len(self.gamma_vec)}."
            )
        if self.gamma_vec and not any(self.gamma_vec):
            raise ConfigError(f"{where}.gamma_vec must not be zero: no weight could be seen.")
        if count and self.first_update_idx >= count:
            raise ConfigError(
                f"{where}.first_update_idx must be below {count}, the number of devices, "
                f"got {self.first_update_idx}."
            )

    def build(
        self, shape: tuple[int, int], streams: Streams, backend: str = "cpu", bias: bool = False
    ) -> Cell:
        """Return the cell; see `CompoundDevice.build`."""
        together = self.update_policy is VectorUnitCellUpdatePolicy.ALL
        parts = self.parts(shape, streams, backend, bias, TRAINS if together else ())
        if together:
            mean = float(np.mean([part.granularity for part in parts]))
            for part in parts:
                part.granularity = mean
        gammas = self.gamma_vec or (1.0 / len(parts),) * len(parts)
        return VectorCell(self, parts, gammas, streams)


class VectorCell(Cell):
    """The devices of a `VectorUnitCell`."""

    def __init__(self, device: VectorUnitCell, parts: list, gammas: Any, streams: Streams) -> None:
        super().__init__(device, parts, gammas, streams)
        self.policy, self._first = device.update_policy, device.first_update_idx
        self.arrays["index"] = np.array(device.first_update_idx)

    def _learn(
        self, x: np.ndarray, d: np.ndarray, rate: float, settings: UpdateParameters
    ) -> UpdateReport:
        if self.policy is VectorUnitCellUpdatePolicy.ALL:
            report, *others = (part.update(x, d, rate, settings) for part in self.parts)
            for other in others:
                report.add_pulses(other)
            return report
        if self.policy is VectorUnitCellUpdatePolicy.SINGLE_RANDOM:
            self.index = self._random_index()
        chosen = self.index
        if self.policy is VectorUnitCellUpdatePolicy.SINGLE_SEQUENTIAL:
            self.index = (chosen + 1) % len(self.parts)
        return self.parts[chosen].update(x, d, rate, settings)

    def _random_index(self) -> int:
        step, *key = self.streams.draw(Purpose.TRANSFER)
        return int(np.random.default_rng([*key, step]).integers(len(self.parts)))

    @property
    def index(self) -> int:
        """The device that the next batch goes to, if it goes to one."""
        return int(self.arrays["index"])

    @index.setter
    def index(self, value: int) -> None:
        if not 0 <= value < len(self.parts):
            raise DataError(f"index must be in 0..{len(self.parts) - 1}, got {value!r}.")
        self.arrays["index"][...] = value

    def set_weights(self, weights: np.ndarray) -> int:
        """Share weights out with the smallest sum of squares; return how many bounds changed."""
        norm = float(np.square(self.gammas).sum())
        for gamma, part in zip(self.gammas, self.parts, strict=True):
            part.set_weights(weights * (gamma / norm))
        self.begin_anew()
        self.refresh()
        return self.missed(weights)

    def begin_anew(self) -> None:
        """Return to the first device."""
        self.index = self._first


class ReferenceUnitCell(UnitCell):
    r"""A device and a reference that is not pulsed: :math:`W = w_0 - w_1`.

    One device given stands for both. The reference begins at 0; set it by name
    (``hidden_weights_1``). Weights that are set go to the device, the reference stays.
    """

    fewest: ClassVar[int] = 1
    most: ClassVar[int] = 2

    def build(
        self, shape: tuple[int, int], streams: Streams, backend: str = "cpu", bias: bool = False
    ) -> Cell:
        """Return the cell; see `CompoundDevice.build`."""
        both = self
        if len(self.unit_cell_devices) == 1:
            both = self.replace(unit_cell_devices=self.unit_cell_devices * 2)
        parts = both.parts(shape, streams, backend, bias, streams.shared)
        return ReferenceCell(self, parts, (1.0, -1.0), streams)


class ReferenceCell(Cell):
    """The devices of a `ReferenceUnitCell`."""

    @property
    def granularity(self) -> float:
        """Weight change of a pulse of the device."""
        return self.parts[0].granularity

    @granularity.setter
    def granularity(self, value: float) -> None:
        self.parts[0].granularity = value

    def _learn(
        self, x: np.ndarray, d: np.ndarray, rate: float, settings: UpdateParameters
    ) -> UpdateReport:
        return self.parts[0].update(x, d, rate, settings)

    def set_weights(self, weights: np.ndarray) -> int:
        """Write to the device; return how many weights its bounds changed."""
        self.parts[0].set_weights(place(weights, self.backend) + self.parts[1]._held())
        self.refresh()
        return self.missed(weights)
