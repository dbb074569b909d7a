"""What a conversion did to each layer of a model, to be printed or looked through."""

from __future__ import annotations

import dataclasses

from rpusim.errors import ClippedWeightsWarning, warn_caller
from rpusim.nn.text_table import aligned

__all__ = ["ConversionReport", "LayerConversion"]

HEAD = ("name", "layer", "became", "tiles", "weights", "clipped", "error")
TEXTS = 3


@dataclasses.dataclass(frozen=True)
class LayerConversion:
    """What became of one layer.

    Attributes
    ----------
    name : str
        Dotted name in the model; "" for the model itself.
    also : tuple of str
        Its other names, if the model holds it at several places.
    layer, became : str
        Its class, before and after; `became` is "" if it was not converted.
    why : str
        Why not, or what was left behind.
    tiles, weights : int
        How many it has after the conversion; weights include the bias.
    clipped : int
        Weights that their devices could not hold.
    error : float
        Largest difference of a weight, or of the bias, from what it was before.
    """

    name: str
    also: tuple[str, ...]
    layer: str
    became: str = ""
    why: str = ""
    tiles: int = 0
    weights: int = 0
    clipped: int = 0
    error: float = 0.0


@dataclasses.dataclass(frozen=True)
class ConversionReport:
    """What a conversion did; ``print(report)`` shows it as a table.

    Attributes
    ----------
    layers : tuple of LayerConversion
        All layers with parameters, in order, converted or not.
    seed : int or None
        As `rng`, it makes the same layers again; None where nothing is drawn.
    """

    layers: tuple[LayerConversion, ...]
    seed: int | None = None

    @property
    def converted(self) -> list[LayerConversion]:
        """Layers that were converted."""
        return [layer for layer in self.layers if layer.became]

    @property
    def skipped(self) -> list[LayerConversion]:
        """Layers that stayed as they were; `why` tells the reason."""
        return [layer for layer in self.layers if not layer.became]

    @property
    def tiles(self) -> int:
        """Number of tiles of the converted layers."""
        return sum(layer.tiles for layer in self.layers)

    @property
    def clipped(self) -> int:
        """Number of weights that their devices could not hold."""
        return sum(layer.clipped for layer in self.layers)

    @property
    def largest_error(self) -> float:
        """Largest difference of a weight from what it was."""
        return max((layer.error for layer in self.layers), default=0.0)

    def warn(self, where: str) -> None:
        """Warn if nothing was converted, and of weights that were clipped; `where` is named."""
        if not self.converted:
            why = {row.why for row in self.layers} or {"it has no layers with parameters"}
            warn_caller(f"{where}: nothing was converted: {'; '.join(why)}.", UserWarning)
        clipped = [
            f"{row.clipped} of {row.weights} in {row.name or 'the model'!r}"
            for row in self.layers
            if row.clipped
        ]
        if clipped:
            warn_caller(
                f"{where}: weights were clipped to what their devices can hold, "
                f"{', '.join(clipped)} (mapping.weight_scaling_omega scales weights to fit).",
                ClippedWeightsWarning,
            )

    def __str__(self) -> str:
        rows = [HEAD] + [_cells(layer) for layer in self.layers]
        notes = ["  ".join(filter(None, (_also(layer), layer.why))) for layer in self.layers]
        lines = aligned(rows, TEXTS)
        wide = max(map(len, lines))
        lines[1:] = [
            f"{line.ljust(wide)}  {note}".rstrip()
            for line, note in zip(lines[1:], notes, strict=True)
        ]
        lines.append(
            f"{len(self.converted)} layers converted, {len(self.skipped)} not; {self.tiles} tiles; "
            f"{self.clipped} weights clipped, largest error {self.largest_error:.3g}"
        )
        return "\n".join(lines)


def _cells(layer: LayerConversion) -> tuple[str, ...]:
    if not layer.became:
        return layer.name or "-", layer.layer, "-", "", "", "", ""
    numbers = str(layer.tiles), str(layer.weights), str(layer.clipped), f"{layer.error:.3g}"
    return layer.name or "-", layer.layer, layer.became, *numbers


def _also(layer: LayerConversion) -> str:
    return f"also {', '.join(layer.also)}" if layer.also else ""
