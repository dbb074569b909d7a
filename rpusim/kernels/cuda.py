"""The CUDA target: the same kernels, a block of threads for each row or vector.

`kernel(rows, "cuda")` returns a `Launch`: called like any kernel over rows, with ``(first, last,
*args)`` and arrays of the GPU, it gives each row to a team (`rpusim.kernels.team`), and does not
wait. Arrays are CuPy's; work goes to CuPy's current stream. In Numba's simulator
(NUMBA_ENABLE_CUDASIM=1) the same launches run in plain Python, on
`rpusim.kernels.simulated_arrays`. Nothing outside this module imports `numba.cuda`.
"""

import contextlib
import functools
import os
import sys
import warnings
from types import SimpleNamespace
from unittest import mock

import numpy as np
from numba import cuda, int64, typeof

from rpusim.errors import BackendError
from rpusim.kernels import cuda_instructions, simulated_arrays
from rpusim.kernels.bind import bind, compilers, launchers
from rpusim.kernels.cuda_instructions import ROOM
from rpusim.kernels.device_arrays import is_device_array

__all__ = ["Launch", "arrays", "check", "ptx", "ptx_of_launch", "simulated"]

#: threads of a team; the simulator starts a thread of the operating system for each, and one alone
#: adds in the order of the CPU
TEAM = 128
SIMULATED_TEAM = 1
#: numbers of teams for which a launch is kept ready
SIZES = 256

INSTALL = 'pip install "rpusim[cuda]"'


def simulated():
    """Return whether Numba simulates the GPU."""
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")


def check():
    """Raise `BackendError` if there is no GPU to work on, real or simulated."""
    if simulated():
        return
    if arrays is None:
        raise BackendError(f'backend="cuda" needs the package cupy: {INSTALL}.')
    try:
        found = cuda.is_available() and arrays.cuda.is_available()
    except Exception as error:  # a driver that does not answer, whatever it raises
        raise BackendError(f'backend="cuda": the GPU does not answer: {error}.') from error
    if not found:
        raise BackendError(
            'backend="cuda" found no GPU; use "cpu", or try kernels in Numba\'s simulator: set '
            "NUMBA_ENABLE_CUDASIM=1 before Python starts."
        )


def _library():
    """Return the library of the GPU's arrays, or None if it is not installed."""
    if simulated():
        return simulated_arrays
    try:
        import cupy
    except ImportError:
        return None
    return cupy


arrays = _library()


def rows(first, last, *args):
    """Stand for a kernel over rows."""
    raise NotImplementedError


def run_team(first, last, args):
    """Give the team of this block its row."""
    row = first + team()
    if row < last:
        rows(row, row + 1, *args)


def team():
    """Return the number of this team."""
    return 0


class Launch:
    """A kernel over rows, ready to be launched.

    Parameters
    ----------
    function : callable
        The plain kernel ``(first, last, *args)``; its loops over columns are shared by a team.
    names : dict
        Bound to its free names.
    """

    is_launch = True  # what it starts is no work for threads of this machine

    def __init__(self, function, names):
        self.name = function.__name__
        self._compiled = bind(run_team, "cuda", entry=True, rows=function, team=team, **names)
        self._ready = {}

    def __call__(self, first, last, *args):
        """Run rows `first`..`last`, each by a team; return 0 at once."""
        if last > first:
            inner = tuple(launchable(a) for a in args)
            if simulated():
                with np.errstate(all="ignore"), taking_turns():
                    cuda.jit(self._compiled)[last - first, SIMULATED_TEAM](first, last, inner)
            else:
                stream = arrays.cuda.get_current_stream().ptr
                self._configured(last - first, stream)(first, last, inner)
        return 0

    def _configured(self, teams, stream):
        """Return the kernel for a number of teams and a stream, kept: making it takes a while."""
        ready = self._ready.get((teams, stream))
        if ready is None:
            if len(self._ready) >= SIZES:
                self._ready.clear()
            with warnings.catch_warnings():
                # numba.cuda warns of few teams: a small layer has no more
                warnings.simplefilter("ignore")
                ready = self._compiled[teams, TEAM, _stream(stream), ROOM]
            self._ready[teams, stream] = ready
        return ready


@contextlib.contextmanager
def taking_turns():
    """Let threads take turns quickly: simulated ones wait for each other all the time."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def launchable(value):
    """Return an argument as a kernel takes it; refuse an array of this machine."""
    if isinstance(value, np.ndarray) and value.ndim > 0:
        raise BackendError(
            f"a kernel of the GPU was given an array of this machine, of shape {value.shape}: "
            "place() it first."
        )
    if isinstance(value, tuple):
        return tuple(launchable(part) for part in value)
    if isinstance(value, simulated_arrays.SimulatedArray):
        return value.held
    if is_device_array(value):
        # the pointer of an empty array is none; no kernel follows it
        pointer = value.data.ptr if value.size else _somewhere().data.ptr
        return _view(pointer, value.shape, value.strides, value.dtype.str)
    return value.item() if isinstance(value, np.ndarray) else value


@functools.lru_cache(4096)
def _view(pointer, shape, strides, kind):
    """Return an array for Numba at an address, whose memory is kept alive by others.

    They are kept, since making one takes longer than a launch. An address that is in use again is
    the same address: nothing else is remembered of what was there.
    """
    what = {"data": (pointer, False), "shape": shape, "strides": strides, "typestr": kind}
    return cuda.from_cuda_array_interface({**what, "version": 3}, owner=None, sync=False)


@functools.cache
def _somewhere():
    return arrays.zeros(1)


@functools.cache
def _stream(pointer):
    return cuda.external_stream(pointer) if pointer else cuda.default_stream()


def _compile(copy, entry):
    """Return machine code of a bound function; in the simulator, the function."""
    if simulated():
        return copy
    return cuda.jit(copy, cache=True) if entry else cuda.jit(copy, device=True)


compilers["cuda"] = _compile
launchers["cuda"] = Launch
cuda_instructions.install(simulated(), team)


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
    return _ptx(bind(function, "cuda", **names), signature, capability, device=True)


def ptx_of_launch(launch, *args, capability=(9, 0)):
    """Return the PTX of a `Launch` for arguments of these kinds: arrays of this machine will do."""
    inner = typeof(tuple(args))
    return _ptx(launch._compiled, (int64, int64, inner), capability, device=False)


def _ptx(dispatcher, signature, capability, device):
    card = SimpleNamespace(compute_capability=capability)
    with mock.patch.object(cuda.dispatcher, "get_current_device", return_value=card):
        text, _ = cuda.compile_ptx(dispatcher.py_func, signature, device=device, cc=capability)
    return text
