"""Tiki-Taka in torch: two devices per weight, so that neither has to be symmetric.

Devices whose up and down steps differ pull weights to where the two are equal, away from what is to
be learned. In Tiki-Taka a first crossbar collects gradients and passes what it has to a second one,
which is the weight; with both around their symmetry points the pull vanishes on average. A layer
learns a linear map three ways, by the same optimizer. Ends in the three losses.

Run it: python torch_tiki_taka.py. It takes a few seconds, needs torch, and writes
torch_tiki_taka.png.
"""

import os

try:
    import torch
except ImportError:
    print('This example needs torch: pip install "rpusim[torch]". 0 steps were made.')
    raise SystemExit(0) from None

from matplotlib.figure import Figure

import rpusim as rs
from rpusim.torch import AnalogLinear, AnalogOptimizer

STEPS = 10 if os.environ.get("RPUSIM_SHORT") else 1500

soft = rs.SoftBoundsDevice(dw_min=0.01, w_max_dtod=0.0, w_min_dtod=0.0)
tiki_taka = rs.TransferCompound(
    unit_cell_devices=[soft, soft],
    transfer_every=2,  # vectors, between two transfers of a column
    gamma=0.0,  # the first crossbar is not part of the weight
    scale_transfer_lr=True,
    transfer_lr=1.0,
    fast_lr=0.1,
    transfer_forward=rs.IOParameters(noise_management="NONE", bound_management="NONE"),
    transfer_update=rs.UpdateParameters(desired_bl=1, update_bl_management=False),
)
READ = rs.IOParameters(inp_res=1 / 126, out_res=1 / 510, out_noise=0.02)
configs = {
    "one device, plain SGD": rs.RPUConfig(device=soft, forward=READ),
    "two devices, Tiki-Taka": rs.UnitCellRPUConfig(device=tiki_taka, forward=READ),
    "exact steps": rs.RPUConfig(device=rs.IdealDevice(), forward=READ),
}

generator = torch.Generator().manual_seed(7)
matrix = 0.3 * torch.randn(3, 6, generator=generator)
x = torch.randn(STEPS, 4, 6, generator=generator)
d = 1.0 * torch.randn(STEPS, 4, 3, generator=generator)  # what the map does not explain


def train(config):
    """Return the squared error of the weights at each step."""
    layer = AnalogLinear(6, 3, bias=False, rpu_config=config, rng=0)
    optimizer = AnalogOptimizer(torch.optim.SGD(layer.parameters(), lr=0.05))
    errors = []
    for inputs, noise in zip(x, d, strict=True):
        optimizer.zero_grad()
        target = inputs @ matrix.T + noise
        (0.5 * (layer(inputs) - target).square().sum() / len(inputs)).backward()
        optimizer.step()
        errors.append((layer.weight.detach() - matrix).square().mean().item())
    return errors


curves = {name: train(config) for name, config in configs.items()}

fig = Figure(layout="constrained")
axes = fig.subplots()
for name, errors in curves.items():
    axes.semilogy(errors, label=name, linewidth=0.8)
axes.set(xlabel="step", ylabel="mean squared error of a weight")
axes.legend()
fig.savefig("torch_tiki_taka.png", dpi=150)

last = {name: sum(errors[-200:]) / len(errors[-200:]) for name, errors in curves.items()}
for name, error in last.items():
    print(f"{name:22}: error of a weight {error**0.5:.3f} at the end")
ratio = (last["one device, plain SGD"] / last["two devices, Tiki-Taka"]) ** 0.5
print(f"The second crossbar makes the error {ratio:.1f} times smaller; see torch_tiki_taka.png")
