"""Response curves: what pulses do to three kinds of devices.

Each kind receives up pulses and then down pulses, a thousand devices at a time. Constant steps make
straight ramps, linear steps bend them, soft bounds never quite let a device arrive. Ends in the
largest weight that the mean device reached, and in the spread of the devices there.

Run it: python device_response.py. It takes a few seconds and writes device_response.png.
"""

import os

from matplotlib.figure import Figure

import rpusim as rs
from rpusim.studies import response

PULSES = 50 if os.environ.get("RPUSIM_SHORT") else 400

common = dict(dw_min=0.006, dw_min_dtod=0.1, w_max=1.0, w_min=-1.0, w_max_dtod=0.1, w_min_dtod=0.1)
devices = {
    "constant steps": rs.ConstantStepDevice(**common),
    "linear steps": rs.LinearStepDevice(gamma_up=0.6, gamma_down=0.6, **common),
    "soft bounds": rs.SoftBoundsDevice(**common),
}

fig = Figure(figsize=(12, 4), layout="constrained")
for axes, (name, device) in zip(fig.subplots(1, 3, sharey=True), devices.items(), strict=True):
    curve = response(device, pulses=PULSES, rng=0)
    curve.plot(axes)
    axes.set_title(name, loc="left")
    axes.label_outer()
    top = curve.mean.argmax()
    print(
        f"{name}: after {curve.pulse[top]} pulses at {curve.mean[top]:.3f} "
        f"+- {curve.std[top]:.3f} (mean and spread of {curve.devices} devices)"
    )
fig.savefig("device_response.png", dpi=150)
print("The curves are in device_response.png: thin lines are single devices.")

# The bounds differ from device to device by 10 %, so at full ramp the spread of constant steps is
# that of the bounds. Far from them it is that of the steps, also 10 %, and grows with the pulses.
