"""Settings for the whole suite: repeatable property tests, no windows."""

import os

from hypothesis import settings

os.environ["MPLBACKEND"] = "Agg"

# No deadline: the first example of a property may compile a kernel. Derandomised: a test passes
# always or never.
settings.register_profile("rpusim", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("rpusim")
