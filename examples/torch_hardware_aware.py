"""Train a layer of torch for devices that err and drift, then look at it as time goes by.

The weights of the layer are numbers while it learns, by any optimizer of torch, but each step sees
a copy of them with noise and with some devices missing. Then they are programmed as conductances of
phase-change memory, which drift. Ends in the error of the outputs from 0 seconds to a day.

Run it: python torch_hardware_aware.py. It takes a second, needs torch, and writes
torch_hardware_aware.png.
"""

import os

try:
    import torch
except ImportError:
    print('This example needs torch: pip install "rpusim[torch]". 0 steps were made.')
    raise SystemExit(0) from None

from matplotlib.figure import Figure

import rpusim as rs
from rpusim.torch import AnalogLinear, AnalogOptimizer, drift_analog_weights

STEPS, CHIPS = (10, 2) if os.environ.get("RPUSIM_SHORT") else (400, 30)
TIMES = (0.0, 1.0, 60.0, 3600.0, 86400.0)

config = rs.InferenceRPUConfig(
    forward=rs.IOParameters(out_res=-1.0, w_noise=0.02, w_noise_type="ADDITIVE_CONSTANT"),
    clip=rs.WeightClipParameter(type="FIXED_VALUE", fixed_value=1.0),
    modifier=rs.WeightModifierParameter(type="ADD_NORMAL", std_dev=0.1, pdrop=0.03),
    noise_model=rs.PCMLikeNoiseModel(g_max=25.0),
    drift_compensation=rs.GlobalDriftCompensation(),
)

torch.manual_seed(5)
x = torch.rand(32, 8)
target = x @ torch.randn(8, 4) * 0.3

layer = AnalogLinear(8, 4, rpu_config=config)
optimizer = AnalogOptimizer(torch.optim.Adam(layer.parameters(), lr=0.01))
for _ in range(STEPS):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(layer(x), target)
    loss.backward()
    optimizer.step()  # Adam's step of the numbers; then clip; then a new noisy copy
print(f"trained with noise: loss {loss.item():.4f} after {STEPS} steps")

layer.eval()
errors, corrections = [], []
for t in TIMES:
    found = []
    for _ in range(CHIPS):
        layer.tile.restore() if layer.tile.is_programmed else None
        drift_analog_weights(layer, t)  # programs new devices first, then lets them drift
        with torch.no_grad():
            found.append((layer(x) - target).square().mean().sqrt().item())
    errors.append(sum(found) / CHIPS)
    corrections.append(float(layer.tile.alpha.mean()))
    print(f"t = {t:7g} s: error {errors[-1]:.4f}, outputs corrected by {corrections[-1]:.2f}")

fig = Figure(layout="constrained")
axes = fig.subplots()
axes.plot([max(t, 0.1) for t in TIMES], errors, marker="o")
axes.set(xscale="log", xlabel="time (s), 0 drawn as 0.1", ylabel="error of an output (rms)", ylim=0)
fig.savefig("torch_hardware_aware.png", dpi=150)

print("torch_hardware_aware.png: the mean loss of conductance is corrected, its spread is not;")
print(f"after a day the error is {errors[-1] / errors[0]:.2f} times that of fresh devices")
