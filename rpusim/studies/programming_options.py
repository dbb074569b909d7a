"""What `WeightProgrammingOptimizer` is given: its options, and checks of its arguments."""

from __future__ import annotations

import dataclasses
import numbers
from typing import Any

import numpy as np

from rpusim.config import Config, nearest, param
from rpusim.errors import ConfigError, DataError
from rpusim.inference.arguments import as_time

__all__ = ["ProgrammingSearch", "as_factors", "as_options", "as_times", "as_weights"]

STRATEGIES = tuple(
    f"{who}{how}"
    for who in ("best1", "best2", "rand1", "rand2", "randtobest1", "currenttobest1")
    for how in ("bin", "exp")
)
#: options of the reference that have no counterpart, and why
ABSENT = {
    "test_in_features": "the loss is a mean over the distribution of the weights",
    "test_out_features": "the loss is a mean over the distribution of the weights",
    "loss_margin": "the search ends when it has converged, not at a margin",
    "baseline_iterations": "the loss is computed, and confirmed by as many programmings as repeats",
    "workers": "a generation is one call, shared by as many threads as set_num_threads says",
    "seed": "the seed is rng",
    "x_init": "the first generation is drawn, with the baseline in it",
    "callback": "it shows its progress by itself",
    "device": "it runs on the CPU",
}


class ProgrammingSearch(Config):
    """Options of `WeightProgrammingOptimizer`, by the names that SciPy and the reference use."""

    nbins: int = param(6, low=2, unit="nodes", doc="of a table from the largest weight to 0, both")
    extra_nodes: bool = param(
        True, doc="further nodes where the baseline, and filling pair after pair, have kinks"
    )
    f_min: float = param(0.1, above=0.0, doc="smallest value of a free factor")
    f_max: float = param(5.0, above=0.0, doc="largest value of a free factor")
    g_min: float | None = param(
        None, like=0.0, low=0.0, unit="uS", doc="smallest conductance; none: the baseline's"
    )
    g_max: float | None = param(
        None, like=25.0, above=0.0, unit="uS", doc="largest conductance; none: the baseline's"
    )
    g_err: float = param(
        0.0, low=0.0, high=1.0, unit="of the range", doc="by which tables may miss their ends"
    )
    use_max_kw: bool = param(False, doc="the largest weight uses the whole range")
    popsize: int = param(6, low=1, unit="per dimension", doc="candidates of a generation")
    maxiter: int = param(300, low=0, unit="generations", doc="at most as many")
    patience: int = param(
        60, low=1, unit="generations", doc="stop when the best has not become better for as many"
    )
    tol: float = param(1e-3, low=0.0, doc="stop when the losses scatter less, relative to the mean")
    atol: float = param(0.0, low=0.0, doc="the same, absolute")
    mutation: tuple = param((0.3, 0.8), doc="factor of differences, drawn for each generation")
    recombination: float = param(0.7, low=0.0, high=1.0, doc="share of coordinates that change")
    strategy: str = param("best1bin", doc="how candidates are made, see SciPy")
    polish: bool = param(True, doc="descend along finite differences at the end")
    repeats: int = param(64, low=2, doc="programmings by which the result is confirmed")
    disp: bool = param(True, doc="a progress bar, where somebody watches")

    def check(self) -> None:
        """Refuse empty ranges, and what differential evolution does not take."""
        super().check()
        if self.f_min >= self.f_max:
            raise ConfigError(
                "ProgrammingSearch.f_min must be below f_max, got "
                f"{self.f_min!r} and {self.f_max!r}."
            )
        if self.strategy not in STRATEGIES:
            raise ConfigError(
                f"ProgrammingSearch.strategy must be one of {', '.join(STRATEGIES)}, got "
                f"{self.strategy!r}{nearest(self.strategy, STRATEGIES)}"
            )
        pair = self.mutation
        if len(pair) != 2 or not all(isinstance(m, float) for m in pair):
            pair = (-1.0, -1.0)
        if not 0.0 <= pair[0] <= pair[1] < 2.0:
            raise ConfigError(
                "ProgrammingSearch.mutation must be a number in 0..2, below 2, or two of them that "
                f"ascend, got {self.mutation!r}."
            )


def as_options(where: str, given: dict[str, Any]) -> ProgrammingSearch:
    """Return the options; say what is wrong with those that do not exist.

    Parameters
    ----------
    where : str
        Named in errors, here and below.
    given : dict
        By name.
    """
    known = [f.name for f in dataclasses.fields(ProgrammingSearch)]  # type: ignore[arg-type]
    for name in given:
        if name not in known:
            why = f": {ABSENT[name]}." if name in ABSENT else nearest(name, known)
            raise ConfigError(f"{where} has no option {name!r}{why}")
    mutation = given.get("mutation")
    if isinstance(mutation, numbers.Real) and not isinstance(mutation, bool):
        given = {**given, "mutation": (mutation, mutation)}
    return ProgrammingSearch(**given)


def as_times(where: str, t_steps: Any) -> tuple[float, ...]:
    """Return times after programming.

    Parameters
    ----------
    where : str
        Named in errors.
    t_steps : sequence of float
        In seconds.
    """
    if np.ndim(t_steps) != 1 or not len(t_steps):
        raise ConfigError(f"{where}: t_steps must be a list of times in seconds, got {t_steps!r}.")
    return tuple(as_time(t, f"{where}: t_steps") for t in t_steps)


def as_factors(where: str, f_lst: Any, options: ProgrammingSearch) -> tuple[float | None, ...]:
    """Return the factors of the pairs.

    Parameters
    ----------
    where : str
        Named in errors.
    f_lst : sequence of float or None
        None where a factor is free.
    options : ProgrammingSearch
        The range of free factors.
    """
    items = list(f_lst) if isinstance(f_lst, list | tuple | np.ndarray) else []
    fits = [
        f is None
        or (isinstance(f, numbers.Real) and not isinstance(f, bool) and 0.0 < float(f) < np.inf)
        for f in items
    ]
    if not items or not all(fits):
        raise ConfigError(
            f"{where}: f_lst must be a list of numbers > 0, one for each pair, or None for those "
            f"in {options.f_min:g}..{options.f_max:g} to be found, got {f_lst!r}."
        )
    return tuple(None if f is None else float(f) for f in items)


def as_weights(where: str, weights: Any) -> np.ndarray:
    """Return the weights as a flat array.

    Parameters
    ----------
    where : str
        Named in errors.
    weights : array_like
        Of any shape.
    """
    array = np.asarray(weights)
    if array.dtype.kind not in "fiu" or not array.size:
        raise DataError(
            f"{where}: weights must be numbers, one or more, got {array.dtype} of shape "
            f"{array.shape}."
        )
    flat = array.astype(np.float64).ravel()
    if not np.isfinite(flat).all() or not flat.any():
        raise DataError(f"{where}: weights must be finite and not all 0.")
    return flat
