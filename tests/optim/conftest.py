"""Layers over a tile that writes down what it was asked to do."""

from tests.nn.fake_tile import analog_linear

__all__ = ["analog_linear"]
