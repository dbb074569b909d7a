"""Steps that kernels over a matrix of weights share: the draws and a polynomial of one row.

Draw r of block b belongs to column ``b + r * blocks``: the flattened (4, blocks) array is the row,
padded to a multiple of four.

Kernels named ``..._rows`` fill rows of draws first, so that the laws become wide instructions of a
CPU. A GPU has no room for such rows: for each of these kernels there is one named ``..._team``,
which does the same a block of four columns at a time, and which the backend "python" runs as well.
"""

from rpusim.kernels.random import normals4, philox, uniform

__all__ = ["fill_normals", "fill_polynomial", "fill_uniforms", "polynomial", "uniforms4"]


def fill_normals(drawn, i, step, stage, k0, k1):
    """Fill `drawn`, (4, blocks), with the standard normals of row `i`."""
    for b in range(drawn.shape[1]):
        drawn[0, b], drawn[1, b], drawn[2, b], drawn[3, b] = normals4(i, b, step, stage, k0, k1)


def fill_uniforms(drawn, i, step, stage, k0, k1):
    """Fill `drawn`, (4, blocks), with the uniforms in (0, 1] of row `i`."""
    for b in range(drawn.shape[1]):
        r0, r1, r2, r3 = philox(i, b, step, stage, k0, k1)
        drawn[0, b], drawn[1, b] = uniform(r0), uniform(r1)
        drawn[2, b], drawn[3, b] = uniform(r2), uniform(r3)


def fill_polynomial(out, x, coeffs):
    """Fill `out` with ``coeffs[0] + coeffs[1] * x + ...``."""
    for j in range(out.shape[0]):
        out[j] = coeffs[coeffs.shape[0] - 1]
    for k in range(coeffs.shape[0] - 2, -1, -1):
        for j in range(out.shape[0]):
            out[j] = out[j] * x[j] + coeffs[k]


def uniforms4(i, b, step, stage, k0, k1):
    """Return the four uniforms in (0, 1] of a block."""
    r0, r1, r2, r3 = philox(i, b, step, stage, k0, k1)
    return uniform(r0), uniform(r1), uniform(r2), uniform(r3)


def polynomial(x, coeffs):
    """Return ``coeffs[0] + coeffs[1] * x + ...`` for one column, see `fill_polynomial`."""
    value = coeffs[coeffs.shape[0] - 1]
    for k in range(coeffs.shape[0] - 2, -1, -1):
        value = value * x + coeffs[k]
    return value
