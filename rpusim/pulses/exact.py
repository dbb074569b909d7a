"""Updates without pulses, and the counting of pulses per crosspoint."""

from rpusim.kernels.primitives import popcount
from rpusim.kernels.team import member, members
from rpusim.pulses.lineup import coincide

__all__ = ["clip_rows", "count_rows", "exact_rows", "subtract_rows"]


def subtract_rows(begin, end, w, x, d, rate):
    """Subtract ``rate * d^T x`` from rows `begin`..`end`, vector after vector."""
    for i in range(begin, end):
        for b in range(x.shape[0]):
            change = rate * d[b, i]
            for j in range(member(), w.shape[1], members()):
                w[i, j] -= change * x[b, j]
    return 0


def clip_rows(begin, end, w, low, high):
    """Limit rows `begin`..`end` to their bounds; return how many weights that changed."""
    changed = 0
    for i in range(begin, end):
        for j in range(member(), w.shape[1], members()):
            new = min(max(w[i, j], low[i, j]), high[i, j])
            changed += new != w[i, j]
            w[i, j] = new
    return changed


def exact_rows(begin, end, w, low, high, x, d, rate):
    """Subtract ``rate * d x^T`` vector by vector, each time within the devices' bounds."""
    for i in range(begin, end):
        for b in range(x.shape[0]):
            change = rate * d[b, i]
            for j in range(member(), w.shape[1], members()):
                moved = w[i, j] - change * x[b, j]
                w[i, j] = min(max(moved, low[i, j]), high[i, j])
    return 0


def count_rows(begin, end, xw, xs, dw, ds, offsets, ups, downs):
    """Add a chunk's pulses to the counts of every crosspoint in rows `begin`..`end`."""
    for i in range(begin, end):
        for j in range(member(), ups.shape[1], members()):
            for q in range(xw.shape[0]):
                live = coincide(xw[q, j], dw[q, i], offsets[q])
                up = live & (xs[q, j] ^ ds[q, i])
                ups[i, j] += popcount(up)
                downs[i, j] += popcount(live ^ up)
    return 0
