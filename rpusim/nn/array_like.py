"""Objects that read as NumPy arrays: arithmetic, comparison, indexing, functions.

Parameters rest on this. What a write does is for each of them to say; the default refuses it.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from rpusim.errors import StateError

__all__ = ["ReadsAsArray"]

#: Methods of an array that change it in place.
WRITES = frozenset(
    {"fill", "itemset", "partition", "put", "resize", "setfield", "setflags", "sort"}
)


class ReadsAsArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An object that behaves like the array its `read` returns.

    A subclass defines `read`, called anew at each use, and `shape`. If writing is meaningful it
    also defines `writable`, which returns the array that an in-place operation changes, and, if
    that is a copy, `written`, which takes it back.
    """

    __slots__ = ()

    shape: tuple[int, ...]

    def read(self) -> np.ndarray:
        """Return the array as it is now."""
        raise NotImplementedError

    def writable(self) -> np.ndarray:
        """Return the array that a write changes; raise `StateError` where there is none."""
        raise StateError(f"{type(self).__name__} is read-only.")

    def written(self, values: np.ndarray) -> None:
        """Take back what `writable` returned, after an in-place operation."""

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    @property
    def dtype(self) -> np.dtype:
        """Type of the elements, float32."""
        return np.dtype(np.float32)

    def norm(self) -> float:
        """Return the Frobenius norm, the root of the sum of squares."""
        return float(np.linalg.norm(self.read()))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.read(), dtype=dtype, copy=copy)

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: tuple = (), **options: Any
    ) -> Any:
        if method == "at" and isinstance(inputs[0], ReadsAsArray):
            target, values = inputs[0], inputs[0].writable()
            others = tuple(i.read() if isinstance(i, ReadsAsArray) else i for i in inputs[1:])
            ufunc.at(values, *others, **options)
            target.written(values)
            return None
        inputs = tuple(i.read() if isinstance(i, ReadsAsArray) else i for i in inputs)
        if not out:
            return getattr(ufunc, method)(*inputs, **options)
        targets = tuple(o.writable() if isinstance(o, ReadsAsArray) else o for o in out)
        getattr(ufunc, method)(*inputs, out=targets, **options)
        for o, values in zip(out, targets, strict=True):
            if isinstance(o, ReadsAsArray):
                o.written(values)
        return out[0] if len(out) == 1 else out

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")
        if name not in WRITES:
            return getattr(self.read(), name)

        def change(*args: Any, **options: Any) -> Any:
            values = self.writable()
            result = getattr(values, name)(*args, **options)
            self.written(values)
            return result

        return change

    def __getitem__(self, key: Any) -> Any:
        return self.read()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        values = self.writable()
        values[key] = value
        self.written(values)

    def __len__(self) -> int:
        return len(self.read())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.read())

    def __bool__(self) -> bool:
        return bool(self.read())

    def __float__(self) -> float:
        return float(self.read())

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, norm={self.norm():.6g})"
