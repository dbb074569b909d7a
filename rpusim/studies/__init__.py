"""Studies of devices (response, symmetry point, noise, fits), training, inference; pictures."""

from rpusim.studies.digits import Dataset, load_digits
from rpusim.studies.fitting import Fit, fit, read_pulse_csv
from rpusim.studies.inference_sweep import InferenceSweep, accuracy, inference_sweep
from rpusim.studies.number_of_states import NumberOfStates, number_of_states
from rpusim.studies.optional import MissingPackage
from rpusim.studies.portrait import portrait
from rpusim.studies.programming_budget import ProgrammingBudget, programming_budget
from rpusim.studies.programming_map import ProgrammingMap, programming_map
from rpusim.studies.report import write_report
from rpusim.studies.response import Response, response
from rpusim.studies.scatter import Scatter, scatter, scatter_of
from rpusim.studies.signal_to_noise import SignalToNoise, signal_to_noise
from rpusim.studies.symmetry_point import SymmetryPoints, symmetry_point
from rpusim.studies.training import TrainingRun, train_classifier
from rpusim.studies.zero_shift import ZeroShift, zero_shift

__all__ = [
    "response",
    "Response",
    "symmetry_point",
    "SymmetryPoints",
    "zero_shift",
    "ZeroShift",
    "number_of_states",
    "NumberOfStates",
    "signal_to_noise",
    "SignalToNoise",
    "scatter",
    "scatter_of",
    "Scatter",
    "portrait",
    "programming_budget",
    "ProgrammingBudget",
    "programming_map",
    "ProgrammingMap",
    "fit",
    "Fit",
    "read_pulse_csv",
    "inference_sweep",
    "InferenceSweep",
    "accuracy",
    "load_digits",
    "Dataset",
    "train_classifier",
    "TrainingRun",
    "write_report",
    "MissingPackage",
]
