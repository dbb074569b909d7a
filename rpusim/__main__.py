"""``python -m rpusim``: the command line."""

import sys

from rpusim.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
