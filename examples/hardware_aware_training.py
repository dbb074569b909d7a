"""Train a network for devices that will not hold its weights exactly, and compare.

Three networks, 64-64-10, read handwritten digits through converters and read noise of phase-change
memory. One is trained plainly; one has its weights clipped after each step; one is clipped and
computes, in training, with a noisy copy of its weights. Then each is put on chips whose weights are
wrong by a share of the largest one, other chips each time. Ends in the accuracies on such chips.

Run it: python hardware_aware_training.py. It takes some ten seconds and writes
hardware_aware_training.png.
"""

import os

import numpy as np
from matplotlib.figure import Figure

import rpusim as rs
from rpusim import nn, optim
from rpusim.studies import load_digits

EPOCHS, CHIPS = (2, 3) if os.environ.get("RPUSIM_SHORT") else (40, 50)
ERRORS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)  # of a weight, in units of the largest

READ = rs.IOParameters(
    inp_res=1 / 254, out_res=1 / 254, out_bound=10.0, out_noise=0.04,
    w_noise=0.0175, w_noise_type="PCM_READ",
)  # fmt: skip
CLIP = rs.WeightClipParameter(type="LAYER_GAUSSIAN", sigma=2.5)
NOISY = rs.WeightModifierParameter(type="ADD_NORMAL", std_dev=0.2)

data = load_digits()


def network(rng, **changes):
    """Return a network of tiles for inference; the largest weight of each is 1 on its devices."""
    mapping = rs.MappingParameter(weight_scaling_omega=1.0)
    config = rs.InferenceRPUConfig(forward=READ, mapping=mapping, **changes)
    return nn.Sequential(
        nn.AnalogLinear(64, 64, rpu_config=config, rng=rng),
        nn.Sigmoid(),
        nn.AnalogLinear(64, 10, rpu_config=config, rng=rng + 1),
    )


def trained(**changes):
    """Return a trained network: all start from the same weights and see the same batches."""
    model = network(1, **changes)
    optimizer = optim.AnalogSGD(model.parameters(), lr=0.1)
    for epoch in range(EPOCHS):
        for x, t in nn.batches(data.train_x, data.train_t, size=10, rng=epoch):
            _, grad = nn.cross_entropy(model(x), t)
            model.backward(grad)
            optimizer.step()  # moves the exact weights, clips them, asks for a new copy
    return model


def on_chips(model, error):
    """Return the test accuracy, in percent, on chips whose weights have an error."""
    modifier = rs.WeightModifierParameter(type="ADD_NORMAL", std_dev=error, enable_during_test=True)
    chip, accuracy = network(100, modifier=modifier).eval(), []
    for _ in range(CHIPS):
        for to, source in zip(chip.analog_layers(), model.analog_layers(), strict=True):
            to.set_weights(*source.get_weights())  # another copy each time
        accuracy.append(100.0 * (chip(data.test_x).argmax(axis=1) == data.test_t).mean())
    return np.mean(accuracy)


models = {
    "plain": trained(),
    "clipped": trained(clip=CLIP),
    "clipped, with noisy copies": trained(clip=CLIP, modifier=NOISY),
}
curves = {name: [on_chips(model, e) for e in ERRORS] for name, model in models.items()}

fig = Figure(layout="constrained")
axes = fig.subplots()
for name, curve in curves.items():
    axes.plot(ERRORS, curve, marker="o", markersize=4, label=name)
axes.set(xlabel="error of a weight / largest weight", ylabel="test accuracy (%)")
axes.legend()
fig.savefig("hardware_aware_training.png", dpi=150)

k = ERRORS.index(0.2)
for name, curve in curves.items():
    print(f"{name:27}: {curve[0]:.1f} % with exact weights, {curve[k]:.1f} % with an error of 0.2")
gain = curves["clipped, with noisy copies"][k] - curves["plain"][k]
print("Clipping makes the largest weight, and so the error, small beside the usual ones; noisy")
print(f"copies teach the network to do without single weights: together {gain:+.1f} percent points")
