"""Studies: response curves of devices, training runs, and the pictures and reports made of them."""

from rpusim.studies.digits import Dataset, load_digits
from rpusim.studies.optional import MissingPackage
from rpusim.studies.report import write_report
from rpusim.studies.response import Response, response
from rpusim.studies.training import TrainingRun, train_classifier

__all__ = [
    "response",
    "Response",
    "load_digits",
    "Dataset",
    "train_classifier",
    "TrainingRun",
    "write_report",
    "MissingPackage",
]
