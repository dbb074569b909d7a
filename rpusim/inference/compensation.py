"""Configurations of drift compensation."""

from __future__ import annotations

from rpusim.config import Config

__all__ = ["BaseDriftCompensation", "GlobalDriftCompensation"]


class BaseDriftCompensation(Config):
    """Base of the corrections of outputs for drift, from a probe read now and after programming."""


class GlobalDriftCompensation(BaseDriftCompensation):
    """One factor for a tile, from the mean magnitude of a probe.

    Source: Joshi et al., Nat. Commun. 11 (2020) 2473.
    """
