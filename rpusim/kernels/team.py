"""A team works on one row or on one vector: one thread of the CPU, or a block of threads on a GPU.

What a kernel shares among the members of a team it writes as

    for j in range(member(), count, members()):

On the CPU, and in plain Python, that is ``range(0, count, 1)``; `bind` puts the GPU's own
instructions in the place of these functions (`rpusim.kernels.cuda`).
"""

__all__ = ["add_at", "largest", "meet", "member", "members", "set_bits", "total"]


def member():
    """Return the number of this member of the team."""
    return 0


def members():
    """Return how many members the team has."""
    return 1


def meet():
    """Wait until all members are here, and what they wrote can be read by all."""


def largest(v):
    """Return the largest of the float32 numbers that the members bring."""
    return v


def total(v):
    """Return the sum of the float32 numbers that the members bring."""
    return v


def add_at(array, i, j, v):
    """Add to ``array[i, j]``, to which other members, and other teams, may add as well."""
    array[i, j] += v


def set_bits(words, i, j, bits):
    """Set bits of ``words[i, j]``, of which others may set some as well."""
    words[i, j] |= bits
