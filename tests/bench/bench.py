"""Time tiles and a digits epoch, beside the reference if a Python that has it is named.

    python tests/bench/bench.py                                  # rpusim alone
    python tests/bench/bench.py --reference /path/to/other/bin/python
    python tests/bench/bench.py --cores 2 --rounds 5
    python tests/bench/bench.py --only products compounds

Both sides run in alternation, in processes of their own pinned to the same cores, so that a busy
machine slows both; the table shows the median of the rounds and the ratio. The other Python needs
aihwkit 1.1.0, torch 2.10.0 and scikit-learn: see docs/developer/benchmarks.md. Collected by no test
run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from cases import SECTIONS

HERE = Path(__file__).parent


def measure(python: str, script: str, cores: int, sections: list[str]) -> dict[str, float]:
    """Run one side once; return seconds by name."""
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RPUSIM_NUM_THREADS"):
        environment[name] = str(cores)
    command = [python, "-W", "ignore", str(HERE / script), *sections]

    def pin() -> None:
        os.sched_setaffinity(0, range(cores))

    done = subprocess.run(
        command,
        env=environment,
        preexec_fn=pin if hasattr(os, "sched_setaffinity") else None,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", help="a Python with aihwkit and torch")
    parser.add_argument("--cores", type=int, default=1, help="cores that both sides may use")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs")
    parser.add_argument("--only", nargs="+", default=[], choices=SECTIONS, help="what to time")
    options = parser.parse_args()
    how = options.cores, options.only
    measure(sys.executable, "side_rpusim.py", *how)  # fills the caches of machine code
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(measure(sys.executable, "side_rpusim.py", *how))
        if options.reference:
            theirs.append(measure(options.reference, "side_reference.py", *how))
    print(f"| {'what':34s} | rpusim ms | reference ms | ratio |")
    print(f"|{'-' * 36}|----------:|-------------:|------:|")
    for name in ours[0]:
        mine = statistics.median(run[name] for run in ours) * 1e3
        row = f"| {name:34s} | {mine:9.3f} |"
        if theirs and name in theirs[0]:
            other = statistics.median(run[name] for run in theirs) * 1e3
            row += f" {other:12.3f} | {other / mine:5.1f} |"
        else:
            row += f" {'':12s} | {'':5s} |"
        print(row)


if __name__ == "__main__":
    main()
