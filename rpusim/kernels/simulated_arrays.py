"""Arrays of a GPU that is simulated: NumPy's, with the manners of CuPy's.

They do not mix with arrays of this machine, become NumPy arrays by `get` alone, and offer what CuPy
offers and nothing else: code that runs on them does not move data behind one's back on a GPU.
"""

import numbers

import numpy as np

__all__ = [
    "SimulatedArray",
    "arange",
    "asarray",
    "ascontiguousarray",
    "empty",
    "full",
    "ones",
    "zeros",
]

METHODS = (
    "all any argmax argmin astype clip copy cumsum fill flatten max mean min nonzero prod ravel "
    "repeat reshape round squeeze std sum swapaxes take tolist transpose var view"
).split()
PROPERTIES = ("dtype", "flags", "nbytes", "ndim", "shape", "size", "strides")
SCALARS = (numbers.Number, np.bool_, np.generic)


class SimulatedArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of a simulated GPU."""

    __array_priority__ = 100
    __hash__ = None

    def __init__(self, array):
        self.held = array

    @property
    def __cuda_array_interface__(self):
        """What an array of a GPU tells other packages about itself."""
        return {**self.held.__array_interface__, "version": 3, "strides": None}

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed; use host().")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__":
            raise TypeError(f"{ufunc.__name__}.{method} is not offered for arrays of a GPU.")
        return wrapped(ufunc(*map(unwrapped, inputs), **unwrapped(options)))

    def __array_function__(self, function, types, args, options):
        return wrapped(function(*unwrapped(list(args)), **unwrapped(options)))

    def __getattr__(self, name):
        if name in PROPERTIES:
            return getattr(self.held, name)
        if name not in METHODS:
            raise AttributeError(f"an array of a GPU has no attribute {name!r}")

        def method(*args, **options):
            if {"initial", "where"} & options.keys():
                raise TypeError(f"{name} of an array of a GPU takes no initial and no where.")
            return wrapped(getattr(self.held, name)(*unwrapped(list(args)), **unwrapped(options)))

        return method

    @property
    def T(self):  # noqa: N802
        """The transpose."""
        return wrapped(self.held.T)

    def get(self):
        """Return a copy as a NumPy array."""
        return self.held.copy()

    def item(self, *index):
        """Return an element as a Python number."""
        return self.held.item(*index)

    def __getitem__(self, index):
        return wrapped(self.held[chosen(index)])

    def __setitem__(self, index, value):
        self.held[chosen(index)] = unwrapped(value)

    def __len__(self):
        return len(self.held)

    def __iter__(self):
        return (wrapped(self.held[k]) for k in range(len(self.held)))

    def __bool__(self):
        return bool(self.held)

    def __int__(self):
        return int(self.held)

    def __float__(self):
        return float(self.held)

    def __index__(self):
        return self.held.__index__()

    def __repr__(self):
        return repr(self.held)

    def __deepcopy__(self, memo):
        return SimulatedArray(self.held.copy())


def wrapped(result):
    """Return what NumPy returned as arrays of the simulated GPU; 0-d results stay arrays."""
    if isinstance(result, np.ndarray | np.generic):
        return SimulatedArray(np.asarray(result))
    if isinstance(result, tuple | list):
        return type(result)(wrapped(part) for part in result)
    return result


def unwrapped(value):
    """Return what a NumPy function can take; refuse arrays of this machine."""
    if isinstance(value, SimulatedArray):
        return value.held
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>: arrays of a GPU do not mix.")
    if isinstance(value, tuple | list):
        return type(value)(unwrapped(part) for part in value)
    if isinstance(value, dict):
        return {name: unwrapped(part) for name, part in value.items()}
    return value


def chosen(index):
    """Return an index for NumPy; unlike elsewhere, small arrays of this machine may be indices."""
    if isinstance(index, tuple):
        return tuple(chosen(part) for part in index)
    return index.held if isinstance(index, SimulatedArray) else index


def asarray(array, dtype=None):
    """Return an array of the simulated GPU; a copy, unless it is one."""
    if isinstance(array, SimulatedArray):
        same = dtype is None or array.dtype == dtype
        return array if same else SimulatedArray(array.held.astype(dtype))
    return SimulatedArray(np.array(array, dtype=dtype))


def ascontiguousarray(array):
    """Return an array of the simulated GPU whose elements lie side by side."""
    return SimulatedArray(np.ascontiguousarray(array.held))


def empty(shape, dtype=np.float64):
    """Return an array of anything: here of what shows if it is read."""
    made = np.zeros(shape, dtype)
    made[...] = np.nan if made.dtype.kind == "f" else -17 if made.dtype.kind == "i" else 77
    return SimulatedArray(made)


def zeros(shape, dtype=np.float64):
    """Return zeros."""
    return SimulatedArray(np.zeros(shape, dtype))


def ones(shape, dtype=np.float64):
    """Return ones."""
    return SimulatedArray(np.ones(shape, dtype))


def full(shape, value, dtype=None):
    """Return an array of one value."""
    return SimulatedArray(np.full(shape, value, dtype))


def arange(*args, dtype=None):
    """Return evenly spaced numbers."""
    return SimulatedArray(np.arange(*args, dtype=dtype))
