"""Linear systems with an analog solver inside a digital one: precise results from noisy products.

The inverse of a 2-D Poisson matrix is put on devices whose products are noisy. Alone they solve the
equation to some per cent. In a loop of iterative refinement they only have to
shrink the residual, which the computer knows exactly: r = b - P x, x <- x + A r. An error in the
product of A costs steps, not digits. The same matrix as a preconditioner of conjugate gradients.

Run it: python matrix_solver.py. It takes a few seconds and writes matrix_solver.png.
"""

import os

import numpy as np
from scipy.sparse.linalg import cg

import rpusim as rs
from rpusim.studies.pictures import figure, save_figure

SIDE, STEPS = (8, 40) if os.environ.get("RPUSIM_SHORT") else (12, 60)
NOISES = (0.001, 0.003, 0.01)

line = 2.0 * np.eye(SIDE) - np.eye(SIDE, k=1) - np.eye(SIDE, k=-1)
P = np.kron(np.eye(SIDE), line) + np.kron(line, np.eye(SIDE))  # SIDE x SIDE points
b = np.random.default_rng(0).normal(size=SIDE * SIDE)
inverse = np.linalg.inv(P)


def analog(noise):
    """Return the inverse on devices, read with noise at each output and nothing else."""
    forward = rs.IOParameters(out_noise=noise, inp_res=0.0, out_res=0.0)
    return rs.AnalogMatrix(inverse, rs.RPUConfig(device=rs.IdealDevice(), forward=forward), rng=1)


def refine(A):
    """Return the relative residuals of an iterative refinement with products of A."""
    x, residuals = np.zeros_like(b), [b]
    for _ in range(STEPS):
        x += A @ residuals[-1]
        residuals.append(b - P @ x)
    return np.array(residuals)


fig = figure()
ax = fig.subplots()
for noise in NOISES:
    A = analog(noise)
    r = refine(A)
    size = np.linalg.norm(r, axis=1) / np.linalg.norm(b)
    ax.semilogy(size, label=f"noise {noise}: products wrong by {A.matvec_error().relative:.1%}")
    steps = np.flatnonzero(size < 1e-12)
    reached = f"1e-12 after {steps[0]} steps" if steps.size else f"{size[-1]:.1e} at the end"
    print(f"output noise {noise}: {size[1]:.1e} after one product, {reached}")
ax.set(xlabel="step", ylabel="relative residual", title="Refinement with a noisy inverse")
ax.legend()
save_figure(fig, "matrix_solver.png")

counts = []
for preconditioner in (None, analog(NOISES[0])):
    steps = []
    cg(P, b, M=preconditioner, rtol=1e-10, callback=lambda _, s=steps: s.append(1))
    counts.append(len(steps))
print(f"conjugate gradients: {counts[0]} steps alone, {counts[1]} with the analog preconditioner")

A = analog(NOISES[0])
r = refine(A)
going = np.linalg.norm(r, axis=1) > 1e-12 * np.linalg.norm(b)
peaks = np.abs(r).max(axis=1)[going] / np.linalg.norm(r[going], axis=1)
expected = NOISES[0] * A.tile.mapping_scales[0] * np.linalg.norm(P) * peaks.mean()
factors = np.linalg.norm(r[1:], axis=1) / np.linalg.norm(r[:-1], axis=1)
print(
    "\nThe picture is matrix_solver.png. Noise e of a product makes the next residual -P e: steps"
)
print("multiply it by noise * scale of the devices * norm of P * largest element of r / norm of r.")
print(f"With noise {NOISES[0]} that is {expected:.3f}; measured: {factors[going[:-1]].mean():.3f}")
