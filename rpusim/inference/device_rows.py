"""Kernels of programmed devices: programming, drift and reads, row by row.

The free names `program`, `coefficient`, `drift`, `read` and `unpack` are bound to the laws of a
noise model (`rpusim.inference.noise_models`), `NOISY` to whether its read draws. Arrays of devices
are (devices * rows, cols): a row of one device of each weight after another.
"""

import numpy as np

from rpusim.inference.rows import fill_normals

__all__ = ["coefficient_rows", "conductance_rows", "program_rows", "weight_rows"]

ERROR, COEFFICIENT, READ = 0, 1, 2  # stages of a device's draws
NOISY = True


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
