"""The report of a demo: pictures, a page that explains them, and every number as JSON."""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rpusim.errors import ConfigError
from rpusim.studies.page import page
from rpusim.studies.pictures import (
    draw_response,
    figure,
    learning_curves,
    save_figure,
    weight_histograms,
)
from rpusim.studies.response import Response
from rpusim.studies.training import TrainingRun

__all__ = ["check_folder", "write_report"]


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Create a folder if it does not exist, and see that a report can be written there.

    Raises
    ------
    ConfigError
        If it cannot: better before hours of training than after.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = "it is a file" if path.is_file() else error.strerror
        raise ConfigError(f"the report cannot go to {str(path)!r}: {reason}.") from error
    return path


def write_report(
    folder: str | os.PathLike[str],
    runs: Mapping[str, TrainingRun],
    response: Response,
    command: str,
    versions: Mapping[str, str],
) -> dict[str, Path]:
    """Write ``report.md``, ``results.json`` and three pictures into a folder.

    All are made before the first is written, each replaces an older one at once, and nothing else
    in the folder is touched.

    Parameters
    ----------
    folder : path-like
        Where; created with its parents if it does not exist.
    runs : mapping of str to TrainingRun
        Runs of the same protocol by name of the system, at most six.
    response : Response
        Of the device of the last of them.
    command : str
        What repeats the report.
    versions : mapping of str to str
        Versions of what computed it, by name.

    Returns
    -------
    dict of str to Path
        The files by name.
    """
    response_figure = figure(7.5, 4.2)
    draw_response(response, response_figure.subplots())
    contents = {
        "learning_curves.png": _png(learning_curves(runs)),
        "device_response.png": _png(response_figure),
        "weight_histograms.png": _png(weight_histograms(runs)),
        "results.json": _json(runs, response, command, versions).encode(),
        "report.md": page(runs, response, command, versions).encode(),
    }
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        _replace(path / name, content)
    return {name: path / name for name in contents}


def _png(fig: Any) -> bytes:
    stream = io.BytesIO()
    save_figure(fig, stream, "png")
    return stream.getvalue()


def _replace(path: Path, content: bytes) -> None:
    """Write a file beside its final name, then move it there."""
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _json(
    runs: Mapping[str, TrainingRun], response: Response, command: str, versions: Mapping[str, str]
) -> str:
    systems = [
        {
            "name": name,
            "config": run.config.to_dict(),
            "sizes": list(run.sizes),
            "lr": run.lr,
            "batch": run.batch,
            "epochs": run.accuracy.size,
            "seed": run.seed,
            "accuracy": run.accuracy.tolist(),
            "final_accuracy": run.final_accuracy,
            "loss": run.loss.tolist(),
            "seconds": run.seconds,
            "seconds_compiling": run.seconds_compiling,
            "pulses": run.pulses,
            "weights_before": [w.astype(float).round(7).tolist() for w in run.weights_before],
            "weights_after": [w.astype(float).round(7).tolist() for w in run.weights_after],
        }
        for name, run in runs.items()
    ]
    curve = {
        "device": response.device.to_dict(),
        "devices": response.devices,
        "seed": response.seed,
        "pulse": response.pulse.tolist(),
        "direction": response.direction.tolist(),
        "mean": response.mean.tolist(),
        "std": response.std.tolist(),
    }
    whole = {"command": command, "versions": dict(versions), "systems": systems}
    text = json.dumps({**whole, "device_response": curve}, indent=1)
    return re.sub(r"\[[-+\d.eEINafinty,\s]+\]", _on_one_line, text) + "\n"


def _on_one_line(numbers: re.Match[str]) -> str:
    return " ".join(numbers[0].split()).replace("[ ", "[").replace(" ]", "]")
