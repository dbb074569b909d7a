"""Kernels of programmed devices: programming, drift and reads, row by row.

The free names `program`, `coefficient`, `drift`, `read` and `unpack` are bound to the laws of a
noise model (`rpusim.inference.noise_models`), `NOISY` to whether its read draws. Arrays of devices
are (devices * rows, cols): a row of one device of each weight after another.

Those named ``..._rows`` are for "cpu", those named ``..._team`` for all other backends
(`rpusim.inference.rows`).
"""

import numpy as np

from rpusim.inference.rows import fill_normals
from rpusim.kernels.random import normals4
from rpusim.kernels.team import member, members

__all__ = [
    "coefficient_rows",
    "coefficient_team",
    "conductance_rows",
    "conductance_team",
    "program_rows",
    "program_team",
    "weight_rows",
    "weight_team",
]

ERROR, COEFFICIENT, READ = 0, 1, 2  # stages of a device's draws
NOISY = True
QUIET = (0.0, 0.0, 0.0, 0.0)  # a block for a read without noise


def program(g, model, z):
    """Stand for the law of programming."""
    raise NotImplementedError


def coefficient(g, model, z, z_program):
    """Stand for the law of what drift depends on."""
    raise NotImplementedError


def drift(g, target, c, model):
    """Stand for the law of drift."""
    raise NotImplementedError


def read(g, programmed, target, model, z):
    """Stand for the law of a read."""
    raise NotImplementedError


def unpack(numbers):
    """Stand for the model's numbers by name."""
    raise NotImplementedError


