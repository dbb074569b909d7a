"""The command line: ``rpusim demo``, ``presets``, ``describe``, ``response`` and ``support``."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import rpusim as rs
from rpusim import presets
from rpusim.config import Config, nearest
from rpusim.devices.summary import summary
from rpusim.studies import load_digits, portrait, response, train_classifier, write_report
from rpusim.studies.optional import need
from rpusim.studies.page import table
from rpusim.studies.pictures import figure, save_figure
from rpusim.studies.report import check_folder
from rpusim.studies.support import support_matrix

__all__ = ["main"]

EPOCHS, SHORT = 40, 2
WRONG, INTERRUPTED = 2, 130
ABSTRACT = (Config, rs.Device, rs.PulsedDevice)
ENDINGS = ("", "PresetDevice", "Preset", "Device")  # that a name may lack
PRINT = 300  # pixels per inch of a picture for a paper


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; default: those of the process.

    Returns
    -------
    int
        0, or 2 after an error that the user can mend, or 130 after Ctrl-C.
    """
    given = _parser().parse_args(argv)
    try:
        given.run(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail("interrupted.", INTERRUPTED)
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except rs.RpusimError as error:
        return _fail(" ".join(str(error).split()), WRONG)
    except OSError as error:
        place = f": {error.filename!r}" if error.filename else ""
        return _fail(f"{error.strerror or error}{place}", WRONG)
    return 0


def _fail(message: str, status: int) -> int:
    print(f"rpusim: {message}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rpusim",
        description="Simulates analog in-memory computing: crossbars of devices that learn.",
    )
    parser.add_argument("--version", action="version", version=f"rpusim {rs.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    demo = commands.add_parser(
        "demo",
        help="train on handwritten digits with three kinds of devices; write a report",
        description="Train a 64-32-10 network on handwritten digits in floating point, on an ideal "
        "device and on a realistic one; print a table and write a report with pictures.",
    )
    demo.add_argument(
        "--out",
        default="rpusim-report",
        metavar="FOLDER",
        help="folder of the report (default: %(default)s)",
    )
    demo.add_argument("--seed", type=_count(0), default=1, help="(default: %(default)s)")
    length = demo.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs", type=_count(1), default=EPOCHS, help="for each system (default: %(default)s)"
    )
    length.add_argument(
        "--short",
        action="store_const",
        const=SHORT,
        dest="epochs",
        help=f"only {SHORT} epochs: a test that everything runs",
    )
    demo.set_defaults(run=_demo)

    listing = commands.add_parser("presets", help="list the presets")
    listing.set_defaults(run=_presets)

    describe = commands.add_parser(
        "describe", help="show all fields of a preset or configuration, and what its device does"
    )
    named = "as listed by 'rpusim presets', or a class; the ending may be left out"
    describe.add_argument("name", metavar="NAME", help=named)
    describe.set_defaults(run=_describe)

    curve = commands.add_parser(
        "response", help="pulse many devices up, then down; print or draw their weights"
    )
    curve.add_argument("name", metavar="NAME", help="a preset or device class that takes pulses")
    drawn = "draw weights and steps to this file (.png, .pdf, .svg, ...)"
    curve.add_argument("--plot", metavar="FILE", help=drawn)
    curve.add_argument("--pulses", type=_count(1), help="in each direction (default: its states)")
    curve.add_argument("--devices", type=_count(1), default=1000, help="(default: %(default)s)")
    curve.add_argument("--seed", type=_count(0), default=0, help="(default: %(default)s)")
    curve.set_defaults(run=_response)

    support = commands.add_parser(
        "support", help="try every option of the product; print which works where, as Markdown"
    )
    support.set_defaults(run=_support)
    return parser


