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

from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.errors import DataError, ModelRangeWarning, warn_caller
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import host, is_device_array, namespace, place
from rpusim.kernels.product import LANES
from rpusim.periphery.by_vector import ByVector
from rpusim.periphery.derived import magnitudes_and_variances, running_means
from rpusim.periphery.lines import line_array, set_parameters
from rpusim.periphery.nonfinite import without_nonfinite
from rpusim.periphery.passage import passage, reductions
from rpusim.periphery.passes import EXCEEDED, FINE, NOT_FINITE, pass_panels
from rpusim.periphery.settings import IOParameters, NonFinite
from rpusim.periphery.stages import CURRENT, REPORT, SCALE, STATUS

__all__ = ["Periphery"]

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
    backend : {"cpu", "cuda", "python"}
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
        self._panels, self._empty = kernel(pass_panels), namespace(backend).empty
        self._vectors = None
        if backend != "cpu":
            self._vectors = ByVector(self.passage, transposed, self.rounds, backend)
        self._values = np.array(self.passage, np.float32)
        self._work = MULTIPLY_ADD * max(self.passage.parts, 1.0)
        self._lines: Any = None
        self._placed: dict[int, tuple[np.ndarray, Any]] = {}
        self._no_masks = self._here(NO_MASKS)
        self._nothing = (self._here(NO_MATRIX),) * 5
        self._derived: tuple[Any, tuple[Any, ...]] | None = None
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
            C-contiguous float32; with the backend "cuda" an array of the GPU, or of this machine.
        matrix : ndarray of shape (m, n), or (n, m) if transposed
            The weights, C-contiguous float32; where the backend works.
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

        Notes
        -----
        What is returned lives where `x` lives. For an `x` of the GPU nothing waits for the results:
        a vector that is not finite gives NaN, of which nobody is told before `check`. Only
        AVERAGE_ABS_MAX waits, for the largest magnitudes, and laws of read noise are checked for
        every version of the weights.
        """
        lost, means, far = None, None, self.backend == "cuda"
        near = not far or not is_device_array(x)
        if self.io.on_nonfinite is not NonFinite.RAISE:
            x, lost = without_nonfinite(x, self.io, where)
        batch, n = x.shape
        m = digital.shape[1]
        if "aux_nm_value" in self.parameters:
            state = self.parameters["aux_nm_value"]
            means = running_means(x, state, self.io, training, lost)
        if far:
            x, digital = place(x, "cuda"), place(digital, "cuda")
        report = self._empty((batch, REPORT), np.float32)
        masks = self._empty((batch, n + m), np.uint8) if masked else self._no_masks
        if means is not None:
            report[:, SCALE] = place(means, self.backend)
        if self._lines is None:
            self._lines = self._here(line_array(self.io, m, self.parameters))
        derived = self._nothing if self._plain else self._derive(matrix, version)
        values = self._here(self._values) if far else self._values
        settings = (values, self._lines, digital)
        args = (x, matrix, derived, settings, first, key, report, masks)
        y, status = (self._vectors or self._by_panels)(*args)
        if far and near:
            y, report, masks = host(y), host(report), host(masks)
        if status == NOT_FINITE or (far and near):
            self.check(report, where)
        elif near and self.passage.wire > 0.0:
            self._warn(report, where)
        if lost is not None and is_device_array(lost):  # an index of booleans would wait
            y = np.where(lost[:, None], np.float32(np.nan), y)
        elif lost is not None:
            y[lost] = np.float32(np.nan)
        return y, report, masks

    def _by_panels(
        self,
        x: np.ndarray,
        matrix: np.ndarray,
        derived: tuple[np.ndarray, ...],
        settings: tuple[np.ndarray, ...],
        first: int,
        key: tuple[int, int],
        report: np.ndarray,
        masks: np.ndarray,
    ) -> tuple[np.ndarray, int]:
        """Return products, and what became of the worst vector: round after round, on the CPU."""
        batch, status = len(x), FINE
        y = np.empty((batch, settings[2].shape[1]), np.float32)
        rows = ROWS[:batch] if batch <= ROWS.size else np.arange(batch)
        for turn in range(self.rounds + 1):
            args: tuple[Any, ...] = (rows, x, matrix, derived, self.transposed, *settings)
            args += (first, turn, key[0], key[1], y, report, masks)
            work = self._work * matrix.size * rows.size
            status = split(self._panels, -(-rows.size // LANES), work, *args)
            if status != EXCEEDED:
                break
            rows = rows[report[rows, STATUS] != FINE]
        return y, status

    def check(self, report: Any, where: str = "product") -> None:
        """Look at the report on a product whose inputs were an array of a GPU; this waits for it.

        Parameters
        ----------
        report : ndarray of shape (batch, REPORT)
            What the product returned.
        where : str
            Named in messages.

        Raises
        ------
        DataError
            If a vector was not finite.
        """
        report = host(report)
        refused = np.flatnonzero(report[:, STATUS] == NOT_FINITE)
        if refused.size:
            raise DataError(
                f"{where}: the input must be finite, got NaN or infinity in row {refused[0]}."
            )
        self._warn(report, where)

    def _warn(self, report: np.ndarray, where: str) -> None:
        if self.passage.wire > 0.0 and len(report) and report[:, CURRENT].max() > 1.0:
            warn_caller(
                f"{where}: a line carries {report[:, CURRENT].max():.2g} times the current that "
                "its wire is modelled for; ir_drop is not to be trusted above 1 "
                "(larger ir_drop_g_ratio, smaller tiles).",
                ModelRangeWarning,
            )

    def set_parameters(self, changes: Mapping[str, Any], where: str) -> None:
        """Replace some of the named arrays; nothing changes if any of them is refused."""
        set_parameters(self.parameters, changes, where)
        self._lines = self._derived = None
        self._placed.clear()

    def _derive(self, matrix: Any, version: Any) -> tuple[Any, ...]:
        """Return the matrices that follow from the weights."""
        if version is not None and self._derived is not None and self._derived[0] == version:
            return self._derived[1]
        derived = (*self._derive_from(matrix), *self._nothing[2:])
        if "w_asymmetry" in self.parameters:
            negative = matrix * self._here(self.parameters["w_asymmetry"])
            derived = (*derived[:2], negative, *self._derive_from(negative))
        self._derived = (version, derived)
        return derived

    def _derive_from(self, w: Any) -> tuple[Any, Any]:
        """Return magnitudes and variances of weights, each empty if not needed."""
        nothing = self._nothing[0]
        return magnitudes_and_variances(w, self.io, self.passage, self.backend, nothing)

    def _here(self, array: np.ndarray) -> Any:
        """Return an array where the product works; one that comes again is placed once."""
        if self.backend != "cuda":
            return array
        kept = self._placed.get(id(array))
        if kept is None or kept[0] is not array:  # it is kept, so that its id is not used again
            self._placed[id(array)] = kept = array, place(array, "cuda")
        return kept[1]
