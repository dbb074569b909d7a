"""Adam, for all that is learned in digital; pulsed tiles can follow plain SGD beside it."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import ConfigError
from rpusim.optim.groups import Group, Slot, as_number
from rpusim.optim.optimizer import Optimizer

__all__ = ["AnalogAdam"]


class AnalogAdam(Optimizer):
    r"""Adam (Kingma and Ba, ICLR 2015, algorithm 1), with the order of a step of `AnalogSGD`.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        p \leftarrow p - \eta\, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    for digital parameters, and for the logical weights of tiles that learn in digital
    (`InferenceTile`, `FloatingPointTile`, an `IdealDevice`). Pulsed tiles cannot do that: they are
    refused, or follow plain SGD with ``analog_mode="sgd"``; give them a group with a rate of its
    own then, as a rate of Adam is a step and one of SGD is not.

    Parameters
    ----------
    parameters : iterable of Parameter, AnalogParameter, AnalogBias, or of dict
        What to train, or groups; see `AnalogSGD`.
    lr : float, default 0.001
        Learning rate :math:`\eta`, finite and >= 0.
    betas : (float, float), default (0.9, 0.999)
        :math:`\beta_1, \beta_2`, in 0 <= value < 1.
    eps : float, default 1e-8
        :math:`\epsilon`.
    weight_decay : float, default 0
        :math:`\lambda`, >= 0: :math:`g \leftarrow g + \lambda p`.
    decoupled : bool, default False
        Whether weight decay is a step of its own, :math:`p \leftarrow p - \eta \lambda p`
        (Loshchilov and Hutter, ICLR 2019).
    analog_mode : None or "sgd"
        "sgd": pulsed tiles follow plain SGD. None: they are refused.

    Examples
    --------
    >>> from rpusim.nn import Linear
    >>> layer = Linear(2, 1, bias=False, rng=0)
    >>> optimizer, before = AnalogAdam(layer.parameters(), lr=0.01), layer.weight.copy()
    >>> y = layer([[1.0, 2.0]])
    >>> layer.backward([[1.0]], input_grad=False)
    >>> optimizer.step()
    >>> (before - layer.weight).round(4)
    array([[0.01, 0.01]], dtype=float32)
    """

    shown = ("betas", "weight_decay", "decoupled")

    def __init__(
        self,
        parameters: Any,
        lr: float = 0.001,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        analog_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        options = {"betas": betas, "eps": eps, "weight_decay": weight_decay, "decoupled": decoupled}
        super().__init__(parameters, lr, analog_mode, options, unknown)

    def _check(self, options: dict[str, Any]) -> None:
        try:
            first, second = options["betas"]
        except (TypeError, ValueError):
            raise ConfigError(
                f"AnalogAdam.betas must be two numbers, got {options['betas']!r}."
            ) from None
        options["betas"] = tuple(as_number(b, "AnalogAdam.betas", 1.0) for b in (first, second))
        for name in ("eps", "weight_decay"):
            options[name] = as_number(options[name], f"AnalogAdam.{name}")

    def _needs_matrix(self, group: Group) -> str | None:
        return "Adam"

    def _remembers(self, group: Group) -> tuple[str, ...]:
        return "mean", "square"

    def _delta(self, slot: Slot, g: np.ndarray, values: Any, rate: float) -> np.ndarray:
        options, (first, second) = slot.group.options, slot.group.options["betas"]
        decay = options["weight_decay"]
        if decay and not options["decoupled"]:
            g = g + decay * values()
        m, v = slot.memory["mean"], slot.memory["square"]
        m *= first
        m += (1.0 - first) * g
        v *= second
        v += (1.0 - second) * np.square(g)
        slot.steps += 1
        root = np.sqrt(v / (1.0 - second**slot.steps)) + options["eps"]
        delta = (-rate / (1.0 - first**slot.steps)) * m / root
        if decay and options["decoupled"]:
            delta -= rate * decay * values()
        return delta
