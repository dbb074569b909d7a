r"""How devices differ: the spreads, by restricted maximum likelihood of a linear mixed model.

Near a solution the weighted residuals of device n are :math:`-(w_n - X_n \delta - Z_n z_n)`, with a
change :math:`\delta` of the parameters that all devices share, and deviations :math:`z_n \sim N(0,
\rho^2)` of this one. With :math:`L = \text{diag}(\rho)` and all :math:`z_n` integrated out, minus
twice the logarithm of the likelihood is

.. math::
    \sum_n \left( \ln |I + L A_n L| + w_n^T w_n - a_n^T Q_n a_n \right) + \ln |H| - g^T H^{-1} g,
    \qquad Q_n = L (I + L A_n L)^{-1} L

with :math:`A = Z^T Z`, :math:`B = Z^T X`, :math:`C = X^T X`, :math:`a = Z^T w`, :math:`c = X^T w`,
:math:`H = \sum_n (C_n - B_n^T Q_n B_n)` and :math:`g = \sum_n (c_n - B_n^T Q_n a_n)`; it is least
at :math:`\delta = H^{-1} g`, of covariance :math:`H^{-1}`.

Where a device sits at a bound its noise fades, and its rows are 10^7 times those of others: of such
differences of products no digit is right. They come from triangular factors instead,

.. math::
    \begin{pmatrix} Z_n L & X_n & w_n \\ I & 0 & 0 \end{pmatrix} = \text{orthogonal} \cdot
    \begin{pmatrix} R_n & F_n & f_n \\ 0 & S_n & s_n \end{pmatrix}

with :math:`|I + L A_n L| = |R_n|^2`, :math:`C_n - B_n^T Q_n B_n = S_n^T S_n` and so on.

Sources: Lindstrom and Bates, Biometrics 46, 673 (1990); Pinheiro and Bates, Mixed-effects models in
S and S-PLUS (2000), chapter 2.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from rpusim.studies.fitting.noise import curvature

__all__ = [
    "Blocks",
    "blocks",
    "followers",
    "inverse",
    "likeliest",
    "pooled",
    "solve_spreads",
    "spread_cost",
]

NARROW, WIDE = np.log(1e-4), np.log(1e2)  # of a spread, relative to the one assumed
SINGULAR = 1e-12  # of the largest: a smaller eigenvalue of H, scaled, is rounding


@dataclasses.dataclass(frozen=True)
class Blocks:
    """What the likelihood needs of each group of rows.

    Attributes
    ----------
    roots : ndarray of shape (groups, size, size)
        Triangular factors R of the rows [Z, X, w]: both have the same products of columns.
    latents : int
        The first columns, those of Z.
    """

    roots: NDArray[np.float64]
    latents: int

    def joined(self, counts: NDArray) -> Blocks:
        """Return the blocks of groups of parts; `counts`, (groups, parts), is how many of each."""
        size = self.roots.shape[2]
        rows = np.sqrt(counts).reshape(-1, 1, 1) * self.roots
        return Blocks(_triangular(rows.reshape(len(counts), -1, size)), self.latents)


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
    roots = np.zeros((groups, rows.shape[1], rows.shape[1]))
    order = np.argsort(group, kind="stable")
    ends = np.searchsorted(group[order], np.arange(groups + 1))
    for n in range(groups):
        root = _triangular(rows[order[ends[n] : ends[n + 1]]])
        roots[n, : len(root)] = root
    return Blocks(roots, z.shape[1])


def _triangular(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.qr(rows, mode="r"))


def _with_prior(b: Blocks, rho: NDArray) -> NDArray:
    """Return the triangular factors of the module's last equation."""
    groups, size, _ = b.roots.shape
    rows = b.roots * np.concatenate([rho, np.ones(size - b.latents)])
    prior = np.broadcast_to(np.eye(b.latents, size), (groups, b.latents, size))
    return _triangular(np.concatenate([rows, prior], axis=1))


def pooled(b: Blocks, rho: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Return what each device adds to H, to g, and to the sum over n of the likelihood."""
    k, root = b.latents, _with_prior(b, rho)
    size = 2.0 * np.log(np.abs(np.diagonal(root[:, :k, :k], axis1=1, axis2=2))).sum(axis=1)
    left, rest = root[:, k:, k:-1], root[:, k:, -1:]
    turned = left.swapaxes(1, 2)
    return turned @ left, (turned @ rest)[..., 0], size + (rest**2).sum(axis=(1, 2))


def followers(b: Blocks) -> tuple[NDArray, NDArray]:
    """Return how the likeliest deviations follow the parameters, and what they do on their own.

    Returns
    -------
    follow : ndarray of shape (devices, latents, parameters)
        Slopes of the deviations.
    own : ndarray of shape (devices, latents, latents)
        Changes of the deviations that change the likelihood by equal amounts.
    """
    root = _with_prior(b, np.ones(b.latents))[:, : b.latents]
    own = np.linalg.inv(root[:, :, : b.latents])
    return -own @ root[:, :, b.latents : -1], own


def likeliest(b: Blocks, rho: NDArray) -> NDArray[np.float64]:
    """Return the likeliest deviations, (devices, latents), in units of some spreads."""
    root = _with_prior(b, rho)[:, : b.latents]
    return np.linalg.solve(root[:, :, : b.latents], root[:, :, -1:])[..., 0]


def inverse(h: NDArray) -> tuple[NDArray, NDArray]:
    """Return the inverse of H, 0 along what the data do not tell, and ln |H|; also of stacks."""
    size = np.sqrt(np.maximum(np.diagonal(h, axis1=-2, axis2=-1), 1e-300))
    values, vectors = np.linalg.eigh(h / (size[..., :, None] * size[..., None, :]))
    told = values > SINGULAR * values.max(axis=-1, keepdims=True, initial=0.0)
    values = np.where(told, values, 1.0)
    scaled = vectors / size[..., :, None]
    inverses = (scaled * (told / values)[..., None, :]) @ scaled.swapaxes(-2, -1)
    return inverses, np.log(values).sum(axis=-1) + 2.0 * np.log(size).sum(axis=-1)


def spread_cost(b: Blocks, rho: NDArray) -> float:
    """Return minus the logarithm of the likelihood of some spreads, up to a constant."""
    h, g, fit = (part.sum(axis=0) for part in pooled(b, rho))
    inverted, size = inverse(h)
    return 0.5 * float(fit + size - g @ inverted @ g)


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
