"""Coming from aihwkit: its configurations as those of rpusim, and back.

`from_config` reads an object of aihwkit without importing it; `to_config` makes one, and needs
aihwkit. docs/coming-from-aihwkit.md says what else is to be changed.
"""

from rpusim.aihwkit.reading import from_config
from rpusim.aihwkit.writing import to_config

__all__ = ["from_config", "to_config"]
