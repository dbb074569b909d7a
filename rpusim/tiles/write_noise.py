"""Write noise: what is seen of devices that were written, drawn anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.devices import operators
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import namespace
from rpusim.kernels.streams import Purpose

__all__ = ["rewrite"]

FEW = 32  # devices in one that is written, from which it pays to write each by itself
PER_DEVICE = 3.0  # nanoseconds, to judge whether threads pay


def rewrite(crossbar: Any, hits: Any) -> bool:
    """Set what is seen of the devices marked in `hits`, with new noise; tell if there are any.

    Nothing is drawn where nothing was written: a GPU is asked, and waited for.
    """
    marked, backend = hits.astype(bool), crossbar.backend
    count = int(np.count_nonzero(marked))
    if count == 0:
        return False
    reference = namespace(backend).zeros((0, 0), np.float32)
    if crossbar.device.subtracts_reference:
        reference = crossbar.plane("reference")
    args = (crossbar.weights, crossbar.persistent, reference)
    noise = (np.float32(crossbar.device.write_noise), *crossbar.streams.draw(Purpose.WRITE))
    if count < marked.size // FEW and backend != "cuda":
        places = np.flatnonzero(marked)
        kernel(operators.rewrite_places, backend)(0, count, *args, places, *noise)
    else:
        each = operators.rewrite_marked if backend == "cuda" else operators.rewrite_rows
        rows, work = kernel(each, backend), PER_DEVICE * marked.size
        split(rows, marked.shape[0], work, *args, marked.view(np.uint8), *noise)
    return True
