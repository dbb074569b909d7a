"""From models of torch with digital layers to models with analog ones, and back.

New layers are made first, and put into the model, or a copy of it, when all are there: a refusal
changes nothing. An optimizer holds parameters of layers, so make it after a conversion.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch

from rpusim.errors import ClippedWeightsWarning, ConfigError, RpusimError
from rpusim.kernels.streams import Streams
from rpusim.nn.checks import as_flag
from rpusim.nn.conversion_report import ConversionReport, LayerConversion
from rpusim.nn.conversion_steps import layer_seed, tiles_of
from rpusim.nn.tree import matcher
from rpusim.torch.conversion_layers import analog_of, digital_of, has_hooks, run_in_parts, why_not
from rpusim.torch.tile_module import TileModule, torch_seed

__all__ = ["convert_to_analog", "convert_to_digital"]


def convert_to_analog(
    model: torch.nn.Module,
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
    """Return a copy of a model of torch whose digital layers are analog, with the same weights.

    Linear layers and convolutions become those of this package. Weights are set as `set_weights`
    of the tiles does: scaled as ``mapping.weight_scaling_omega`` says, clipped at what devices can
    hold, with a warning if that changed any. A layer that the model holds at several places stays
    one layer, on one tile. Layers of other kinds stay as they are.

    Parameters
    ----------
    model : torch.nn.Module
        With digital layers, on the CPU.
    rpu_config : configuration or device, optional
        Of the tiles; the default is that of `AnalogLinear`.
    exclude, select : str, sequence of str, or callable
        What to leave out, and what to convert at all (default: everything): glob patterns of dotted
        names, or a function of name and module. What is meant includes all below it.
    config_for : callable, optional
        ``config_for(name, layer)`` returns the configuration of a layer, None for `rpu_config`.
    on_unsupported : {"error", "skip"}
        What to do with subclasses of the layers that can be converted, with convolutions in groups
        or other padding, with layers that share a parameter with another one, and with layers that
        have hooks, as those of `torch.nn.utils.weight_norm`.
    rng : None, int, SeedSequence or Generator
        Source of all devices and noise; None takes a seed from torch's generator. Each layer's seed
        follows from it and from its name, as in `rpusim.nn.convert_to_analog`.
    inplace : bool
        Whether the model itself is changed, instead of a copy.
    backend : str
        Where the tiles compute.
    report : bool
        Whether to return what was done, too.

    Returns
    -------
    torch.nn.Module, or (torch.nn.Module, ConversionReport) with ``report=True``

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> [type(layer).__name__ for layer in convert_to_analog(model, exclude="2", rng=3)]
    ['AnalogLinear', 'ReLU', 'Linear']
    """
    where = "convert_to_analog"
    rebuild = _Rebuild(where, model, exclude, select, on_unsupported)
    if config_for is not None and not callable(config_for):
        raise ConfigError(f"{where}: config_for must be a function of name and layer.")
    seed = Streams(torch_seed(rng)).seed
    shared = rebuild.shared_parameters()

    def look(layer: torch.nn.Module) -> str:
        if isinstance(layer, TileModule):
            return "is analog already"
        if layer in shared and not why_not(layer):
            return f"!shares a parameter with {shared[layer]!r}, which would lose it"
        return why_not(layer)

    def make(layer: Any, name: str) -> Any:
        own = None if config_for is None else config_for(name, layer)
        config = rpu_config if own is None else own
        return analog_of(layer, config, rng=layer_seed(seed, name), backend=backend)

    return rebuild.run(look, make, inplace, report, seed)


def convert_to_digital(
    model: torch.nn.Module,
    *,
    realistic: bool = False,
    exclude: Any = (),
    select: Any = None,
    inplace: bool = False,
    report: bool = False,
) -> Any:
    """Return a copy of a model of torch whose analog layers are digital, with logical weights.

    Mapping scales and learned output scales become part of the weights; input ranges, converters
    and noise are left behind. Of programmed devices it takes what they hold now. The matrices of
    recurrent layers are refused by name: exclude those layers, which then stay analog.

    Parameters
    ----------
    model : torch.nn.Module
        With analog layers.
    realistic : bool
        Whether weights are estimated from products, with the errors of a read.
    exclude, select, inplace, report
        As for `convert_to_analog`.

    Returns
    -------
    torch.nn.Module, or (torch.nn.Module, ConversionReport) with ``report=True``
    """
    rebuild = _Rebuild("convert_to_digital", model, exclude, select, "error")

    def look(layer: torch.nn.Module) -> str:
        if not isinstance(layer, TileModule):
            return "is digital"
        return "!is a matrix of a recurrent cell" if layer in rebuild.inside else ""

    def make(layer: Any, name: str) -> Any:
        return digital_of(layer, realistic)

    return rebuild.run(look, make, inplace, report, None)


class _Rebuild:
    """A model whose layers are made anew, one after the other."""

    def __init__(
        self, where: str, model: Any, exclude: Any, select: Any, on_unsupported: str
    ) -> None:
        if not isinstance(model, torch.nn.Module):
            raise ConfigError(
                f"{where}: model must be a module of torch, got {type(model).__name__}; for models "
                "of rpusim.nn there is rpusim.nn.convert_to_analog."
            )
        if on_unsupported not in ("error", "skip"):
            raise ConfigError(
                f"{where}: on_unsupported must be 'error' or 'skip', got {on_unsupported!r}."
            )
        self.where, self.model, self.skips = where, model, on_unsupported == "skip"
        self.names: dict[Any, list[str]] = {}
        for name, module in model.named_modules(remove_duplicate=False):
            self.names.setdefault(module, []).append(name)
        self._excluded = matcher(exclude, self.names, f"{where}: exclude")
        self._selected: Callable[[Any], bool] = lambda layer: True
        if select is not None:
            self._selected = matcher(select, self.names, f"{where}: select")
        cells = [m for m in self.names if hasattr(m, "core") and not isinstance(m, TileModule)]
        self.inside = {layer for cell in cells for layer in cell.modules()}

    def shared_parameters(self) -> dict[Any, str]:
        """Return modules that share a parameter with another one, and the other's name."""
        owners: dict[int, Any] = {}
        found: dict[Any, str] = {}
        for module, names in self.names.items():
            for parameter in module._parameters.values():
                owner = owners.setdefault(id(parameter), module)
                if parameter is not None and owner is not module:
                    found |= {module: self.names[owner][0], owner: names[0]}
        return found

    def run(self, look: Any, make: Any, inplace: bool, report: bool, seed: int | None) -> Any:
        """Make all new layers and put them in; return the model, and the report if wanted."""
        as_flag(inplace, f"{self.where}: inplace")
        as_flag(report, f"{self.where}: report")
        new: dict[Any, Any] = {}
        rows = []
        for layer, (name, *also) in self.names.items():
            if not layer._parameters:
                continue
            why = look(layer)
            if not why and has_hooks(layer):
                why = "!has hooks, which a new layer would not call: remove them before"
            if self._excluded(layer):
                why = "is excluded"
            elif not self._selected(layer):
                why = "is not selected"
            if why.startswith("!") and not self.skips:
                raise ConfigError(
                    f"{self.where}: {name or 'the model'} {why[1:]}; exclude it"
                    + (
                        "."
                        if self.where.endswith("digital")
                        else ', or pass on_unsupported="skip".'
                    )
                )
            row: dict[str, Any] = {"why": why.removeprefix("!")}
            if not why:
                new[layer], row = self._made(layer, name, make)
            rows.append(LayerConversion(name, tuple(also), type(layer).__name__, **row))
        done = ConversionReport(tuple(rows), seed)
        done.warn(self.where)
        made = self._placed(new, inplace)
        run_in_parts(made)
        return (made, done) if report else made

    def _made(self, layer: Any, name: str, make: Any) -> tuple[Any, dict[str, Any]]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ClippedWeightsWarning)  # told once, by name
                made, clipped = make(layer, name)
        except RpusimError as error:
            raise type(error)(f"{self.where}: {name or 'the model'}: {error}") from error
        for own, parameter in made.named_parameters():
            before = layer._parameters.get(own)
            if before is not None:
                parameter.requires_grad_(before.requires_grad)
        made.to(layer._parameters["weight"].dtype)
        made.train(layer.training)
        pairs = [(layer._parameters[n], made._parameters[n]) for n in ("weight", "bias")]
        held = [(a.detach(), b.detach()) for a, b in pairs if a is not None and b is not None]
        analog = made if isinstance(made, TileModule) else layer
        row = {
            "became": type(made).__name__,
            "tiles": len(tiles_of(analog.core)),
            "weights": sum(a.numel() for a, _ in held),
            "clipped": clipped,
            "error": max(float((a - b).abs().max()) for a, b in held),
        }
        return made, row

    def _placed(self, new: dict[Any, Any], inplace: bool) -> Any:
        if not inplace:
            return copy.deepcopy(self.model, {id(old): made for old, made in new.items()})
        for module in self.names:
            for name, child in list(module._modules.items()):
                if child in new:
                    module._modules[name] = new[child]
        return new.get(self.model, self.model)
