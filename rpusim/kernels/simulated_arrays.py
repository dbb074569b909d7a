"""Arrays of a GPU that is simulated: NumPy's, with the manners of CuPy's.

They do not mix with arrays of this machine, become NumPy arrays by `get` alone, and offer what CuPy
offers and nothing else: code that runs on them does not move data behind one's back on a GPU. What
is missing here though CuPy has it (more functions of NumPy, say) may be added when it is needed.
"""

from types import SimpleNamespace

import numpy as np

__all__ = [
    "SimulatedArray",
    "asarray",
    "ascontiguousarray",
    "empty",
    "from_dlpack",
    "ones",
    "zeros",
]

# The keywords that CuPy takes; not the dtype of `std` and `var`, whose mean CuPy rounds to that of
# the array all the same.
REDUCED = "axis out keepdims"
ADDED = f"dtype {REDUCED}"
LIKE = "dtype order shape"
BOTH = {
    **dict.fromkeys(("all", "any", "max", "min"), REDUCED),
    **dict.fromkeys(("argmax", "argmin", "mean", "prod", "sum"), ADDED),
    **dict.fromkeys(("std", "var"), f"ddof {REDUCED}"),
    **dict.fromkeys(("repeat", "squeeze"), "axis"),
    **dict.fromkeys(("copy", "ravel", "reshape"), "order"),
    "clip": "out",
    "cumsum": "axis dtype out",
    "round": "decimals out",
    "swapaxes": "",
    "take": "axis out",
    "transpose": "",
}
METHODS = {
    **BOTH,
    "astype": "order copy",
    **dict.fromkeys(("fill", "flatten", "nonzero", "tolist", "view"), ""),
}
FUNCTIONS = {
    **BOTH,
    **dict.fromkeys(("concatenate", "stack"), "axis out dtype casting"),
    **dict.fromkeys(("empty_like", "full_like", "ones_like", "zeros_like"), LIKE),
    **dict.fromkeys(("count_nonzero", "expand_dims", "flip", "split"), "axis"),
    **dict.fromkeys(("atleast_1d", "atleast_2d", "broadcast_to", "column_stack"), ""),
    **dict.fromkeys(("interp", "moveaxis", "ndim", "shape", "size", "tile", "where"), ""),
    "array_equal": "equal_nan",
}
UFUNCS = "out dtype casting"
NO_UFUNCS = ("isnat", "matvec", "spacing", "vecdot", "vecmat")
#: of NumPy's arrays these return a number
ASKING = ("array_equal", "count_nonzero")
PROPERTIES = ("dtype", "nbytes", "ndim", "shape", "size", "strides")


class SimulatedArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of a simulated GPU."""

    __array_priority__ = 100
    __hash__ = None

    def __init__(self, array):
        self.held = array

    @property
    def __cuda_array_interface__(self):
        """What an array of a GPU tells other packages about itself."""
        own = self.held.__array_interface__
        return {**own, "version": 3, "data": (own["data"][0] if self.held.size else 0, False)}

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed; use host().")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        name = ufunc.__name__
        if method != "__call__" or name in NO_UFUNCS or len(options.get("out", (None,))) != 1:
            raise TypeError(f"{name}.{method} is not offered for arrays of a GPU.")
        check_keywords(name, UFUNCS, options)
        layout = {} if "out" in options else {"order": "C"}  # whatever that of the inputs is
        return wrapped(ufunc(*map(unwrapped, inputs), **layout, **unwrapped(options)))

    def __array_function__(self, function, types, args, options):
        name = function.__name__
        if function.__module__ != "numpy" or name not in FUNCTIONS:
            raise TypeError(f"{function.__module__}.{name} is not offered for arrays of a GPU.")
        check_keywords(name, FUNCTIONS[name], options)
        result = function(*unwrapped(list(args)), **unwrapped(options))
        return wrapped(np.asarray(result) if name in ASKING else result)

    def __getattr__(self, name):
        if name in PROPERTIES:
            return getattr(self.held, name)
        if name not in METHODS:
            raise AttributeError(f"an array of a GPU has no attribute {name!r}")

        def method(*args, **options):
            check_keywords(name, METHODS[name], options)
            return wrapped(getattr(self.held, name)(*unwrapped(list(args)), **unwrapped(options)))

        return method

    @property
    def flags(self):
        """How the elements lie; all can be written to."""
        own = self.held.flags
        return SimpleNamespace(c_contiguous=own.c_contiguous, f_contiguous=own.f_contiguous)

    @property
    def T(self):  # noqa: N802
        """The transpose."""
        return wrapped(self.held.T)

    def get(self):
        """Return a copy as a NumPy array."""
        return self.held.copy()

    def item(self):
        """Return the only element as a Python number."""
        return self.held.item()

    def __getitem__(self, index):
        index = chosen(index)
        found = self.held[index]
        if isinstance(found, np.generic):  # an element, too, is a view
            found = self.held[(*index, ...) if isinstance(index, tuple) else (index, ...)]
        return wrapped(found)

    def __setitem__(self, index, value):
        if isinstance(value, tuple | list):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self.held[chosen(index)] = unwrapped(value)

    def __dlpack__(self, **options):
        return self.held.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.held.__dlpack_device__()

    def __len__(self):
        return len(self.held)

    def __iter__(self):
        return (self[k] for k in range(len(self.held)))

    def __bool__(self):
        return bool(self.held)

    def __int__(self):
        return int(self.held)

    def __float__(self):
        return float(self.held)

    def __repr__(self):
        return repr(self.held)

    def __copy__(self):
        return SimulatedArray(self.held.copy())

    def __deepcopy__(self, memo):
        return SimulatedArray(self.held.copy())


def check_keywords(name, allowed, options):
    """Refuse keywords that CuPy does not take."""
    refused = options.keys() - set(allowed.split())
    if refused:
        raise TypeError(f"{name} of arrays of a GPU takes no {', '.join(sorted(refused))}.")


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
    index = index.held if isinstance(index, SimulatedArray) else index
    if isinstance(index, np.ndarray) and index.dtype == bool:
        raise TypeError("An index of booleans waits for the GPU; use np.where.")
    return index


def asarray(array, dtype=None):
    """Return an array of the simulated GPU; a copy, unless it is one."""
    if isinstance(array, SimulatedArray):
        same = dtype is None or array.dtype == dtype
        return array if same else SimulatedArray(array.held.astype(dtype))
    given = np.asarray(array, dtype=dtype)
    if given.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {given.dtype}")
    return SimulatedArray(np.array(given, order="F" if given.flags.fnc else "C"))


def from_dlpack(other):
    """Return an array of the simulated GPU that shares the memory of another library's array."""
    return SimulatedArray(np.from_dlpack(Lender(other)))


class Lender:
    """Lends what claims to be memory of a GPU as memory of this machine."""

    def __init__(self, other):
        self._other = other

    def __dlpack__(self, **options):
        return self._other.__dlpack__()

    def __dlpack_device__(self):
        return 1, 0


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
