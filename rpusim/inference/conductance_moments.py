r"""Mean and variance of what a read sees of programmed devices, without draws, for any noise model.

A law's normals are independent, so the moments are integrals over at most three of them,

.. math:: \mathrm E[F^k] = \int F(z_\mathrm{program}, z_\mathrm{coefficient}, z_\mathrm{read})^k
          \,\varphi\,\varphi\,\varphi \; \mathrm d^3 z ,

computed as trapezoidal sums. For a smooth F times a normal density such a sum with step h is exact
up to :math:`e^{-2\pi^2/h^2}`, which is 1e-15 for the coarsest step here; what remains comes from
the kinks of laws (clips at 0, folded exponents), at most :math:`h^2 \varphi(z) \Delta F' / 12`
each. The step of programming is fine. Those of the others are coarse, but every sum begins
elsewhere within its step, so that a kink lies anywhere between the points equally often and its
errors cancel. Sums over laws that a model leaves out have one point.

This is independent of the draws of `ProgrammedDevices`: the two test each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import DataError
from rpusim.inference.arguments import as_time
from rpusim.inference.device_rows import coefficient, drift, program, read, unpack
from rpusim.inference.noise_models import BaseNoiseModel
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel

__all__ = ["conductance_moments"]

REACH = 6.5  # standard deviations: 8e-11 lie beyond
FINE, COARSE = 1 / 32, 0.75  # steps, in standard deviations
GOLDEN, SILVER, BRONZE = 0.6180339887498949, 0.4142135623730951, 0.3027756377319946
PER_POINT = 10.0  # nanoseconds of one core, to judge whether threads pay


def moment_rows(begin, end, g, numbers, fine, coarse, counts, later, out):  # type: ignore[no-untyped-def]
    """Fill ``out[i]`` with mean and variance of the device that is programmed to ``g[i]``.

    Parameters
    ----------
    begin, end : int
        Range of devices.
    g : ndarray
        Targets.
    numbers : ndarray
        The model's, at the time of the read.
    fine, coarse : ndarray of shape (2,)
        First point and step of the sums over the normal of programming, and over the others.
    counts : ndarray of shape (4,)
        Points of the sums over the normals of programming, coefficients, programming once more (for
        models that draw coefficients anew), and reads.
    later : bool
        Whether there is drift and a read.
    out : ndarray of shape (devices, 2)
        The moments.
    """
    model = unpack(numbers)
    for i in range(begin, end):
        target = g[i]
        total, first, second = 0.0, 0.0, 0.0
        for a in range(counts[0]):
            zp = 0.0 if counts[0] == 1 else fine[0] + fine[1] * a
            p = program(target, model, zp)
            wp = np.exp(-0.5 * zp * zp)
            if not later:
                total += wp
                first += wp * (p - target)
                second += wp * (p - target) * (p - target)
                continue
            begin_c = (a * GOLDEN) % 1.0 + 0.5
            for b in range(counts[1]):
                zc = 0.0 if counts[1] == 1 else coarse[0] + coarse[1] * (b + begin_c)
                begin_d = (a * SILVER + b * GOLDEN) % 1.0 + 0.5
                for d in range(counts[2]):
                    again = coarse[0] + coarse[1] * (d + begin_d)
                    again = zp if counts[2] == 1 else again
                    c = coefficient(target, model, zc, again)
                    drifted = drift(p, target, c, model)
                    wc = wp * np.exp(-0.5 * zc * zc)
                    wc = wc if counts[2] == 1 else wc * np.exp(-0.5 * again * again)
                    begin_r = (a * BRONZE + b * SILVER + d * GOLDEN) % 1.0 + 0.5
                    zr = 0.0 if counts[3] == 1 else coarse[0] + coarse[1] * begin_r
                    # exp(-(z + h)**2 / 2) from exp(-z**2 / 2), without another exponential
                    w = wc * np.exp(-0.5 * zr * zr)
                    ratio = np.exp(-coarse[1] * (zr + 0.5 * coarse[1]))
                    shrink = np.exp(-coarse[1] * coarse[1])
                    for _ in range(counts[3]):
                        off = read(drifted, p, target, model, zr) - target
                        total += w
                        first += w * off
                        second += w * off * off
                        zr += coarse[1]
                        w *= ratio
                        ratio *= shrink
        first /= total
        out[i, 0] = target + first
        out[i, 1] = max(second / total - first * first, 0.0)
    return 0


def conductance_moments(model: Any, g: Any, t: float | None = None) -> tuple[Any, Any]:
    """Return mean and variance of what a read sees of devices that were programmed.

    Parameters
    ----------
    model : BaseNoiseModel
        The devices, of the library's or your own.
    g : float or array_like
        Target conductances, in uS.
    t : float, optional
        Time after programming, in seconds; default: as programming left the devices, without a
        read.

    Returns
    -------
    mean, variance : ndarray of the shape of `g`
        In uS and uS squared, float64. A kink of the law of programming leaves an error of at most
        3.3e-5 of the change of slope, in uS per unit of z; those of other laws leave less.

    Raises
    ------
    DataError
        If a conductance is not finite, or the model knows nothing of this time.

    Examples
    --------
    >>> from rpusim.inference import PCMLikeNoiseModel
    >>> mean, variance = conductance_moments(PCMLikeNoiseModel(), [0.0, 25.0], 86400.0)
    >>> mean.round(3).tolist(), (variance**0.5).round(3).tolist()
    ([0.051, 16.625], [0.099, 1.514])
    """
    if not isinstance(model, BaseNoiseModel):
        raise DataError(f"conductance_moments: model must be a noise model, got {model!r}.")
    targets = np.asarray(g, np.float64)
    if not np.isfinite(targets).all():
        raise DataError("conductance_moments: g must be finite, got NaN or infinity.")
    later = t is not None
    time = 0.0 if t is None else as_time(t, "conductance_moments: t")
    fields, numbers = model.packed(time)
    fine, coarse = (int(round(2.0 * REACH / h)) for h in (FINE, COARSE))
    has = [model.has(law) and later for law in ("coefficient", "read")]
    counts = np.ones(4, np.int64)
    counts[0] = fine + 1 if model.has("program") else 1
    counts[1], counts[3] = (coarse if law else 1 for law in has)
    counts[2] = coarse if has[0] and model.redraws else 1
    flat, out = np.ascontiguousarray(targets.ravel()), np.empty((targets.size, 2))
    bound = kernel(moment_rows, "double", **model.bound(fields))
    starts = np.array([-0.5 * FINE * fine, FINE]), np.array([-0.5 * COARSE * (coarse + 1), COARSE])
    work = PER_POINT * float(counts.prod()) * flat.size
    with np.errstate(all="ignore"):
        split(bound, flat.size, work, flat, numbers, *starts, counts, later, out)
    mean, variance = out.T.reshape(2, *targets.shape)
    return mean, variance
