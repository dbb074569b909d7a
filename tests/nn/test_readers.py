"""Files of data are read as they are, and refused in words where they are damaged."""

import gzip
import struct

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import ConfigError, DataError
from rpusim.nn.readers import MNIST
from rpusim.nn.tables import Dataset, Table

CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def idx(array, kind="u1"):
    array = np.asarray(array)
    head = bytes([0, 0, CODES[kind], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(kind).tobytes()


@pytest.fixture
def write(tmp_path):
    def to(content, name="file"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to


# ---------------------------------------------------------------- IDX


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 5)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_array_comes_back_in_any_type_and_shape(kind, shape, pack, write):
    array = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    read = rs.read_idx(write(pack(idx(array, kind)), "whatever"))
    np.testing.assert_array_equal(read, array)
    assert read.dtype == np.dtype(kind).newbyteorder("=")
    assert read.flags.writeable


GOOD = idx(np.ones((4, 5)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no IDX file: .* got nothing"),
        (b"\x89PNG....", "is no IDX file: .* got 89 50 4e 47"),
        (b"\0\0\x07\1" + GOOD[4:], "is no IDX file"),
        (b"\0\0\x08\0", "is no IDX file"),
        (GOOD[:6], "is cut off in its head"),
        (GOOD[:-1], r"must have 32 bytes for its shape \(4, 5\), got 31: it is cut off"),
        (GOOD + b"\0", "must have 32 bytes .* got 33: it is longer than it says"),
        (gzip.compress(GOOD)[:-9], "is compressed, but damaged or cut off"),
        (gzip.compress(GOOD)[:12] + b"xxxxxxxxxxxxxxx", "is compressed, but damaged or cut off"),
        (b"\0\0\x08\3" + 12 * b"\xff", "must have .* it is cut off"),
    ],
)
def test_a_damaged_idx_file_is_refused(content, message, write):
    with pytest.raises(DataError, match=f"read_idx: .*file {message}"):
        rs.read_idx(write(content))


def mnist(folder, pack=bytes, suffix="", **changed):
    rng = np.random.default_rng(0)
    arrays = {
        "train_x": rng.integers(0, 256, (6, 4, 3)), "train_t": rng.integers(0, 10, 6),
        "test_x": rng.integers(0, 256, (2, 4, 3)), "test_t": rng.integers(0, 10, 2),
    }  # fmt: skip
    for part, array in (arrays | changed).items():
        (folder / (MNIST[part] + suffix)).write_bytes(pack(idx(array)))
    return arrays


@pytest.mark.parametrize(("pack", "suffix"), [(bytes, ""), (gzip.compress, ".gz")])
def test_the_four_files_of_mnist_become_a_dataset(pack, suffix, tmp_path):
    arrays = mnist(tmp_path, pack, suffix)
    data = rs.load_mnist(tmp_path)
    assert isinstance(data, Dataset)
    np.testing.assert_array_equal(data.test_t, arrays["test_t"])
    expected = (arrays["train_x"].reshape(6, 12) / 255.0).astype(np.float32)
    np.testing.assert_allclose(data.train_x, expected, rtol=1e-6)
    assert (data.train_x.dtype, data.train_t.dtype) == (np.float32, np.int64)
    assert rs.load_mnist(tmp_path, flat=False).test_x.shape == (2, 1, 4, 3)


def test_a_missing_file_of_mnist_is_named_and_wrong_ones_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file train-images-idx3-ubyte or .*not downloa"):
        rs.load_mnist(tmp_path)
    mnist(tmp_path)
    (tmp_path / MNIST["test_t"]).rename(tmp_path / "t10k-labels.idx1-ubyte")  # as some have it
    assert len(rs.load_mnist(tmp_path).test_t) == 2
    mnist(tmp_path, train_t=np.zeros(5))
    with pytest.raises(DataError, match=r"train-labels.* must hold .* got \(6, 4, 3\) uint8 and"):
        rs.load_mnist(tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"train_x": np.zeros((0, 4, 3)), "train_t": np.zeros(0)},
            r"train-im.* got \(0, 4, 3\)",
        ),
        ({"test_x": np.zeros((0, 4, 3)), "test_t": np.zeros(0)}, r"t10k-images.* got \(0, 4, 3\)"),
        ({"test_x": np.zeros((2, 0, 3))}, r"at least one pixel, got \(2, 0, 3\)"),
        ({"test_x": np.zeros((2, 3, 4))}, r"the same rows and columns, got \(4, 3\) and \(3, 4\)"),
    ],
)
@pytest.mark.parametrize("flat", [True, False])
def test_images_of_no_size_or_of_two_are_refused(changed, message, flat, tmp_path):
    mnist(tmp_path, **changed)
    with pytest.raises(DataError, match=f"load_mnist: .*{message}"):
        rs.load_mnist(tmp_path, flat)


# ---------------------------------------------------------------- text


def test_a_table_with_names_and_words_for_labels(write):
    table = rs.read_csv(write("a, b,kind\n1,2,dog\n3,4.5,cat\n\n5,-6e1,dog\n"))
    np.testing.assert_array_equal(table.x, np.array([[1, 2], [3, 4.5], [5, -60]], np.float32))
    np.testing.assert_array_equal(table.t, [1, 0, 1])
    assert (table.names, table.classes) == (("a", "b"), ("cat", "dog"))


