"""The tensors that show the weights of a tile, and which of the two has changed.

A tensor is a copy. What changes the tile, as pulses do, is copied into it. What changes the tensor,
as an optimizer of torch does, is a step of the tile where weights are numbers; where devices hold
them it is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rpusim.errors import StateError
from rpusim.optim.groups import has_column

__all__ = ["Mirror"]

Tensors = dict[str, Any]


class Mirror:
    """Keeps the parameter `weight`, and a `bias` that is a column of the tile, like their tile.

    Parameters
    ----------
    core : AnalogLinear of rpusim.nn
        The layer that has the tile.
    writable : bool
        Whether writes into the tensors of a pulsed tile set its weights.
    """

    def __init__(self, core: Any, writable: bool) -> None:
        self.core, self.writable = core, writable
        self.column = has_column(core.tile)
        self.digital = bool(core.tile.learns_in_digital)
        self.names = ("weight", "bias") if self.column else ("weight",)
        self._seen = self._matrix()
        self._copies: Tensors = {}
        self._marks: dict[str, tuple[int, int]] = {}

    def values(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """Return a matrix, with a column for a bias if there is one, as weight and bias.

        Parameters
        ----------
        matrix : ndarray of shape (out, in) or (out, in + 1)
            Weights, or gradients.
        """
        w = matrix[:, :-1] if self.column else matrix
        parts = {"weight": w.reshape(self.core.weight.shape)}
        return parts | {"bias": matrix[:, -1]} if self.column else parts

    def show(self, tensors: Tensors) -> None:
        """Copy what the tile holds into the tensors, whatever they hold."""
        self._seen = self._matrix()
        for name, values in self.values(self._seen).items():
            with torch.no_grad():
                tensors[name].copy_(torch.from_numpy(values))
            self.remember(name, tensors[name])

    def pull(self, tensors: Tensors) -> None:
        """Copy what the tile holds into the tensors, if it has changed since."""
        if not np.array_equal(self._matrix(), self._seen):
            self.show(tensors)

    def push(self, tensors: Tensors, thorough: bool = False) -> None:
        """Bring the tile to what was written into the tensors, if anything was.

        Parameters
        ----------
        tensors : dict of str to Tensor
            By name.
        thorough : bool
            Whether writes that torch does not count, those into ``weight.data``, are looked for in
            tensors of pulsed tiles, too.

        Raises
        ------
        StateError
            If devices hold the weights and the layer is not writable; the tensors then show again
            what the devices hold.
        """
        look = thorough or self.digital
        if not any(self._changed(name, tensors[name], look) for name in self.names):
            return
        if self.digital:
            self._step(tensors)
        elif self.writable:
            given = [tensors[name].detach().to("cpu", torch.float32).numpy() for name in self.names]
            self.core.set_weights(*given)
            self.show(tensors)
        else:
            self.show(tensors)
            raise StateError(
                f"{type(self.core).__name__}.weight was written to, but is a copy of what the "
                "tile's devices hold, which pulses change; nothing was set. Use "
                "layer.set_weights(weight, bias), or make the layer with writable=True."
            )

    def _matrix(self) -> np.ndarray:
        """Return a copy of the weights that the tensors show."""
        tile = self.core.tile
        if self.digital:
            return tile.trained_weights()
        w, b = tile.get_weights()
        return np.column_stack([w, b]) if self.column else w

    def _step(self, tensors: Tensors) -> None:
        delta = np.empty(self._seen.shape, np.float32)
        before = self.values(self._seen)
        for name, part in self.values(delta).items():
            t, known = tensors[name].detach().cpu(), self._copies[name].cpu()
            if t.dtype == torch.float64:  # finer than the tile: it follows, and does not drift away
                part[...] = t.numpy() - before[name]
            elif t.dtype == torch.float32:
                np.subtract(t.numpy(), known.numpy(), out=part)
            else:
                part[...] = (t.float() - known.float()).numpy()
        self.core.tile.apply_step(delta)
        if any(tensors[name].dtype != torch.float64 for name in self.names):
            self.show(tensors)
            return
        self._seen = self._matrix()
        for name in self.names:
            self.remember(name, tensors[name])

    def remember(self, name: str, tensor: torch.Tensor) -> None:
        """Take what a tensor holds for what the tile holds; it is finer, or the same."""
        self._copies[name] = tensor.detach().clone()
        self._marks[name] = tensor._version, tensor.data_ptr()

    def _changed(self, name: str, tensor: torch.Tensor, look: bool) -> bool:
        mark = tensor._version, tensor.data_ptr()
        if mark == self._marks[name] and not look:
            return False
        known, now = self._copies[name], tensor.detach()
        if now.dtype != known.dtype or now.device != known.device:
            return not torch.equal(now.to(known.device, known.dtype), known)
        if now.dtype in (torch.float32, torch.float64) and now.device.type == "cpu":
            same = np.array_equal(now.numpy(), known.numpy())  # half the time of torch.equal
        else:
            same = torch.equal(now, known)
        if same:
            self._marks[name] = mark
        return not same
