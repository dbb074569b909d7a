"""Train a network on handwritten digits, on the devices of your choice.

The network is 64-32-10 with a sigmoid in between. Its two weight matrices are crossbars: products
pass converters and noise, and learning happens by voltage pulses, none of which hits quite the
same step. Ends in the test accuracy and in the number of pulses that each device received for it.

Run it: python train_digits.py. It takes a few seconds and writes train_digits.png.
"""

import os

from matplotlib.figure import Figure

from rpusim import nn, optim, presets
from rpusim.studies import load_digits

EPOCHS = 2 if os.environ.get("RPUSIM_SHORT") else 30

# What the tiles are made of: published devices, here with half the noise of reading.
config = presets.GokmenVlasovPreset().replace(forward=dict(out_noise=0.05))

model = nn.Sequential(
    nn.AnalogLinear(64, 32, rpu_config=config, rng=1),
    nn.Sigmoid(),
    nn.AnalogLinear(32, 10, rpu_config=config, rng=2),
)
optimizer = optim.AnalogSGD(model.parameters(), lr=0.1)
data = load_digits()
print(model.summary())

accuracy = []
for epoch in range(EPOCHS):
    model.train()
    for x, t in nn.batches(data.train_x, data.train_t, size=10, rng=epoch):
        loss, grad = nn.cross_entropy(model(x), t)
        model.backward(grad)  # records the pair (x, d) of each layer
        optimizer.step()  # turns the pairs into pulses
    model.eval()
    right = model(data.test_x).argmax(axis=1) == data.test_t
    accuracy.append(100 * right.mean())
    if epoch % 5 == 4 or epoch == EPOCHS - 1:
        print(f"epoch {epoch + 1:2}: {accuracy[-1]:.1f} % of the test digits are read correctly")

# What it took: every pulse is on the ledger of its tile.
for layer in model.analog_layers():
    stats = layer.tile.stats
    print(
        f"{layer.shapes()}: {stats.pulses / layer.weight.size:.0f} pulses per device, "
        f"{100 * stats.pulses_up / stats.pulses:.0f} % of them up"
    )

fig = Figure(layout="constrained")
axes = fig.subplots()
axes.plot(range(1, EPOCHS + 1), accuracy, marker="o", markersize=3)
axes.set(xlabel="epoch", ylabel="test accuracy (%)", ylim=(0, 100))
fig.savefig("train_digits.png", dpi=150)
print("The learning curve is in train_digits.png.")
