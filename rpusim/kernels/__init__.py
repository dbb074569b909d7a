"""Numbers only, no physics: random words, pulse words, products, and how a scalar law becomes machine code.

Numba is imported here and nowhere else in the package.
"""
