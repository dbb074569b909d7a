"""Tables as text: columns of words to the left, of numbers to the right."""

from collections.abc import Sequence

__all__ = ["aligned"]


def aligned(rows: Sequence[Sequence[str]], texts: int) -> list[str]:
    """Return rows of cells as lines of equal columns.

    Parameters
    ----------
    rows : sequence of sequence of str
        All of as many cells, the head first.
    texts : int
        How many columns, from the first on, are of words.

    Examples
    --------
    >>> aligned([("name", "size"), ("a", "1000"), ("bias", "3")], 1)
    ['name  size', 'a     1000', 'bias     3']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        padded = [c.ljust(w) if k < texts else c.rjust(w) for k, (c, w) in enumerate(cells)]
        lines.append("  ".join(padded).rstrip())
    return lines
