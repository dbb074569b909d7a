"""What a summary counts: parameters, tiles, products and multiply-accumulates."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn
from rpusim.errors import ShapeError

EXACT = rs.FloatingPointRPUConfig(mapping={"max_input_size": 256, "max_output_size": 256})


def model():
    return nn.Sequential(
        nn.AnalogLinear(512, 128, rpu_config=EXACT, rng=1),
        nn.ReLU(),
        nn.AnalogLinear(128, 10, rpu_config=EXACT, rng=2),
        nn.Linear(10, 3, rng=3),
    )


def test_tiles_and_parameters_are_counted():
    first, relu, second, last = nn.summary_table(model())
    assert first["tile_shapes"] == [(128, 256), (128, 256)]
    assert (first["tiles"], first["utilisation"]) == (2, 128 / 256)
    assert (first["analog_parameters"], first["digital_parameters"]) == (512 * 128, 128)
    assert second["tile_shapes"] == [(10, 128)]
    assert second["utilisation"] == 10 * 128 / 256**2
    assert (last["device"], last["tiles"], last["utilisation"]) == ("digital", 0, None)
    assert (last["analog_parameters"], last["digital_parameters"]) == (0, 33)
    assert relu["analog_parameters"] == relu["digital_parameters"] == relu["tiles"] == 0
    assert "products" not in first


@pytest.mark.parametrize(
    ("shape", "reuse"), [((512,), 1), ((1, 512), 1), ((8, 512), 1), ((2, 7, 512), 7)]
)
def test_products_and_macs_are_those_of_one_sample(shape, reuse):
    rows = nn.summary_table(model(), shape)
    assert [row["products"] for row in rows] == [reuse, 0, reuse, reuse]
    assert [row["macs"] for row in rows] == [reuse * n for n in (512 * 128, 0, 1280, 30)]
    assert [row["output_shape"] for row in rows] == [(*shape[:-1], n) for n in (128, 128, 10, 3)]


def test_a_layer_that_is_used_twice_counts_its_products_twice():
    analog, digital = nn.AnalogLinear(3, 3, rpu_config=EXACT, rng=1), nn.Linear(3, 3, rng=1)
    rows = nn.summary_table(nn.Sequential(analog, digital, analog, digital), (5, 3))
    assert [(row["products"], row["macs"]) for row in rows] == [(2, 18), (2, 18)]
    assert [row["name"] for row in rows] == ["0", "1"]


def test_the_model_is_tried_without_a_trace():
    tried = model().train()
    tried(np.ones((2, 512)))
    before, stats = tried.state_dict(), tried[0].tile.stats
    tried.summary((4, 512))
    for name, array in tried.state_dict().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
    assert tried[0].tile.stats.state().tolist() == stats.state().tolist()
    assert tried.training
    assert len(tried[1]._kept) == 1
    assert "forward" not in vars(tried[0])


def test_the_text_shows_the_same():
    assert model().summary((4, 512)).splitlines() == [
        "name  layer         shape       device               parameters           tiles  used   "
        "output  products   MACs",
        "0     AnalogLinear  512 -> 128  FloatingPointDevice       65664  2 of 128 x 256  50 %  "
        "4 x 128         1  65536",
        "1     ReLU                                                                             "
        "4 x 128",
        "2     AnalogLinear  128 -> 10   FloatingPointDevice        1290   1 of 10 x 128   2 %   "
        "4 x 10         1   1280",
        "3     Linear        10 -> 3     digital                      33                          "
        "4 x 3         1     30",
        "66846 MACs for each sample, 66816 analog and 30 digital",
        "66987 parameters, 66816 analog and 171 digital",
    ]


def test_a_layer_that_was_not_called_and_a_wrong_shape_are_told():
    class Half(nn.Module):
        def __init__(self):
            self.used, self.idle = nn.Linear(2, 2, rng=1), nn.Linear(2, 2, rng=1)

        def forward(self, x):
            return self.used(x)

    rows = nn.summary_table(Half(), (3, 2))
    assert [(row["output_shape"], row["products"]) for row in rows] == [((3, 2), 1), (None, 0)]
    assert Half().summary((3, 2)).splitlines()[2].split() == [
        "idle",
        "Linear",
        *"2 -> 2".split(),
        "digital",
        "6",
    ]
    for shape in ("abc", (0, 2), 3):
        with pytest.raises(ShapeError, match="summary: input_shape must"):
            nn.summary_table(Half(), shape)
    with pytest.raises(ShapeError, match=r"x must have shape \(\.\.\., 2\)"):
        nn.summary_table(Half(), (3, 5))
