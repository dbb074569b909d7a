"""rpusim's side of `bench.py`: prints seconds by name as one line of JSON."""

import itertools
import json

import numpy as np
from cases import DEVICES, DIGITS, SHAPES, TO_AND_FRO, TRAINS, median

import rpusim as rs
from rpusim import nn, optim, presets

rng = np.random.default_rng(0)
out = {}
x, d = ((rng.normal(size=(32, 512)) * 0.1).astype("f4") for _ in range(2))
for name, (kind, parameters) in DEVICES.items():
    device = getattr(rs, kind)(**parameters)
    for bl, rate in TRAINS:
        tile = rs.AnalogTile(512, 512, device, rng=1)
        out[f"update {name}, BL {bl}"] = median(lambda t=tile, r=rate: t.update(x, d, r))
        if name in TO_AND_FRO:  # weights do not pile up at bounds
            tile = rs.AnalogTile(512, 512, device, rng=1)
            signs = itertools.cycle((d, -d))
            out[f"update {name}, BL {bl}, to and fro"] = median(
                lambda t=tile, r=rate, e=signs: t.update(x, next(e), r)
            )
for size, batch in SHAPES:
    tile = rs.AnalogTile(size, size, rs.ConstantStepDevice(), rng=1)
    v = (rng.normal(size=(batch, size)) * 0.1).astype("f4")
    w = tile.get_weights()[0]
    repeats = 200 if size == 64 else 9
    what = f"{size} x {size}, batch {batch}"
    out[f"forward {what}"] = median(lambda t=tile, v=v: t.forward(v), repeats)
    out[f"backward {what}"] = median(lambda t=tile, v=v: t.backward(v), repeats)
    out[f"bare x @ w.T {what}"] = median(lambda v=v, w=w: v @ w.T, repeats)

try:
    from sklearn.datasets import load_digits
except ImportError:
    load_digits = None
if load_digits:
    inputs, labels = load_digits(return_X_y=True)
    inputs = (inputs / 16).astype("f4")[:1437]
    for name in DIGITS:
        config = getattr(presets, name)()
        model = nn.Sequential(
            nn.AnalogLinear(64, 32, rpu_config=config, rng=0),
            nn.Sigmoid(),
            nn.AnalogLinear(32, 10, rpu_config=config, rng=1),
        )
        optimizer = optim.AnalogSGD(model.parameters(), lr=0.1)

        def epoch(model=model, optimizer=optimizer):
            """Train one epoch."""
            for b, t in nn.batches(inputs, labels[:1437], size=10, rng=0):
                _, grad = nn.cross_entropy(model(b), t)
                model.backward(grad)
                optimizer.step()

        out[f"digits epoch, {name}"] = median(epoch, 5)
print(json.dumps(out))
