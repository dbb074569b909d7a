"""The text of a report: what was run, the table, how to read each picture, how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping

from rpusim.studies.response import Response
from rpusim.studies.training import LAST, TrainingRun

__all__ = ["page", "table"]

PAGE = """\
# Training on analog devices: report

A {sizes} network of fully connected layers with sigmoids between them was trained to read
handwritten digits: {epochs} epochs of gradient descent on the cross entropy, learning rate {lr:g},
{batch} samples per step, 1437 digits to learn from and 360 others to test with (UCI optical
digits, 8 x 8 pixels, scikit-learn's copy). All systems started from the same weights and saw the
same digits in the same order; they differ in what holds, moves and reads the weights.

{table}

*Test accuracy* is the mean of the last {last} epochs. *Seconds* are training and testing, without
the {compiling:.1f} s it took to compile the machine code or to load it from the disk. *Pulses sent*
counts every pulse that a device received; a system with none was updated exactly.

{systems}

## Learning curves

![Test accuracy and training loss over the epochs](learning_curves.png)

Left: how many of the test digits were read correctly after each epoch. Right: the loss of the
training digits, on a logarithmic scale. The step from floating point to an ideal device is the
price of reading through real periphery: coarse converters and noise at both ends of the crossbar.
The step from there to a real device is the price of its pulses: finite, uneven and random steps
between bounds. A curve that jumps more than the others from epoch to epoch shows that randomness.

## Device response

![Weight of the device against the number of pulses](device_response.png)

{devices} devices of the last system, fabricated with their spread, received {up} up pulses and then
{down} down pulses, beginning at their lower bounds. A straight ramp has equal steps everywhere; a
curve that flattens has steps that fade towards its bound; a band that widens shows how much the
devices' steps differ. The mean `{device}` moves by {step_up:.2e} up and {step_down:.2e} down per
pulse at weight 0; about {states:.0f} such steps span its range. Where up and down steps differ,
random pulses push the weight towards the point where they are equal, and learning has to work
against that.

## Weights before and after

![Histograms of the weights of each layer before and after training](weight_histograms.png)

Numbers of weights are on a logarithmic scale. Grey: before, the same for all systems. Lines: after.
Dotted: the mean bounds of devices that have them. Weights that pile up there would have grown
further: the network has to do without.

## To repeat this

```
{command}
```

Seed {seed}; {versions}.
The same seed gives the same numbers, times excepted, for any number of threads. Every number above,
the weights and the configurations are in `results.json`:
`rpusim.Config.from_dict(results["systems"][0]["config"])` makes the first configuration again.
"""

HEAD = ("system", "test accuracy", "seconds", "pulses sent")


def table(runs: Mapping[str, TrainingRun]) -> list[tuple[str, ...]]:
    """Return a head and a row for every run, as text: system, accuracy, seconds, pulses."""
    rows: list[tuple[str, ...]] = [HEAD]
    for name, run in runs.items():
        pulses = f"{run.pulses:,}" if run.pulses else "none"
        rows.append((name, f"{100 * run.final_accuracy:.1f} %", f"{run.seconds:.1f}", pulses))
    return rows


def page(
    runs: Mapping[str, TrainingRun], response: Response, command: str, versions: Mapping[str, str]
) -> str:
    """Return the report as Markdown; arguments as for `write_report`."""
    any_run = next(iter(runs.values()))
    device = response.device
    return PAGE.format(
        sizes="-".join(map(str, any_run.sizes)),
        epochs=any_run.accuracy.size,
        lr=any_run.lr,
        batch=any_run.batch,
        table=_markdown(table(runs)),
        last=min(LAST, any_run.accuracy.size),
        compiling=sum(run.seconds_compiling for run in runs.values()),
        systems="\n".join(f"- **{name}**: `{run.config!r}`" for name, run in runs.items()),
        devices=response.devices,
        device=type(device).__name__,
        up=int((response.direction > 0).sum()),
        down=int((response.direction < 0).sum()),
        step_up=device.mean_step(0.0, +1),
        step_down=abs(device.mean_step(0.0, -1)),
        states=device.num_states,
        command=command,
        seed=any_run.seed,
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
    )


def _markdown(rows: list[tuple[str, ...]]) -> str:
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    rule = "|" + "|".join([" --- ", *[" ---: "] * (len(rows[0]) - 1)]) + "|"
    return "\n".join([head, rule, *body])
