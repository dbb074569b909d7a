"""What tests of modifiers share: settings, the draws behind a copy, rows of equal weights."""

import numpy as np

from rpusim.inference.modify import modified
from rpusim.inference.settings import WeightModifierParameter
from rpusim.kernels.bind import bind
from rpusim.kernels.random import normals4, philox, uniform

KEY = (0x1234ABCD, 0x98765432)
LEVELS = np.array([0.0, 0.02, -0.1, 0.25, -0.5], np.float32)


def copy_of(w, step=0, backend="cpu", key=KEY, bias_column=False, sample=None, **settings):
    """Return a modified copy."""
    settings = WeightModifierParameter(**settings)
    return modified(w, settings, key, step, backend, bias_column, sample)


def levels(n=40_000):
    """Return a matrix of which each row holds one weight, again and again."""
    return np.repeat(LEVELS[:, None], n, axis=1)


def weights(shape=(7, 13), seed=3, std=0.2):
    """Return normal weights."""
    return np.random.default_rng(seed).normal(0.0, std, shape).astype(np.float32)


def row_draws(shape, step, stage, normal):
    """Return the normals or uniforms of every weight: blocks of four columns."""
    blocks = -(-shape[1] // 4)
    out = np.zeros((shape[0], 4 * blocks))
    block, as_uniform = bind(normals4, "python"), bind(uniform, "python")
    for i in range(shape[0]):
        for b in range(blocks):
            if normal:
                out[i, b::blocks] = block(i, b, step, stage, *KEY)
            else:
                words = philox(i, b, step, stage, *KEY)
                out[i, b::blocks] = [as_uniform(word) for word in words]
    return out[:, : shape[1]]


def weight_draws(shape, step, stage, normal):
    """Return the four normals, or the four words, of every weight, first axis first."""
    block = bind(normals4, "python") if normal else philox
    drawn = [[block(i, j, step, stage, *KEY) for j in range(shape[1])] for i in range(shape[0])]
    return np.moveaxis(np.array(drawn), 2, 0)