def _count(low: int) -> Any:
    """Return a reader of integers >= `low`, for argparse."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < low:
            raise argparse.ArgumentTypeError(f"must be an integer >= {low}, got {text!r}")
        return int(text)

    return read


# ---------------------------------------------------------------- demo


def _demo(given: argparse.Namespace) -> None:
    started = time.perf_counter()
    folder = check_folder(given.out)
    progress = need("tqdm", "demo", "rpusim demo").tqdm
    figure()  # what is missing should be missed before the training, not after it
    data = load_digits()
    real = presets.EcRamPreset()
    systems = {
        "floating point": presets.FloatingPoint(),
        "ideal device, real periphery": real.replace(device=rs.IdealDevice()),
        "ECRAM device, real periphery": real,
    }
    runs, width = {}, max(map(len, systems))
    with progress(total=len(systems) * given.epochs, unit="epoch", leave=False) as bar:

        def show(epoch: int, accuracy: float, loss: float) -> None:
            bar.set_postfix_str(f"accuracy {accuracy:4.0%}", refresh=False)
            bar.update()

        for name, config in systems.items():
            bar.set_description(name.ljust(width), refresh=False)
            bar.set_postfix_str("compiling")
            runs[name] = train_classifier(
                config, data, epochs=given.epochs, rng=given.seed, progress=show
            )
        bar.set_description("drawing pictures".ljust(width))
        curve = response(real, rng=given.seed)
        command = ["rpusim", "demo", "--epochs", str(given.epochs), "--seed", str(given.seed)]
        command += ["--out", str(folder)]
        files = write_report(folder, runs, curve, shlex.join(command), _versions())
    _print_table(table(runs))
    print(f"\nReport, with pictures: {files['report.md']}")
    print(f"{time.perf_counter() - started:.0f} s in all.")


def _versions() -> dict[str, str]:
    return {
        "rpusim": rs.__version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "Numba": metadata.version("numba"),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print columns: text to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join(cells))


# ---------------------------------------------------------------- what there is, and what it does


def _presets(given: argparse.Namespace) -> None:
    names = presets.preset_names()
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}  {getattr(presets, name).about}")


def _describe(given: argparse.Namespace) -> None:
    named = _named(given.name)
    if isinstance(named, presets.Preset):
        print(named.about)
        if named.source:
            print("Source: " + "\n        ".join(named.source))
        print()
    made = named()
    print(made.describe())
    device = getattr(made, "device", made)
    if isinstance(device, rs.PulsedDevice):
        print(f"\n{summary(device)}")


def _response(given: argparse.Namespace) -> None:
    named = _named(given.name)
    curve = response(named(), pulses=given.pulses, devices=given.devices, rng=given.seed)
    if given.plot:
        kind = type(curve.device).__name__
        title = kind if named.__name__ == kind else f"{named.__name__} ({kind})"
        if isinstance(curve.device, rs.PulsedDevice):
            picture = portrait(curve, title, "; ".join(getattr(named, "source", ())))
        else:  # a cell, which has no step of its own
            picture = figure()
            curve.plot(picture.subplots()).set_title(title)
        save_figure(picture, Path(given.plot), dpi=PRINT)
    rows = [("pulse", "mean weight", "std")]
    for n in np.linspace(0, curve.pulse[-1], 11).round().astype(int):
        rows.append((f"{n}", f"{curve.mean[n]:+.4f}", f"{curve.std[n]:.4f}"))
    _print_table(rows)
    if given.plot:
        print(f"\nPicture: {given.plot}")


def _support(given: argparse.Namespace) -> None:
    print(support_matrix(), end="")


def _named(name: str) -> Any:
    """Return the preset or the configuration class of that name, its ending given or not."""
    known: dict[str, Any] = {n: getattr(presets, n) for n in presets.preset_names()}
    for public in rs.__all__:
        item = getattr(rs, public)
        if isinstance(item, type) and issubclass(item, Config) and item not in ABSTRACT:
            known[public] = item
    for ending in ENDINGS:
        if name + ending in known:
            return known[name + ending]
    raise rs.ConfigError(
        f"no preset or configuration is called {name!r}{nearest(name, known) or '.'} "
        "'rpusim presets' lists the presets."
    )
