"""Weights and devices of a grid: whole matrices, cut for its tiles and put together again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rpusim.devices.summary import DeviceSummary, summary
from rpusim.errors import ShapeError, StateError
from rpusim.kernels.device_arrays import host
from rpusim.tiles.arguments import as_matrix
from rpusim.tiles.grid_base import GridBase, silent_tiles
from rpusim.tiles.programming_job import ProgrammingResult
from rpusim.tiles.readout import Readout

__all__ = ["GridWeights"]

SUMS = ("pulses", "reads", "clipped")  # of results of programming


class GridWeights(GridBase):
    """A grid and what its devices hold. Parameters and attributes are those of `TileGrid`."""

    def get_weights(
        self, apply_weight_scaling: bool = True, realistic: bool = False, **options: Any
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return copies of weights, (out_size, in_size), and bias, as `AnalogTile.get_weights`."""
        options |= {"realistic": realistic}
        held = self._by_place(
            lambda i, j: self.tiles[i][j].get_weights(
                apply_weight_scaling, **self._options(i, j, options)
            )
        )
        bias = None if self.bias is None else self.bias.copy()
        if self.layout.line:
            bias = np.concatenate([b for _, b in held[0]])
        return self.layout.matrix([[w for w, _ in column] for column in held]), bias

    def set_weights(
        self,
        weights: Any,
        bias: Any = None,
        apply_weight_scaling: bool = True,
        realistic: bool = False,
        **options: Any,
    ) -> int:
        """Write weights of shape (out_size, in_size) and bias, as `AnalogTile.set_weights`.

        Each tile scales its part for itself. Returns how many weights the bounds changed.
        """
        options |= {"apply_weight_scaling": apply_weight_scaling, "realistic": realistic}
        return sum(self._write("set_weights", weights, bias, options))

    def read_weights(self, apply_weight_scaling: bool = False, **options: Any) -> Readout:
        """Estimate the weights from products with known vectors, as `AnalogTile.read_weights`.

        ``vectors`` of the result are those that each tile read.
        """
        read = self._by_place(
            lambda i, j: self.tiles[i][j].read_weights(
                apply_weight_scaling, **self._options(i, j, options)
            )
        )
        weights, errors = (
            self.layout.matrix([[getattr(r, name) for r in column] for column in read])
            for name in ("weights", "standard_error")
        )
        bias, error = (
            np.concatenate([getattr(r, name) for r in read[0]]) if self.layout.line else None
            for name in ("bias", "bias_standard_error")
        )
        return Readout(weights, bias, errors, error, max(r.vectors for c in read for r in c))

    def program_weights(
        self, weights: Any = None, bias: Any = None, *, method: str = "fixed_inputs", **options: Any
    ) -> ProgrammingResult:
        """Program the devices by pulses, tile after tile, as `AnalogTile.program_weights`.

        Of the result, `pulses`, `reads` and `clipped` are sums, `success` is that of all tiles,
        `failed` that of all devices; the rest is that of the tile with the largest error.
        """
        results = self._write("program_weights", weights, bias, {"method": method, **options})
        worst = max(results, key=lambda result: (not result.success, result.error))
        failed = None
        if worst.failed is not None:
            each = dict(zip(self.layout.places, results, strict=True))
            failed = self.layout.devices(self._by_place(lambda i, j: each[i, j].failed))
        return dataclasses.replace(
            worst,
            success=all(result.success for result in results),
            failed=failed,
            **{name: sum(getattr(r, name) for r in results) for name in SUMS},
        )

    def _write(self, method: str, weights: Any, bias: Any, options: dict[str, Any]) -> list[Any]:
        """Call a method of all tiles with their parts of weights and bias; return its results."""
        where = f"{type(self).__name__}.{method}"
        w = b = None
        if weights is not None or method == "set_weights":
            w = as_matrix(weights, (self.out_size, self.in_size), f"{where}: weights")
        if bias is not None:
            if not self.has_bias:
                raise StateError(f"{where}: this grid has no bias; make it with bias=True.")
            b = as_matrix(bias, (self.out_size,), f"{where}: bias")
        results, before = [], self.stats.weights_clipped
        with silent_tiles():
            for i, j in self.layout.places:
                own = None if w is None else self.layout.block(w, i, j)
                line = b is not None and self.layout.has_line(i)
                column = b[self.layout.rows[j]] if b is not None and line else None
                call = getattr(self.tiles[i][j], method)
                results.append(call(own, column, **self._options(i, j, options)))
        self._warn_clipped(self.stats.weights_clipped - before)
        if b is not None and self.bias is not None:
            self.bias[:] = b
        return results

    def _options(self, i: int, j: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options for one tile: its parts of vectors to read with, and of matrices."""
        own = dict(options)
        if own.get("x_values") is not None:
            own["x_values"] = np.asarray(own["x_values"])[..., self.layout.cols[i]]
        start = own.get("w_init")
        if start is not None and np.shape(start) == self.layout.device_shape:
            own["w_init"] = self.layout.device_block(np.asarray(start), i, j)
        return own

    @property
    def mapping_scales(self) -> np.ndarray:
        """Factors between devices and logical weights, shape (input blocks, out_size)."""
        return np.stack([np.concatenate([t.mapping_scales for t in c]) for c in self.tiles])

    def weight_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and largest weight that each device can hold (before write noise)."""
        ranges = self._by_tile(lambda tile: tile.weight_range())
        low, high = ([[pair[side] for pair in column] for column in ranges] for side in (0, 1))
        return self.layout.matrix(low), self.layout.matrix(high)

    # ---------------------------------------------------------------- devices

    def get_hidden_parameters(self) -> dict[str, np.ndarray]:
        """Return what each device carries, by name: matrices of all, an analog bias last."""
        return self._of_devices(lambda tile: tile.get_hidden_parameters())

    def set_hidden_parameters(
        self, changes: Mapping[str, Any], recompute_derived: bool = True
    ) -> None:
        """Replace some hidden parameters, as `AnalogTile.set_hidden_parameters`, or none of them.

        Parameters
        ----------
        changes : dict of str to array_like
            Whole matrices by name, see `get_hidden_parameters`.
        recompute_derived : bool
            Whether what follows from a changed parameter follows it.
        """
        where, shape = f"{type(self).__name__}.set_hidden_parameters", self.layout.device_shape
        known = self.tiles[0][0].get_hidden_parameters()
        whole = {name: np.array(changes[name], np.float64) for name in changes if name in known}
        for name, values in whole.items():
            if values.shape != shape:
                raise ShapeError(f"{where}: {name} must have shape {shape}, got {values.shape}.")
        done: list[tuple[Any, dict[str, np.ndarray]]] = []
        try:
            for i, j in self.layout.places:
                own = {n: self.layout.device_block(values, i, j) for n, values in whole.items()}
                before = self.tiles[i][j].state_dict()
                self.tiles[i][j].set_hidden_parameters({**changes, **own}, recompute_derived)
                done.append((self.tiles[i][j], before))
        except BaseException:
            for tile, before in done:
                tile.load_state_dict(before)
            raise

    @property
    def pulse_counts(self) -> dict[str, np.ndarray]:
        """Pulses that each device got, ``up`` and ``down``; needs ``count_pulses=True``."""
        return self._of_devices(lambda tile: tile.pulse_counts)

    @property
    def weight_granularity(self) -> float:
        """Weight change by which pulses are counted, mean of the tiles; assign to override it."""
        return float(np.mean(self._by_tile(lambda tile: tile.weight_granularity)))

    @weight_granularity.setter
    def weight_granularity(self, value: float) -> None:
        for tile in self.named_tiles().values():
            tile.weight_granularity = value

    def estimate_dw_min(self) -> float:
        """Return the mean of `dwmin_up` and `dwmin_down` over the devices as they are now."""
        sizes = self._by_tile(lambda tile: np.prod(tile.crossbar.shape))
        return float(np.average(self._by_tile(lambda tile: tile.estimate_dw_min()), weights=sizes))

    def device_summary(self) -> DeviceSummary:
        """Return the key figures of the mean device and their spread over the grid's devices."""
        planes = self._of_devices(
            lambda tile: {name: host(tile._pulsed().plane(name)) for name in tile._pulsed().names}
        )
        return summary(self.rpu_config.device, planes)

    def _of_devices(self, look: Callable[[Any], Mapping[str, np.ndarray]]) -> dict[str, Any]:
        """Return matrices of all devices by name, from those of the tiles."""
        found = self._by_tile(look)
        return {
            name: self.layout.devices([[arrays[name] for arrays in column] for column in found])
            for name in found[0][0]
        }
