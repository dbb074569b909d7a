"""Which conductances hold weights best: a table that is found for the memory at hand.

A weight stands on a pair of devices. The plain rule gives one of them all of it, over the full
range. Here is a phase-change memory whose large conductances drift most, and unequally. What
conductances should weights have, so that they are right over a year, with drift compensated? And
with a second pair, of a significance that is free? Tables are found for 10 000 weights, compared
with the plain rule, and confirmed by programming tiles.

Run it: python optimise_programming.py. It takes about ten seconds on one core (and some to compile,
the first time), and writes optimise_programming.png.
"""

import os

import numpy as np

import rpusim as rs

TIMES = [1.0, 3600.0, 86400.0, 31536000.0]  # a second, an hour, a day, a year
SHORT = {"maxiter": 10, "repeats": 8} if os.environ.get("RPUSIM_SHORT") else {}
PLAIN = rs.SinglePairConductanceConverter(g_max=25.0)
MEMORY = rs.CustomDriftPCMLikeNoiseModel(
    g_max=25.0,
    custom_drift_model={  # mean and spread of the drift exponent over the conductance
        "g_lst": [0.0, 10.0, 25.0],
        "nu_mean_lst": [0.02, 0.03, 0.12],
        "nu_std_lst": [0.005, 0.02, 0.05],
    },
)
WEIGHTS = np.clip(0.3 * np.random.default_rng(1).normal(size=(100, 100)), -1.0, 1.0)


def optimised(f_lst):
    """Return an optimiser that has found the table for pairs of these factors."""
    optimizer = rs.WeightProgrammingOptimizer(
        WEIGHTS,
        f_lst=f_lst,
        rpu_config=rs.InferenceRPUConfig(noise_model=MEMORY),
        t_steps=TIMES,
        g_converter_baseline=PLAIN,
        rng=1,
        **SHORT,
    )
    optimizer.run_optimizer()
    return optimizer


one = optimised([1.0])
two = optimised([1.0, None])
two.picture().savefig("optimise_programming.png", dpi=200)

used = np.max(one.converter.g_lst)
seen = two.monte_carlo
print(f"plain rule, up to {PLAIN.g_max:g} uS:        loss {one.loss_baseline:.3f}")
print(f"best for one pair, up to {used:.1f} uS: loss {one.loss:.3f}, better: {one.success}")
print(f"best for two, factor {two.converter.f_lst[1]:.2f}:       loss {two.loss:.3f}")
print(f"the same by programming tiles:   loss {seen.loss:.3f} +- {seen.loss_stderr:.3f}")

print("\nThe loss is a hundred times the mean squared error, relative to the largest weight, over")
print("the four times. Fresh, the full range would be best: errors of programming are relative to")
print("it. Later, large conductances have drifted by different amounts, and no factor can correct")
print("that. So the best table leaves the upper part of the range unused.")
better = np.sqrt(two.errors_baseline[-1] / two.errors[-1])
print(
    f"After a year, weights on two pairs are {better:.1f} times more exact than by the plain rule"
)
