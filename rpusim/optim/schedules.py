r"""Schedules: learning rates as functions of the number of steps (or epochs, if stepped by them).

.. math:: \eta_k = \eta_0\, f(k)

with the rate :math:`\eta_0` that the optimizer had when the schedule was made, and a factor f that
each schedule defines. `ReduceOnPlateau` looks at what is monitored instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.errors import ConfigError, DataError
from rpusim.optim.arrays import check_arrays
from rpusim.optim.groups import as_number
from rpusim.tiles.arguments import as_size

__all__ = [
    "Schedule",
    "StepSchedule",
    "ExponentialSchedule",
    "CosineSchedule",
    "WarmUp",
    "ReduceOnPlateau",
]


class Schedule:
    """Base of the schedules; one's own defines `factor`.

    Parameters
    ----------
    optimizer : AnalogSGD, AnalogAdam
        Whose rate `lr` is set, at once and by each `step`; rates of groups follow in proportion.

    Attributes
    ----------
    base_lr : float
        The rate at factor 1.
    count : int
        Steps so far.
    """

    def __init__(self, optimizer: Any) -> None:
        if not hasattr(optimizer, "lr"):
            raise ConfigError(
                f"{type(self).__name__}: optimizer must have a rate lr, got {optimizer!r}."
            )
        self.optimizer, self.base_lr, self.count = optimizer, float(optimizer.lr), 0
        self._apply()

    def factor(self, count: int) -> float:
        """Return by what the rate is multiplied after so many steps."""
        raise NotImplementedError(f"{type(self).__name__} does not define factor(count).")

    def step(self, value: float | None = None) -> None:
        """Go on by one step; `value`, what is monitored, matters to `ReduceOnPlateau` only."""
        self.count += 1
        self._apply()

    def constants(self) -> dict[str, Any]:
        """Return by name what must be the same when a run goes on from a file.

        These are the public attributes that are not in the state; override it for others.
        """
        own = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return {n: v for n, v in own.items() if n != "optimizer" and n not in self.state_dict()}

    def _apply(self) -> None:
        self.optimizer.lr = self.base_lr * self.factor(self.count)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return count and rates as arrays."""
        rates = {"base_lr": np.array(self.base_lr), "lr": np.array(float(self.optimizer.lr))}
        return {"count": np.array(self.count), **rates}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `state_dict` of a schedule of the same kind returned.

        Parameters
        ----------
        state : dict of str to ndarray
            The state; the optimizer's rate becomes what it then was.
        """
        arrays = check_arrays(self.state_dict(), state, type(self).__name__)
        self.optimizer.lr = float(arrays["lr"])  # checked first; also if somebody had changed it
        self._restore(arrays)

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.count, self.base_lr = int(arrays["count"]), float(arrays["base_lr"])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(count={self.count}, lr={self.optimizer.lr:g})"


class StepSchedule(Schedule):
    r""":math:`f(k) = \gamma^{\lfloor k / n \rfloor}`.

    Parameters
    ----------
    optimizer : AnalogSGD, AnalogAdam
        Whose rate it sets.
    every : int
        n, steps between two drops.
    factor : float, default 0.1
        :math:`\gamma`.

    Examples
    --------
    >>> from rpusim import nn, optim
    >>> optimizer = optim.AnalogSGD(nn.Linear(1, 1).parameters(), lr=0.4)
    >>> schedule, rates = StepSchedule(optimizer, every=2, factor=0.5), []
    >>> for _ in range(4):
    ...     rates.append(optimizer.lr)
    ...     schedule.step()
    >>> rates
    [0.4, 0.4, 0.2, 0.2]
    """

    def __init__(self, optimizer: Any, every: int, factor: float = 0.1) -> None:
        self.every = as_size(every, "StepSchedule.every")
        self.drop = as_number(factor, "StepSchedule.factor")
        super().__init__(optimizer)

    def factor(self, count: int) -> float:
        """Return the drop to the power of the number of drops."""
        return self.drop ** (count // self.every)


class ExponentialSchedule(Schedule):
    r""":math:`f(k) = \gamma^k`.

    Parameters
    ----------
    optimizer : AnalogSGD, AnalogAdam
        Whose rate it sets.
    factor : float
        :math:`\gamma`.
    """

    def __init__(self, optimizer: Any, factor: float) -> None:
        self.drop = as_number(factor, "ExponentialSchedule.factor")
        super().__init__(optimizer)

    def factor(self, count: int) -> float:
        """Return the factor to the power of the count."""
        return self.drop**count


class CosineSchedule(Schedule):
    r""":math:`f(k) = r + \tfrac12 (1 - r)\,(1 + \cos(\pi k / n))` up to step n, then r.

    Parameters
    ----------
    optimizer : AnalogSGD, AnalogAdam
        Whose rate it sets.
    steps : int
        n, the length of the way down.
    lowest : float, default 0
        r, the factor at its end.
    """

    def __init__(self, optimizer: Any, steps: int, lowest: float = 0.0) -> None:
        self.steps = as_size(steps, "CosineSchedule.steps")
        self.lowest = as_number(lowest, "CosineSchedule.lowest")
        super().__init__(optimizer)

    def factor(self, count: int) -> float:
        """Return the factor on half a cosine."""
        part = min(count / self.steps, 1.0)
        return self.lowest + 0.5 * (1.0 - self.lowest) * (1.0 + math.cos(math.pi * part))


class WarmUp(Schedule):
    r""":math:`f(k) = r + (1 - r)\,k / n` up to step n, then what another schedule says.

    Parameters
    ----------
    optimizer : AnalogSGD, AnalogAdam
        Whose rate it sets.
    steps : int
        n, the length of the way up.
    start : float, default 0
        r, the factor at the beginning.
    then : Schedule, optional
        What comes after, made for the same optimizer and counted from the end of the way up;
        default: the full rate. Only its `factor` is used: do not step it.

    Examples
    --------
    >>> from rpusim import nn, optim
    >>> optimizer = optim.AnalogSGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = WarmUp(optimizer, 4, then=CosineSchedule(optimizer, 100))
    >>> rates = []
    >>> for _ in range(6):
    ...     rates.append(round(optimizer.lr, 4))
    ...     schedule.step()
    >>> rates
    [0.0, 0.25, 0.5, 0.75, 1.0, 0.9998]
    """

    def __init__(
        self, optimizer: Any, steps: int, start: float = 0.0, then: Schedule | None = None
    ) -> None:
        self.steps, self.start = as_size(steps, "WarmUp.steps"), as_number(start, "WarmUp.start")
        if then is not None and (
            not isinstance(then, Schedule) or isinstance(then, ReduceOnPlateau)
        ):
            raise ConfigError(f"WarmUp.then must be a schedule with a factor, got {then!r}.")
        self.then = then
        super().__init__(optimizer)
        if then is not None:
            self.base_lr = then.base_lr
            self._apply()

    def factor(self, count: int) -> float:
        """Return the factor on the way up, then that of the other schedule."""
        if count < self.steps:
            return self.start + (1.0 - self.start) * count / self.steps
        return 1.0 if self.then is None else self.then.factor(count - self.steps)


class ReduceOnPlateau(Schedule):
    """Multiply the rate by a factor when what is monitored has not fallen for some steps.

    Parameters
    ----------
    optimizer : AnalogSGD, AnalogAdam
        Whose rate it sets.
    factor : float, default 0.1
        By what, in 0 <= value < 1.
    patience : int, default 10
        Steps in a row without a new lowest value that are borne; one more reduces the rate.
    threshold : float, default 1e-4
        By what part of its magnitude a value must be below the lowest one to count as lower.
    lowest : float, default 0
        Smallest rate, as a factor of the first.
    """

    def __init__(
        self,
        optimizer: Any,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        lowest: float = 0.0,
    ) -> None:
        self.drop = as_number(factor, "ReduceOnPlateau.factor", 1.0)
        self.patience = as_size(patience, "ReduceOnPlateau.patience")
        self.threshold = as_number(threshold, "ReduceOnPlateau.threshold")
        self.lowest = as_number(lowest, "ReduceOnPlateau.lowest")
        self.best, self.waited, self.reduced = math.inf, 0, 0
        super().__init__(optimizer)

    def factor(self, count: int) -> float:
        """Return the factor to the power of the number of reductions so far."""
        return max(self.drop**self.reduced, self.lowest)

    def step(self, value: float | None = None) -> None:
        """Go on by one step at which the monitored quantity had this value."""
        if value is None or not math.isfinite(value):
            raise DataError(f"ReduceOnPlateau.step: value must be a finite number, got {value!r}.")
        margin = self.threshold * abs(self.best) if math.isfinite(self.best) else 0.0
        if value < self.best - margin:
            self.best, self.waited = float(value), 0
        else:
            self.waited += 1
        if self.waited > self.patience:
            self.reduced, self.waited = self.reduced + 1, 0
        super().step()

    def constants(self) -> dict[str, Any]:
        """Return what was given, without lowest value and counters."""
        return {n: v for n, v in super().constants().items() if n not in ("waited", "reduced")}

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return count, rate, lowest value and counters as arrays."""
        counters = np.array([self.waited, self.reduced])
        return {**super().state_dict(), "best": np.array(self.best), "counters": counters}

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        super()._restore(arrays)
        self.best = float(arrays["best"])
        self.waited, self.reduced = (int(n) for n in arrays["counters"])
