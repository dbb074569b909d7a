"""What a product does with inputs that are not finite, if it does not refuse them."""

from __future__ import annotations

import numpy as np

from rpusim.errors import DataError
from rpusim.periphery.settings import IOParameters, NonFinite

__all__ = ["without_nonfinite"]


def without_nonfinite(x: np.ndarray, io: IOParameters, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors that a product can take, and which of them are to give NaN.

    Infinity that saturates stays: the DAC clips it.

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
