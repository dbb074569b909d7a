"""Where the error of an analog product comes from: computed beforehand, then measured.

A tile of 512 x 64 weights multiplies through everything that the model knows: DAC, input noise,
wires, read noise of phase-change memory, output noise, ADC. `tile.moments` says what each of them
adds to the error; the same tile, read with one of them at a time, shows it. Ends in the number of
bits that a result is worth, and in what finer converters would add to it.

Run it: python noisy_product.py. It takes a few seconds and writes noisy_product.png.
"""

import os

import numpy as np
from matplotlib.figure import Figure

import rpusim as rs

READS = 10 if os.environ.get("RPUSIM_SHORT") else 200

# One entry for each source of error; the second number switches it off.
SOURCES = {
    "inp_round": {"inp_res": (1 / 126, 0.0)},  # 7 bits
    "inp_noise": {"inp_noise": (0.01, 0.0)},
    "wires": {"ir_drop": (1.0, 0.0)},
    "w_noise": {"w_noise": (0.0175, 0.0)},
    "out_noise": {"out_noise": (0.04, 0.0)},
    "out_round": {"out_res": (1 / 254, 0.0)},  # 8 bits
}
# A wire of 0.35 ohm between devices of at most 25 uS; results of up to 10 full-scale devices.
FIXED = {"w_noise_type": "PCM_READ", "ir_drop_g_ratio": 1 / (0.35 * 25e-6), "out_bound": 10.0}

rng = np.random.default_rng(0)
w, x = 0.1 * rng.normal(size=(64, 512)), rng.normal(size=(32, 512))
exact = x @ w.T


def tile_with(*active):
    """Return the tile with these sources of error, and no others."""
    io = {
        name: on if source in active else off
        for source, fields in SOURCES.items()
        for name, (on, off) in fields.items()
    }
    forward = rs.IOParameters(**FIXED, **io)
    tile = rs.AnalogTile(64, 512, rs.RPUConfig(device=rs.IdealDevice(), forward=forward), rng=1)
    tile.set_weights(w)
    return tile


def measured(tile):
    """Return the mean square error of many reads."""
    reads = [tile.forward(x, is_test=True) for _ in range(READS)]
    return np.mean([(y - exact) ** 2 for y in reads])


# Before any read: the variance by source, and what wires take from the mean.
whole = tile_with(*SOURCES)
budget = {name: part.mean() for name, part in whole.moments(x).sources.items()}
budget["wires"] = np.mean((tile_with("wires").moments(x).mean - exact) ** 2)
expected = [budget[name] for name in SOURCES] + [sum(budget.values())]
# With reads: one source at a time, then all of them.
found = [measured(tile_with(name)) for name in SOURCES] + [measured(whole)]

print("mean square error   computed  measured")
for name, a, b in zip([*SOURCES, "all"], expected, found, strict=True):
    print(f"{name:18} {a:9.5f} {b:9.5f}")

fig = Figure(figsize=(7, 4), layout="constrained")
axes = fig.subplots()
place = np.arange(len(expected))
axes.bar(place - 0.2, expected, 0.4, label="computed by moments")
axes.bar(place + 0.2, found, 0.4, label=f"measured in {READS} reads")
axes.set_xticks(place, [*SOURCES, "all"])
axes.set(ylabel="mean square error of a result")
axes.legend()
fig.savefig("noisy_product.png", dpi=150)


def bits(error):
    """Return how many bits results of this spread are worth with this mean square error."""
    return 0.5 * np.log2(exact.var() / error)


coarse = budget["inp_round"] + budget["out_round"]
print("The picture is noisy_product.png: errors of independent sources add up to the whole.")
print(
    f"A result is worth {bits(expected[-1]):.1f} bits; with exact converters it would be "
    f"{bits(expected[-1] - coarse):.1f}: noise and wires are what limits it"
)
