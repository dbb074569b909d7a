"""Tables of conductances as points of a hypercube: known ones, a literal reading, the way back."""

import numpy as np
import pytest

from rpusim import CustomPairConductanceConverter, DualPairConductanceConverter
from rpusim.errors import ConfigError, ShapeError
from rpusim.inference.programming_space import ProgrammingSpace, fill_tables, uniform_nodes
from rpusim.kernels.bind import kernel

KNOWN = [
    (
        {"f_lst": [1.0]},
        2,
        [0.5, 0.25, 0.75],
        [[2.96875, 18.75, 16.09375], [16.09375, 18.75, 2.96875]],
    ),
    (
        {"f_lst": [1.0], "symmetric": False},
        2,
        [0.5, 0.25, 0.75, 0.5],
        [[2.96875, 18.75, 19.0625], [16.09375, 18.75, 5.9375]],
    ),
    (
        {"f_lst": [1.0, 3.0]},
        2,
        [0.4, 0.2, 0.6, 0.3, 0.9, 0.5, 0.1],
        [[3, 3, 13], [13, 23, 3], [7, 8.5, 18], [18, 1.83333, 7]],
    ),
    (
        {"f_lst": [1.0, None]},
        2,
        [0.2, 0.4, 0.2, 0.6, 0.3, 0.9, 0.5, 0.1],
        [
            [1.7784, 3, 17.8864],
            [17.8864, 23, 1.7784],
            [9.60556, 19.16667, 15.39444],
            [15.39444, 0.64815, 9.60556],
        ],
    ),
    (
        {"f_lst": [1.0], "g_err": 0.04},
        3,
        [0, 0.1, 1, 0.3],
        [[1.575, 25, 7.1, 25, 2.825], [2.825, 25, 7.1, 25, 1.575]],
    ),
    (
        {"f_lst": [1.0], "g_err": 0.04, "use_max_kw": True},
        2,
        [0, 1],
        [[0, 25, 25], [25, 25, 0]],
    ),
]
SPACES = [
    {"f_lst": [1.0]},
    {"f_lst": [1.0], "symmetric": False, "g_min": 4.0},
    {"f_lst": [2.0, 5.0, 1.0]},
    {"f_lst": [1.0, None], "g_min": 0.5, "g_max": 40.0},
    {"f_lst": [None, 1.0, None], "use_max_kw": True},
    {"f_lst": [1.0, 3.0], "symmetric": False, "nodes": np.array([-1.0, -0.7, 0.1, 0.2, 1.0])},
    {"f_lst": [1.0, 2.0], "nodes": np.array([-1.0, -0.25, 0.0, 0.25, 1.0])},
]


def made(options, nbins=4):
    return ProgrammingSpace(**{"nodes": uniform_nodes(nbins), **options})


@pytest.mark.parametrize(("options", "nbins", "x", "table"), KNOWN)
def test_known_points_are_known_tables(options, nbins, x, table):
    assert np.abs(made(options, nbins).tables(x).g[0] - table).max() < 1e-5


def test_a_free_factor_lies_between_its_limits():
    x = [0.2, 0.4, 0.2, 0.6, 0.3, 0.9, 0.5, 0.1]
    assert made({"f_lst": [1.0, None]}, 2).tables(x).f.tolist() == [[1.0, pytest.approx(1.08)]]


@pytest.mark.parametrize(
    ("options", "dimensions"),
    [
        ({"f_lst": [1.0]}, 7),
        ({"f_lst": [1.0], "symmetric": False}, 12),
        ({"f_lst": [1.0, 3.0]}, 19),
        ({"f_lst": [1.0, None]}, 20),
        ({"f_lst": [1.0, None], "use_max_kw": True}, 19),
        ({"f_lst": [None, None], "symmetric": False}, 36),
    ],
)
def test_dimensions_count_placements_splits_factors_and_the_range(options, dimensions):
    assert made(options, 6).dimensions == dimensions


