"""The map of programming errors: which algorithms learn weights on which imperfect devices.

The rms error of weights that were learned as in `rpusim.studies.programming_task`, over the spread
of references and the number of states.

Source: Rasch, Carta, Fagbohungbe and Gokmen, Nature Communications 15, 7133 (2024), figure 4.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpusim.errors import ConfigError, warn_caller
from rpusim.kernels.backend import set_num_threads
from rpusim.kernels.streams import Streams
from rpusim.studies.arguments import as_axis, some_of
from rpusim.studies.bench import as_count
from rpusim.studies.optional import need, progress
from rpusim.studies.pictures import COLOURS, LEGEND, figure, tidy
from rpusim.studies.programming_task import (
    ALGORITHMS,
    TARGET_RMS,
    ProgrammingTask,
    weight_error,
)
from rpusim.studies.result import Result

__all__ = ["ProgrammingMap", "programming_map"]

#: Why other processes may not be had, or get lost: no semaphores, no memory, no guard in a script.
NO_PROCESSES = (OSError, NotImplementedError, ImportError, BrokenProcessPool)


@dataclasses.dataclass(frozen=True)
class ProgrammingMap(Result):
    """Errors of learned weights.

    Attributes
    ----------
    algorithms : tuple of str
        Their names.
    offsets : ndarray of shape (offsets,)
        Spread of the references around the symmetry points, in weight units.
    states : ndarray of shape (states,)
        Numbers of states of the devices.
    errors : ndarray of shape (algorithms, offsets, states, replicas)
        The rms difference between learned weights and their targets, whose own rms is 0.173.
    vectors : int
        How many were learned from.
    seed : int
        As `rng`, it makes the same again.
    """

    algorithms: tuple[str, ...]
    offsets: NDArray[np.float64]
    states: NDArray[np.float64]
    errors: NDArray[np.float64]
    vectors: int
    seed: int

    @property
    def error(self) -> NDArray[np.float64]:
        """The rms error over all replicas, shape (algorithms, offsets, states)."""
        return np.sqrt(np.square(self.errors).mean(axis=-1))

    def picture(self) -> Any:
        """Return a figure with a map for each algorithm, all in the same colours.

        Raises
        ------
        MissingPackage
            If matplotlib is not installed.
        """
        colors = need("matplotlib.colors", "plot", "ProgrammingMap.picture")
        count, error = len(self.algorithms), self.error
        scale = colors.LogNorm(error.min(), max(error.max(), 1.01 * error.min()))
        fig = figure(1.2 + 0.5 * self.states.size * count, 1.4 + 0.42 * self.offsets.size)
        row = fig.subplots(1, count, sharey=True, squeeze=False)[0]
        for ax, name, values in zip(row, self.algorithms, error, strict=True):
            image = ax.imshow(values, norm=scale, cmap="viridis_r", origin="lower", aspect="auto")
            for (i, j), value in np.ndenumerate(values):
                dark = scale(value) > 0.5
                text = f"{value:.2g}".removeprefix("0")
                ax.text(j, i, text, ha="center", va="center", size=7, color="w" if dark else "k")
            ax.set_title(name, fontsize="medium")
            ax.set_xticks(range(self.states.size), [f"{n:g}" for n in self.states], size=8)
            ax.set_yticks(range(self.offsets.size), [f"{o:g}" for o in self.offsets])
        fig.supxlabel("number of states", fontsize="medium")
        row[0].set_ylabel(r"spread of references $\sigma_r$")
        bar = fig.colorbar(image, ax=row, label="rms error of the weights", pad=0.01)
        bar.ax.axhline(TARGET_RMS, color="k", lw=1.5, ls=":")  # where nothing was learned
        return fig

    def _table(self) -> dict[str, Any]:
        where = np.indices(self.errors.shape).reshape(4, -1)
        return {
            "algorithm": np.array(self.algorithms)[where[0]],
            "offset": self.offsets[where[1]],
            "states": self.states[where[2]],
            "replica": where[3],
            "error": self.errors.ravel(),
        }

    def _draw(self, ax: Any) -> None:
        """Draw a cut through the maps, at the middle number of states."""
        middle = self.states.size // 2
        for name, values in zip(self.algorithms, self.error, strict=True):
            k = list(ALGORITHMS).index(name)
            style = {"color": COLOURS[k], "marker": "osd^v"[k], "ms": 5.0}
            ax.plot(self.offsets, values[:, middle], label=name, **style)
        ax.axhline(TARGET_RMS, color="k", lw=0.9, ls=":", label="nothing learned")
        ax.set_yscale("log")
        states = f"{self.states[middle]:g} states"
        tidy(ax, r"spread of references $\sigma_r$", f"rms error of the weights, {states}")
        ax.legend(**LEGEND)


def programming_map(
    algorithms: Sequence[str] = tuple(ALGORITHMS),
    offsets: Sequence[float] = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8),
    states: Sequence[float] = (10, 20, 50, 100, 200, 500),
    vectors: int = 10_000,
    replicas: int = 2,
    rng: Any = 0,
    processes: int = 1,
) -> ProgrammingMap:
    """Let algorithms learn random weights on devices with few states and wrong references.

    A replica has its own target, inputs, devices and noise, the same over the whole map: what a
    point holds does not depend on the others, nor on the number of processes.

    Parameters
    ----------
    algorithms : sequence of str
        Some of SGD, TTv1, TTv2, c-TTv2, AGAD; see `rpusim.studies.programming_task`.
    offsets : sequence of float
        Standard deviations of the references around the symmetry points, in weight units.
    states : sequence of float
        Numbers of states of the devices.
    vectors : int, default 10000
        How many each learns from.
    replicas : int, default 2
        How many targets each learns.
    rng : None, int, SeedSequence or Generator
        Source of everything.
    processes : int, default 1
        How many compute, a core each. More than one are new processes, which read the script that
        calls: it does so under ``if __name__ == "__main__":``. Where they cannot be had, this one
        computes, with a warning.

    Returns
    -------
    ProgrammingMap

    Raises
    ------
    ConfigError
        If an algorithm is unknown, or a number does not fit.

    Examples
    --------
    >>> found = programming_map(["TTv2", "AGAD"], [0.0, 0.6], [100], vectors=3000, replicas=1)
    >>> (found.error[:, :, 0] < 0.05).tolist()
    [[True, False], [True, True]]
    """
    where = "programming_map"
    names = some_of(ALGORITHMS, algorithms, f"{where}: algorithms")
    sigmas, n = _numbers(offsets, "offsets", 0.0), _numbers(states, "states", 2.0)
    vectors, replicas = as_count(vectors, f"{where}: vectors"), as_count(replicas, "replicas")
    seed, shape = Streams(rng).seed, (len(names), sigmas.size, n.size, replicas)
    tasks = [
        ProgrammingTask(names[a], float(n[j]), float(sigmas[i]), vectors, seed, replica)
        for a, i, j, replica in np.ndindex(shape)
    ]
    errors = np.empty(len(tasks))
    with progress(len(tasks), "weights learned") as bar:
        computed = _computed(tasks, min(as_count(processes, f"{where}: processes"), len(tasks)))
        for k, error in enumerate(computed):
            errors[k] = error
            bar.update()
    return ProgrammingMap(names, sigmas, n, errors.reshape(shape), vectors, seed)


def _computed(tasks: list[ProgrammingTask], processes: int) -> Iterator[float]:
    """Yield the errors in order, computed by other processes if there are to be several."""
    done = 0
    if processes > 1:
        try:
            context = multiprocessing.get_context("spawn")  # a fork would lose threads and locks
            with ProcessPoolExecutor(processes, context, set_num_threads, (1,)) as pool:
                for error in pool.map(weight_error, tasks):
                    done += 1
                    yield error
        except NO_PROCESSES as error:
            why = f"{type(error).__name__}: {error}"
            warn_caller(f"programming_map: one process computes the rest: {why}", RuntimeWarning)
    yield from map(weight_error, tasks[done:])


def _numbers(values: Sequence[float], name: str, low: float) -> NDArray[np.float64]:
    """Return an axis of the map."""
    axis = as_axis(values, f"programming_map: {name}")
    if not (np.isfinite(axis) & (axis >= low)).all():
        raise ConfigError(f"programming_map: {name} must be >= {low:g}, got {values!r}.")
    return axis
