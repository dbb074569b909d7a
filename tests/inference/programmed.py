"""Noise models by the names of the naive reference, devices for them, and the golden figures."""

import json
from pathlib import Path

import numpy as np

import rpusim as rs
from rpusim.inference import ProgrammedDevices

__all__ = [
    "ALL",
    "DAY",
    "GOLDEN",
    "PERFECT",
    "YEAR",
    "Leaky",
    "columns",
    "devices",
    "model",
    "tile_of",
]

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "inference.json").read_text())
DAY, YEAR = 86400.0, 31536000.0
PERFECT = rs.IOParameters(is_perfect=True)
ALL = ("pcm", "state", "hermes1", "hermes2", "wan", "cmo")


class Leaky(rs.BaseNoiseModel):
    """The example of the documentation: a loss with the square root of time."""

    error: float = rs.param(0.5, low=0.0, unit="uS", doc="programming error")
    loss: float = rs.param(0.001, low=0.0, doc="lost after one second")

    def at(self, t):
        return {"root": t**0.5}

    @staticmethod
    def program(g, model, z):
        return max(g + model.error * z, 0.0)

    @staticmethod
    def drift(g, target, c, model):
        return g / (1.0 + model.loss * model.root)


def model(name, **options):
    """Return a noise model by its short name."""
    kinds = {
        "pcm": rs.PCMLikeNoiseModel,
        "state": rs.StateIndependentNoiseModel,
        "hermes1": rs.HermesNoiseModel,
        "hermes2": rs.HermesNoiseModel,
        "wan": rs.ReRamWan2022NoiseModel,
        "cmo": rs.ReRamCMONoiseModel,
    }
    if name == "hermes1":
        options["num_devices"] = 1
    return kinds[name](**options)


def columns(weights, rows):
    """Return a matrix that holds each of the weights in a column."""
    return np.broadcast_to(np.asarray(weights, np.float32), (rows, len(weights)))


def devices(name, weights, rows=20000, rng=1, **options):
    """Return devices whose columns hold the weights."""
    return ProgrammedDevices(model(name, **options), columns(weights, rows), rng)


def tile_of(
    weights, noise_model=None, forward=PERFECT, rng=1, compensation=None, bias=None, **more
):
    """Return an inference tile that holds the weights."""
    config = rs.InferenceRPUConfig(
        forward=forward,
        noise_model=noise_model or rs.PCMLikeNoiseModel(),
        drift_compensation=compensation,
        **more,
    )
    w = np.asarray(weights)
    tile = rs.InferenceTile(*w.shape, config, bias is not None, rng=rng)
    tile.set_weights(w, bias)
    return tile
