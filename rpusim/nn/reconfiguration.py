"""Analog models on other tiles: another configuration, or devices that drift by a noise model.

As in `rpusim.nn.conversion`, a refusal changes nothing, and optimizers are made afterwards.
"""

from __future__ import annotations

from typing import Any

from rpusim.errors import ConfigError, StateError
from rpusim.kernels.streams import Streams
from rpusim.nn.conversion_registry import Conversion
from rpusim.nn.conversion_steps import Rebuild, input_ranges, layer_seed, registered, tiles_of
from rpusim.nn.module import Module
from rpusim.tiles import InferenceRPUConfig, InferenceTile

__all__ = ["replace_config", "to_inference"]


def replace_config(
    model: Module,
    rpu_config: Any = None,
    *,
    exclude: Any = (),
    select: Any = None,
    config_for: Any = None,
    on_unsupported: str = "error",
    inplace: bool = False,
    report: bool = False,
) -> Any:
    """Return a copy of a model whose tiles are built anew with another configuration.

    Logical weights and input ranges stay, seeds too: with the same device the tiles have the same
    devices as when they were made. Scales, hidden states and counters begin anew.

    Parameters
    ----------
    model : Module
        With analog layers.
    rpu_config : configuration or device, optional
        Of the tiles from now on.
    exclude, select, config_for, inplace, report
        As for `convert_to_analog`; ``layer.tile.rpu_config`` is what a layer has now.
    on_unsupported : {"error", "skip"}
        What to do with analog layers of classes that are not registered.

    Returns
    -------
    Module, or (Module, ConversionReport) with ``report=True``

    Raises
    ------
    StateError
        If devices are programmed, whose errors no new tile has, or if an update waits for a step.
    """
    flags = {"inplace": inplace, "report": report}
    rebuild = Rebuild("replace_config", model, exclude, select, on_unsupported, config_for, **flags)

    def make(entry: Conversion, name: str, layer: Any) -> tuple[Module, str]:
        where = f"replace_config: {name or type(layer).__name__}"
        _need_no_step(layer, where)
        if any(tile.is_programmed for tile in tiles_of(layer).values()):
            raise StateError(
                f"{where}: its devices are programmed, and new ones would have other errors; call "
                "restore_analog_weights() first, and program again."
            )
        config = rebuild.config(name, layer, rpu_config)
        backend = next(iter(layer.own_tiles().values())).backend
        new = entry.to_analog(entry.to_digital(layer), config, rng=layer.seed, backend=backend)
        return new, _carry_ranges(layer, new)

    rebuild.run(registered, make, lambda layer: layer.get_weights())
    return rebuild.result(inplace, report)


def to_inference(
    model: Module,
    rpu_config: Any = None,
    in_place: bool = True,
    *,
    exclude: Any = (),
    select: Any = None,
    config_for: Any = None,
    on_unsupported: str = "error",
    rng: Any = None,
    inplace: bool = False,
    report: bool = False,
) -> Any:
    """Return a copy of a model, in evaluation mode, whose devices drift by a noise model.

    Each tile is taken over by `InferenceTile.from_tile`: what its devices hold, its scales, its
    bias, its input range if the new configuration has one.

    Parameters
    ----------
    model : Module
        With analog layers, trained by pulses.
    rpu_config : InferenceRPUConfig, optional
        Of the new tiles, cut as those before: same ``mapping.max_input_size`` and so on.
    in_place : bool
        Whether the devices that were trained are those that drift: they are programmed already,
        without an error. False: program them with ``model.program_analog_weights()``.
    exclude, select, config_for, inplace, report
        As for `convert_to_analog`.
    on_unsupported : {"error", "skip"}
        What to do with analog layers of classes that are not registered.
    rng : None, int, SeedSequence or Generator
        Source of drift and noise. Each layer's seed follows from it and from its name.

    Returns
    -------
    Module, or (Module, ConversionReport) with ``report=True``
    """
    seed = Streams(rng).seed
    flags = {"inplace": inplace, "report": report, "in_place": in_place}
    rebuild = Rebuild("to_inference", model, exclude, select, on_unsupported, config_for, **flags)
    default = InferenceRPUConfig() if rpu_config is None else rpu_config

    def make(entry: Conversion, name: str, layer: Any) -> tuple[Module, str]:
        where = f"to_inference: {name or type(layer).__name__}"
        _need_no_step(layer, where)
        config = rebuild.config(name, layer, default)
        own = layer_seed(seed, name)
        backend = next(iter(layer.own_tiles().values())).backend
        new = entry.to_analog(entry.to_digital(layer), config, rng=own, backend=backend)
        return new, _carry_ranges(layer, new)

    def take(layer: Any, new: Any, name: str) -> None:
        where = f"to_inference: {name or type(layer).__name__}"
        old, tiles = tiles_of(layer), tiles_of(new)
        sizes = [{n: (t.out_size, t.in_size) for n, t in own.items()} for own in (old, tiles)]
        if sizes[0] != sizes[1]:
            raise ConfigError(
                f"{where}: the configuration must cut the layer into the tiles it has, "
                f"{list(sizes[0].values())}, got {list(sizes[1].values())}: keep max_input_size "
                "and max_output_size of its mapping."
            )
        for key, tile in tiles.items():
            if not isinstance(tile, InferenceTile):
                raise ConfigError(
                    f"{where}: needs an InferenceRPUConfig, got {type(tile.rpu_config).__name__}."
                )
            made = type(tile).from_tile(old[key], tile.rpu_config, in_place=in_place, rng=tile.seed)
            tile.load_state_dict(made.state_dict())
        _carry_ranges(layer, new)

    rebuild.run(registered, make, lambda layer: layer.get_weights(), take)
    made, what = rebuild.result(inplace, True, seed)
    made.eval()
    return (made, what) if report else made


def _need_no_step(layer: Any, where: str) -> None:
    for parameter in layer.parameters():
        if getattr(parameter, "pairs", None):
            raise StateError(
                f"{where}: an update of its tile waits for step() or zero_grad() of the optimizer."
            )


def _carry_ranges(layer: Any, new: Any) -> str:
    """Give a new layer's tiles the input ranges of those before; return what cannot be given."""
    old, fresh = input_ranges(layer), input_ranges(new)
    for name, value in fresh.items():
        if name in old:
            value[...] = old[name]
    return "without its input range" if set(old) - set(fresh) else ""
