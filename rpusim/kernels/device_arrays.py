"""Where arrays live: in the memory of this machine, or in that of a GPU.

On the backends "cpu" and "python" arrays are NumPy's. On "cuda" they are CuPy's, which NumPy's own
functions accept (``np.where``, ``np.maximum``, operators); only what makes a new array has to ask
`namespace` for the library that does it. The two kinds never mix: CuPy refuses that, and so does
the stand-in that Numba's simulator is given (`rpusim.kernels.simulated_arrays`).
"""

from typing import Any

import numpy as np

__all__ = [
    "as_it_is",
    "beside",
    "contiguous",
    "copied",
    "host",
    "is_device_array",
    "namespace",
    "offers_gpu_memory",
    "place",
    "put",
    "same_vectors",
    "sharing",
    "taken",
]


GPU_MEMORY = (2, 13)  # DLPack's numbers for memory of CUDA, and for memory that it manages


def namespace(backend: str) -> Any:
    """Return the library of a backend's arrays: numpy, or one that makes arrays of a GPU."""
    if backend != "cuda":
        return np
    from rpusim.kernels import cuda  # only who asks for a GPU pays for its packages

    return cuda.arrays


def is_device_array(array: Any) -> bool:
    """Return whether an object offers memory of a GPU."""
    return type(array) is not np.ndarray and hasattr(array, "__cuda_array_interface__")


def offers_gpu_memory(other: Any) -> bool:
    """Return whether an object, whose ever it is, offers memory of a GPU: also by DLPack alone."""
    if type(other) is np.ndarray:
        return False
    device = getattr(other, "__dlpack_device__", None)
    return is_device_array(other) or (device is not None and device()[0] in GPU_MEMORY)


def taken(other: Any) -> Any:
    """Return an array of the GPU that shares the memory of what offers some."""
    return namespace("cuda").asarray(other) if is_device_array(other) else sharing(other)


def as_it_is(values: Any) -> Any:
    """Return numbers as an array; one of a GPU as it is."""
    return values if is_device_array(values) else np.asarray(values)


def place(array: Any, backend: str) -> Any:
    """Return an array where a backend can work on it; one that is there already is not copied."""
    if backend != "cuda" and type(array) is np.ndarray:
        return array
    return namespace(backend).asarray(array)


def sharing(other: Any) -> Any:
    """Return an array of the GPU that shares the memory of another library's, by DLPack."""
    return namespace("cuda").from_dlpack(other)


def host(array: Any) -> Any:
    """Return a NumPy array of what an array holds: itself, or a copy of a GPU's.

    It waits until the GPU has done what it was asked to do before.
    """
    return array.get() if is_device_array(array) else array


def beside(values: Any, other: Any) -> Any:
    """Return numbers, or None, as an array that lives where another one does."""
    if values is None:
        return None
    return place(values, "cuda") if is_device_array(other) else np.asarray(host(values))


def contiguous(array: Any) -> Any:
    """Return an array whose elements lie side by side, where it lives: itself if it is such."""
    library = namespace("cuda") if is_device_array(array) else np
    return library.ascontiguousarray(array)


def copied(array: Any) -> np.ndarray:
    """Return a NumPy array of one's own of what an array holds."""
    return array.get() if is_device_array(array) else array.copy()


def put(target: Any, values: Any) -> None:
    """Set all elements of an array, wherever it and the values live."""
    if is_device_array(target) == is_device_array(values):
        target[...] = values
    elif is_device_array(target):
        target[...] = namespace("cuda").asarray(np.asarray(values), dtype=target.dtype)
    else:
        target[...] = host(values)


def same_vectors(a: Any, b: Any) -> bool:
    """Return whether two batches are equal; of a GPU, without asking it, whether they are one."""
    if is_device_array(a) != is_device_array(b):
        return False
    if not is_device_array(a):
        return np.array_equal(a, b)
    (p, q), same = ([v.__cuda_array_interface__["data"][0] for v in (a, b)], a.shape == b.shape)
    return same and p == q
