"""Tiki-Taka with choppers, state by state, in plain double-precision loops: exact reads and writes.

Rasch, Carta, Fagbohungbe and Gokmen, Nat. Commun. 15, 7133 (2024). A slice s is a column (or a row)
of the fast array A, l one of its elements, sigma = +1 if the choppers a[s] and b[l] agree, else -1.

    c-TTv2:  A <- A - rate sigma d x,   omega = H + sigma f v,         v = A of slice s
    AGAD:    R <- M if a[s] flipped since the last read,
             omega = H + sigma f (v - R),  M <- (1 - beta) M + beta v,  nothing sent in warm-up
    both:    n = trunc(omega), C <- C + step g_C n, H <- omega or what n leaves of it
"""

from math import ceil, floor, trunc

__all__ = ["DEFAULTS", "ChoppedTikiTaka"]

DEFAULTS = {
    "transfer_columns": True,
    "transfer_every": 1.0,
    "units_in_mbatch": False,
    "fast_lr": 1.0,
    "scale_fast_lr": False,
    "transfer_lr": 1.0,
    "scale_transfer_lr": True,
    "in_chop_prob": 0.1,
    "out_chop_prob": 0.0,  # 0 or 1: the flips of a probability between cannot be foreseen
    "buffer_granularity": 1.0,
    "auto_granularity": 0.0,
    "step": 1.0,
    "momentum": 0.0,
    "forget_buffer": True,
    "no_buffer": False,
    "auto_scale": False,
    "auto_momentum": 0.99,
    "correct_gradient_magnitudes": False,
    "gamma_vec": (0.0, 1.0),
    "tail_weightening": 5.0,
    "buffer_cap": 0.0,
    "experimental_correct_accumulation": False,
}


def clip(v, low, high):
    """Return v, limited."""
    return max(low, min(high, v))


