"""The one place where tensors become arrays and arrays tensors.

float32 is shared: array and tensor are the same memory, on the CPU, and by DLPack on a GPU where
the tile lives there, too. Everything else is converted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rpusim.errors import BackendError, DataError
from rpusim.kernels.device_arrays import is_device_array, sharing

__all__ = ["array_of", "check_device", "is_only_a_shape", "lives_on_gpu", "tensor_of"]

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def lives_on_gpu(x: torch.Tensor) -> bool:
    """Return whether a tensor is in the memory of a GPU that tiles can live on."""
    return x.device.type == "cuda"


def array_of(
    x: torch.Tensor, where: str, may_move: bool = False, backend: str = "cpu"
) -> np.ndarray:
    """Return a tensor as a float32 array, of the same memory if it is float32 where it is wanted.

    Parameters
    ----------
    x : Tensor
        Of floating-point numbers, on the CPU, or where the tile lives.
    where : str
        Named in errors.
    may_move : bool
        Whether a tensor that is elsewhere is copied to the CPU, instead of being refused.
    backend : str
        Where the tile lives, if its layer takes what lives there; else "cpu".
    """
    x = x.detach().resolve_neg()
    if x.dtype not in FLOATS:
        raise DataError(
            f"{where} must be a tensor of floating-point numbers, got {x.dtype}; convert it, as by "
            "x.float()."
        )
    if backend == "cuda" and lives_on_gpu(x):
        return sharing(x.to(torch.float32).contiguous())
    if x.device.type != "cpu":
        check_device(x.device, where, may_move)
        x = x.cpu()
    return (x if x.dtype == torch.float32 else x.to(torch.float32)).numpy()


def tensor_of(array: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """Return an array as a tensor of the type and device of another, of the same memory if it can.

    Parameters
    ----------
    array : ndarray, or array of the GPU
        float32; the tensor shares its memory.
    like : Tensor
        The other.
    """
    if is_device_array(array):
        return torch.from_dlpack(array).to(like.dtype)
    made = torch.from_numpy(np.ascontiguousarray(array))
    if like.dtype == torch.float32 and like.device.type == "cpu":
        return made
    return made.to(like.device, like.dtype)


def check_device(device: torch.device, where: str, may_move: bool) -> None:
    """Raise `BackendError` if a tensor is where tiles do not compute, and may not be moved.

    Parameters
    ----------
    device : torch.device
        Where it is.
    where : str
        Named in errors.
    may_move : bool
        Whether it may be copied to the CPU.
    """
    if device.type == "meta":
        raise BackendError(
            f"{where} must be on the CPU, where tiles compute, got the device meta, where nothing "
            "has values. Make it on the CPU, or load its values first."
        )
    if device.type != "cpu" and not may_move:
        raise BackendError(
            f"{where} must be on the CPU, where tiles compute, got {device}. Leave it there, or "
            "make the layer with allow_transfer=True, which copies to the CPU and back at every "
            'call. AnalogLinear with backend="cuda" takes tensors of that GPU.'
        )


def is_only_a_shape(x: Any) -> bool:
    """Return whether a tensor has a shape and no numbers, as in tracing and on the meta device."""
    return x.is_meta or type(x).__name__ == "FakeTensor"
