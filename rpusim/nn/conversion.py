"""From digital models to analog ones, and back.

New layers are made first, and put into the model, or a copy of it, when all are there: a refusal
changes nothing. An optimizer holds parameters of layers, so make it after a conversion.
"""

from __future__ import annotations

import copy
from typing import Any

from rpusim.kernels.streams import Streams
from rpusim.nn.conversion_registry import Conversion, analog_counterpart
from rpusim.nn.conversion_steps import Rebuild, input_ranges, layer_seed, registered, tiles_of
from rpusim.nn.module import Module

__all__ = ["convert_to_analog", "convert_to_digital"]


def convert_to_analog(
    model: Module,
    rpu_config: Any = None,
    *,
    exclude: Any = (),
    select: Any = None,
    config_for: Any = None,
    on_unsupported: str = "error",
    rng: Any = None,
    inplace: bool = False,
    backend: str = "cpu",
    report: bool = False,
) -> Any:
    """Return a copy of a model whose digital layers are analog, with the same weights.

    Weights are set as `set_weights` of the tiles does: scaled as ``mapping.weight_scaling_omega``
    says, clipped at what devices can hold, with a warning if that changed any. A layer that the
    model holds at several places stays one layer, on one tile.

    Parameters
    ----------
    model : Module
        With digital layers. Those that are analog already stay as they are.
    rpu_config : configuration or device, optional
        Of the tiles; the default is that of `AnalogLinear`.
    exclude, select : str, sequence of str, or callable
        What to leave out, and what to convert at all (default: everything): glob patterns of dotted
        names, or a function of name and layer. What is meant includes all below it.
    config_for : callable, optional
        ``config_for(name, layer)`` returns the configuration of a layer, None for `rpu_config`.
    on_unsupported : {"error", "skip"}
        What to do with subclasses of the layers that can be converted: they may compute something
        else, so only registered classes are converted (`register_conversion`); and with layers that
        share a parameter with another one. Layers of other kinds stay digital in any case.
    rng : None, int, SeedSequence or Generator
        Source of all devices and noise. Each layer's seed follows from it and from its name.
    inplace : bool
        Whether the model itself is changed, instead of a copy.
    backend : str
        Where the tiles compute.
    report : bool
        Whether to return what was done, too.

    Returns
    -------
    Module, or (Module, ConversionReport) with ``report=True``

    Examples
    --------
    >>> from rpusim import nn
    >>> model = nn.Sequential(nn.Linear(4, 3, rng=1), nn.ReLU(), nn.Linear(3, 2, rng=2))
    >>> [type(layer).__name__ for layer in convert_to_analog(model, exclude="2", rng=3)]
    ['AnalogLinear', 'ReLU', 'Linear']
    """
    seed = Streams(rng).seed
    flags = {"inplace": inplace, "report": report}
    rebuild = Rebuild(
        "convert_to_analog", model, exclude, select, on_unsupported, config_for, **flags
    )
    owners = rebuild.shared_parameters()

    def look(layer: Module) -> Conversion | str | None:
        if layer.own_tiles():
            return "is analog already"
        entry = analog_counterpart(type(layer))
        if entry is not None and layer in owners:
            return f"!shares a parameter with {owners[layer]!r}, which would lose it"
        if entry is None:
            base = next((k for k in type(layer).__mro__[1:] if analog_counterpart(k)), None)
            if base is not None:
                return (
                    f"!is a subclass of {base.__name__}, which may compute something else; "
                    f"register_conversion({type(layer).__name__}, ...) tells how to convert it"
                )
        return entry or "has no analog counterpart"

    def make(entry: Conversion, name: str, layer: Any) -> tuple[Module, str]:
        config = rebuild.config(name, layer, rpu_config)
        new = entry.to_analog(layer, config, rng=layer_seed(seed, name), backend=backend)
        return new, ""

    rebuild.run(look, make, lambda layer: layer.get_weights())
    return rebuild.result(inplace, report, seed)


def convert_to_digital(
    model: Module,
    *,
    realistic: bool = False,
    from_devices: bool = False,
    exclude: Any = (),
    select: Any = None,
    on_unsupported: str = "error",
    inplace: bool = False,
    report: bool = False,
) -> Any:
    """Return a copy of a model whose analog layers are digital, with their logical weights.

    Mapping scales and learned output scales become part of the weights; input ranges, converters
    and noise are left behind.

    Parameters
    ----------
    model : Module
        With analog layers.
    realistic : bool
        Whether weights are estimated from products (`read_weights`), with the errors of a read.
    from_devices : bool
        Of programmed devices: True takes what they hold now, with errors, drift and its
        compensation; False the targets, as trained.
    exclude, select, inplace, report
        As for `convert_to_analog`.
    on_unsupported : {"error", "skip"}
        What to do with analog layers of classes that are not registered.

    Returns
    -------
    Module, or (Module, ConversionReport) with ``report=True``
    """
    flags = {"inplace": inplace, "report": report}
    flags |= {"realistic": realistic, "from_devices": from_devices}
    rebuild = Rebuild("convert_to_digital", model, exclude, select, on_unsupported, **flags)

    def make(entry: Conversion, name: str, layer: Any) -> tuple[Module, str]:
        ranges = [f"{value[0]:.3g}" for value in input_ranges(layer).values()]
        note = f"without its input range {', '.join(ranges)}" if ranges else ""
        return entry.to_digital(layer), note

    def weights(layer: Any) -> Any:
        if realistic:
            return layer.get_weights(realistic=True)
        programmed = [t for t in tiles_of(layer).values() if t.is_programmed]
        if programmed and not from_devices:
            layer = copy.deepcopy(layer)
            for tile in tiles_of(layer).values():
                if tile.is_programmed:
                    tile.restore()
        return layer.get_weights()

    rebuild.run(registered, make, weights)
    return rebuild.result(inplace, report)
