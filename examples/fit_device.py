"""Fit a device to measured pulses: parameters with intervals, a picture, a ready configuration.

The measurement is simulated here: 24 soft-bounds devices, pulsed up, then down.
"""

import os
from pathlib import Path

import rpusim as rs
from rpusim.studies import fit, response

SHORT = bool(os.environ.get("RPUSIM_SHORT"))

secret = rs.SoftBoundsDevice(dw_min=0.03, up_down=0.2, w_max=0.8, w_min=-0.5, dw_min_std=0.4)
devices = 8 if SHORT else 24
curve = response(secret, pulses=60, devices=devices, traces=devices, start=0.0, rng=1)

found = fit(
    rs.SoftBoundsDevice(), curve.direction[1:], curve.traces, bootstrap=50 if SHORT else 500
)
print(found.describe())
print("\nready to use:", found.device)

try:
    found.plot().figure.savefig("fit.png", dpi=150)
    print("picture:", Path("fit.png").resolve())
except ImportError as error:
    print(error)