def test_labels_are_found_by_place_or_name_and_keep_their_numbers(write):
    path = write("t;u;v\n7;1;0.5\n3;2;0.25\n")
    by_name, by_place = (rs.read_csv(path, label=k, delimiter=";") for k in ("t", 0))
    for table in (by_name, by_place):
        assert (table.t.tolist(), table.t.dtype, table.classes) == ([7, 3], np.int64, ())
        assert table.names == ("u", "v")
    targets = rs.read_csv(path, label="v", delimiter=";")
    assert (targets.t.tolist(), targets.t.dtype) == ([0.5, 0.25], np.float32)
    alone = rs.read_csv(write("1,2\n3,4\n"), label=None)
    assert (alone.x.shape, alone.t.size, alone.names) == ((2, 2), 0, ())


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "is empty"),
        ("\n \n", {}, "is empty"),
        ("a,b\n", {}, "rows of at least one feature"),
        ("1\n2\n", {}, "rows of at least one feature"),
        ("a,b,t\n1,x,0\n", {}, r"line 2, column 2 \(b\) must be a finite number, got 'x'"),
        ("1,2,0\n1,,0\n", {}, "line 2, column 2 must be a finite number, got ''"),
        ("1,2,0\n1,nan,0\n", {}, "must be a finite number, got 'nan'"),
        ("1,2,0\n1,2\n", {}, "line 2 must have 3 cells, got 2"),
        ("1,2,a\n1,2, \n", {}, "line 2 has no label"),
        ("1,2,0\n", {"label": 3}, "there is no column 3, the table has 3"),
        ("a,b\n1,2\n", {"label": "c"}, r"no column is called 'c'; there are \['a', 'b'\]"),
        (b"\xff\xfe\x00\x01,\x80", {}, "is no table of text"),
    ],
)
def test_a_table_that_is_none_is_refused_with_the_place(content, options, message, write):
    with pytest.raises(DataError, match=f"read_csv: .*{message}"):
        rs.read_csv(write(content), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": [1]}, r"label must be an integer, a name or None, got \[1\]"),
        ({"label": 1.0}, r"label must be an integer, a name or None, got 1\.0"),
        ({"label": True}, "label must be an integer, a name or None, got True"),
        ({"delimiter": "::"}, "delimiter must be one character, got '::'"),
        ({"delimiter": None}, "delimiter must be one character, got None"),
    ],
)
def test_what_names_no_column_and_separates_no_cells_is_refused(options, message, write):
    with pytest.raises(ConfigError, match=f"read_csv: {message}"):
        rs.read_csv(write("1,2,0\n"), **options)


def test_a_table_is_split_the_same_way_each_time():
    table = Table(np.arange(20, dtype=np.float32).reshape(10, 2), np.arange(10))
    data = table.split(0.3)
    assert (len(data.train_x), len(data.test_x)) == (7, 3)
    np.testing.assert_array_equal(data.train_x[:, 0], 2 * data.train_t)
    np.testing.assert_array_equal(np.sort([*data.train_t, *data.test_t]), np.arange(10))
    np.testing.assert_array_equal(table.split(0.3).test_t, data.test_t)
    assert (table.split(0.3, rng=1).test_t != data.test_t).any()
    for wrong in (1.0, 0, "a", None, [0.5], np.nan):
        with pytest.raises(ConfigError, match="test_fraction must be between 0 and 1"):
            table.split(wrong)


# ---------------------------------------------------------------- NumPy's files


def test_arrays_come_from_numpys_files(tmp_path):
    x, t = np.ones((4, 2)), np.arange(4)
    np.savez(tmp_path / "table.npz", x=x, y=t)
    table = rs.read_npz(tmp_path / "table.npz", t="y")
    assert isinstance(table, Table)
    assert (table.x.dtype, table.t.dtype) == (np.float32, np.int64)
    np.savez(tmp_path / "set.npz", train_x=x, train_t=t, test_x=x[:2], test_t=t[:2] / 2)
    data = rs.read_npz(tmp_path / "set.npz")
    assert isinstance(data, Dataset)
    assert data.test_t.tolist() == [0.0, 0.5]


def test_a_numpy_file_that_does_not_fit_is_refused(tmp_path, write):
    path = tmp_path / "a.npz"
    for arrays, message in [
        ({"a": np.ones(3)}, "must hold 'x' and 't', or train_x, .*; it has a"),
        ({"x": np.ones((3, 2)), "t": np.ones(2)}, r"must be numbers, got \(3, 2\) .* and \(2,\)"),
        ({"x": np.array([["a"]]), "t": np.ones(1)}, "must be numbers"),
        ({"x": np.full((1, 1), np.nan), "t": np.ones(1)}, "must be finite"),
        ({"x": np.array([[{}]], object), "t": np.ones(1)}, "no .npz file of plain arrays"),
    ]:
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=f"read_npz: .*{message}"):
            rs.read_npz(path)
    whole = path.read_bytes()
    np.save(tmp_path / "b.npy", np.ones(3))
    for content, message in [
        (b"", "the file is empty"),
        (b"nothing", "an .npz file begins with PK, this one with b'nothin'"),
        (whole, "it holds objects"),
        (whole[: len(whole) // 2], ""),
        ((tmp_path / "b.npy").read_bytes(), "it is an .npy file, of one array, and not an .npz"),
    ]:
        with pytest.raises(DataError, match=f"is no .npz file of plain arrays: {message}") as error:
            rs.read_npz(write(content, "c.npz"))
        assert "pickle" not in str(error.value)
