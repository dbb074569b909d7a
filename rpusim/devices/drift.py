r"""Drift of the weights with time: its parameters and its law.

.. math::
    w(t) = w_0 S + (g_\text{off} r - w_\text{off}) (S - 1), \qquad
    S = \max\!\big((t - t_\text{write}) / t_0,\, 1\big)^{-\nu}

that is, a conductance :math:`g = (w - w_\text{off}) / r + g_\text{off}` that decays as a power of
the time since it was written (t is the sum of all `drift_weights` times). The exponent may vary
over devices, at each call, and with the logarithm of the conductance :math:`g_w` that was written,
:math:`\nu - \nu_k (\ln g_w - \log g_0)`.

Source: Nandakumar et al., Front. Neurosci. 14, 406 (2020), for the power law.
"""

import math

import numpy as np

from rpusim.config import Config, param
from rpusim.kernels.random import normals4
from rpusim.kernels.team import member, members

__all__ = ["DriftParameter", "SimpleDriftParameter", "drift_rows"]


class SimpleDriftParameter(Config):
    """Drift of a digital or ideal tile."""

    nu: float = param(0.0, low=0.0, doc="mean exponent; 0: no drift")
    t_0: float = param(1.0, above=0.0, unit="time", doc="drift starts this long after a write")
    reset_tol: float = param(
        1e-7, low=0.0, unit="weight", doc="unused: writes are tracked, not guessed"
    )


class DriftParameter(SimpleDriftParameter):
    """Drift of pulsed devices."""

    nu_dtod: float = param(
        0.0, low=0.0, unit="relative", doc="device-to-device spread of the exponent"
    )
    nu_std: float = param(0.0, low=0.0, unit="relative", doc="spread of the exponent at each call")
    wg_ratio: float = param(1.0, above=0.0, unit="weight/g", doc="weight per conductance")
    g_offset: float = param(0.0, unit="g", doc="conductance at weight w_offset")
    w_offset: float = param(0.0, unit="weight", doc="weight at conductance g_offset")
    nu_k: float = param(0.0, doc="how the exponent falls with the logarithm of the conductance")
    log_g0: float = param(0.0, unit="log g", doc="where it has its mean")
    w_noise_std: float = param(
        0.0, low=0.0, unit="weight", doc="noise on top at each call; not kept"
    )


def drift_rows(begin, end, w, start, since, nu, low, high, settings, clock, step, k0, k1):
    """Let rows `begin`..`end` drift to time `clock`.

    Parameters
    ----------
    begin, end : int
        The rows.
    w : ndarray of shape (rows, cols)
        Weights, changed in place.
    start, since : ndarray of shape (rows, cols)
        Weight at, and time of, the last write of each device.
    nu : ndarray of shape (rows, cols)
        Exponents.
    low, high : ndarray of shape (rows, cols)
        Bounds of the weights.
    settings : ndarray of shape (7,)
        nu_std, wg_ratio, g_offset, w_offset, nu_k, log_g0, w_noise_std.
    clock : float
        The time, in units of t_0.
    step, k0, k1 : int
        For the draws.
    """
    nu_std, ratio, g_offset, w_offset = settings[0], settings[1], settings[2], settings[3]
    nu_k, log_g0, noise = settings[4], settings[5], settings[6]
    shift = g_offset * ratio - w_offset
    for i in range(begin, end):
        for j in range(member(), w.shape[1], members()):
            exponent = nu[i, j]
            z0 = z1 = np.float32(0.0)
            if nu_std > 0.0 or noise > 0.0:
                z0, z1, _, _ = normals4(i, j, step, 0, k0, k1)
            exponent = exponent * (1.0 + nu_std * z0)
            if nu_k != 0.0:
                g = (start[i, j] - w_offset) / ratio + g_offset
                exponent = exponent - nu_k * (math.log(g) - log_g0)
            shrink = max(clock - since[i, j], 1.0) ** (-exponent)
            v = start[i, j] * shrink + shift * (shrink - 1.0) + noise * z1
            w[i, j] = min(max(v, low[i, j]), high[i, j])
    return 0
