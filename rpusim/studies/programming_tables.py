"""Tables of conductances: where they have kinks, converters as tables, tables as converters."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.inference.converters import NPairConductanceConverter, PairConverter
from rpusim.inference.custom_pair import CustomPairConductanceConverter
from rpusim.inference.programming_space import ProgrammingSpace, Tables

__all__ = [
    "as_table",
    "converter_of",
    "fill_in_order",
    "kinks_in_order",
    "kinks_of",
    "least_first",
    "placed",
    "with_nodes",
]

APART = 1e-6  # of the largest weight: nodes that are nearer are the same
STRAIGHT = 1e-9  # of the range of conductances: a change of slope that is none


def kinks_in_order(f: Any) -> np.ndarray:
    """Return the weights where filling one pair after the other goes on to the next.

    Parameters
    ----------
    f : sequence of float
        Significance of each pair, in the order in which they are filled.

    Returns
    -------
    ndarray
        In units of the largest weight; the positive ones.
    """
    return np.cumsum(f)[:-1] / np.sum(f)


def kinks_of(converter: PairConverter, relative: float = 1.0) -> np.ndarray:
    """Return the weights where a converter's conductances have kinks.

    Parameters
    ----------
    converter : PairConverter
        Any of them.
    relative : float
        The weight at full conductance, in units of the largest weight.

    Returns
    -------
    ndarray
        In units of the largest weight, within -1..1.
    """
    if isinstance(converter, CustomPairConductanceConverter):
        u, g = converter.node_weights, np.array(converter.g_lst)
        slopes = np.diff(g, axis=1) / np.diff(u)
        bends = np.abs(np.diff(slopes, axis=1)).max(axis=0)
        found = u[1:-1][bends > STRAIGHT * (converter.g_max - converter.g_min)]
    else:
        ends = kinks_in_order(converter.pair_factors)
        found = np.concatenate([-ends[::-1], [0.0], ends])
    found = relative * np.concatenate([[-1.0], found, [1.0]])
    return found[np.abs(found) < 1.0]


def with_nodes(nodes: np.ndarray, more: np.ndarray, symmetric: bool) -> np.ndarray:
    """Return nodes to which others are added, unless they are there already.

    Parameters
    ----------
    nodes, more : ndarray
        In -1..1.
    symmetric : bool
        Whether both signs are added.
    """
    if symmetric:
        half = with_nodes(nodes[: (len(nodes) + 1) // 2], -np.abs(more), False)
        return np.concatenate([half, -half[-2::-1]])
    for node in more:
        if np.abs(nodes - node).min() > APART:
            nodes = np.sort(np.append(nodes, node))
    return nodes


def as_table(converter: PairConverter) -> CustomPairConductanceConverter:
    """Return the table that converts weights as a converter does.

    Parameters
    ----------
    converter : PairConverter
        To pairs that are filled in order, or a table already.
    """
    if isinstance(converter, CustomPairConductanceConverter):
        return converter
    u = np.concatenate([[-1.0], kinks_of(converter), [1.0]])
    g, _ = converter.replace(w_max=1.0).convert_to_conductances(u)
    # the test converts weights up to 1, which a given w_max may not reach
    fields = {"w_max": converter.w_max, "invertibility_test": converter.w_max is None}
    return _converter(converter.pair_factors, g, u, converter, **fields)


def converter_of(space: ProgrammingSpace, tables: Tables) -> CustomPairConductanceConverter:
    """Return the first of some tables as a converter.

    Parameters
    ----------
    space : ProgrammingSpace
        Where the tables are from.
    tables : Tables
        One or more.
    """
    exact = space.g_err == 0.0
    f, g = tables.f[0], tables.g[0]
    return _converter(f, g, space.nodes, space, invertibility_test=exact)


def _converter(
    f: Any, g: np.ndarray, u: np.ndarray, held: Any, **fields: Any
) -> CustomPairConductanceConverter:
    even = np.linspace(-1.0, 1.0, len(u))
    nodes = None if np.abs(u - even).max() < APART**2 else tuple(u.tolist())
    return CustomPairConductanceConverter(
        f_lst=[float(v) for v in f],
        g_lst=g.tolist(),
        nodes=nodes,
        g_min=held.g_min,
        g_max=held.g_max,
        **fields,
    )


def placed(converter: PairConverter, space: ProgrammingSpace, relative: float) -> Any:
    """Return the factors and the table with which pairs of a space do what a converter does.

    Further pairs stay at the smallest conductance. None if the space has too few pairs, or
    factors that do not fit.

    Parameters
    ----------
    converter : PairConverter
        Any of them.
    space : ProgrammingSpace
        The tables that can be had.
    relative : float
        The weight at full conductance, in units of the largest weight.
    """
    own = np.array(converter.pair_factors)
    if len(own) > space.pairs:
        return None
    ratios = [f / o for f, o in zip(space.f_lst, own, strict=False) if f is not None]
    if ratios and not np.allclose(ratios, ratios[0], rtol=1e-9):
        return None
    own = own * (ratios[0] if ratios else 1.0)
    free = [o for f, o in zip(space.f_lst, own, strict=False) if f is None]
    if any(not space.f_min <= o <= space.f_max for o in free):
        return None
    rest = [space.f_min if f is None else f for f in space.f_lst[len(own) :]]
    g, _ = converter.replace(w_max=relative).convert_to_conductances(space.nodes)
    idle = np.full((2 * len(rest), len(space.nodes)), space.g_min)
    return np.array([*own, *rest]), np.concatenate([g, idle])


def fill_in_order(space: ProgrammingSpace, f: Any) -> np.ndarray:
    """Return the point of the table that fills one pair after the other.

    Parameters
    ----------
    space : ProgrammingSpace
        The tables.
    f : sequence of float
        Significance of each pair.
    """
    rule = NPairConductanceConverter(f_lst=list(f), g_min=space.g_min, g_max=space.g_max)
    return space.point(f, rule.convert_to_conductances(space.nodes)[0])


def least_first(space: ProgrammingSpace, tables: Tables) -> Tables:
    """Return the same tables, the less significant of two pairs first if one factor is free.

    Pairs that change places, with factors multiplied by a number, do the same: of such twins the
    search finds one or the other.

    Parameters
    ----------
    space : ProgrammingSpace
        Where the tables are from.
    tables : Tables
        As it returned them.
    """
    f, g = tables.f.copy(), tables.g.copy()
    if len(space.free) != 1 or space.pairs != 2:
        return tables
    j = space.free[0]
    twin = f[:, 1 - j] ** 2 / f[:, j]
    swap = (f[:, 0] > f[:, 1]) & (space.f_min <= twin) & (twin <= space.f_max)
    f[swap, j] = twin[swap]
    g[swap] = g[swap][:, [2, 3, 0, 1]]
    return Tables(f, g)
