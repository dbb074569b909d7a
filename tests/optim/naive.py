"""Optimizers written out in double precision, for one array."""

import numpy as np


class SGD:
    def __init__(self, p, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
        self.p, self.v = np.array(p, np.float64), 0.0
        self.lr, self.momentum, self.nesterov, self.decay = lr, momentum, nesterov, weight_decay

    def step(self, g):
        g = np.asarray(g, np.float64) + self.decay * self.p
        self.v = self.momentum * self.v + g
        self.p = self.p - self.lr * (g + self.momentum * self.v if self.nesterov else self.v)


class Adam:
    def __init__(self, p, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False):
        self.p, self.m, self.v, self.t = np.array(p, np.float64), 0.0, 0.0, 0
        self.lr, (self.b1, self.b2), self.eps = lr, betas, eps
        self.decay, self.decoupled = weight_decay, decoupled

    def step(self, g):
        g, p = np.asarray(g, np.float64), self.p
        if not self.decoupled:
            g = g + self.decay * p
        self.t += 1
        self.m = self.b1 * self.m + (1 - self.b1) * g
        self.v = self.b2 * self.v + (1 - self.b2) * g**2
        m, v = self.m / (1 - self.b1**self.t), self.v / (1 - self.b2**self.t)
        self.p = p - self.lr * m / (np.sqrt(v) + self.eps)
        if self.decoupled:
            self.p -= self.lr * self.decay * p
