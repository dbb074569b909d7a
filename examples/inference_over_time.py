"""Train for a memory that drifts, program it, and watch it for a year.

Two networks read handwritten digits: 64-24-10, and one that looks at all 3 x 3 patches with the
same 12 filters first. Each is trained plainly, and hardware-aware: weights clipped after each step,
products with copies of the weights as devices would hold them after a month. Then all are put on
chips whose devices drift strongly, with exponents of 0.1 +- 0.05, and are evaluated from a second
to a year after programming, with and without drift compensation.

Run it: python inference_over_time.py. It takes some twenty seconds and writes
inference_over_time.png.
"""

import os

import numpy as np
from matplotlib.figure import Figure

import rpusim as rs
from rpusim import nn, optim
from rpusim.studies import accuracy, inference_sweep, load_digits

EPOCHS, CHIPS = (1, 2) if os.environ.get("RPUSIM_SHORT") else (25, 10)
TIMES = (1.0, 60.0, 3600.0, 86400.0, 2592000.0, 31536000.0)
READ = rs.IOParameters(inp_res=1 / 254, out_res=1 / 254, out_bound=10.0, out_noise=0.04,
                       w_noise=0.0175, w_noise_type="PCM_READ")  # fmt: skip
PLAIN = rs.InferenceRPUConfig(
    forward=READ, mapping=rs.MappingParameter(weight_scaling_omega=1.0),
    noise_model=rs.StateIndependentNoiseModel(),
)  # fmt: skip
AWARE = PLAIN.replace(
    clip=dict(type="LAYER_GAUSSIAN", sigma=2.5),
    modifier=dict(type="NOISE_MODEL", std_dev=1.0, pcm_t_inference=2592000.0),
)
data = load_digits()


class Patches(nn.Module):
    """All 3 x 3 patches of images of 8 x 8: (batch, 64) becomes (batch, 36, 9)."""

    def forward(self, x):
        rows = np.lib.stride_tricks.sliding_window_view(x.reshape(-1, 8, 8), (3, 3), (1, 2))
        return rows.reshape(len(x), 36, 9)

    def backward(self, grad, input_grad=True):
        return None  # nothing before it learns


class Flatten(nn.Module):
    def forward(self, x):
        self.keep(x.shape)
        return x.reshape(len(x), -1)

    def backward(self, grad, input_grad=True):
        return grad.reshape(self.recall())


def network(kind, config, rng=1):
    sizes = [(64, 24), (24, 10)] if kind == "dense" else [(9, 12), (36 * 12, 10)]
    first, last = (nn.AnalogLinear(*s, rpu_config=config, rng=rng + k) for k, s in enumerate(sizes))
    if kind == "dense":
        return nn.Sequential(first, nn.Tanh(), last)
    return nn.Sequential(Patches(), first, nn.Tanh(), Flatten(), last)


def trained(kind, config):
    model = network(kind, config)
    optimizer = optim.AnalogSGD(model.parameters(), lr=0.05)
    for epoch in range(EPOCHS):
        for x, t in nn.batches(data.train_x, data.train_t, size=10, rng=epoch):
            _, grad = nn.cross_entropy(model(x), t)
            model.backward(grad)
            optimizer.step()
    return model


def on_chips(model, kind, **changes):
    """Evaluate a model on chips, with another configuration."""
    chips = network(kind, PLAIN.replace(**changes))
    for to, source in zip(chips.analog_layers(), model.analog_layers(), strict=True):
        to.set_weights(*source.get_weights())
    return inference_sweep(chips, accuracy(data.test_x, data.test_t), TIMES, CHIPS, rng=0)


fig = Figure(figsize=(9, 4), layout="constrained")
for axes, kind in zip(fig.subplots(1, 2, sharey=True), ("dense", "convolutional"), strict=True):
    for training, config in (("plain", PLAIN), ("hardware-aware", AWARE)):
        model = trained(kind, config)
        for compensated, how in ((True, {}), (False, {"drift_compensation": None})):
            sweep = on_chips(model, kind, **how)
            label = training if compensated else f"{training}, uncompensated"
            axes.errorbar(TIMES, 100 * sweep.mean, 100 * sweep.std, marker="o", ms=4, capsize=2,
                          ls="-" if compensated else ":", label=label)  # fmt: skip
            after = f"{sweep.mean[0]:6.1%} after 1 s, {sweep.mean[-1]:6.1%} after a year"
            print(f"{kind:13} {label:30}: {after}")
    axes.set(title=kind, xscale="log", xlabel="time since programming (s)")
axes.legend(loc="lower left", fontsize="small")
fig.supylabel("test accuracy (%)")
fig.savefig("inference_over_time.png", dpi=150)
print("inference_over_time.png: compensation undoes drift's mean, training for it its scatter")
