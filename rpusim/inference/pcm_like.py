r"""Phase-change memory as measured on a large array: `PCMLikeNoiseModel`, and with other exponents.

With :math:`u = g / g_\max` of the target and :math:`u_p` of what was programmed, in the equations
of `rpusim.inference.power_drift`:

.. math::
    P(u) &= 0.26348 + 1.9650\,u - 1.1731\,u^2 \\
    \mu &= \mathrm{clip}(-0.0155 \ln u + 0.0244,\; 0.049,\; 0.1), \qquad
    \sigma = \mathrm{clip}(-0.0125 \ln u - 0.0059,\; 0.008,\; 0.045) \\
    q &= \min(0.0088\,u_p^{-0.65},\; 0.2)

Source: Nandakumar et al., ICECS (2019); Joshi et al., Nat. Commun. 11 (2020) 2473.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rpusim.config import param
from rpusim.errors import ConfigError
from rpusim.inference.pcm_noise import PCM_COEFFS
from rpusim.inference.power_drift import PowerDriftNoiseModel, folded, noisy
from rpusim.kernels.elementary import log, power

__all__ = ["CustomDriftPCMLikeNoiseModel", "PCMLikeNoiseModel"]

FITTED_AT = 25.0  # uS
TABLE = ("g_lst", "nu_mean_lst", "nu_std_lst")


class PCMLikeNoiseModel(PowerDriftNoiseModel):
    """Phase-change memory: programming error, drift and 1/f read noise of a large array.

    Source: Nandakumar et al., ICECS (2019); Joshi et al., Nat. Commun. 11 (2020) 2473.
    """

    prog_coeff_g_max_reference: float | None = param(
        None, like=25.0, above=0.0, unit="uS", doc="g_max for which prog_coeff was measured"
    )
    read_noise_from_target: bool = param(
        False, doc="read noise follows the target instead of what was programmed"
    )

    def _prog_coeff(self) -> tuple[float, ...]:
        return self.prog_coeff or PCM_COEFFS

    def _gain(self) -> float:
        g_max, measured = self.converter.g_max, self.prog_coeff_g_max_reference
        if measured is None:
            measured = FITTED_AT if self.prog_coeff is None else g_max
        return g_max / measured

    @staticmethod
    def coefficient(g, model, z, z_program):  # type: ignore[no-untyped-def]
        """Return the drift exponent."""
        u = log(max(g / model.g_max, 1e-7))
        mean = min(max(-0.0155 * u + 0.0244, 0.049), 0.1)
        std = min(max(-0.0125 * u - 0.0059, 0.008), 0.045)
        return folded(mean, std, model, z)

    @staticmethod
    def read(g, programmed, target, model, z):  # type: ignore[no-untyped-def]
        """Return what a read sees."""
        base = target if model.read_noise_from_target > 0.0 else programmed
        q = min(0.0088 / max(power(base / model.g_max, 0.65), 1e-3), 0.2)
        return noisy(g, q, model, z)


class CustomDriftPCMLikeNoiseModel(PCMLikeNoiseModel):
    r"""Phase-change memory with drift exponents from a table over the target conductance.

    :math:`\nu = s_\nu\,|\mu(g) + \sigma(g) z|`, both linear between the table's entries.

    Examples
    --------
    >>> model = CustomDriftPCMLikeNoiseModel(custom_drift_model={
    ...     "g_lst": [0.0, 10.0, 25.0], "nu_mean_lst": [0.1, 0.05, 0.04],
    ...     "nu_std_lst": [0.04, 0.01, 0.01]})
    """

    custom_drift_model: tuple = param(
        (("g_lst", (0.0, 25.0)), ("nu_mean_lst", (0.05, 0.05)), ("nu_std_lst", (0.01, 0.01))),
        keyed=True,
        doc="lists g_lst (uS, ascending), nu_mean_lst and nu_std_lst",
    )

    def check(self) -> None:
        """Refuse tables that do not fit together, or end within the range of the converter."""
        super().check()
        where = f"{type(self).__name__}.custom_drift_model"
        lists = self._lists(where)
        if not {len(v) for v in lists.values()} == {len(lists["g_lst"])} or len(lists["g_lst"]) < 2:
            sizes = {name: len(values) for name, values in lists.items()}
            raise ConfigError(f"{where} must hold lists of one length, at least 2, got {sizes}.")
        g = np.array(lists["g_lst"])
        if (np.diff(g) <= 0.0).any() or g[0] < 0.0:
            raise ConfigError(f"{where}: g_lst must be >= 0 and ascend, got {g.tolist()}.")
        if min(lists["nu_std_lst"]) < 0.0:
            raise ConfigError(f"{where}: nu_std_lst must be >= 0.")
        low, high = self.converter.g_min, self.converter.g_max
        if low < g[0] or high > g[-1]:
            raise ConfigError(
                f"{where}: g_lst must reach over all conductances of the converter, {low:g} to "
                f"{high:g} uS, got {g[0]:g} to {g[-1]:g}."
            )

    def _lists(self, where: str) -> dict[str, tuple[float, ...]]:
        pairs = self.custom_drift_model
        if not all(isinstance(p, tuple) and len(p) == 2 for p in pairs):
            raise ConfigError(f"{where} must be a dict of lists, got {pairs!r}.")
        lists = dict(pairs)
        if set(lists) != set(TABLE):
            raise ConfigError(
                f"{where} must hold {', '.join(TABLE)}, got {', '.join(map(str, lists))}."
            )
        for name, values in lists.items():
            if not isinstance(values, tuple) or not all(isinstance(v, float) for v in values):
                raise ConfigError(f"{where}: {name} must be a list of numbers, got {values!r}.")
        return lists

    def numbers(self) -> dict[str, Any]:
        """Return what laws find in ``model``, the lists by name."""
        return {**super().numbers(), **dict(self.custom_drift_model)}

    @staticmethod
    def coefficient(g, model, z, z_program):  # type: ignore[no-untyped-def]
        """Return the drift exponent."""
        mean, std = model.nu_mean_lst[0], model.nu_std_lst[0]
        for k in range(1, len(model.g_lst)):
            width = model.g_lst[k] - model.g_lst[k - 1]
            share = min(max((g - model.g_lst[k - 1]) / width, 0.0), 1.0)
            mean = mean + share * (model.nu_mean_lst[k] - model.nu_mean_lst[k - 1])
            std = std + share * (model.nu_std_lst[k] - model.nu_std_lst[k - 1])
        return folded(mean, std, model, z)
