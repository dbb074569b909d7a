r"""From images to patches and back: a convolution is a product with the patches of its input.

With kernel k, stride s, padding p, dilation e and one or three axes likewise,

.. math::
    P_{b o, c u} = x_{b, c, s o + e u - p}, \qquad o = 0 \dots
    \left\lfloor \frac{n + p_- + p_+ - e (k - 1) - 1}{s} \right\rfloor

and 0 outside. Columns are channels, then positions in the kernel; rows are samples, then positions
of the output. `fold` is the adjoint, a sum over all patches that an element is in. Images of one or
two axes are images of three with axes of one element.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rpusim.errors import ConfigError, ShapeError
from rpusim.kernels.backend import split
from rpusim.kernels.bind import kernel
from rpusim.nn.checks import as_float32, as_sizes

__all__ = ["Patches", "as_images", "as_maps", "as_rows"]

AXES = ("depth", "height", "width")

PER_ELEMENT = 0.7  # nanoseconds of one core, to judge whether threads pay
BUFFER = 1 << 22  # elements of patches that are held at a time


class Patches:
    """The patches that a convolution sees.

    Parameters
    ----------
    where : str
        Named in errors.
    axes : int
        1, 2 or 3 axes of an image.
    kernel_size, stride, dilation : int or sequence of int
        Of each axis.
    padding : int, sequence of int or of pairs, "same" or "valid"
        Zeros before and after each axis. "same": as many positions as elements, at stride 1.
    """

    def __init__(
        self,
        where: str,
        axes: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
    ) -> None:
        self.where, self.axes = where, axes
        self.kernel = as_sizes(kernel_size, axes, f"{where}.kernel_size")
        self.stride = as_sizes(stride, axes, f"{where}.stride")
        self.dilation = as_sizes(dilation, axes, f"{where}.dilation")
        self.padding = self._pairs(padding)
        lead = 3 - axes
        sizes = [*[1] * lead, *self.kernel, *[1] * lead, *self.stride]
        sizes += [*[1] * lead, *self.dilation, *[0] * lead, *(p for p, _ in self.padding)]
        self._sizes = np.array(sizes, np.int64)

    def _pairs(self, padding: Any) -> tuple[tuple[int, int], ...]:
        """Return the zeros before and after each axis."""
        name = f"{self.where}.padding"
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ConfigError(f'{name} must be integers, "same" or "valid", got {padding!r}.')
            if padding == "valid":
                return ((0, 0),) * self.axes
            if any(s != 1 for s in self.stride):
                raise ConfigError(f'{name}="same" needs stride 1, got stride {self.stride}.')
            widths = [e * (k - 1) for k, e in zip(self.kernel, self.dilation, strict=True)]
            return tuple((w // 2, w - w // 2) for w in widths)
        if hasattr(padding, "__len__") and len(padding) and hasattr(padding[0], "__len__"):
            pairs = tuple(as_sizes(pair, 2, name, least=0) for pair in padding)
            if len(pairs) != self.axes:
                raise ConfigError(f"{name} must hold {self.axes} pairs, got {padding!r}.")
            return tuple((before, after) for before, after in pairs)
        return tuple((p, p) for p in as_sizes(padding, self.axes, name, least=0))

    def __repr__(self) -> str:
        padding = tuple(a if a == b else (a, b) for a, b in self.padding)
        named = (
            ("stride", self.stride, 1),
            ("padding", padding, 0),
            ("dilation", self.dilation, 1),
        )
        more = [f"{n}={_short(v)}" for n, v, usual in named if any(w != usual for w in v)]
        return ", ".join([str(_short(self.kernel)), *more])

    @property
    def per_channel(self) -> int:
        """Elements of the kernel."""
        return int(np.prod(self.kernel))

    def positions(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Return how many positions the kernel has along each axis of an image of this size."""
        found = []
        axes = zip(size, self.kernel, self.stride, self.dilation, self.padding, strict=True)
        for n, k, s, e, (before, after) in axes:
            found.append((n + before + after - e * (k - 1) - 1) // s + 1)
        if min(found) < 1:
            raise ShapeError(
                f"{self.where}: a kernel of {self.kernel} with dilation {self.dilation} and "
                f"padding {self.padding} does not fit into an image of {size}."
            )
        return tuple(found)

    def unfold(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the patches of images.

        Parameters
        ----------
        x : ndarray of shape (batch, channels, *size)
            C-contiguous float32.

        Returns
        -------
        ndarray of shape (batch * positions, channels * per_channel)
        """
        places, whole = self._places(x.shape[2:]), self._whole(x.shape)
        rows, columns = len(x) * int(np.prod(places)), x.shape[1] * self.per_channel
        out = np.empty((rows, columns), np.float32)
        work = PER_ELEMENT * out.size
        split(kernel(unfold_rows), len(x), work, x.reshape(whole), out, places, self._sizes)
        return out

    def fold(self, patches: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the sum of all patches, each where it came from.

        Parameters
        ----------
        patches : ndarray of shape (batch * positions, channels * per_channel)
            C-contiguous float32.
        shape : tuple of int
            Of the images, (batch, channels, *size).
        """
        x, whole = np.zeros(shape, np.float32), self._whole(shape)
        places = self._places(shape[2:])
        work = PER_ELEMENT * patches.size
        split(kernel(fold_rows), len(x), work, x.reshape(whole), patches, places, self._sizes)
        return x

    def parts(self, x: NDArray[np.float32]) -> Iterator[slice]:
        """Yield ranges of samples whose patches fit into a buffer, one sample at least."""
        per_sample = int(np.prod(self.positions(x.shape[2:]))) * x.shape[1] * self.per_channel
        count = max(1, BUFFER // max(per_sample, 1))
        for first in range(0, max(len(x), 1), count):
            yield slice(first, min(first + count, len(x)))

    def _places(self, size: tuple[int, ...]) -> NDArray[np.int64]:
        return np.array([*[1] * (3 - self.axes), *self.positions(size)], np.int64)

    def _whole(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of images with three axes."""
        return (*shape[:2], *[1] * (3 - self.axes), *shape[2:])


def as_images(
    x: ArrayLike, channels: int, axes: int, where: str
) -> tuple[NDArray[np.float32], bool]:
    """Return a contiguous batch of images, and whether a batch was given.

    Parameters
    ----------
    x : array_like
        Images, or one of them.
    channels, axes : int
        What an image has.
    where : str
        Named in errors.
    """
    images = np.ascontiguousarray(as_float32(x, where))
    batched = images.ndim == axes + 2
    if images.ndim == axes + 1:
        images = images[None]
    if images.ndim != axes + 2 or images.shape[1] != channels:
        one = ", ".join([str(channels), *AXES[-axes:]])
        raise ShapeError(f"{where} must have shape (batch, {one}) or ({one}), got {np.shape(x)}.")
    return images, batched


def as_maps(rows: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return vectors (batch * positions, channels) as (batch, channels, *positions), `shape`."""
    places = int(np.prod(shape[2:]))
    return _swapped(rows.reshape(shape[0], places, shape[1])).reshape(shape)


def as_rows(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (batch, channels, *positions) as vectors (batch * positions, channels)."""
    batch, channels, *places = maps.shape
    rows = _swapped(maps.reshape(batch, channels, int(np.prod(places))))
    return rows.reshape(batch * rows.shape[1], channels)


def _swapped(a: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an array (batch, m, n) as (batch, n, m), in memory of its own."""
    out = np.empty((len(a), a.shape[2], a.shape[1]), np.float32)
    split(kernel(swap_rows), len(a), PER_ELEMENT * a.size, np.ascontiguousarray(a), out)
    return out


def swap_rows(begin, end, a, out):
    """Swap the last two axes of matrices `begin`..`end`, in blocks that stay in the cache."""
    _, rows, columns = a.shape
    for b in range(begin, end):
        for i0 in range(0, rows, 16):
            for j0 in range(0, columns, 16):
                for j in range(j0, min(j0 + 16, columns)):
                    for i in range(i0, min(i0 + 16, rows)):
                        out[b, j, i] = a[b, i, j]
    return 0


def unfold_rows(begin, end, x, out, places, sizes):
    """Fill the patches of samples `begin`..`end`."""
    _, channels, size0, size1, size2 = x.shape
    k0, k1, k2, s0, s1, s2 = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    e0, e1, e2, p0, p1, p2 = sizes[6], sizes[7], sizes[8], sizes[9], sizes[10], sizes[11]
    per_sample = places[0] * places[1] * places[2]
    for b in range(begin, end):
        row = b * per_sample
        for o0 in range(places[0]):
            for o1 in range(places[1]):
                for o2 in range(places[2]):
                    column = 0
                    left = o2 * s2 - p2
                    inside = left >= 0 and left + e2 * (k2 - 1) < size2
                    for c in range(channels):
                        for u0 in range(k0):
                            i0 = o0 * s0 + e0 * u0 - p0
                            for u1 in range(k1):
                                i1 = o1 * s1 + e1 * u1 - p1
                                if i0 < 0 or i0 >= size0 or i1 < 0 or i1 >= size1:
                                    for u2 in range(k2):
                                        out[row, column + u2] = 0.0
                                elif inside and e2 == 1:
                                    for u2 in range(k2):
                                        out[row, column + u2] = x[b, c, i0, i1, left + u2]
                                else:
                                    for u2 in range(k2):
                                        i2 = left + e2 * u2
                                        there = i2 >= 0 and i2 < size2
                                        v = x[b, c, i0, i1, min(max(i2, 0), size2 - 1)]
                                        out[row, column + u2] = v if there else 0.0
                                column += k2
                    row += 1
    return 0


def fold_rows(begin, end, x, patches, places, sizes):
    """Add the patches of samples `begin`..`end` to where they came from."""
    _, channels, size0, size1, size2 = x.shape
    k0, k1, k2, s0, s1, s2 = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    e0, e1, e2, p0, p1, p2 = sizes[6], sizes[7], sizes[8], sizes[9], sizes[10], sizes[11]
    per_sample = places[0] * places[1] * places[2]
    for b in range(begin, end):
        row = b * per_sample
        for o0 in range(places[0]):
            for o1 in range(places[1]):
                for o2 in range(places[2]):
                    column = 0
                    left = o2 * s2 - p2
                    for c in range(channels):
                        for u0 in range(k0):
                            i0 = o0 * s0 + e0 * u0 - p0
                            for u1 in range(k1):
                                i1 = o1 * s1 + e1 * u1 - p1
                                if i0 >= 0 and i0 < size0 and i1 >= 0 and i1 < size1:
                                    for u2 in range(k2):
                                        i2 = left + e2 * u2
                                        if i2 >= 0 and i2 < size2:
                                            x[b, c, i0, i1, i2] += patches[row, column + u2]
                                column += k2
                    row += 1
    return 0


def _short(values: tuple[Any, ...]) -> Any:
    """Return one value for all axes, if they agree."""
    return values[0] if len(set(values)) == 1 else values
