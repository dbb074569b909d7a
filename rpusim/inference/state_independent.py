r"""A memory whose errors do not depend on the conductance: `StateIndependentNoiseModel`.

In the equations of `rpusim.inference.power_drift`: :math:`P = 0.2` uS, :math:`\mu = 0.1`,
:math:`\sigma = 0.05`, :math:`q = 0.04`, whatever the conductance.
"""

from __future__ import annotations

from rpusim.config import param
from rpusim.inference.power_drift import PowerDriftNoiseModel, folded, noisy

__all__ = ["StateIndependentNoiseModel"]


class StateIndependentNoiseModel(PowerDriftNoiseModel):
    """Errors, exponents and read noise that are the same for all conductances.

    `prog_coeff` is in uS for any `g_max`.
    """

    drift_nu_mean: float = param(0.1, low=0.0, doc="mean drift exponent")
    drift_nu_std: float = param(0.05, low=0.0, doc="spread of the drift exponents")
    read_q: float = param(0.04, low=0.0, doc="relative read noise, before its growth with time")

    def _prog_coeff(self) -> tuple[float, ...]:
        return self.prog_coeff or (0.2, 0.0, 0.0)

    @staticmethod
    def coefficient(g, model, z, z_program):  # type: ignore[no-untyped-def]
        """Return the drift exponent."""
        return folded(model.drift_nu_mean, model.drift_nu_std, model, z)

    @staticmethod
    def read(g, programmed, target, model, z):  # type: ignore[no-untyped-def]
        """Return what a read sees."""
        return noisy(g, model.read_q, model, z)
