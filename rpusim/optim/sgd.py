"""Stochastic gradient descent for networks with tiles: each tile applies its own update."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import ConfigError
from rpusim.optim.groups import Group, Slot, as_number
from rpusim.optim.optimizer import Optimizer

__all__ = ["AnalogSGD"]


class AnalogSGD(Optimizer):
    r"""Gradient descent: digital parameters step in digital, tiles by pulses.

    One `step` does, in this order,

    1. for every tile :math:`W \leftarrow W - \eta \sum_b d_b x_b^\mathsf{T}`, realised by its
       devices from all pairs (x, d) recorded since the last step, in the order of the backward
       calls, as one batch; at a rate of 0 the pairs are dropped;
    2. for every digital parameter :math:`p \leftarrow p - \eta\, \partial L / \partial p`, a
       tile's own scales and range among them;
    3. for every tile, also one without pairs, what happens once per step: decay, diffusion, ...

    Afterwards no gradients and no pairs are left. Parameters with ``requires_grad = False`` and
    their tiles are left alone.

    With momentum :math:`\mu` and weight decay :math:`\lambda`

    .. math::
        g \leftarrow g + \lambda p, \qquad v \leftarrow \mu v + g, \qquad
        p \leftarrow p - \eta\, v \quad\text{(Nesterov: } p - \eta\,(g + \mu v) \text{)}

    for digital parameters, and for tiles that learn in digital (`InferenceTile`,
    `FloatingPointTile`, an `IdealDevice`), of whose weights p is the logical value. Pulsed tiles
    cannot do that.

    Parameters
    ----------
    parameters : iterable of Parameter, AnalogParameter, AnalogBias, or of dict
        What to train, ``model.parameters()``; each once. Or groups, such as ``{"params":
        model[0].parameters(), "lr": 0.01}``, with options of their own.
    lr : float, default 0.1
        Learning rate :math:`\eta`, finite and >= 0.
    momentum : float, default 0
        :math:`\mu`, in 0 <= value < 1.
    nesterov : bool, default False
        Whether momentum looks ahead.
    weight_decay : float, default 0
        :math:`\lambda`, >= 0. Devices decay by their own `lifetime`.
    analog_mode : None or "sgd"
        "sgd": pulsed tiles follow plain SGD, whatever else is asked for. None: that is refused.

    Attributes
    ----------
    lr : float
        Can be set at any time, to follow a schedule; rates of groups follow in proportion.

    Raises
    ------
    ConfigError
        If an option is unknown or needs what pulses cannot do, such as momentum; if a parameter is
        none or is given twice.

    Examples
    --------
    >>> from rpusim.nn import Linear, mse
    >>> layer = Linear(2, 1, rng=0)
    >>> optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    >>> loss, grad = mse(layer([[1.0, 2.0]]), [[3.0]])
    >>> layer.backward(grad, input_grad=False)
    >>> optimizer.step()
    >>> mse(layer([[1.0, 2.0]]), [[3.0]])[0] < loss
    True
    """

    shown = ("momentum", "nesterov", "weight_decay")

    def __init__(
        self,
        parameters: Any,
        lr: float = 0.1,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        analog_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        options = {"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        super().__init__(parameters, lr, analog_mode, options, unknown)

    def _check(self, options: dict[str, Any]) -> None:
        options["momentum"] = as_number(options["momentum"], "AnalogSGD.momentum", 1.0)
        options["weight_decay"] = as_number(options["weight_decay"], "AnalogSGD.weight_decay")
        if options["nesterov"] and not options["momentum"]:
            raise ConfigError("AnalogSGD.nesterov needs a momentum > 0.")

    def _needs_matrix(self, group: Group) -> str | None:
        return next((name for name in ("momentum", "weight_decay") if group.options[name]), None)

    def _remembers(self, group: Group) -> tuple[str, ...]:
        return ("momentum",) if group.options["momentum"] else ()

    def _delta(self, slot: Slot, g: np.ndarray, values: Any, rate: float) -> np.ndarray:
        options = slot.group.options
        if options["weight_decay"]:
            g = g + options["weight_decay"] * values()
        if options["momentum"]:
            v = slot.memory["momentum"]
            v *= options["momentum"]
            v += g
            g = g + options["momentum"] * v if options["nesterov"] else v
        return -rate * g
