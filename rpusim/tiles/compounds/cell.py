r"""Cells of several devices at each crosspoint: what all of them share.

A cell is made of parts, each a crossbar or a cell itself, with the visible weight

.. math:: W = \sum_k \gamma_k w_k

A part is read and set under names with its number behind: ``hidden_weights_0``, ``max_bound_1``; of
parts of parts the inner number stands first: ``decay_scales_1_0`` is inner part 1 of part 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.config import nearest
from rpusim.errors import DataError, ShapeError, StateError
from rpusim.kernels.device_arrays import copied, host, namespace, place, put
from rpusim.kernels.streams import Streams
from rpusim.pulses.settings import UpdateParameters
from rpusim.tiles.compounds.unit_cell import CompoundDevice
from rpusim.tiles.ledger import UpdateReport

__all__ = ["Cell"]

Box = Any  # a Crossbar or a Cell


class Cell:
    """Several crossbars that act as one. It has the methods of a `Crossbar`.

    A kind of cell defines `_learn`, and may extend the others.

    Parameters
    ----------
    device : CompoundDevice
        Its configuration.
    parts : list
        Crossbars or cells, of one shape.
    gammas : sequence of float
        Weight of each part in the sum.
    streams : Streams
        Where its own draws come from.
    names : sequence of str
        Names of the parts, as in the paper.

    Attributes
    ----------
    weights : ndarray of shape (rows, cols)
        What the product sees.
    version : int
        Grows with every change of the weights.
    arrays : dict of str to ndarray
        State of the cell's own by name, changed in place: buffers, choppers, counters. It is
        digital, and lives in this machine's memory unless whole matrices are worked on at once.
    shown : dict of str to str
        Hidden parameter -> array, for those of its own arrays that have the devices' shape.
    """

    def __init__(
        self,
        device: CompoundDevice,
        parts: list[Box],
        gammas: Any,
        streams: Streams,
        names: tuple[str, ...] = (),
    ) -> None:
        self.device, self.parts, self.streams = device, parts, streams
        self.shape, self.backend = parts[0].shape, parts[0].backend
        self.gammas = np.asarray(gammas, np.float32)
        self.names = names or tuple(str(k) for k in range(len(parts)))
        self.weights = namespace(self.backend).zeros(self.shape, np.float32)
        self.arrays: dict[str, np.ndarray] = {}
        self.shown: dict[str, str] = {}
        self.version = 0

    def __getitem__(self, name: str) -> Box:
        """Return the part of this name."""
        if name not in self.names:
            raise StateError(f"no part is called {name!r}{nearest(name, self.names)}")
        return self.parts[self.names.index(name)]

    @property
    def granularity(self) -> float:
        """Mean weight change of a pulse, over the parts; assigned, that of each part."""
        return float(np.mean([part.granularity for part in self.parts]))

    @granularity.setter
    def granularity(self, value: float) -> None:
        for part in self.parts:
            part.granularity = value

    # ---------------------------------------------------------------- learning

    def update(
        self, x: np.ndarray, d: np.ndarray, rate: float, settings: UpdateParameters
    ) -> UpdateReport:
        """Learn from a batch of vector pairs, in order, at a rate > 0; see `Crossbar.update`."""
        report = self._learn(x, d, rate, settings)
        self.refresh()
        return report

    def _learn(
        self, x: np.ndarray, d: np.ndarray, rate: float, settings: UpdateParameters
    ) -> UpdateReport:
        """Change the parts; the visible weights follow."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Let the visible weights follow the parts."""
        self.version += 1
        self.weights[:] = self._visible()

    def _visible(self, parts: list[Box] | None = None) -> np.ndarray:
        """Return what some parts, the first ones, add up to; by default all."""
        return self._sum([p.weights for p in (self.parts if parts is None else parts)])

    def _held(self, parts: list[Box] | None = None) -> np.ndarray:
        """Return what some parts, the first ones, add up to before write noise."""
        return self._sum([p._held() for p in (self.parts if parts is None else parts)])

    def _sum(self, arrays: list[np.ndarray]) -> np.ndarray:
        total = namespace(self.backend).zeros(self.shape, np.float32)
        for gamma, array in zip(self.gammas, arrays, strict=False):
            if gamma != 0.0:
                total += gamma * array
        return total

    # ---------------------------------------------------------------- weights

    def set_weights(self, weights: np.ndarray) -> int:
        """Write visible weights as far as bounds permit; return how many they changed.

        All parts but the last are set to 0 as they are seen, the last to what is missing; the
        cell's own state begins anew.
        """
        for part in self.parts[:-1]:
            part.set_weights(np.zeros(self.shape, np.float32))
        self.begin_anew()
        rest = self._held(self.parts[:-1])
        self.parts[-1].set_weights((place(weights, self.backend) - rest) / self.gammas[-1])
        self.refresh()
        return self.missed(weights)

    def missed(self, weights: np.ndarray) -> int:
        """Return how many weights are not those asked for, beyond rounding and write noise."""
        wanted = place(weights, self.backend)
        return int((np.abs(self._held() - wanted) > 1e-5 * (1.0 + np.abs(wanted))).sum())

    def begin_anew(self) -> None:
        """Set the cell's own arrays to what they are at first."""
        for array in self.arrays.values():
            array[...] = 0

    def weight_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and the largest visible weight of each crosspoint."""
        low, high = namespace(self.backend).zeros((2, *self.shape), np.float32)
        for gamma, part in zip(self.gammas, self.parts, strict=True):
            if gamma != 0.0:
                ends = [gamma * end for end in part.weight_range()]
                low, high = low + np.minimum(*ends), high + np.maximum(*ends)
        return low, high

    # ---------------------------------------------------------------- without pulses

    def decay(self, alpha: float = 1.0) -> None:
        """Decay every part once, each by its own rates."""
        self._each("decay", alpha)

    def diffuse(self) -> None:
        """Let every part take one step of its random walk."""
        self._each("diffuse")

    def drift(self, delta_t: float) -> None:
        """Let a time pass for every part."""
        self._each("drift", delta_t)

    @property
    def drifts(self) -> bool:
        """Whether time does anything to a part."""
        return any(part.drifts for part in self.parts)

    def clip(self, value: float) -> None:
        """Limit the weights of every part to ``-value..value``."""
        self._each("clip", value)

    def reset(self, columns: np.ndarray, prob: float = 1.0) -> None:
        """Reset the marked columns of every part, each device with probability `prob`."""
        self._each("reset", columns, prob)

    def _each(self, method: str, *args: Any) -> None:
        before = [part.version for part in self.parts]
        for part in self.parts:
            getattr(part, method)(*args)
        if before != [part.version for part in self.parts]:
            self.refresh()

    def pulse_counts(self) -> dict[str, np.ndarray]:
        """Return the pulses of every part that counts them, by name and direction."""
        counts: dict[str, np.ndarray] = {}
        for k, part in enumerate(self.parts):
            counts |= {f"{name}_{k}": count for name, count in part.pulse_counts().items()}
        return counts

    # ---------------------------------------------------------------- hidden parameters

    def hidden_parameters(self) -> dict[str, np.ndarray]:
        """Return a copy of everything that each crosspoint carries, by name."""
        hidden: dict[str, np.ndarray] = {}
        for k, part in enumerate(self.parts):
            hidden |= {f"{name}_{k}": array for name, array in part.hidden_parameters().items()}
            hidden[f"hidden_weights_{k}"] = copied(part.weights)
        return hidden | {name: copied(self.arrays[array]) for name, array in self.shown.items()}

    def set_hidden_parameters(
        self, changes: Mapping[str, Any], recompute_derived: bool = True
    ) -> None:
        """Replace some of it; nothing changes if any of it is refused.

        Weights of a part (``hidden_weights_k``) are set last, within its bounds. Those of a part
        that is a cell follow from its own parts: set these.
        """
        before = self.state()
        try:
            self._set_hidden(changes, recompute_derived)
        except BaseException:
            self.restore(before)
            raise

    def _set_hidden(self, changes: Mapping[str, Any], recompute_derived: bool) -> None:
        known = self.hidden_parameters()
        inner: list[dict[str, Any]] = [{} for _ in self.parts]
        own: dict[str, np.ndarray] = {}
        for name, values in changes.items():
            if name not in known:
                raise StateError(f"no hidden parameter is called {name!r}{nearest(name, known)}")
            stem, _, index = name.rpartition("_")
            if name in self.shown or stem == "hidden_weights":
                own[name] = self._checked(name, values)
            else:
                inner[int(index)][stem] = values
        for part, some in zip(self.parts, inner, strict=True):
            if some:
                part.set_hidden_parameters(some, recompute_derived)
        for name, array in own.items():
            if name in self.shown:
                put(self.arrays[self.shown[name]], array)
            else:
                self._set_part(int(name.rpartition("_")[2]), array)
        self.refresh()

    def _checked(self, name: str, values: Any) -> np.ndarray:
        array = np.asarray(values, np.float32)
        if array.shape != self.shape:
            raise ShapeError(f"{name} must have shape {self.shape}, got {array.shape}.")
        if not np.isfinite(array).all():
            raise DataError(f"{name} must be finite, got NaN or infinity.")
        return array

    def _set_part(self, k: int, weights: np.ndarray) -> None:
        part = self.parts[k]
        if not isinstance(part, Cell):
            part.set_weights(weights)
        elif not np.allclose(host(part.weights), weights, rtol=1e-5, atol=1e-6):
            names = ", ".join(f"hidden_weights_{j}_{k}" for j in range(len(part.parts)))
            raise StateError(f"hidden_weights_{k} follows from {names}: set these.")

    # ---------------------------------------------------------------- state

    def state(self) -> dict[str, np.ndarray]:
        """Return everything as plain arrays, by name."""
        state = {f"cell_{name}": copied(array) for name, array in self.arrays.items()}
        state |= {f"cell_{name}": array for name, array in self.streams.state().items()}
        for k, part in enumerate(self.parts):
            state |= {f"part_{k}.{name}": array for name, array in part.state().items()}
            if not isinstance(part, Cell):
                streams = part.streams.state()
                state |= {f"part_{k}.{name}": array for name, array in streams.items()}
        return state

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from what `state` returned; the caller has checked names and shapes."""
        for name, array in self.arrays.items():
            put(array, state[f"cell_{name}"])
        self.streams.restore({n: state[f"cell_{n}"] for n in ("rng_steps", "rng_seed")})
        for k, part in enumerate(self.parts):
            head = f"part_{k}."
            inner = {n.removeprefix(head): a for n, a in state.items() if n.startswith(head)}
            if not isinstance(part, Cell):
                part.streams.restore(inner)
            part.restore(inner)
        self.refresh()
