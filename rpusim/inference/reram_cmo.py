r"""Resistive memory of a conductive metal oxide on hafnium oxide: `ReRamCMONoiseModel`.

One device for a weight. With conductances in uS and t > 0 in seconds:

.. math::
    g_p &= g + s_p\,(c_0 + c_1 g)\,z \\
    g_d &= g_p + s_d\,(-0.08900206 \ln t + (0.04201137 \ln t + 0.41183342)\,z) \\
    g_r &= \mathrm{clip}\Big(g_d + s_r\,K \log_{10} g_d\,
           \sqrt{\ln\frac{t + t_\mathrm{read}}{2 t_\mathrm{read}}}\; z,\; g_\min,\; g_\max\Big)

with :math:`K = 0.0277316483` and :math:`t_\mathrm{read} = 10^{-6}`; at t = 0, :math:`g_p`. The z of
the relaxation is one per device for all times, unless `fresh_relaxation`. The mean shift is an
offset of all weights, not a gain: a factor cannot compensate it.

Source: Falcone et al. (2025), all-in-one analog AI hardware based on CMO/HfOx ReRAM.
"""

from __future__ import annotations

import math
from typing import Any

from rpusim.config import check_coefficients, param
from rpusim.errors import ConfigError, DataError
from rpusim.inference.noise_models import BaseNoiseModel, polynomial
from rpusim.inference.single_device import SingleDeviceConductanceConverter
from rpusim.kernels.elementary import log

__all__ = ["ReRamCMONoiseModel"]

LARGEST, SMALLEST = 88.199997, 9.0  # uS
ERRORS = ((0.2, (0.00081107, 0.00106879)), (2.0, (0.0112185391, 0.01129027418)))
DECAY = (("mean", (-0.08900206,)), ("std", (0.04201137, 0.41183342)))
READ = (("K", 0.0277316483), ("t_read", 1e-6))
LOG10_E = 0.4342944819
UNLIMITED = 1e30  # uS: no limit
FIRST = 1.0  # second, from which the relaxation was measured


class ReRamCMONoiseModel(BaseNoiseModel):
    """Resistive memory of conductive metal oxide, one device for a weight.

    Source: Falcone et al. (2025), all-in-one analog AI hardware based on CMO/HfOx ReRAM.
    """

    coeff_dict: tuple | None = param(
        None, like=((0.2, (0.0, 0.0)),), keyed=True, doc="acceptance range (%): c_0, c_1 (uS, 1)"
    )
    g_max: float | None = param(None, like=88.0, above=0.0, unit="uS", doc="none: 88.199997")
    g_min: float | None = param(None, like=9.0, low=0.0, unit="uS", doc="none: 9")
    prog_noise_scale: float = param(1.0, low=0.0, doc="factor of the programming error")
    read_noise_scale: float = param(1.0, low=0.0, doc="factor of the read noise")
    drift_scale: float = param(1.0, low=0.0, doc="factor of the relaxation, mean and spread")
    decay_dict: tuple | None = param(
        None, like=DECAY, keyed=True, unit="uS", doc="mean and std: their coefficients of ln t"
    )
    read_dict: tuple | None = param(None, like=READ, keyed=True, doc="K and t_read of read noise")
    acceptance_range: float = param(0.2, above=0.0, unit="%", doc="which entry of coeff_dict")
    fresh_relaxation: bool = param(False, doc="every drift draws the relaxation anew")

    def check(self) -> None:
        """Refuse tables without the entries that are needed."""
        super().check()
        where = type(self).__name__
        errors = self._table("coeff_dict", ERRORS)
        for key, values in errors.items():
            check_coefficients(f"{where}.coeff_dict[{key!r}]", values)
        if self.acceptance_range not in errors:
            known = ", ".join(f"{key!r}" for key in errors)
            raise ConfigError(
                f"{where}.acceptance_range must be one of those in coeff_dict, {known}, got "
                f"{self.acceptance_range!r}."
            )
        for name, default in (("decay_dict", DECAY), ("read_dict", READ)):
            wanted, found = [k for k, _ in default], self._table(name, default)
            if set(found) != set(wanted):
                raise ConfigError(
                    f"{where}.{name} must hold {' and '.join(wanted)}, got {found!r}."
                )
        decay = self._table("decay_dict", DECAY)
        for key, count in (("mean", 1), ("std", 2)):
            check_coefficients(f"{where}.decay_dict[{key!r}]", decay[key])
            if len(decay[key]) != count:
                raise ConfigError(
                    f"{where}.decay_dict[{key!r}] must hold {count} numbers, got {decay[key]!r}."
                )
        for key, value in self._table("read_dict", READ).items():
            if not isinstance(value, float) or value <= 0.0:
                raise ConfigError(
                    f"{where}.read_dict[{key!r}] must be a number > 0, got {value!r}."
                )

    def _table(self, name: str, default: Any) -> dict[Any, Any]:
        """Return a table by its keys."""
        pairs = default if getattr(self, name) is None else getattr(self, name)
        if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
            raise ConfigError(f"{type(self).__name__}.{name} must be a dict, got {pairs!r}.")
        return dict(pairs)

    @property
    def redraws(self) -> bool:  # type: ignore[override]
        """Whether every drift draws a relaxation of its own."""
        return self.fresh_relaxation

    def _own_converter(self) -> Any:
        return SingleDeviceConductanceConverter(
            g_max=LARGEST if self.g_max is None else self.g_max,
            g_min=SMALLEST if self.g_min is None else self.g_min,
        )

    def numbers(self) -> dict[str, Any]:
        """Return what laws find in ``model``, with ``error``, the coefficients of programming."""
        errors = self._table("coeff_dict", ERRORS)
        return {**super().numbers(), "error": errors[self.acceptance_range]}

    def at(self, t: float) -> dict[str, Any]:
        """Return ``mean``, ``std`` of the relaxation, ``noise`` of reads, and limits, at `t`."""
        if t == 0.0:
            return {"mean": 0.0, "std": 0.0, "noise": 0.0, "low": -UNLIMITED, "high": UNLIMITED}
        if t < FIRST:
            raise DataError(
                f"{type(self).__name__} describes times from {FIRST:g} s on (and 0, as "
                f"programmed), got {t:g}."
            )
        decay, reads = self._table("decay_dict", DECAY), self._table("read_dict", READ)
        t_read, slope = reads["t_read"], decay["std"]
        spectrum = math.log((t + t_read) / (2.0 * t_read))
        return {
            "mean": self.drift_scale * decay["mean"][0] * math.log(t),
            "std": self.drift_scale * (slope[0] * math.log(t) + slope[1]),
            "noise": self.read_noise_scale * reads["K"] * math.sqrt(max(spectrum, 0.0)) * LOG10_E,
            "low": self.converter.g_min,
            "high": self.converter.g_max,
        }

    @staticmethod
    def program(g, model, z):  # type: ignore[no-untyped-def]
        """Return the conductance that programming leaves."""
        return g + model.prog_noise_scale * polynomial(model.error, g) * z

    @staticmethod
    def coefficient(g, model, z, z_program):  # type: ignore[no-untyped-def]
        """Return the normal that stands for this device's relaxation."""
        return z

    @staticmethod
    def drift(g, target, c, model):  # type: ignore[no-untyped-def]
        """Return the relaxed conductance."""
        return g + model.mean + model.std * c

    @staticmethod
    def read(g, programmed, target, model, z):  # type: ignore[no-untyped-def]
        """Return what a read sees."""
        seen = g + model.noise * log(max(g, 1e-3)) * z
        return min(max(seen, model.low), model.high)
