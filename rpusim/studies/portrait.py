"""The portrait of a device, for a paper: its response, and its steps against the weight."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpusim.devices import PulsedDevice
from rpusim.devices.exact import ExactLaw
from rpusim.devices.population import references
from rpusim.studies.bench import Bench, pulsed_device
from rpusim.studies.pictures import BAND, DARK, DIRECTIONS, draw_response, figure, tidy
from rpusim.studies.response import Response
from rpusim.studies.scatter import deviation, moments
from rpusim.studies.signal_to_noise import node_weights, quantiles_over_devices

__all__ = ["portrait"]

NODES, MARKED = 101, 9  # of the curves, of the measured steps
DEVICES = 500  # that show the spread
COPIES, PULSES = 4000, 10  # of the mean device, to measure its scatter: 2 % of it in a mean
CAPTION = 190  # characters of a line
SHAPES = ("^", "v")

Floats = NDArray[np.float64]


def portrait(curve: Response, title: str = "", source: str = "") -> Any:
    """Return a figure of a device: pulses up and down, and the step of a pulse against the weight.

    Left: mean, spread and single devices. Right: noise-free steps of the mean device, with the
    spread from device to device; pulses that were sent to the mean device, with their scatter from
    pulse to pulse, write noise left out; the symmetry point, where both curves meet. Where a bound
    would cut a noise-free step short, it is not drawn.

    Parameters
    ----------
    curve : Response
        The response to draw; its device and seed are used for the rest.
    title, source : str
        What stands above the picture, and where the device's values come from.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingPackage
        If matplotlib is not installed.
    ConfigError
        If the curve is that of a cell of several devices.
    """
    pulsed_device(curve.device, "portrait")
    fig = figure(10.0, 4.8)
    left, right = fig.subplots(1, 2)
    draw_response(curve, left)
    draw_steps(curve.device, right, curve.seed)
    for letter, ax in zip("ab", (left, right), strict=True):
        ax.set_title(letter, loc="left", fontweight="bold")
        entries = sorted(zip(*ax.get_legend_handles_labels(), strict=True), key=_place)
        ax.legend(
            *zip(*entries, strict=True),
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16),
            ncols=2,
            fontsize="small",
            frameon=False,
        )
    if title:
        fig.suptitle(title, fontsize="large")
    noise = curve.device.write_noise
    notes = textwrap.wrap(f"Parameters: {source}.", CAPTION) if source else []
    notes += [f"Write noise (standard deviation {noise:.3g}) is in a, not in b."] if noise else []
    fig.supxlabel("\n".join(notes), fontsize="x-small", color=DARK)
    return fig


def _place(entry: tuple[Any, str]) -> tuple[bool, bool]:
    """Return what sorts a legend: what is about down pulses stands in its second column."""
    return entry[1].startswith("down"), entry[1].startswith("symmetry")


def draw_steps(device: PulsedDevice, ax: Any, rng: Any) -> None:
    """Draw the steps of a device against the weight: computed, spread and measured."""
    weights = node_weights(NODES, device, "portrait")
    mean = free_steps(ExactLaw(device), weights)[:, :, 0]
    spread = free_steps(Bench("portrait", device, DEVICES, rng).law, weights)
    power = math.floor(math.log10(np.nanmax(mean, initial=1e-30)))
    power = power if power < -1 else 0
    scale, between = 10.0**-power, (weights[-1] - weights[0]) / MARKED
    centres = weights[0] + between * (np.arange(MARKED) + 0.5)
    measured = _pulsed(device, centres, 0.5 * between, rng)
    for k, style in enumerate(DIRECTIONS):
        low, _, high = scale * quantiles_over_devices(spread[k])
        line = {**style, "label": f"{style['label']}, mean device", "zorder": 3}
        ax.plot(weights, scale * mean[k], **line)
        label = f"{style['label']}, 16 to 84 % of devices"
        ax.fill_between(weights, low, high, color=style["color"], label=label, **BAND)
        ax.errorbar(
            centres + 0.12 * (k - 0.5) * between,  # a little beside each other
            *(scale * measured[:, k]),
            fmt=SHAPES[k],
            ms=5.0,
            mfc="white",
            color=style["color"],
            lw=0.7,
            capsize=1.5,
            label=f"{style['label']}, pulses ± their std",
        )
    _mark_symmetry_point(ax, device, scale)
    unit = rf" ($10^{{{power}}}$)" if power else ""
    tidy(ax, "weight $w$", rf"step per pulse $|\Delta w|${unit}")
    ax.locator_params(axis="x", nbins=6)
    ax.set_ylim(bottom=min(ax.get_ylim()[0], 0.0))


def _pulsed(device: PulsedDevice, centres: Floats, bandwidth: float, rng: Any) -> Floats:
    """Pulse the mean device, without write noise, up and down from weights all over its range.

    Returns
    -------
    ndarray of shape (2, 2, nodes)
        Mean and standard deviation of the changes around some weights, up then down.
    """
    still = device.replace(write_noise_std=0.0) if device.write_noise > 0.0 else device
    bench = Bench("portrait", still, COPIES, rng)
    bench.average()
    found = np.empty((2, 2, centres.size))
    for k, sign in enumerate((1.0, -1.0)):
        bench.start(None, np.linspace(bench.low[0], bench.high[0], COPIES, dtype=np.float32))
        traces = [bench.weights[0].astype(np.float64)]
        for _ in range(PULSES):
            bench.pulse([sign])
            traces.append(bench.weights[0].astype(np.float64))
        at, change = np.ravel(traces[:-1]), sign * np.diff(traces, axis=0).ravel()
        for n, centre in enumerate(centres):
            kernel = np.exp(-0.5 * ((at - centre) / bandwidth) ** 2)
            _, found[0, k, n], squares, freedom = moments(kernel, change)
            found[1, k, n] = deviation(squares, freedom)
    return found


def free_steps(law: ExactLaw, weights: Floats) -> Floats:
    """Return noise-free steps, up then down, as positive numbers; NaN where a bound interferes.

    Parameters
    ----------
    law : ExactLaw
        Of some devices.
    weights : ndarray of shape (nodes,)
        Weights that are seen.

    Returns
    -------
    ndarray of shape (2, nodes, devices)
    """
    out = np.empty((2, weights.size, law.size))
    low, high = law.plane("min_bound"), law.plane("max_bound")
    for n, w in enumerate(weights):
        raw = w + references(law)
        after = raw + law.free_steps(raw)
        free = (raw >= low) & (raw <= high) & (after >= low) & (after <= high)
        out[:, n] = np.where(free, np.abs(after - raw), np.nan)
    return out


def _mark_symmetry_point(ax: Any, device: PulsedDevice, scale: float) -> None:
    point = device.symmetry_point()
    if math.isnan(point) or not device.step_depends_on_weight:
        return
    step = scale * abs(device.mean_step(point, 1.0))
    ax.axvline(point, color=DARK, lw=0.9, ls=":", zorder=0)
    label = f"symmetry point, $w = {round(point, 3) + 0.0:.3g}$"
    ax.plot([point], [step], "o", ms=8.0, mfc="none", mec="black", mew=1.4, label=label, zorder=4)
