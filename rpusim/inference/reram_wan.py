r"""Resistive memory that relaxes after programming: `ReRamWan2022NoiseModel`.

.. math:: g(t) = \max\big(0,\; g + s\,\sigma_t(g / g_\max)\,z\big)

with a polynomial :math:`\sigma_t`, in uS at 40 uS full scale, for each of the times at which it was
measured: 1 s, a day and two days. Programming leaves g(t) of the first of them. A device has one z
for all times, unless `fresh_relaxation`: its relaxation grows, it is not drawn anew.

Source: Wan et al., Nature 608 (2022) 504.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rpusim.config import check_coefficients, param
from rpusim.errors import ConfigError, DataError
from rpusim.inference.noise_models import BaseNoiseModel, polynomial

__all__ = ["ReRamWan2022NoiseModel"]

FITTED_AT = 40.0  # uS
MEASURED = (
    (1.0, (0.348, 16.030, -43.853, 45.393, -16.815)),
    (86400.0, (0.701, 22.086, -50.773, 47.095, -16.458)),
    (172800.0, (0.782, 20.274, -43.507, 37.062, -11.934)),
)


class ReRamWan2022NoiseModel(BaseNoiseModel):
    """Resistive memory of the NeuRRAM chip, by the spread of conductances after some times.

    Source: Wan et al., Nature 608 (2022) 504.
    """

    coeff_dic: tuple | None = param(
        None, like=((1.0, (0.0,)),), keyed=True, unit="uS", doc="time (s): polynomial in g / g_max"
    )
    g_max: float | None = param(None, like=25.0, above=0.0, unit="uS", doc="of the converter")
    noise_scale: float = param(1.0, low=0.0, doc="factor of all errors")
    coeff_g_max_reference: float | None = param(
        None, like=40.0, above=0.0, unit="uS", doc="g_max for which coeff_dic was measured"
    )
    interpolate: bool = param(
        False, doc="between the measured times, in the logarithm of time; beyond: as at the nearest"
    )
    fresh_relaxation: bool = param(False, doc="every drift draws the errors anew")

    def check(self) -> None:
        """Refuse coefficients that are no polynomials at positive times."""
        super().check()
        where = f"{type(self).__name__}.coeff_dic"
        for pair in self.coeff_dic or ():
            if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], float):
                raise ConfigError(f"{where} must map times to lists of numbers, got {pair!r}.")
            if pair[0] <= 0.0:
                raise ConfigError(f"{where}: times must be > 0, got {pair[0]!r}.")
            check_coefficients(f"{where}[{pair[0]:g}]", pair[1])
        sizes = {len(c) for _, c in self._table()}
        if len(sizes) > 1:
            raise ConfigError(f"{where} must hold polynomials of one length, got {sorted(sizes)}.")

    @property
    def redraws(self) -> bool:  # type: ignore[override]
        """Whether every drift draws errors of its own."""
        return self.fresh_relaxation

    def _table(self) -> list[tuple[float, tuple[float, ...]]]:
        """Return times and coefficients, earliest first."""
        return sorted(self.coeff_dic or MEASURED)

    def numbers(self) -> dict[str, Any]:
        """Return what laws find in ``model``, with ``prog_sigma``, the errors of programming."""
        return {**super().numbers(), "prog_sigma": self._sigma(0)}

    def at(self, t: float) -> dict[str, Any]:
        """Return ``sigma``, the coefficients at the time `t`."""
        times = np.array([time for time, _ in self._table()])
        if t in times:
            return {"sigma": self._sigma(int(np.flatnonzero(times == t)[0]))}
        if t == 0.0:  # as programmed, which is what the first measurement saw
            return {"sigma": self._sigma(0)}
        if not self.interpolate:
            known = ", ".join(f"{time:g}" for time in times)
            raise DataError(
                f"{type(self).__name__} knows the times {known} s, got {t:g}; with "
                "interpolate=True it takes any."
            )
        rows = np.array([self._sigma(k) for k in range(len(times))])
        logs = np.log(times)
        found = [np.interp(math.log(t), logs, rows[:, n]) for n in range(rows.shape[1])]
        return {"sigma": tuple(float(c) for c in found)}

    def _sigma(self, k: int) -> tuple[float, ...]:
        """Return the coefficients of the k-th time, for this converter's largest conductance."""
        measured = self.coeff_g_max_reference
        if measured is None:
            measured = FITTED_AT if self.coeff_dic is None else self.converter.g_max
        return tuple(c * self.converter.g_max / measured for c in self._table()[k][1])

    @staticmethod
    def program(g, model, z):  # type: ignore[no-untyped-def]
        """Return the conductance that programming leaves."""
        sigma = polynomial(model.prog_sigma, g / model.g_max)
        return max(g + model.noise_scale * sigma * z, 0.0)

    @staticmethod
    def coefficient(g, model, z, z_program):  # type: ignore[no-untyped-def]
        """Return the normal that stands for this device's error."""
        return z if model.fresh_relaxation > 0.0 else z_program

    @staticmethod
    def drift(g, target, c, model):  # type: ignore[no-untyped-def]
        """Return the relaxed conductance."""
        sigma = polynomial(model.sigma, target / model.g_max)
        return max(target + model.noise_scale * sigma * c, 0.0)
