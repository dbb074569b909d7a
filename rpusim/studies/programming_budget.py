r"""How right programmed weights are after how many pulses: ways of programming compared.

A tile of 24 x 32, all devices at 0, is programmed to weights :math:`W^*`, uniform in
:math:`\pm 0.3`. Whenever its devices have received another of the budgets of pulses, on average,

.. math::
    \epsilon_w = \frac{\lVert W - W^* \rVert}{\lVert W^* \rVert}, \qquad
    \epsilon_y = \frac{\lVert Y - X W^{*T} \rVert}{\lVert X W^{*T} \rVert}

are noted: of the weights as they are, and of products with inputs uniform in :math:`\pm 1` through
the tile's periphery, with the noise of these products. Programming goes on until a method stops by
itself, or the last budget is spent.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpusim.devices import SoftBoundsDevice
from rpusim.errors import ConfigError
from rpusim.kernels.streams import Streams
from rpusim.studies.arguments import as_axis, some_of
from rpusim.studies.bench import as_count, pulsed_device
from rpusim.studies.optional import progress
from rpusim.studies.pictures import COLOURS, LEGEND, tidy
from rpusim.studies.result import Result
from rpusim.tiles import AnalogTile
from rpusim.tiles.programming import METHODS
from rpusim.tiles.settings import as_config

__all__ = ["ProgrammingBudget", "programming_budget"]

SHAPE, REACH, VECTORS = (24, 32), 0.3, 200
DEVICE = SoftBoundsDevice(
    dw_min=0.01, w_max=1.0, w_min=-1.0, w_max_dtod=0.1, w_min_dtod=0.1
)  # all can hold all targets
AVERAGED = 16  # reads of a device: as many as bring the usual output noise to a few steps
ERRORS = ("weight_error", "product_error")


@dataclasses.dataclass(frozen=True)
class ProgrammingBudget(Result):
    """Errors after numbers of pulses.

    Attributes
    ----------
    methods : tuple of str
        Their names.
    budgets : ndarray of shape (budgets,)
        Pulses per device after which errors were noted.
    pulses : ndarray of shape (methods, budgets, replicas)
        Those that devices had received by then, on average: an iteration is not cut. Less than the
        budget where a method had stopped before; then the errors are those of its end.
    weight_error, product_error : ndarray of shape (methods, budgets, replicas)
        Errors of weights, and of products, both relative.
    reads : ndarray of shape (methods, replicas)
        Vectors that were multiplied on the whole; for "write_verify" reads of each device, on
        average.
    seed : int
        As `rng`, it makes the same again.
    """

    methods: tuple[str, ...]
    budgets: NDArray[np.float64]
    pulses: NDArray[np.float64]
    weight_error: NDArray[np.float64]
    product_error: NDArray[np.float64]
    reads: NDArray[np.float64]
    seed: int

    def _table(self) -> dict[str, Any]:
        where = np.indices(self.pulses.shape).reshape(3, -1)
        arrays = {name: getattr(self, name).ravel() for name in ("pulses", *ERRORS)}
        return {
            "method": np.array(self.methods)[where[0]],
            "budget": self.budgets[where[1]],
            "replica": where[2],
            **arrays,
        }

    def _draw(self, ax: Any) -> None:
        """Draw rms errors over pulses: of weights with full lines, of products with broken ones."""
        pulses = self.pulses.mean(axis=-1)
        for k, name in enumerate(self.methods):
            number = 1 + list(METHODS).index(name)
            style = {"color": COLOURS[number], "marker": "xosd"[number], "ms": 4.0}
            for error, line in ((self.weight_error, "-"), (self.product_error, "--")):
                values = np.sqrt(np.square(error[k]).mean(axis=-1))
                ax.plot(pulses[k], values, line, label=name if line == "-" else None, **style)
        ax.plot([], [], "k--", label="products")
        ax.set_xscale("log")
        ax.set_yscale("log")
        tidy(ax, "pulses per device", "relative error, rms")
        ax.legend(**LEGEND)


def programming_budget(
    device: Any = DEVICE,
    budgets: Sequence[float] = (2, 5, 10, 20, 50, 100, 200, 500),
    methods: Sequence[str] = ("write_verify", "gradient", "fixed_inputs"),
    replicas: int = 4,
    rng: Any = 0,
    read_noise: float | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> ProgrammingBudget:
    """Program random weights in several ways; note the errors as pulses are spent.

    A replica has its own target, devices and noise, the same for all methods.

    Parameters
    ----------
    device : PulsedDevice or RPUConfig
        What is programmed, by default with the usual periphery.
    budgets : sequence of float
        Pulses per device, growing.
    methods : sequence of str
        Some of "write_verify", "gradient", "fixed_inputs"; see `AnalogTile.program_weights`.
    replicas : int, default 4
        How many targets each programs.
    rng : None, int, SeedSequence or Generator
        Source of everything.
    read_noise : float, optional
        Of a single device, for "write_verify". Default: the noise of an output, what a product with
        one line at full input shows.
    options : dict of str to dict, optional
        Further options by method. Defaults are those of the methods, but for a tolerance of 0 for
        products, and 16 reads of devices.

    Returns
    -------
    ProgrammingBudget

    Raises
    ------
    ConfigError
        If a method is unknown, the device takes no pulses, or a number does not fit.

    Examples
    --------
    >>> found = programming_budget(budgets=(5, 100), methods=["write_verify"], read_noise=0.0)
    >>> (found.weight_error.mean(axis=-1) < 0.2).tolist()
    [[False, True]]
    """
    where = "programming_budget"
    names = some_of(METHODS, methods, f"{where}: methods")
    pulsed_device(device, where)
    config, steps = as_config(device, where), _budgets(budgets)
    count, seed = as_count(replicas, f"{where}: replicas"), Streams(rng).seed
    noise = read_noise
    if noise is None:
        noise = 0.0 if config.forward.is_perfect else config.forward.out_noise
    given = {
        "write_verify": {"read_noise": noise, "reads": AVERAGED},
        "gradient": {"tolerance": 0.0},
        "fixed_inputs": {"tolerance": 0.0},
    }
    for name, own in (options or {}).items():
        given[some_of(METHODS, name, f"{where}: options")[0]] |= own
    found = np.empty((3, len(names), steps.size, count))
    reads = np.empty((len(names), count))
    with progress(len(names) * count, "tiles programmed") as bar:
        for replica in range(count):
            for k, name in enumerate(names):
                run = _Run(config, steps, seed, replica)
                found[:, k, :, replica], reads[k, replica] = run.program(name, given[name])
                bar.update()
    return ProgrammingBudget(names, steps, found[0], found[1], found[2], reads, seed)


class _Run:
    """One tile, programmed once. Target and devices come from seed and replica alone."""

    def __init__(self, config: Any, budgets: NDArray[np.float64], seed: int, replica: int) -> None:
        source = np.random.SeedSequence(seed, spawn_key=(replica,))
        rng = np.random.default_rng(source)
        self._target = rng.uniform(-REACH, REACH, SHAPE)
        self._x = rng.uniform(-1.0, 1.0, (VECTORS, SHAPE[1])).astype(np.float32)
        with warnings.catch_warnings():  # initial weights are replaced anyway
            warnings.simplefilter("ignore")
            self._tile = AnalogTile(*SHAPE, config, rng=source)
        self._budgets, self._noted = budgets, 0
        self._rows: list[tuple[float, float, float]] = []

    def program(self, method: str, options: Mapping[str, Any]) -> tuple[NDArray[Any], float]:
        """Return (pulses, error of weights, of products) by budget, and the reads."""
        if method == "write_verify":
            options = {"max_pulses": math.ceil(4.0 * self._budgets[-1]), **options}
        with warnings.catch_warnings():  # of tolerances that are not reached
            warnings.simplefilter("ignore")
            result = self._tile.program_weights(
                self._target, method=method, w_init=0.0, on_iteration=self._note, **options
            )
        if len(self._rows) < self._budgets.size:
            self._rows += [self._errors()] * (self._budgets.size - len(self._rows))
        if method == "write_verify":
            return np.transpose(self._rows), result.reads / self._target.size
        return np.transpose(self._rows), float(result.reads - self._noted)

    def _note(self, done: int, error: float) -> bool:
        """Note the errors for every budget that is spent; return whether all are."""
        spent = int(np.count_nonzero(self._budgets <= self._pulses()))
        if spent > len(self._rows):
            self._noted += VECTORS
            self._rows += [self._errors()] * (spent - len(self._rows))
        return spent == self._budgets.size

    def _pulses(self) -> float:
        return self._tile.stats.pulses / self._target.size

    def _errors(self) -> tuple[float, float, float]:
        w, norm = self._tile.get_weights()[0], np.linalg.norm
        y, wanted = self._tile.forward(self._x, is_test=True), self._x @ self._target.T
        errors = norm(w - self._target) / norm(self._target), norm(y - wanted) / norm(wanted)
        return self._pulses(), float(errors[0]), float(errors[1])


def _budgets(values: Sequence[float]) -> NDArray[np.float64]:
    """Return growing numbers > 0."""
    axis = as_axis(values, "programming_budget: budgets")
    if not (np.isfinite(axis).all() and axis[0] > 0 and (np.diff(axis) > 0).all()):
        raise ConfigError(f"programming_budget: budgets must be > 0 and growing, got {values!r}.")
    return axis
