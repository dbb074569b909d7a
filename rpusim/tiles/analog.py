"""`AnalogTile`: a crossbar, the periphery of its products, and the digital scales around both."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.devices import PulsedDevice
from rpusim.errors import ClippedWeightsWarning, ConfigError, DataError, ShapeError, StateError
from rpusim.kernels.backend import check_backend
from rpusim.kernels.random import uniforms
from rpusim.kernels.streams import Purpose, Streams
from rpusim.periphery.mvm import Periphery
from rpusim.tiles.crossbar import Crossbar
from rpusim.tiles.digital import DigitalMatrix
from rpusim.tiles.ledger import Ledger
from rpusim.tiles.settings import FloatingPointRPUConfig, RPUConfig, as_config
from rpusim.tiles.state import tile_state, restore_tile

__all__ = ["AnalogTile"]

#: A warning is given if a larger fraction of weights cannot be held by their devices.
CLIPPED = 0.01


class AnalogTile:
    r"""A matrix of devices that multiplies with noise and learns by pulses.

    With devices' weights W, mapping scales s (1 unless `weight_scaling_omega` is set) and digital bias b:

    .. math:: y = s \odot (W \circledast x) + b

    where :math:`\circledast` is the noisy product of `rpusim.periphery.mvm`. The logical weights are :math:`s W`.

    Parameters
    ----------
    out_size, in_size : int
        Outputs (rows) and inputs (columns).
    rpu_config : RPUConfig or Device, optional
        What it is made of; default `RPUConfig()`.
    bias : bool
        Whether outputs have a bias: digital, or one more column driven by 1 if `mapping.digital_bias` is off.
    rng : None, int, SeedSequence or Generator
        Source of all its randomness. The same seed and the same calls give the same bits, for any number of
        threads.
    backend : {"cpu", "python"}
        Machine code, or plain Python loops (slow; the same bits).

    Attributes
    ----------
    seed : int
        Repeats this tile: ``AnalogTile(..., rng=tile.seed)``.
    stats : Ledger
        Reads, pulses and writes since construction.
    bias : ndarray of shape (out_size,) or None
        The digital bias.

    Examples
    --------
    >>> import numpy as np, rpusim as rs
    >>> tile = rs.AnalogTile(2, 3, rs.ConstantStepDevice(), rng=1)
    >>> tile.set_weights([[0.1, 0.2, 0.3], [-0.3, 0.0, 0.3]])
    0
    >>> tile.forward(np.ones((5, 3))).shape
    (5, 2)
    """

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
        for name, size in (("out_size", out_size), ("in_size", in_size)):
            if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
                raise ConfigError(f"{where}: {name} must be a positive integer, got {size!r}.")
        self.out_size, self.in_size = int(out_size), int(in_size)
        self.rpu_config = as_config(rpu_config, where)
        self.backend = check_backend(backend)
        self._check_config()
        self._streams = Streams(rng)
        digital = self.rpu_config.mapping.digital_bias
        self.has_bias = bool(bias)
        self.bias = np.zeros(self.out_size, np.float32) if bias and digital else None
        self._analog_bias = bool(bias) and not digital
        self.crossbar = self._build_crossbar()
        forward, backward = self._io()
        self._forward = Periphery(forward, False, backend)
        self._backward = Periphery(backward, True, backend)
        self._scales = np.ones(self.out_size, np.float32)
        self._scaled = False
        self._no_offset = np.zeros(self.out_size, np.float32)
        self._in_gain = np.ones(self.in_size + self._analog_bias, np.float32)
        self._in_offset = np.zeros(self.in_size + self._analog_bias, np.float32)
        self.stats = Ledger()
        start = uniforms(self.crossbar.shape, self._streams.key(Purpose.INITIALISE))
        self._write(0.2 * start - 0.1, "initial weights in -0.1..0.1")

    def _check_config(self) -> None:
        if isinstance(self.rpu_config, FloatingPointRPUConfig):
            raise ConfigError(
                "AnalogTile needs an RPUConfig; for a FloatingPointRPUConfig use FloatingPointTile."
            )

    def _io(self) -> tuple[Any, Any]:
        return self.rpu_config.forward, self.rpu_config.backward

    def _build_crossbar(self) -> Crossbar | DigitalMatrix:
        shape = (self.out_size, self.in_size + self._analog_bias)
        device = self.rpu_config.device
        if isinstance(device, PulsedDevice):
            return Crossbar(shape, device, self._streams, self.backend, self._analog_bias)
        return DigitalMatrix(shape, device, self._streams, self.backend)

    @property
    def seed(self) -> int:
        """The seed that repeats this tile."""
        return self._streams.seed

    def __repr__(self) -> str:
        name, seed = type(self).__name__, self.seed
        return f"{name}({self.out_size}, {self.in_size}, {self.rpu_config!r}, bias={self.has_bias}, rng={seed})"

    # ---------------------------------------------------------------- products and update

    def forward(self, x: Any, is_test: bool = False) -> np.ndarray:
        """Multiply: ``y = W x``, with all that the configuration says happens on the way.

        Parameters
        ----------
        x : array_like of shape (..., in_size)
            Input vectors; finite.
        is_test : bool
            Whether this is evaluation; accepted for tiles that behave differently then.

        Returns
        -------
        ndarray of shape (..., out_size), float32

        Raises
        ------
        ShapeError, DataError
            If `x` has another last axis, or holds NaN or infinity.
        """
        x2, lead = self._vectors(x, self.in_size, "forward: x", "inputs")
        x2 = self._with_bias_line(x2)
        first = self._streams.take(Purpose.FORWARD, len(x2))
        offset = self._no_offset if self.bias is None else self.bias
        key = self._streams.key(Purpose.FORWARD)
        weights, where = self.crossbar.weights, f"{type(self).__name__}.forward"
        y = self._forward(x2, weights, self._scales, offset, first, key, where)
        self.stats.reads_forward += len(x2)
        return y if len(lead) == 1 else y.reshape(*lead, self.out_size)

    def backward(self, d: Any) -> np.ndarray:
        """Multiply with the transpose: ``W^T d``.

        Parameters
        ----------
        d : array_like of shape (..., out_size)
            Error vectors; finite.

        Returns
        -------
        ndarray of shape (..., in_size), float32
        """
        d2, lead = self._vectors(d, self.out_size, "backward: d", "outputs")
        if self._scaled:
            d2 = d2 * self._scales
        first = self._streams.take(Purpose.BACKWARD, len(d2))
        key = self._streams.key(Purpose.BACKWARD)
        weights, where = self.crossbar.weights, f"{type(self).__name__}.backward"
        x = self._backward(d2, weights, self._in_gain, self._in_offset, first, key, where)
        self.stats.reads_backward += len(d2)
        if self._analog_bias:
            x = np.ascontiguousarray(x[:, :-1])
        return x if len(lead) == 1 else x.reshape(*lead, self.in_size)

    def update(self, x: Any, d: Any, learning_rate: float = 0.01) -> None:
        """Learn: ``W <- W - learning_rate * sum_b d_b x_b^T`` on average, by pulses, pairs in order.

        Parameters
        ----------
        x : array_like of shape (..., in_size)
            Inputs.
        d : array_like of shape (..., out_size)
            Errors with respect to the outputs, as many as inputs.
        learning_rate : float
            >= 0; with 0 nothing happens at all.

        Notes
        -----
        A digital bias is not touched: it is an ordinary parameter. ``tile.stats.last_update`` reports the pulses
        sent and how many vectors saturated their trains.
        """
        rate = self._rate(learning_rate)
        x2, _ = self._vectors(x, self.in_size, "update: x", "inputs")
        d2, _ = self._vectors(d, self.out_size, "update: d", "outputs")
        if len(x2) != len(d2):
            raise ShapeError(
                f"{type(self).__name__}.update: x and d must hold as many vectors, got {len(x2)} and {len(d2)}."
            )
        if rate == 0.0 or len(x2) == 0:
            return
        x2 = self._with_bias_line(x2)
        if self._scaled:
            mean = 1.0
            if self.rpu_config.mapping.weight_scaling_lr_compensation:
                mean = float(self._scales.mean())
            rate, d2 = rate / mean, d2 * (np.float32(mean) / self._scales)
        self.stats.record(self.crossbar.update(x2, d2, rate, self._update_settings()))

    def _update_settings(self) -> Any:
        return self.rpu_config.update

    def post_update_step(self) -> None:
        """Diffuse and decay once: what an optimizer calls after its step, whether or not it moved this tile."""
        self.crossbar.diffuse()
        self.crossbar.decay()

    def drift_weights(self, delta_t: float = 1.0) -> None:
        """Let a time pass, in the unit of the device's ``drift.t_0``."""
        if not (np.isreal(delta_t) and np.isfinite(delta_t) and delta_t >= 0.0):
            raise DataError(f"drift_weights: delta_t must be a time >= 0, got {delta_t!r}.")
        self.crossbar.drift(float(delta_t))

    def reset_columns(self, start: int = 0, count: int = -1, prob: float = 1.0) -> None:
        """Reset `count` columns from `start` on, around the end (all if negative), each device with `prob`."""
        if not 0.0 <= prob <= 1.0:
            raise DataError(f"reset_columns: prob must be in 0..1, got {prob!r}.")
        cols = self.crossbar.shape[1]
        marked = np.zeros(cols, np.uint8)
        marked[np.arange(start, start + (cols if count < 0 else count)) % cols] = 1
        self.crossbar.reset(marked, prob)

    # ---------------------------------------------------------------- weights

    def get_weights(
        self, apply_weight_scaling: bool = True
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return copies of weights and bias (None without).

        Parameters
        ----------
        apply_weight_scaling : bool
            True: logical weights. False: what the devices hold.

        Returns
        -------
        weights : ndarray of shape (out_size, in_size)
        bias : ndarray of shape (out_size,) or None
        """
        w = self.crossbar.weights
        w = w * self._scales[:, None] if apply_weight_scaling and self._scaled else w.copy()
        if self._analog_bias:
            return np.ascontiguousarray(w[:, :-1]), w[:, -1].copy()
        return w, None if self.bias is None else self.bias.copy()

    def set_weights(self, weights: Any, bias: Any = None, apply_weight_scaling: bool = True) -> int:
        """Write logical weights (and bias, if given); `get_weights` returns them, up to the devices' bounds.

        Parameters
        ----------
        weights : array_like of shape (out_size, in_size)
            Finite.
        bias : array_like of shape (out_size,), optional
            Left as it is if not given.
        apply_weight_scaling : bool
            False: `weights` is what the devices are to hold; the scales stay.

        Returns
        -------
        int
            How many weights the devices' bounds changed; `ClippedWeightsWarning` is given if it is more
            than 1 %.
        """
        w = self._matrix(weights, (self.out_size, self.in_size), "weights")
        b = None if bias is None else self._matrix(bias, (self.out_size,), "bias")
        if b is not None and not self.has_bias:
            raise StateError("set_weights: this tile has no bias; make it with bias=True.")
        if self._analog_bias:
            if b is None:
                b = self.get_weights(apply_weight_scaling)[1]
            w = np.column_stack([w, b])
        elif b is not None and self.bias is not None:
            self.bias[:] = b
        omega = self.rpu_config.mapping.weight_scaling_omega
        if apply_weight_scaling and omega > 0.0:
            axis = 1 if self.rpu_config.mapping.weight_scaling_columnwise else None
            scale = np.max(np.abs(w), axis=axis) / omega
            self._scales[:] = np.where(scale > 0.0, scale, 1.0)
            self._scaled = True
        if apply_weight_scaling and self._scaled:
            w = w / self._scales[:, None]
        return self._write(w, "weights")

    @property
    def mapping_scales(self) -> np.ndarray:
        """Factor of each output between devices and logical weights, shape (out_size,)."""
        return self._scales.copy()

    def weight_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and the largest weight that each device can hold (before write noise)."""
        shape = self.crossbar.shape
        if isinstance(self.crossbar, Crossbar):
            names = ("min_bound", "max_bound")
            low, high = (self.crossbar.plane(name).copy() for name in names)
        else:
            low, high = np.full(shape, -np.inf, np.float32), np.full(shape, np.inf, np.float32)
        return (low[:, :-1], high[:, :-1]) if self._analog_bias else (low, high)

    def get_hidden_parameters(self) -> dict[str, np.ndarray]:
        """Return a copy of everything that each device carries, by name, each of the devices' shape."""
        return self.crossbar.hidden_parameters()

    def set_hidden_parameters(
        self, changes: Mapping[str, Any], recompute_derived: bool = True
    ) -> None:
        """Replace some hidden parameters; names in any order; nothing changes if one is refused.

        Parameters
        ----------
        changes : dict of str to array_like
            Arrays by name, see `get_hidden_parameters`.
        recompute_derived : bool
            Whether what follows from a changed parameter (the slopes of a soft-bounds device) follows it.
        """
        self.crossbar.set_hidden_parameters(changes, recompute_derived)

    @property
    def weight_granularity(self) -> float:
        """Weight change by which pulses are counted; assign to override the device's own figure."""
        return self._pulsed().granularity

    @weight_granularity.setter
    def weight_granularity(self, value: float) -> None:
        if not (np.isfinite(value) and value > 0.0):
            raise DataError(f"weight_granularity must be > 0, got {value!r}.")
        self._pulsed().granularity = float(value)

    def _pulsed(self) -> Crossbar:
        if not isinstance(self.crossbar, Crossbar):
            raise StateError(f"{type(self.rpu_config.device).__name__} takes no pulses.")
        return self.crossbar

    # ---------------------------------------------------------------- state

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return everything that changes as plain arrays; `load_state_dict` continues from it bit for bit."""
        return tile_state(self)

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from the state of a tile of the same kind and size.

        Raises
        ------
        StateError, ShapeError
            If arrays are missing, unknown or of another shape; then nothing is changed.
        """
        restore_tile(self, state)

    def as_linear_operator(self) -> Any:
        """Return the tile as a `scipy.sparse.linalg.LinearOperator`, with `backward` as its transpose."""
        from rpusim.tiles.operator import linear_operator

        return linear_operator(self)

    def __matmul__(self, x: Any) -> np.ndarray:
        """Multiply with one vector (in_size,) or with the columns of a matrix (in_size, n), as ``W @ x``."""
        x = np.asarray(x)
        return self.forward(x) if x.ndim == 1 else self.forward(x.T).T

    # ---------------------------------------------------------------- inside

    def _write(self, w: np.ndarray, what: str) -> int:
        clipped = self.crossbar.set_weights(w)
        self.stats.writes += 1
        self.stats.weights_clipped += clipped
        if clipped > CLIPPED * w.size:
            warnings.warn(
                f"{type(self).__name__}: {clipped} of {w.size} {what} were clipped to what their devices can hold "
                "(see weight_range(); mapping.weight_scaling_omega scales weights to fit).",
                ClippedWeightsWarning,
                stacklevel=3,
            )
        return clipped

    def _with_bias_line(self, x: np.ndarray) -> np.ndarray:
        if not self._analog_bias:
            return x
        return np.column_stack([x, np.ones(len(x), np.float32)])

    def _rate(self, rate: Any) -> float:
        number = isinstance(rate, int | float | np.number) and not isinstance(rate, bool)
        if not (number and 0.0 <= rate < math.inf):
            raise DataError(
                f"{type(self).__name__}.update: learning_rate must be a number >= 0, got {rate!r}."
            )
        return float(rate)

    def _vectors(
        self, a: Any, size: int, what: str, kind: str
    ) -> tuple[np.ndarray, tuple[int, ...]]:
        """Return `a` as a contiguous float32 (batch, size) array, and its leading shape."""
        if type(a) is not np.ndarray or a.dtype != np.float32:
            a = _numbers(a, f"{type(self).__name__}.{what}")
        if a.ndim == 0 or a.shape[-1] != size:
            raise ShapeError(
                f"{type(self).__name__}.{what} must have shape (..., {size}), got {a.shape}; "
                f"this tile has {size} {kind}."
            )
        lead = a.shape[:-1]
        if len(lead) != 1:
            a = a.reshape(-1, size)
        return np.ascontiguousarray(a), lead

    def _matrix(self, a: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
        where = f"{type(self).__name__}.set_weights: {what}"
        a = _numbers(a, where)
        if a.shape != shape:
            raise ShapeError(f"{where} must have shape {shape}, got {a.shape}.")
        if not np.isfinite(a).all():
            raise DataError(f"{where} must be finite, got NaN or infinity.")
        return a


def _numbers(a: Any, where: str) -> np.ndarray:
    """Return `a` as float32 if it consists of real numbers."""
    array = np.asarray(a)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{where} must hold real numbers, got {array.dtype}.")
    return array.astype(np.float32)
