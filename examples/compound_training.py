"""Cells of several crossbars learn digits on a device that alone cannot.

A resistive memory (ReRAM) steps unevenly up and down. Trained plainly, its weights are drawn to
where both steps are equal, wherever the gradients point. Tiki-Taka gathers gradients on a second
crossbar around that point and hands them over column by column; mixed precision gathers them in
digital, and sends pulses when they amount to one. Ends in the test accuracy of each.

Run it: python compound_training.py. It takes some twenty seconds and writes compound_training.png.
"""

import os

from matplotlib.figure import Figure

import rpusim as rs
from rpusim import nn, optim, presets
from rpusim.studies import load_digits

EPOCHS = 1 if os.environ.get("RPUSIM_SHORT") else 30
CONFIGS = {
    "floating point": rs.FloatingPointRPUConfig(),
    "mixed precision": presets.MixedPrecisionReRamESPreset(),
    "Tiki-Taka": presets.TikiTakaReRamESPreset(),
    "plain": presets.ReRamESPreset(),
}

data = load_digits()
fig = Figure(layout="constrained")
axes = fig.subplots()
for name, config in CONFIGS.items():
    model = nn.Sequential(
        nn.AnalogLinear(64, 32, rpu_config=config, rng=1),
        nn.Sigmoid(),
        nn.AnalogLinear(32, 10, rpu_config=config, rng=2),
    )
    history = rs.fit(
        model,
        optim.AnalogSGD(model.parameters(), lr=0.1),
        nn.cross_entropy,
        (data.train_x, data.train_t),
        EPOCHS,
        batch_size=10,
        validation=(data.test_x, data.test_t),
        metrics={"accuracy": nn.accuracy},
        rng=0,
    )
    accuracy = 100 * history["accuracy"]
    axes.plot(history["epoch"], accuracy, label=name)
    print(f"{name}: {accuracy[-1]:.1f} % of the test digits are read correctly")

axes.set(xlabel="epoch", ylabel="test accuracy (%)", ylim=(0, 100))
axes.legend(loc="lower right")
fig.savefig("compound_training.png", dpi=150)
print("The learning curves are in compound_training.png.")
