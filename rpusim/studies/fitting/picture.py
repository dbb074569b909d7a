"""The picture of a fit: what was measured, what the fitted device does, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpusim.devices.fabrication import Draw
from rpusim.studies.fitting.filter import run_filter
from rpusim.studies.pictures import COLOURS, DARK

if TYPE_CHECKING:
    from rpusim.studies.fitting.result import Fit

__all__ = ["draw_fit", "draw_residuals"]

DEVICES = 1000  # that are simulated
MOST = 30  # measured traces that are drawn
MEASURED, FITTED = COLOURS[1], COLOURS[2]
STYLE = {"fontsize": "small", "framealpha": 0.9, "edgecolor": "none"}


def draw_fit(fit: Fit, ax: Any) -> None:
    """Draw measured weights, and mean and spread of fitted devices."""
    measured = fit.weights.reshape(len(fit.weights), -1)
    n, devices = np.arange(len(measured)), fit.weights.shape[1]
    if devices == 1:
        trace, spread = fit.trace[:, 0].mean(axis=1), fit.spread[:, 0].mean(axis=1)
        marks = {"ls": "", "marker": ".", "ms": 3.0, "label": "measured", "alpha": 0.6}
        mean, band = "fit, from the first weight on", "± two standard deviations of its noise"
    else:
        trace, spread = _population(fit)
        marks = {"lw": 0.6, "alpha": 0.5, "label": f"measured, {devices} devices"}
        mean, band = "mean of devices as fitted", "± two standard deviations of such devices"
    for k, weights in enumerate(measured.T[:MOST]):
        ax.plot(n, weights, color=MEASURED, **{**marks, "label": None if k else marks["label"]})
    low, high = trace - 2.0 * spread, trace + 2.0 * spread
    ax.fill_between(n, low, high, color=FITTED, alpha=0.2, lw=0, label=band)
    ax.plot(n, trace, color=FITTED, lw=1.8, label=mean)
    _tidy(ax, n[-1], "weight")
    ax.legend(loc="best", **STYLE)


def draw_residuals(fit: Fit, ax: Any) -> None:
    """Draw the standard residuals."""
    standard = fit.standard_residuals.reshape(len(fit.pulses), -1)
    n = np.arange(1, len(standard) + 1)
    for level in (-2.0, 0.0, 2.0):
        ax.axhline(level, color=DARK, lw=0.7, ls="-" if level == 0.0 else ":")
    for trace in standard.T[:MOST]:
        ax.plot(n, trace, ls="", marker=".", ms=2.0, color=MEASURED, alpha=0.5)
    _tidy(ax, n[-1], "residual over\nits deviation")
    ax.set_xlabel("pulse number")


def _population(fit: Fit) -> tuple[NDArray, NDArray]:
    """Return mean and spread of devices fabricated as fitted, from the mean first weight on."""
    device, signs = fit.device, fit.pulses[:, 0, 0]
    made = device.fabricate((1, DEVICES), Draw((0, 1)))
    planes = np.stack([made[name][0].astype(np.float64) for name in device.planes()])
    weights = np.full((DEVICES, signs.size + 1), np.nan)
    weights[:, 0] = np.nanmean(fit.weights[0])
    every = np.broadcast_to(signs, (DEVICES, signs.size)).copy()
    found = run_filter(device, planes, weights, every, device.write_noise**2)
    means = np.concatenate([weights[:, :1], found.means], axis=1)
    variance = np.concatenate([np.zeros((DEVICES, 1)), found.variances], axis=1).mean(axis=0)
    return means.mean(axis=0), np.sqrt(variance + means.var(axis=0))


def _tidy(ax: Any, last: float, ylabel: str) -> None:
    """Label the axes; leave out what carries nothing."""
    ax.set_xlim(0, last)
    ax.set_xlabel("pulse number")
    ax.set_ylabel(ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#e4e4e4", lw=0.7)
    ax.set_axisbelow(True)
