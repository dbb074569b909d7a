"""The digital parameters of a tile (bias, output scales, input range) as parameters of torch.

In float32 on the CPU tensor and array are one memory, so that an optimizer's step is the tile's.
Tensors of another type, or elsewhere, are copied to the tile before each call.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

__all__ = ["SharedParameters"]

Tensors = dict[str, Any]


class SharedParameters:
    """Keeps digital parameters and the arrays of a tile the same.

    Parameters
    ----------
    tile : AnalogTile or TileGrid
        Whose `digital_parameters` they are.
    """

    def __init__(self, tile: Any) -> None:
        self.tile = tile
        self.names = tuple(tile.digital_parameters())
        self._known: dict[str, tuple[np.ndarray, int]] = {}

    def show(self, tensors: Tensors) -> None:
        """Let the tensors be what the tile has."""
        for name, array in self.tile.digital_parameters().items():
            self._bind(name, array, tensors[name])

    def push(self, tensors: Tensors) -> None:
        """Bring the tile to what the tensors are, where they are not the same memory."""
        if not self.names:
            return
        arrays = self.tile.digital_parameters()
        for name in self.names:
            tensor, array = tensors[name], arrays[name]
            known, address = self._known[name]
            if known is not array:  # the tile has another one now, as after a calibration
                self._bind(name, array, tensor)
            elif tensor.data_ptr() != address:
                array[...] = tensor.detach().to("cpu", torch.float32).numpy()
                self._bind(name, array, tensor)

    def pull(self, tensors: Tensors) -> None:
        """Copy to tensors of another type what the tile itself has changed."""
        for name in self.names:
            array, address = self._known[name]
            if tensors[name].data_ptr() != address:
                self._follow(tensors[name], torch.from_numpy(array))

    def _bind(self, name: str, array: np.ndarray, tensor: torch.Tensor) -> None:
        own = torch.from_numpy(array)
        if tensor.dtype == torch.float32 and tensor.device.type == "cpu":
            tensor.data = own
        else:
            self._follow(tensor, own)
        self._known[name] = array, own.data_ptr()

    @staticmethod
    def _follow(tensor: torch.Tensor, own: torch.Tensor) -> None:
        """Copy an array to a tensor of another type, unless it is its value rounded."""
        if not torch.equal(tensor.detach().to("cpu", torch.float32), own):
            with torch.no_grad():
                tensor.copy_(own)
