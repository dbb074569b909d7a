r"""Input range of a tile: set from the first batches, then learned, always positive.

.. math:: u = \mathrm{clip}(x, -r, r) / r, \qquad y = r\, W u

Source: Rasch et al., Nat. Commun. 14 (2023) 5282, Methods.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.errors import DataError
from rpusim.kernels.device_arrays import host, is_device_array
from rpusim.periphery.pre_post import InputRangeParameter

__all__ = ["InputRange", "batch_std"]

#: One step makes a range at most this many times smaller: 0 is never reached, at any scale.
SHRINKS_AT_MOST = 10.0
SMALLEST = float(np.finfo(np.float32).tiny)


class InputRange:
    r"""Range r of one tile: what it does to inputs, how data sets it and how gradients move it.

    While :math:`c <` `init_from_data`, every training batch with standard deviation
    :math:`\sigma > 0` re-estimates it,

    .. math:: r \leftarrow \frac{r\,c + \alpha\,\sigma}{c + 1}, \qquad c \leftarrow c + 1

    with :math:`\alpha` = `init_std_alpha`, so that the first batch replaces `init_value`.

    Parameters
    ----------
    settings : InputRangeParameter
        How it starts, and how it learns.

    Attributes
    ----------
    value : ndarray of shape (1,), float32
        r > 0, changed in place. After an optimizer changed it, call `project`.
    batches : int
        c, the batches that the estimate rests on.

    Examples
    --------
    >>> import numpy as np
    >>> from rpusim.periphery import InputRangeParameter
    >>> r = InputRange(InputRangeParameter(init_value=2.0))
    >>> u, clipped = r.scale(np.array([[1.0, -4.0]], np.float32))
    >>> u, clipped
    (array([[ 0.5, -1. ]], dtype=float32), array([[False,  True]]))
    """

    def __init__(self, settings: InputRangeParameter) -> None:
        self.settings = settings
        self.value = np.array([settings.init_value], np.float32)
        self.batches = 0
        self._held = float(self.value[0])

    def observe(self, x: np.ndarray) -> None:
        """Re-estimate r from a training batch of inputs, if it is one of the first.

        Parameters
        ----------
        x : ndarray of shape (batch, in)
            Before clipping, without the line of an analog bias. A batch of fewer than two numbers,
            or of equal or infinite ones, does not count.
        """
        if self.batches >= self.settings.init_from_data:
            return
        sigma = batch_std(host(x))
        if 0.0 < sigma < math.inf:
            r, c = float(self.value[0]), self.batches
            self._hold((r * c + self.settings.init_std_alpha * sigma) / (c + 1))
            self.batches = c + 1

    def scale(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Clip inputs to the range and divide by it.

        Parameters
        ----------
        x : ndarray of shape (batch, in), float32
            Without the line of an analog bias. NaN and infinity stay what they are: to refuse them
            is up to the product.

        Returns
        -------
        u : ndarray of shape (batch, in), float32
            In -1..1.
        clipped : ndarray of bool, of the same shape, or None
            Where ``|x| > r``; None if nowhere.
        """
        r = self.value[0]
        if not 0.0 < r < math.inf:
            raise DataError(f"InputRange.value must be > 0 and finite, got {r}.")
        self._held = float(r)
        if is_device_array(x):  # which is not asked whether it was clipped anywhere
            return np.where(np.isinf(x), x, np.clip(x, -r, r) / r), np.abs(x) > r
        if x.size == 0 or (x.max() <= r and x.min() >= -r):
            return x / r, None
        clipped = np.abs(x) > r
        u = np.clip(x, -r, r)
        u /= r
        np.copyto(u, x, where=np.isinf(x))
        return u, clipped if clipped.any() else None

    def gradient(self, x: np.ndarray, g: np.ndarray, unclipped_outputs: float = 1.0) -> np.ndarray:
        r"""Return what an optimizer that descends takes for :math:`\partial L / \partial r`.

        Over the inputs at or beyond the range,

        .. math::
            G = \sum_{|x| \ge r} \min(\mathrm{sgn}(x)\, g,\, 0)

        asks for a larger range where the loss would gain by it. With `exact_gradient` the minimum
        is left out: G is then the derivative of the clip, :math:`\sum_{x \ge r} g - \sum_{x \le -r}
        g`, of both signs. It is multiplied by `gradient_scale` and, if `gradient_relative`, by r
        (which makes the exact one the derivative with respect to :math:`\ln r`). Then

        * with `manage_output_clipping`, :math:`G \leftarrow G - (1 - p)\, r` if the share p of
          unclipped outputs is below `output_min_percentage`;
        * :math:`G \leftarrow G + \mathrm{decay}\cdot r` if more than `input_min_percentage` of
          the inputs are within the range.

        Parameters
        ----------
        x : ndarray of shape (batch, in)
            Inputs before clipping, without the line of an analog bias.
        g : ndarray of shape (batch, in)
            Gradient of the loss with respect to them as the transposed product returns it, not set
            to zero where inputs were clipped.
        unclipped_outputs : float
            p, the share of all outputs of that forward that the ADC did not clip.

        Returns
        -------
        ndarray of shape (1,), float32
        """
        s, r = self.settings, float(self.value[0])
        if x.size == 0:
            return np.zeros(1, np.float32)
        beyond = np.flatnonzero(np.abs(x) >= self.value[0])
        total = self._clip_gradient(x, g, beyond) * s.gradient_scale if len(beyond) else 0.0
        if s.gradient_relative:
            total *= r
        if s.manage_output_clipping and unclipped_outputs < s.output_min_percentage:
            total -= (1.0 - unclipped_outputs) * r
        if 1.0 - len(beyond) / x.size > s.input_min_percentage:
            total += s.decay * r
        return np.array([total], np.float32)

    def _clip_gradient(self, x: np.ndarray, g: np.ndarray, beyond: np.ndarray) -> float:
        outward = g.ravel()[beyond] * np.sign(x.ravel()[beyond])
        if not self.settings.exact_gradient:
            np.minimum(outward, 0.0, out=outward)
        return float(outward.sum(dtype=np.float64))

    def project(self) -> None:
        """Make r positive again after an optimizer's step, and no less than a tenth of what it was.

        Raises
        ------
        DataError
            If the step made it NaN or infinite; r is then what it was before.
        """
        r, before = float(self.value[0]), self._held
        if not math.isfinite(r):
            self._hold(before)
            raise DataError(f"InputRange.value must stay finite, got {r} from a step at {before}.")
        self._hold(max(r, before / SHRINKS_AT_MOST))

    def set(self, value: float) -> None:
        """Set r, to a finite number > 0; `batches` stays."""
        if not 0.0 < value < math.inf:
            raise DataError(f"InputRange.set: value must be > 0 and finite, got {value!r}.")
        self._hold(float(value))

    def finish(self) -> None:
        """End the estimation from data: `observe` does nothing from now on."""
        self.batches = max(self.batches, self.settings.init_from_data)

    def _hold(self, r: float) -> None:
        """Store r in place, within what single precision can divide by."""
        self.value[0] = self._held = min(max(r, SMALLEST), float(np.finfo(np.float32).max))

    def state(self) -> dict[str, np.ndarray]:
        """Return r and the number of batches as arrays."""
        return {"input_range": self.value.copy(), "input_range_batches": np.array(self.batches)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.set(float(state["input_range"][0]))
        self.batches = int(state["input_range_batches"])


def batch_std(x: np.ndarray) -> float:
    """Return the sample standard deviation of all numbers; NaN for fewer than two of them."""
    if x.size < 2:
        return math.nan
    # From the first number on: equal numbers then have no spread at all, not one of rounding.
    with np.errstate(invalid="ignore"):
        return float(np.std(np.subtract(x, x.flat[0], dtype=np.float64), ddof=1))