def literal(space, x):
    """Return the table of a point, node by node, as the equations are read."""
    x, low, high = list(x), space.g_min, space.g_max
    span, e = high - low, space.g_err * (high - low)
    f = [v if v is not None else space.f_min + x.pop(0) * (space.f_max - space.f_min)
         for v in space.f_lst]  # fmt: skip
    used = 1.0 if space.use_max_kw else 0.05 + 0.95 * x.pop(0)
    n, block = len(space.nodes), space.block
    blocks = [[x.pop(0) for _ in range(block)] for _ in range(2 * len(f) - 1)]
    g = np.empty((2 * len(f), n))
    for i in range(block):
        c = used * span * sum(f) * space.nodes[i]
        for j, factor in enumerate(f):
            placement = blocks[2 * j][i]
            rest = span * sum(f[j + 1 :])
            least, most = max(c - rest, -factor * span), min(c + rest, factor * span)
            last = j == len(f) - 1
            share = most if last else least + blocks[2 * j + 1][i] * (most - least)
            c, delta = c - share, share / factor
            begin, end = low + max(delta, 0.0) - e, high + min(delta, 0.0) + e
            plus = np.clip(begin + placement * (end - begin), low, high)
            minus = np.clip(plus - delta, low, high)
            if space.symmetric:
                g[2 * j : 2 * j + 2, n - 1 - i] = minus, plus
            if not space.symmetric or i != n - 1 - i:
                g[2 * j : 2 * j + 2, i] = plus, minus
    return f, g


@pytest.mark.parametrize("options", [*SPACES, {"f_lst": [1.0, 2.0], "g_err": 0.1}])
def test_tables_are_what_the_equations_say(options):
    space = made(options)
    for x in np.random.default_rng(1).random((20, space.dimensions)):
        f, g = literal(space, x)
        found = space.tables(x)
        assert np.allclose(found.f[0], f, rtol=1e-13)
        assert np.abs(found.g[0] - g).max() < 1e-12 * space.g_max * sum(f) / min(f)


@pytest.mark.parametrize("options", SPACES)
def test_every_point_is_a_table_that_devices_can_hold_and_that_gives_weights_back(options):
    space = made(options)
    rng = np.random.default_rng(2)
    for x in [*rng.random((20, space.dimensions)), *rng.integers(0, 2, (20, space.dimensions))]:
        f, g = (a[0] for a in space.tables(x))
        assert (g >= space.g_min).all()
        assert (g <= space.g_max).all()
        CustomPairConductanceConverter(f_lst=f, g_lst=g.tolist(), nodes=space.nodes)  # tests it


@pytest.mark.parametrize("options", SPACES)
def test_a_table_has_a_point(options):
    space = made(options)
    for x in np.random.default_rng(3).random((20, space.dimensions)):
        f, g = (a[0] for a in space.tables(x))
        again = space.tables(space.point(f, g))
        assert np.allclose(again.f[0], f, rtol=1e-13)
        assert np.abs(again.g[0] - g).max() < 1e-9


def test_a_dual_pair_is_a_point_if_its_kinks_are_nodes():
    dual, nodes = DualPairConductanceConverter(f_lst=[1.0, 3.0]), [-1.0, -0.25, 0.0, 0.25, 1.0]
    space = ProgrammingSpace([1.0, 3.0], np.array(nodes))
    g = dual.convert_to_conductances(nodes)[0]
    assert np.abs(space.tables(space.point([1.0, 3.0], g)).g[0] - g).max() < 1e-12


def test_symmetric_tables_exchange_the_devices_of_a_weight_and_its_negative():
    g = made({"f_lst": [1.0, 3.0]}, 5).tables(np.full(16, 0.3)).g[0]
    off = g[::2] - g[1::2, ::-1]
    off[:, 4] = 0.0  # node 0, where any order gives 0
    assert np.abs(off).max() == 0.0


@pytest.mark.parametrize("options", SPACES)
def test_plain_python_and_machine_code_agree_to_the_last_bits(options):
    space = made(options)
    x, found = np.random.default_rng(4).random((5, space.dimensions)), []
    for target in ("exact", "double"):
        tables = np.empty((5, space.pairs)), np.empty((5, 2 * space.pairs, len(space.nodes)))
        kernel(fill_tables, target)(x, *space.arguments, *tables)
        found.append(tables)
    for plain, fast in zip(*found, strict=True):
        assert np.allclose(plain, fast, rtol=1e-13, atol=1e-12)


def test_uniform_nodes_mirror_exactly():
    for nbins in (2, 3, 6, 8, 50):
        u = uniform_nodes(nbins)
        assert np.array_equal(u, -u[::-1])
        assert np.allclose(u, np.linspace(-1.0, 1.0, 2 * nbins - 1), atol=1e-15)


def test_what_is_no_space_is_refused():
    with pytest.raises(ConfigError, match="nodes must ascend from -1 to 1"):
        ProgrammingSpace([1.0], np.array([-1.0, 0.5, 0.2, 1.0]))
    with pytest.raises(ConfigError, match="mirror at a node 0"):
        ProgrammingSpace([1.0], np.array([-1.0, 0.0, 0.5, 1.0]))
    with pytest.raises(ShapeError, match="x must have 3 coordinates, got shape"):
        made({"f_lst": [1.0]}, 2).tables([0.1, 0.2])
