r"""The noisy product of a tile with a batch of vectors.

For each vector x, with weights W (or their transpose), input scale :math:`\alpha` and reduction R
= 1:

.. math::
    \hat x &= \mathrm{clip}\big(Q_{\Delta_{in}}(x / (\alpha R)), b_{in}\big) + \sigma_{in} z \\
    a &= W \hat x + \sigma_w \lVert \hat x \rVert z + \sigma_{out} z \\
    y &= \text{out\_scale} \cdot \alpha R \cdot \mathrm{clip}\big(Q_{\Delta_{out}}(a), b_{out}\big)

where each z is a fresh normal. ABS_MAX takes :math:`\alpha = \max |x|` (at most `nm_thres`, if
set), CONSTANT takes `nm_thres` (or 1), NONE takes 1. ITERATIVE bound management doubles R and
repeats the vectors that exceeded :math:`b_{out}` after rounding, until none does or R passes a
limit. A vector of zeros gives zeros under noise management. Every draw is keyed by the vector's
number, the line, the stage and the round: vectors are independent of each other and of how a batch
is cut.

Source: Rasch, Gokmen and Haensch, IEEE Design & Test (2019); Gokmen and Vlasov, Front. Neurosci.
10 (2016).
"""

from typing import Any

import numpy as np

from rpusim.errors import DataError
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.kernels.product import LANES
from rpusim.periphery.passage import passage, reductions
from rpusim.periphery.passes import FINE, NOT_FINITE, pass_panels, pass_plainly
from rpusim.periphery.settings import IOParameters

__all__ = ["Periphery"]

ROWS = np.arange(1024)
MULTIPLY_ADD = 0.012  # nanoseconds, to judge whether threads pay


class Periphery:
    """One direction of a tile's product.

    Parameters
    ----------
    io : IOParameters
        Its settings.
    transposed : bool
        Backward: the transpose of the weights, without bound management.
    backend : {"cpu", "python"}
        Where it runs.
    """

    def __init__(self, io: IOParameters, transposed: bool = False, backend: str = "cpu") -> None:
        self.io = io
        self.transposed = transposed
        self.passage = passage(io)
        self.rounds = 0 if transposed or self.passage.perfect else reductions(io)
        self._run = kernel(pass_plainly if backend == "python" else pass_panels, backend)
        self._values = np.array(self.passage, np.float32)

    def __call__(
        self,
        x: np.ndarray,
        matrix: np.ndarray,
        gain: np.ndarray,
        offset: np.ndarray,
        first: int,
        key: tuple[int, int],
        where: str = "product",
    ) -> np.ndarray:
        """Return the products of the rows of `x`.

        Parameters
        ----------
        x : ndarray of shape (batch, n)
            C-contiguous float32.
        matrix : ndarray of shape (m, n), or (n, m) if transposed
            The weights, C-contiguous float32.
        gain, offset : ndarray of shape (m,)
            The digital result of line i is multiplied by ``gain[i]``, then ``offset[i]`` is added.
        first : int
            Number of the first vector, by which draws are keyed.
        key : (int, int)
            Key of the draws.
        where : str
            Named in the error if `x` holds NaN or infinity.

        Returns
        -------
        ndarray of shape (batch, m)
        """
        batch, n = x.shape
        y = np.empty((batch, gain.size), np.float32)
        rows = ROWS[:batch] if batch <= ROWS.size else np.arange(batch)
        failed = np.zeros(batch, np.uint8)
        work = MULTIPLY_ADD * matrix.size * batch
        for turn in range(self.rounds + 1):
            args: tuple[Any, ...] = (rows, x, matrix, self.transposed, self._values, gain, offset)
            args += (first, turn, key[0], key[1], y, failed)
            status = split(self._run, -(-rows.size // LANES), work, *args)
            if status == NOT_FINITE:
                row = int(np.flatnonzero(failed == NOT_FINITE)[0])
                raise DataError(
                    f"{where}: the input must be finite, got NaN or infinity in row {row}."
                )
            if status == FINE:
                break
            rows = np.flatnonzero(failed)
            failed[:] = FINE
        return y
