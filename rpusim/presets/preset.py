"""A preset: a named, sourced set of parameter values that makes a configuration when called."""

from __future__ import annotations

from typing import Any

from rpusim.config import Config

__all__ = ["Preset", "preset_names"]

_names: list[str] = []


def preset_names() -> list[str]:
    """Return the names of all presets, in the order of their definition."""
    return list(_names)


class Preset:
    """Makes a configuration with published values; keywords replace single ones.

    Parameters
    ----------
    name : str
        Its name in `rpusim.presets`.
    base : type
        The configuration class it makes.
    about : str
        What it describes, in one sentence.
    source : tuple of str
        Where the values come from.
    **values : object
        Fields that differ from the defaults of `base`, or what makes them: presets, functions.

    Examples
    --------
    >>> from rpusim import presets
    >>> presets.EcRamPresetDevice(dw_min_std=0.0).dw_min
    0.002
    """

    def __init__(
        self,
        name: str,
        base: type[Config],
        about: str,
        source: tuple[str, ...] = (),
        /,
        **values: Any,
    ) -> None:
        self.__name__, self.base, self.about, self.source = name, base, about, source
        self.values = values
        self.__doc__ = f"{about}\n\nSource: {'; '.join(source) or 'none given'}."
        _names.append(name)

    def __call__(self, **changes: Any) -> Any:
        """Return the configuration, with some fields changed."""
        values = {k: v() if callable(v) else v for k, v in self.values.items()}
        made = self.base(**values)
        return made.replace(**changes) if changes else made

    def __repr__(self) -> str:
        return f"<preset {self.__name__}: {self.about}>"
