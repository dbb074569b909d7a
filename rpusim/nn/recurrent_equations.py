r"""The equations of recurrent cells, each with its way back; digital and analog cells share them.

:math:`A x` stands for a matrix and its bias, :math:`\sigma` for the logistic function, d for the
gradient of the loss with respect to what it stands before; a primed symbol is one step later.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpusim.nn.activations import Sigmoid
from rpusim.nn.recurrent_cell import Cell, State

__all__ = ["VanillaEquations", "LSTMEquations", "LSTMCombinedEquations", "GRUEquations"]

Float = NDArray[np.float32]


class VanillaEquations(Cell):
    r""":math:`h' = \tanh(A_{ih} x + A_{hh} h)`."""

    def advance(self, part: Float, state: State) -> tuple[State, Any]:
        """Return (h',), and h' again for the way back."""
        h = np.tanh(part + self.hh(state[0]))
        return (h,), h

    def retreat(self, d_state: State, kept: Any, wanted: bool) -> tuple[Float, State]:
        r"""Return :math:`dz = dh' (1 - h'^2)`, and :math:`A_{hh}^T dz`."""
        dz = d_state[0] * (1.0 - kept * kept)
        return dz, (self.hh.backward(dz, input_grad=wanted),)


class LSTMEquations(Cell):
    r"""Long short-term memory (Hochreiter and Schmidhuber, Neural Computation 1997).

    .. math::
        (i, f, g, o) = A_{ih} x + A_{hh} h, \qquad
        c' = \sigma(f) c + \sigma(i) \tanh(g), \qquad h' = \sigma(o) \tanh(c')
    """

    GATES = 4
    STATES = ("h", "c")

    def _sum(self, part: Float, h: Float) -> Float:
        """Return the sum of the products with x and with h."""
        return part + self.hh(h)

    def _sum_back(self, dz: Float, wanted: bool) -> tuple[Float, Float]:
        """Return the gradients of `part` and of h."""
        return dz, self.hh.backward(dz, input_grad=wanted)

    def advance(self, part: Float, state: State) -> tuple[State, Any]:
        """Return (h', c'); keep c, the gates as they open, and tanh(c')."""
        h, c = state
        z = self._sum(part, h)
        open_ = Sigmoid.value(z)
        i, f, g, o = _blocks(open_, 4)
        np.tanh(_blocks(z, 4)[2], out=g)
        new = f * c + i * g
        t = np.tanh(new)
        return (o * t, new), (c, open_, t)

    def retreat(self, d_state: State, kept: Any, wanted: bool) -> tuple[Float, State]:
        """Return dz and (dh, dc)."""
        (dh, dc), (c, open_, t) = d_state, kept
        i, f, g, o = _blocks(open_, 4)
        dc = dc + dh * o * (1.0 - t * t)
        dz = open_ * (1.0 - open_)
        di, df, dg, do = _blocks(dz, 4)
        di *= dc * g
        df *= dc * c
        np.multiply(dc * i, 1.0 - g * g, out=dg)
        do *= dh * t
        part, dh = self._sum_back(dz, wanted)
        return part, (dh, dc * f)


class LSTMCombinedEquations(LSTMEquations):
    r"""LSTM with one matrix: gates :math:`A\,[x, h]` in the place of the sum of two products."""

    combined: Any

    def _matrices(self) -> dict[str, int]:
        return {"combined": self.input_size + self.hidden_size}

    def inputs(self, x: Float) -> Any:
        """Return x: its product waits for h."""
        return x

    def inputs_back(self, parts: list[Float], input_grad: bool) -> Float | None:
        """Return the gradients of x, which came with those of h."""
        return np.stack(parts) if input_grad else None

    def _sum(self, part: Float, h: Float) -> Float:
        return self.combined(np.concatenate((part, h), axis=1))

    def _sum_back(self, dz: Float, wanted: bool) -> tuple[Float, Float]:
        both = self.combined.backward(dz)
        return both[:, : self.input_size], both[:, self.input_size :]


class GRUEquations(Cell):
    r"""Gated recurrent unit (Cho et al., EMNLP 2014), with the reset behind the product.

    .. math::
        (i_r, i_z, i_n) = A_{ih} x, \quad (h_r, h_z, h_n) = A_{hh} h, \quad
        r = \sigma(i_r + h_r), \quad z = \sigma(i_z + h_z),

        n = \tanh(i_n + r\, h_n), \qquad h' = n + z (h - n)
    """

    GATES = 3

    def advance(self, part: Float, state: State) -> tuple[State, Any]:
        """Return (h',); keep what the way back multiplies with."""
        (h,) = state
        product, size = self.hh(h), h.shape[1]
        gates = Sigmoid.value(part[:, : 2 * size] + product[:, : 2 * size])
        r, z = _blocks(gates, 2)
        h_n = product[:, 2 * size :]
        n = np.tanh(part[:, 2 * size :] + r * h_n)
        behind = h - n
        return (n + z * behind,), (gates, h_n, n, behind)

    def retreat(self, d_state: State, kept: Any, wanted: bool) -> tuple[Float, State]:
        """Return the gradient of A_ih x, and (dh,): straight through z, and through A_hh."""
        (dh,), (gates, h_n, n, behind) = d_state, kept
        r, z = _blocks(gates, 2)
        size = h_n.shape[1]
        part = np.empty((len(dh), 3 * size), np.float32)
        slopes = gates * (1.0 - gates)
        dn = np.multiply(dh * (1.0 - z), 1.0 - n * n, out=part[:, 2 * size :])
        np.multiply(dn * h_n, slopes[:, :size], out=part[:, :size])
        np.multiply(dh * behind, slopes[:, size:], out=part[:, size : 2 * size])
        product = part.copy()
        product[:, 2 * size :] *= r
        back = self.hh.backward(product, input_grad=wanted)
        return part, (dh * z + back if wanted else back,)


def _blocks(array: Float, count: int) -> list[Float]:
    """Return views of the blocks that lie side by side in each row."""
    size = array.shape[1] // count
    return [array[:, k * size : (k + 1) * size] for k in range(count)]
