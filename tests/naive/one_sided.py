"""A pair of constant-step devices that only grow, in plain double-precision loops; exact reads.

Burr et al., IEEE Trans. Electron Devices 62, 3498 (2015). Every vector pair asks crosspoint (i, j)
for n = rint(rate |x_j d_i| / g) pulses of size g, on g+ if x_j d_i < 0, else on g-. A pair of
devices of which the larger exceeds `upper` and the smaller `lower` (times the bound) is reset to 0,
and rint(|g+ - g-| / g) pulses go to the one that was larger.
"""

__all__ = ["one_sided"]


def pulse(array, i, j, n, g, bound):
    """Raise one device by n pulses, up to its bound."""
    for _ in range(n):
        array[i][j] = min(array[i][j] + g, bound)


def refresh(minus, plus, g, bound, upper, lower):
    """Reset and write all pairs that fill up; return how many."""
    count = 0
    for i in range(len(plus)):
        for j in range(len(plus[0])):
            p, m = plus[i][j], minus[i][j]
            large, small = (p, m) if p > m else (m, p)
            if large / bound > upper and small / bound > lower:
                plus[i][j] = minus[i][j] = 0.0
                pulse(plus if p > m else minus, i, j, round(abs(p - m) / g), g, bound)
                count += 1
    return count


def one_sided(minus, plus, batches, rate, g, bound, every, in_batches, upper, lower):
    """Change the arrays `minus` and `plus`, lists of rows; return the number of pairs refreshed."""
    count = refreshed = 0
    for xs, ds in batches:
        for x, d in zip(xs, ds, strict=True):
            for i in range(len(plus)):
                for j in range(len(plus[0])):
                    product = float(d[i]) * float(x[j])
                    n = round(rate * abs(product) / g)
                    pulse(plus if product < 0.0 else minus, i, j, n, g, bound)
            count += 1
            period = every * len(xs) if in_batches else every
            if count % period == 0:
                refreshed += refresh(minus, plus, g, bound, upper, lower)
    return refreshed
