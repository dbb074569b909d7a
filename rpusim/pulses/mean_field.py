r"""The update in the limit of ever smaller steps: every vector moves a device along its law.

.. math:: w \leftarrow w + n\,(f_\pm(w) - w), \qquad n = \text{lr}\,|x d| / g

with the noise-free law :math:`f_\pm` and the granularity g: n need not be whole. It is what pulses
do on average if a vector's change is small against the range over which steps vary.

The free names are those of `rpusim.pulses.aggregate`.
"""

import numpy as np

from rpusim.kernels.law import FIRST, LANES
from rpusim.pulses.aggregate import unbounded
from rpusim.pulses.walk import fields, load, split_tables

__all__ = ["mean_field_rows"]


def mean_field_rows(begin, end, w, planes, model, x, d, rate):
    """Move the devices of rows `begin`..`end` by ``rate |x d|`` mean steps, vector by vector."""
    local, tables = fields(model), split_tables(model)
    for i in range(begin, end):
        for j in range(w.shape[1]):
            load(local, planes, i, j, 0)
            v, high, low = w[i, j], local[FIRST * LANES], local[(FIRST + 1) * LANES]
            for b in range(x.shape[0]):
                pulses = rate * x[b, j] * d[b, i]
                sign = np.float32(-1.0) if pulses > 0.0 else np.float32(1.0)
                step = unbounded(v, sign, local, tables, 0, np.float32(0.0)) - v
                v = min(max(v + abs(pulses) * step, low), high)
            w[i, j] = v
    return 0
