"""MNIST's files, and others in their IDX format, that a user has; nothing is downloaded."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from rpusim.errors import DataError, RpusimError
from rpusim.nn.tables import Dataset

__all__ = ["MissingFile", "load_mnist", "read_idx"]

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP = b"\x1f\x8b"
MNIST = {
    "train_x": "train-images-idx3-ubyte",
    "train_t": "train-labels-idx1-ubyte",
    "test_x": "t10k-images-idx3-ubyte",
    "test_t": "t10k-labels-idx1-ubyte",
}


class MissingFile(RpusimError, FileNotFoundError):
    """A file is not where it was looked for; the message says what it must be called."""


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an array in the IDX format, as MNIST's files, also if it is compressed by gzip.

    Parameters
    ----------
    path : path
        The file; whether it is compressed is seen from its content.

    Returns
    -------
    ndarray
        Of the shape and type that the file states, in the machine's byte order.

    Raises
    ------
    DataError
        If the file is truncated, too long, or no IDX file.
    """
    raw = Path(path).read_bytes()
    where = f"read_idx: {path}"
    if raw[:2] == GZIP:
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{where} is compressed, but damaged or cut off: {error}.") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in IDX_TYPES or raw[3] == 0:
        raise DataError(
            f"{where} is no IDX file: it must begin with two zero bytes, a type and a number of "
            f"dimensions, got {raw[:4].hex(' ') or 'nothing'}."
        )
    kind, head = np.dtype(IDX_TYPES[raw[2]]), 4 + 4 * raw[3]
    if len(raw) < head:
        raise DataError(f"{where} is cut off in its head.")
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", raw[3], 4))
    size = head + math.prod(shape) * kind.itemsize
    if len(raw) != size:
        raise DataError(
            f"{where} must have {size} bytes for its shape {shape}, got {len(raw)}: it is "
            f"{'cut off' if len(raw) < size else 'longer than it says'}."
        )
    return np.frombuffer(raw, kind, offset=head).reshape(shape).astype(kind.newbyteorder("="))


def load_mnist(folder: str | os.PathLike[str], flat: bool = True) -> Dataset:
    """Read MNIST, or a set in its format, from the four files in a folder.

    Parameters
    ----------
    folder : path
        Where ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte``
        and ``t10k-labels-idx1-ubyte`` are, as they are or as ``.gz``.
    flat : bool
        Whether images are vectors, (n, pixels); False: (n, 1, rows, columns).

    Returns
    -------
    Dataset
        Pixels in 0..1, float32; labels int64.

    Raises
    ------
    MissingFile
        If one of the files is not there.
    DataError
        If a file is damaged or has no images, images and labels are not as many, or the images to
        train and to test with are not of one size.
    """
    found = {part: read_idx(_mnist_file(Path(folder), name)) for part, name in MNIST.items()}
    sizes = [found[part].shape[1:] for part in ("train_x", "test_x")]
    for part in ("train", "test"):
        x, t = found[f"{part}_x"], found[f"{part}_t"]
        if x.ndim != 3 or t.ndim != 1 or len(x) != len(t) or {x.dtype.kind, t.dtype.kind} != {"u"}:
            raise DataError(
                f"load_mnist: {MNIST[f'{part}_x']} and {MNIST[f'{part}_t']} must hold n images "
                f"(n, rows, columns) and n labels of bytes, got {x.shape} {x.dtype} and {t.shape} "
                f"{t.dtype}."
            )
        if not x.size:
            raise DataError(
                f"load_mnist: {MNIST[f'{part}_x']} must hold at least one image of at least one "
                f"pixel, got {x.shape}."
            )
        shape = (len(x), -1) if flat else (len(x), 1, *x.shape[1:])
        found[f"{part}_x"] = (x / np.float32(255.0)).astype(np.float32).reshape(shape)
        found[f"{part}_t"] = t.astype(np.int64)
    if sizes[0] != sizes[1]:
        raise DataError(
            "load_mnist: images to train and to test with must have the same rows and columns, got "
            f"{sizes[0]} and {sizes[1]}."
        )
    return Dataset(**found)


def _mnist_file(folder: Path, name: str) -> Path:
    dotted = name.replace("-idx", ".idx")
    for known in (name, f"{name}.gz", dotted, f"{dotted}.gz"):
        if (folder / known).is_file():
            return folder / known
    raise MissingFile(
        f"load_mnist: {folder} has no file {name} or {name}.gz; it must hold "
        f"{', '.join(MNIST.values())}, which are not downloaded."
    )
