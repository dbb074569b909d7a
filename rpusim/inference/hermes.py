r"""Phase-change memory of a 64-core chip in 14 nm technology, with one or two devices per polarity.

In the equations of `rpusim.inference.power_drift`, with :math:`u = g / g_\max` of the target,
:math:`u_p` of what was programmed, and the columns for one and for two devices:

.. math::
    \mu &= \mathrm{clip}(-0.0387 \ln u - 0.0182,\; 0.0720,\; 0.13) \text{ for } u < 0.0945,
    \text{ else } 0.0736 - 0.0126\,u - 0.0436\,u^2

=========  ===================================================  ====================================
..         one device                                           two devices
=========  ===================================================  ====================================
P (uS)     0.15781817 + 2.32443916 u - 2.16310839 u² +          0.16603222 + 4.71806468 u -
           0.68841818 u³, at 10.35 uS                           8.48101252 u² + 4.68961419 u³, at
                                                                20.7 uS
σ, small   clip(-0.0120 ln u - 0.0023, 0.0124, 0.04), u <       clip(-0.0117 ln u - 0.0057, 0.0091,
           0.3039                                               0.04), u < 0.3055
σ, else    0.0104 + 0.0116 u - 0.0165 u²                        0.0073 + 0.0093 u - 0.0118 u²
q, small   clip(-0.0078 ln u_p + 0.0038, 0.0179, 0.04), u_p <   clip(-0.0117 ln u_p - 0.0069, 0.015,
           0.1591                                               0.04), u_p < 0.16
q, else    0.0088 + 0.0768 u_p - 0.1352 u_p² + 0.0664 u_p³      0.0123 + 0.0211 u_p - 0.0280 u_p² +
                                                                0.0069 u_p³
t_0 (s)    200                                                  300
=========  ===================================================  ====================================

Two devices are one equivalent device with its own fits.

Source: Le Gallo et al., Nat. Electron. (2023); Vasilopoulos et al., IEEE Trans. Electron Devices
(2023).
"""

from __future__ import annotations

from typing import Any

from rpusim.config import param
from rpusim.errors import ConfigError
from rpusim.inference.converters import SinglePairConductanceConverter
from rpusim.inference.noise_models import polynomial
from rpusim.inference.power_drift import PowerDriftNoiseModel, folded, noisy
from rpusim.kernels.elementary import log

__all__ = ["HermesNoiseModel"]

LARGEST = {1: 10.35, 2: 20.7}  # uS
AGE = {1: 200.0, 2: 300.0}  # seconds
ERROR = {
    1: (0.15781817, 2.32443916, -2.16310839, 0.68841818),
    2: (0.16603222, 4.71806468, -8.48101252, 4.68961419),
}
# of ln u and 1, then smallest and largest, then where the polynomial begins
STD = {1: (-0.0120, -0.0023, 0.0124, 0.04, 0.3039), 2: (-0.0117, -0.0057, 0.0091, 0.04, 0.3055)}
STD_POLY = {1: (0.0104, 0.0116, -0.0165), 2: (0.0073, 0.0093, -0.0118)}
READ = {1: (-0.0078, 0.0038, 0.0179, 0.04, 0.1591), 2: (-0.0117, -0.0069, 0.015, 0.04, 0.16)}
READ_POLY = {1: (0.0088, 0.0768, -0.1352, 0.0664), 2: (0.0123, 0.0211, -0.0280, 0.0069)}


def fitted(u, line, coeffs):
    """Return a line in ln u, clipped, for small u, and a polynomial for others."""
    small = min(max(line[0] * log(u) + line[1], line[2]), line[3])
    return small if u < line[4] else polynomial(coeffs, u)


class HermesNoiseModel(PowerDriftNoiseModel):
    """Phase-change memory of the 64-core Hermes chip.

    Source: Le Gallo et al., Nat. Electron. (2023).
    """

    num_devices: int = param(2, low=1, high=2, doc="devices per polarity of a weight")
    t_read: float = param(512e-9, above=0.0, unit="s", doc="duration of a read")
    t_0: float | None = param(  # type: ignore[assignment]
        None, like=300.0, above=0.0, unit="s", doc="age after programming; none: 200 or 300"
    )
    prog_coeff_g_max_reference: float | None = param(
        None, like=20.7, above=0.0, unit="uS", doc="g_max for which prog_coeff was measured"
    )
    read_noise_from_target: bool = param(
        False, doc="read noise follows the target instead of what was programmed"
    )

    def check(self) -> None:
        """Refuse conductances that these devices do not have."""
        super().check()
        most = LARGEST[self.num_devices]
        given = self.g_max if self.g_converter is None else self.converter.g_max
        if given is not None and given > most:
            raise ConfigError(
                f"HermesNoiseModel: g_max must be at most {most:g} uS with num_devices="
                f"{self.num_devices}, got {given!r}."
            )

    def _own_converter(self) -> SinglePairConductanceConverter:
        return SinglePairConductanceConverter(g_max=self.g_max or LARGEST[self.num_devices])

    def _prog_coeff(self) -> tuple[float, ...]:
        return self.prog_coeff or ERROR[self.num_devices]

    def _gain(self) -> float:
        g_max, measured = self.converter.g_max, self.prog_coeff_g_max_reference
        if measured is None:
            measured = LARGEST[self.num_devices] if self.prog_coeff is None else g_max
        return g_max / measured

    def numbers(self) -> dict[str, Any]:
        """Return what laws find in ``model``, the fits for this number of devices included."""
        n = self.num_devices
        fits: dict[str, Any] = {"std": STD, "std_poly": STD_POLY, "q": READ, "q_poly": READ_POLY}
        return {**super().numbers(), **{name: fit[n] for name, fit in fits.items()}}

    def at(self, t: float) -> dict[str, Any]:
        """Return what depends on the time, see `PowerDriftNoiseModel.at`."""
        if self.t_0 is None:
            return self.replace(t_0=AGE[self.num_devices]).at(t)
        return super().at(t)

    @staticmethod
    def coefficient(g, model, z, z_program):  # type: ignore[no-untyped-def]
        """Return the drift exponent."""
        u = max(g / model.g_max, 1e-7)
        small = min(max(-0.0387 * log(u) - 0.0182, 0.0720), 0.13)
        mean = small if u < 0.0945 else 0.0736 - 0.0126 * u - 0.0436 * u * u
        return folded(mean, fitted(u, model.std, model.std_poly), model, z)

    @staticmethod
    def read(g, programmed, target, model, z):  # type: ignore[no-untyped-def]
        """Return what a read sees."""
        base = target if model.read_noise_from_target > 0.0 else programmed
        u = max(base / model.g_max, 1e-7)
        return noisy(g, fitted(u, model.q, model.q_poly), model, z)
