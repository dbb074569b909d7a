"""Residual learning, vector pair by vector pair, in plain double-precision loops; constant steps.

Version 1 and 2: Wu et al., NeurIPS 2025, arXiv 2502.06309. With a fast array P and a slow one W,
the product sees Wbar = W + gamma P; with learning rate alpha and slice s of P carried every pair:

    P <- P - alpha d x^T
    W[:, s] <- W[:, s] + rho P[:, s]                                          (version 1)
    H <- m H + (1 - m) rho P[:, s]; |H| >= q: W moves by g sign(H), H by -q sign(H)   (version 2)

E-RIDER: Xiao et al., arXiv 2602.21321. A chopper c of the slice; Q follows P, R is the reference:

    Wbar = W + gamma c (P - R);  P <- P - alpha c d x^T
    W <- W + rho c (P - R), maybe through H;  Q <- (1 - eta) Q + eta P;  at a flip of c: R <- Q
"""

__all__ = ["Buffer", "Tracker", "chain", "residual"]


class Buffer:
    """The leaky buffer of one element; None of it if `momentum` is None."""

    def __init__(self, momentum=None, q=0.0, g=0.0):
        self.momentum, self.q, self.g, self.h = momentum, q, g, 0.0

    def __call__(self, gain):
        """Return by how much W moves."""
        if self.momentum is None:
            return gain
        self.h = self.momentum * self.h + (1.0 - self.momentum) * gain
        if self.q == 0.0:
            return self.h
        if abs(self.h) < self.q:
            return 0.0
        sign = 1.0 if self.h > 0.0 else -1.0
        self.h -= self.q * sign
        return self.g * sign


class Tracker:
    """The reference of one element; without `eta` it stays 0."""

    def __init__(self, eta=0.0, always=False):
        self.eta, self.always, self.q, self.r = eta, always, 0.0, 0.0

    def __call__(self, v):
        """Return what P shows beyond its reference, and follow it."""
        beyond = v - self.r
        self.q = (1.0 - self.eta) * self.q + self.eta * v
        if self.always:
            self.r = self.q
        return beyond


def residual(batches, shape, gamma, alpha, rho, columns, buffer=(), tracker=(), period=0):
    """Return P, W and Wbar, rows of lists; a slice is carried after every pair, in turn.

    `period`: the chopper of a slice flips at every so many of its reads; 0: never.
    """
    rows, cols = shape
    p, w = ([[0.0] * cols for _ in range(rows)] for _ in range(2))
    buffers = [[Buffer(*buffer) for _ in range(cols)] for _ in range(rows)]
    trackers = [[Tracker(*tracker) for _ in range(cols)] for _ in range(rows)]
    slices, length = (cols, rows) if columns else (rows, cols)
    chopper, reads, count = [1.0] * slices, [0] * slices, 0
    for xs, ds in batches:
        for x, d in zip(xs, ds, strict=True):
            for i in range(rows):
                for j in range(cols):
                    c = chopper[j if columns else i]
                    p[i][j] -= alpha * c * float(d[i]) * float(x[j])
            s = count % slices
            count += 1
            reads[s] += 1
            flips = period > 0 and reads[s] % period == 0
            for line in range(length):
                i, j = (line, s) if columns else (s, line)
                beyond = trackers[i][j](p[i][j])
                w[i][j] += buffers[i][j](rho * chopper[s] * beyond)
                if flips:
                    trackers[i][j].r = trackers[i][j].q
            chopper[s] *= -1.0 if flips else 1.0
    mixed = [
        [
            w[i][j] + gamma * chopper[j if columns else i] * (p[i][j] - trackers[i][j].r)
            for j in range(cols)
        ]
        for i in range(rows)
    ]
    return p, w, mixed


def chain(count, ratio, rate, alpha, target, noise, steps, rng, step=0.5, gamma=0.5):
    """Return the rms error of a weight that `count` soft-bounds devices learn together.

    Stochastic pulses; bounds +-1; the error is that of the second half of the steps. Li et al.,
    arXiv 2510.02516: tile k is carried to k + 1 every ratio^k steps. `rng`: a `random.Random`.
    """
    w, total, counted = [0.0] * count, 0.0, 0

    def pulses(v, change):
        pending, sign = abs(change) / step, 1.0 if change > 0.0 else -1.0
        whole = int(pending)
        for _ in range(whole + (rng.random() < pending - whole)):
            v += sign * step * (1.0 - sign * v)
        return v

    for n in range(1, steps + 1):
        seen = sum(gamma ** (count - 1 - k) * w[k] for k in range(count))
        w[0] = pulses(w[0], -alpha * (seen - target + rng.gauss(0.0, noise)))
        for k in range(count - 1):
            if n % ratio**k == 0:
                w[k + 1] = pulses(w[k + 1], rate * w[k])
        if n > steps // 2:
            seen = sum(gamma ** (count - 1 - k) * w[k] for k in range(count))
            total, counted = total + (seen - target) ** 2, counted + 1
    return (total / counted) ** 0.5
