r"""PCM_NOISE: a copy of the weights as phase-change devices would hold it, for training.

A weight is a pair of devices of which one is at reset: :math:`g = \mathrm{clip}(w, \pm a_\max)\,
g_\max / a_\max`, in uS, and 0 if :math:`|g| \le \theta\,s\,c_0`, the error of a device at reset
times the threshold :math:`\theta` and the strength s = `std_dev`. Some devices are stuck: at reset
(g becomes 0), at :math:`g_\max` (either of the pair: :math:`g \pm g_\max`, within
:math:`\pm g_\max`), or anywhere (:math:`\pm u\,g_\max`, on the side of g). What is not 0 then is
programmed, drifts and is read, with :math:`a = |g| / g_\max`, :math:`a_p = |g_p| / g_\max` and
:math:`t = t_\mathrm{inference} + t_0`:

.. math::
    g_p &= g + s\,P(a)\,z, \qquad P(a) = 0.26348 + 1.9650\,a - 1.1731\,a^2 \\
    g_d &= g_p\,(t / t_0)^{-|\sigma_\nu z|}, \qquad
        \sigma_\nu = \mathrm{clip}(-0.0125 \ln a_p - 0.0059,\; 0.008,\; 0.045) \\
    g_r &= g_d + s\,|g_d|\,\min(0.0088\,a_p^{-0.65},\; 0.2)\,
        \sqrt{\ln\frac{t + t_r}{2 t_r}}\; z, \qquad t_r = 250\,\mathrm{ns} \\
    \tilde w &= \mathrm{sign}(g)\,|g_r|\,a_\max / g_\max

`coeffs` replaces those of P. The mean of the drift is left out on purpose: a compensation takes
care of it. A pair whose idle device is stuck at :math:`g_\max` conducts the other way, and so does
the copy: its sign is that of g with the fault, not that of the weight.

Source: Nandakumar et al., ICECS (2019); Joshi et al., Nat. Commun. 11 (2020) 2473.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rpusim.inference.rows import fill_polynomial, polynomial
from rpusim.inference.settings import WeightModifierParameter
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import place
from rpusim.kernels.elementary import exp, log, power
from rpusim.kernels.random import normals4, philox, uniform
from rpusim.kernels.team import member, members

__all__ = ["PCM_COEFFS", "pcm_noise"]

PCM_COEFFS = (0.26348, 1.9650, -1.1731)  # uS
READ_TIME = 250e-9  # seconds
PER_WEIGHT = 8.0  # nanoseconds, to judge whether threads pay
FAULT = 4  # stage of its draws; the noise has stage 0


def faulty(g, g_max, at_reset, at_gmax, at_random, kind, value, coin):
    """Return what is left of `g` if the uniform `kind` says that its device is stuck."""
    side = 1.0 if coin & 1 != 0 else -1.0
    inner = g / abs(g) if g != 0.0 else side
    stuck = g if kind > at_random else inner * value * g_max
    stuck = min(max(g + side * g_max, -g_max), g_max) if kind <= at_gmax else stuck
    return g * 0.0 if kind <= at_reset else stuck


def aged(g, sigma, g_max, scale, log_age, read, z0, z1, z2):
    """Return the conductance `g` programmed with the error `sigma`, drifted, and read."""
    programmed = g + sigma * z0
    a = abs(programmed) / g_max
    spread = min(max(-0.0125 * log(max(a, 1e-6)) - 0.0059, 0.008), 0.045)
    drifted = programmed * exp(-abs(spread * z1) * log_age)
    relative = min(0.0088 / max(power(a, 0.65), 1e-3), 0.2)
    seen = abs(drifted + abs(drifted) * relative * read * z2) * scale
    return (-seen if g < 0.0 else seen) if g != 0.0 else g


def pcm_rows(begin, end, out, w, coeffs, numbers, step, stage, k0, k1):
    """Fill rows `begin`..`end` of `out` with the copy of `w`."""
    largest, g_max, threshold = numbers[0], numbers[1], numbers[2]
    log_age, read = numbers[3], numbers[4]
    at_reset, at_gmax, at_random = numbers[5], numbers[6], numbers[7]
    columns = w.shape[1]
    g, a, sigma = np.zeros((3, columns), np.float32)
    for i in range(begin, end):
        for j in range(columns):
            v = min(max(w[i, j] / largest, -1.0), 1.0) * g_max
            g[j] = v * 0.0 if abs(v) <= threshold else v
        if at_random > 0.0:
            for j in range(columns):
                r0, r1, r2, _ = philox(i, j, step, stage + FAULT, k0, k1)
                kind, value = uniform(r0), uniform(r1)
                g[j] = faulty(g[j], g_max, at_reset, at_gmax, at_random, kind, value, r2)
        for j in range(columns):
            a[j] = abs(g[j]) / g_max
        fill_polynomial(sigma, a, coeffs)
        for j in range(columns):
            z0, z1, z2, _ = normals4(i, j, step, stage, k0, k1)
            out[i, j] = aged(g[j], sigma[j], g_max, largest / g_max, log_age, read, z0, z1, z2)
    return 0


def pcm_team(begin, end, out, w, coeffs, numbers, step, stage, k0, k1):
    """Do what `pcm_rows` does, without rows in between; copy a matrix whose largest weight is 0."""
    largest, g_max, threshold = numbers[0], numbers[1], numbers[2]
    log_age, read = numbers[3], numbers[4]
    at_reset, at_gmax, at_random = numbers[5], numbers[6], numbers[7]
    for i in range(begin, end):
        for j in range(member(), w.shape[1], members()):
            g = w[i, j]
            if largest > 0.0:
                g = min(max(w[i, j] / largest, -1.0), 1.0) * g_max
                g = g * 0.0 if abs(g) <= threshold else g
                if at_random > 0.0:
                    r0, r1, r2, _ = philox(i, j, step, stage + FAULT, k0, k1)
                    kind, value = uniform(r0), uniform(r1)
                    g = faulty(g, g_max, at_reset, at_gmax, at_random, kind, value, r2)
                sigma = polynomial(abs(g) / g_max, coeffs)
                z0, z1, z2, _ = normals4(i, j, step, stage, k0, k1)
                g = aged(g, sigma, g_max, largest / g_max, log_age, read, z0, z1, z2)
            out[i, j] = g
    return 0


def pcm_noise(
    w: np.ndarray,
    settings: WeightModifierParameter,
    largest: Any,
    draw: tuple[int, int, int, int],
    backend: str = "cpu",
) -> np.ndarray:
    """Return the copy of `w`.

    Parameters
    ----------
    w : ndarray of float32, shape (rows, cols)
        Weights.
    settings : WeightModifierParameter
        Strength, time, faults.
    largest : float
        Weight of a device at `g_max`, > 0; an array of a GPU, which may be 0: then a copy.
    draw : (int, int, int, int)
        Step, stage and the key's two words. Weight (i, j) draws the blocks (i, j, step, stage) and,
        for its faults, (i, j, step, stage + 4).
    backend : str
        Where it runs.
    """
    scale, time = settings.std_dev, settings.pcm_t_inference + settings.pcm_t0
    coeffs = settings.coeffs or PCM_COEFFS
    at_reset = settings.pcm_prob_at_reset
    at_gmax = at_reset + settings.pcm_prob_at_gmax
    given = [
        0.0,
        settings.g_max,
        settings.pcm_zero_thres * scale * abs(coeffs[0]),
        math.log(time / settings.pcm_t0),
        scale * math.sqrt(max(math.log((time + READ_TIME) / (2.0 * READ_TIME)), 0.0)),
        at_reset,
        at_gmax,
        at_gmax + settings.pcm_prob_at_random,
    ]
    out = np.empty_like(w)
    numbers = place(np.array(given, np.float32), backend)
    numbers[0] = largest
    error = scale * np.array(coeffs, np.float64)
    arrays = place(error.astype(np.float32), backend), numbers
    rows = kernel(pcm_rows if backend == "cpu" else pcm_team, backend)
    split(rows, w.shape[0], PER_WEIGHT * w.size, out, w, *arrays, *draw)
    return out
