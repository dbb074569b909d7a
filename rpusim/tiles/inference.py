"""`InferenceTile`: a tile that is trained in digital, hardware-aware, to be programmed later."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.errors import ConfigError
from rpusim.inference import WeightClipType, WeightModifierType, WeightRemapType
from rpusim.inference.limits import clip_limit, remapped
from rpusim.inference.modify import modified
from rpusim.kernels.streams import Purpose
from rpusim.periphery import Moments
from rpusim.tiles.context import ForwardContext
from rpusim.tiles.programmable import ProgrammableTile
from rpusim.tiles.settings import InferenceRPUConfig

__all__ = ["InferenceTile"]

NONE_DRAWN = -1


class InferenceTile(ProgrammableTile):
    r"""A tile whose weights are learned in digital, with a noisy copy of them in each forward.

    In training, products see :math:`\tilde W = M(W)` (`rpusim.inference.modify`), one copy for each
    step: it is drawn at the first forward after a step, or after anything else changed the weights,
    and errors go back through the copy that their forward used. Updates go to W. Evaluation sees W,
    unless ``modifier.enable_during_test`` is set.

    After each step (`post_update_step`): diffusion and decay, clip, remap
    (`rpusim.inference.limits`).

    `program_weights` puts the weights on devices, `drift_weights` lets them age: from then on
    products see conductances with their errors, drift and read noise, compensated by `alpha`, and
    no modified copy, in training mode as well. Learning, `set_weights` and `restore` go back to W.

    Parameters are those of `AnalogTile`; `rpu_config` is an `InferenceRPUConfig` (the default).
    """

    def __init__(
        self,
        out_size: int,
        in_size: int,
        rpu_config: Any = None,
        bias: bool = False,
        *,
        rng: Any = None,
        backend: str = "cpu",
    ) -> None:
        rpu_config = InferenceRPUConfig() if rpu_config is None else rpu_config
        self._step = NONE_DRAWN
        self._copy: tuple[int, np.ndarray] | None = None  # of which version, and what
        super().__init__(out_size, in_size, rpu_config, bias, rng=rng, backend=backend)

    def _check_config(self) -> None:
        if not isinstance(self.rpu_config, InferenceRPUConfig):
            raise ConfigError(
                f"InferenceTile needs an InferenceRPUConfig, got {self.rpu_config!r}; "
                "for other configurations use AnalogTile."
            )

    def moments(self, x: Any) -> Moments:
        """Return mean and variance of evaluation, as `AnalogTile.moments`."""
        if self.crossbar.reads_anew:
            raise ConfigError(
                f"{type(self).__name__}.moments: read_noise PER_CALL has no closed form; with "
                "PER_DRIFT the devices are as they were read last."
            )
        return super().moments(x)

    # ---------------------------------------------------------------- the modified copy

    @property
    def _modifies(self) -> bool:
        return self.rpu_config.modifier.type is not WeightModifierType.NONE

    def _weights_for(self, training: bool) -> tuple[np.ndarray, Any]:
        settings, box = self.rpu_config.modifier, self.crossbar
        if self.is_programmed:
            return box.read()
        if not self._modifies or not (training or settings.enable_during_test):
            return box.weights, box.version
        if self._copy is None or self._copy[0] != box.version:
            self._step = self._streams.take(Purpose.MODIFY)
            self._copy = box.version, self._modified(self._step)
        return self._copy[1], (box.version, self._step)

    def _modified(self, step: int, sample: int | None = None) -> np.ndarray:
        """Return the copy of number `step` of the present weights."""
        key, settings = self._streams.key(Purpose.MODIFY), self.rpu_config.modifier
        bias = self._mapping.analog_bias and settings.copy_last_column
        settings, w = settings.replace(copy_last_column=False), self.crossbar.weights
        model = self.rpu_config.noise_model
        return modified(w, settings, key, step, self.backend, bias, sample, model)

    def _read(
        self, u: np.ndarray, weights: np.ndarray, version: Any, is_test: bool, where: str
    ) -> tuple[np.ndarray, ForwardContext]:
        settings, box = self.rpu_config.modifier, self.crossbar
        one_for_all = not settings.per_batch_sample or self.is_programmed
        if one_for_all or weights is box.weights or not np.isfinite(u).all():
            read = super()._read(u, weights, version, is_test, where)
            box.finish_read()
            return read
        first = self._streams.peek(Purpose.FORWARD)
        results, contexts = [], []
        for row in range(len(u)):  # each vector sees a copy of its own
            own = self._modified(self._step, first + row)
            y, context = super()._read(u[row : row + 1], own, None, is_test, where)
            results.append(y)
            contexts.append(context)
        if not contexts:
            return super()._read(u, weights, version, is_test, where)
        merged = contexts[0]
        merged.report = np.concatenate([c.report for c in contexts])
        merged.masks = np.concatenate([c.masks for c in contexts])
        merged.weights, merged.copies = weights, (self._step, first)
        return np.concatenate(results), merged

    def _back(
        self, d2: np.ndarray, context: ForwardContext | None, where: str, is_test: bool = False
    ) -> np.ndarray:
        if context is None or context.copies is None:
            x = super()._back(d2, context, where, is_test)
            if context is None:
                self.crossbar.finish_read()
            return x
        step, first = context.copies
        results = []
        for row in range(len(d2)):
            own = self._modified(step, first + row)
            one = dataclasses.replace(context, weights=own, mark=None, copies=None)
            results.append(super()._back(d2[row : row + 1], one, where))
        return np.concatenate(results)

    # ---------------------------------------------------------------- after a step

    def post_update_step(self) -> None:
        """Diffuse, decay, clip and remap once; the next training forward sees a new copy.

        Nothing happens to programmed devices.
        """
        if self.is_programmed:
            return
        super().post_update_step()
        config, box = self.rpu_config, self.crossbar
        if config.clip.type is not WeightClipType.NONE:
            limit = clip_limit(box.weights, config.clip)
            if limit is not None:
                box.clip(limit)
        if config.remap.type is not WeightRemapType.NONE:
            w, scales = remapped(box.weights, self._mapping.total(), config.remap)
            box.set_weights(w)
            self._mapping.take_scales(scales)
        self._copy = None

    # ---------------------------------------------------------------- state

    def _extra_state(self) -> dict[str, np.ndarray]:
        state = super()._extra_state()
        if self._modifies:
            valid = self._copy is not None and self._copy[0] == self.crossbar.version
            state["modifier_step"] = np.array(self._step if valid else NONE_DRAWN)
        return state

    def _restore_extra(self, state: Mapping[str, Any]) -> None:
        super()._restore_extra(state)
        self._copy = None
        if self._modifies and int(state["modifier_step"]) != NONE_DRAWN:
            self._step = int(state["modifier_step"])
            self._copy = self.crossbar.version, self._modified(self._step)
