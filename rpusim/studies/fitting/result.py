"""What a fit found: a configuration that is ready to use, and how far to trust it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpusim.devices import PulsedDevice
from rpusim.studies.fitting.picture import draw_fit, draw_residuals
from rpusim.studies.optional import need

__all__ = ["Fit"]


@dataclasses.dataclass(frozen=True)
class Fit:
    """A device fitted to measured pulse responses.

    Attributes
    ----------
    device : PulsedDevice
        The configuration: the one given, with the fitted parameters changed.
    parameters : dict of str to float
        The fitted ones: mean law, noise, spreads.
    standard_errors : dict of str to float
        From the curvature of the likelihood; NaN for a noise or spread that does not show and is 0.
    intervals : dict of str to (float, float)
        Confidence intervals: of spreads log-normal, of the others by the bootstrap.
    level : float
        Their probability to hold the true value.
    per_device : dict of str to ndarray of shape (devices,)
        Hidden parameters of the measured devices: ``tile.set_hidden_parameters`` takes them.
    pulses : ndarray of shape (pulses, devices, repeats)
        The data: directions,
    weights : ndarray of shape (pulses + 1, devices, repeats)
        and weights.
    trace, spread : ndarray of shape (pulses + 1, devices, repeats)
        Mean and standard deviation of the weights of the fitted devices, given their first one.
    residuals : ndarray of shape (pulses, devices, repeats)
        Measured weight minus that predicted from all before; NaN where nothing was predicted.
    standard_residuals : ndarray of shape (pulses, devices, repeats)
        The same over their standard deviations.
    r2 : float
        Part of the variance of the weights that `trace` explains. Noise of the pulses adds up
        along a trace, so that a perfect law has less than 1.
    reduced_chi2 : float
        Mean square of the standard residuals: near 1, unless the noise was kept as given.
    shape_p : float
        Probability, if the law is right, of residuals that depend on weight and direction as much
        as these do; a small one says that the steps have another shape.
    white_p : float
        Probability, if the noise is right, of successive residuals as correlated as these; a small
        one says that the noise is of another kind.
    evaluations : int
        How often all data were predicted.
    success : bool
        Whether the fit settled.
    message : str
        How it ended.
    seed : int
        As `rng`, it makes the same fit again.
    """

    device: PulsedDevice
    parameters: dict[str, float]
    standard_errors: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    level: float
    per_device: dict[str, NDArray[np.float64]]
    pulses: NDArray[np.float64]
    weights: NDArray[np.float64]
    trace: NDArray[np.float64]
    spread: NDArray[np.float64]
    residuals: NDArray[np.float64]
    standard_residuals: NDArray[np.float64]
    r2: float
    reduced_chi2: float
    shape_p: float
    white_p: float
    evaluations: int
    success: bool
    message: str
    seed: int

    def describe(self) -> str:
        """Return a table of the parameters, and the figures of quality, as text."""
        head = ("parameter", "value", "standard error", f"{100.0 * self.level:g} % interval")
        rows = [head]
        for name, value in self.parameters.items():
            low, high = self.intervals[name]
            error = f"{self.standard_errors[name]:.2g}"
            rows.append((name, f"{value:.6g}", error, f"{low:.6g} .. {high:.6g}"))
        widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
        lines = ["  ".join(f"{cell:<{n}}" for cell, n in zip(r, widths, strict=True)) for r in rows]
        lines.append(
            f"R2 {self.r2:.4f}, reduced chi2 {self.reduced_chi2:.3f}, p of the shape "
            f"{self.shape_p:.2g}, p of white residuals {self.white_p:.2g}"
        )
        return "\n".join(line.rstrip() for line in lines)

    def to_pandas(self) -> Any:
        """Return the parameters as a table: value, standard error, and the interval's ends.

        Raises
        ------
        MissingPackage
            If pandas is not installed.
        """
        pandas = need("pandas", "pandas", "Fit.to_pandas")
        low, high = np.array([self.intervals[name] for name in self.parameters]).T
        columns = {
            "value": list(self.parameters.values()),
            "standard_error": [self.standard_errors[name] for name in self.parameters],
            "low": low,
            "high": high,
        }
        return pandas.DataFrame(columns, index=pandas.Index(self.parameters, name="parameter"))

    def plot(self, ax: Any = None) -> Any:
        """Draw the fit over the data, and the residuals below.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where the fit goes, without residuals; by default a new pyplot figure of two axes.

        Returns
        -------
        matplotlib.axes.Axes
            Of the fit.
        """
        if ax is None:
            pyplot = need("matplotlib.pyplot", "plot", "Fit.plot")
            figure = pyplot.figure(figsize=(7.2, 5.6), layout="constrained")
            ax, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
            draw_residuals(self, below)
            draw_fit(self, ax)
            ax.set_xlabel("")
        else:
            draw_fit(self, ax)
        return ax
