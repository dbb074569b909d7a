"""Fitting devices to measured pulse responses."""

from rpusim.studies.fitting.data import PulseData, read_pulse_csv
from rpusim.studies.fitting.fit import fit
from rpusim.studies.fitting.result import Fit

__all__ = ["Fit", "PulseData", "fit", "read_pulse_csv"]
