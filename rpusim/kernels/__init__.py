"""Numbers only, no physics: random words, pulse words, products, and laws as machine code.

Numba is imported here and nowhere else in the package.
"""
