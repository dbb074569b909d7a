"""A network of torch learns handwritten digits on crossbars, with a schedule of its rate.

The network is 64-48-24-10 with sigmoids, made in digital and converted; its learning rate halves
now and then by one of torch's schedulers, which the pulses follow. Ends in the test accuracy, and
in what is left of it when other devices are given the same weights.

Run it: python torch_digits.py. It takes some ten seconds, needs torch, and writes torch_digits.png.
"""

import os
import warnings

try:
    import torch
except ImportError:
    print('This example needs torch: pip install "rpusim[torch]". 0 epochs were made.')
    raise SystemExit(0) from None

from matplotlib.figure import Figure

import rpusim as rs
from rpusim.studies import load_digits
from rpusim.torch import AnalogOptimizer, convert_to_analog, convert_to_digital

EPOCHS = 1 if os.environ.get("RPUSIM_SHORT") else 20

torch.manual_seed(3)
data = load_digits()
train_x, test_x = torch.from_numpy(data.train_x), torch.from_numpy(data.test_x)
train_t, test_t = torch.from_numpy(data.train_t).long(), torch.from_numpy(data.test_t).long()

digital = torch.nn.Sequential(
    torch.nn.Linear(64, 48),
    torch.nn.Sigmoid(),
    torch.nn.Linear(48, 24),
    torch.nn.Sigmoid(),
    torch.nn.Linear(24, 10),
    torch.nn.LogSoftmax(dim=1),
)
config = rs.RPUConfig(device=rs.ConstantStepDevice())
model, report = convert_to_analog(digital, config, rng=1, report=True)
print(report)

optimizer = AnalogOptimizer(torch.optim.SGD(model.parameters(), lr=0.5))
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.5)
batches = torch.utils.data.DataLoader(
    torch.utils.data.TensorDataset(train_x, train_t), batch_size=10, shuffle=True
)


def accuracy(network):
    """Return the percentage of test digits that are read correctly."""
    with torch.no_grad():
        return 100.0 * (network.eval()(test_x).argmax(dim=1) == test_t).float().mean().item()


curve = []
for epoch in range(EPOCHS):
    model.train()
    for x, t in batches:
        optimizer.zero_grad()
        torch.nn.functional.nll_loss(model(x), t).backward()
        optimizer.step()
    scheduler.step()
    curve.append(accuracy(model))
    if epoch % 5 == 4 or epoch == EPOCHS - 1:
        rate = optimizer.param_groups[0]["lr"]
        print(f"epoch {epoch + 1:2}: {curve[-1]:.1f} % read correctly; next rate {rate:g}")

fig = Figure(layout="constrained")
axes = fig.subplots()
axes.plot(range(1, EPOCHS + 1), curve, marker="o", markersize=3)
axes.set(xlabel="epoch", ylabel="test accuracy (%)", ylim=(0, 100))
fig.savefig("torch_digits.png", dpi=150)

warnings.simplefilter("ignore", rs.ClippedWeightsWarning)  # which is what is shown here
other = convert_to_analog(convert_to_digital(model), config, rng=2)
print("The learning curve is in torch_digits.png. Devices clip what they cannot hold: the weights")
print(f"here ({curve[-1]:.1f} %), copied to other devices, read {accuracy(other):.1f} % correctly")
