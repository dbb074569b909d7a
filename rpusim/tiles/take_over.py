"""From a tile of any kind to one for inference: its weights, scales and bias."""

from __future__ import annotations

from typing import Any

from rpusim.errors import ConfigError
from rpusim.tiles.analog import AnalogTile

__all__ = ["taken_over"]


def taken_over(kind: type, tile: Any, rpu_config: Any, in_place: bool, rng: Any) -> Any:
    """Return a tile of a kind with what another one holds.

    Parameters
    ----------
    kind : type
        A kind of tile for inference.
    tile : AnalogTile
        With what its devices hold, its scales and its bias.
    rpu_config : InferenceRPUConfig or None
        Of the new tile.
    in_place : bool
        Whether it is programmed already, by what the devices are.
    rng : None, int, SeedSequence or Generator
        Source of the new tile's randomness.
    """
    where = f"{kind.__name__}.from_tile"
    if not isinstance(tile, AnalogTile):
        raise ConfigError(f"{where}: tile must be an AnalogTile, got {tile!r}.")
    sizes = tile.out_size, tile.in_size
    made = kind(*sizes, rpu_config, tile.has_bias, rng=rng, backend=tile.backend)
    if made._mapping.analog_bias != tile._mapping.analog_bias:
        raise ConfigError(f"{where}: mapping.digital_bias must be that of the tile.")
    made.crossbar.set_weights(tile.crossbar.weights)
    made._mapping.take_scales(tile._mapping.total())
    if made.bias is not None and tile.bias is not None:
        made.bias[:] = tile.bias
    if in_place:
        made.program_weights(programmed_already=True)
    return made
