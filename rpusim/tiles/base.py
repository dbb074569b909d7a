"""What every tile is: a matrix with configuration, seed, weights, hidden parameters and state."""

from __future__ import annotations

import warnings
from collections.abc import Mapping as Dict
from typing import Any

import numpy as np

from rpusim.devices import PulsedDevice
from rpusim.devices.summary import DeviceSummary, summary
from rpusim.errors import ClippedWeightsWarning, ConfigError, DataError, StateError, warn_caller
from rpusim.kernels.backend import check_backend
from rpusim.kernels.device_arrays import host
from rpusim.kernels.random import uniforms
from rpusim.kernels.streams import Purpose, Streams
from rpusim.tiles.arguments import as_size
from rpusim.tiles.compounds.cell import Cell
from rpusim.tiles.compounds.unit_cell import CompoundDevice, build_box
from rpusim.tiles.crossbar import Crossbar
from rpusim.tiles.digital import DigitalMatrix
from rpusim.tiles.ledger import Ledger
from rpusim.tiles.mapping import Mapping
from rpusim.tiles.programming import ProgrammingResult, program
from rpusim.tiles.readout import Readout, read_weights
from rpusim.tiles.settings import FloatingPointRPUConfig, InferenceRPUConfig, as_config
from rpusim.tiles.state import restore_tile, tile_state

__all__ = ["Tile"]

#: A warning is given if a larger fraction of weights cannot be held by their devices.
CLIPPED = 0.01


