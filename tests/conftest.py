"""Settings for the whole suite: repeatable property tests, no windows, a GPU that is simulated."""

import os
import sys

os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "1")

from hypothesis import settings  # noqa: E402

os.environ["MPLBACKEND"] = "Agg"

# Numba reads this when it is imported. A real GPU is used by ``pytest -m gpu`` alone.
REAL = any(one == "-m" and two == "gpu" for one, two in zip(sys.argv, sys.argv[1:], strict=False))
os.environ["NUMBA_ENABLE_CUDASIM"] = "0" if REAL else "1"

# No deadline: the first example of a property may compile a kernel. Derandomised: a test passes
# always or never.
settings.register_profile("rpusim", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("rpusim")
