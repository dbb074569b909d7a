"""Layers for torch whose weights are devices: an optional adapter over `rpusim.nn` and the tiles.

Nothing else in the package imports it, and it is the only one that imports torch.
"""

from rpusim.optional import need

need("torch", "torch", "rpusim.torch")

from rpusim.torch.conv import (  # noqa: E402
    AnalogConv1d,
    AnalogConv1dMapped,
    AnalogConv2d,
    AnalogConv2dMapped,
    AnalogConv3d,
    AnalogConv3dMapped,
)
from rpusim.torch.conversion import convert_to_analog, convert_to_digital  # noqa: E402
from rpusim.torch.linear import AnalogLinear, AnalogLinearMapped  # noqa: E402
from rpusim.torch.models import (  # noqa: E402
    analog_layers,
    calibrate_input_ranges,
    drift_analog_weights,
    program_analog_weights,
    restore_analog_weights,
    same_draws,
)
from rpusim.torch.optimizer import AnalogOptimizer  # noqa: E402
from rpusim.torch.recurrent import (  # noqa: E402
    AnalogGRUCell,
    AnalogLSTMCell,
    AnalogLSTMCellCombinedWeight,
    AnalogRNN,
    AnalogVanillaRNNCell,
)

__all__ = [
    "AnalogLinear",
    "AnalogLinearMapped",
    "AnalogConv1d",
    "AnalogConv2d",
    "AnalogConv3d",
    "AnalogConv1dMapped",
    "AnalogConv2dMapped",
    "AnalogConv3dMapped",
    "AnalogRNN",
    "AnalogVanillaRNNCell",
    "AnalogLSTMCell",
    "AnalogLSTMCellCombinedWeight",
    "AnalogGRUCell",
    "AnalogOptimizer",
    "convert_to_analog",
    "convert_to_digital",
    "analog_layers",
    "program_analog_weights",
    "drift_analog_weights",
    "restore_analog_weights",
    "calibrate_input_ranges",
    "same_draws",
]
