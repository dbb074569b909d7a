"""The pictures of the studies, drawn with matplotlib, without a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rpusim.devices import PulsedDevice
from rpusim.errors import ConfigError
from rpusim.studies.optional import need

if TYPE_CHECKING:
    from rpusim.studies.response import Response
    from rpusim.studies.training import TrainingRun

__all__ = [
    "draw_response",
    "figure",
    "learning_curves",
    "save_figure",
    "tidy",
    "weight_histograms",
]

#: One colour per system, the same in every picture; the colour-blind tell them apart (Okabe, Ito).
COLOURS = ("#7f7f7f", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
DARK, PALE = "#4d4d4d", "#c8c8c8"
DPI = 150
SHOWN = 3  # traces of single devices
#: Up and down pulses, told apart by line as well as by colour.
DIRECTIONS: tuple[dict[str, Any], ...] = (
    {"color": COLOURS[2], "ls": "-", "lw": 1.8, "label": "up"},
    {"color": COLOURS[1], "ls": "--", "lw": 1.8, "label": "down"},
)
#: Further curves in one picture.
LINES: tuple[dict[str, Any], ...] = (
    {"color": DARK, "ls": "-", "lw": 1.8},
    {"color": COLOURS[2], "ls": "--", "lw": 1.5},
    {"color": COLOURS[1], "ls": "-.", "lw": 1.5},
    {"color": COLOURS[3], "ls": ":", "lw": 2.0},
)
LEGEND = {"loc": "best", "fontsize": "small", "framealpha": 0.9, "edgecolor": "none"}
#: Spread around a curve.
BAND = {"alpha": 0.18, "lw": 0}
#: Measured values with error bars.
MARKS = {"fmt": "o", "ms": 3.5, "mfc": "white", "color": DARK, "lw": 0.8, "ls": "none"}


def figure(width: float = 6.4, height: float = 4.0) -> Any:
    """Return an empty figure of that size in inches, outside pyplot."""
    module = need("matplotlib.figure", "plot", "Drawing pictures")
    return module.Figure(figsize=(width, height), layout="constrained")


def save_figure(fig: Any, path: Any, kind: str | None = None, dpi: float = DPI) -> None:
    """Write a figure to a file, or to an open binary stream as that kind of picture.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        The figure.
    path : path-like or binary stream
        Where it goes.
    kind : str, optional
        ``"png"``, ``"pdf"``, ...; default: what the ending of the file says.
    dpi : float, default 150
        Pixels per inch, for kinds that have pixels.

    Raises
    ------
    ConfigError
        If the ending of the file names no known kind.
    """
    try:
        fig.savefig(path, dpi=dpi, format=kind)
    except ValueError as error:  # matplotlib's message lists the kinds
        raise ConfigError(f"{str(path)!r} cannot be drawn: {error}.") from error


def draw_response(response: Response, ax: Any) -> None:
    """Draw a response curve: mean, one standard deviation, single devices."""
    n, mean, std, colour = response.pulse, response.mean, response.std, COLOURS[2]
    ax.plot(n, mean, color="white", lw=4.4, alpha=0.8, zorder=2.9)  # apart from noisy devices
    ax.plot(n, mean, color=colour, lw=2.2, zorder=3, label=f"mean of {response.devices} devices")
    band = "± one standard deviation"
    ax.fill_between(n, mean - std, mean + std, color=colour, alpha=0.25, lw=0, label=band)
    for edge in (mean - std, mean + std):
        ax.plot(n, edge, color=colour, lw=0.8, ls="--", zorder=2.5)
    for k, trace in enumerate(response.traces.T[:SHOWN]):
        label = "single devices" if k == 0 else None
        ax.plot(n, trace, color=DARK, lw=0.5, alpha=0.6, label=label)
    sign = response.direction[1:]
    turns = np.flatnonzero(np.diff(sign)) + 1
    what = "pulse number"
    if turns.size == 1:
        first, then = ("up", "down") if sign[0] > 0 else ("down", "up")
        what += f" ({turns[0]} {first}, then {sign.size - turns[0]} {then})"
        ax.axvline(turns[0], color=DARK, lw=0.9, ls=":")
    tidy(ax, what, "weight $w$")
    ax.set_xlim(0, n[-1])
    ax.legend(**LEGEND)


def learning_curves(runs: Mapping[str, TrainingRun]) -> Any:
    """Return a figure of test accuracy and training loss over the epochs."""
    fig = figure(9.0, 4.2)
    left, right = fig.subplots(1, 2)
    for k, (name, run) in enumerate(runs.items()):
        epochs = np.arange(1, run.accuracy.size + 1)
        # the first is the yardstick: broad, so that a curve on top of it does not hide it
        style = {"color": COLOURS[k], "lw": 1.7 if k else 4.5, "alpha": 1.0 if k else 0.6}
        style["marker"] = "o" if epochs.size < 6 else ""
        label = f"{name}: {100 * run.final_accuracy:.1f} %"
        left.plot(epochs, 100.0 * run.accuracy, label=label, **style)
        right.plot(epochs, run.loss, **style)
    tidy(left, "epoch", "test accuracy (%)")
    tidy(right, "epoch", "training loss (nat per sample)")
    left.set_ylim(0, 100)
    left.legend(**LEGEND)
    _plain_log_scale(right)
    for ax in (left, right):
        ax.set_xlim(left=0)
        ax.xaxis.get_major_locator().set_params(integer=True)
    return fig


def weight_histograms(runs: Mapping[str, TrainingRun]) -> Any:
    """Return a figure of the weights: a column for every system, a row for every layer."""
    sizes = next(iter(runs.values())).sizes
    layers = len(sizes) - 1
    fig = figure(3.2 * len(runs), 2.4 * layers + 0.6)
    grid = fig.subplots(layers, len(runs), squeeze=False, sharex="row", sharey="row")
    for k, (name, run) in enumerate(runs.items()):
        for row in range(layers):
            ax, before, after = grid[row, k], run.weights_before[row], run.weights_after[row]
            everyone = [before, *(r.weights_after[row] for r in runs.values())]
            bins = np.linspace(-1.0, 1.0, 51) * max(float(np.abs(w).max()) for w in everyone)
            ax.hist(before.ravel(), bins, color=PALE, label="before training")
            colour = DARK if k == 0 else COLOURS[k]
            ax.hist(after.ravel(), bins, color=colour, histtype="step", lw=1.5, label="after")
            _mark_bounds(ax, run)
            count = f"weights of layer {row + 1} ({sizes[row]} → {sizes[row + 1]})"
            tidy(ax, "weight" if row == layers - 1 else "", "" if k else count)
            ax.set_yscale("log")
        grid[0, k].set_title(name, color=colour, fontsize="medium")
    handles, labels = grid[0, -1].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return fig


def _mark_bounds(ax: Any, run: TrainingRun) -> None:
    """Mark the mean bounds of the devices, where they have any and the weights are theirs."""
    device = getattr(run.config, "device", None)
    mapping = getattr(run.config, "mapping", None)
    if isinstance(device, PulsedDevice) and not getattr(mapping, "weight_scaling_omega", 0.0):
        ax.axvline(device.w_min, color=DARK, lw=0.9, ls=":", label="mean bounds of the devices")
        ax.axvline(device.w_max, color=DARK, lw=0.9, ls=":")


def tidy(ax: Any, xlabel: str, ylabel: str) -> None:
    """Label the axes; leave out what carries nothing."""
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#e4e4e4", lw=0.7)
    ax.set_axisbelow(True)


def _plain_log_scale(ax: Any) -> None:
    """Write 0.1, 0.2, 0.5, 1 rather than powers of ten: losses span one or two of them."""
    ticker = need("matplotlib.ticker", "plot", "Drawing pictures")
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(ticker.NullFormatter())
