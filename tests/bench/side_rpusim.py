"""rpusim's side of `bench.py`: prints seconds by name as one line of JSON."""

import itertools
import json

import numpy as np
from cases import (
    COMPENSATED,
    COMPOUNDS,
    DEVICES,
    DIGITS,
    LADDER,
    MODELS,
    PRODUCTS,
    SHAPES,
    TO_AND_FRO,
    TRAINS,
    median,
    wanted,
)

import rpusim as rs
from rpusim import nn, optim, presets

rng = np.random.default_rng(0)
out = {}
x, d = ((rng.normal(size=(32, 512)) * 0.1).astype("f4") for _ in range(2))
for name, (kind, parameters) in DEVICES.items() if wanted("updates") else ():
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
for size, batch in SHAPES if wanted("forward") else ():
    tile = rs.AnalogTile(size, size, rs.ConstantStepDevice(), rng=1)
    v = (rng.normal(size=(batch, size)) * 0.1).astype("f4")
    w = tile.get_weights()[0]
    repeats = 200 if size == 64 else 9
    what = f"{size} x {size}, batch {batch}"
    out[f"forward {what}"] = median(lambda t=tile, v=v: t.forward(v), repeats)
    out[f"backward {what}"] = median(lambda t=tile, v=v: t.backward(v), repeats)
    out[f"bare x @ w.T {what}"] = median(lambda v=v, w=w: v @ w.T, repeats)

for name, settings in PRODUCTS.items() if wanted("products") else ():
    tile = rs.AnalogTile(512, 512, rs.RPUConfig(forward=rs.IOParameters(**settings)), rng=1)
    out[f"forward 512 x 512, batch 32, {name}"] = median(lambda t=tile: t.forward(x))
for kind in LADDER if wanted("ladder") else ():
    for noise in (False, True):
        io = rs.IOParametersIRDropT(
            inp_res=1 / 254,
            mv_type=kind,
            noise_management="NONE",
            bound_management="NONE",
            apply_xdep_pcm_read_noise=noise,
        )
        config = rs.InferenceRPUConfig(forward=io, mapping={"max_input_size": 256})
        tile = rs.InferenceTile(256, 256, config, rng=1)
        v = x[:8, :256]
        what = f"ladder 256 x 256, batch 8, {kind}{', read noise' if noise else ''}"
        out[what] = median(lambda t=tile, v=v: t.forward(v, is_test=True))
for name in COMPOUNDS if wanted("compounds") else ():
    tile = rs.AnalogTile(256, 256, getattr(presets, name)(), rng=1)
    v, e = x[:16, :256].copy(), d[:16, :256].copy()
    out[f"step 256 x 256, batch 16, {name}"] = median(lambda t=tile, v=v, e=e: t.update(v, e, 0.1))

for name in MODELS if wanted("inference") else ():
    for how in COMPENSATED:
        config = rs.InferenceRPUConfig(noise_model=getattr(rs, name)())
        config = config if how else config.replace(drift_compensation=None)
        tile = rs.InferenceTile(1024, 1024, config, rng=1)
        tile.set_weights((rng.normal(size=(1024, 1024)) * 0.3).clip(-1.0, 1.0))
        what = f"1024 x 1024, {name}{f', {how}' if how else ''}"
        out[f"program {what}"] = median(tile.program_weights)
        out[f"drift {what}"] = median(lambda t=tile: t.drift_weights(86400.0))

try:
    from sklearn.datasets import load_digits
except ImportError:
    load_digits = None
if load_digits and wanted("digits"):
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
