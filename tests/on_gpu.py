"""Run tests with every tile on a GPU, for which machine code stands in.

    pytest -p tests.on_gpu tests/tiles tests/compounds tests/inference

Tiles are made with ``backend="cuda"`` unless they are told otherwise, and a launch calls the same
kernel compiled for the CPU: fast enough for the whole suite, where Numba's simulator is not. It
shows code that mixes arrays of the two memories, or that asks a GPU for what it does not offer.
Tests themselves may look at a tile's arrays.
"""

import os
import sys

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from numba.core.errors import NumbaError  # noqa: E402

from rpusim.kernels import cuda  # noqa: E402
from rpusim.kernels.bind import kernel  # noqa: E402
from rpusim.kernels.simulated_arrays import SimulatedArray  # noqa: E402
from rpusim.tiles import floating_point, grid_base, inference, peripheral  # noqa: E402

#: words in the names of tests whose claim is of the CPU, or of launches themselves
ELSEWHERE = (
    "number_of_threads", "waits_for_nothing", "launch", "found_once", "errors_name_the_grid",
)  # fmt: skip


class Launch(cuda.Launch):
    """A launch that calls machine code for the CPU."""

    def __init__(self, function, names):
        super().__init__(function, names)
        self._given = function, names

    def __call__(self, first, last, *args):
        function, names = self._given
        inner = tuple(cuda.launchable(a) for a in args)
        try:
            kernel(function, "cpu", **names)(first, last, *inner)
        except NumbaError:  # of a law that only plain Python can run, in tests of refusals
            kernel(function, "python", **names)(first, last, *inner)
        return 0


def settle_on_gpu(kind):
    """Let tiles of a kind live on a GPU by default."""
    made = kind.__init__

    def make(self, *args, **options):
        made(self, *args, **{"backend": "cuda", **options})

    kind.__init__ = make


def converted(self, *args, **options):
    """Let tests, and nobody else, look at arrays as if they were NumPy's."""
    frame = sys._getframe(1)
    while frame is not None and "rpusim/" not in frame.f_code.co_filename.replace(os.sep, "/"):
        if f"{os.sep}tests{os.sep}" in frame.f_code.co_filename:
            return np.array(self.held, *args)
        frame = frame.f_back
    raise TypeError("Implicit conversion to a NumPy array is not allowed; use host().")


cuda.launchers["cuda"] = Launch
SimulatedArray.__array__ = converted
for tile in (
    peripheral.PeripheralTile,
    grid_base.GridBase,
    inference.InferenceTile,
    floating_point.FloatingPointTile,
):
    if "__init__" in vars(tile):
        settle_on_gpu(tile)


def pytest_collection_modifyitems(items):
    """Skip what is said of the CPU alone."""
    for item in items:
        if any(word in item.name for word in ELSEWHERE):
            item.add_marker(pytest.mark.skip(reason="said of the CPU alone"))
