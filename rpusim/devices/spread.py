"""Laws by which devices differ: of their bounds, of their steps, and of those that are stuck."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rpusim.config import Choice

__all__ = [
    "STUCK",
    "SpreadLaw",
    "UpDownConvention",
    "mean_gain",
    "median_gain",
    "relative_spread",
    "steps",
    "stuck_devices",
]

#: fields with the probability of being stuck at a bound, lower and upper
STUCK = ("stuck_at_min_prob", "stuck_at_max_prob")


class UpDownConvention(Choice):
    """What `up_down` does to the mean steps."""

    MAX = "Max"
    MEAN = "Mean"


class SpreadLaw(Choice):
    """How a quantity of one sign varies from device to device, around a mean of 1.

    NORMAL may change the sign, which is then folded; LOG_NORMAL has the same mean and spread and
    does not; TRUNCATED_NORMAL is the normal without its part below 0.
    """

    NORMAL = "Normal"
    LOG_NORMAL = "LogNormal"
    TRUNCATED_NORMAL = "TruncatedNormal"


def relative_spread(
    law: SpreadLaw, std: float, name: str, shape: int | tuple[int, int], draw: Any
) -> np.ndarray:
    """Draw factors around 1 with standard deviation `std`, of the sub-stream `name`."""
    if law is SpreadLaw.LOG_NORMAL:
        variance = math.log1p(std * std)
        return np.exp(math.sqrt(variance) * draw.normal(name, shape) - 0.5 * variance)
    if law is SpreadLaw.TRUNCATED_NORMAL and std > 0.0:
        from scipy.special import ndtr, ndtri  # slow to import, rarely needed

        below = ndtr(-1.0 / std)
        return 1.0 + std * ndtri(below + (1.0 - below) * (1.0 - draw.uniform(name, shape)))
    return 1.0 + std * draw.normal(name, shape)


def median_gain(device: Any) -> float:
    """Return the median of a device's gain: 1, unless its log-normal law is to have mean 1."""
    lowered = device.dw_min_dtod_log_normal and device.dw_min_dtod_mean_preserving
    return math.exp(-0.5 * device.dw_min_dtod**2) if lowered else 1.0


def mean_gain(device: Any) -> float:
    """Return the mean of a device's gain."""
    raised = device.dw_min_dtod_log_normal and not device.dw_min_dtod_mean_preserving
    return math.exp(0.5 * device.dw_min_dtod**2) if raised else 1.0


def steps(device: Any, shape: tuple[int, int], draw: Any) -> tuple[np.ndarray, np.ndarray]:
    """Draw the steps up and down; they may come out negative."""
    noise = device.dw_min_dtod * draw.normal("gain", shape)
    gain = median_gain(device) * np.exp(noise) if device.dw_min_dtod_log_normal else 1.0 + noise
    q, beta = device.up_down_dtod * draw.normal("up_down", shape), device.up_down
    if device.up_down_convention is UpDownConvention.MEAN:
        return device.dw_min * (gain + beta + q), device.dw_min * (gain - beta - q)
    up = device.dw_min * (gain + min(beta, 0.0) + q)
    return up, device.dw_min * (gain - max(beta, 0.0) - q)


def stuck_devices(
    device: Any, low: np.ndarray, high: np.ndarray, draw: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Draw which devices are stuck, and where."""
    anywhere = device.corrupt_devices_prob
    at_low, at_high = (getattr(device, name) for name in STUCK)
    if anywhere + at_low + at_high == 0.0:
        return np.zeros(low.shape, bool), low
    u = draw.uniform("corrupt", low.shape)
    limit = device.corrupt_devices_range
    bottom, top = np.maximum(low, -limit), np.minimum(high, limit)
    value = bottom + (top - bottom) * draw.uniform("stuck_at", low.shape)
    value = np.where(u > anywhere, low, value)
    value = np.where(u > anywhere + at_low, high, value)
    return u <= anywhere + at_low + at_high, value
