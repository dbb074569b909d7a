"""What an optimizer trains: digital arrays with a gradient, and weights that live in a tile.

Both read as arrays, see `rpusim.nn.array_like`. A digital parameter is an array; an analog one asks
its tile at each use, so the two can never differ.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import StateError
from rpusim.kernels.device_arrays import host
from rpusim.nn.array_like import ReadsAsArray
from rpusim.tiles.lazy_pairs import LazyPair, gradient

__all__ = ["Parameter", "TileParameter", "AnalogParameter", "AnalogBias"]

#: More recorded pairs than this in one step mean that nobody steps.
MOST_PAIRS = 10_000


class Parameter(ReadsAsArray):
    """Digital float32 array with a gradient.

    Parameters
    ----------
    data : array_like
        The values, copied.

    Attributes
    ----------
    data : ndarray
        The values; change them in place.
    grad : ndarray or None
        Sum of the gradients of all backward passes since the last step.
    requires_grad : bool
        Whether it is trained; False freezes it.

    Examples
    --------
    >>> p = Parameter([1.0, 2.0])
    >>> p[0] = 3.0
    >>> p * 2
    array([6., 4.], dtype=float32)
    """

    __slots__ = ("_data", "grad", "requires_grad")

    #: The tile that holds the values, None if they are the parameter's own.
    tile: Any = None

    def __init__(self, data: ArrayLike):
        self._data: NDArray[np.float32] = np.array(data, np.float32)
        self.grad: NDArray[np.float32] | None = None
        self.requires_grad = True

    @property
    def data(self) -> NDArray[np.float32]:
        """The values themselves, not a copy."""
        return self._data

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of the values."""
        return self.data.shape

    def read(self) -> NDArray[np.float32]:
        """Return the values, not a copy."""
        return self.data

    def writable(self) -> NDArray[np.float32]:
        """Return the values, not a copy."""
        return self.data

    def project(self) -> None:
        """Bring the values back to what they may be; an optimizer calls it after each step."""

    def accumulate(self, grad: NDArray[np.float32]) -> None:
        """Add `grad`, of the parameter's shape, to what earlier backward passes left."""
        grad = host(grad)  # digital parameters live in this machine's memory
        self.grad = grad if self.grad is None else self.grad + grad


class TileParameter(Parameter):
    """A digital parameter that a tile uses itself: bias, output scales, input range.

    Parameters
    ----------
    tile : AnalogTile or TileGrid
        Whose it is.
    name : str
        Which of its `digital_parameters`.
    """

    __slots__ = ("name", "tile")

    def __init__(self, tile: Any, name: str):
        self.tile = tile
        self.name = name
        self.grad = None
        self.requires_grad = True

    @property
    def data(self) -> NDArray[np.float32]:
        """The tile's own array, not a copy."""
        return self.tile.digital_parameters()[self.name]

    def project(self) -> None:
        """Keep an input range positive."""
        if self.name.startswith("input_range"):
            self.tile.project_digital_parameters()


class _TileArray(ReadsAsArray):
    """Base of what is read out of a tile and changes by pulses, or all at once."""

    __slots__ = ("shape", "takes_writes", "tile")

    def __init__(self, tile: Any, shape: tuple[int, ...], writable: bool = False):
        self.tile = tile
        self.shape = shape
        self.takes_writes = bool(writable)

    def _contents(self) -> NDArray[np.float32]:
        raise NotImplementedError

    def read(self) -> NDArray[np.float32]:
        """Return what the tile holds now, an array that cannot be written to."""
        values = self._contents().reshape(self.shape)
        values.flags.writeable = False
        return values

    def writable(self) -> NDArray[np.float32]:
        """Return a copy, to be written to the devices; refuse it without ``writable=True``."""
        if not self.takes_writes:
            raise StateError(
                f"{type(self).__name__} cannot be written to: its values are what the tile's "
                "devices hold. Set all of them with layer.set_weights(weight, bias), or make the "
                "layer with writable=True, which does so at every write."
            )
        return np.array(self.read())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError(f"{type(self).__name__} is read out of its tile, which makes a copy.")
        return np.array(self.read(), dtype=dtype, copy=copy)

    @property
    def data(self) -> NDArray[np.float32]:
        """What the tile holds now, an array that cannot be written to."""
        return self.read()

    @data.setter
    def data(self, value: Any) -> None:
        self[...] = value


