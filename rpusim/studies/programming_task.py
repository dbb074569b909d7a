r"""Learning random weights on imperfect devices, by SGD and by the Tiki-Taka family.

A tile of 20 x 20 is to learn weights :math:`W^*`, uniform in :math:`\pm 0.3`, from random vectors:

.. math::
    x \sim U(-1, 1), \qquad d = W \circledast x - W^* x, \qquad
    \epsilon = \sqrt{\langle (W - W^*)^2 \rangle}

with products through the standard periphery, noise included. Devices have soft bounds at
:math:`\pm 1` and n states, :math:`\Delta w_\text{min} = 2 / n`, with spreads of 10 % of steps and
bounds and of 30 % from pulse to pulse. The reference of each device is its symmetry point, but that
of the device that learns from the gradient is off by :math:`\sigma_r z`: pulses of random sign then
lead it to :math:`-\sigma_r z`, which an algorithm must not take for a gradient. Where this is
beyond :math:`\pm 1` (1.2 % of the devices if :math:`\sigma_r = 0.4`), it cannot show 0 at all.

Of the rates that were tried, these have the smallest product of the errors for 10, 100 and 1000
states without an offset, after 10 000 vectors; the three that have a buffer share one set, so that
they differ by choppers and reference alone:

* SGD: learning rate 0.01.
* TTv1: `fast_lr` 0.3, `transfer_lr` 0.003, a column for every vector.
* TTv2, c-TTv2, AGAD: A scaled to `fast_lr` 0.5, a column for every vector, 3000 vectors of constant
  gradient until a pulse. Choppers flip at every 20th read: c-TTv2 at random, AGAD regularly.

Source: Rasch, Carta, Fagbohungbe and Gokmen, Nature Communications 15, 7133 (2024), figure 4, whose
kind of task this is; rates and numbers here are not those of the paper.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rpusim.devices import Device, SoftBoundsReferenceDevice
from rpusim.errors import ClippedWeightsWarning
from rpusim.tiles import AnalogTile
from rpusim.tiles.compounds import (
    ChoppedTransferCompound,
    DynamicTransferCompound,
    TransferCompound,
)

__all__ = ["ALGORITHMS", "TARGET_RMS", "ProgrammingTask", "algorithm_device", "weight_error"]

SIZE, REACH, BATCH = 20, 0.3, 10
RATE = 0.01  # of SGD; the others have rates of their own
TARGET_RMS = REACH / 3.0**0.5
SPREAD = dict.fromkeys(("dw_min_dtod", "w_max_dtod", "w_min_dtod"), 0.1)
SLOW: dict[str, Any] = dict(
    units_in_mbatch=False, scale_transfer_lr=False, fast_lr=0.3, transfer_lr=0.003
)
BUFFERED: dict[str, Any] = dict(
    scale_transfer_lr=False, auto_scale=True, fast_lr=0.5, auto_granularity=3000.0
)
CHOPPED = functools.partial(ChoppedTransferCompound, **BUFFERED)
#: From the fast and the slow device to what stands at a crosspoint.
ALGORITHMS: dict[str, Callable[[list[Device]], Device]] = {
    "SGD": lambda devices: devices[0],
    "TTv1": functools.partial(TransferCompound, **SLOW),
    "TTv2": functools.partial(CHOPPED, in_chop_prob=0.0),
    "c-TTv2": functools.partial(CHOPPED, in_chop_prob=0.05),
    "AGAD": functools.partial(DynamicTransferCompound, **BUFFERED, in_chop_prob=0.05),
}


class ProgrammingTask(NamedTuple):
    """What is to be learned on what, how, and from which draws."""

    algorithm: str
    states: float
    offset: float
    vectors: int
    seed: int
    replica: int


def algorithm_device(algorithm: str, states: float, offset: float) -> Device:
    """Return the device, or the cell, on which an algorithm learns.

    Parameters
    ----------
    algorithm : str
        One of `ALGORITHMS`.
    states : float
        Number of states, 2 / dw_min.
    offset : float
        Spread of the references of the devices that learn from the gradient.
    """
    device = SoftBoundsReferenceDevice(
        dw_min=2.0 / states, w_max=1.0, w_min=-1.0, subtract_symmetry_point=True, **SPREAD
    )
    return ALGORITHMS[algorithm]([device.replace(reference_std=offset), device])


def weight_error(task: ProgrammingTask) -> float:
    """Return the rms error of the weights that a tile has learned.

    Target, inputs, devices and noise are drawn from seed and replica alone.
    """
    source = np.random.SeedSequence(task.seed, spawn_key=(task.replica,))
    rng = np.random.default_rng(source)
    target = rng.uniform(-REACH, REACH, (SIZE, SIZE))
    device = algorithm_device(task.algorithm, task.states, task.offset)
    with warnings.catch_warnings():  # some devices cannot even show 0
        warnings.simplefilter("ignore", ClippedWeightsWarning)
        tile = AnalogTile(SIZE, SIZE, device, rng=source)
        tile.set_weights(np.zeros((SIZE, SIZE)))
    for begin in range(0, task.vectors, BATCH):
        x = rng.uniform(-1.0, 1.0, (min(BATCH, task.vectors - begin), SIZE))
        tile.update(x, tile.forward(x) - x @ target.T, RATE)
    return float(np.sqrt(np.square(tile.get_weights()[0] - target).mean()))
