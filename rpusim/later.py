"""Public names whose modules are imported when they are first used, not with the package."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

__all__ = ["later"]

#: name -> module that has it; the studies take as long to import as all the rest, SciPy's sparse
#: linear algebra a third of that
MODULES = {
    "AnalogMatrix": "rpusim.tiles.analog_matrix",
    "WeightProgrammingOptimizer": "rpusim.studies.programming_optimizer",
    "aihwkit": "rpusim.aihwkit",  # a module by its own name
}


def later(names: dict[str, Any]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of the package.

    Parameters
    ----------
    names : dict
        The names that it has already, ``globals()``.
    """

    def __getattr__(name: str) -> Any:
        if name not in MODULES:
            raise AttributeError(f"module {names['__name__']!r} has no attribute {name!r}")
        module = importlib.import_module(MODULES[name])
        own = MODULES[name] == f"{names['__name__']}.{name}"
        return names.setdefault(name, module if own else getattr(module, name))

    def __dir__() -> list[str]:
        return sorted({*names, *MODULES})

    return __getattr__, __dir__
