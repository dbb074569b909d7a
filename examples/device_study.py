"""A device on the bench: what a physicist measures before anybody trains with it.

Filamentary ReRAM, soft bounds: response to pulses, symmetry points (from the law and by random
pulses), numbers of states, signal to noise, and the scatter of single pulses. Ends in how many
states noise leaves of a thousand steps.

Run it: python device_study.py. It takes a few seconds and writes portrait.png and studies.png.
"""

import os

import numpy as np
from matplotlib.figure import Figure

from rpusim import presets
from rpusim.devices.summary import summary
from rpusim.studies import (
    number_of_states,
    portrait,
    response,
    scatter,
    signal_to_noise,
    symmetry_point,
)

DEVICES = 20 if os.environ.get("RPUSIM_SHORT") else 200

preset = presets.ReRamSBPresetDevice
device = preset()
print(summary(device))

# The picture for the paper: the response, and the steps of a pulse against the weight.
curve = response(device, rng=1)
portrait(curve, "ReRAM, soft bounds", "; ".join(preset.source)).savefig("portrait.png", dpi=200)

# The same rng means the same devices in every study.
points = symmetry_point(device, devices=DEVICES, protocol="random", rng=1)
states = number_of_states(device, devices=DEVICES, rng=1)
noise = signal_to_noise(device, devices=DEVICES, rng=1)
pulses = scatter(device.replace(write_noise_std=0.0), devices=DEVICES, rng=1)

fig = Figure(figsize=(11, 8), layout="constrained")
for axes, study in zip(fig.subplots(2, 2).flat, (points, states, noise, pulses), strict=True):
    study.plot(axes)
fig.savefig("studies.png", dpi=150)

off = (points.measured - points.exact) / points.error
print(f"\nrandom pulses end {np.sqrt((off**2).mean()):.2f} standard errors from the computed point")
middle = len(noise.weight) // 2
for name, ratio in (("pulses alone", noise.ratio), ("with write noise", noise.seen_ratio)):
    print(f"signal to noise of an up pulse, {name}: {np.nanmedian(ratio[0, middle]):.3f}")
print(f"scatter of an up pulse: {pulses.std[0, 10]:.4f}, its mean: {pulses.mean[0, 10]:.4f}")
print(
    f"pictures: portrait.png, studies.png. A device has {np.median(states.granular):.0f} steps, "
    f"of which noise leaves {np.median(states.distinguishable):.1f} states apart"
)

# Write noise of 56 steps is what limits single weights. Training averages over many pulses and
# devices, which is why it works at all with steps that single reads cannot show.