class AnalogParameter(_TileArray):
    r"""The logical weights of a tile, and the pairs that its next pulsed update will use.

    Reads as the array of shape (out, in) that ``tile.get_weights()`` returns now: after an update,
    a load or a change behind its back alike. Writing through it raises `StateError`, unless it is
    made `writable`: then a write sets all weights of the tile, which scale and clip as they do.

    The gradient of the loss is the sum of outer products

    .. math::
        \frac{\partial L}{\partial W} = \sum_b d_b\, x_b^\mathsf{T}

    which the crossbar itself forms from pulse trains; therefore a layer records the vectors
    x and d, and nobody multiplies them.

    Parameters
    ----------
    tile : AnalogTile or TileGrid
        Where the weights are.
    shape : tuple of int, optional
        Shape to show instead of (out, in), as a convolution kernel's.
    writable : bool, default False
        Whether it may be written through.

    Attributes
    ----------
    pairs : list of (ndarray, ndarray), or of LazyPair
        Inputs of shape (n, in) and error signals of shape (n, out), one pair per backward; those of
        a grid whose tiles clipped differently, and those that are computed when they are needed,
        see `rpusim.tiles.pairs`.
    requires_grad : bool
        Whether pairs are recorded; False freezes the tile.
    """

    __slots__ = ("pairs", "requires_grad")

    def __init__(self, tile: Any, shape: tuple[int, ...] | None = None, writable: bool = False):
        super().__init__(tile, shape or (tile.out_size, tile.in_size), writable)
        self.pairs: list[Any] = []
        self.requires_grad = True

    def _contents(self) -> NDArray[np.float32]:
        return self.tile.get_weights()[0]

    def written(self, values: NDArray[np.float32]) -> None:
        """Set the weights of the tile; its bias stays."""
        self.tile.set_weights(values.reshape(self.tile.out_size, self.tile.in_size))

    def record(self, x: NDArray[np.float32], d: NDArray[np.float32]) -> None:
        """Append inputs (n, in) and error signals (n, out) to what the next step applies."""
        if len(self.pairs) >= MOST_PAIRS:
            raise StateError(
                f"AnalogParameter.record: {MOST_PAIRS} pairs wait for a step. Call step() or "
                "zero_grad() of an optimizer that has this parameter, or freeze() the layer."
            )
        self.pairs.append((x, d))

    def record_later(self, pair: LazyPair) -> None:
        """Append a pair that is computed when the next step needs it."""
        self.pairs.append(pair)

    def take_pairs(self) -> list[Any]:
        """Return the recorded pairs and forget them, so that none is applied twice."""
        pairs, self.pairs = self.pairs, []
        return pairs

    @property
    def grad(self) -> NDArray[np.float32] | None:
        """The gradient that the recorded pairs imply, multiplied out at each look; None if none."""
        if not self.pairs:
            return None
        return gradient(self.pairs).astype(np.float32, copy=False).reshape(self.shape)


class AnalogBias(_TileArray):
    """The bias that a tile holds as a column of devices; pulsed together with the weights."""

    __slots__ = ()

    def __init__(self, tile: Any, writable: bool = False):
        super().__init__(tile, (tile.out_size,), writable)

    def _contents(self) -> NDArray[np.float32]:
        return self.tile.get_weights()[1]

    def written(self, values: NDArray[np.float32]) -> None:
        """Set the bias of the tile, and its weights to what they are."""
        self.tile.set_weights(self.tile.get_weights()[0], values)
