r"""Tables from weights to the conductances of pairs, as points of a unit hypercube.

A table has nodes at weights :math:`u_i\,w_\max`; between them it is linear. At node i the pairs
have to make :math:`c = \kappa u_i`, in uS, together, and the largest conductance that a weight
stands for is a coordinate, :math:`\kappa = (0.05 + 0.95\,x_\kappa)\,D \sum_j f_j` with
:math:`D = g_\max - g_\min`. Pair after pair is given a share of c, and two devices that make it:

.. math::
    R_j &= D\,(f_{j+1} + \dots + f_P) \qquad\text{what the pairs after it can make} \\
    F_j &= l + b\,(h - l), \qquad l = \max(c - R_j, -f_j D), \quad h = \min(c + R_j, f_j D) \\
    \delta &= F_j / f_j, \qquad c \leftarrow c - F_j \\
    g^+ &= l' + a\,(h' - l'), \qquad l' = g_\min + \max(\delta, 0) - e, \quad
           h' = g_\max + \min(\delta, 0) + e \\
    g^- &= g^+ - \delta

with a placement a and a split b in 0..1 for each pair and node; the last pair makes what is left,
:math:`F = h`. Every point is a table that devices can hold and that gives weights back; with
e > 0, which both conductances are then clipped for, a table may miss the ends.

The coordinates are: factors that are free, in order, :math:`f = f_\min + x (f_\max - f_\min)`;
:math:`x_\kappa` unless the whole range is to be used; then a block of placements and, but for the
last pair, one of splits for each pair. A symmetric table has coordinates for the nodes up to 0, and
the two devices of a pair change places at the mirrored node (hence also at 0).

Source: Mackin et al., Nat. Commun. 13 (2022) 3765.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from rpusim.errors import ConfigError, ShapeError
from rpusim.kernels.bind import kernel

__all__ = ["ProgrammingSpace", "Tables", "fill_table", "uniform_nodes"]

LEAST, REST = 0.05, 0.95  # the largest weight uses at least a twentieth of the range


def fill_table(x, factors, nodes, limits, whole, symmetric, f, g):  # type: ignore[no-untyped-def]
    """Fill `f` and `g` with the factors and the table that a point of the hypercube stands for.

    Parameters
    ----------
    x : ndarray of shape (dimensions,)
        The point.
    factors : ndarray of shape (pairs,)
        Those that are fixed; NaN where they are free.
    nodes : ndarray of shape (nodes,)
        Weights of the nodes, relative to the largest.
    limits : ndarray
        Smallest and largest factor, smallest and largest conductance, tolerance e.
    whole : bool
        Whether the largest weight uses the whole range.
    symmetric : bool
        Whether the second half of the table mirrors the first.
    f, g : ndarray of shape (pairs,), (2 * pairs, nodes)
        The table: of g+ and g- of the first pair, then of the next.
    """
    pairs, count, place = factors.shape[0], nodes.shape[0], 0
    low, high, e = limits[2], limits[3], limits[4]
    span, rest = high - low, 0.0
    for j in range(pairs):
        f[j] = factors[j]
        if np.isnan(f[j]):
            f[j] = limits[0] + x[place] * (limits[1] - limits[0])
            place += 1
        rest += span * f[j]
    used = 1.0
    if not whole:
        used = LEAST + REST * x[place]
        place += 1
    block = (count + 1) // 2 if symmetric else count
    for i in range(block):
        c, beyond = used * rest * nodes[i], rest
        for j in range(pairs):
            beyond = max(beyond - span * f[j], 0.0) if j < pairs - 1 else 0.0
            at = place + 2 * block * j + i
            least, share = max(c - beyond, -span * f[j]), min(c + beyond, span * f[j])
            if j < pairs - 1:
                share = least + x[at + block] * (share - least)
            c -= share
            delta = share / f[j]
            first = low + max(delta, 0.0) - e
            last = high + min(delta, 0.0) + e
            plus = min(max(first + x[at] * (last - first), low), high)
            g[2 * j, i] = plus
            g[2 * j + 1, i] = min(max(plus - delta, low), high)
    if symmetric:
        for j in range(pairs):
            for i in range(block):
                plus, minus = g[2 * j, i], g[2 * j + 1, i]
                g[2 * j, count - 1 - i], g[2 * j + 1, count - 1 - i] = minus, plus


def fill_tables(x, factors, nodes, limits, whole, symmetric, f, g):  # type: ignore[no-untyped-def]
    """Fill the tables of many points, the rows of `x`."""
    for s in range(x.shape[0]):
        fill_table(x[s], factors, nodes, limits, whole, symmetric, f[s], g[s])


class Tables(NamedTuple):
    """Tables of several candidates.

    Attributes
    ----------
    f : ndarray of shape (candidates, pairs)
        Significance of each pair.
    g : ndarray of shape (candidates, 2 * pairs, nodes)
        Conductances in uS, of g+ and g- of the first pair, then of the next.
    """

    f: np.ndarray
    g: np.ndarray


def uniform_nodes(nbins: int) -> np.ndarray:
    """Return equally spaced nodes in -1..1.

    Parameters
    ----------
    nbins : int
        How many from -1 to 0.
    """
    half = np.linspace(-1.0, 0.0, nbins)
    return np.concatenate([half, -half[-2::-1]])


@dataclasses.dataclass(frozen=True, eq=False)
class ProgrammingSpace:
    """The tables of some pairs of devices, as the points of a unit hypercube.

    Parameters
    ----------
    f_lst : sequence of float or None
        Significance of each pair; None where it is free.
    nodes : ndarray of shape (nodes,)
        Weights of the nodes, relative to the largest: ascending from -1 to 1; for symmetric tables
        mirrored at 0, which is one of them.
    g_min, g_max : float
        What the devices can hold, in uS.
    symmetric : bool
        Whether a weight and its negative exchange the devices of the pairs.
    f_min, f_max : float
        Range of free factors.
    g_err : float
        Tolerance e, as a share of the range of conductances.
    use_max_kw : bool
        Whether the largest weight uses the whole range.

    Examples
    --------
    >>> space = ProgrammingSpace([1.0], uniform_nodes(2), g_max=25.0)
    >>> space.dimensions
    3
    >>> space.tables([0.5, 0.25, 0.75]).g[0].tolist()
    [[2.96875, 18.75, 16.09375], [16.09375, 18.75, 2.96875]]
    """

    f_lst: Any
    nodes: np.ndarray
    g_min: float = 0.0
    g_max: float = 25.0
    symmetric: bool = True
    f_min: float = 0.1
    f_max: float = 5.0
    g_err: float = 0.0
    use_max_kw: bool = False

    def __post_init__(self) -> None:
        u = self.nodes
        if u[0] != -1.0 or u[-1] != 1.0 or (np.diff(u) <= 0.0).any():
            raise ConfigError("ProgrammingSpace.nodes must ascend from -1 to 1.")
        if self.symmetric and not (len(u) % 2 and np.array_equal(u, -u[::-1])):
            raise ConfigError("ProgrammingSpace.nodes must mirror at a node 0 if symmetric.")

    @property
    def pairs(self) -> int:
        """How many pairs a weight has."""
        return len(self.f_lst)

    @property
    def block(self) -> int:
        """How many nodes have coordinates of their own."""
        return (len(self.nodes) + 1) // 2 if self.symmetric else len(self.nodes)

    @property
    def free(self) -> list[int]:
        """The pairs whose factor is free."""
        return [j for j, f in enumerate(self.f_lst) if f is None]

    @property
    def dimensions(self) -> int:
        """How many coordinates a point has."""
        return len(self.free) + (not self.use_max_kw) + self.block * (2 * self.pairs - 1)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What `fill_table` needs of the space."""
        factors = np.array([np.nan if f is None else f for f in self.f_lst])
        span = self.g_max - self.g_min
        limits = np.array([self.f_min, self.f_max, self.g_min, self.g_max, self.g_err * span])
        return factors, self.nodes, limits, self.use_max_kw, self.symmetric

    def tables(self, x: Any) -> Tables:
        """Return the tables of some points.

        Parameters
        ----------
        x : array_like of shape (dimensions,) or (candidates, dimensions)
            In 0..1.
        """
        points = np.ascontiguousarray(np.atleast_2d(np.asarray(x, np.float64)))
        if points.ndim != 2 or points.shape[1] != self.dimensions:
            raise ShapeError(
                f"ProgrammingSpace.tables: x must have {self.dimensions} coordinates, "
                f"got shape {np.shape(x)}."
            )
        made = Tables(
            np.empty((len(points), self.pairs)),
            np.empty((len(points), 2 * self.pairs, len(self.nodes))),
        )
        kernel(fill_tables, "double")(points, *self.arguments, *made)
        return made

    def point(self, f: Any, g: Any) -> np.ndarray:
        """Return the point whose table is the given one, or is nearest to it.

        Coordinates that the table leaves open are 0 (placements) and 1/2 (splits).

        Parameters
        ----------
        f : array_like of shape (pairs,)
            Significance of each pair.
        g : array_like of shape (2 * pairs, nodes)
            Conductances at the nodes, in uS.
        """
        f, g = np.asarray(f, np.float64), np.asarray(g, np.float64)
        span, e = self.g_max - self.g_min, self.g_err * (self.g_max - self.g_min)
        delta = g[::2] - g[1::2]
        used = np.abs(f @ delta).max() / (span * f.sum())
        head = [(f[j] - self.f_min) / (self.f_max - self.f_min) for j in self.free]
        if not self.use_max_kw:
            head.append((used - LEAST) / REST)
        used = 1.0 if self.use_max_kw else min(max(used, LEAST), 1.0)
        plus, delta = g[::2, : self.block].copy(), delta[:, : self.block].copy()
        if self.symmetric:  # the devices at 0 change places
            plus[:, -1], delta[:, -1] = g[1::2, self.block - 1], -delta[:, -1]
        c, blocks = used * span * f.sum() * self.nodes[: self.block], []
        for j in range(self.pairs):
            beyond = span * f[j + 1 :].sum()
            least, most = np.maximum(c - beyond, -span * f[j]), np.minimum(c + beyond, span * f[j])
            split = _share(f[j] * delta[j], least, most, 0.5)
            share = most if j == self.pairs - 1 else least + split * (most - least)
            c, d = c - share, share / f[j]
            low = self.g_min + np.maximum(d, 0.0) - e
            blocks.append(_share(plus[j], low, self.g_max + np.minimum(d, 0.0) + e, 0.0))
            if j < self.pairs - 1:
                blocks.append(split)
        return np.clip(np.concatenate([np.array(head), *blocks]), 0.0, 1.0)


def _share(value: np.ndarray, low: np.ndarray, high: np.ndarray, default: float) -> np.ndarray:
    """Return where values stand between two others, in 0..1; `default` where these are equal."""
    wide = high - low > 1e-9 * np.abs(high).max(initial=1.0)
    return np.where(wide, np.clip((value - low) / np.where(wide, high - low, 1.0), 0, 1), default)