def program_rows(begin, end, target, programmed, coefficients, numbers, step, k0, k1):
    """Program rows `begin`..`end`: conductances, and coefficients unless that array is empty."""
    model = unpack(numbers)
    columns = target.shape[1]
    drawn = np.zeros((2, 4, (columns + 3) // 4), np.float32)
    z = drawn.reshape((2, drawn[0].size))
    for i in range(begin, end):
        fill_normals(drawn[0], i, step, ERROR, k0, k1)
        for j in range(columns):
            programmed[i, j] = program(target[i, j], model, z[0, j])
        if coefficients.shape[0] > 0:
            fill_normals(drawn[1], i, step, COEFFICIENT, k0, k1)
            for j in range(columns):
                coefficients[i, j] = coefficient(target[i, j], model, z[1, j], z[0, j])
    return 0


def coefficient_rows(begin, end, target, coefficients, numbers, step, k0, k1):
    """Draw the coefficients of rows `begin`..`end` anew."""
    model = unpack(numbers)
    columns = target.shape[1]
    drawn = np.zeros((2, 4, (columns + 3) // 4), np.float32)
    z = drawn.reshape((2, drawn[0].size))
    for i in range(begin, end):
        fill_normals(drawn[0], i, step, ERROR, k0, k1)
        fill_normals(drawn[1], i, step, COEFFICIENT, k0, k1)
        for j in range(columns):
            coefficients[i, j] = coefficient(target[i, j], model, z[1, j], z[0, j])
    return 0


def conductance_rows(
    begin, end, target, programmed, coefficients, numbers, reads, out, step, k0, k1
):
    """Fill rows `begin`..`end` of `out` with drifted conductances, as a read sees them if so."""
    model = unpack(numbers)
    columns = target.shape[1]
    drawn = np.zeros((4, (columns + 3) // 4), np.float32)
    z = drawn.reshape(drawn.size)
    none = np.zeros(columns, np.float32)
    for i in range(begin, end):
        c = coefficients[i] if coefficients.shape[0] > 0 else none
        for j in range(columns):
            out[i, j] = drift(programmed[i, j], target[i, j], c[j], model)
        if reads:
            if NOISY:
                fill_normals(drawn, i, step, READ, k0, k1)
            for j in range(columns):
                out[i, j] = read(out[i, j], programmed[i, j], target[i, j], model, z[j])
    return 0


def weight_rows(
    begin, end, target, programmed, coefficients, numbers, factors, offset, out, step, k0, k1
):
    """Fill rows `begin`..`end` of `out` with the weights that a read of the devices makes.

    Parameters
    ----------
    begin, end : int
        Range of rows of weights.
    target, programmed, coefficients : ndarray of shape (devices * rows, cols)
        The devices; the last one may be empty.
    numbers : ndarray
        The model's.
    factors, offset : ndarray of shape (devices, rows), (rows,)
        The way back to weights.
    out : ndarray of shape (rows, cols)
        The weights.
    step, k0, k1 : int
        For the draws.
    """
    model = unpack(numbers)
    rows, columns = out.shape
    drawn = np.zeros((4, (columns + 3) // 4), np.float32)
    z = drawn.reshape(drawn.size)
    none = np.zeros(columns, np.float32)
    for i in range(begin, end):
        for j in range(columns):
            out[i, j] = offset[i]
        for k in range(factors.shape[0]):
            r, f = k * rows + i, factors[k, i]
            if NOISY:
                fill_normals(drawn, r, step, READ, k0, k1)
            c = coefficients[r] if coefficients.shape[0] > 0 else none
            for j in range(columns):
                p, t = programmed[r, j], target[r, j]
                out[i, j] += f * read(drift(p, t, c[j], model), p, t, model, z[j])
    return 0


def program_team(begin, end, target, programmed, coefficients, numbers, step, k0, k1):
    """Do what `program_rows` does."""
    model = unpack(numbers)
    columns = target.shape[1]
    blocks = (columns + 3) // 4
    drifts = coefficients.shape[0] > 0
    for i in range(begin, end):
        for b in range(member(), blocks, members()):
            z = normals4(i, b, step, ERROR, k0, k1)
            y = normals4(i, b, step, COEFFICIENT, k0, k1) if drifts else z
            for r in range(4):
                j = b + r * blocks
                if j < columns:
                    programmed[i, j] = program(target[i, j], model, z[r])
                    if drifts:
                        coefficients[i, j] = coefficient(target[i, j], model, y[r], z[r])
    return 0


def coefficient_team(begin, end, target, coefficients, numbers, step, k0, k1):
    """Do what `coefficient_rows` does."""
    model = unpack(numbers)
    columns = target.shape[1]
    blocks = (columns + 3) // 4
    for i in range(begin, end):
        for b in range(member(), blocks, members()):
            z = normals4(i, b, step, ERROR, k0, k1)
            y = normals4(i, b, step, COEFFICIENT, k0, k1)
            for r in range(4):
                j = b + r * blocks
                if j < columns:
                    coefficients[i, j] = coefficient(target[i, j], model, y[r], z[r])
    return 0


def conductance_team(
    begin, end, target, programmed, coefficients, numbers, reads, out, step, k0, k1
):
    """Do what `conductance_rows` does."""
    model = unpack(numbers)
    columns = target.shape[1]
    blocks = (columns + 3) // 4
    for i in range(begin, end):
        for b in range(member(), blocks, members()):
            z = normals4(i, b, step, READ, k0, k1) if NOISY and reads else QUIET
            for r in range(4):
                j = b + r * blocks
                if j < columns:
                    p, t = programmed[i, j], target[i, j]
                    c = coefficients[i, j] if coefficients.shape[0] > 0 else 0.0
                    g = drift(p, t, c, model)
                    out[i, j] = read(g, p, t, model, z[r]) if reads else g
    return 0


def weight_team(
    begin, end, target, programmed, coefficients, numbers, factors, offset, out, step, k0, k1
):
    """Do what `weight_rows` does."""
    model = unpack(numbers)
    rows, columns = out.shape
    blocks = (columns + 3) // 4
    for i in range(begin, end):
        for b in range(member(), blocks, members()):
            for j in range(b, columns, blocks):
                out[i, j] = offset[i]
            for k in range(factors.shape[0]):
                row, f = k * rows + i, factors[k, i]
                z = normals4(row, b, step, READ, k0, k1) if NOISY else QUIET
                for r in range(4):
                    j = b + r * blocks
                    if j < columns:
                        p, t = programmed[row, j], target[row, j]
                        c = coefficients[row, j] if coefficients.shape[0] > 0 else 0.0
                        out[i, j] += f * read(drift(p, t, c, model), p, t, model, z[r])
    return 0
