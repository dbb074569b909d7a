"""Mixed-precision training, entry by entry, in plain double precision; the device is perfect.

Nandakumar et al., Front. Neurosci. 14:406 (2020): the outer product of error and input is added to
chi; when an entry holds whole steps epsilon, these are sent to the device and taken out of chi.
"""

from math import floor, inf, trunc


def rounded(vector, bins):
    """Return a vector on bins // 2 levels to either side, up to its largest magnitude."""
    if bins == 0:
        return list(vector)
    levels = bins // 2
    width = max(abs(v) for v in vector) / levels or 1.0
    return [max(min(round(v / width), levels), -levels) * width for v in vector]


class Schedule:
    """Which rows are sent after a sample."""

    def __init__(self, total, every, number):
        self.total, self.every = total, every
        self.number = total if number < 0 else min(number, total)
        self.samples, self.row = 0, 0

    def after_sample(self, batch):
        """Return the rows that are sent after this sample of a batch of this size."""
        self.samples += 1
        if self.every == 0 or self.samples % (self.every * batch) != 0:
            return []
        rows = [(self.row + k) % self.total for k in range(self.number)]
        self.row = (self.row + self.number) % self.total
        return rows


def learn(w, batches, rate, epsilon, every=1, rows=-1, share=1.0, most=inf, bins=(0, 0)):
    """Return (w, chi, sum of all outer products) after batches of pairs (x, d).

    `share` of whole steps is sent, of an entry `most` of them at a time.
    """
    chi = [[0.0] * len(row) for row in w]
    total = [[0.0] * len(row) for row in w]
    schedule = Schedule(len(w), every, rows)
    for batch in batches:
        for x, d in batch:
            x_q, d_q = rounded(x, bins[0]), rounded(d, bins[1])
            for i in range(len(w)):
                for j in range(len(w[i])):
                    chi[i][j] += rate * d_q[i] * x_q[j]
                    total[i][j] += rate * d_q[i] * x_q[j]
            for i in schedule.after_sample(len(batch)):
                for j in range(len(w[i])):
                    n = max(min(trunc(chi[i][j] / epsilon), most), -most)
                    chi[i][j] -= share * epsilon * n
                    w[i][j] -= share * epsilon * n
    return w, chi, total


def away(v):
    """Round to the nearest integer, halves away from zero."""
    return floor(abs(v) + 0.5) * (1 if v > 0 else -1)


def learn_by_counts(w, batches, rate, epsilon, bins=(5, 3), memory=0.9, kept=0.0):
    """Return (w, chi) after batches of pairs (x, d), with a chi of integers."""
    chi = [[0] * len(row) for row in w]
    levels, means = [b // 2 for b in bins], [0.0, 0.0]
    schedule = Schedule(len(w), 1, -1)
    for batch in batches:
        for pair in batch:
            q = []
            for side in (0, 1):
                top = max(abs(v) for v in pair[side])
                if top > 0.0:
                    old = means[side]
                    means[side] = memory * old + (1.0 - memory) * top if old > 0.0 else top
                width = means[side] / levels[side] or 1.0
                limit = levels[side]
                q.append([max(min(away(v / width), limit), -limit) for v in pair[side]])
            for i in range(len(w)):
                for j in range(len(w[i])):
                    chi[i][j] += q[1][i] * q[0][j]
            worth = rate * (means[0] / levels[0]) * (means[1] / levels[1])
            for i in schedule.after_sample(len(batch)):
                theta = max(floor(epsilon / worth + 0.5), 1) if worth else 1
                for j in range(len(w[i])):
                    sent = theta * trunc(chi[i][j] / theta)
                    w[i][j] -= worth * sent
                    chi[i][j] -= away((1.0 - kept) * sent)
    return w, chi
