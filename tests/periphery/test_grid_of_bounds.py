"""A bound that is on a converter's grid is on it in single precision, too."""

import numpy as np
import pytest

import rpusim as rs
from rpusim.periphery.passage import passage


@pytest.mark.parametrize("bits", range(2, 15))
@pytest.mark.parametrize("bound", [0.3, 0.7, 0.9, 1.0, 1.1, 10.0, 12.0, 1e-3, 3e5])
def test_the_last_step_does_not_exceed_the_bound(bits, bound):
    steps = 2**bits - 2
    s = passage(rs.IOParameters(out_bound=bound, out_res=1 / steps))
    last = np.float32(steps // 2) * np.float32(s.out_step)
    assert last <= np.float32(s.out_bound)
    assert last == pytest.approx(bound, rel=1e-6)
