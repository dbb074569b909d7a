"""A GRU foresees a wave, is written onto memory that drifts, and is watched for a year.

The wave is sin(x) cos(x / 2) + 1/2; the network follows it in steps of 0.2 and says at each what it
will be three steps later. It is trained hardware-aware, with noisy copies of its weights, then
programmed onto phase-change devices. Ends in the error of its forecast, as a share of the wave's
variance, from a second to a year after programming, with and without compensation of drift.

Run it: python sequence_gru.py. It takes some twenty seconds and writes sequence_gru.png.
"""

import os

import numpy as np
from matplotlib.figure import Figure

import rpusim as rs
from rpusim import nn, optim

EPOCHS, CHIPS = (3, 2) if os.environ.get("RPUSIM_SHORT") else (900, 10)
TIMES = (1.0, 3600.0, 86400.0, 31536000.0)
HIDDEN, STEP, AHEAD = 32, 0.2, 3
CONFIG = rs.InferenceRPUConfig(
    forward=rs.IOParameters(out_noise=0.02, w_noise=0.0175, w_noise_type="PCM_READ"),
    mapping=rs.MappingParameter(weight_scaling_omega=1.0),
    modifier=rs.WeightModifierParameter(type="ADD_NORMAL", std_dev=0.05),
    noise_model=rs.PCMLikeNoiseModel(g_max=25.0),
    drift_compensation=rs.GlobalDriftCompensation(),
)


def waves(starts, steps=60):
    """Return waves from some x on, and what they are AHEAD steps later: (steps, starts, 1)."""
    x = np.asarray(starts) + STEP * np.arange(steps + AHEAD)[:, None]
    y = (np.sin(x) * np.cos(x / 2.0) + 0.5)[..., None]
    return y[:-AHEAD], y[AHEAD:]


def network(config, seed):
    return nn.Sequential(
        nn.AnalogLinear(1, 16, rpu_config=config, rng=seed),
        nn.AnalogRNN(nn.AnalogGRUCell, 16, HIDDEN, rpu_config=config, rng=seed + 1),
        nn.AllSteps(),
        nn.AnalogLinear(HIDDEN, 1, rpu_config=config, rng=seed + 2),
    )


def relative_error(y, target):
    """Return the mean squared error of a forecast, relative to the variance of the wave."""
    return np.mean((y - target) ** 2) / np.var(target)


model, rng = network(CONFIG, seed=1), np.random.default_rng(0)
optimizer = optim.AnalogSGD(model.parameters(), lr=0.3)
for epoch in range(EPOCHS):
    if epoch == 2 * EPOCHS // 3:
        optimizer.lr = 0.06
    x, target = waves(rng.uniform(0.0, 50.0, size=8))
    loss, grad = nn.mse(model(x), target)
    model.backward(grad)
    optimizer.step()

unseen, target = waves([3.3, 7.7])
before = relative_error(model.eval()(unseen), target)
print(f"before programming the squared error is {100 * before:.1f} % of the variance")

fig = Figure(figsize=(9, 3.5), layout="constrained")
left, right = fig.subplots(1, 2)
left.plot(target[:, 0, 0], color="black", label="the wave")
errors = {}
for name, compensation in (("compensated", CONFIG.drift_compensation), ("drifting", None)):
    errors[name] = np.zeros((CHIPS, len(TIMES)))
    for chip in range(CHIPS):
        on_chip = network(CONFIG.replace(drift_compensation=compensation), seed=100 + 10 * chip)
        for to, source in zip(on_chip.analog_layers(), model.analog_layers(), strict=True):
            to.set_weights(*source.get_weights())
        on_chip.eval().program_analog_weights()
        for k, time in enumerate(TIMES):
            on_chip.drift_analog_weights(time)
            forecast = on_chip(unseen)
            errors[name][chip, k] = relative_error(forecast, target)
    left.plot(forecast[:, 0, 0], label=f"{name}, after a year")
    right.loglog(TIMES, 100 * errors[name].mean(axis=0), marker="o", label=name)
left.set(xlabel="step", ylabel="forecast", ylim=(-0.6, 2.2))
right.set(xlabel="time since programming (s)", ylabel="squared error (% of the variance)")
left.legend()
right.legend()
fig.savefig("sequence_gru.png", dpi=150)
for name, found in errors.items():
    first, last = 100 * found.mean(axis=0)[[0, -1]]
    print(f"{name}: {first:.1f} % after a second, {last:.1f} % after a year, in sequence_gru.png")
