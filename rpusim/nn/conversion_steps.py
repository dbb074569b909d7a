"""The steps that all conversions share: choose layers, make new ones, put them in, report."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.errors import ClippedWeightsWarning, ConfigError, RpusimError
from rpusim.nn.checks import as_flag
from rpusim.nn.conversion_registry import Conversion, digital_counterpart
from rpusim.nn.conversion_report import ConversionReport, LayerConversion
from rpusim.nn.module import Module
from rpusim.nn.tree import all_names, matcher, with_parts_replaced

__all__ = [
    "Rebuild",
    "input_ranges",
    "layer_seed",
    "registered",
    "tiles_of",
    "weights_clipped",
]

#: Begins a reason that is an error, unless unsupported layers are skipped.
REFUSED = "!"


class Rebuild:
    """A model whose layers are made anew, one after the other.

    Parameters
    ----------
    where : str
        The function, named in errors.
    model : Module
        Is not changed before `result`.
    exclude, select, on_unsupported, config_for
        As `rpusim.nn.conversion.convert_to_analog` takes them.
    **flags : bool
        Others of the function's arguments, by name, which must be True or False.
    """

    def __init__(
        self,
        where: str,
        model: Module,
        exclude: Any,
        select: Any,
        on_unsupported: str,
        config_for: Any = None,
        **flags: bool,
    ):
        if not isinstance(model, Module):
            raise ConfigError(f"{where}: model must be a Module, got {type(model).__name__}.")
        if on_unsupported not in ("error", "skip"):
            raise ConfigError(
                f"{where}: on_unsupported must be 'error' or 'skip', got {on_unsupported!r}."
            )
        if config_for is not None and not callable(config_for):
            raise ConfigError(
                f"{where}: config_for must be a function of name and layer, got {config_for!r}."
            )
        for name, value in flags.items():
            as_flag(value, f"{where}: {name}")
        self.where, self.model, self.names = where, model, all_names(model)
        self._excluded = matcher(exclude, self.names, f"{where}: exclude")
        self._selected: Callable[[Module], bool] = lambda layer: True
        if select is not None:
            self._selected = matcher(select, self.names, f"{where}: select")
        self._skips, self._config_for = on_unsupported == "skip", config_for
        self._new: dict[Module, Module] = {}
        self._rows: list[LayerConversion] = []

    def config(self, name: str, layer: Module, default: Any) -> Any:
        """Return the configuration of a layer."""
        own = None if self._config_for is None else self._config_for(name, layer)
        return default if own is None else own

    def shared_parameters(self) -> dict[Module, str]:
        """Return the layers that hold a parameter of another one, with the name of that one."""
        owners: dict[int, Module] = {}
        shared: dict[Module, str] = {}
        for layer, known in self.names.items():
            for parameter in layer.own_parameters().values():
                owner = owners.setdefault(id(parameter), layer)
                if owner is not layer:
                    shared |= {layer: self.names[owner][0], owner: known[0]}
        return shared

    def run(
        self,
        look: Callable[[Module], Conversion | str | None],
        make: Callable[[Conversion, str, Any], tuple[Module, str]],
        weights: Callable[[Any], Any],
        finish: Callable[[Any, Any, str], None] | None = None,
    ) -> None:
        """Make all new layers.

        Parameters
        ----------
        look : callable
            ``look(layer)`` returns how it is converted, or why not.
        make : callable
            ``make(conversion, name, layer)`` returns a new layer and what was left behind.
        weights : callable
            ``weights(layer)`` returns what the new layer's `set_weights` takes.
        finish : callable, optional
            ``finish(layer, new, name)`` is called behind it.
        """
        inside: set[Module] = set()  # parts of layers that are converted as a whole
        for layer, (name, *also) in self.names.items():
            if layer in inside:
                continue
            entry = look(layer)
            if not (isinstance(entry, Conversion) or layer.own_parameters() or layer.own_tiles()):
                continue
            if self._excluded(layer):
                entry = "is excluded"
            elif not self._selected(layer):
                entry = "is not selected"
            if isinstance(entry, Conversion):
                try:
                    row = self._convert(layer, name, entry, make, weights, finish)
                except RpusimError as error:
                    if str(error).startswith(self.where):
                        raise
                    raise type(error)(f"{self.where}: {name or 'the model'}: {error}") from error
                inside.update(below for _, below in layer.named_modules())
            else:
                row = self._skipped(layer, name, str(entry))
            self._rows.append(LayerConversion(name, tuple(also), type(layer).__name__, **row))

    def _skipped(self, layer: Module, name: str, why: str) -> dict[str, Any]:
        if why.startswith(REFUSED) and not self._skips:
            raise ConfigError(
                f"{self.where}: {name or 'the model'} {why.removeprefix(REFUSED)}; or exclude it, "
                'or pass on_unsupported="skip".'
            )
        return {"why": why.removeprefix(REFUSED)}

    def _convert(
        self, layer: Any, name: str, entry: Conversion, make: Any, weights: Any, finish: Any
    ) -> dict[str, Any]:
        """Make one layer; return its row of the report."""
        held = weights(layer)
        with warnings.catch_warnings():
            # Initial weights are of no interest, and clipped ones are told once, by name.
            warnings.simplefilter("ignore", ClippedWeightsWarning)
            new, why = make(entry, name, layer)
            before = weights_clipped(new)
            new.set_weights(*held)  # type: ignore[operator]
            clipped = weights_clipped(new) - before
        if finish is not None:
            finish(layer, new, name)
        trained = dict(layer.named_parameters())
        for own, parameter in new.named_parameters():
            if own in trained and hasattr(type(parameter), "requires_grad"):
                parameter.requires_grad = getattr(trained[own], "requires_grad", True)
        new.train(layer.training)
        self._new[layer] = new
        made: Any = new
        return {
            "became": type(new).__name__,
            "why": why,
            "tiles": len(tiles_of(new)),
            "weights": sum(np.size(a) for a in held if a is not None),
            "clipped": clipped,
            "error": _difference(held, made.get_weights()),
        }

    def result(self, inplace: bool, report: bool, seed: int | None = None) -> Any:
        """Put the new layers in; return the model, and the report if it is wanted."""
        done = ConversionReport(tuple(self._rows), seed)
        done.warn(self.where)
        if inplace:
            made = with_parts_replaced(self.model, self._new)
        else:
            made = copy.deepcopy(self.model, {id(old): new for old, new in self._new.items()})
        for _, module in made.named_modules():
            module._kept.clear()  # forwards of layers that are gone
        return (made, done) if report else made


def registered(layer: Module) -> Conversion | str | None:
    """Return the registration of an analog layer, or why there is none."""
    entry = digital_counterpart(type(layer))
    if entry is None and layer.own_tiles():
        return f"!is a {type(layer).__name__}, for which register_conversion knows no digital layer"
    return entry or "is digital"


def tiles_of(layer: Module) -> dict[str, Any]:
    """Return the tiles of a layer by name, for a grid those that it consists of."""
    return dict(layer.named_analog_tiles())


def weights_clipped(layer: Module) -> int:
    """Return how many weights a layer's tiles could not hold as they were set, so far."""
    return sum(tile.stats.weights_clipped for tile in tiles_of(layer).values())


def layer_seed(seed: int, name: str) -> np.random.SeedSequence:
    """Return the seed of a layer, from that of a conversion and the layer's name."""
    return np.random.SeedSequence(seed, spawn_key=tuple(name.encode()))


def input_ranges(layer: Module) -> dict[str, Any]:
    """Return the arrays of the input ranges of a layer's tiles, by name."""
    tiles = layer.named_tiles()
    return {
        f"{path}.{name}": array
        for path, tile in tiles
        for name, array in tile.digital_parameters().items()
        if name.startswith("input_range")
    }


def _difference(before: Any, after: Any) -> float:
    both = zip(before, after, strict=True)
    pairs = [(a, b) for a, b in both if a is not None and b is not None]
    return max((float(np.abs(np.subtract(a, b)).max()) for a, b in pairs), default=0.0)
