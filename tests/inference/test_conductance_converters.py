"""Weights to conductances and back: the reference's figures, round trips, scales, refusals."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rpusim as rs
from rpusim.errors import ConfigError, DataError, ShapeError
from tests.naive.tolerance import FLOAT32

W = [0.3, -0.8, 0.05, 1.0, -0.2, 0.0]
ROWS = [[0.3, -0.8, 0.05], [1.0, -0.2, 0.0]]
KINKED = [[0, 0, 5, 12.5, 25], [25, 12.5, 5, 0, 0]]

# Printed by the reference simulator (aihwkit 1.1.0), to five decimals at most.
ORACLES = {
    "single": (
        rs.SinglePairConductanceConverter(g_max=15.0, g_min=0.1),
        [[4.57, 0.1, 0.845, 15, 0.1, 0.1], [0.1, 12.02, 0.1, 0.1, 3.08, 0.1]],
        14.9,
    ),
    "dual": (
        rs.DualPairConductanceConverter(f_lst=[1, 3], g_max=15.0, g_min=0.1),
        [
            [15, 0.1, 3.08, 15, 0.1, 0.1],
            [0.1, 15, 0.1, 0.1, 12.02, 0.1],
            [1.09333, 0.1, 0.1, 15, 0.1, 0.1],
            [0.1, 11.02667, 0.1, 0.1, 0.1, 0.1],
        ],
        59.6,
    ),
    "three": (
        rs.NPairConductanceConverter(f_lst=[1, 2, 3], g_max=15.0, g_min=0.1),
        [
            [15, 0.1, 4.57, 15, 0.1, 0.1],
            [0.1, 15, 0.1, 0.1, 15, 0.1],
            [6.06, 0.1, 0.1, 15, 0.1, 0.1],
            [0.1, 15, 0.1, 0.1, 1.59, 0.1],
            [0.1, 0.1, 0.1, 15, 0.1, 0.1],
            [0.1, 9.04, 0.1, 0.1, 0.1, 0.1],
        ],
        89.4,
    ),
    "custom": (
        rs.CustomPairConductanceConverter(f_lst=[1], g_lst=KINKED),
        [[9.5, 0, 5.75, 25, 3, 5], [2, 20, 4.5, 0, 8, 5]],
        25.0,
    ),
    "one device": (
        rs.SingleDeviceConductanceConverter(),
        [[57.4, 9, 46.4, 88.2, 35.4, 44.2]],
        44.0,
    ),
}


@pytest.mark.parametrize("case", ORACLES)
def test_conductances_are_those_of_the_reference(case):
    converter, conductances, scale = ORACLES[case]
    g, params = converter.convert_to_conductances(W)
    np.testing.assert_allclose(g, conductances, rtol=0, atol=1e-5)
    assert params["scale_ratio"] == pytest.approx(scale, abs=1e-5)
    np.testing.assert_allclose(converter.convert_back_to_weights(g, params), W, atol=1e-14)
    if case == "one device":
        assert params["min"] == -0.8


def test_magnitudes_with_signs_apart_are_those_of_the_reference():
    converter = rs.FusionConductanceConverter()
    g, params = converter.convert_to_conductances(ROWS)
    np.testing.assert_allclose(g, [[[15, 40, 2.5], [40, 8, 0]]], rtol=0, atol=1e-5)
    np.testing.assert_allclose(converter.convert_back_to_weights(g, params), ROWS, atol=1e-15)
    worn = converter.convert_back_to_weights(0.5 * g, params)
    np.testing.assert_allclose(worn, 0.5 * np.array(ROWS), atol=1e-15)
    assert (worn[:, :2] != 0).all()
    assert np.array_equal(np.sign(worn), np.sign(ROWS))


# ---------------------------------------------------------------- round trips

CONVERTERS = {
    "single": rs.SinglePairConductanceConverter(g_max=15.0, g_min=0.1),
    "dual": rs.DualPairConductanceConverter(f_lst=[1, 3], g_min=2.0),
    "three": rs.NPairConductanceConverter(f_lst=[0.5, 2, 7], g_max=15.0),
    "custom": rs.CustomPairConductanceConverter(g_lst=KINKED),
    "custom, two pairs": rs.CustomPairConductanceConverter(
        f_lst=[1, 2], g_lst=[[0, 2, 9], [9, 2, 0], [3, 2, 6], [6, 2, 3]]
    ),
    "one device": rs.SingleDeviceConductanceConverter(),
    "fusion": rs.FusionConductanceConverter(),
}
MATRICES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-8.0, 8.0, width=32).filter(lambda v: v == 0.0 or abs(v) > 1e-3),
)


@pytest.mark.parametrize("case", CONVERTERS)
@given(w=MATRICES)
def test_weights_come_back(case, w):
    converter, largest = CONVERTERS[case], float(np.abs(w).max())
    for weights, digits in ((w, FLOAT32), (w.astype(np.float64), 2.0**-52)):
        g, params = converter.convert_to_conductances(weights)
        assert g.dtype == weights.dtype
        assert g.shape == (converter.devices, *w.shape)
        assert (g >= 0.0).all()
        back = converter.convert_back_to_weights(g, params)
        assert back.dtype == weights.dtype
        # some ten roundings of numbers of the order of the largest conductance
        assert np.abs(back - weights).max() <= 16 * digits * largest
        if not case.startswith("custom"):
            slack = 4 * digits * converter.g_max
            assert converter.g_min - slack <= g.min() <= g.max() <= converter.g_max + slack


@pytest.mark.parametrize("case", CONVERTERS)
def test_a_list_of_arrays_is_as_good_as_an_array_and_leaves_it_alone(case):
    converter = CONVERTERS[case]
    w = np.array(ROWS)
    g, params = converter.convert_to_conductances(w)
    before = g.copy()
    back = converter.convert_back_to_weights(list(g), params)
    np.testing.assert_array_equal(back, converter.convert_back_to_weights(g, params))
    back[...] = 7.0
    np.testing.assert_array_equal(g, before)
    np.testing.assert_array_equal(w, ROWS)


def test_pairs_fill_one_after_the_other():
    converter = rs.NPairConductanceConverter(f_lst=[1, 2], g_max=10.0)
    g, _ = converter.convert_to_conductances([0.1, 1 / 3, 0.5, 1.0])
    np.testing.assert_allclose(g[0], [3, 10, 10, 10], rtol=1e-15)
    np.testing.assert_allclose(g[2], [0, 0, 2.5, 10], rtol=0, atol=1e-14)
    assert not g[1::2].any()


# ---------------------------------------------------------------- scales


@pytest.mark.parametrize("case", [c for c in CONVERTERS if c != "fusion"])
def test_a_scale_of_ones_own_is_fixed_and_saturates(case):
    converter = CONVERTERS[case].replace(w_max=0.5)
    w = np.array([[0.25, -0.1, 0.5], [0.0, 0.3, -0.5]])
    g, params = converter.convert_to_conductances(w)
    small, same = converter.convert_to_conductances(0.5 * w)
    assert same["scale_ratio"] == params["scale_ratio"]
    np.testing.assert_allclose(
        converter.convert_back_to_weights(small, params), 0.5 * w, atol=1e-15
    )
    beyond, _ = converter.convert_to_conductances(4.0 * w)
    expected = np.clip(4.0 * w, -0.5, 0.5)
    back = converter.convert_back_to_weights(beyond, params)
    np.testing.assert_allclose(back, expected, atol=2e-15)


@pytest.mark.parametrize("case", CONVERTERS)
def test_every_output_may_have_a_scale_of_its_own(case):
    converter = CONVERTERS[case].replace(columnwise=True)
    w = np.array([[0.3, -0.8, 0.05], [0.01, -0.02, 0.0]])
    g, params = converter.convert_to_conductances(w)
    assert np.shape(params["scale_ratio"]) == (2, 1)
    for row in range(2):
        own, its = converter.convert_to_conductances(w[[row]])
        np.testing.assert_allclose(g[:, [row]], own, rtol=1e-14)
        assert params["scale_ratio"][row] == pytest.approx(its["scale_ratio"][0], rel=1e-14)
    np.testing.assert_allclose(converter.convert_back_to_weights(g, params), w, atol=1e-15)
    if case not in ("one device", "fusion"):
        one = CONVERTERS[case].convert_to_conductances(w[[1]])[0]
        np.testing.assert_allclose(g[:, [1]], one, rtol=1e-14)


@pytest.mark.parametrize("case", CONVERTERS)
@pytest.mark.parametrize("value", [0.0, 0.7, -0.7])
def test_a_constant_matrix_is_held_and_finite(case, value):
    converter = CONVERTERS[case]
    w = np.full((2, 3), value)
    g, params = converter.convert_to_conductances(w)
    assert np.isfinite(g).all()
    np.testing.assert_allclose(converter.convert_back_to_weights(g, params), w, atol=1e-14)


# ---------------------------------------------------------------- tables


def test_nodes_need_not_be_equally_spaced():
    converter = rs.CustomPairConductanceConverter(
        nodes=[-1, -0.2, 0, 0.2, 1], g_lst=[[0, 0, 3, 5, 25], [25, 5, 3, 0, 0]]
    )
    w = np.array([-1.0, -0.6, -0.1, 0.05, 0.2, 0.6, 1.0])
    with pytest.raises(
        ConfigError, match="does not give weights back: 0.2 of the largest becomes 0.28"
    ):
        converter.replace(g_lst=[[0, 0, 3, 7, 25], [25, 5, 3, 0, 0]])
    g, params = converter.convert_to_conductances(2.0 * w)
    expected = np.interp(w, converter.nodes, converter.g_lst[0])
    np.testing.assert_allclose(g[0], expected, rtol=1e-14, atol=1e-14)
    assert params["scale_ratio"] == 12.5


@pytest.mark.parametrize("node", range(9))
def test_tables_are_tested_at_every_node(node):
    """The reference tests five weights: with nine nodes it misses those between."""
    plus = np.linspace(0.0, 20.0, 9)
    table = [plus.tolist(), plus[::-1].tolist()]
    rs.CustomPairConductanceConverter(g_lst=table)
    table[0][node] += 1.0
    with pytest.raises(ConfigError, match=r"g_lst does not give weights back: .* becomes"):
        rs.CustomPairConductanceConverter(g_lst=table)
    loose = rs.CustomPairConductanceConverter(g_lst=table, invertibility_test=False)
    u = loose.node_weights[node]
    back = loose.convert_back_to_weights(*loose.convert_to_conductances([-1.0, u, 1.0]))
    assert abs(back[1] - u) > 0.02 or node == 8


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        (
            rs.SinglePairConductanceConverter,
            dict(g_max=5.0, g_min=5.0),
            "g_min must be below g_max",
        ),
        (rs.SinglePairConductanceConverter, dict(g_max=-1.0), "g_max must be > 0"),
        (rs.SinglePairConductanceConverter, dict(g_min=-1.0), "g_min must be >= 0"),
        (rs.SinglePairConductanceConverter, dict(w_max=0.0), "w_max must be > 0"),
        (
            rs.SinglePairConductanceConverter,
            dict(w_max=1.0, columnwise=True),
            "w_max is one scale for all, columnwise one for every output",
        ),
        (rs.SingleDeviceConductanceConverter, dict(g_min=90.0), "g_min must be below g_max"),
        (rs.NPairConductanceConverter, dict(f_lst=[]), "f_lst must be one or more numbers > 0"),
        (
            rs.NPairConductanceConverter,
            dict(f_lst=[-1, 2]),
            "f_lst must be one or more numbers > 0",
        ),
        (rs.NPairConductanceConverter, dict(f_lst=["a"]), "f_lst must be one or more numbers > 0"),
        (rs.NPairConductanceConverter, dict(f_lst=2.0), "f_lst must be a sequence"),
        (rs.DualPairConductanceConverter, dict(f_lst=[1, 2, 3]), "f_lst must hold two factors"),
        (rs.FusionConductanceConverter, dict(g_max=41.0), r"g_max must be in 10\.\.40"),
        (rs.FusionConductanceConverter, dict(g_max=9.0), r"g_max must be in 10\.\.40"),
        (rs.FusionConductanceConverter, dict(columnwise=False), "columnwise is always True"),
        (rs.FusionConductanceConverter, dict(w_max=1.0), "w_max is one scale for all"),
        (rs.CustomPairConductanceConverter, dict(f_lst=[1, 2]), "g_lst must hold two tables for"),
        (rs.CustomPairConductanceConverter, dict(g_lst=[[0, 1]]), "g_lst must hold two tables for"),
        (
            rs.CustomPairConductanceConverter,
            dict(g_lst=[[0, 1], [1]]),
            "g_lst must hold tables of one",
        ),
        (
            rs.CustomPairConductanceConverter,
            dict(g_lst=[[0], [1]]),
            "g_lst must hold tables of one",
        ),
        (rs.CustomPairConductanceConverter, dict(g_lst=[0, 1]), "g_lst must hold tables of one"),
        (
            rs.CustomPairConductanceConverter,
            dict(g_lst=[[-1, 1], [1, 0]]),
            "g_lst must hold conductances",
        ),
        (
            rs.CustomPairConductanceConverter,
            dict(g_lst=[[1, 1], [1, 1]]),
            "g_lst must differ between",
        ),
        (
            rs.CustomPairConductanceConverter,
            dict(nodes=[-1, 0.5]),
            "nodes must ascend from -1 to 1",
        ),
        (rs.CustomPairConductanceConverter, dict(nodes=[-1, 1, 0]), "nodes must ascend from -1 to"),
        (rs.CustomPairConductanceConverter, dict(nodes=[-1, 0, 2]), "nodes must ascend from -1 to"),
    ],
)
def test_ranges_factors_and_tables_that_do_not_fit_are_refused(kind, options, text):
    with pytest.raises(ConfigError, match=rf"{kind.__name__}\.{text}"):
        kind(**options)


@pytest.mark.parametrize("case", CONVERTERS)
def test_what_is_not_to_be_converted_is_refused(case):
    converter = CONVERTERS[case]
    name = type(converter).__name__
    with pytest.raises(
        DataError, match=rf"{name}\.convert_to_conductances: weights must be finite"
    ):
        converter.convert_to_conductances([[np.nan, 1.0]])
    g, params = converter.convert_to_conductances(ROWS)
    count = converter.devices
    with pytest.raises(
        ShapeError, match=f"conductances must be {count} arrays, .* got {count + 1}"
    ):
        converter.convert_back_to_weights([*g, g[0]], params)
    with pytest.raises(ShapeError, match="got a number"):
        converter.convert_back_to_weights(1.0, params)
    for wrong in ({}, None, [1.0], {"scale_ratio": "a"}):
        with pytest.raises(DataError, match="params must be those of convert_to_conductances"):
            converter.convert_back_to_weights(g, wrong)


@pytest.mark.parametrize("case", CONVERTERS)
def test_a_scale_per_output_needs_outputs(case):
    converter = CONVERTERS[case].replace(columnwise=True)
    with pytest.raises(
        ShapeError, match=r"weights must have shape \(outputs, inputs\), got \(6,\)"
    ):
        converter.convert_to_conductances(W)


def test_a_converter_without_its_methods_says_which():
    class Unfinished(rs.BaseConductanceConverter):
        pass

    for attempt in (
        lambda c: c.devices,
        lambda c: c.convert_to_conductances([1.0]),
        lambda c: c.way_back({}),
    ):
        with pytest.raises(NotImplementedError, match="Unfinished does not define"):
            attempt(Unfinished())
