r"""Write-verify: every device is read, and pulsed as long as it is not where it should be.

.. math::
    g = w + \frac{\sigma_r}{\sqrt{n_r}} z, \qquad
    \text{stop if } |g - w^*| \le \epsilon, \quad
    \text{else one pulse of } \mathrm{sign}(w^* - g)

with the mean of :math:`n_r` reads g, the tolerance :math:`\epsilon` and at most `max_pulses` pulses
for each device. For steps of about :math:`\delta \gg \epsilon, \sigma_r` the errors that remain are
uniform within :math:`\pm\epsilon`, with the noise of the last read on top,

.. math::
    \mathrm{std}(w - w^*) = \sqrt{\epsilon^2 / 3 + \sigma_r^2 / n_r}, \qquad
    \langle n \rangle \approx \frac{|w^* - w_0| - \epsilon}{\delta} + \frac{\delta}{\epsilon} - 2

pulses: those of the way, and those that jump over the target.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.errors import StateError, warn_caller
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import place, put
from rpusim.kernels.streams import Purpose
from rpusim.pulses.verify import read_places
from rpusim.tiles.arguments import as_rate, as_size
from rpusim.tiles.compounds.cell import Cell
from rpusim.tiles.programming_job import Job, ProgrammingResult

__all__ = ["program_by_verifying"]

PER_READ = 10.0  # nanoseconds on one core, to judge whether threads pay


def program_by_verifying(
    tile: Any,
    target: Any = None,
    tolerance: float | None = None,
    max_pulses: int = 1000,
    read_noise: float = 0.0,
    reads: int = 1,
    w_init: Any = None,
    on_iteration: Callable[[int, float], Any] | None = None,
) -> ProgrammingResult:
    r"""Program the devices of a tile one by one: read, pulse, until right.

    Parameters
    ----------
    tile : AnalogTile
        With one pulsed device at each crosspoint.
    target : array_like of shape (rows, cols), optional
        What the devices are to hold, an analog bias as last column; default: what they hold now.
    tolerance : float, optional
        How far from the target a read may be, as a weight of devices; default: half the mean step
        of a pulse, `tile.weight_granularity`.
    max_pulses : int
        Largest number of pulses for each device.
    read_noise : float
        Standard deviation of one read of one device, as a weight.
    reads : int
        How many are averaged each time.
    w_init : float or array_like of shape (rows, cols), optional
        The devices start uniformly within ``-w_init..w_init``, at these weights, or (default) as
        they are.
    on_iteration : callable, optional
        Called after each round of reads with the number of rounds before it and the mean error, as
        in the result's `history`; if it returns True, that was the last.

    Returns
    -------
    ProgrammingResult
        Its `error` is that of the last reads, which is less than that of the weights: a device is
        left alone when a read says so. `failed` marks those that were never, those with targets
        beyond their bounds among them: they get all the pulses there are.

    Warns
    -----
    UserWarning
        If devices failed.

    Raises
    ------
    StateError
        If the devices take no pulses, or if there are several at a crosspoint.
    DataError, ShapeError, ConfigError
        If an argument does not fit; then nothing is changed.

    Notes
    -----
    What is read and programmed is the weight that products see: without a reference, with write
    noise, which is drawn anew with each pulse. Pulses are single ones of the device's law, whatever
    `update` says of trains. Reads of devices are not counted in `tile.stats`, pulses are.

    Examples
    --------
    >>> import rpusim as rs
    >>> tile = rs.AnalogTile(2, 3, rs.SoftBoundsDevice(dw_min=0.01), rng=1)
    >>> result = tile.program_weights(np.full((2, 3), 0.2), method="write_verify")
    >>> (result.success, bool(np.abs(tile.get_weights()[0] - 0.2).max() <= 0.5 * 0.01))
    (True, True)
    """
    job = Job(tile, target, w_init, on_iteration)
    box, where = job.box, job.where
    if isinstance(box, Cell):
        raise StateError(
            f"{where}: write_verify pulses single devices, and {type(box.device).__name__} has "
            'several at each crosspoint; use method="gradient" or "fixed_inputs".'
        )
    if tolerance is None:
        tolerance = 0.5 * box.granularity
    tolerance = as_rate(tolerance, f"{where}: tolerance")
    last = as_size(max_pulses, f"{where}: max_pulses")
    noise = as_rate(read_noise, f"{where}: read_noise")
    reads = as_size(reads, f"{where}: reads")
    std = np.float32(noise / math.sqrt(reads))
    job.begin()
    scale = float(np.abs(job.goal).max()) or 1.0
    left, done_reads = np.arange(job.goal.size), 0
    errors = np.zeros(box.shape, np.float32)
    for done in range(last + 1):
        _read(box, left, job.goal, errors, std)
        done_reads += reads * left.size
        left = left[np.abs(errors.flat[left]) > tolerance]
        enough = job.note(float(np.abs(errors).mean(dtype=np.float64)) / scale)
        if enough or left.size == 0 or done == last:
            break
        tile.stats.record(box._pulser.pulse(box, left, errors.flat[left] < 0.0))
    failed = np.zeros(box.shape, bool)
    failed.flat[left] = True
    floor = math.nan
    if left.size:
        floor = math.sqrt(2.0 / math.pi) * float(std) / scale
        warn_caller(
            f"{where}: {left.size} of {failed.size} devices did not come within {tolerance:g} of "
            f"their targets in {done} pulses; more pulses, finer steps, wider bounds or a larger "
            "tolerance may help.",
            UserWarning,
        )
    return job.result(left.size == 0, floor, reads=done_reads, failed=failed)


def _read(
    box: Any, places: np.ndarray, goal: np.ndarray, errors: np.ndarray, std: np.float32
) -> None:
    """Read some devices; `errors` keeps what they differ from the goal by."""
    rows, draw = kernel(read_places, box.backend), box.streams.draw(Purpose.READ)
    work, backend = PER_READ * places.size, box.backend
    found = place(errors, backend)
    args = (place(places, backend), box.weights, place(goal, backend), found, std, *draw)
    split(rows, places.size, work, *args)
    if found is not errors:
        put(errors, found)
