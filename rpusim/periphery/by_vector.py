"""Products vector by vector: by launches on a GPU, or in plain Python.

On a GPU a product is one launch, if it is small or has stages that need several products, or the
product of a library between two launches; bound management then adds one. Nothing waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rpusim.kernels.bind import kernel
from rpusim.kernels.device_arrays import namespace
from rpusim.periphery.one_vector import receive_vectors, rooms, run_vectors, send_vectors
from rpusim.periphery.passage import ONE, Passage
from rpusim.periphery.passes import VARIANCE

__all__ = ["ByVector"]

#: Multiplications of a product from which a library's is worth two launches more. A guess: a block
#: of threads does some 10 in a nanosecond, a hundred blocks at a time, and a launch takes 10 us.
WIDE = 2**24


class ByVector:
    """A product in one direction, vector by vector.

    Parameters
    ----------
    passage : Passage
        Its settings.
    transposed : bool
        Whether it is with the transpose.
    rounds : int
        How often bound management may repeat a vector.
    backend : {"cuda", "python"}
        Where it runs.
    room : callable
        What gives the kernel memory, like `rpusim.periphery.one_vector.rooms`.
    **names : callable
        ``pass_vector``, if it is another one than of `rpusim.periphery.one_vector`.
    """

    def __init__(
        self,
        passage: Passage,
        transposed: bool,
        rounds: int,
        backend: str,
        room: Callable[..., Any] = rooms,
        **names: Callable[..., int],
    ) -> None:
        self.passage, self.transposed, self.rounds = passage, transposed, rounds
        self.backend, self.room, self.names = backend, room, names
        one = passage.passes == ONE and passage.wire == 0.0 and passage.variance == 0.0
        self._divides = backend == "cuda" and not names and (one or passage.perfect > 0.0)

    def __call__(
        self,
        x: Any,
        matrix: Any,
        derived: tuple[Any, ...],
        settings: tuple[Any, Any, Any],
        first: int,
        key: tuple[int, int],
        report: Any,
        masks: Any,
    ) -> tuple[Any, int]:
        """Return the products, and what became of the worst vector if that is known by now.

        Parameters
        ----------
        x, matrix, derived, first, report, masks
            As for `rpusim.periphery.passes.pass_panels`.
        settings : tuple of ndarray
            Its `values`, `lines` and `digital`.
        key : (int, int)
            Its `k0` and `k1`.
        """
        (batch, n), m = x.shape, settings[2].shape[1]
        start, empty = 0, namespace(self.backend).empty
        if self._divides and matrix.size * batch >= WIDE:
            y = self._wide(x, matrix, derived, settings, first, key, report, masks)
            if self.rounds == 0:
                return y, 0
            start = 1
        else:
            y = empty((batch, m), np.float32)
        room = self.room(self.passage, batch, n, m, derived, empty)
        args = (x, matrix, derived, self.transposed, *settings, first, *key, y, report, masks)
        run = kernel(run_vectors, self.backend, **self.names)
        with np.errstate(all="ignore"):  # in plain Python
            return y, run(0, batch, start, self.rounds, *args, room)

    def _wide(
        self,
        x: Any,
        matrix: Any,
        derived: tuple[Any, ...],
        settings: tuple[Any, Any, Any],
        first: int,
        key: tuple[int, int],
        report: Any,
        masks: Any,
    ) -> Any:
        """Return the products of the first round, by the product of a library in float32."""
        values, batch = settings[0], len(x)
        panel = namespace(self.backend).empty(x.shape, np.float32)
        send, receive = (kernel(end, self.backend) for end in (send_vectors, receive_vectors))
        send(0, batch, x, values, first, *key, panel, report, masks)
        y = panel @ (matrix if self.transposed else matrix.T)
        args = (derived[VARIANCE], *settings, first, *key, panel, y, report, masks)
        receive(0, batch, *args)
        return y
