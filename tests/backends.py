"""The backends that every test of physics can be run on.

The GPU is Numba's simulator (`tests/conftest.py` switches it on before anything imports Numba), or
a real one under ``pytest -m gpu``: there results are equal to rounding only.
"""

import pytest

__all__ = ["ALL", "OTHERS", "SIMULATED_OR_REAL"]

#: machine code, plain Python, and a simulated GPU: the same bits
ALL = ("cpu", "python", "cuda")
#: those that are compared with machine code
OTHERS = ("python", "cuda")
SIMULATED_OR_REAL = [
    pytest.param("cuda", id="simulated"),
    pytest.param("cuda", id="gpu", marks=pytest.mark.gpu),
]
