"""What a product does with inputs that are not finite, if it does not refuse them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.errors import DataError
from rpusim.kernels.device_arrays import is_device_array
from rpusim.periphery.settings import IOParameters, NonFinite

__all__ = ["without_nonfinite"]


def without_nonfinite(x: Any, io: IOParameters, where: str) -> tuple[Any, Any]:
    """Return vectors that a product can take, and which of them are to give NaN.

    Infinity that saturates stays: the DAC clips it. Vectors of a GPU are not waited for: what
    cannot saturate then gives NaN, too.

    Parameters
    ----------
    x : ndarray of shape (batch, n)
        Vectors.
    io : IOParameters
        Settings; ``on_nonfinite`` is PROPAGATE or SATURATE.
    where : str
        Named in errors.
    """
    finite = np.isfinite(x)
    if is_device_array(x):
        if io.on_nonfinite is NonFinite.SATURATE:
            return x, None
        lost = ~finite.all(axis=1)
        return np.where(lost[:, None], np.float32(0.0), x), lost
    lost = np.zeros(len(x), bool)
    if finite.all():
        return x, lost
    if io.on_nonfinite is NonFinite.PROPAGATE:
        lost = ~finite.all(axis=1)
        return np.where(lost[:, None], np.float32(0.0), x), lost
    if np.isnan(x).any():
        row = int(np.flatnonzero(np.isnan(x).any(axis=1))[0])
        raise DataError(f"{where}: NaN cannot saturate, got one in row {row}.")
    if io.perfect or io.dac[0] == 0.0:
        raise DataError(f"{where}: infinity cannot saturate a DAC without inp_bound.")
    return x, lost
