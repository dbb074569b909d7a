"""Layers, losses and mini-batches: networks whose forward and backward are written out."""

from rpusim.nn.activations import GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softplus, Tanh
from rpusim.nn.adaptive_pooling import AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d
from rpusim.nn.analog_conv import (
    AnalogConv1d,
    AnalogConv1dMapped,
    AnalogConv2d,
    AnalogConv2dMapped,
    AnalogConv3d,
    AnalogConv3dMapped,
)
from rpusim.nn.batch_norm import BatchNorm1d, BatchNorm2d
from rpusim.nn.batches import batches
from rpusim.nn.branches import Concat, Residual
from rpusim.nn.calibration import InputRangeCalibrationType, calibrate_input_ranges
from rpusim.nn.containers import Sequential
from rpusim.nn.conv import Conv1d, Conv2d, Conv3d
from rpusim.nn.conversion import convert_to_analog, convert_to_digital
from rpusim.nn.conversion_registry import register_conversion
from rpusim.nn.conversion_report import ConversionReport, LayerConversion
from rpusim.nn.dropout import Dropout
from rpusim.nn.embedding import Embedding
from rpusim.nn.fusion import FusionExport, fusion_export, fusion_import
from rpusim.nn.grouped_conv import GroupedAnalogConv
from rpusim.nn.layer_norm import LayerNorm
from rpusim.nn.linear import AnalogLinear, AnalogLinearMapped, Linear
from rpusim.nn.losses import bce_with_logits, cross_entropy, mse, nll
from rpusim.nn.metrics import accuracy, error, perplexity
from rpusim.nn.module import Module
from rpusim.nn.parameter import AnalogBias, AnalogParameter, Parameter, TileParameter
from rpusim.nn.pooling import AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d
from rpusim.nn.programmed import programmed
from rpusim.nn.quantised import QuantActivation, QuantLinear, set_quant_state
from rpusim.nn.reconfiguration import replace_config, to_inference
from rpusim.nn.recurrent import RNN, AnalogRNN
from rpusim.nn.recurrent_cells import (
    AnalogGRUCell,
    AnalogLSTMCell,
    AnalogLSTMCellCombinedWeight,
    AnalogVanillaRNNCell,
    GRUCell,
    LSTMCell,
    LSTMCellCombinedWeight,
    VanillaRNNCell,
)
from rpusim.nn.samples import normalise, one_hot, split
from rpusim.nn.sequence_output import AllSteps, LastStep
from rpusim.nn.shapes import Flatten, PadChannels, Reshape
from rpusim.nn.summary import summary_table

__all__ = [
    "Module",
    "Sequential",
    "Residual",
    "Concat",
    "Linear",
    "AnalogLinear",
    "AnalogLinearMapped",
    "AnalogConv1d",
    "AnalogConv2d",
    "AnalogConv3d",
    "GroupedAnalogConv",
    "AnalogConv1dMapped",
    "AnalogConv2dMapped",
    "AnalogConv3dMapped",
    "RNN",
    "AnalogRNN",
    "VanillaRNNCell",
    "LSTMCell",
    "LSTMCellCombinedWeight",
    "GRUCell",
    "AnalogVanillaRNNCell",
    "AnalogLSTMCell",
    "AnalogLSTMCellCombinedWeight",
    "AnalogGRUCell",
    "AllSteps",
    "LastStep",
    "QuantLinear",
    "QuantActivation",
    "set_quant_state",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "Embedding",
    "Sigmoid",
    "Tanh",
    "ReLU",
    "LeakyReLU",
    "Softplus",
    "GELU",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "BatchNorm1d",
    "BatchNorm2d",
    "LayerNorm",
    "Dropout",
    "Flatten",
    "Reshape",
    "PadChannels",
    "cross_entropy",
    "nll",
    "mse",
    "bce_with_logits",
    "accuracy",
    "error",
    "perplexity",
    "batches",
    "split",
    "normalise",
    "one_hot",
    "calibrate_input_ranges",
    "InputRangeCalibrationType",
    "programmed",
    "convert_to_analog",
    "convert_to_digital",
    "replace_config",
    "to_inference",
    "register_conversion",
    "ConversionReport",
    "LayerConversion",
    "summary_table",
    "fusion_export",
    "fusion_import",
    "FusionExport",
    "Parameter",
    "TileParameter",
    "AnalogParameter",
    "AnalogBias",
]
