"""What forwards kept, taken out of a model and put back: to go back through them in any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rpusim.nn.module import Module

__all__ = ["put_back", "take_out"]


def take_out(modules: Sequence[Module]) -> list[list[Any]]:
    """Return all that modules keep for their backward; they keep nothing afterwards.

    Parameters
    ----------
    modules : sequence of Module
        A model's, all of them.
    """
    taken = [module._kept for module in modules]
    for module in modules:
        module._kept = []
    return taken


def put_back(modules: Sequence[Module], taken: Sequence[Sequence[Any]]) -> None:
    """Have modules keep what `take_out` returned, which can be put back again later.

    Parameters
    ----------
    modules : sequence of Module
        The same, in the same order.
    taken : sequence of sequences
        What each kept.
    """
    for module, kept in zip(modules, taken, strict=True):
        module._kept = list(kept)
