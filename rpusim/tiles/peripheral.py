"""`PeripheralTile`: what stands around a tile's crossbar, to be looked at and set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from rpusim.devices.fabrication import Draw
from rpusim.errors import ConfigError, DataError
from rpusim.kernels.device_arrays import host
from rpusim.kernels.streams import Purpose
from rpusim.periphery import IOParametersIRDropT, Moments
from rpusim.periphery.ladder import LadderPeriphery
from rpusim.periphery.ladder_circuit import physical_size
from rpusim.periphery.lines import draw_parameters
from rpusim.periphery.moments import product_moments
from rpusim.periphery.mvm import Periphery
from rpusim.tiles.arguments import as_rate, as_vectors
from rpusim.tiles.base import Tile
from rpusim.tiles.context import ForwardContext
from rpusim.tiles.digital_stage import DigitalStage
from rpusim.tiles.gradients import Backward

__all__ = ["PeripheralTile"]


class PeripheralTile(Tile):
    """A tile with its periphery. Parameters and attributes are those of `AnalogTile`."""

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
        super().__init__(out_size, in_size, rpu_config, bias, rng=rng, backend=backend)
        forward, backward, gradient = self._products()
        draw, shape = Draw(self._streams.key(Purpose.FABRICATE)), self.crossbar.shape
        parameters = draw_parameters(forward, shape, False, draw)
        if isinstance(forward, IOParametersIRDropT) and not forward.perfect:
            model = getattr(self.rpu_config, "noise_model", None)
            wired = physical_size(shape[1], self.rpu_config.mapping.max_input_size)
            converter = None if model is None else model.converter
            self._forward: Periphery = LadderPeriphery(
                forward, wired, converter, backend, parameters
            )
        else:
            self._forward = Periphery(forward, False, backend, parameters)
        self._backward = Backward(gradient, forward, backward, backend, shape, draw)
        self._digital = DigitalStage(self._mapping, self.rpu_config.pre_post)
        self.last_forward: ForwardContext | None = None
        self.on_input: Callable[[np.ndarray], Any] | None = None

    def _products(self) -> tuple[Any, Any, Any]:
        """Return the settings of forward, backward and gradients."""
        config = self.rpu_config
        return config.forward, config.backward, config.gradient

    @property
    def input_range(self) -> float | None:
        """The range to which inputs are clipped; None if it is not enabled."""
        return None if self._digital.range is None else float(self._digital.range.value[0])

    def set_input_range(self, value: float, info: str | None = None) -> None:
        """Clip inputs to a range from now on; it is not learned where it was not enabled before.

        Parameters
        ----------
        value : float
            The range, > 0.
        info : str, optional
            Where it came from; ``rpu_config.pre_post.input_range.calibration_info`` tells.
        """
        where = f"{type(self).__name__}.set_input_range: value"
        if as_rate(value, where, "a number > 0") == 0.0:
            raise DataError(f"{where} must be a number > 0, got {value!r}.")
        config, settings = self.rpu_config, self.rpu_config.pre_post.input_range
        learn = settings.enable and settings.learn_input_range
        changed: dict[str, Any] = {"enable": True, "learn_input_range": learn}
        changed |= {"init_value": value, "calibration_info": info}
        new: Any = config.replace(pre_post={"input_range": changed})  # refuses what cannot be
        self._digital.set_range(new.pre_post.input_range)
        self.rpu_config = new

    @property
    def out_scaling(self) -> np.ndarray | None:
        """The learned output scales, to be read and changed in place; None without."""
        return self._mapping.out_scaling

    def digital_parameters(self) -> dict[str, np.ndarray]:
        """Return the trainable digital arrays themselves: bias, out_scaling, input_range."""
        return self._digital.trainable

    def project_digital_parameters(self) -> None:
        """Keep what has to be positive positive, after an optimizer's step."""
        if self._digital.range is not None:
            self._digital.range.project()

    def get_forward_parameters(self) -> dict[str, np.ndarray]:
        """Return a copy of what output lines and devices do to a forward, by name.

        ``v_offset``, ``out_nonlinearity``, ``out_noise_values`` of shape (out_size,),
        ``out_nonlinearity_factor`` and ``aux_nm_value`` (the average of AVERAGE_ABS_MAX) of shape
        (1,), ``w_asymmetry`` of the devices' shape: those whose option is on.
        """
        return {name: array.copy() for name, array in self._forward.parameters.items()}

    def set_forward_parameters(self, changes: Mapping[str, Any]) -> None:
        """Replace some of `get_forward_parameters`; nothing changes if one is refused."""
        where = f"{type(self).__name__}.set_forward_parameters"
        self._forward.set_parameters(changes, where)

    def get_backward_parameters(self) -> dict[str, np.ndarray]:
        """Return the same for backward, whose output lines are the columns."""
        return {name: array.copy() for name, array in self._backward.periphery.parameters.items()}

    def set_backward_parameters(self, changes: Mapping[str, Any]) -> None:
        """Replace some of `get_backward_parameters`; nothing changes if one is refused."""
        where = f"{type(self).__name__}.set_backward_parameters"
        self._backward.periphery.set_parameters(changes, where)

    def seeded(self, rng: Any) -> AbstractContextManager[None]:
        """Return a context in which all draws come from another seed.

        Afterwards they go on where they were, as if nothing had been drawn.
        """
        return self._streams.seeded(rng)

    def _extra_state(self) -> dict[str, np.ndarray]:
        """Return what changes beside devices, mapping and counters, as arrays by name."""
        state = self._digital.state()
        for side, periphery in self._sides():
            state |= {f"{side}.{name}": a.copy() for name, a in periphery.parameters.items()}
        return state

    def _restore_extra(self, state: Mapping[str, Any]) -> None:
        """Continue from what `_extra_state` returned; the caller has checked names and shapes."""
        self._digital.restore(state)
        for side, periphery in self._sides():
            values = {name: state[f"{side}.{name}"] for name in periphery.parameters}
            periphery.set_parameters(values, "load_state_dict")
        self.last_forward = None

    def _sides(self) -> tuple[tuple[str, Periphery], ...]:
        return ("forward", self._forward), ("backward", self._backward.periphery)

    def moments(self, x: Any) -> Moments:
        """Return mean and variance of ``forward(x, is_test=True)`` over repeated reads.

        Parameters
        ----------
        x : array_like of shape (batch, in_size)
            Input vectors; finite.

        Returns
        -------
        Moments
            In float64: `mean`, `variance`, `clip_probability` of shape (batch, out_size), and how
            much of the variance comes from where (`sources`).

        Raises
        ------
        ConfigError
            If the configuration has no closed form; see `rpusim.periphery.moments`.
        """
        where = f"{type(self).__name__}.moments"
        if isinstance(self._forward, LadderPeriphery):
            raise ConfigError(f"{where}: IOParametersIRDropT has no closed form here.")
        x2, _ = as_vectors(x, self.in_size, f"{where}: x", "inputs")
        u, _ = self._digital.before(x2, False)
        weights, _ = self._weights_for(False)
        moments = product_moments(self._forward.io, u, host(weights), self._forward.parameters)
        if self._mapping.offset != 0.0:
            moments = moments.behind(1.0, -self._digital.excess(u))
        return moments.behind(*self._digital.gain_and_offset(False))

    def _weights_for(self, training: bool) -> tuple[np.ndarray, Any]:
        """Return what the product sees, and a mark that changes with it."""
        return self.crossbar.weights, self.crossbar.version
