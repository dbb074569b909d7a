"""Configurations of noise models of programmed devices."""

from __future__ import annotations

from rpusim.config import Config, param
from rpusim.inference.converters import BaseConductanceConverter, SinglePairConductanceConverter

__all__ = ["BaseNoiseModel", "PCMLikeNoiseModel"]


class BaseNoiseModel(Config):
    """Base of the models of what happens to a programmed conductance."""

    g_converter: BaseConductanceConverter | None = param(
        None,
        like=SinglePairConductanceConverter(),
        family=BaseConductanceConverter,
        doc="from weights to conductances; none: a single pair",
    )

    @property
    def converter(self) -> BaseConductanceConverter:
        """The converter that applies."""
        return self.g_converter or SinglePairConductanceConverter()


class PCMLikeNoiseModel(BaseNoiseModel):
    """Phase-change memory: programming error, drift and 1/f read noise of a large array.

    Source: Nandakumar et al., ICECS (2019); Joshi et al., Nat. Commun. 11 (2020) 2473.
    """

    prog_coeff: tuple | None = param(
        None, like=(0.0,), unit="uS", doc="programming error, polynomial in g / g_max"
    )
    g_max: float | None = param(None, like=25.0, above=0.0, unit="uS", doc="of the converter")
    t_read: float = param(250e-9, above=0.0, unit="s", doc="duration of a read")
    t_0: float = param(20.0, above=0.0, unit="s", doc="age at the end of programming")
    prog_noise_scale: float = param(1.0, low=0.0, doc="factor of the programming error")
    read_noise_scale: float = param(1.0, low=0.0, doc="factor of the read noise")
    drift_scale: float = param(1.0, low=0.0, doc="factor of the drift exponents")
    prog_coeff_g_max_reference: float | None = param(
        None, like=25.0, above=0.0, unit="uS", doc="g_max for which prog_coeff was measured"
    )

    @property
    def converter(self) -> BaseConductanceConverter:
        """The converter that applies."""
        if self.g_converter is not None or self.g_max is None:
            return super().converter
        return SinglePairConductanceConverter(g_max=self.g_max)
