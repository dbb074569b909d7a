"""What a cell is made of, as a configuration: `UnitCell`, and from configurations to crossbars."""

from __future__ import annotations

from typing import Any, ClassVar

from rpusim.config import param
from rpusim.devices import Device, PulsedDevice
from rpusim.errors import ConfigError
from rpusim.kernels.streams import Purpose, Streams
from rpusim.tiles.crossbar import Crossbar

__all__ = ["TRAINS", "CompoundDevice", "UnitCell", "build_box"]

TRAINS = (Purpose.TRAIN_X, Purpose.TRAIN_D)
Box = Any  # a Crossbar or a Cell


class CompoundDevice(Device):
    """Base of the configurations of cells: what stands at a crosspoint is several devices."""

    def build(
        self, shape: tuple[int, int], streams: Streams, backend: str = "cpu", bias: bool = False
    ) -> Box:
        """Return the cell.

        Parameters
        ----------
        shape : (int, int)
            Rows (outputs) and columns (inputs).
        streams : Streams
            Where its draws come from.
        backend : {"cpu", "cuda", "python"}
            Where it runs.
        bias : bool
            Whether the last column is an analog bias.
        """
        raise NotImplementedError


class UnitCell(CompoundDevice):
    """Base of the cells that are made of a list of devices, given by name or as first argument."""

    positional: ClassVar[str] = "unit_cell_devices"
    fewest: ClassVar[int] = 1
    most: ClassVar[int] = 0  # 0: any number

    unit_cell_devices: tuple = param((), doc="the devices of a crosspoint, also cells")
    construction_seed: int = param(0, low=0, doc="> 0: every tile of this shape has these devices")

    def check(self) -> None:
        """Refuse what cannot be a part."""
        super().check()
        where, devices = type(self).__name__, self.unit_cell_devices
        for device in devices:
            if not isinstance(device, PulsedDevice | CompoundDevice):
                raise ConfigError(
                    f"{where}.unit_cell_devices must hold pulsed devices or cells, got {device!r}."
                )
        count, top = len(devices), self.most or len(devices)
        if devices and not self.fewest <= count <= top:
            number = f"{self.fewest}" if self.fewest == self.most else f"{self.fewest} or more"
            if self.most > self.fewest:
                number = f"{self.fewest} or {self.most}"
            raise ConfigError(f"{where}.unit_cell_devices must hold {number} devices, got {count}.")

    def parts(
        self,
        shape: tuple[int, int],
        streams: Streams,
        backend: str,
        bias: bool,
        shared: tuple[int, ...] = (),
    ) -> list[Box]:
        """Return the parts of a cell, each with streams of its own.

        Parameters
        ----------
        shape, streams, backend, bias
            As for `build`.
        shared : tuple of int
            Purposes for which all parts draw the same.
        """
        if not self.unit_cell_devices:
            raise ConfigError(
                f"{type(self).__name__}.unit_cell_devices is empty: name the devices."
            )
        return [
            build_box(
                device, shape, streams.child(k, shared, self.construction_seed), backend, bias
            )
            for k, device in enumerate(self.unit_cell_devices)
        ]


def build_box(
    device: Any, shape: tuple[int, int], streams: Streams, backend: str, bias: bool
) -> Box:
    """Return the crossbar or the cell that a configuration describes."""
    if isinstance(device, CompoundDevice):
        return device.build(shape, streams, backend, bias)
    return Crossbar(shape, device, streams, backend, bias)
