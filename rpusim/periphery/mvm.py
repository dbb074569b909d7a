r"""The noisy product of a tile with a batch of vectors.

For each vector x, with weights W (or their transpose), input scale :math:`\alpha` and reduction R
= 1:

.. math::
    \hat x &= L_{in}\big[\mathrm{clip}\big(Q_{\Delta_{in}}(x / (\alpha R)), b_{in}\big)
              + \sigma_{in} z\big] \\
    a &= D\Big[V\big[W \hat x - \lambda\, c(A)\, W x'\big]
         + z \sqrt{\textstyle\sum_j \sigma(w_{ij})^2 \hat x_j^2}\Big] \\
    y &= \text{out\_scale} \cdot \alpha R \cdot
         \mathrm{clip}\big(Q_{\Delta_{out}}(a + \sigma_{out} z), b_{out}\big)

where each z is a fresh normal.

**Scale.** ABS_MAX takes :math:`\alpha = \max |x|`, MAX the largest element, both at most `nm_thres`
if that is set; CONSTANT takes `nm_thres` (or 1), NONE takes 1. AVERAGE_ABS_MAX takes a running mean
of max|x| over the vectors of training. ABS_MAX_NP_SUM takes :math:`\alpha = \max(\max|x|, \min(S
w_a / b_{out}, \max|x| r / \Delta_{in}))`, S the larger sum of inputs of one sign, :math:`w_a` =
`nm_assumed_wmax`, r = `max_bm_res`: no output can then exceed the bound. A vector of zeros gives
zeros where :math:`\alpha` follows the vector.

**Rounds.** ITERATIVE bound management doubles R and repeats the vectors that exceeded
:math:`b_{out}` after rounding, until none does or R passes a limit. ITERATIVE_WORST_CASE repeats
first with the scale of ABS_MAX_NP_SUM. SHIFT lowers all outputs of a vector instead.

**Losses.** :math:`L_{in}` and a part of D multiply what is negative by 1 minus `inp_asymmetry` or
`out_asymmetry`. Wires: with :math:`A_i = \sum_j |w_{ij} \hat x_j|`, :math:`a_i = n A_i /
\text{ir\_drop\_g\_ratio}`, :math:`c = a/2 - a^2/5 + a^3/20`, :math:`x'_j = \hat x_j (1 - (1 -
j/n)^2)` and :math:`\lambda` = `ir_drop`; j = 0 is next to the ADC. It describes :math:`a_i` up to
about 1. Offsets and series resistance, against a reference line of weight
:math:`w_0` = `v_offset_w_min`, with :math:`g = -w_0 \sum_j \hat x_j` and :math:`\rho` = `r_series`:

.. math:: V[y] = (1 - v) \frac{y + g}{1 + \rho |y + g|} - (1 + v) \frac{g}{1 + \rho |g|}

The S-shape in D is :math:`f y / (1 + |n_i y|)`. How v, n and f are drawn:
`rpusim.periphery.lines`.

**Passes.** POS_NEG_SEPARATE reads negative and positive inputs apart, negative ones with each
device's polarity factor, and adds the currents; POS_NEG_SEPARATE_DIGITAL_SUM adds what the ADC
says. SPLIT_MODE and BIT_WISE send the bits of the DAC's codes in slices, each read by the ADC, and
add the digital results with their place values.

Every draw is keyed by the vector's number, the line, the stage, the pass and the round: vectors are
independent of each other and of how a batch is cut.

Source: Rasch, Gokmen and Haensch, IEEE Design & Test (2019); Gokmen and Vlasov, Front. Neurosci.
10 (2016); Rasch et al., Nat. Commun. 14 (2023) 5282; Le Gallo et al., Nat. Electron. 6 (2023) 680.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rpusim.errors import DataError, ModelRangeWarning, warn_caller
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.kernels.product import LANES
from rpusim.periphery.lines import line_array, set_parameters
from rpusim.periphery.nonfinite import without_nonfinite
from rpusim.periphery.passage import passage, reductions
from rpusim.periphery.passes import FINE, NOT_FINITE, multiply_plainly, pass_panels
from rpusim.periphery.read_noise import read_variance
from rpusim.periphery.settings import IOParameters, NonFinite, WeightNoiseType
from rpusim.periphery.stages import CURRENT, REPORT, SCALE, STATUS

__all__ = ["Periphery", "panels"]

ROWS = np.arange(1024)
NO_MASKS = np.empty((0, 0), np.uint8)
NO_MATRIX = np.empty((0, 0), np.float32)
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
    parameters : dict of str to ndarray
        What its lines and devices carry, see `rpusim.periphery.lines`.
    """

    def __init__(
        self,
        io: IOParameters,
        transposed: bool = False,
        backend: str = "cpu",
        parameters: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.io = io
        self.transposed = transposed
        self.backend = backend
        self.parameters = dict(parameters or {})
        self.passage = passage(io)
        self.rounds = 0 if transposed or self.passage.perfect else reductions(io)
        self._run = panels(pass_panels, backend)
        self._values = np.array(self.passage, np.float32)
        self._work = MULTIPLY_ADD * max(self.passage.parts, 1.0)
        self._lines: np.ndarray | None = None
        self._derived: tuple[Any, tuple[np.ndarray, ...]] | None = None
        asymmetric, p = "w_asymmetry" in self.parameters, self.passage
        self._plain = not (p.wire > 0.0 or p.variance > 0.0 or asymmetric) or p.perfect > 0.0

    def __call__(
        self,
        x: np.ndarray,
        matrix: np.ndarray,
        digital: np.ndarray,
        first: int,
        key: tuple[int, int],
        where: str = "product",
        version: Any = None,
        training: bool = True,
        masked: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the products of the rows of `x`.

        Parameters
        ----------
        x : ndarray of shape (batch, n)
            C-contiguous float32.
        matrix : ndarray of shape (m, n), or (n, m) if transposed
            The weights, C-contiguous float32.
        digital : ndarray of shape (2, m)
            The digital result of line i is multiplied by ``digital[0, i]``, then ``digital[1, i]``
            is added.
        first : int
            Number of the first vector, by which draws are keyed.
        key : (int, int)
            Key of the draws.
        where : str
            Named in errors.
        version : object, optional
            Equal for equal weights: what follows from them is then computed once.
        training : bool
            Whether AVERAGE_ABS_MAX learns from these vectors.
        masked : bool
            Whether to return which inputs and outputs were clipped.

        Returns
        -------
        y : ndarray of shape (batch, m)
            The results.
        report : ndarray of shape (batch, REPORT)
            Of each vector: scale, reduction, clipped inputs and outputs, current of the wires, and
            the round that counts.
        masks : ndarray of shape (batch, n + m), or empty
            1 where an input or output was clipped in the round that counts.
        """
        lost = None
        if self.io.on_nonfinite is not NonFinite.RAISE:
            x, lost = without_nonfinite(x, self.io, where)
        batch, n = x.shape
        m = digital.shape[1]
        y, report = np.empty((batch, m), np.float32), np.empty((batch, REPORT), np.float32)
        masks = np.empty((batch, n + m), np.uint8) if masked else NO_MASKS
        if "aux_nm_value" in self.parameters:
            report[:, SCALE] = self._averages(x, training, lost)
        if self._lines is None:
            self._lines = line_array(self.io, m, self.parameters)
        derived = EMPTY if self._plain else self._derive(matrix, version)
        rows = ROWS[:batch] if batch <= ROWS.size else np.arange(batch)
        settings = (self._values, self._lines, digital)
        for turn in range(self.rounds + 1):
            args: tuple[Any, ...] = (rows, x, matrix, derived, self.transposed, *settings)
            args += (first, turn, key[0], key[1], y, report, masks)
            work = self._work * matrix.size * rows.size
            status = split(self._run, -(-rows.size // LANES), work, *args)
            if status == NOT_FINITE:
                row = int(np.flatnonzero(report[:, STATUS] == NOT_FINITE)[0])
                raise DataError(
                    f"{where}: the input must be finite, got NaN or infinity in row {row}."
                )
            if status == FINE:
                break
            rows = rows[report[rows, STATUS] != FINE]
        if self.passage.wire > 0.0 and batch and report[:, CURRENT].max() > 1.0:
            warn_caller(
                f"{where}: a line carries {report[:, CURRENT].max():.2g} times the current that "
                "its wire is modelled for; ir_drop is not to be trusted above 1 "
                "(larger ir_drop_g_ratio, smaller tiles).",
                ModelRangeWarning,
            )
        if lost is not None:
            y[lost] = np.nan
        return y, report, masks

    def set_parameters(self, changes: Mapping[str, Any], where: str) -> None:
        """Replace some of the named arrays; nothing changes if any of them is refused."""
        set_parameters(self.parameters, changes, where)
        self._lines = self._derived = None

    def _averages(self, x: np.ndarray, training: bool, lost: np.ndarray | None) -> np.ndarray:
        """Return the running mean of max|x| at each vector, and keep it if training."""
        finite, state = np.isfinite(x), self.parameters["aux_nm_value"]
        top = np.abs(np.where(finite, x, np.float32(0.0))).max(axis=1)
        if not training:
            return np.full_like(top, state[0]) if state[0] >= 0.0 else top
        mean, means = state[0], np.empty_like(top)
        for row, value in enumerate(top):
            if lost is None or not lost[row]:
                moved = mean + np.float32(self.io.nm_decay) * (value - mean)
                mean = value if mean < 0.0 else moved
            means[row] = max(mean, np.float32(0.0))
        if self.io.on_nonfinite is not NonFinite.RAISE or finite.all():  # else it is refused
            state[0] = mean
        return means

    def _derive(self, matrix: np.ndarray, version: Any) -> tuple[np.ndarray, ...]:
        """Return the matrices that follow from the weights."""
        if version is not None and self._derived is not None and self._derived[0] == version:
            return self._derived[1]
        derived = (*self._derive_from(matrix), NO_MATRIX, NO_MATRIX, NO_MATRIX)
        if "w_asymmetry" in self.parameters:
            negative = matrix * self.parameters["w_asymmetry"]
            derived = (*derived[:2], negative, *self._derive_from(negative))
        self._derived = (version, derived)
        return derived

    def _derive_from(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return magnitudes and variances of weights, each empty if not needed."""
        absolute = np.abs(w) if self.passage.wire > 0.0 else NO_MATRIX
        variance = NO_MATRIX
        if self.passage.variance > 0.0:
            variance = np.zeros_like(w)
            if self.io.w_noise_type is WeightNoiseType.PCM_READ:
                variance += np.float32(self.io.w_noise) ** 2 * np.abs(w)
            if self.io.read_noise is not None:
                variance += read_variance(self.io.read_noise, w, self.backend)
        return absolute, variance


EMPTY = (NO_MATRIX,) * 5


def panels(function: Callable[..., int], backend: str) -> Callable[..., int]:
    """Return a kernel over panels of vectors, in plain Python with a plain product."""
    if backend != "python":
        return kernel(function, backend)
    plain = kernel(function, "python", multiply_panel=multiply_plainly)

    def run(*args: Any) -> int:
        with np.errstate(all="ignore"):
            return plain(*args)

    return run
