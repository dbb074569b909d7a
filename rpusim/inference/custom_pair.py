r"""Pairs whose conductances are given as tables over the weight."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.config import param
from rpusim.errors import ConfigError
from rpusim.inference.arguments import check_factors
from rpusim.inference.converters import PairConverter
from rpusim.kernels.device_arrays import beside

__all__ = ["CustomPairConductanceConverter"]

TOLERANCE = 1e-4  # of the largest weight, in which a table has to give weights back


class CustomPairConductanceConverter(PairConverter):
    r"""Pairs of devices that each follow a table over the weight.

    At node i, where the weight is :math:`u_i w_\max`, device :math:`k^\pm` has its i-th entry;
    between nodes it is interpolated. The nodes :math:`u_i` lie equally spaced in -1..1 or are
    given. Back go the differences of the pairs, :math:`w = \sum_k f_k (g^+_k - g^-_k) / \kappa`
    with :math:`\kappa = \max_i |v_i| / w_\max`, :math:`v_i = \sum_k f_k (g^+_{ki} - g^-_{ki})`,
    which is the weight if :math:`v_i \propto u_i`.

    `g_max` and `g_min` are those of the device, for noise models; tables may leave that range.

    Source: Mackin et al., Nat. Commun. 13 (2022) 3765.

    Examples
    --------
    >>> table = [[0, 0, 5, 12.5, 25], [25, 12.5, 5, 0, 0]]
    >>> converter = CustomPairConductanceConverter(f_lst=[1.0], g_lst=table)
    >>> converter.convert_to_conductances([0.3, -0.8, 1.0])[0].tolist()
    [[9.5, 0.0, 25.0], [2.0, 20.0, 0.0]]
    """

    f_lst: tuple = param((1.0,), doc="significance of each pair")
    g_lst: tuple = param(
        ((0.0, 0.0, 25.0), (25.0, 0.0, 0.0)),
        unit="uS",
        doc="tables: of g+ and g- of the first pair, then of the next",
    )
    nodes: tuple | None = param(
        None, like=(0.0,), unit="of w_max", doc="weights of the entries; none: equally spaced"
    )
    invertibility_test: bool = param(True, doc="refuse tables that do not give weights back")

    def check(self) -> None:
        """Refuse tables that do not fit together, or do not give weights back."""
        super().check()
        where = type(self).__name__
        check_factors(self)
        sizes = {len(t) if isinstance(t, tuple) else 0 for t in self.g_lst}
        if len(self.g_lst) != 2 * len(self.f_lst):
            raise ConfigError(
                f"{where}.g_lst must hold two tables for each of the {len(self.f_lst)} factors of "
                f"f_lst, got {len(self.g_lst)}."
            )
        if len(sizes) != 1 or min(sizes) < 2:
            raise ConfigError(
                f"{where}.g_lst must hold tables of one length, at least 2, got {sorted(sizes)}."
            )
        if not all(isinstance(g, float) and g >= 0.0 for t in self.g_lst for g in t):
            raise ConfigError(f"{where}.g_lst must hold conductances >= 0.")
        u = self.node_weights
        if len(u) != sizes.pop() or u[0] != -1.0 or u[-1] != 1.0 or (np.diff(u) <= 0.0).any():
            raise ConfigError(
                f"{where}.nodes must ascend from -1 to 1, one for each entry of a table, "
                f"got {self.nodes!r}."
            )
        if np.abs(self._sums()).max() == 0.0:
            raise ConfigError(f"{where}.g_lst must differ between the devices of a pair.")
        if self.invertibility_test:
            self._check_inverse()

    @property
    def pair_factors(self) -> tuple[float, ...]:
        """Significance of each pair."""
        return self.f_lst

    @property
    def node_weights(self) -> np.ndarray:
        """Weights of the tables' entries, relative to the largest."""
        return (
            np.linspace(-1.0, 1.0, len(self.g_lst[0]))
            if self.nodes is None
            else np.array(self.nodes)
        )

    def to_devices(self, weights: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Return what the tables say."""
        unit = self.scale(weights, 1.0)
        u, scale = weights * unit, unit * float(np.abs(self._sums()).max())
        nodes, *tables = (beside(t, u) for t in (self.node_weights, *self.g_lst))
        g = np.stack([np.interp(u, nodes, table) for table in tables])
        return g.astype(weights.dtype), {"scale_ratio": scale, "f_lst": list(self.f_lst)}

    def _sums(self) -> np.ndarray:
        """Return what the pairs make of the nodes, in uS."""
        plus, minus = np.array(self.g_lst[::2]), np.array(self.g_lst[1::2])
        return np.array(self.f_lst) @ (plus - minus)

    def _check_inverse(self) -> None:
        """Refuse tables that do not give back the weights of nodes and of points between them."""
        u = self.node_weights
        points = np.sort(np.concatenate([u, 0.5 * (u[1:] + u[:-1])]))
        sums = self._sums()
        off = np.interp(points, u, sums) / np.abs(sums).max() - points
        worst = int(np.abs(off).argmax())
        if abs(off[worst]) > TOLERANCE:
            raise ConfigError(
                f"{type(self).__name__}.g_lst does not give weights back: {points[worst]:g} of the "
                f"largest becomes {points[worst] + off[worst]:g}. The sums of f (g+ - g-) must be "
                "proportional to the weights of the nodes; invertibility_test=False allows others."
            )
