"""Write noise: what is seen of devices that were written, drawn anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.devices import operators
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel

__all__ = ["rewrite"]

FEW = 32  # devices in one that is written, from which it pays to write each by itself
PER_DEVICE = 3.0  # nanoseconds, to judge whether threads pay


def rewrite(
    seen: Any,
    w: Any,
    reference: Any,
    marked: Any,
    std: np.float32,
    step: int,
    k0: int,
    k1: int,
    backend: str,
) -> bool:
    """Set what is seen of the marked devices, ``w - reference + std * z``; tell if there are any.

    Parameters
    ----------
    seen, w : array of shape (rows, cols)
        What is seen, changed in place, and what the devices hold.
    reference : array of shape (rows, cols), or (0, 0) for none
        What is subtracted.
    marked : array of bool, shape (rows, cols)
        Which devices were written.
    std, step, k0, k1
        The noise, and by what it is drawn.
    backend : {"cpu", "cuda", "python"}
        Where it runs; a GPU is not asked how many there are.
    """
    noise, work = (std, step, k0, k1), PER_DEVICE * w.size
    if backend == "cuda":
        rows = kernel(operators.rewrite_marked, backend)
        split(rows, w.shape[0], work, seen, w, reference, marked, *noise)
        return True
    count = np.count_nonzero(marked)
    if count == 0:
        return False
    if count < marked.size // FEW:
        places = np.flatnonzero(marked)
        kernel(operators.rewrite_places, backend)(0, count, seen, w, reference, places, *noise)
    else:
        rows = kernel(operators.rewrite_rows, backend)
        split(rows, w.shape[0], work, seen, w, reference, marked.view(np.uint8), *noise)
    return True
