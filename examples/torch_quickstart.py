"""The shortest way to a crossbar in torch: one layer, one optimizer, one loop.

A layer of 4 inputs and 2 outputs learns four pairs of vectors. Its weights are devices whose steps
fade towards their bounds; `AnalogOptimizer` turns what backward passes leave into voltage pulses.
Ends in the loss before and after, and in the pulses that it took.

Run it: python torch_quickstart.py. It takes a second, and needs torch.
"""

import os

try:
    import torch
except ImportError:
    print('This example needs torch: pip install "rpusim[torch]". 0 steps were made.')
    raise SystemExit(0) from None

import rpusim as rs
from rpusim.torch import AnalogLinear, AnalogOptimizer

STEPS = 10 if os.environ.get("RPUSIM_SHORT") else 200

torch.manual_seed(1)  # of devices and noise, too
x = torch.tensor([[1.0, 0.0, 0.0, 0.5], [0.0, 1.0, 0.5, 0.0], [0.0, 0.5, 1.0, 0.0], [0.5, 0, 0, 1]])
target = torch.tensor([[0.3, -0.2], [-0.1, 0.4], [0.2, 0.2], [-0.3, 0.1]])

layer = AnalogLinear(4, 2, rpu_config=rs.RPUConfig(device=rs.SoftBoundsDevice()))
optimizer = AnalogOptimizer(torch.optim.SGD(layer.parameters(), lr=0.1))

losses = []
for _ in range(STEPS):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(layer(x), target)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

with torch.no_grad():
    exact = torch.nn.functional.mse_loss(x @ layer.weight.T + layer.bias, target)

print(layer)
print(f"pulses per device: {layer.tile.stats.pulses / layer.weight.numel():.0f}")
print(f"loss {losses[0]:.4f} before, {sum(losses[-5:]) / 5:.4f} in the last five of {STEPS} steps;")
print(f"read without noise it is {exact:.4f}, which is what steps of uneven size leave")
