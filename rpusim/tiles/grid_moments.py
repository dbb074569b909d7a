"""Moments of a sum of independent products: means and variances add."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rpusim.periphery import Moments

__all__ = ["grid_moments"]

Found = Sequence[Sequence[Moments]]


def grid_moments(found: Found) -> Moments:
    r"""Return the moments of :math:`y_j = \sum_i y_{ij}` from those of the tiles.

    Parameters
    ----------
    found : sequence of sequences of Moments
        By input block i and output block j.
    """
    clipped = [[m.clip_probability for m in column] for column in found]
    unclipped = [1.0 - np.concatenate(column, axis=1) for column in clipped]
    return Moments(
        mean=_sum([[m.mean for m in column] for column in found]),
        variance=_sum([[m.variance for m in column] for column in found]),
        clip_probability=1.0 - np.multiply.reduce(unclipped),
        rounds=np.mean([m.rounds for column in found for m in column], axis=0),
        sources={
            name: _sum([[m.sources[name] for m in column] for column in found])
            for name in found[0][0].sources
        },
    )


def _sum(parts: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Return the sum over input blocks, output blocks side by side."""
    return np.add.reduce([np.concatenate(column, axis=1) for column in parts])
