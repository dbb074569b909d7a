"""The circuit of a line: closed forms, node equations, where it is read."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpusim.errors import ConfigError
from rpusim.periphery.ladder_circuit import effective_matrix, transfer
from tests.naive.ladder import current, shares
from tests.periphery.ladders import ladder_io

RNG = np.random.default_rng(3)


def uniform_line(g, wire, segments):
    """Return the admittance of a line of equal segments: the recursion solved by cosh.

    It is 1 / (1 / Y + R / 2) with Y R = cosh((S + 1/2) u) / cosh((S - 1/2) u) - 1 and cosh u = 1 +
    R G / 2, written so that nothing cancels where u is small.
    """
    u = 2.0 * math.asinh(math.sqrt(wire * g) / 2.0)
    ratio = 2.0 * math.sinh(segments * u) * math.sinh(u / 2.0) / math.cosh((segments - 0.5) * u)
    return 1.0 / (wire / ratio + wire / 2.0)


@pytest.mark.parametrize("ir_drop", [1.0, 100.0, 1000.0])
@pytest.mark.parametrize(("n", "segments"), [(16, 16), (16, 8), (512, 8), (512, 512)])
def test_a_uniform_line_has_the_admittance_of_the_closed_form(n, segments, ir_drop):
    io = ladder_io(ir_drop=ir_drop, ir_drop_segments=segments)
    share, admittance = transfer(np.full((2, n), 25.0), io)
    each = n // segments
    closed = uniform_line(25.0 * each, 1e-6 * ir_drop * 0.15 * each, segments)
    np.testing.assert_allclose(admittance, closed, rtol=1e-12)
    # driven all alike, the line carries what its admittance says
    np.testing.assert_allclose((share * 25.0).sum(axis=1), closed, rtol=1e-12)


@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 7)),
    extra=st.integers(0, 5),
    segments=st.integers(1, 9),
    ir_drop=st.sampled_from([1.0, 1e3, 1e6]),
)
def test_shares_and_currents_solve_the_node_equations(seed, shape, extra, segments, ir_drop):
    rng = np.random.default_rng(seed)
    plus, minus = rng.uniform(1.0, 25.0, (2, *shape)) * rng.integers(0, 2, (2, *shape))
    io = ladder_io(ir_drop=ir_drop, ir_drop_segments=segments, ir_drop_v_read=0.35)
    settings, size = io.to_dict(), shape[1] + extra
    matrix, idle = effective_matrix(plus, minus, io, size)
    states = rng.integers(-1, 2, size).astype(float)
    before = extra // 2
    inside = slice(before, before + shape[1])
    for i in range(shape[0]):
        g = np.zeros((2, size))
        g[:, inside] = plus[i], minus[i]
        solved, _ = current(*g, states, settings, i % 2 == 0)
        mine = 0.2 * matrix[i] @ states[inside] + idle[i]
        assert mine == pytest.approx(solved, rel=1e-9, abs=1e-9)


def test_the_share_of_a_device_is_what_reaches_the_adc_of_it_alone():
    g = RNG.uniform(1.0, 25.0, (2, 3, 10))
    io = ladder_io(ir_drop=1e4, ir_drop_segments=4)
    share, _ = transfer(g[0] + g[1], io)
    for i in range(3):
        alone = shares(g[0, i], g[1, i], io.to_dict(), i % 2 == 0)
        np.testing.assert_allclose(share[i], alone, rtol=1e-8)


def test_shares_rise_towards_the_adc_and_approach_one_with_ideal_wires():
    g = np.repeat(RNG.uniform(0.0, 50.0, (1, 24)), 2, axis=0)
    share, _ = transfer(g, ladder_io(ir_drop=1e3))
    assert (np.diff(share[0]) >= 0.0).all()
    assert (np.diff(share[1]) <= 0.0).all()
    assert 0.0 < share.min() < share.max() < 1.0
    ideal, admittance = transfer(g, ladder_io(ir_drop=1e-9))
    np.testing.assert_allclose(ideal, 1.0, atol=1e-10)
    np.testing.assert_allclose(admittance, g.sum(axis=1), rtol=1e-10)


def test_lines_of_odd_number_are_read_at_the_other_end():
    g = RNG.uniform(0.0, 50.0, (1, 13))
    io = ladder_io(ir_drop=1e3, ir_drop_segments=5)
    both, admittance = transfer(np.concatenate([g, g[:, ::-1]]), io, 20)
    # 7 empty lines: three before, four behind; the mirrored line has them the other way round
    mirrored, _ = transfer(np.pad(g, ((0, 0), (4, 3))), io)
    np.testing.assert_array_equal(both[1, ::-1], mirrored[0, 4:17])
    straight, _ = transfer(np.pad(g, ((0, 0), (3, 4))), io)
    np.testing.assert_array_equal(both[0], straight[0, 3:16])
    assert admittance[0] != admittance[1]


def test_more_inputs_than_the_crossbar_has_are_refused():
    with pytest.raises(ConfigError, match="n_physical must be >= the inputs of the tile, 9, got 8"):
        transfer(np.ones((1, 9)), ladder_io(), 8)
