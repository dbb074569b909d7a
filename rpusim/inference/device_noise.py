r"""NOISE_MODEL: a copy of the weights as programmed devices of any kind hold it, for training.

.. math:: \tilde w = w + \sigma\,(\alpha_t\,w_t - w), \qquad
          \alpha_t = \frac{\langle |w_0| \rangle}{\langle |w_t| \rangle}

:math:`w_t` is what a read of freshly programmed devices makes of w a time t = `pcm_t_inference`
later, with the noise model of the tile, :math:`w_0` what programming left, and :math:`\sigma` =
`std_dev` a factor of all that goes wrong. The mean of the drift is taken out by the factor that a
global compensation has; at t = 0 devices are as programmed, without a read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.inference.noise_models import BaseNoiseModel
from rpusim.inference.programmed import ProgrammedDevices
from rpusim.inference.settings import WeightModifierParameter
from rpusim.kernels.streams import Streams

__all__ = ["device_noise"]

MASK = 0xFFFFFFFF
WEYL = 0x9E3779B9


class OneDraw(Streams):
    """Streams that draw the same for all purposes: devices tell them apart by stages."""

    def __init__(self, draw: tuple[int, int, int]) -> None:
        super().__init__(0)
        self._draw = draw

    def again(self, purpose: Any, step: int) -> tuple[int, int, int]:
        """Return the one draw."""
        return self._draw


def device_noise(
    w: np.ndarray,
    settings: WeightModifierParameter,
    model: BaseNoiseModel,
    draw: tuple[int, int, int, int],
    backend: str = "cpu",
) -> np.ndarray:
    """Return the copy of `w`.

    Parameters
    ----------
    w : ndarray of float32, shape (rows, cols)
        Weights.
    settings : WeightModifierParameter
        Strength and time.
    model : BaseNoiseModel
        What becomes of the devices.
    draw : (int, int, int, int)
        Step, number among the draws of this step, and the key's two words.
    backend : str
        Where it runs.
    """
    step, number, k0, k1 = draw
    streams = OneDraw((step, (k0 + number * WEYL) & MASK, k1))
    devices = ProgrammedDevices(model, w, streams, backend)
    seen, t = devices.weights(), settings.pcm_t_inference
    if t > 0.0:
        now = devices.weights(t)
        sizes = [np.abs(w).sum(dtype=np.float64) for w in (seen, now)]
        seen = now * (sizes[0] / np.maximum(sizes[1], 1e-30)).astype(np.float32)
    scale = np.float32(settings.std_dev)
    return seen if scale == 1.0 else w + scale * (seen - w)
