"""Steps that kernels over a matrix of weights share: the draws and a polynomial of one row.

Draw r of block b belongs to column ``b + r * blocks``: the flattened (4, blocks) array is the row,
padded to a multiple of four.
"""

from rpusim.kernels.random import normals4, philox, uniform

__all__ = ["fill_normals", "fill_polynomial", "fill_uniforms"]


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
