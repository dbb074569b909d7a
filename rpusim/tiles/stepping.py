"""`SteppingTile`: a tile whose weights, if they are numbers, can be moved by a matrix.

Pulses need the vectors x and d. Weights in digital memory, those of a `FloatingPointTile`, of an
`InferenceTile`, or of an `IdealDevice`, can take any step: momentum, Adam.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import StateError
from rpusim.kernels.device_arrays import host
from rpusim.tiles.arguments import as_matrix
from rpusim.tiles.digital import DigitalMatrix
from rpusim.tiles.ledger import UpdateReport
from rpusim.tiles.products import MultiplyingTile

__all__ = ["SteppingTile"]


class SteppingTile(MultiplyingTile):
    """A tile that can be stepped. Parameters and attributes are those of `AnalogTile`."""

    @property
    def learns_in_digital(self) -> bool:
        """Whether the weights are numbers in digital memory, which can take any step."""
        return isinstance(self.crossbar, DigitalMatrix)

    def trained_weights(self) -> np.ndarray:
        r"""Return a copy of the weights that `apply_step` moves.

        The logical weights :math:`s\,W`, targets if devices are programmed, with an analog bias as
        their last column. Learned output scales are parameters of their own and not in them.
        """
        held = self._digital_matrix("trained_weights").persistent
        return host(held) * self._mapping.scales[:, None]

    def step_gradient(self, gradient: np.ndarray) -> np.ndarray:
        """Return the gradient with respect to `trained_weights`.

        Parameters
        ----------
        gradient : ndarray of shape (out_size, in_size), one more column for an analog bias
            That with respect to the logical weights, ``sum_b d_b x_b^T``.
        """
        o = self._mapping.out_scaling
        return gradient if o is None else gradient * o[:, None]

    def apply_step(self, delta: Any) -> None:
        r"""Move the weights by a matrix: :math:`s\,W \leftarrow s\,W + \text{delta}`, exactly.

        Programmed devices are given up. What a configuration does after each step, such as clipping
        weights, is done by `post_update_step`.

        Parameters
        ----------
        delta : array_like of shape (out_size, in_size), one more column for an analog bias
            The step of `trained_weights`; without learned output scales, of the logical weights.

        Raises
        ------
        StateError
            If devices hold the weights: they take pulses, `update`.
        """
        box = self._digital_matrix("apply_step")
        step = as_matrix(delta, self._mapping.shape, f"{type(self).__name__}.apply_step: delta")
        box.add(step / self._mapping.scales[:, None])
        self.stats.record(UpdateReport())

    def _digital_matrix(self, method: str) -> DigitalMatrix:
        if not isinstance(self.crossbar, DigitalMatrix):
            raise StateError(
                f"{type(self).__name__}.{method}: {type(self.rpu_config.device).__name__} takes "
                "pulses only, by update(x, d, learning_rate)."
            )
        return self.crossbar
