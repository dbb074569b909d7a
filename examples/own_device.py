"""A device of your own: write its law, check it, look at it, train with it.

The device here has steps that fade with the cube of the distance to the bound it moves to. The law
is one scalar function that moves one weight by one pulse; everything else (configuration, spread
over the crossbar, pulse trains, machine code) follows from it. Ends in the accuracy of a network on
such devices, beside built-in ones whose steps fade linearly, or not at all.

Run it: python own_device.py. It takes some seconds, more the first time, for compiling, and writes
own_device.png.
"""

import os

from matplotlib.figure import Figure

import rpusim as rs
from rpusim.studies import load_digits, response, train_classifier

EPOCHS = 2 if os.environ.get("RPUSIM_SHORT") else 20


class CubicStep(rs.PulsedDevice):
    """Steps fade with the cube of the distance to the bound."""

    strength: float = rs.per_device(1.0, dtod=0.1, doc="relative step height")  # and strength_dtod

    @staticmethod
    def pulse(w, sign, dev, model, z):
        gap = 1.0 - sign * w / (dev.max_bound if sign > 0.0 else -dev.min_bound)
        step = dev.strength * (dev.dwmin_up if sign > 0.0 else dev.dwmin_down)
        return w + sign * step * gap * gap * gap * (1.0 + model.dw_min_std * z)


# 1. Does the law do what the library relies on? Raises, in words, if not.
for sentence in rs.testing.check_device(CubicStep()):
    print("checked:", sentence)

# 2. What does it look like? 1000 devices, up from their lower bounds, then down again.
common = dict(dw_min=0.002, dw_min_dtod=0.1, w_max=1.0, w_max_dtod=0.1, w_min=-1.0, w_min_dtod=0.1)
devices = {
    "steps do not fade": rs.ConstantStepDevice(**common),
    "steps fade linearly": rs.SoftBoundsDevice(**common),
    "steps fade with the cube": CubicStep(**common),
}
fig = Figure(figsize=(12, 4), layout="constrained")
for axes, (name, device) in zip(fig.subplots(1, 3, sharey=True), devices.items(), strict=True):
    response(device, pulses=1000).plot(axes)
    axes.set_title(name, loc="left")
    axes.label_outer()
fig.savefig("own_device.png", dpi=150)
print("The response curves are in own_device.png.")

# 3. Does a network learn on it? The largest initial weight sits at 2 % of the range: room to grow.
data = load_digits()
mapping = rs.MappingParameter(weight_scaling_omega=0.02)
for name, device in devices.items():
    config = rs.RPUConfig(device=device, mapping=mapping)
    run = train_classifier(config, data, epochs=EPOCHS, rng=1)
    print(f"{name}: {100 * run.final_accuracy:.1f} % of the test digits after {EPOCHS} epochs")

# Away from 0 a pulse towards 0 is larger than one away from it, so that pulses that should cancel
# pull the weights back. The faster the steps fade, the harder: plain pulsed descent wants symmetry.
