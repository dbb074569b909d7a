r"""How devices differ: the spreads, by restricted maximum likelihood of a linear mixed model.

Near a solution the weighted residuals of device n are :math:`-(w_n - X_n \delta - Z_n z_n)`, with a
change :math:`\delta` of the parameters that all devices share, and deviations :math:`z_n \sim N(0,
\rho^2)` of this one. With :math:`L = \text{diag}(\rho)` and all :math:`z_n` integrated out, minus
twice the logarithm of the likelihood is

.. math::
    \sum_n \left( \ln |I + L A_n L| - a_n^T Q_n a_n \right) + \ln |H| - g^T H^{-1} g, \qquad
    Q_n = L (I + L A_n L)^{-1} L

with :math:`A = Z^T Z`, :math:`B = Z^T X`, :math:`C = X^T X`, :math:`a = Z^T w`, :math:`c = X^T w`,
:math:`H = \sum_n (C_n - B_n^T Q_n B_n)` and :math:`g = \sum_n (c_n - B_n^T Q_n a_n)`; it is least
at :math:`\delta = H^{-1} g`, of covariance :math:`H^{-1}`.

Source: Lindstrom and Bates, Biometrics 46, 673 (1990).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from rpusim.studies.fitting.noise import curvature

__all__ = ["Blocks", "blocks", "pooled", "solve_spreads", "spread_cost"]

NARROW, WIDE = np.log(1e-4), np.log(1e2)  # of a spread, relative to the one assumed


@dataclasses.dataclass(frozen=True)
class Blocks:
    """What the likelihood needs of each group of rows; the first axis counts groups.

    Attributes
    ----------
    zz, zx, xx, zw, xw : ndarray
        The matrices A, B, C and the vectors a, c.
    """

    zz: NDArray[np.float64]
    zx: NDArray[np.float64]
    xx: NDArray[np.float64]
    zw: NDArray[np.float64]
    xw: NDArray[np.float64]

    def summed(self, counts: NDArray) -> Blocks:
        """Return the blocks of sums of groups; `counts`, (sums, groups), says how many of each."""
        fields = (getattr(self, f.name) for f in dataclasses.fields(self))
        return Blocks(*(np.tensordot(counts, field, 1) for field in fields))


def blocks(x: NDArray, z: NDArray, w: NDArray, group: NDArray, groups: int) -> Blocks:
    """Return the blocks of rows.

    Parameters
    ----------
    x, z : ndarray of shape (rows, parameters), (rows, latents)
        Minus the slopes of the weighted residuals.
    w : ndarray of shape (rows,)
        The weighted residuals, with the part of the deviations put back.
    group : ndarray of shape (rows,)
        Which group a row belongs to.
    groups : int
        How many there are.
    """
    rows = np.concatenate([z, x, w[:, None]], axis=1)
    size, k = rows.shape[1], z.shape[1]
    total = np.zeros((groups, size, size))
    order = np.argsort(group, kind="stable")
    ends = np.searchsorted(group[order], np.arange(groups + 1))
    for n in range(groups):
        part = rows[order[ends[n] : ends[n + 1]]]
        total[n] = part.T @ part
    return Blocks(
        total[:, :k, :k],
        total[:, :k, k:-1],
        total[:, k:-1, k:-1],
        total[:, :k, -1],
        total[:, k:-1, -1],
    )


def pooled(b: Blocks, rho: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Return what each device adds to H, to g, and to the sum over n of the module's equation."""
    q = rho[:, None] * np.linalg.inv(np.eye(rho.size) + rho[:, None] * b.zz * rho) * rho
    qb, qa = q @ b.zx, (q @ b.zw[..., None])[..., 0]
    h = b.xx - b.zx.swapaxes(1, 2) @ qb
    g = b.xw - (b.zx * qa[..., None]).sum(axis=1)
    size = np.linalg.slogdet(np.eye(rho.size) + rho[:, None] * b.zz * rho)[1]
    return h, g, size - (b.zw * qa).sum(axis=1)


def spread_cost(b: Blocks, rho: NDArray) -> float:
    """Return minus the logarithm of the likelihood of some spreads, up to a constant."""
    h, g, fit = (part.sum(axis=0) for part in pooled(b, rho))
    return 0.5 * float(fit + np.linalg.slogdet(h)[1] - g @ np.linalg.pinv(h, hermitian=True) @ g)


def solve_spreads(b: Blocks, fitted: NDArray) -> tuple[NDArray, NDArray]:
    """Return the most likely spreads.

    Parameters
    ----------
    b : Blocks
        Of the devices.
    fitted : ndarray of bool of shape (latents,)
        Which spreads are fitted; the others stay.

    Returns
    -------
    rho, error : ndarray of shape (latents,)
        Spreads relative to those assumed, and the standard errors of their logarithms.
    """
    rho, error = np.ones(fitted.size), np.zeros(fitted.size)

    def cost(logarithms: NDArray) -> float:
        trial = np.ones(fitted.size)
        trial[fitted] = np.exp(logarithms)
        return spread_cost(b, trial)

    count = int(fitted.sum())
    if count:
        bounds = [(NARROW, WIDE)] * count
        found = minimize(cost, np.zeros(count), method="L-BFGS-B", bounds=bounds).x
        rho[fitted] = np.exp(found)
        covariance = np.linalg.pinv(curvature(lambda x: cost(found + x), count))
        error[fitted] = np.sqrt(np.abs(np.diag(covariance)))
    return rho, error
