"""Which digital layer of torch is the counterpart of which analog one, and how each is made."""

from __future__ import annotations

from typing import Any

import torch

from rpusim.errors import ConfigError
from rpusim.nn.conversion_steps import weights_clipped
from rpusim.torch import conv
from rpusim.torch.linear import AnalogLinear
from rpusim.torch.tile_module import TileModule, is_called

__all__ = ["analog_of", "digital_of", "has_hooks", "run_in_parts", "why_not"]

LINEAR = torch.nn.Linear
CONVOLUTIONS: dict[type, Any] = {
    torch.nn.Conv1d: conv.AnalogConv1d,
    torch.nn.Conv2d: conv.AnalogConv2d,
    torch.nn.Conv3d: conv.AnalogConv3d,
}
DIGITAL: Any = tuple(CONVOLUTIONS)  # by the number of their axes, from 1


def why_not(layer: torch.nn.Module) -> str:
    """Return why a layer has no analog counterpart; "!" in front if it nearly has one.

    Parameters
    ----------
    layer : torch.nn.Module
        Any module.
    """
    kind = type(layer)
    if kind in CONVOLUTIONS:
        options: Any = layer
        if options.groups != 1:
            return f"!has {options.groups} groups of channels, which no tile can hold"
        if options.padding_mode != "zeros":
            return f"!pads by {options.padding_mode!r}, and tiles see zeros"
        return ""
    if kind is LINEAR:
        return ""
    base = next((b for b in (LINEAR, *CONVOLUTIONS) if isinstance(layer, b)), None)
    if base is None:
        return "has no analog counterpart"
    return f"!is a {kind.__name__}, a subclass of {base.__name__} that may compute something else"


def has_hooks(layer: torch.nn.Module) -> bool:
    """Return whether a layer has hooks of a user, or of weight_norm and the like, for its calls.

    Parameters
    ----------
    layer : torch.nn.Module
        Any module.
    """
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    hooks = [hook for kind in kinds for hook in getattr(layer, kind, {}).values()]
    return any(hook is not is_called for hook in hooks)


def run_in_parts(model: torch.nn.Module) -> None:
    """Have encoder layers of torch call their parts, as in training, if some of these have tiles.

    In evaluation a fused kernel of theirs takes the weights of the parts and does not call them.

    Parameters
    ----------
    model : torch.nn.Module
        Is changed.
    """
    for module in model.modules():
        if not any(isinstance(part, TileModule) for part in module.modules()):
            continue
        if isinstance(module, torch.nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0  # the kernel's condition
        elif isinstance(module, torch.nn.TransformerEncoder):
            module.use_nested_tensor = False  # which only that kernel takes


def analog_of(layer: Any, rpu_config: Any, **options: Any) -> tuple[TileModule, int]:
    """Return the analog layer of the shape and weights of a digital one, and what was clipped.

    Parameters
    ----------
    layer : torch.nn.Linear, torch.nn.Conv1d, Conv2d or Conv3d
        The digital layer.
    rpu_config : configuration or device
        What its tile is made of.
    **options : object
        Seed and backend.
    """
    bias, made = layer.bias is not None, None
    if type(layer) is LINEAR:
        sizes = layer.in_features, layer.out_features
        made = AnalogLinear(*sizes, bias, rpu_config, **options)
    else:
        names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")
        own = {name: getattr(layer, name) for name in names}
        made = CONVOLUTIONS[type(layer)](**own, bias=bias, rpu_config=rpu_config, **options)
    before = weights_clipped(made.core)
    made.set_weights(layer.weight, layer.bias)
    return made, weights_clipped(made.core) - before


def digital_of(layer: Any, realistic: bool) -> tuple[torch.nn.Module, int]:
    """Return the digital layer of the shape and logical weights of an analog one, and 0.

    Parameters
    ----------
    layer : TileModule
        The analog layer.
    realistic : bool
        Whether the weights are estimated from products.
    """
    w, b = layer.get_weights(realistic=True) if realistic else layer.get_weights()
    if isinstance(layer, AnalogLinear):
        made: Any = LINEAR(layer.in_features, layer.out_features, b is not None)
    else:
        kind, p = DIGITAL[layer.core.axes - 1], layer.core.patches
        padding = layer.padding
        if not isinstance(padding, str):
            if any(before != after for before, after in p.padding):
                raise ConfigError(
                    f"padding {padding!r} differs at the two ends, and has no digital layer."
                )
            padding = tuple(before for before, _ in p.padding)
        sizes = layer.in_channels, layer.out_channels, p.kernel
        made = kind(*sizes, p.stride, padding, p.dilation, bias=b is not None)
    with torch.no_grad():
        made.weight.copy_(w)
        if b is not None:
            made.bias.copy_(b)
    return made, 0
