"""Recurrent networks in float64: one sequence, one step, one unit after the other.

Equations as of Hochreiter and Schmidhuber (1997) and Cho et al. (2014), with two matrices, each
with a bias, and gates side by side: input, forget, cell, output; reset, update, new.
"""

import math

import numpy as np

__all__ = ["STATES", "network"]

#: How many vectors the state of a cell has.
STATES = {"vanilla": 1, "lstm": 2, "combined": 2, "gru": 1}


def network(kind, x, cells, start, layers, directions):
    """Return outputs (time, batch, directions * hidden), and the final states of all cells.

    Parameters
    ----------
    kind : str
        "vanilla", "lstm", "combined" or "gru".
    x : array of shape (time, batch, input)
        Sequences.
    cells : list of lists of (weight, bias or None)
        By layer and direction: the matrices of x and of h; one of both for "combined".
    start : list of lists of arrays (batch, hidden)
        By layer and direction: the initial h, and c if there is one.
    """
    finals = [[np.zeros_like(part) for part in cell] for cell in start]
    outputs = []
    for n in range(len(x[0])):
        sequence = [list(step[n]) for step in x]
        for layer in range(layers):
            beside = []
            for way in range(directions):
                k = layer * directions + way
                order = sequence[::-1] if way else sequence
                state = [list(part[n]) for part in start[k]]
                seen = []
                for vector in order:
                    state = step_of(kind, vector, cells[k], state)
                    seen.append(state[0])
                for final, part in zip(finals[k], state, strict=True):
                    final[n] = part
                beside.append(seen[::-1] if way else seen)
            sequence = [sum(parts, []) for parts in zip(*beside, strict=True)]
        outputs.append(sequence)
    return np.swapaxes(np.array(outputs), 0, 1), finals


def step_of(kind, x, matrices, state):
    """Return the state after one step."""
    h = state[0]
    size = len(h)
    if kind == "combined":
        z = affine(matrices[0], list(x) + h)
    else:
        from_x, from_h = affine(matrices[0], x), affine(matrices[1], h)
        z = [a + b for a, b in zip(from_x, from_h, strict=True)]
    if kind == "vanilla":
        return [[math.tanh(a) for a in z]]
    if kind == "gru":
        new = []
        for j in range(size):
            r, u = sigmoid(z[j]), sigmoid(z[size + j])
            n = math.tanh(from_x[2 * size + j] + r * from_h[2 * size + j])
            new.append((1 - u) * n + u * h[j])
        return [new]
    hidden, memory = [], []
    for j in range(size):
        i, f, g, o = (z[gate * size + j] for gate in range(4))
        memory.append(sigmoid(f) * state[1][j] + sigmoid(i) * math.tanh(g))
        hidden.append(sigmoid(o) * math.tanh(memory[-1]))
    return [hidden, memory]


def affine(matrix, vector):
    """Return W v + b."""
    weight, bias = matrix
    return [
        sum(float(w) * float(v) for w, v in zip(row, vector, strict=True))
        + (0.0 if bias is None else float(bias[i]))
        for i, row in enumerate(weight)
    ]


def sigmoid(a):
    """Return the logistic function."""
    return 1.0 / (1.0 + math.exp(-a))
