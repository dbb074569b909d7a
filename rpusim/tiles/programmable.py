"""`ProgrammableTile`: weights trained in digital become devices that drift, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from rpusim.errors import ConfigError, StateError
from rpusim.inference import BaseDriftCompensation, BaseNoiseModel
from rpusim.kernels.device_arrays import host
from rpusim.kernels.streams import Purpose
from rpusim.periphery.ladder import LadderPeriphery
from rpusim.tiles.analog import AnalogTile
from rpusim.tiles.arguments import as_rate
from rpusim.tiles.programmed_matrix import ProgrammedMatrix
from rpusim.tiles.take_over import taken_over

__all__ = ["ProgrammableTile"]


class ProgrammableTile(AnalogTile):
    """A tile whose weights can be put on programmed devices.

    Parameters are those of `AnalogTile`. From `program_weights` on products see what the devices
    hold, errors included; the weights that were trained stay as targets. Setting weights, learning,
    or `restore` gives the devices up.
    """

    crossbar: ProgrammedMatrix

    def __init__(self, *args: Any, **options: Any) -> None:
        self._baseline = np.zeros(0)
        super().__init__(*args, **options)
        self.crossbar.on_restore = self._give_up
        if isinstance(self._forward, LadderPeriphery):
            self._forward.held = self.crossbar.conductances_read

    def _build_crossbar(self) -> ProgrammedMatrix:
        shape = self._mapping.shape
        return ProgrammedMatrix(shape, self.rpu_config.device, self._streams, self.backend)

    # ---------------------------------------------------------------- what it is

    @property
    def is_programmed(self) -> bool:
        """Whether products see programmed devices."""
        return self.crossbar.devices is not None

    @property
    def time(self) -> float:
        """Seconds since programming, of the last drift; 0 before."""
        return self.crossbar.time or 0.0

    @property
    def alpha(self) -> np.ndarray:
        """Factors that compensate the drift, shape (out_size,); 1 without."""
        return self._mapping.alpha.copy()

    @property
    def offset(self) -> float:
        """What an affine compensation takes off all weights; 0 without."""
        return self._mapping.offset

    def get_target_weights(
        self, apply_weight_scaling: bool = True
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return copies of the weights and bias that devices are, or would be, programmed to.

        Parameters
        ----------
        apply_weight_scaling : bool
            True: logical weights, without any correction for drift. False: as on devices.
        """
        m, alpha, offset = self._mapping, self._mapping.alpha.copy(), self._mapping.offset
        try:
            m.correct()
            return m.logical(host(self.crossbar.persistent), apply_weight_scaling)
        finally:
            m.correct(alpha, offset)

    def get_conductances(self) -> np.ndarray:
        """Return the conductances that make the present weights, (devices, rows, cols), in uS."""
        held = self.crossbar.conductances()
        if held is None:
            raise StateError(
                f"{type(self).__name__}: no devices are programmed; program_weights()."
            )
        return host(held[0])

    # ---------------------------------------------------------------- the life of devices

    def program_weights(  # type: ignore[override]
        self,
        from_reference: bool = True,
        noise_model: BaseNoiseModel | None = None,
        programmed_already: bool = False,
    ) -> None:
        """Program the weights onto devices, with the errors of the noise model.

        Conductances and drift coefficients are drawn once; drift and reads act on them. Programming
        again starts from the same targets and draws other devices.

        Parameters
        ----------
        from_reference : bool
            False: what the devices hold now, errors and all, becomes the target.
        noise_model : BaseNoiseModel, optional
            Instead of that of the configuration, for good.
        programmed_already : bool
            Whether devices hold the targets without an error: they were trained in place.
        """
        where = f"{type(self).__name__}.program_weights"
        flags = (from_reference, programmed_already)
        if not all(isinstance(flag, bool | np.bool_) for flag in flags):
            raise ConfigError(
                f"{where}: from_reference and programmed_already must be True or False, got "
                f"{flags!r}; the weights to program are set by set_weights."
            )
        if noise_model is None:
            self._program(from_reference, programmed_already)
            return
        if not isinstance(noise_model, BaseNoiseModel):
            hint = "; call it to make one" if isinstance(noise_model, type) else ""
            raise ConfigError(f"{where}: noise_model must be one, got {noise_model!r}{hint}.")
        config, before = self.rpu_config, self.state_dict()
        self.rpu_config = config.replace(noise_model=noise_model)
        try:
            self._program(from_reference, programmed_already)
        except BaseException:  # a law that cannot run, wires that need pairs: nothing has changed
            self.rpu_config = config
            self._sync_converter()
            self.load_state_dict(before)
            raise

    def _program(self, from_reference: bool, exact: bool) -> None:
        """Program by the noise model of the configuration, and read the probe."""
        model, box = self.rpu_config.noise_model, self.crossbar
        if not from_reference and self.is_programmed:
            box.persistent[:] = box.weights
        box.program(model, exact)
        self._sync_converter()
        self.stats.writes += 1
        compensation = self.rpu_config.drift_compensation
        if compensation is not None:
            ideal = compensation.exact_reference
            targets = host(box.persistent).T if ideal else None
            product = (lambda x: x @ targets) if ideal else self._probe
            self._baseline = self._read_out(compensation, product)

    def drift_weights(self, t_inference: float = 0.0) -> None:
        """Let the devices be what they are some time after programming, and compensate.

        They are programmed first if they are not. Times need not ascend: each device has one
        trajectory. The read noise is drawn anew.

        Parameters
        ----------
        t_inference : float
            Seconds since the end of programming.
        """
        t = self.check_time(t_inference)
        if not self.is_programmed:
            self.program_weights()
        self.crossbar.drift_to(t)
        compensation = self.rpu_config.drift_compensation
        if compensation is not None:
            now = self._read_out(compensation, self._probe)
            if now.shape != self._baseline.shape:
                raise StateError(
                    f"{type(self).__name__}.drift_weights: the read-out has shape {now.shape}, "
                    f"that after programming had {self._baseline.shape}; program again."
                )
            self._mapping.correct(*compensation.correction(now, self._baseline))

    def check_time(self, t: float) -> float:
        """Return a time as a float; raise `DataError` if it is none, or not one of the model's."""
        where = f"{type(self).__name__}.drift_weights: t_inference"
        t = as_rate(t, where, "a time >= 0, in seconds")
        self.rpu_config.noise_model.packed(t)
        return t

    def drift_to(self, t: float) -> None:
        """Let the devices be what they are `t` seconds after programming: `drift_weights`."""
        self.drift_weights(t)

    def age(self, delta_t: float) -> None:
        """Let a time pass, in seconds."""
        where = f"{type(self).__name__}.age: delta_t"
        self.drift_weights(self.time + as_rate(delta_t, where, "a time >= 0, in seconds"))

    def restore(self) -> None:
        """Give the devices up: products see the targets again, as trained."""
        self.crossbar.restore_targets()

    @contextmanager
    def programmed(self, noise_model: BaseNoiseModel | None = None) -> Iterator[None]:
        """Return a context in which the weights are programmed; afterwards all is as before.

        Parameters
        ----------
        noise_model : BaseNoiseModel, optional
            Instead of that of the configuration, for good.
        """
        self.program_weights(noise_model=noise_model)
        try:
            yield
        finally:
            self.restore()

    def _give_up(self) -> None:
        self._mapping.correct()
        self._baseline = np.zeros(0)

    def _sync_converter(self) -> None:
        """Let wires see the conductances that the noise model's converter makes."""
        if isinstance(self._forward, LadderPeriphery):
            self._forward.converter = self.rpu_config.noise_model.converter

    def _read_out(self, compensation: BaseDriftCompensation, product: Any) -> np.ndarray:
        seed = self._streams.key(Purpose.PROGRAM)[0]
        return compensation.read(product, self.crossbar.shape[1], seed)

    def _probe(self, u: np.ndarray) -> np.ndarray:
        """Return what the tile's analog side makes of vectors on its lines, in evaluation."""
        weights, mark = self._weights_for(False)
        first, key = self._streams.take(Purpose.FORWARD, len(u)), self._streams.key(Purpose.FORWARD)
        where = f"{type(self).__name__}: probe of the drift compensation"
        neutral = self._digital.neutral
        y, _, _ = self._forward(u, weights, neutral, first, key, where, mark, False, False)
        self.crossbar.finish_read()
        self.stats.reads_forward += len(u)
        return y

    # ---------------------------------------------------------------- weights from elsewhere

    def set_weights(self, *args: Any, **options: Any) -> int:
        """Write weights as `AnalogTile.set_weights`; devices that are programmed are given up."""
        if self.is_programmed:
            before = self.state_dict()
            self.restore()
            try:
                return super().set_weights(*args, **options)
            except BaseException:  # refused: nothing has changed
                self.load_state_dict(before)
                raise
        return super().set_weights(*args, **options)

    @classmethod
    def from_tile(
        cls, tile: AnalogTile, rpu_config: Any = None, *, in_place: bool = True, rng: Any = None
    ) -> ProgrammableTile:
        """Return a tile for inference with the weights of another one, of any kind.

        Parameters
        ----------
        tile : AnalogTile
            With what its devices hold, its scales and its bias.
        rpu_config : InferenceRPUConfig, optional
            Of the new tile.
        in_place : bool
            Whether the devices stay the same, and so are programmed already, without an error.
            False: program them yourself.
        rng : None, int, SeedSequence or Generator
            Source of the new tile's randomness.
        """
        return taken_over(cls, tile, rpu_config, in_place, rng)

    # ---------------------------------------------------------------- state

    def _extra_state(self) -> dict[str, np.ndarray]:
        m = self._mapping
        return {
            **super()._extra_state(),
            "drift_alpha": m.alpha.copy(),
            "drift_offset": np.array(m.offset),
            "drift_baseline": self._baseline.copy(),
        }

    def _restore_extra(self, state: Mapping[str, Any]) -> None:
        super()._restore_extra(state)
        self.crossbar.restore_devices(state, self.rpu_config.noise_model)
        self._mapping.correct(state["drift_alpha"], float(state["drift_offset"]))
        self._baseline = np.array(state["drift_baseline"], np.float64)
