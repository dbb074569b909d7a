r"""How errors go back through a tile: exactly, exactly where nothing saturated, or in analog.

.. math::
    \frac{\partial L}{\partial x} = M_x \odot \tilde W^\mathsf{T} (M_y \odot d), \qquad
    \frac{\partial L}{\partial W} = (M_y \odot d)^\mathsf{T}\, \mathrm{clip}(x)

with the weights :math:`\tilde W` that the forward used. For EXACT both masks are 1. For
STRAIGHT_THROUGH :math:`M_y` is 0 where the ADC clipped in the round that counts, :math:`M_x` where
the DAC or the input range clipped (unless `mask_inputs` is off), and clip(x) is what passed these.
Rounding and noise count as if they were not there. For ANALOG the transposed product is a noisy one
(`rpusim.periphery.mvm`), without masks: a chip's errors go through the same devices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.kernels.device_arrays import beside
from rpusim.periphery import IOParameters
from rpusim.periphery.lines import draw_parameters
from rpusim.periphery.mvm import Periphery
from rpusim.tiles.context import ForwardContext
from rpusim.tiles.settings import BackwardMode, GradientParameter

__all__ = ["Backward"]


class Backward:
    """The way back through one tile.

    Parameters
    ----------
    settings : GradientParameter
        Which way.
    forward, backward : IOParameters
        Settings of the two directions.
    backend : str
        Where it runs.
    shape : (int, int)
        Rows and columns of the crossbar.
    draw : object
        Where the parameters of its lines come from, see `draw_parameters`.
    """

    def __init__(
        self,
        settings: GradientParameter,
        forward: IOParameters,
        backward: IOParameters,
        backend: str,
        shape: tuple[int, int],
        draw: Any,
    ) -> None:
        self.settings, self.mode = settings, settings.backward_mode
        self._io, self._size = forward, shape[1]
        if self.mode is not BackwardMode.ANALOG:
            backward = IOParameters(is_perfect=True, out_scale=forward.out_scale)
        parameters = draw_parameters(backward, shape, True, draw)
        self.periphery = Periphery(backward, True, backend, parameters)
        self._digital = np.stack([np.ones(shape[1], np.float32), np.zeros(shape[1], np.float32)])

    def __call__(
        self,
        d: np.ndarray,
        weights: np.ndarray,
        first: int,
        key: tuple[int, int],
        where: str,
        mark: Any,
        training: bool = True,
    ) -> np.ndarray:
        """Return the transposed product of errors behind the digital scales."""
        return self.periphery(d, weights, self._digital, first, key, where, mark, training)[0]

    def masked_errors(self, d: np.ndarray, context: ForwardContext | None) -> np.ndarray:
        """Return errors of the outputs, 0 where the ADC clipped."""
        if self.mode is not BackwardMode.STRAIGHT_THROUGH or context is None:
            return d
        clipped = context.clipped_outputs()
        return d if clipped is None else np.where(clipped, np.float32(0.0), d)

    def masked_inputs(self, g: np.ndarray, context: ForwardContext | None) -> np.ndarray:
        """Return gradients of the inputs, 0 where one was clipped."""
        straight = self.mode is BackwardMode.STRAIGHT_THROUGH and self.settings.mask_inputs
        if not straight or context is None:
            return g
        for clipped in (context.beyond, context.clipped_inputs()):
            if clipped is not None:
                g = np.where(clipped, np.float32(0.0), g)
        return g

    def learnt_inputs(self, context: ForwardContext) -> np.ndarray:
        """Return the inputs of the weights' gradient: as given, or as they passed the DAC."""
        x, r = context.x, context.input_range
        if r is not None and context.beyond is not None:
            x = np.clip(x, -r, r)
        bound, step = self._io.dac
        straight = self.mode is BackwardMode.STRAIGHT_THROUGH
        clipped = context.clipped_inputs() if straight else None
        quantised = self.settings.quantised_inputs and step > 0.0
        if self._io.perfect or not (quantised or clipped is not None):
            return x
        unit = beside(context.alpha * context.reduction * np.float32(r or 1.0), x)[:, None]
        if quantised:
            v = np.where(
                unit > 0.0, x / np.where(unit > 0.0, unit, np.float32(1.0)), np.float32(0.0)
            )
            v = np.float32(step) * np.rint(v / np.float32(step))
            return np.clip(v, -np.float32(bound), np.float32(bound)) * unit
        if clipped is None:
            return x
        most = np.float32(bound) * unit
        return np.where(clipped, np.clip(x, -most, most), x)
