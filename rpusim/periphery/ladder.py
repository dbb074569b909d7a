r"""The product through wires with resistance: pulses, charges, counts.

Input j is a pulse of the sign and the duration of its DAC code :math:`c_j`, a nanosecond for each
step of the DAC. While it lasts it drives the pairs of devices of all lines, so that every line has
the current :math:`I(t)` of `rpusim.periphery.ladder_circuit`, linear in the states
:math:`s_j(t) = -1, 0, 1` of the inputs. As :math:`\int s_j\,dt = c_j`, the charge is linear in the
codes:

.. math:: Q_i = V_\mathrm{pulse} \sum_j h_{ij} (g^+_{ij} - g^-_{ij})\, c_j
          + (V_\mathrm{bias} - V_\mathrm{read})\, Y_i\, T

with the share :math:`h_{ij}` of a device's current that reaches the ADC, the line's admittance
:math:`Y_i` and the duration T of the slice, one step longer than its largest code. It is exact, at
any resistance, and costs one product with a matrix that follows from the weights. The ADC counts
oscillations of `adc_frequency` at 100 uA, and the result is

.. math:: y_i = \frac{\Delta_{in}}{\kappa V_\mathrm{pulse}} \sum_p f_p\, q\,
          \mathrm{trunc}(Q_{ip} / q), \qquad q = \frac{100\,\mathrm{uA}}{f_\mathrm{ADC}}

summed over the pairs p of a weight, :math:`w = \sum_p f_p (g^+_p - g^-_p) / \kappa`. Bits of the
codes may be sent in slices (SPLIT_MODE, BIT_WISE), each with a charge, a count and an output stage
of its own; with `slice_adc` SCALED an ADC count, too, shrinks with the duration of the slice.
SAMPLED integration replaces :math:`c_j` by what U samples of the current over a slice
see: a sum, or a trapezoid, which gives all codes but 0 half a step more.

The noise of weights passes the wires too: its variance is :math:`\sum_j h_{ij}^2 \sigma_{ij}^2
c_j^2`, exact for small noise while the voltages along a line are small against a pulse. For PCM,
:math:`\sigma = a(\log_{10} \bar c)\,|g^+ - g^-| + b(\log_{10} \bar c)` with the mean duration
:math:`\bar c = \sum_j |c_j| / n` of the inputs of this vector and slice, so that vectors of a batch
do not depend on each other.

Sources: the circuit is a Thevenin ladder, exact by superposition; the polynomials a and b are those
of the established toolkit for PCM.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rpusim.errors import ConfigError
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import host, place
from rpusim.periphery.by_vector import ByVector
from rpusim.periphery.derived import magnitudes_and_variances
from rpusim.periphery.ladder_circuit import physical_size, transfer
from rpusim.periphery.ladder_kernels import FIXED, MIXED, PLAIN, SQUARE, pass_ladder
from rpusim.periphery.ladder_settings import IOParametersIRDropT, LadderIntegration
from rpusim.periphery.mvm import MULTIPLY_ADD, NO_MATRIX, Periphery
from rpusim.periphery.one_vector_ladder import ladder_rooms, pass_ladder_vector
from rpusim.periphery.passage import SLICES
from rpusim.periphery.settings import SliceADC

__all__ = ["LadderPeriphery"]

G_MAX = 25.0  # uS, without a converter
SMALLEST = 1e-7  # largest weight of a tile that holds none
REFERENCE_CURRENT = 100.0  # uA at which the ADC oscillates with adc_frequency


class LadderPeriphery(Periphery):
    """The forward product of a tile whose wires have resistance.

    It is called like `Periphery`; `training` also says that wires are ideal, unless
    `ir_drop_in_training`. The effective matrix is found on this machine, once for every version of
    the weights: a GPU is waited for.

    Parameters
    ----------
    io : IOParametersIRDropT
        Its settings.
    n_physical : int, default 0
        Inputs of the crossbar, used or not; 0: as many as the tile has.
    converter : object, optional
        Its ``convert_to_conductances(weights)`` returns conductances in uS, for every pair of
        devices those of positive and of negative weights, and a dict whose ``scale_ratio`` says how
        many uS a weight of 1 is; ``pair_factors`` holds the pairs' factors. By default a pair from
        0 to 25 uS.
    backend : {"cpu", "cuda", "python"}
        Where it runs.
    parameters : dict of str to ndarray
        What its lines carry, see `rpusim.periphery.lines`.
    """

    def __init__(
        self,
        io: IOParametersIRDropT,
        n_physical: int = 0,
        converter: Any = None,
        backend: str = "cpu",
        parameters: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        super().__init__(io, False, backend, parameters)
        self.io: IOParametersIRDropT = io
        self.n_physical = n_physical
        self.converter = converter
        self.held: Callable[[], Any] = lambda: None
        self._kept: dict[bool, tuple[Any, tuple[np.ndarray, ...]]] = {}
        if not self.passage.perfect:
            self.passage = self.passage._replace(wire=0.0)
            self._values = np.array(self.passage, np.float32)
            self._panels = kernel(pass_ladder)
            if backend != "cpu":
                one = {"pass_vector": pass_ladder_vector}
                self._vectors = ByVector(
                    self.passage, False, self.rounds, backend, ladder_rooms, **one
                )
            self._plain = False

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
        """Return the products of the rows of `x`; see `Periphery`."""
        wired = self.io.ir_drop > 0.0 and (not training or self.io.ir_drop_in_training)
        stamp = (wired, version)
        return super().__call__(x, matrix, digital, first, key, where, stamp, training, masked)

    def _derive(self, matrix: np.ndarray, version: Any) -> tuple[np.ndarray, ...]:
        """Return the arrays that `pass_ladder` takes; `version` says whether wires act, too."""
        wired, version = version
        kept = self._kept.get(wired)
        if version is not None and kept is not None and kept[0] == version:
            return kept[1]
        derived = self._effective(host(matrix), wired)
        if self.backend == "cuda":
            derived = tuple(place(array, "cuda") for array in derived)
        self._kept[wired] = (version, derived)
        self._work = MULTIPLY_ADD * len(derived[-1]) * (derived[1].shape[0] + derived[4].size)
        return derived

    def _effective(self, matrix: np.ndarray, wired: bool) -> tuple[np.ndarray, ...]:
        """Return effective weights, idle currents, factors, variances, their kinds, the clock."""
        physical_size(matrix.shape[1], self.n_physical)
        io, (pairs, scale, factors) = self.io, self._pairs(matrix)
        weights, idle, shares = [], [], []
        for plus, minus in pairs:
            share, admittance = np.ones(matrix.shape), np.zeros(matrix.shape[0])
            if wired:
                share, admittance = transfer(plus + minus, io, self.n_physical)
            shares.append(share)
            weights.append(share * (plus - minus) / scale)
            idle.append((io.ir_drop_v_bias - io.ir_drop_v_read) * admittance)
        kinds, variances = self._variances(matrix, pairs, scale, factors, shares)
        if not wired or not io.adc_quantization:  # nothing is counted pair by pair
            weights = [np.sum([f * w for f, w in zip(factors, weights, strict=True)], axis=0)]
            idle = [np.sum([f * i for f, i in zip(factors, idle, strict=True)], axis=0)]
            factors = (1.0,)
        return (
            np.concatenate(weights).astype(np.float32),
            (np.array(idle) / (scale * io.ir_drop_v_pulse)).astype(np.float32),
            np.array(factors, np.float32),
            np.concatenate(variances).astype(np.float32),
            np.array(kinds, np.int64),
            self._clock(scale, wired),
        )

    def _variances(
        self, matrix: np.ndarray, pairs: Any, scale: float, factors: Any, shares: Any
    ) -> tuple[list[int], list[np.ndarray]]:
        """Return kinds of variance of weights, and what they are at the ADC."""
        kinds, found = [], []
        if self.passage.variance > 0.0 or self.passage.w_noise > 0.0:
            where = "cpu" if self.backend == "cuda" else self.backend
            given = magnitudes_and_variances(matrix, self.io, self.passage, where, NO_MATRIX)
            own = given[1] if self.passage.variance > 0.0 else 0.0
            share = sum(f * h for f, h in zip(factors, shares, strict=True)) / sum(factors)
            kinds.append(FIXED)
            found.append(share**2 * (own + self.passage.w_noise**2))
        if self.io.apply_xdep_pcm_read_noise:
            kinds += [SQUARE, MIXED, PLAIN]
            of_kinds = [np.zeros(matrix.shape) for _ in range(3)]
            for (plus, minus), f, share in zip(pairs, factors, shares, strict=True):
                g = np.abs(plus - minus)
                each = (share * (f * self.io.xdep_pcm_read_noise_scale / scale)) ** 2
                for total, power in zip(of_kinds, (g * g, g, g > 0.0), strict=True):
                    total += each * power
            found += of_kinds
        return kinds, found or [np.empty((0, matrix.shape[1]))]

    def _pairs(self, matrix: np.ndarray) -> tuple[list[Any], float, tuple[float, ...]]:
        """Return pairs of conductances, how many uS a weight of 1 is, and the pairs' factors."""
        w = np.asarray(matrix, np.float64)
        if self.converter is None:
            scale = G_MAX / max(float(np.abs(w).max(initial=0.0)), SMALLEST)
            return [(np.maximum(scale * w, 0.0), np.maximum(-scale * w, 0.0))], scale, (1.0,)
        name = type(self.converter).__name__
        factors = getattr(self.converter, "pair_factors", ())
        if not factors:
            raise ConfigError(
                f"{name} must give pairs of conductances for a product through wires: use one that "
                "does, such as SinglePairConductanceConverter."
            )
        g, params = self.held() or self.converter.convert_to_conductances(w)
        g = np.array([host(part) for part in g], np.float64)
        if np.ndim(params["scale_ratio"]) > 0:
            raise ConfigError(
                f"{name}.columnwise must be False for a product through wires: its lines share one "
                "scale."
            )
        pairs = list(zip(g[::2], g[1::2], strict=True))
        return pairs, float(params["scale_ratio"]), tuple(factors)

    def _clock(self, scale: float, wired: bool) -> np.ndarray:
        """Return the times of each slice; the kernel names the columns."""
        io, s, rows = self.io, self.passage, []
        sampled = wired and io.ir_drop_integration is LadderIntegration.SAMPLED
        for part in range(int(s.parts) if s.passes == SLICES else 1):
            most, unit = round(s.inp_bound / s.inp_step, 9), s.inp_step
            if s.passes == SLICES:
                most = 2.0 ** (s.high_bits if part else s.low_bits) - 1.0
                unit = s.inp_bound / most if io.slice_adc is SliceADC.SCALED else unit
            samples = math.floor((most + 1.0) * io.ir_drop_time_step_resolution_scale)
            samples = max(samples, 2) if sampled else 0
            rate = (samples - 1) / most if sampled else 1.0
            counted = REFERENCE_CURRENT / io.adc_frequency / (scale * io.ir_drop_v_pulse)
            count = s.inp_step * counted if wired and io.adc_quantization else 0.0
            window = samples / rate if sampled else most + 1.0
            extra = 0.0 if io.ir_drop_integration_sum else 0.5
            rows.append((unit, count, unit * window, samples, rate, extra))
        return np.array(rows, np.float32)
