"""Tiki-Taka, vector pair by vector pair, in plain double-precision loops: exact reads and writes.

Version 1: Gokmen and Haensch, Front. Neurosci. 14, 103 (2020). Version 2: Gokmen, Front. Artif.
Intell. 4, 699148 (2021). With learning rate of the fast array f and of transfers rho:

    A <- A - f d x^T                           for every pair
    C[:, s] <- C[:, s] + rho A[:, s]           every T pairs, s <- s + 1 (version 1)
    omega = H + rho A[:, s], n = trunc(omega / q), C[:, s] <- C[:, s] + p n          (version 2)
"""

from math import ceil, trunc

__all__ = ["buffered", "tiki_taka"]


def buffered(h, rho, v, q, most, momentum, forget):
    """Return (n, H) after one read v of an element: what is written in steps, what is kept."""
    omega = h + rho * v
    n = max(-most, min(most, trunc(omega / q)))
    if n == 0:
        return 0, omega
    return n, momentum * omega if forget else omega - (1.0 - momentum) * n * q


def element(s, line, columns):
    """Return (row, column) of an element of slice s."""
    return (line, s) if columns else (s, line)


def tiki_taka(parts, batches, fast, rho, every, in_batches, reads, columns, buffer=None):
    """Change the arrays `parts`, lists of rows, fastest first; return the buffers and the count.

    `every` is the period of the first array, in batches or in pairs; that of the next is a full
    sweep of it. `buffer`: (q, most, momentum, forget, p), q and p those of each array.
    """
    rows, cols, last = len(parts[0]), len(parts[0][0]), len(parts) - 1
    slices, length = (cols, rows) if columns else (rows, cols)
    reads = min(reads, slices)
    place, count, carried = [0] * last, 0, 0
    stored = [[[0.0] * cols for _ in range(rows)] for _ in range(last)]
    for xs, ds in batches:
        for x, d in zip(xs, ds, strict=True):
            for i in range(rows):
                for j in range(cols):
                    parts[0][i][j] -= fast * float(d[i]) * float(x[j])
            count += 1
            for k in range(last):
                period = every * (slices / reads) ** k
                period = ceil(period * len(xs) - 1e-9) if in_batches else int(period + 0.5)
                if period == 0 or count % period != 0:
                    continue
                for r in range(reads):
                    s = (place[k] + r) % slices
                    for line in range(length):
                        i, j = element(s, line, columns)
                        v = parts[k][i][j]
                        if buffer is None:
                            parts[k + 1][i][j] += rho * v
                            continue
                        q, most, momentum, forget, p = buffer
                        args = (v, q[k + 1], most, momentum, forget)
                        n, stored[k][i][j] = buffered(stored[k][i][j], rho, *args)
                        parts[k + 1][i][j] += p[k + 1] * n
                    carried += 1
                place[k] = (place[k] + reads) % slices
    return stored, carried
