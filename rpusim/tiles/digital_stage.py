r"""What a tile computes in digital before and after its analog product.

.. math::
    u = \mathrm{clip}(x, -r, r) / r, \qquad
    y = o\,s\,r\,\alpha\,\Big(a(u) - \text{offset} \sum_j u_j\Big) + b

with input range r, mapping scales s, learned output scales o, bias b, and factors :math:`\alpha`
and offset that correct for drift; a line that carries an analog bias is driven by 1/r. Scales and
bias may be of few bits: :math:`y = Q(o\,s\,r\,\alpha)\,a + Q(b)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.kernels.device_arrays import beside, host
from rpusim.periphery import (
    InputRangeParameter,
    PrePostProcessingParameter,
    PrePostProcessingParameterQuant,
)
from rpusim.periphery.quantiser import PeripheryQuantiser
from rpusim.tiles.context import ForwardContext
from rpusim.tiles.input_range import InputRange
from rpusim.tiles.mapping import Mapping

__all__ = ["DigitalStage"]


class DigitalStage:
    """The digital side of one tile.

    Parameters
    ----------
    mapping : Mapping
        Its scales and bias.
    settings : PrePostProcessingParameter
        Input range, quantisation.

    Attributes
    ----------
    range : InputRange or None
        The input range, if it is enabled.
    trainable : dict of str to ndarray
        The trainable arrays by name: bias, out_scaling, input_range.
    neutral : ndarray of shape (2, out_size)
        Factors of 1 and summands of 0.
    """

    def __init__(self, mapping: Mapping, settings: PrePostProcessingParameter) -> None:
        self.mapping = mapping
        self.range: InputRange | None = None
        self._quantiser: PeripheryQuantiser | None = None
        if isinstance(settings, PrePostProcessingParameterQuant) and settings.periph_quant.n_bits:
            self._quantiser = PeripheryQuantiser(settings.periph_quant)
        self.neutral = np.zeros_like(mapping.digital)
        self.neutral[0] = 1.0
        self._take_range(settings.input_range)

    def _take_range(self, settings: InputRangeParameter) -> None:
        self.range = InputRange(settings) if settings.enable else None
        m, learned = self.mapping, settings.enable and settings.learn_input_range
        value = self.range.value if self.range is not None and learned else None
        arrays = {"bias": m.bias, "out_scaling": m.out_scaling, "input_range": value}
        self.trainable = {name: array for name, array in arrays.items() if array is not None}

    @property
    def _plain(self) -> bool:
        """Whether the product's kernel can scale and add the bias by itself."""
        m = self.mapping
        return (
            self.range is None
            and m.out_scaling is None
            and self._quantiser is None
            and not m.corrected
        )

    @property
    def factors(self) -> np.ndarray:
        """Factors and summands that the product's kernel applies, shape (2, out_size)."""
        return self.mapping.digital if self._plain else self.neutral

    @property
    def learns_range(self) -> bool:
        """Whether the input range is a trainable parameter."""
        return self.range is not None and self.range.settings.learn_input_range

    def set_range(self, settings: InputRangeParameter) -> None:
        """Have an input range of ``settings.init_value`` from now on, whatever the data say."""
        self._take_range(settings)
        if self.range is not None:
            self.range.finish()

    def before(self, x: np.ndarray, training: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Return what the input lines get, and where the range clipped (None: nowhere)."""
        if self.range is None:
            return self.mapping.with_line(x), None
        if training:
            self.range.observe(x)  # a GPU's are copied while the range is found from them
        u, beyond = self.range.scale(x)
        return self.mapping.with_line(u, 1.0 / float(self.range.value[0])), beyond

    def after(
        self, a: np.ndarray, u: np.ndarray, training: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the outputs, and before learned scales (None without) for their gradient.

        Parameters
        ----------
        a, u : ndarray of shape (batch, out_size), (batch, lines)
            Results of the product, and what went in.
        training : bool
            Whether quantisers learn from them.
        """
        if self._plain:
            return a, None
        a = a - self.excess(u) if self.mapping.offset != 0.0 else a
        unscaled = None
        if self.mapping.out_scaling is not None:
            unscaled = a * beside(self._fixed_scales(), a)
        total, bias = (beside(v, a) for v in self.gain_and_offset(training))
        return (a * total + bias).astype(np.float32, copy=False), unscaled

    def excess(self, u: np.ndarray) -> np.ndarray:
        """Return what the offset of all weights adds to the results, shape (batch, 1)."""
        total = u.sum(axis=1, keepdims=True, dtype=np.float64)
        return (self.mapping.offset * total).astype(np.float32)

    def _fixed_scales(self) -> np.ndarray:
        """Return the scales that are not learned output scales, shape (out_size,)."""
        m = self.mapping
        scales = m.scales * m.alpha if m.corrected else m.scales
        return scales if self.range is None else scales * self.range.value

    def gain_and_offset(self, training: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return factor and summand of each output."""
        total, bias = self._fixed_scales(), self.mapping.digital[1]
        if self.mapping.out_scaling is not None:
            total = total * self.mapping.out_scaling
        if self._quantiser is not None:
            total = self._quantiser.scales(total, training)
            if self.mapping.bias is not None:
                bias = self._quantiser.bias(bias, training)
        return total, bias

    def for_update(self, x: np.ndarray, rate: float) -> tuple[np.ndarray, float]:
        """Return inputs and rate for the devices so that logical weights move by rate * d x."""
        if self.range is None:
            return self.mapping.with_line(x), rate
        r = float(self.range.value[0])
        u, _ = self.range.scale(x)
        return self.mapping.with_line(u, 1.0 / r), rate * r

    def gradients(
        self, d: np.ndarray, g: np.ndarray | None, context: ForwardContext
    ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        """Return the gradients of bias, learned output scales and input range.

        Parameters
        ----------
        d : ndarray of shape (batch, out_size)
            Errors of the outputs.
        g : ndarray of shape (batch, in_size), or None
            The transposed product of them, before any mask of inputs.
        context : ForwardContext
            Their forward.
        """
        m = self.mapping
        bias = None if m.bias is None else d.sum(axis=0)
        scaling = None
        if m.out_scaling is not None and context.unscaled is not None:
            scaling = (d * context.unscaled).sum(axis=0)
            if m.out_scaling.size == 1:
                scaling = scaling.sum(keepdims=True)
        input_range = None
        if self.range is not None and self.learns_range and g is not None:
            used = InputRange(self.range.settings)  # what the forward had, if it moved since
            used.set(self.range.value[0] if context.input_range is None else context.input_range)
            clipped = context.outputs_clipped
            input_range = used.gradient(host(context.x), host(g), 1.0 - clipped)
        return bias, scaling, input_range

    def state(self) -> dict[str, np.ndarray]:
        """Return what changes, as arrays (without that of the mapping)."""
        state = {} if self.range is None else self.range.state()
        if self._quantiser is not None:
            state |= self._quantiser.state()
        return state

    def restore(self, state: Any) -> None:
        """Continue from what `state` returned."""
        if self.range is not None:
            self.range.restore(state)
        if self._quantiser is not None:
            self._quantiser.restore({name: state[name] for name in self._quantiser.state()})
