"""Stochastic gradient descent for networks with tiles: each tile applies its own update."""

import math
import numbers
from collections.abc import Iterable
from typing import Any

from rpusim.config import nearest
from rpusim.errors import ConfigError, StateError
from rpusim.nn.parameter import AnalogBias, AnalogParameter, Parameter
from rpusim.tiles.pairs import updates

__all__ = ["AnalogSGD"]

#: What optimizers elsewhere can do, and pulses cannot.
NEED_A_GRADIENT = {"momentum", "dampening", "nesterov", "weight_decay", "maximize"}


class AnalogSGD:
    r"""Gradient descent: digital parameters step in digital, tiles by pulses.

    One `step` does, in this order,

    1. for every tile :math:`W \leftarrow W - \eta \sum_b d_b x_b^\mathsf{T}`, realised by its
       devices from all pairs (x, d) recorded since the last step, in the order of the backward
       calls, as one batch; at a rate of 0 the pairs are dropped;
    2. for every digital parameter :math:`p \leftarrow p - \eta\, \partial L / \partial p`, a
       tile's own scales and range among them;
    3. for every tile, also one without pairs, what happens once per step: decay, diffusion, ...

    Afterwards no gradients and no pairs are left. Parameters with ``requires_grad = False`` and
    their tiles are left alone. For different rates make several optimizers.

    Parameters
    ----------
    parameters : iterable of Parameter, AnalogParameter, AnalogBias
        What to train, ``model.parameters()``; each once.
    lr : float, default 0.1
        Learning rate :math:`\eta`, finite and >= 0.

    Attributes
    ----------
    lr : float
        Can be set at any time, to follow a schedule.

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

    def __init__(self, parameters: Iterable[Any], lr: float = 0.1, **unknown: Any):
        for name in unknown:
            if name in NEED_A_GRADIENT:
                raise ConfigError(
                    f"AnalogSGD cannot follow {name!r}: devices are pulsed by the vectors x and d, "
                    "and no gradient matrix exists that it could act on. Decay and momentum of "
                    "devices are set in the configuration of the tile."
                )
            raise ConfigError(f"AnalogSGD has no option {name!r}{nearest(name, ['lr'])}.")
        self.lr = lr
        self._digital, self._analog = _sorted(parameters)

    @property
    def lr(self) -> float:
        """Learning rate."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and value >= 0.0):
            raise ConfigError(f"AnalogSGD.lr must be finite and >= 0, got {value!r}.")
        self._lr = float(value)

    @property
    def parameters(self) -> list[Any]:
        """The parameters that it trains, digital ones first."""
        return [*self._digital, *self._analog]

    def step(self) -> None:
        """Apply what the backward passes since the last step recorded, once.

        Raises
        ------
        StateError
            If no backward was called since the last step.
        """
        if not any(p.pairs for p in self._analog) and all(p.grad is None for p in self._digital):
            raise StateError(
                "AnalogSGD.step: no gradient was recorded since the last step; call "
                "backward(grad) of the model, in training mode, before each step()."
            )
        try:
            self._step_analog()  # first: with the scales that the gradients belong to
            self._step_digital()
            self._pass_step()
        finally:
            self.zero_grad()

    def _step_digital(self) -> None:
        for p in self._digital:
            if p.requires_grad and p.grad is not None:
                values = p.data
                values -= self._lr * p.grad
                p.project()

    def _step_analog(self) -> None:
        for p in self._analog:
            pairs = p.take_pairs() if p.requires_grad else ()
            if pairs and self._lr > 0.0:
                for x, d in updates(pairs, p.tile.learns_by_batch):
                    p.tile.update(x, d, learning_rate=self._lr)

    def _pass_step(self) -> None:
        for p in self._analog:
            if p.requires_grad:
                p.tile.post_update_step()

    def zero_grad(self) -> None:
        """Drop gradients and pairs without applying them."""
        for parameter in self._digital:
            parameter.grad = None
        for weight in self._analog:
            weight.take_pairs()

    def __repr__(self) -> str:
        digital, analog = len(self._digital), len(self._analog)
        return f"AnalogSGD(lr={self.lr}, {analog} analog and {digital} digital parameters)"


def _sorted(parameters: Iterable[Any]) -> tuple[list[Parameter], list[AnalogParameter]]:
    """Return the digital and the analog parameters, checked; a bias column goes with its tile."""
    try:
        given = list(parameters)
    except TypeError:
        given = [parameters]
    digital = [p for p in given if isinstance(p, Parameter)]
    analog = [p for p in given if isinstance(p, AnalogParameter)]
    columns = [p for p in given if isinstance(p, AnalogBias)]
    wrong = [p for p in given if not isinstance(p, Parameter | AnalogParameter | AnalogBias)]
    if wrong or not given:
        got = type(wrong[0]).__name__ if wrong else "none"
        raise ConfigError(
            f"AnalogSGD.parameters must be parameters, as from model.parameters(), got {got}."
        )
    keys = [id(p) for p in digital] + [id(p.tile) for p in analog]
    if len(set(keys)) < len(keys):
        raise ConfigError("AnalogSGD.parameters must name each parameter and each tile once.")
    if not {id(p.tile) for p in columns} <= {id(p.tile) for p in analog}:
        raise ConfigError(
            "AnalogSGD.parameters has the AnalogBias of a tile without its weight; a bias column "
            "is pulsed together with the weights, so give both."
        )
    return digital, analog
