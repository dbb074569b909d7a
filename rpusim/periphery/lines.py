r"""What the lines and the devices of one direction carry: offsets, S-shapes, noise, polarity.

.. math::
    v_i &= |\sigma_v z| \;\text{or}\; \sigma_v z, \qquad
    n_i = \Big|\frac{\nu}{b} (1 + s_\nu z)\Big|, \qquad
    \sigma_i = |\sigma_\text{out} (1 + s_\sigma z)|, \qquad
    F_{ij} = 1 + s_F z_{ij} \\
    f &= \big(1 + (\overline{|n|} + \rho)\, c\, b\big)^2

with b = `out_bound` (1 if there is none): f gives the S-shape the slope 1 at c =
`slope_calibration` times b. They are drawn once, when the tile is made. :math:`F` belongs to the
devices: both directions share its z.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rpusim.arrays import real_numbers
from rpusim.config import nearest
from rpusim.devices.spread import relative_spread
from rpusim.errors import DataError, ShapeError, StateError
from rpusim.periphery.settings import IOParameters, OffsetLaw
from rpusim.periphery.stages import CURVE, FACTOR, NOISE, OFFSET

__all__ = ["draw_parameters", "line_array", "set_parameters"]

Arrays = dict[str, np.ndarray]


def draw_parameters(
    io: IOParameters, shape: tuple[int, int], transposed: bool, draw: Any
) -> Arrays:
    """Draw the named arrays of one direction; those whose option is off are left out.

    Parameters
    ----------
    io : IOParameters
        Its settings.
    shape : (int, int)
        Rows and columns of the crossbar.
    transposed : bool
        Whether its output lines are the columns.
    draw : object
        Has ``normal(name, shape)`` and ``uniform(name, shape)``: draws of a named sub-stream.
    """
    lines, side = (shape[1], "backward") if transposed else (shape[0], "forward")
    bound = io.adc[0] or 1.0
    arrays: Arrays = {}
    if io.perfect:
        return arrays
    bends = io.out_nonlinearity > 0.0 or io.r_series > 0.0
    if io.v_offset_std > 0.0 or io.r_series > 0.0:
        offset = io.v_offset_std * draw.normal(f"{side}.v_offset", lines)
        half = io.v_offset_law is OffsetLaw.HALF_NORMAL
        arrays["v_offset"] = np.abs(offset) if half else offset
    if bends:
        spread = 1.0 + io.out_nonlinearity_std * draw.normal(f"{side}.out_nonlinearity", lines)
        arrays["out_nonlinearity"] = np.abs(io.out_nonlinearity / bound * spread)
        curve = arrays["out_nonlinearity"].mean() + io.r_series
        calibrated = (1.0 + curve * max(io.slope_calibration, 0.0) * bound) ** 2
        arrays["out_nonlinearity_factor"] = np.array([calibrated])
    if io.w_read_asymmetry_dtod > 0.0:
        arrays["w_asymmetry"] = 1.0 + io.w_read_asymmetry_dtod * draw.normal("w_asymmetry", shape)
    if io.out_noise_std > 0.0:
        law, name = io.out_noise_law, f"{side}.out_noise"
        spread = relative_spread(law, io.out_noise_std, name, lines, draw)
        arrays["out_noise_values"] = np.abs(io.out_noise * spread)
    if io.noise_management.name == "AVERAGE_ABS_MAX":
        arrays["aux_nm_value"] = np.array([-1.0])
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def line_array(io: IOParameters, lines: int, arrays: Arrays) -> np.ndarray:
    """Return the parameters of each line as the product's kernel takes them; empty for none."""
    if not arrays.keys() & {"v_offset", "out_nonlinearity", "out_noise_values"}:
        return np.empty((0, 0), np.float32)
    out = np.zeros((4, lines), np.float32)
    out[FACTOR], out[NOISE] = 1.0, io.out_noise
    places = {
        OFFSET: "v_offset",
        CURVE: "out_nonlinearity",
        FACTOR: "out_nonlinearity_factor",
        NOISE: "out_noise_values",
    }
    for place, name in places.items():
        if name in arrays:
            out[place] = arrays[name]
    return out


def set_parameters(arrays: Arrays, changes: Mapping[str, Any], where: str) -> None:
    """Replace some of the named arrays; nothing changes if any of them is refused."""
    new = {}
    if not isinstance(changes, Mapping):
        raise DataError(f"{where}: changes must be a dict of arrays by name, got {changes!r}.")
    for name, values in changes.items():
        if name not in arrays:
            raise StateError(
                f"{where}: no parameter is called {name!r}{nearest(name, arrays) or '.'} A "
                "parameter exists if its option in IOParameters is on."
            )
        array = real_numbers(values, f"{where}: {name}")
        if array.shape != arrays[name].shape:
            raise ShapeError(
                f"{where}: {name} must have shape {arrays[name].shape}, got {array.shape}."
            )
        if not np.isfinite(array).all():
            raise DataError(f"{where}: {name} must be finite, got NaN or infinity.")
        if name in ("out_noise_values", "out_nonlinearity") and (array < 0.0).any():
            raise DataError(f"{where}: {name} must be >= 0, got {array.min():g}.")
        if name == "out_nonlinearity_factor" and (array <= 0.0).any():
            raise DataError(f"{where}: {name} must be > 0, got {array.min():g}.")
        new[name] = array
    for name, array in new.items():
        arrays[name][...] = array
