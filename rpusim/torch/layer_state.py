"""The state of a layer as tensors, which torch's safe loading accepts, and back.

Below the layer's name stand ``weight`` and ``bias``, as a digital layer has them; ``tile.<name>``,
all that the tile remembers; and ``tile_meta``, the configuration as the bytes of a JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from rpusim.errors import RpusimError

__all__ = ["load", "save", "take_finer"]

TILE, META = "tile.", "tile_meta"
VERSION = 1

#: Types that torch, or its files, do not have everywhere: kept as numbers of the same bits.
SAME_BITS = {"uint16": "int16", "uint32": "int32", "uint64": "int64"}


def save(layer: Any, destination: dict[str, torch.Tensor], prefix: str) -> None:
    """Add the state of a layer's tile to what torch saves.

    Parameters
    ----------
    layer : TileModule
        The layer.
    destination : dict of str to Tensor
        Where torch has put the parameters; the weight becomes the logical one.
    prefix : str
        The layer's name and a dot, or nothing.
    """
    tile = layer.core.tile
    for name, array in tile.state_dict().items():
        array = array.view(SAME_BITS.get(str(array.dtype), array.dtype))
        destination[f"{prefix}{TILE}{name}"] = torch.from_numpy(np.array(array))
    if _learns_scales(tile):  # beside the scales stands the logical weight
        destination[f"{prefix}weight"] = _logical_weight(layer)
    meta: dict[str, Any] = {"format": "rpusim.torch", "version": VERSION}
    meta["config"] = tile.rpu_config.to_dict()
    if hasattr(tile, "changed_configs"):
        meta["configs"] = {n: config.to_dict() for n, config in tile.changed_configs().items()}
    text = json.dumps(meta).encode()
    destination[f"{prefix}{META}"] = torch.frombuffer(bytearray(text), dtype=torch.uint8)


def load(
    layer: Any,
    state_dict: Mapping[str, torch.Tensor],
    prefix: str,
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    """Load what `save` saved, or the weight and bias of a digital layer.

    Parameters
    ----------
    layer : TileModule
        The layer.
    state_dict : dict of str to Tensor
        The state of the whole model; it is not changed.
    prefix : str
        The layer's name and a dot, or nothing.
    strict : bool
        Whether names must be those of the layer.
    missing, unexpected, errors : list of str
        What torch reports, to be added to.
    """
    own = {k[len(prefix) :]: v for k, v in state_dict.items() if k.startswith(prefix)}
    own = {name: tensor.detach().cpu() for name, tensor in own.items()}
    state = {k[len(TILE) :]: v.numpy() for k, v in own.items() if k.startswith(TILE)}
    names = {name for name, p in layer._parameters.items() if p is not None}
    known = names | {META} | {TILE + name for name in state}
    if strict:
        unexpected += [prefix + name for name in own if name not in known]
    try:
        if state:
            _load_tile(layer.core.tile, state, own.get(META))
            layer._show()
            _check_shown(layer, own)
            if strict:
                missing += [prefix + name for name in (*sorted(names), META) if name not in own]
        elif "weight" in own:
            _load_digital(layer, own)
        elif "bias" in own and "bias" in names:
            layer.bias = own["bias"]
        if not state and strict:
            wanted = [name for name in ("weight", "bias") if name in names]
            missing += [prefix + name for name in wanted if name not in own]
    except (RpusimError, ValueError) as error:
        errors.append(f"{prefix or 'the layer: '}{error}")


def _load_digital(layer: Any, own: Mapping[str, torch.Tensor]) -> None:
    """Set the weights of a digital layer."""
    bias = own.get("bias") if layer._parameters["bias"] is not None else None
    layer.set_weights(own["weight"], bias)


def _load_tile(tile: Any, state: dict[str, np.ndarray], text: torch.Tensor | None) -> None:
    """Have a tile continue from a state, with the input ranges that it had."""
    meta = {} if text is None else json.loads(bytes(text.numpy()).decode())
    for name, array in tile.state_dict().items():
        if name in state and str(state[name].dtype) == SAME_BITS.get(str(array.dtype)):
            state[name] = state[name].view(array.dtype)
    if "config" in meta:
        config = type(tile.rpu_config).from_dict(meta["config"])
        kinds = [type(getattr(c, "device", c)).__name__ for c in (config, tile.rpu_config)]
        if kinds[0] != kinds[1]:
            raise ValueError(
                f"the state is that of a tile of {kinds[0]}, and this layer has one of {kinds[1]}; "
                "make the layer with the configuration of the state."
            )
        _take_range(tile, config)
        if meta.get("configs"):
            kind = type(tile.rpu_config)
            tile.take_configs({n: kind.from_dict(c) for n, c in meta["configs"].items()})
    tile.load_state_dict(state)


def _check_shown(layer: Any, own: Mapping[str, torch.Tensor]) -> None:
    """Refuse a weight or the like that is not what the tile of the same state holds."""
    for name, parameter in layer._parameters.items():
        if parameter is None or name not in own:
            continue
        held = parameter.detach().cpu()
        if name == "weight" and _learns_scales(layer.core.tile):
            held = _logical_weight(layer)
        if not _agree(own[name], held):
            raise ValueError(
                f"{name} is not what the tile of the same state holds. Leave the entries "
                f"{TILE}* and {META} out to set weights and bias alone, as a digital state does."
            )


def _agree(one: torch.Tensor, two: torch.Tensor) -> bool:
    """Return whether two tensors differ by rounding only: that of their types, or of a tile's."""
    kinds = {torch.float32} | {t.dtype for t in (one, two) if t.is_floating_point()}
    near = 4.0 * max(torch.finfo(kind).eps for kind in kinds)
    one, two = one.double(), two.double()
    return one.shape == two.shape and bool(((one - two).abs() <= near * two.abs().max()).all())


def take_finer(layer: Any, state_dict: Mapping[str, torch.Tensor], prefix: str) -> None:
    """Take values of a double-precision state that the tile holds to float32 rounding.

    Parameters
    ----------
    layer : TileModule
        Its tensors show the tile.
    state_dict, prefix
        As for `load`.
    """
    for name, parameter in layer._parameters.items():
        given = state_dict.get(prefix + name)
        if parameter is None or given is None or given.dtype != torch.float64:
            continue
        if parameter.dtype == torch.float64 and _agree(given, parameter.detach()):
            with torch.no_grad():
                parameter.copy_(given)
            if name in layer._mirror.names:
                layer._mirror.remember(name, parameter)


def _logical_weight(layer: Any) -> torch.Tensor:
    """Return the weight with learned scales, before programming."""
    tile = layer.core.tile
    w = tile.step_gradient(tile.trained_weights()) if layer.learns_in_digital else None
    whole = tile.get_weights()[0] if w is None else w[:, : tile.in_size]
    return torch.from_numpy(np.array(whole).reshape(layer.core.weight.shape))


def _take_range(tile: Any, config: Any) -> None:
    """Give a tile the input range that calibration gave the tile of a state."""
    stages = getattr(config, "pre_post", None)
    if stages is None or not stages.input_range.enable or hasattr(tile, "changed_configs"):
        return
    if tile.input_range is None:
        value = stages.input_range.init_value
        tile.set_input_range(value, stages.input_range.calibration_info)


def _learns_scales(tile: Any) -> bool:
    return any(name.startswith("out_scaling") for name in tile.digital_parameters())
