r"""Clipping of gradients, of digital parameters and of tiles alike, between backward and step.

A pulsed tile has no gradient matrix; its gradient is :math:`\sum_b d_b x_b^\mathsf{T}` of recorded
vectors. Its norm follows from their products (`rpusim.tiles.pairs.squared_norm`), and scaling the
error vectors d scales it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from rpusim.errors import ConfigError, DataError
from rpusim.nn.parameter import AnalogBias, AnalogParameter, Parameter
from rpusim.optim.groups import has_column
from rpusim.tiles.lazy_pairs import gradient, norm_squared, rescaled
from rpusim.tiles.pairs import Multiplied

__all__ = ["clip_grad_norm", "clip_grad_value"]


def clip_grad_norm(parameters: Iterable[Any], max_norm: float = math.inf) -> float:
    r"""Scale all gradients by one factor so that their common norm is at most `max_norm`.

    .. math::
        \|g\|^2 = \sum_p \|g_p\|^2, \qquad g_p \leftarrow g_p \min(1, \text{max\_norm} / \|g\|)

    Frozen parameters have no gradient and do not count. A bias that a tile holds as a column counts
    with the weights beside it.

    Parameters
    ----------
    parameters : iterable of Parameter, AnalogParameter, AnalogBias
        Such as ``model.parameters()``.
    max_norm : float, default infinity
        Largest norm, > 0; infinity only measures.

    Returns
    -------
    float
        The norm before, exact to double precision; 0 if there are no gradients.

    Raises
    ------
    DataError
        If the norm is not finite; nothing is scaled then.

    Examples
    --------
    >>> from rpusim.nn import AnalogLinear
    >>> layer = AnalogLinear(2, 1, bias=False, rng=0)
    >>> y = layer([[3.0, 4.0]])
    >>> layer.backward([[1.0]], input_grad=False)
    >>> clip_grad_norm(layer.parameters(), 1.0), layer.weight.grad
    (5.0, array([[0.6, 0.8]], dtype=float32))
    """
    most = _limit(max_norm, "clip_grad_norm: max_norm", True)
    given, total = _trained(parameters, "clip_grad_norm"), 0.0
    for p in given:
        if isinstance(p, AnalogParameter) and p.pairs:
            total += norm_squared(p.pairs, has_column(p.tile))
        elif isinstance(p, Parameter) and p.grad is not None:
            total += float(np.sum(np.square(p.grad, dtype=np.float64)))
    norm = math.sqrt(total)
    if not math.isfinite(norm):
        raise DataError(f"clip_grad_norm: the norm of the gradients must be finite, got {norm}.")
    if norm > most:
        for p in given:
            if isinstance(p, AnalogParameter):
                p.pairs = [rescaled(pair, most / norm) for pair in p.pairs]
            elif isinstance(p, Parameter) and p.grad is not None:
                p.grad = p.grad * np.float32(most / norm)
    return norm


def clip_grad_value(parameters: Iterable[Any], value: float) -> None:
    """Limit each element of the gradients to ``-value..value``, where elements exist.

    That is for digital parameters, and for tiles that learn in digital, whose recorded vectors are
    multiplied out. Nothing is changed if a pulsed tile is among the parameters.

    Parameters
    ----------
    parameters : iterable of Parameter, AnalogParameter, AnalogBias
        Such as ``model.parameters()``.
    value : float
        Largest magnitude, > 0.

    Raises
    ------
    ConfigError
        If a tile is pulsed by vectors, of which no single element can be limited.
    """
    most, given = _limit(value, "clip_grad_value: value"), _trained(parameters, "clip_grad_value")
    tiles = [p for p in given if isinstance(p, AnalogParameter)]
    for p in tiles:
        if not p.tile.learns_in_digital:
            device = type(p.tile.rpu_config.device).__name__
            raise ConfigError(
                f"clip_grad_value: the {type(p.tile).__name__} of {p.tile.in_size} inputs and "
                f"{p.tile.out_size} outputs has no gradient matrix whose elements could be "
                f"limited: its {device} is pulsed by vectors. Use clip_grad_norm."
            )
    for p in given:
        if isinstance(p, Parameter) and p.grad is not None:
            p.grad = np.clip(p.grad, -most, most)
        elif isinstance(p, AnalogParameter) and p.pairs:
            matrix = gradient(p.pairs, has_column(p.tile))
            whole = Multiplied(np.clip(matrix, -most, most), p.tile.in_size)
            p.pairs = [(whole, whole)]


def _trained(parameters: Any, where: str) -> list[Any]:
    """Return those that are not frozen, checked."""

    def each() -> Iterator[Any]:
        for p in parameters if isinstance(parameters, Iterable) else [parameters]:
            if not isinstance(p, Parameter | AnalogParameter | AnalogBias):
                raise ConfigError(
                    f"{where}: parameters must be parameters, as from model.parameters(), got "
                    f"{type(p).__name__}."
                )
            if isinstance(p, AnalogBias) or p.requires_grad:
                yield p

    return list(each())


def _limit(value: Any, where: str, infinite: bool = False) -> float:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (number and value > 0.0 and (infinite or value < math.inf)):
        raise ConfigError(f"{where} must be > 0{'' if infinite else ' and finite'}, got {value!r}.")
    return float(value)
