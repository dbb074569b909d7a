"""Training as a loop: epochs, evaluation, schedules, checkpoints."""

from rpusim.training.history import History
from rpusim.training.loop import fit

__all__ = ["fit", "History"]
