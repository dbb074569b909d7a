"""What a grid is made of: tiles with seeds of their own, a bias, a state."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from rpusim.devices import PulsedDevice
from rpusim.errors import ClippedWeightsWarning, ConfigError, StateError, warn_caller
from rpusim.kernels.backend import check_backend
from rpusim.kernels.streams import Streams
from rpusim.periphery import PrePostProcessingParameterQuant
from rpusim.periphery.quantiser import PeripheryQuantiser
from rpusim.tiles import grid_state
from rpusim.tiles.analog import AnalogTile
from rpusim.tiles.arguments import as_size
from rpusim.tiles.base import CLIPPED
from rpusim.tiles.floating_point import FloatingPointTile
from rpusim.tiles.grid_layout import GridLayout, utilisation
from rpusim.tiles.inference import InferenceTile
from rpusim.tiles.ledger import Ledger
from rpusim.tiles.settings import FloatingPointRPUConfig, InferenceRPUConfig, as_config

__all__ = ["GridBase", "silent_tiles", "tile_kind"]

KINDS = {FloatingPointRPUConfig: FloatingPointTile, InferenceRPUConfig: InferenceTile}


def tile_kind(rpu_config: Any) -> type[AnalogTile]:
    """Return the class of the tiles that a configuration describes."""
    return next((kind for c, kind in KINDS.items() if isinstance(rpu_config, c)), AnalogTile)


@contextlib.contextmanager
def silent_tiles() -> Iterator[None]:
    """Let no tile warn of clipped weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedWeightsWarning)
        yield


