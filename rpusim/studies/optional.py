"""Optional packages, for studies: see `rpusim.optional`."""

from rpusim.optional import MissingPackage, need, progress

__all__ = ["MissingPackage", "need", "progress"]