class ChoppedTikiTaka:
    """A, C and everything between them, as lists of rows.

    `granularity`: steps of A and C, bounded by -1 and 1; `lengths`: longest trains of updates and
    of writes; `dynamic`: AGAD. In-choppers flip regularly, or at every read if `always`.
    """

    def __init__(self, rows, cols, granularity, lengths, dynamic=False, always=False, **settings):
        self.p = {**DEFAULTS, **settings}
        self.rows, self.cols, self.dynamic, self.always = rows, cols, dynamic, always
        self.g_a, self.g_c = granularity
        self.longest, self.most = lengths
        columns = self.p["transfer_columns"]
        self.slices, self.length = (cols, rows) if columns else (rows, cols)
        self.a, self.b = [0] * self.slices, [0] * self.length
        self.A, self.C, self.H, self.M, self.R = (
            [[0.0] * cols for _ in range(rows)] for _ in range(5)
        )
        self.switched = [False] * self.slices
        self.m_x = self.m_d = 0.0
        self.count = self.sweep = self.s = 0
        self.gain = 0.0  # the largest f so far

    def place(self, s, line):
        """Return (row, column) of an element of a slice."""
        return (line, s) if self.p["transfer_columns"] else (s, line)

    def sign(self, i, j):
        """Return sigma of a crosspoint."""
        s, line = (j, i) if self.p["transfer_columns"] else (i, j)
        return -1.0 if self.a[s] != self.b[line] else 1.0

    def weights(self):
        """Return the visible weights."""
        gamma_a, gamma_c = self.p["gamma_vec"]
        return [
            [
                gamma_a * self.sign(i, j) * self.A[i][j] + gamma_c * self.C[i][j]
                for j in range(self.cols)
            ]
            for i in range(self.rows)
        ]

    def period(self, batch):
        """Return the number of samples from read to read."""
        every = self.p["transfer_every"]
        if every < 0.0:
            states = 2.0 / self.g_a
            return max(1, floor(states / self.slices * -every + 0.5))
        return ceil(every * batch - 1e-9) if self.p["units_in_mbatch"] else floor(every + 0.5)

    def learn(self, xs, ds, lr):
        """Learn from one batch."""
        for x, d in zip(xs, ds, strict=True):
            self.sample([float(v) for v in x], [float(v) for v in d], lr, len(xs))

    def sample(self, x, d, lr, batch):
        """Learn from one pair."""
        p = self.p
        if p["auto_scale"]:
            tau = (1.0 - p["auto_momentum"]) / batch
            top_x, top_d = max(abs(v) for v in x), max(abs(v) for v in d)
            if self.m_x <= 0.0:
                self.m_x = top_x
            elif top_x > 0.0:
                self.m_x = (1.0 - tau) * self.m_x + tau * top_x
            if self.m_d <= 0.0:
                self.m_d = top_d
            elif top_d > 0.0:
                self.m_d = (1.0 - tau) * self.m_d + tau * top_d
        rate = p["fast_lr"] * (lr if p["scale_fast_lr"] else 1.0)
        if p["fast_lr"] == 0.0:
            rate = lr
        if p["auto_scale"]:
            rate *= self.longest * self.g_a
            if self.m_x * self.m_d > 0.0:
                rate /= self.m_x * self.m_d
        for i in range(self.rows):
            for j in range(self.cols):
                moved = self.A[i][j] - rate * self.sign(i, j) * d[i] * x[j]
                self.A[i][j] = clip(moved, -1.0, 1.0)
        self.count += 1
        every = self.period(batch)
        if every > 0 and self.count % every == 0:
            self.transfer(lr, rate)

    def transfer(self, lr, fast):
        """Read one slice of A and write what it releases to C."""
        p, s = self.p, self.s
        rho = p["transfer_lr"] * (lr if p["scale_transfer_lr"] else 1.0)
        gamma_a, gamma_c = p["gamma_vec"]
        if gamma_a > 0.0 and gamma_c > 0.0:
            rho *= gamma_a / gamma_c
        bg = p["buffer_granularity"] * self.g_a
        if p["auto_granularity"] > 0.0:
            bg *= p["auto_granularity"] / (self.slices * abs(p["transfer_every"]))
        f = rho / bg
        if p["correct_gradient_magnitudes"]:
            f = rho / (fast * bg * self.g_c / self.g_a)
        self.gain = max(self.gain, f)
        sweeps = max(ceil(1.0 / p["in_chop_prob"] - 1e-9), 2) if p["in_chop_prob"] > 0.0 else 0
        for line in range(self.length):
            i, j = self.place(s, line)
            n = self.agad(i, j, f, sweeps) if self.dynamic else self.c_ttv2(i, j, f)
            self.C[i][j] = clip(self.C[i][j] + p["step"] * self.g_c * n, -1.0, 1.0)
        self.switched[s] = False
        if sweeps > 0 and (self.always or self.sweep % sweeps + 1 == sweeps):
            self.a[s] = 1 - self.a[s]
            self.switched[s] = True
        if s == self.slices - 1:
            self.sweep += 1
            if p["out_chop_prob"] == 1.0:
                self.b = [1 - bit for bit in self.b]
        self.s = (s + 1) % self.slices

    def c_ttv2(self, i, j, f):
        """Return the steps for one element of C."""
        before = 0.0 if self.p["no_buffer"] else self.H[i][j]
        return self.sent(i, j, before + self.sign(i, j) * f * self.A[i][j])

    def agad(self, i, j, f, sweeps):
        """Return the steps for one element of C."""
        p, v, n = self.p, self.A[i][j], 0
        if self.switched[j if p["transfer_columns"] else i]:
            self.R[i][j] = self.M[i][j]
        if p["experimental_correct_accumulation"]:
            f /= min(self.sweep % sweeps + 1, 1.0 / self.g_a)
        if self.sweep > sweeps:
            n = self.sent(i, j, self.H[i][j] + self.sign(i, j) * (v - self.R[i][j]) * f)
        beta = min(p["tail_weightening"] / sweeps, 1.0)
        self.M[i][j] = (1.0 - beta) * self.M[i][j] + beta * v
        return n

    def sent(self, i, j, omega):
        """Return the whole steps in a buffer and keep what is left."""
        p, n = self.p, 0
        if abs(omega) >= 1.0:
            n = clip(trunc(omega), -self.most, self.most)
            if p["forget_buffer"]:
                omega *= p["momentum"]
            else:
                omega -= (1.0 - p["momentum"]) * n
                if p["buffer_cap"] > 0.0:
                    cap = p["buffer_cap"] * self.most
                    omega = clip(omega, -cap, cap)
        self.H[i][j] = omega
        return n
