r"""What happens to weights without pulses: decay, diffusion, reset, and the noise of a write.

.. math::
    \text{decay:}\quad & w \leftarrow w - \alpha\,\rho\,(w - b) \\
    \text{diffusion:}\quad & w \leftarrow w + D z \\
    \text{reset:}\quad & w \leftarrow b + \sigma_r z \\
    \text{write noise:}\quad & w_\text{seen} = w - r + \sigma_w z

each within the device's bounds, with rate :math:`\rho = 1/\text{lifetime}`, target b, diffusion
rate D, reference r (0 for most devices). A decay too small for float32 is not lost: what rounding
leaves is carried to the next call.
"""

import numpy as np

from rpusim.kernels.random import normal_at, normals4, philox, uniform
from rpusim.kernels.team import member, members

__all__ = [
    "decay_rows",
    "diffuse_rows",
    "reset_rows",
    "rewrite_marked",
    "rewrite_places",
    "rewrite_rows",
]


def decay_rows(begin, end, w, carry, rate, target, low, high, alpha):
    """Decay rows `begin`..`end` once; `carry` keeps what float32 cannot hold of a weight."""
    for i in range(begin, end):
        for j in range(member(), w.shape[1], members()):
            exact = np.float64(w[i, j]) + carry[i, j]
            exact = exact - alpha * rate[i, j] * (exact - target[i, j])
            exact = min(max(exact, np.float64(low[i, j])), np.float64(high[i, j]))
            w[i, j] = exact
            carry[i, j] = exact - w[i, j]
    return 0


def diffuse_rows(begin, end, w, rate, low, high, step, k0, k1):
    """Let rows `begin`..`end` take one step of their random walk."""
    blocks = (w.shape[1] + 3) // 4
    for i in range(begin, end):
        for b in range(member(), blocks, members()):
            z = normals4(i, b, step, 0, k0, k1)
            for r in range(4):
                j = b + r * blocks
                if j < w.shape[1]:
                    v = w[i, j] + rate[i, j] * z[r]
                    w[i, j] = min(max(v, low[i, j]), high[i, j])
    return 0


def reset_rows(begin, end, w, hits, target, low, high, columns, std, prob, step, k0, k1):
    """Reset the devices of the marked `columns` with probability `prob`; mark them in `hits`."""
    for i in range(begin, end):
        for j in range(member(), w.shape[1], members()):
            if columns[j] != 0 and uniform(philox(i, j, step, 1, k0, k1)[0]) <= prob:
                z, _, _, _ = normals4(i, j, step, 0, k0, k1)
                w[i, j] = min(max(target[i, j] + std * z, low[i, j]), high[i, j])
                hits[i, j] = 1
    return 0


def rewrite_rows(begin, end, seen, w, reference, hits, std, step, k0, k1):
    """Set what is seen of the devices marked in `hits`: ``w - reference + std * z``.

    A `reference` of shape (0, 0) is zero everywhere.
    """
    cols = w.shape[1]
    blocks = (cols + 3) // 4
    z = np.empty((4, blocks), np.float32)
    noise = z.reshape(4 * blocks)
    for i in range(begin, end):
        j = 0
        while j < cols and hits[i, j] == 0:
            j += 1
        if j == cols:  # no draw where none is needed
            continue
        for b in range(blocks):
            z[0, b], z[1, b], z[2, b], z[3, b] = normals4(i, b, step, 0, k0, k1)
        for j in range(cols):  # without a jump: wide instructions
            held = w[i, j] - reference[i, j] if reference.size > 0 else w[i, j]
            seen[i, j] = held + std * noise[j] if hits[i, j] != 0 else seen[i, j]
    return 0


def rewrite_marked(begin, end, seen, w, reference, marked, std, step, k0, k1):
    """Do what `rewrite_rows` does, each device by itself."""
    cols = w.shape[1]
    for i in range(begin, end):
        for j in range(member(), cols, members()):
            if marked[i, j] != 0:
                held = w[i, j] - reference[i, j] if reference.size > 0 else w[i, j]
                seen[i, j] = held + std * normal_at(i, j, cols, step, k0, k1)
    return 0


def rewrite_places(begin, end, seen, w, reference, places, std, step, k0, k1):
    """Set what is seen of few devices, numbered in `places` row by row, as `rewrite_rows` does."""
    cols = w.shape[1]
    blocks = (cols + 3) // 4
    for p in range(begin, end):
        i, j = int(places[p]) // cols, int(places[p]) % cols
        held = w[i, j] - reference[i, j] if reference.size > 0 else w[i, j]
        z = normals4(i, j % blocks, step, 0, k0, k1)
        seen[i, j] = held + std * z[j // blocks]
    return 0
