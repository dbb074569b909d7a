r"""Random numbers by counting: Philox4x32-10 and normals from it, the same bits on every backend.

There is no generator state. A draw is a pure function of a 64-bit key (who draws, and for what)
and a 128-bit counter (which crosspoint, which sample, which slot), so it does not depend on the
order of work, on the number of threads or on how a batch is cut, and a draw that is not needed
costs nothing.

Normals come in pairs from two 32-bit words by the Box-Muller transform

.. math:: z_0 = r \cos\varphi, \quad z_1 = r \sin\varphi, \quad r = \sqrt{-2 \ln u}

with short polynomials for the logarithm (error below 3e-7, see `rpusim.kernels.elementary`) and for
sine and cosine on an eighth of the circle (below 2e-6); the other seven eighths are signs and an
exchange, taken from spare bits. They use float32 additions, multiplications and one square root,
each rounded as IEEE 754 says, hence equal bits wherever nothing is fused. :math:`|z| \le 6.7`.

Sources: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011), for Philox; Box and
Muller, A note on the generation of random normal deviates (1958).
"""

import math

import numpy as np

from rpusim.kernels.bind import kernel
from rpusim.kernels.elementary import log

__all__ = [
    "philox",
    "normal_pair",
    "normals4",
    "normal_at",
    "uniform",
    "fill_words",
    "normal",
    "uniforms",
]

MASK = 0xFFFFFFFF
MULTIPLY_0, MULTIPLY_1 = 0xD2511F53, 0xCD9E8D57
WEYL_0, WEYL_1 = 0x9E3779B9, 0xBB67AE85

QUARTER_TURN = 9.362675206546191e-08  # pi / 2 * 2**-24
# minimax fits: sin a = a S(a**2); cos a = C(a**2) for |a| <= pi / 4
SIN_0, SIN_1, SIN_2 = 0.99999857, -0.16662480, 0.0081516355
COS_0, COS_1, COS_2, COS_3 = 1.0, -0.49999857, 0.041655026, -0.0013585908


def philox(c0, c1, c2, c3, k0, k1):
    """Return four 32-bit words for a counter of four words and a key of two (Philox4x32-10).

    All are non-negative integers below 2**32, held in 64 bits.
    """
    for _ in range(10):
        p0 = c0 * MULTIPLY_0
        p1 = c2 * MULTIPLY_1
        c0, c2 = ((p1 >> 32) & MASK) ^ c1 ^ k0, ((p0 >> 32) & MASK) ^ c3 ^ k1
        c1, c3 = p1 & MASK, p0 & MASK
        k0 = (k0 + WEYL_0) & MASK
        k1 = (k1 + WEYL_1) & MASK
    return c0, c1, c2, c3


def uniform(word):
    """Return a float32 in (0, 1] from a 32-bit word."""
    return (np.float32(np.int32(word >> 1)) + 0.5) * 4.656612873077393e-10  # 2**-31


def normal_pair(radius, angle):
    """Return two independent standard normals from two 32-bit words."""
    u = uniform(radius)
    r = np.float32(math.sqrt(-2.0 * log(u)))
    # angle in -pi/4..pi/4 from the upper 24 bits; bit 0 turns by pi, bit 1 exchanges
    a = np.float32(np.int32(angle >> 8) - 0x800000) * QUARTER_TURN
    a2 = a * a
    s = a * (SIN_0 + a2 * (SIN_1 + a2 * SIN_2))
    c = COS_0 + a2 * (COS_1 + a2 * (COS_2 + a2 * COS_3))
    r = -r if angle & 1 != 0 else r
    exchange = angle & 2 != 0
    return r * (s if exchange else c), r * (c if exchange else s)


def normals4(c0, c1, c2, c3, k0, k1):
    """Return the four standard normals of one Philox block."""
    r0, r1, r2, r3 = philox(c0, c1, c2, c3, k0, k1)
    z0, z1 = normal_pair(r0, r1)
    z2, z3 = normal_pair(r2, r3)
    return z0, z1, z2, z3


def normal_at(i, j, columns, step, k0, k1):
    """Return the normal of column `j` where four columns of a row share a block of draws."""
    blocks = (columns + 3) // 4
    z0, z1, z2, z3 = normals4(i, j % blocks, step, 0, k0, k1)
    r = j // blocks
    return z0 if r == 0 else (z1 if r == 1 else (z2 if r == 2 else z3))


def fill_words(out, c1, c2, c3, k0, k1):
    """Fill `out`, (4, n) int64, with 32-bit words: column i is the block of (i, c1, c2, c3)."""
    for i in range(out.shape[1]):
        out[0, i], out[1, i], out[2, i], out[3, i] = philox(i, c1, c2, c3, k0, k1)


def fill_uniforms(out, c1, c2, c3, k0, k1):
    """Fill `out`, (4, n) float32, with uniforms in (0, 1]; counters as in `fill_words`."""
    for i in range(out.shape[1]):
        r0, r1, r2, r3 = philox(i, c1, c2, c3, k0, k1)
        out[0, i], out[1, i] = uniform(r0), uniform(r1)
        out[2, i], out[3, i] = uniform(r2), uniform(r3)


def fill_normals(out, c1, c2, c3, k0, k1):
    """Fill `out`, (4, n) float32, with standard normals; counters as in `fill_words`."""
    for i in range(out.shape[1]):
        out[0, i], out[1, i], out[2, i], out[3, i] = normals4(i, c1, c2, c3, k0, k1)


def normal(shape, key, index=0, step=0):
    """Return an array of standard normals.

    Parameters
    ----------
    shape : int or tuple of int
        Shape of the result.
    key : (int, int)
        Two 32-bit words, see `rpusim.kernels.streams`.
    index, step : int
        Which array of this key: two further 32-bit words of the counter.

    Returns
    -------
    ndarray of float32
    """
    return _array(kernel(fill_normals), shape, key, index, step)


def uniforms(shape, key, index=0, step=0):
    """Return an array of uniforms in (0, 1]; parameters as for `normal`."""
    return _array(kernel(fill_uniforms), shape, key, index, step)


def _array(fill, shape, key, index, step):
    size = int(np.prod(shape))
    out = np.empty((4, -(-size // 4)), np.float32)
    fill(out, index, step, 0, *key)
    return out.reshape(-1)[:size].reshape(shape)
