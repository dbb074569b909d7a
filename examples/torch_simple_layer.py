"""One analog layer in a model of torch, beside the same layer in digital.

Both learn two pairs of vectors from the same initial weights by the same optimizer. The analog
layer steps by pulses of about 0.001, of which each differs, within bounds that differ from device
to device, and reads through converters and noise. Ends in both losses, and shows the weights.

Run it: python torch_simple_layer.py. It takes a second, needs torch, and writes
torch_simple_layer.png.
"""

import os

try:
    import torch
except ImportError:
    print('This example needs torch: pip install "rpusim[torch]". 0 steps were made.')
    raise SystemExit(0) from None

from matplotlib.figure import Figure

import rpusim as rs
from rpusim.torch import AnalogLinear, AnalogOptimizer, convert_to_digital

EPOCHS = 5 if os.environ.get("RPUSIM_SHORT") else 150

torch.manual_seed(2)
x = torch.tensor([[0.2, 0.5, 0.1, 0.4], [0.6, 0.1, 0.8, 0.3]])
target = torch.tensor([[0.8, 0.4], [0.5, 0.9]])

analog = AnalogLinear(4, 2, rpu_config=rs.ConstantStepDevice())
digital = convert_to_digital(torch.nn.Sequential(analog))[0]


def train(layer, optimizer):
    """Return the loss in each epoch."""
    losses = []
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(layer(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


curves = {
    "analog": train(analog, AnalogOptimizer(torch.optim.SGD(analog.parameters(), lr=0.2))),
    "digital": train(digital, torch.optim.SGD(digital.parameters(), lr=0.2)),
}

fig = Figure(figsize=(8, 3.5), layout="constrained")
left, right = fig.subplots(1, 2)
for name, losses in curves.items():
    left.semilogy(losses, label=name)
left.set(xlabel="epoch", ylabel="mean squared error")
left.legend()
right.plot(digital.weight.detach().flatten(), analog.weight.detach().flatten(), "o")
right.axline((0.0, 0.0), slope=1.0, linewidth=0.8)
right.set(xlabel="weight of the digital layer", ylabel="weight of the analog layer")
fig.savefig("torch_simple_layer.png", dpi=150)

for name, losses in curves.items():
    print(f"{name:7}: loss {losses[0]:.4f} in epoch 1, {losses[-1]:.5f} in epoch {EPOCHS}")
difference = (analog.weight - digital.weight).abs().max().item()
print("The digital loss goes to zero; the analog one stays where noise and single steps keep it.")
print(f"Their weights, in torch_simple_layer.png, differ by at most {difference:.3f}")
