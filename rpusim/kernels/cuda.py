"""The CUDA target: laws as device functions, and bodies over a grid with one thread per crosspoint.

The same plain functions that run on the CPU. Laws and their draws compile to PTX without a GPU; in
Numba's simulator (NUMBA_ENABLE_CUDASIM=1) whole updates run, thread by thread, and give the CPU's
bits. Nothing outside this module imports `numba.cuda`.
"""

import os
from types import SimpleNamespace
from unittest import mock

import numpy as np
from numba import cuda

from rpusim.errors import BackendError
from rpusim.kernels.bind import bind, compilers
from rpusim.kernels.primitives import bits_float, float_bits, native, popcount

__all__ = ["launch_grid", "ptx", "simulated"]

THREADS = (8, 8)  # of a block


def simulated():
    """Return whether Numba simulates the GPU."""
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")


def _popcount(word):
    return cuda.popc(word)


def _float_bits(x):
    return cuda.libdevice.float_as_int(x)


def _bits_float(i):
    return cuda.libdevice.int_as_float(i)


if not simulated():
    compilers["cuda"] = cuda.jit(device=True)
    native["cuda", popcount] = compilers["cuda"](_popcount)
    native["cuda", float_bits] = compilers["cuda"](_float_bits)
    native["cuda", bits_float] = compilers["cuda"](_bits_float)


def launch_grid(body, shape, *args, **names):
    """Run ``body(i, j, *args)`` for every crosspoint of a (rows, cols) grid.

    Parameters
    ----------
    body : callable
        A plain function, such as `rpusim.pulses.walk.walk_plainly`.
    shape : (int, int)
        Rows and columns.
    *args
        Arrays and numbers; arrays are changed in place.
    **names
        Bound to the body's free names.

    Raises
    ------
    BackendError
        Without the simulator: whole updates on a real GPU are not built yet.
    """
    if not simulated():
        raise BackendError("launch_grid runs in the simulator only: set NUMBA_ENABLE_CUDASIM=1.")
    bound = bind(body, "python", **names)

    def grid(rows, cols, *inner):
        i, j = cuda.grid(2)
        if i < rows and j < cols:
            bound(int(i), int(j), *inner)

    blocks = tuple(-(-size // threads) for size, threads in zip(shape, THREADS, strict=True))
    with np.errstate(all="ignore"):
        cuda.jit(grid)[blocks, THREADS](*shape, *args)


def ptx(function, signature, capability=(9, 0), **names):
    """Return the PTX of a function for a compute capability; no GPU is needed, NVVM is.

    Parameters
    ----------
    function : callable
        A plain function of scalars and arrays.
    signature : tuple of numba types
        Of its arguments.
    capability : (int, int)
        Compute capability.
    **names
        Bound to its free names.
    """
    device = bind(function, "cuda", **names)
    card = SimpleNamespace(compute_capability=capability)
    with mock.patch.object(cuda.dispatcher, "get_current_device", return_value=card):
        text, _ = cuda.compile_ptx(device.py_func, signature, device=True, cc=capability)
    return text
