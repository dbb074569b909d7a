"""Pictures of a table of conductances, and of the errors that it leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.studies.inference_sweep import NAMES
from rpusim.studies.pictures import COLOURS, DARK, LEGEND, MARKS, tidy

__all__ = ["draw_errors", "draw_table"]


def draw_table(converter: Any, ax: Any) -> None:
    """Draw the conductances of a `CustomPairConductanceConverter` over the weight.

    Parameters
    ----------
    converter : CustomPairConductanceConverter
        The table.
    ax : matplotlib.axes.Axes
        Where.
    """
    u = converter.node_weights
    for k, g in enumerate(converter.g_lst):
        pair, sign = k // 2, "+-"[k % 2]
        style = {"color": COLOURS[1 + pair % 5], "ls": "-" if sign == "+" else "--"}
        number = f"_{{{pair + 1}}}" if len(converter.f_lst) > 1 else ""
        label = f"$g^{sign}{number}$"
        if len(converter.f_lst) > 1 and sign == "+":
            label += f", factor {converter.f_lst[pair]:.3g}"
        ax.plot(u, g, lw=1.8, marker="o", ms=3.0, label=label, **style)
    ax.set_ylim(bottom=0.0)
    ax.set_xticks([-1.0, -0.5, 0.0, 0.5, 1.0])
    tidy(ax, "weight, relative to the largest", "conductance (uS)")
    ax.legend(**LEGEND)


def draw_errors(optimizer: Any, ax: Any) -> None:
    """Draw the computed errors over time, of the baseline and of the result, and those confirmed.

    Parameters
    ----------
    optimizer : WeightProgrammingOptimizer
        That has run.
    ax : matplotlib.axes.Axes
        Where.
    """
    t = np.arange(len(optimizer.t_steps))
    sampled = optimizer.monte_carlo
    names = ("baseline", "best table" if optimizer.success else "result: the baseline")
    rows = (
        (names[0], optimizer.errors_baseline, optimizer.loss_baseline, sampled[2:], COLOURS[0]),
        (names[1], optimizer.errors, optimizer.loss, sampled[:2], COLOURS[2]),
    )
    for name, errors, loss, (mean, stderr), colour in rows:
        label = f"{name}: loss {loss:.4g}"
        ax.plot(t, np.sqrt(errors) / 10.0, color=colour, marker="o", ms=4.0, lw=1.8, label=label)
        # the root of a mean loss, with its error carried through the root
        root = np.sqrt(mean) / 10.0
        marks = {**MARKS, "color": colour, "ms": 5.0}
        ax.errorbar([t[-1] + 1.0], [root], yerr=[0.05 * stderr / np.sqrt(mean)], **marks)
    ax.axvline(t[-1] + 0.5, color=DARK, lw=0.9, ls=":")
    labels = [NAMES.get(seconds, f"{seconds:.3g} s") for seconds in optimizer.t_steps]
    ax.set_xticks([*t, t[-1] + 1.0], [*labels, "all, by\nprogramming"])
    ax.set_ylim(bottom=0.0)
    tidy(ax, "time after programming", "rms error, relative to the largest weight")
    ax.legend(**LEGEND)