class GridBase:
    """Base of grids: their tiles. Parameters and attributes are those of `TileGrid`."""

    def __init__(
        self,
        out_size: int,
        in_size: int,
        rpu_config: Any = None,
        bias: bool = False,
        *,
        rng: Any = None,
        backend: str = "cpu",
        in_unit: int = 1,
    ) -> None:
        where = type(self).__name__
        self.out_size = as_size(out_size, f"{where}: out_size")
        self.in_size = as_size(in_size, f"{where}: in_size")
        self.rpu_config = as_config(rpu_config, where)
        self.backend, self.has_bias = check_backend(backend), bool(bias)
        self._streams = Streams(rng)
        mapping, stages = self.rpu_config.mapping, self.rpu_config.pre_post
        self.in_unit = as_size(in_unit, f"{where}: in_unit")
        if self.in_size % self.in_unit:
            raise ConfigError(f"{where}: in_unit must divide {self.in_size}, got {in_unit!r}.")
        self.layout = GridLayout(self.out_size, self.in_size, self.has_bias, mapping, self.in_unit)
        digital = self.has_bias and not self.layout.line
        self._bias = np.zeros(self.out_size, np.float32) if digital else None
        self._quantiser: PeripheryQuantiser | None = None
        quantised = isinstance(stages, PrePostProcessingParameterQuant) and stages.periph_quant
        if digital and quantised and quantised.n_bits:
            self._quantiser = PeripheryQuantiser(quantised)
        with silent_tiles():
            self.tiles = self._by_place(lambda i, j: self.make_tile(i, j, self.tile_config(i, j)))
        self._warn_clipped(self.stats.weights_clipped, "initial weights in -0.1..0.1")

    def _warn_clipped(self, clipped: int, what: str = "weights") -> None:
        """Warn once, instead of each tile, if bounds changed more than 1 % of the weights."""
        rows, cols = self.layout.device_shape
        if clipped > CLIPPED * rows * cols:
            warn_caller(
                f"{type(self).__name__}: {clipped} of {rows * cols} {what} were clipped to what "
                "their devices can hold (see weight_range(); mapping.weight_scaling_omega scales "
                "weights to fit).",
                ClippedWeightsWarning,
            )

    def tile_config(self, i: int, j: int) -> Any:
        """Return the configuration of a new tile: a construction seed is one for each of them."""
        seed = getattr(self.rpu_config.device, "construction_seed", 0)
        if seed == 0 or i == j == 0 or not isinstance(self.rpu_config.device, PulsedDevice):
            return self.rpu_config
        own = int(np.random.SeedSequence(seed, spawn_key=(i, j)).generate_state(1)[0])
        return self.rpu_config.replace(device={"construction_seed": max(own, 1)})

    def make_tile(self, i: int, j: int, config: Any) -> AnalogTile:
        """Return a new tile for input block `i` and output block `j`."""
        return tile_kind(config)(
            self.layout.out_sizes[j],
            self.layout.in_sizes[i],
            config,
            self.layout.has_line(i),
            rng=np.random.SeedSequence(self.seed, spawn_key=(i, j)),
            backend=self.backend,
        )

    def _by_place(self, make: Callable[[int, int], Any]) -> list[list[Any]]:
        """Return what a function gives for input and output block, in the form of `tiles`."""
        return [[make(i, j) for j in range(len(self.layout.rows))] for i in self._in_blocks]

    def _by_tile(self, look: Callable[[Any], Any]) -> list[list[Any]]:
        """Return what a function gives for each tile, in the form of `tiles`."""
        return [[look(tile) for tile in column] for column in self.tiles]

    @property
    def _in_blocks(self) -> range:
        return range(len(self.layout.cols))

    def named_tiles(self) -> dict[str, AnalogTile]:
        """Return the tiles by name, ``tiles.0.1`` for input block 0 and output block 1."""
        return {f"tiles.{i}.{j}": self.tiles[i][j] for i, j in self.layout.places}

    @property
    def bias(self) -> np.ndarray | None:
        """The digital bias, shape (out_size,), to be read and changed in place; None without."""
        return self._bias

    @property
    def seed(self) -> int:
        """The seed that repeats this grid."""
        return self._streams.seed

    @property
    def utilisation(self) -> float:
        """Fraction of the devices of tiles of the largest size that are used."""
        return utilisation(self.named_tiles().values())

    @property
    def stats(self) -> Ledger:
        """Sums over the tiles: a vector through the grid is read by each of them."""
        total, ledgers = Ledger(), [tile.stats for tile in self.named_tiles().values()]
        total.restore(np.sum([ledger.state() for ledger in ledgers], axis=0))
        reports = [ledger.last_update for ledger in ledgers]
        last = total.last_update
        active = [report.vectors - report.silent for report in reports]
        for field in dataclasses.fields(last):
            setattr(last, field.name, sum(getattr(report, field.name) for report in reports))
        lengths = sum(n * r.mean_length for n, r in zip(active, reports, strict=True))
        last.mean_length = lengths / max(sum(active), 1)
        return total

    def __repr__(self) -> str:
        sizes = f"{self.out_size}, {self.in_size}, {self.rpu_config!r}"
        where = "" if self.backend == "cpu" else f", backend={self.backend!r}"
        return f"{type(self).__name__}({sizes}, bias={self.has_bias}, rng={self.seed}{where})"

    # ---------------------------------------------------------------- digital parameters

    def digital_parameters(self) -> dict[str, np.ndarray]:
        """Return the trainable digital arrays themselves, by name.

        ``bias`` is the grid's; ``out_scaling_0_1`` and ``input_range_0_1`` are those of the tile of
        input block 0 and output block 1.
        """
        arrays = {} if self.bias is None else {"bias": self.bias}
        for i, j in self.layout.places:
            own = self.tiles[i][j].digital_parameters()
            arrays |= {f"{name}_{i}_{j}": array for name, array in own.items()}
        return arrays

    def project_digital_parameters(self) -> None:
        """Keep what has to be positive positive, after an optimizer's step."""
        self._by_tile(lambda tile: tile.project_digital_parameters())

    @property
    def input_range(self) -> np.ndarray | None:
        """Ranges by input and output block, NaN for tiles without; None if none has one."""
        ranges = np.array(self._by_tile(lambda tile: tile.input_range), np.float64)  # None is NaN
        return None if np.isnan(ranges).all() else ranges

    def set_input_range(self, value: float, info: str | None = None) -> None:
        """Clip the inputs of all tiles to a range, as `AnalogTile.set_input_range`."""
        self._by_tile(lambda tile: tile.set_input_range(value, info))

    # ---------------------------------------------------------------- state

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return all that changes as plain arrays; those of tiles as ``tiles.0.1.<name>``."""
        return grid_state.state_of(self)

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from the state of a grid of the same kind and size; all of it or nothing."""
        grid_state.restore(self, state)

    def __reduce__(self) -> tuple[Any, ...]:
        """Make grids travel to other processes and through `copy.deepcopy`."""
        sizes = (self.out_size, self.in_size, self.in_unit)
        made = (*sizes, self.rpu_config, self.has_bias, self.backend)
        return grid_state.remake, (type(self), made, self.changed_configs(), self.state_dict())

    def changed_configs(self) -> dict[str, Any]:
        """Return the configurations of tiles that were given another one, by name."""
        made = {f"tiles.{i}.{j}": self.tile_config(i, j) for i, j in self.layout.places}
        tiles = self.named_tiles().items()
        return {name: t.rpu_config for name, t in tiles if t.rpu_config != made[name]}

    def take_configs(self, configs: Mapping[str, Any]) -> None:
        """Build tiles anew with configurations of their own, as `changed_configs` returned them."""
        unknown = set(configs) - set(self.named_tiles())
        if unknown:
            raise StateError(f"{type(self).__name__} has no tiles called {sorted(unknown)}.")
        for i, j in self.layout.places:
            if (config := configs.get(f"tiles.{i}.{j}")) is not None:
                self.tiles[i][j] = self.make_tile(i, j, config)
