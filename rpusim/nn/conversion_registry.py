"""Which digital layer is the counterpart of which analog one, and how each is made of the other.

Layers register themselves, those of users too. The two functions of a registration only make an
empty layer of the same shape; weights are carried over by ``new.set_weights(*old.get_weights())``,
which both layers must have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from rpusim.errors import ConfigError
from rpusim.nn import analog_conv, conv
from rpusim.nn.grouped_conv import GroupedAnalogConv
from rpusim.nn.linear import AnalogLinear, AnalogLinearMapped, Linear
from rpusim.nn.module import Module

__all__ = ["Conversion", "analog_counterpart", "digital_counterpart", "register_conversion"]


class Conversion(NamedTuple):
    """A digital and an analog class, and how a layer of the one is made for one of the other."""

    digital: type[Module] | None
    analog: type[Module]
    to_analog: Callable[..., Module]
    to_digital: Callable[[Any], Module]


ANALOG_FOR: dict[type[Module], Conversion] = {}
DIGITAL_FOR: dict[type[Module], Conversion] = {}


def register_conversion(
    digital_class: type[Module] | None,
    to_analog: Callable[..., Module],
    to_digital: Callable[[Any], Module],
    *,
    analog_class: type[Module],
) -> None:
    """Say how layers of two classes are converted into each other.

    The rule holds for exactly these classes, not for subclasses, whose forward may be another one.
    A later registration of the same class replaces an earlier one.

    Parameters
    ----------
    digital_class : type or None
        What `convert_to_analog` converts. None: the analog class can be converted back, but is not
        what digital layers become.
    to_analog : callable
        ``to_analog(digital, rpu_config, rng=..., backend=...)`` returns an analog layer of the same
        shape, with any weights.
    to_digital : callable
        ``to_digital(analog)`` returns a digital layer of the same shape, with any weights.
    analog_class : type
        What `to_analog` makes, and what `convert_to_digital` converts.

    Examples
    --------
    >>> class Slow(Linear):
    ...     pass
    >>> register_conversion(Slow, analog_linear, digital_linear, analog_class=AnalogLinear)
    >>> analog_counterpart(Slow).analog.__name__
    'AnalogLinear'
    """
    for name, kind in (("digital_class", digital_class), ("analog_class", analog_class)):
        if kind is None and name == "digital_class":
            continue
        if not (isinstance(kind, type) and issubclass(kind, Module)):
            raise ConfigError(
                f"register_conversion: {name} must be a class of modules, got {kind!r}."
            )
    made = Conversion(digital_class, analog_class, to_analog, to_digital)
    if digital_class is not None:
        ANALOG_FOR[digital_class] = made
    known = DIGITAL_FOR.get(analog_class)
    if known is None or digital_class in (None, known.digital):
        DIGITAL_FOR[analog_class] = made


def analog_counterpart(digital_class: type[Module]) -> Conversion | None:
    """Return the registration of exactly this digital class, if there is one."""
    return ANALOG_FOR.get(digital_class)


def digital_counterpart(analog_class: type[Module]) -> Conversion | None:
    """Return the registration of exactly this analog class, if there is one."""
    return DIGITAL_FOR.get(analog_class)


def analog_linear(layer: Linear, rpu_config: Any, *, rng: Any, backend: str) -> AnalogLinear:
    """Return an `AnalogLinear` of the shape of a digital layer."""
    return AnalogLinear(*_shape(layer), rpu_config, rng=rng, backend=backend)


def mapped_linear(layer: Linear, rpu_config: Any, *, rng: Any, backend: str) -> AnalogLinear:
    """Return an `AnalogLinearMapped` of the shape of a digital layer."""
    return AnalogLinearMapped(*_shape(layer), rpu_config, rng=rng, backend=backend)


def digital_linear(layer: AnalogLinear) -> Linear:
    """Return a `Linear` of the shape of an analog layer."""
    return Linear(*_shape(layer), rng=layer.seed)


def analog_conv_of(layer: Any, rpu_config: Any, *, rng: Any, backend: str) -> Module:
    """Return the convolution on tiles of the shape of a digital one, grouped if that is."""
    p, groups = layer.patches, layer.groups
    options = dict(stride=p.stride, padding=p.padding, dilation=p.dilation)
    options |= dict(bias=layer.bias is not None, rpu_config=rpu_config, rng=rng, backend=backend)
    sizes = layer.in_channels, layer.out_channels, p.kernel
    if groups > 1:
        return GroupedAnalogConv(p.axes, *sizes, groups, **options)
    kind = getattr(analog_conv, f"AnalogConv{p.axes}d")
    return kind(*sizes, **options)


def digital_conv_of(layer: Any) -> Module:
    """Return the digital convolution of the shape of one on tiles."""
    groups = getattr(layer, "groups", [layer])
    p, bias = groups[0].patches, groups[0].bias is not None
    kind = getattr(conv, f"Conv{p.axes}d")
    channels = sum(g.in_channels for g in groups), sum(g.out_channels for g in groups)
    options = dict(stride=p.stride, padding=p.padding, dilation=p.dilation, groups=len(groups))
    return kind(*channels, p.kernel, **options, bias=bias, rng=layer.seed)


def _shape(layer: Any) -> tuple[int, int, bool]:
    return layer.in_features, layer.out_features, layer.bias is not None


register_conversion(Linear, analog_linear, digital_linear, analog_class=AnalogLinear)
register_conversion(None, mapped_linear, digital_linear, analog_class=AnalogLinearMapped)
for axes in (1, 2, 3):
    digital, analog = getattr(conv, f"Conv{axes}d"), getattr(analog_conv, f"AnalogConv{axes}d")
    register_conversion(digital, analog_conv_of, digital_conv_of, analog_class=analog)
    mapped = getattr(analog_conv, f"AnalogConv{axes}dMapped")
    register_conversion(None, analog_conv_of, digital_conv_of, analog_class=mapped)
register_conversion(None, analog_conv_of, digital_conv_of, analog_class=GroupedAnalogConv)
