"""Layers, losses and mini-batches: networks whose forward and backward are written out."""

from rpusim.nn.activations import LogSoftmax, ReLU, Sigmoid, Tanh
from rpusim.nn.batches import batches
from rpusim.nn.containers import Sequential
from rpusim.nn.linear import AnalogLinear, Linear
from rpusim.nn.losses import cross_entropy, mse, nll
from rpusim.nn.module import Module
from rpusim.nn.parameter import AnalogBias, AnalogParameter, Parameter, TileBias

__all__ = [
    "Module",
    "Sequential",
    "Linear",
    "AnalogLinear",
    "Sigmoid",
    "Tanh",
    "ReLU",
    "LogSoftmax",
    "cross_entropy",
    "nll",
    "mse",
    "batches",
    "Parameter",
    "TileBias",
    "AnalogParameter",
    "AnalogBias",
]
