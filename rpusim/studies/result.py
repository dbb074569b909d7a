"""The base of the results of studies: see `rpusim.result`."""

from rpusim.result import Result

__all__ = ["Result"]
