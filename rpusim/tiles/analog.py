"""`AnalogTile`: a crossbar that multiplies through its periphery and learns by pulses."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import ShapeError
from rpusim.kernels.streams import Purpose
from rpusim.periphery.mvm import Periphery
from rpusim.tiles.arguments import as_rate, as_vectors
from rpusim.tiles.base import Tile

__all__ = ["AnalogTile"]


class AnalogTile(Tile):
    r"""A matrix of devices that multiplies with noise and learns by pulses.

    With devices' weights W, mapping scales s (1 unless `weight_scaling_omega` is set) and digital
    bias b:

    .. math:: y = s \odot (W \circledast x) + b

    where :math:`\circledast` is the noisy product of `rpusim.periphery.mvm`. The logical weights
    are :math:`s W`.

    Parameters
    ----------
    out_size, in_size : int
        Outputs (rows) and inputs (columns).
    rpu_config : RPUConfig or Device, optional
        What it is made of; default `RPUConfig()`.
    bias : bool
        Whether outputs have a bias: digital, or one more column driven by 1 if
        `mapping.digital_bias` is off.
    rng : None, int, SeedSequence or Generator
        Source of all its randomness. The same seed and the same calls give the same bits, for any
        number of threads.
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
        super().__init__(out_size, in_size, rpu_config, bias, rng=rng, backend=backend)
        forward, backward = self._io()
        self._forward = Periphery(forward, False, backend)
        self._backward = Periphery(backward, True, backend)
        self._no_offset = np.zeros(max(self._mapping.shape), np.float32)
        self._no_gain = np.ones(max(self._mapping.shape), np.float32)

    def _io(self) -> tuple[Any, Any]:
        return self.rpu_config.forward, self.rpu_config.backward

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
        where = f"{type(self).__name__}.forward"
        x2, lead = as_vectors(x, self.in_size, f"{where}: x", "inputs")
        x2 = self._mapping.with_line(x2)
        first = self._streams.peek(Purpose.FORWARD)
        m, key = self._mapping, self._streams.key(Purpose.FORWARD)
        offset = self._no_offset[: self.out_size] if m.bias is None else m.bias
        y = self._forward(x2, self.crossbar.weights, m.scales, offset, first, key, where)
        self._streams.take(Purpose.FORWARD, len(x2))  # not if it was refused
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
        where = f"{type(self).__name__}.backward"
        d2, lead = as_vectors(d, self.out_size, f"{where}: d", "outputs")
        m, cols = self._mapping, self.crossbar.shape[1]
        if m.scaled:
            d2 = d2 * m.scales
        first = self._streams.peek(Purpose.BACKWARD)
        key, gain, offset = self._streams.key(Purpose.BACKWARD), self._no_gain, self._no_offset
        weights = self.crossbar.weights
        x = self._backward(d2, weights, gain[:cols], offset[:cols], first, key, where)
        self._streams.take(Purpose.BACKWARD, len(d2))
        self.stats.reads_backward += len(d2)
        if m.analog_bias:
            x = np.ascontiguousarray(x[:, :-1])
        return x if len(lead) == 1 else x.reshape(*lead, self.in_size)

    def update(self, x: Any, d: Any, learning_rate: float = 0.01) -> None:
        """Learn: ``W <- W - learning_rate * sum_b d_b x_b^T`` on average, by pulses, in order.

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
        A digital bias is not touched: it is an ordinary parameter. ``tile.stats.last_update``
        reports the pulses sent and how many vectors saturated their trains.
        """
        where = f"{type(self).__name__}.update"
        rate = as_rate(learning_rate, f"{where}: learning_rate")
        x2, _ = as_vectors(x, self.in_size, f"{where}: x", "inputs")
        d2, _ = as_vectors(d, self.out_size, f"{where}: d", "outputs")
        if len(x2) != len(d2):
            raise ShapeError(
                f"{where}: x and d must hold as many vectors, got {len(x2)} and {len(d2)}."
            )
        if rate == 0.0 or len(x2) == 0:
            return
        rate, d2 = self._mapping.scaled_error(rate, d2)
        x2 = self._mapping.with_line(x2)
        self.stats.record(self.crossbar.update(x2, d2, rate, self._update_settings()))

    def _update_settings(self) -> Any:
        return self.rpu_config.update

    def post_update_step(self) -> None:
        """Diffuse and decay once: an optimizer calls it after each step, moved tile or not."""
        self.crossbar.diffuse()
        self.crossbar.decay()

    def drift_weights(self, delta_t: float = 1.0) -> None:
        """Let a time pass, in the unit of the device's ``drift.t_0``."""
        self.crossbar.drift(as_rate(delta_t, "drift_weights: delta_t", "a time >= 0"))

    def reset_columns(self, start: int = 0, count: int = -1, prob: float = 1.0) -> None:
        """Reset `count` columns from `start` on, around the end (all if negative).

        Each device is reset with probability `prob`.
        """
        prob = as_rate(prob, "reset_columns: prob", "in 0..1", 1.0)
        cols = self.crossbar.shape[1]
        marked = np.zeros(cols, np.uint8)
        marked[np.arange(start, start + (cols if count < 0 else count)) % cols] = 1
        self.crossbar.reset(marked, prob)

    def as_linear_operator(self) -> Any:
        """Return a `scipy.sparse.linalg.LinearOperator`, with `backward` as its transpose."""
        from rpusim.tiles.operator import linear_operator

        return linear_operator(self)

    def __matmul__(self, x: Any) -> np.ndarray:
        """Multiply with a vector (in_size,) or the columns of a matrix (in_size, n): ``W @ x``."""
        x = np.asarray(x)
        return self.forward(x) if x.ndim == 1 else self.forward(x.T).T
