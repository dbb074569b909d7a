r"""What models of phase-change memory share: a power law of drift, and noise that grows with time.

.. math::
    g_p &= \max\big(0,\; g + s_p\,P(g / g_\max)\,z\big) \\
    \nu &= s_\nu\,|\mu + \sigma z| \\
    g_d &= g_p\,\big((t + t_0) / t_0\big)^{-\nu} \\
    g_r &= \max\Big(0,\; g_d + s_r\,|g_d|\,q\,
           \sqrt{\ln\frac{t + t_0 + t_\mathrm{read}}{2 t_\mathrm{read}}}\; z\Big)

with a polynomial P in uS, mean and spread of the exponents, and the relative noise q, all of which
depend on the conductance. The root is that of a spectrum :math:`q^2 / f` between the age of the
device and the bandwidth of a read.
"""

from __future__ import annotations

import math
from typing import Any

from rpusim.config import check_coefficients, param
from rpusim.inference.noise_models import BaseNoiseModel, polynomial
from rpusim.kernels.elementary import exp

__all__ = ["PowerDriftNoiseModel", "decayed", "folded", "noisy"]


def folded(mean, std, model, z):
    """Return a drift exponent of this mean and spread, folded to its magnitude."""
    return model.drift_scale * abs(mean + std * z)


def decayed(g, nu, model):
    """Return a conductance that has fallen with the power of time."""
    return g * exp(-nu * model.log_age)


def noisy(g, q, model, z):
    """Return what a read sees of `g` with the relative noise `q`."""
    return max(g + abs(g) * model.read_noise_scale * q * model.spectrum * z, 0.0)


class PowerDriftNoiseModel(BaseNoiseModel):
    """Base of the models with a power law of drift and 1/f noise."""

    prog_coeff: tuple | None = param(
        None, like=(0.0,), unit="uS", doc="programming error, polynomial in g / g_max"
    )
    g_max: float | None = param(None, like=25.0, above=0.0, unit="uS", doc="of the converter")
    t_read: float = param(250e-9, above=0.0, unit="s", doc="duration of a read")
    t_0: float = param(20.0, above=0.0, unit="s", doc="age at the end of programming")
    prog_noise_scale: float = param(1.0, low=0.0, doc="factor of the programming error")
    read_noise_scale: float = param(1.0, low=0.0, doc="factor of the read noise")
    drift_scale: float = param(1.0, low=0.0, doc="factor of the drift exponents")

    def check(self) -> None:
        """Refuse coefficients that are no numbers."""
        super().check()
        check_coefficients(f"{type(self).__name__}.prog_coeff", self.prog_coeff)

    def numbers(self) -> dict[str, Any]:
        """Return what laws find in ``model``, with the coefficients that apply in uS."""
        found = super().numbers()
        gain = self._gain()
        found["prog_coeff"] = tuple(gain * c for c in self._prog_coeff())
        return found

    def _prog_coeff(self) -> tuple[float, ...]:
        """Return the coefficients that apply, for the conductance they were measured at."""
        raise NotImplementedError(f"{type(self).__name__} does not define its polynomial.")

    def _gain(self) -> float:
        """Return the factor from that conductance to this converter's."""
        return 1.0

    def at(self, t: float) -> dict[str, Any]:
        """Return ``log_age``, ln((t + t_0) / t_0), and ``spectrum``, the root of the equation."""
        age = t + self.t_0
        ratio = (age + self.t_read) / (2.0 * self.t_read)
        return {
            "log_age": math.log(age / self.t_0),
            "spectrum": math.sqrt(max(math.log(ratio), 0.0)),
        }

    @staticmethod
    def program(g, model, z):  # type: ignore[no-untyped-def]
        """Return the conductance that programming leaves."""
        sigma = polynomial(model.prog_coeff, g / model.g_max)
        return max(g + model.prog_noise_scale * sigma * z, 0.0)

    @staticmethod
    def drift(g, target, c, model):  # type: ignore[no-untyped-def]
        """Return the drifted conductance; `c` is the exponent."""
        return decayed(g, c, model)
