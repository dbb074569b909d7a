"""Programmed devices: the conductances of a matrix of weights, as they are and as they drift."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.arrays import real_numbers
from rpusim.errors import DataError, ShapeError
from rpusim.inference.arguments import as_time
from rpusim.inference.device_rows import (
    coefficient_rows,
    coefficient_team,
    conductance_rows,
    conductance_team,
    program_rows,
    program_team,
    weight_rows,
    weight_team,
)
from rpusim.inference.noise_models import BaseNoiseModel
from rpusim.kernels.backend import check_backend, split
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import as_it_is, host, is_device_array, namespace, place, put
from rpusim.kernels.streams import Purpose, Streams

__all__ = ["ProgrammedDevices"]

PER_DEVICE = 2.0  # nanoseconds of one core, to judge whether threads pay

#: kernels by what they do: for "cpu" and for the others, and how many arrays precede the numbers
KERNELS = {
    "program": (program_rows, program_team, 3),
    "coefficient": (coefficient_rows, coefficient_team, 2),
    "conductance": (conductance_rows, conductance_team, 3),
    "weight": (weight_rows, weight_team, 3),
}


class ProgrammedDevices:
    """The devices that hold a matrix of weights, programmed once.

    What programming left, and what each device's drift depends on, is drawn at construction and
    stays; reads draw their noise anew.

    Parameters
    ----------
    model : BaseNoiseModel
        Programming error, drift, read noise, and the converter to conductances.
    weights : array_like of shape (rows, cols)
        What the devices are to hold; finite.
    rng : None, int, SeedSequence, Generator or Streams
        Where the draws come from.
    backend : {"cpu", "cuda", "python"}
        Where it runs, and where the arrays are.
    exact : bool
        Whether the devices hold the targets exactly: they were not programmed but trained in
        place.
    reuse : ProgrammedDevices, optional
        Devices that are of no use any more: their memory is taken, if it fits.
    reconvert : bool
        Whether what drifts are conductances computed anew from the programmed weights, as in
        aihwkit: for comparisons with it.

    Attributes
    ----------
    target, programmed : ndarray of shape (devices, rows, cols)
        Wanted conductances, and those that programming left; in uS, for each device of a weight.
    coefficients : ndarray of shape (devices, rows, cols), or (0, rows, cols)
        What the drift of each device depends on: its exponent, for phase-change memory.
    params : dict
        What the converter needs to return to weights.

    Examples
    --------
    >>> from rpusim.inference import PCMLikeNoiseModel
    >>> devices = ProgrammedDevices(PCMLikeNoiseModel(), [[1.0, -0.5]], rng=1)
    >>> devices.target.tolist()
    [[[25.0, 0.0]], [[0.0, 12.5]]]
    >>> devices.weights(3600.0).shape
    (1, 2)
    """

    def __init__(
        self,
        model: BaseNoiseModel,
        weights: Any,
        rng: Any = None,
        backend: str = "cpu",
        exact: bool = False,
        reuse: ProgrammedDevices | None = None,
        reconvert: bool = False,
    ) -> None:
        self.streams = rng if isinstance(rng, Streams) else Streams(rng)
        self._take(model, weights, backend, reuse)
        draw = self.streams.draw(Purpose.PROGRAM)
        arrays = (self._flat(self.target), self._flat(self.programmed))
        coefficients = self._flat(self.coefficients)
        self._run("program", 0.0, *arrays, coefficients, draw=draw)
        if exact:
            self.programmed[...] = self.target
        if reconvert:
            g, self.params = model.converter.convert_to_conductances(self.weights())
            put(self.programmed, g)

    def _take(
        self,
        model: BaseNoiseModel,
        weights: Any,
        backend: str,
        reuse: ProgrammedDevices | None = None,
    ) -> None:
        """Take over what the devices are to hold, and make room for what they do."""
        if not isinstance(model, BaseNoiseModel):
            hint = "; call it to make one" if isinstance(model, type) else ""
            raise DataError(f"ProgrammedDevices: model must be a noise model, got {model!r}{hint}.")
        model.check_laws()
        self.model, self.backend = model, check_backend(backend)
        if backend == "cuda" and is_device_array(weights):
            w = weights.astype(np.float32, copy=False)
        else:
            w = place(real_numbers(weights, "ProgrammedDevices: weights"), backend)
        if w.ndim != 2:
            raise ShapeError(
                f"ProgrammedDevices: weights must have shape (rows, cols), got {w.shape}."
            )
        self.shape: tuple[int, int] = w.shape
        target, self.params = model.converter.convert_to_conductances(w)
        target = place(target, backend).astype(np.float32, order="C", copy=False)
        self.target: np.ndarray = target
        count = len(target) if model.has("coefficient") else 0
        shapes: tuple[Any, Any] = self.target.shape, (count, *self.shape)
        self.programmed: np.ndarray
        self.coefficients: np.ndarray
        old = reuse if reuse is not None and reuse.backend == backend else None
        if old is not None and (old.programmed.shape, old.coefficients.shape) == shapes:
            self.programmed, self.coefficients = old.programmed, old.coefficients
        else:
            self.programmed, self.coefficients = (self._empty(s) for s in shapes)

    @classmethod
    def restored(
        cls,
        model: BaseNoiseModel,
        weights: Any,
        programmed: np.ndarray,
        coefficients: np.ndarray,
        streams: Streams,
        backend: str,
    ) -> ProgrammedDevices:
        """Return devices as they were, without programming anything.

        Parameters
        ----------
        model, weights, streams, backend
            As they were.
        programmed, coefficients : ndarray
            The attributes of these names.
        """
        made = cls.__new__(cls)
        made.streams = streams
        made._take(model, weights, backend)
        for name, array in (("programmed", programmed), ("coefficients", coefficients)):
            if array.shape != getattr(made, name).shape:
                raise ShapeError(
                    f"ProgrammedDevices: {name} must have shape {getattr(made, name).shape} for "
                    f"{type(model).__name__}, got {array.shape}."
                )
        put(made.programmed, programmed)
        put(made.coefficients, coefficients)
        return made

    # ---------------------------------------------------------------- what they are

    def relax(self) -> None:
        """Draw coefficients anew, if the model wants them drawn at each drift."""
        if self.model.redraws:
            draw = self.streams.draw(Purpose.DRIFT)
            arrays = (self._flat(self.target), self._flat(self.coefficients))
            self._run("coefficient", 0.0, *arrays, draw=draw)

    def conductances(
        self,
        t: float | None = None,
        read: bool = True,
        step: int | None = None,
        waits: bool = True,
    ) -> np.ndarray:
        """Return the conductances, in uS, shape (devices, rows, cols).

        Parameters
        ----------
        t : float, optional
            Time after programming, in seconds; default: as programming left them.
        read : bool
            Whether it is a read, with its noise.
        step : int, optional
            Number of the read, to see again what it saw; default: the next one.
        waits : bool
            As for `weights`.
        """
        if t is None:
            return self.programmed.copy()
        out = self._empty(self.target.shape)
        arrays = (*self._arrays(), read, self._flat(out))
        self._run("conductance", t, *arrays, draw=self._draw(read, step), waits=waits)
        return out

    def weights(
        self, t: float | None = None, step: int | None = None, waits: bool = True
    ) -> np.ndarray:
        """Return the weights that a read of the devices makes, shape (rows, cols), float32.

        Parameters
        ----------
        t : float, optional
            Time after programming, in seconds; default: as programming left them, without a read.
        step : int, optional
            Number of the read, to see again what it saw; default: the next one.
        waits : bool
            False: a GPU is not waited for, and so not asked whether the weights are finite.
        """
        back = self.model.converter.way_back(self.params)
        per_row = back.factors.ndim == 1 or back.factors.shape[1:] == (self.shape[0], 1)
        if t is None or not per_row:
            g = self.programmed if t is None else self.conductances(t, step=step, waits=waits)
            return self.model.converter.convert_back_to_weights(g, self.params).astype(np.float32)
        count, rows = len(self.target), self.shape[0]
        factors = self._filled(as_it_is(back.factors).reshape(count, -1), (count, rows))
        offset = self._filled(as_it_is(back.offset).reshape(-1), (rows,))
        out = self._empty(self.shape)
        arrays = (*self._arrays(), factors, offset, out)
        self._run("weight", t, *arrays, draw=self._draw(True, step), waits=waits)
        return out

    def hidden_parameters(self) -> dict[str, np.ndarray]:
        """Return copies of what each device carries, by name, numbered by device of a weight."""
        named = {
            "conductance_target": self.target,
            "conductance": self.programmed,
            "drift_coefficient": self.coefficients,
        }
        return {
            f"{name}_{k}": g.copy()
            for name, array in named.items()
            for k, g in enumerate(host(array))
        }

    # ---------------------------------------------------------------- inside

    def _draw(self, read: bool, step: int | None) -> tuple[int, int, int]:
        """Return the draw of a read."""
        if not (read and self.model.has("read")):
            return 0, 0, 0
        streams = self.streams
        return streams.again(Purpose.READ, streams.take(Purpose.READ) if step is None else step)

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return targets, programmed conductances and coefficients, as rows."""
        return self._flat(self.target), self._flat(self.programmed), self._flat(self.coefficients)

    def _flat(self, array: np.ndarray) -> np.ndarray:
        """Return an array of devices as rows."""
        return array.reshape(-1, self.shape[1]) if array.size else self._empty((0, 0))

    def _empty(self, shape: tuple[int, ...]) -> Any:
        """Return an array to be filled."""
        return namespace(self.backend).empty(shape, np.float32)

    def _filled(self, values: Any, shape: tuple[int, ...]) -> Any:
        """Return an array of a shape with values that broadcast against it."""
        placed = place(values.astype(np.float32), self.backend)
        return placed if placed.shape == shape else np.broadcast_to(placed, shape).copy()

    def _run(
        self, what: str, t: float, *arrays: Any, draw: tuple[int, int, int], waits: bool = True
    ) -> None:
        """Run a kernel over all rows at a time."""
        fields, numbers = self.model.packed(as_time(t, "ProgrammedDevices: t"))
        numbers = place(numbers.astype(np.float32), self.backend)
        rows, team, leading = KERNELS[what]
        rows = kernel(
            rows if self.backend == "cpu" else team, self.backend, **self.model.bound(fields)
        )
        count = self.shape[0] if what == "weight" else len(arrays[0])
        args = (*arrays[:leading], numbers, *arrays[leading:], *draw)
        with np.errstate(all="ignore"):
            split(rows, count, PER_DEVICE * self.target.size, *args)
        if not waits and self.backend == "cuda":
            return
        results = arrays[1:] if what == "program" else arrays[-1:]
        if not all(np.isfinite(result.sum()) for result in results):
            raise DataError(
                f"{type(self.model).__name__}: its laws must give finite numbers, got NaN or "
                f"infinity at {t:g} s."
            )
