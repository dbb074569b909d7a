"""`AnalogTile`: a crossbar that multiplies through its periphery and learns by pulses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.errors import DataError, ShapeError, StateError
from rpusim.kernels.device_arrays import as_it_is, same_vectors
from rpusim.tiles.arguments import as_rate, as_vectors
from rpusim.tiles.compounds.cell import Cell
from rpusim.tiles.context import ForwardContext, context_of
from rpusim.tiles.settings import BackwardMode
from rpusim.tiles.stepping import SteppingTile

__all__ = ["AnalogTile"]


class AnalogTile(SteppingTile):
    r"""A matrix of devices that multiplies with noise and learns by pulses.

    With devices' weights W, mapping scales s (1 unless `weight_scaling_omega` is set), learned
    output scales o (if any), input range r (if enabled) and digital bias b:

    .. math:: y = o\,s\,r \odot \big(W \circledast (\mathrm{clip}(x, \pm r) / r)\big) + b

    where :math:`\circledast` is the noisy product of `rpusim.periphery.mvm`. The logical weights
    are :math:`o\,s\,W`.

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
    backend : {"cpu", "cuda", "python"}
        Machine code; a GPU, with the same draws, and results equal to rounding; or plain Python
        loops (slow; the same bits). On "cuda" vectors may be arrays of the GPU, and results then
        are: nothing waits for them, and nobody looks whether they are finite.

    Attributes
    ----------
    seed : int
        Repeats this tile: ``AnalogTile(..., rng=tile.seed)``.
    stats : Ledger
        Reads, pulses and writes since construction.
    bias : ndarray of shape (out_size,) or None
        The digital bias.
    last_forward : ForwardContext or None
        What the last forward did: scales, rounds, what was clipped.
    on_input : callable or None
        Called with the inputs, (batch, in_size), of every forward; for calibrations.

    Examples
    --------
    >>> import numpy as np, rpusim as rs
    >>> tile = rs.AnalogTile(2, 3, rs.ConstantStepDevice(), rng=1)
    >>> tile.set_weights([[0.1, 0.2, 0.3], [-0.3, 0.0, 0.3]])
    0
    >>> tile.forward(np.ones((5, 3))).shape
    (5, 2)
    """

    def update(
        self,
        x: Any,
        d: Any,
        learning_rate: float = 0.01,
        context: ForwardContext | None = None,
    ) -> None:
        """Learn: ``W <- W - learning_rate * sum_b d_b x_b^T`` on average, by pulses, in order.

        Parameters
        ----------
        x : array_like of shape (..., in_size)
            Inputs.
        d : array_like of shape (..., out_size)
            Errors with respect to the outputs, as many as inputs.
        learning_rate : float
            >= 0; with 0 nothing happens at all.
        context : ForwardContext, optional
            The forward of these inputs; default: the last one of training, if it had the same.
            With STRAIGHT_THROUGH nothing is learned where it saturated.

        Notes
        -----
        A digital bias is not touched: it is an ordinary parameter. ``tile.stats.last_update``
        reports the pulses sent and how many vectors saturated their trains.
        """
        where = f"{type(self).__name__}.update"
        rate = as_rate(learning_rate, f"{where}: learning_rate")
        x2, _ = as_vectors(x, self.in_size, f"{where}: x", "inputs", self.backend)
        d2, _ = as_vectors(d, self.out_size, f"{where}: d", "outputs", self.backend)
        if len(x2) != len(d2):
            raise ShapeError(
                f"{where}: x and d must hold as many vectors, got {len(x2)} and {len(d2)}."
            )
        if rate == 0.0 or len(x2) == 0:
            return
        context = self._forward_of(x2, context, where)
        if context is not None and self._backward.mode is not BackwardMode.ANALOG:
            x2 = self._backward.learnt_inputs(context)
            d2 = self._backward.masked_errors(d2, context)
        x2, rate = self._digital.for_update(x2, rate)
        rate, d2 = self._mapping.scaled_error(rate, d2)
        self.stats.record(self.crossbar.update(x2, d2, rate, self._update_settings()))

    def _forward_of(
        self, x: np.ndarray, context: ForwardContext | None, where: str
    ) -> ForwardContext | None:
        """Return the forward that had these inputs, checked if it is given; None if unknown."""
        given, context = context is not None, context_of(context, self.last_forward)
        if context is None or same_vectors(context.x, x):
            return context if context is None or given or context.training else None
        if given:
            raise StateError(f"{where}: x must be the inputs of the forward in `context`.")
        return None

    @property
    def learns_by_batch(self) -> bool:
        """Whether it matters which vectors an update has together, beyond the draws: compounds."""
        return isinstance(self.crossbar, Cell)

    def _update_settings(self) -> Any:
        return self.rpu_config.update

    def post_update_step(self) -> None:
        """Diffuse and decay once: an optimizer calls it after each step, moved tile or not."""
        self.crossbar.diffuse()
        self.crossbar.decay()

    # ---------------------------------------------------------------- time

    _time = 0.0

    @property
    def is_programmed(self) -> bool:
        """Whether products see programmed devices instead of what was trained: never, here."""
        return False

    @property
    def time(self) -> float:
        """The time that has passed, in the unit of the devices' ``drift.t_0``."""
        return self._time

    @property
    def drifts(self) -> bool:
        """Whether time does anything to the devices."""
        return self.crossbar.drifts

    def age(self, delta_t: float) -> None:
        """Let a time pass, in the unit of the devices' ``drift.t_0``."""
        self._pass(delta_t, "age")

    def drift_weights(self, delta_t: float = 1.0) -> None:
        """Let a time pass: `age`."""
        self._pass(delta_t, "drift_weights")

    def _pass(self, delta_t: float, method: str) -> None:
        passed = as_rate(delta_t, f"{type(self).__name__}.{method}: delta_t", "a time >= 0")
        self.crossbar.drift(passed)
        self._time += passed

    def check_time(self, t: float) -> float:
        """Return a time as a float; raise `DataError` if it is none, or has passed."""
        where = f"{type(self).__name__}.drift_to: t"
        if as_rate(t, where, "a time >= 0") < self.time:
            raise DataError(f"{where} must be at least {self.time:g}, the present time, got {t!r}.")
        return float(t)

    def drift_to(self, t: float) -> None:
        """Let time pass until it is `t`; devices that learn have no way back."""
        self.age(self.check_time(t) - self.time)

    def _extra_state(self) -> dict[str, np.ndarray]:
        return {**super()._extra_state(), "time": np.array(self._time)}

    def _restore_extra(self, state: Mapping[str, Any]) -> None:
        super()._restore_extra(state)
        self._time = float(state["time"])

    # ---------------------------------------------------------------- other uses

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
        """Return a `scipy.sparse.linalg.LinearOperator`, with `transposed` as its transpose."""
        from rpusim.tiles.operator import linear_operator

        return linear_operator(self)

    def __matmul__(self, x: Any) -> np.ndarray:
        """Multiply with a vector (in_size,) or the columns of a matrix (in_size, n): ``W @ x``."""
        x = as_it_is(x)
        return self.forward(x) if x.ndim == 1 else self.forward(x.T).T
