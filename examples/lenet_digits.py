"""A convolutional network after LeNet reads digits: five matrices of devices, seen many times.

A kernel of a convolution is a line of devices that every patch of an image is sent to, so a device
of the first layer takes part in as many products, and receives as many pulses, as an image has
patches: the summary says how many. The devices are ECRAM. Ends in the test accuracy.

Run it: python lenet_digits.py. It takes some fifteen seconds, with the 8 x 8 digits of
scikit-learn, and writes lenet_digits.png. With the four files of MNIST in a folder:
python lenet_digits.py FOLDER.
"""

import os
import sys

from matplotlib.figure import Figure

import rpusim as rs
from rpusim import nn, optim
from rpusim.studies import load_digits

EPOCHS = 1 if os.environ.get("RPUSIM_SHORT") else 15
CONFIG = rs.presets.EcRamPreset()

if len(sys.argv) > 1:
    data, size, kernel, padding = rs.load_mnist(sys.argv[1], flat=False), 28, 5, 0
else:
    data, size, kernel, padding = load_digits(), 8, 3, 1
train_x, mean, std = nn.normalise(data.train_x.reshape(-1, 1, size, size))
test_x, _, _ = nn.normalise(data.test_x.reshape(-1, 1, size, size), mean, std)

left = (size + 2 * padding - kernel + 1) // 2  # of an axis, behind the first pooling
left = (left + 2 * padding - kernel + 1) // 2
model = nn.Sequential(
    nn.AnalogConv2d(1, 16, kernel, padding=padding, rpu_config=CONFIG, rng=1),
    nn.Tanh(),
    nn.MaxPool2d(2),
    nn.AnalogConv2d(16, 32, kernel, padding=padding, rpu_config=CONFIG, rng=2),
    nn.Tanh(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.AnalogLinear(32 * left**2, 128, rpu_config=CONFIG, rng=3),
    nn.Tanh(),
    nn.AnalogLinear(128, 10, rpu_config=CONFIG, rng=4),
)
print(model.summary(input_shape=(1, 1, size, size)))

history = rs.fit(
    model,
    optim.AnalogSGD(model.parameters(), lr=0.05),
    nn.cross_entropy,
    (train_x, data.train_t),
    EPOCHS,
    batch_size=8,
    validation=(test_x, data.test_t),
    metrics={"accuracy": nn.accuracy},
    rng=0,
)
pulses = model.layers[0].tile.stats.pulses / model.layers[0].weight.size
print(f"a device of the first layer received {pulses:.0f} pulses")

fig = Figure(layout="constrained")
axes = fig.subplots()
axes.plot(history["epoch"], 100 * history["accuracy"], marker="o", markersize=3)
axes.set(xlabel="epoch", ylabel="test accuracy (%)", ylim=(0, 100))
fig.savefig("lenet_digits.png", dpi=150)
print(f"{100 * history['accuracy'][-1]:.1f} % of the test digits are read, see lenet_digits.png")
