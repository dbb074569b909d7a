"""What all optimizers do: one step, in a fixed order, of digital parameters and of tiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rpusim.config import nearest
from rpusim.errors import ConfigError, StateError
from rpusim.nn.parameter import AnalogParameter
from rpusim.optim.arrays import check_arrays
from rpusim.optim.groups import Group, Slot, as_number, groups_of, has_column, slots_of
from rpusim.tiles.lazy_pairs import LazyPair, gradient, updates
from rpusim.tiles.pairs import Multiplied

__all__ = ["Optimizer"]

#: What pulsed tiles do under an option that needs a gradient matrix: follow plain SGD.
FOLLOW = "sgd"


class Optimizer:
    """Base of the optimizers: groups, the order of a step, state.

    A subclass says which options need a gradient matrix (`_needs_matrix`), what it remembers
    (`_remembers`), and how far a parameter moves (`_delta`).

    Parameters
    ----------
    parameters : iterable
        Parameters, or groups.
    lr : float
        Learning rate.
    analog_mode : None or "sgd"
        Whether pulsed tiles may follow plain SGD where options ask for more.
    options : dict
        Options of the subclass and their values.
    unknown : dict
        What else was given, to be refused.
    """

    def __init__(
        self,
        parameters: Any,
        lr: float,
        analog_mode: str | None,
        options: Mapping[str, Any],
        unknown: Mapping[str, Any],
    ) -> None:
        where = type(self).__name__
        for name in unknown:
            known = ["lr", "analog_mode", *options]
            raise ConfigError(f"{where} has no option {name!r}{nearest(name, known)}.")
        if analog_mode not in (None, FOLLOW):
            raise ConfigError(
                f"{where}.analog_mode must be None or {FOLLOW!r}, got {analog_mode!r}."
            )
        self.lr = lr
        self._base = self._lr
        self.analog_mode = analog_mode
        self._groups = groups_of(parameters, self._lr, options, where)
        for group in self._groups:
            self._check(group.options)
        self._digital, self._analog = slots_of(self._groups)
        for slot in self._analog:
            if slot.parameter.requires_grad:
                self._refuse_pulsed(slot)
        for slot in self._slots:
            if self._steps_by_matrix(slot):
                names = self._remembers(slot.group)
                slot.memory = {name: np.zeros(slot.shape, np.float32) for name in names}

    # ---------------------------------------------------------------- what a subclass says

    #: Options beside the learning rate, as shown.
    shown: ClassVar[tuple[str, ...]] = ()

    def _check(self, options: dict[str, Any]) -> None:
        """Refuse options of a group that mean nothing."""

    def _needs_matrix(self, group: Group) -> str | None:
        """Return what in a group's options needs a gradient matrix, None if nothing does."""
        return None

    def _remembers(self, group: Group) -> tuple[str, ...]:
        """Return the names of the arrays that are kept for each parameter."""
        return ()

    def _delta(self, slot: Slot, g: np.ndarray, values: Any, rate: float) -> np.ndarray:
        """Return how far a parameter moves.

        Parameters
        ----------
        slot : Slot
            The parameter and its memory.
        g : ndarray
            Its gradient; not to be changed.
        values : callable
            Returns its present values, not to be changed.
        rate : float
            Learning rate.
        """
        raise NotImplementedError

    # ---------------------------------------------------------------- rates, parameters

    @property
    def lr(self) -> float:
        """Learning rate; groups with rates of their own follow it in proportion."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = as_number(value, f"{type(self).__name__}.lr")

    @property
    def rates(self) -> list[float]:
        """The present learning rate of each group."""
        return [self._rate(group) for group in self._groups]

    def _rate(self, group: Group) -> float:
        return self._lr if group.lr is None else group.lr * (self._lr / self._base)

    @property
    def parameters(self) -> list[Any]:
        """The parameters that it trains, digital ones first."""
        return [slot.parameter for slot in self._slots]

    @property
    def _slots(self) -> list[Slot]:
        return [*self._digital, *self._analog]

    def _steps_by_matrix(self, slot: Slot) -> bool:
        """Whether a parameter moves by the optimizer's own rule, not by its tile's update."""
        if not isinstance(slot.parameter, AnalogParameter):
            return True
        return self._needs_matrix(slot.group) is not None and slot.parameter.tile.learns_in_digital

    def _refuse_pulsed(self, slot: Slot) -> None:
        option, tile = self._needs_matrix(slot.group), slot.parameter.tile
        if option is None or self.analog_mode == FOLLOW or tile.learns_in_digital:
            return
        device = type(tile.rpu_config.device).__name__
        raise ConfigError(
            f"{type(self).__name__}: {option} cannot act on the {type(tile).__name__} of "
            f"{tile.in_size} inputs and {tile.out_size} outputs: its {device} is pulsed by the "
            "vectors x and d, without a gradient matrix. Give it a group without, or "
            f"analog_mode={FOLLOW!r} to let pulsed tiles follow plain SGD; momentum and decay of "
            "devices are set in the configuration of the tile."
        )

    # ---------------------------------------------------------------- the step

    def step(self) -> None:
        """Apply what the backward passes since the last step recorded, once.

        Raises
        ------
        StateError
            If no backward was called since the last step.
        """
        waiting = any(slot.parameter.pairs for slot in self._analog)
        if not waiting and all(slot.parameter.grad is None for slot in self._digital):
            raise StateError(
                f"{type(self).__name__}.step: no gradient was recorded since the last step; call "
                "backward(grad) of the model, in training mode, before each step()."
            )
        for slot in self._analog:
            if slot.parameter.requires_grad and slot.parameter.pairs:
                self._refuse_pulsed(slot)  # thawed since
        try:
            for slot in self._analog:  # first: with the scales that the gradients belong to
                self._step_analog(slot)
            for slot in self._digital:
                self._step_digital(slot)
            for slot in self._analog:
                if slot.parameter.requires_grad:
                    slot.parameter.tile.post_update_step()
        finally:
            self.zero_grad()

    def _step_digital(self, slot: Slot) -> None:
        p = slot.parameter
        if p.requires_grad and p.grad is not None:
            values = p.data
            values += self._delta(slot, p.grad, lambda: values, self._rate(slot.group))
            p.project()

    def _step_analog(self, slot: Slot) -> None:
        p, rate = slot.parameter, self._rate(slot.group)
        pairs = p.take_pairs() if p.requires_grad else ()
        if not pairs:
            return
        whole = any(not isinstance(q, LazyPair) and isinstance(q[1], Multiplied) for q in pairs)
        if whole or self._steps_by_matrix(slot):
            g = p.tile.step_gradient(gradient(pairs, has_column(p.tile)))
            delta = self._delta(slot, g, p.tile.trained_weights, rate)
            if rate > 0.0:
                p.tile.apply_step(delta)
        elif rate > 0.0:
            for x, d in updates(pairs, p.tile.learns_by_batch):
                p.tile.update(x, d, learning_rate=rate)

    def zero_grad(self) -> None:
        """Drop gradients and pairs without applying them; forwards keep what they need."""
        for slot in self._digital:
            slot.parameter.grad = None
        for slot in self._analog:
            slot.parameter.take_pairs()

    # ---------------------------------------------------------------- state

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return learning rate and memory as arrays, by name; parameters are counted."""
        state = {"lr": np.array([self._lr, self._base])}
        for i, slot in enumerate(self._slots):
            if slot.memory:
                state[f"{i}.steps"] = np.array(slot.steps)
                state |= {f"{i}.{name}": array.copy() for name, array in slot.memory.items()}
        return state

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `state_dict` returned, bit for bit; all of it or nothing.

        Parameters
        ----------
        state : dict of str to ndarray
            Of an optimizer of the same kind and options, for parameters alike in the same order.

        Raises
        ------
        StateError, ShapeError, DataError
            If it does not fit; then nothing is changed.
        """
        where = type(self).__name__
        arrays = check_arrays(self.state_dict(), state, where)
        lr, base = (as_number(float(v), f"{where}.load_state_dict: lr") for v in arrays["lr"])
        self._lr, self._base = lr, base
        for i, slot in enumerate(self._slots):
            if slot.memory:
                slot.steps = int(arrays[f"{i}.steps"])
                for name, array in slot.memory.items():
                    array[...] = arrays[f"{i}.{name}"]

    def __repr__(self) -> str:
        digital, analog = len(self._digital), len(self._analog)
        options = self._groups[0].options if len(self._groups) == 1 else {}
        parts = [f"lr={self.lr}", f"{len(self._groups)} groups"]
        if options:
            parts[1:] = [f"{name}={options[name]}" for name in self.shown if options[name]]
        parts.append(f"{analog} analog and {digital} digital parameters")
        return f"{type(self).__name__}({', '.join(parts)})"