class Tile:
    """Base of the tiles: all but products and learning. Parameters are those of `AnalogTile`."""

    def __init__(
        self,
        out_size: int,
        in_size: int,
        rpu_config: Any = None,
        bias: bool = False,
        *,
        rng: Any = None,
        backend: str = "cpu",
    ) -> None:
        where = type(self).__name__
        self.out_size = as_size(out_size, f"{where}: out_size")
        self.in_size = as_size(in_size, f"{where}: in_size")
        self.rpu_config = as_config(rpu_config, where)
        self.backend = check_backend(backend)
        self._check_config()
        self._streams = Streams(rng)
        self.has_bias = bool(bias)
        settings = self.rpu_config.mapping
        self._mapping = Mapping(self.out_size, self.in_size, self.has_bias, settings)
        self.crossbar = self._build_crossbar()
        self.stats = Ledger()
        start = uniforms(self.crossbar.shape, self._streams.key(Purpose.INITIALISE))
        self._write(0.2 * start - 0.1, "initial weights in -0.1..0.1")

    def _check_config(self) -> None:
        for other, kind in (
            (FloatingPointRPUConfig, "FloatingPoint"),
            (InferenceRPUConfig, "Inference"),
        ):
            if isinstance(self.rpu_config, other):
                article = "an" if kind == "Inference" else "a"
                raise ConfigError(
                    f"AnalogTile needs an RPUConfig; for {article} {kind}RPUConfig use {kind}Tile."
                )

    def _build_crossbar(self) -> Crossbar | DigitalMatrix | Cell:
        device, m = self.rpu_config.device, self._mapping
        if isinstance(device, PulsedDevice | CompoundDevice):
            return build_box(device, m.shape, self._streams, self.backend, m.analog_bias)
        return DigitalMatrix(m.shape, device, self._streams, self.backend)

    @property
    def bias(self) -> np.ndarray | None:
        """The digital bias, shape (out_size,), to be read and changed in place; None without."""
        return self._mapping.bias

    @property
    def seed(self) -> int:
        """The seed that repeats this tile."""
        return self._streams.seed

    def __repr__(self) -> str:
        where = "" if self.backend == "cpu" else f", backend={self.backend!r}"
        return (
            f"{type(self).__name__}({self.out_size}, {self.in_size}, {self.rpu_config!r}, "
            f"bias={self.has_bias}, rng={self.seed}{where})"
        )

    # ---------------------------------------------------------------- weights

    def get_weights(
        self, apply_weight_scaling: bool = True, realistic: bool = False, **options: Any
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return copies of weights and bias (None without).

        Parameters
        ----------
        apply_weight_scaling : bool
            True: logical weights. False: what the devices hold.
        realistic : bool
            Whether to estimate them from products, with the options of `read_weights`.

        Returns
        -------
        weights : ndarray of shape (out_size, in_size)
        bias : ndarray of shape (out_size,) or None
        """
        if realistic:
            read = self.read_weights(apply_weight_scaling, **options)
            return read.weights, read.bias if self.bias is None else self.bias.copy()
        self._refuse(options, f"{type(self).__name__}.get_weights")
        return self._mapping.logical(host(self.crossbar.weights), apply_weight_scaling)

    def read_weights(self, apply_weight_scaling: bool = False, **options: Any) -> Readout:
        """Estimate the weights, with errors, from products with known vectors.

        Options are those of `rpusim.tiles.readout.read_weights`: `inputs`, `over_sampling` or
        `x_values`.
        """
        return read_weights(self, apply_weight_scaling, **options)

    def set_weights(
        self,
        weights: Any,
        bias: Any = None,
        apply_weight_scaling: bool = True,
        realistic: bool = False,
        **options: Any,
    ) -> int:
        """Write logical weights (and bias, if given), up to the devices' bounds.

        `get_weights` returns them.

        Parameters
        ----------
        weights : array_like of shape (out_size, in_size)
            Finite.
        bias : array_like of shape (out_size,), optional
            Left as it is if not given.
        apply_weight_scaling : bool
            False: `weights` is what the devices are to hold; the scales stay.
        realistic : bool
            Whether to program the devices by pulses, with the options of `program_weights`.

        Returns
        -------
        int
            How many weights the devices' bounds changed; `ClippedWeightsWarning` is given if it is
            more than 1 %.
        """
        where, now = f"{type(self).__name__}.set_weights", self.crossbar.weights
        if realistic:
            return program(self, weights, bias, apply_weight_scaling, where, options).clipped
        self._refuse(options, where)
        return self._write(self._mapping.physical(weights, bias, apply_weight_scaling, now, where))

    def program_weights(
        self, weights: Any = None, bias: Any = None, *, method: str = "fixed_inputs", **options: Any
    ) -> ProgrammingResult:
        """Program the devices by pulses, reading in between, until they are as they should be.

        Logical weights and bias; what is not given stays as it is. Options are those of the method:
        "fixed_inputs", products with known inputs (`rpusim.tiles.programming.program_by_pulses`);
        "write_verify", each device by itself (`rpusim.tiles.write_verify.program_by_verifying`);
        "gradient", random inputs (`rpusim.tiles.gradient_programming.program_by_gradient`).
        """
        where = f"{type(self).__name__}.program_weights"
        return program(self, weights, bias, True, where, {"method": method, **options})

    @property
    def mapping_scales(self) -> np.ndarray:
        """Factor of each output between devices and logical weights, shape (out_size,)."""
        return self._mapping.scales.copy()

    def weight_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and largest weight that each device can hold (before write noise)."""
        low, high = (host(end) for end in self.crossbar.weight_range())
        return (low[:, :-1], high[:, :-1]) if self._mapping.analog_bias else (low, high)

    def get_hidden_parameters(self) -> dict[str, np.ndarray]:
        """Return a copy of all that each device carries, by name, each of the devices' shape."""
        return self.crossbar.hidden_parameters()

    def set_hidden_parameters(
        self, changes: Dict[str, Any], recompute_derived: bool = True
    ) -> None:
        """Replace some hidden parameters; names in any order; nothing changes if one is refused.

        Parameters
        ----------
        changes : dict of str to array_like
            Arrays by name, see `get_hidden_parameters`.
        recompute_derived : bool
            Whether what follows from a changed parameter (the slopes of a soft-bounds device)
            follows it.
        """
        self.crossbar.set_hidden_parameters(changes, recompute_derived)

    @property
    def pulse_counts(self) -> dict[str, np.ndarray]:
        """Pulses that each device got, ``up`` and ``down``; needs ``count_pulses=True``."""
        return self._pulsed().pulse_counts()

    @property
    def weight_granularity(self) -> float:
        """Weight change by which pulses are counted; assign to override the device's own figure."""
        return self._pulsed().granularity

    @weight_granularity.setter
    def weight_granularity(self, value: float) -> None:
        if not (np.isfinite(value) and value > 0.0):
            raise DataError(f"weight_granularity must be > 0, got {value!r}.")
        self._pulsed().granularity = float(value)

    def device_summary(self) -> DeviceSummary:
        """Return the key figures of the mean device and their spread over this tile's devices."""
        box = self._devices()
        return summary(box.device, {name: host(box.plane(name)) for name in box.names})

    def estimate_dw_min(self) -> float:
        """Return the mean of `dwmin_up` and `dwmin_down` over the devices as they are now.

        Nothing follows it by itself: after changing steps by `set_hidden_parameters`, assign
        `weight_granularity` if learning rates are to keep their meaning.
        """
        box = self._devices()
        return float(0.5 * (box.plane("dwmin_up") + box.plane("dwmin_down")).mean(dtype=float))

    def _pulsed(self) -> Crossbar | Cell:
        if isinstance(self.crossbar, DigitalMatrix):
            raise StateError(f"{type(self.rpu_config.device).__name__} takes no pulses.")
        return self.crossbar

    def _devices(self) -> Crossbar:
        box = self._pulsed()
        if isinstance(box, Cell):
            raise StateError(f"{type(box.device).__name__} is several devices: ask each by itself.")
        return box

    # ---------------------------------------------------------------- state

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return all that changes as plain arrays; `load_state_dict` continues bit for bit."""
        return tile_state(self)

    def load_state_dict(self, state: Dict[str, np.ndarray]) -> None:
        """Continue from the state of a tile of the same kind and size.

        Raises
        ------
        StateError, ShapeError
            If arrays are missing, unknown or of another shape; then nothing is changed.
        """
        restore_tile(self, state)

    def __reduce__(self) -> tuple[Any, ...]:
        """Make tiles travel to other processes and through `copy.deepcopy`."""
        made = (self.out_size, self.in_size, self.rpu_config, self.has_bias, self.backend)
        return _remake, (type(self), made, self.state_dict())

    def _write(self, w: np.ndarray, what: str = "weights") -> int:
        clipped = self.crossbar.set_weights(w)
        self.stats.writes += 1
        return self._count_clipped(clipped, w.size, what)

    def _count_clipped(self, clipped: int, size: int, what: str = "weights") -> int:
        self.stats.weights_clipped += clipped
        if clipped > CLIPPED * size:
            warn_caller(
                f"{type(self).__name__}: {clipped} of {size} {what} were clipped to what their "
                "devices can hold (see weight_range(); mapping.weight_scaling_omega scales weights "
                "to fit).",
                ClippedWeightsWarning,
            )
        return clipped

    @staticmethod
    def _refuse(options: Dict[str, Any], where: str) -> None:
        if options:
            raise ConfigError(f"{where}: {', '.join(options)} needs realistic=True.")


def _remake(kind: type[Tile], made: tuple[Any, ...], state: Dict[str, np.ndarray]) -> Tile:
    """Return a tile in a state, for pickle and copy."""
    out_size, in_size, config, bias, backend = made
    with warnings.catch_warnings():
        # of weights that are replaced at once
        warnings.simplefilter("ignore", ClippedWeightsWarning)
        tile = kind(out_size, in_size, config, bias, rng=0, backend=backend)
    tile.load_state_dict(state)
    return tile
