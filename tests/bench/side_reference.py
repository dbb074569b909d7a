"""The reference's side of `bench.py`: run by a Python that has aihwkit and torch."""

import contextlib
import importlib
import itertools
import json
import os

import torch
from aihwkit.nn import AnalogLinear, AnalogSequential
from aihwkit.optim import AnalogSGD
from aihwkit.simulator import presets
from aihwkit.simulator.configs import (
    FloatingPointRPUConfig,
    InferenceRPUConfig,
    IOParameters,
    SingleRPUConfig,
    TorchInferenceRPUConfigIRDropT,
    devices,
)
from aihwkit.simulator.parameters import enums
from aihwkit.simulator.parameters.io import IOParametersIRDropT
from aihwkit.simulator.tiles import AnalogTile, InferenceTile
from cases import (
    COMPENSATED,
    COMPOUNDS,
    DEVICES,
    DIGITS,
    ENUMERATIONS,
    LADDER,
    MODELS,
    PRODUCTS,
    SHAPES,
    TO_AND_FRO,
    TRAINS,
    median,
    wanted,
)
from torch import nn

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
torch.manual_seed(0)

out = {}
x, d = torch.randn(32, 512) * 0.1, torch.randn(32, 512) * 0.1
for name, (kind, parameters) in DEVICES.items() if wanted("updates") else ():
    device = getattr(devices, kind)(**parameters)
    for bl, rate in TRAINS:
        tile = AnalogTile(512, 512, SingleRPUConfig(device=device))
        tile.set_learning_rate(rate)
        out[f"update {name}, BL {bl}"] = median(lambda t=tile: t.update(x, d))
        if name in TO_AND_FRO:
            tile = AnalogTile(512, 512, SingleRPUConfig(device=device))
            tile.set_learning_rate(rate)
            signs = itertools.cycle((d, -d))
            out[f"update {name}, BL {bl}, to and fro"] = median(
                lambda t=tile, e=signs: t.update(x, next(e))
            )
for size, batch in SHAPES if wanted("forward") else ():
    tile = AnalogTile(size, size, SingleRPUConfig(device=devices.ConstantStepDevice()))
    v = torch.randn(batch, size) * 0.1
    repeats = 200 if size == 64 else 9
    what = f"{size} x {size}, batch {batch}"
    out[f"forward {what}"] = median(lambda t=tile, v=v: t.forward(v), repeats)
    out[f"backward {what}"] = median(lambda t=tile, v=v: t.backward(v), repeats)

for name, settings in PRODUCTS.items() if wanted("products") else ():
    settings = {
        k: getattr(enums, ENUMERATIONS[k])[v] if k in ENUMERATIONS else v
        for k, v in settings.items()
    }
    config = SingleRPUConfig(device=devices.ConstantStepDevice(), forward=IOParameters(**settings))
    tile = AnalogTile(512, 512, config)
    out[f"forward 512 x 512, batch 32, {name}"] = median(lambda t=tile: t.forward(x))
for kind in LADDER if wanted("ladder") else ():
    for noise in (False, True):
        config = TorchInferenceRPUConfigIRDropT()
        config.forward = IOParametersIRDropT(
            inp_res=1 / 254,
            mv_type=enums.AnalogMVType[kind],
            noise_management=enums.NoiseManagementType.NONE,
            bound_management=enums.BoundManagementType.NONE,
            apply_xdep_pcm_read_noise=noise,
        )
        config.mapping.max_input_size = 256
        layer = AnalogLinear(256, 256, bias=False, rpu_config=config).eval()
        v = x[:8, :256]
        what = f"ladder 256 x 256, batch 8, {kind}{', read noise' if noise else ''}"
        # it fails where no input has a bit that a slice sends
        with torch.no_grad(), contextlib.suppress(UnboundLocalError):
            out[what] = median(lambda m=layer, v=v: m(v), 1)
for name in COMPOUNDS if wanted("compounds") else ():
    tile = AnalogTile(256, 256, getattr(presets, name)())
    tile.set_learning_rate(0.1)
    v, e = x[:16, :256].contiguous(), d[:16, :256].contiguous()
    out[f"step 256 x 256, batch 16, {name}"] = median(lambda t=tile, v=v, e=e: t.update(v, e))

kinds = {}
for module in ("pcm", "reram", "custom", "hermes"):
    with contextlib.suppress(ImportError):
        kinds |= vars(importlib.import_module(f"aihwkit.inference.noise.{module}"))
for name in MODELS if wanted("inference") else ():
    for how in COMPENSATED:
        config = InferenceRPUConfig(noise_model=kinds[name]())
        config.drift_compensation = config.drift_compensation if how else None
        tile = InferenceTile(1024, 1024, config)
        tile.set_weights((torch.randn(1024, 1024) * 0.3).clamp(-1.0, 1.0))
        what = f"1024 x 1024, {name}{f', {how}' if how else ''}"
        out[f"program {what}"] = median(tile.program_weights)
        out[f"drift {what}"] = median(lambda t=tile: t.drift_weights(86400.0))

try:
    from sklearn.datasets import load_digits
except ImportError:
    load_digits = None
if load_digits and wanted("digits"):
    inputs, labels = load_digits(return_X_y=True)
    inputs = torch.tensor((inputs / 16).astype("f4")[:1437])
    labels = torch.tensor(labels[:1437])
    for name in DIGITS:
        make = FloatingPointRPUConfig if name == "FloatingPoint" else getattr(presets, name)
        model = AnalogSequential(
            AnalogLinear(64, 32, rpu_config=make()),
            nn.Sigmoid(),
            AnalogLinear(32, 10, rpu_config=make()),
            nn.LogSoftmax(1),
        )
        optimizer, loss = AnalogSGD(model.parameters(), lr=0.1), nn.NLLLoss()
        optimizer.regroup_param_groups(model)

        def epoch(model=model, optimizer=optimizer, loss=loss):
            """Train one epoch."""
            order = torch.randperm(len(inputs))
            for i in range(0, len(inputs), 10):
                pick = order[i : i + 10]
                optimizer.zero_grad()
                loss(model(inputs[pick]), labels[pick]).backward()
                optimizer.step()

        out[f"digits epoch, {name}"] = median(epoch, 5)
print(json.dumps(out))
