"""Networks for images: converted to tiles and back, summed up, trained."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim

EXACT = rs.InferenceRPUConfig(forward=rs.IOParameters(is_perfect=True))
RNG = np.random.default_rng(4)


def lenet(config, rng=0):
    """Return the network of LeNet's size on tiles."""
    return nn.Sequential(
        nn.AnalogConv2d(1, 16, 5, rpu_config=config, rng=rng),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.AnalogConv2d(16, 32, 5, rpu_config=config, rng=rng + 1),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.AnalogLinear(512, 128, rpu_config=config, rng=rng + 2),
        nn.Tanh(),
        nn.AnalogLinear(128, 10, rpu_config=config, rng=rng + 3),
    )


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_become_analog_and_digital_again(axes, groups):
    layer = getattr(nn, f"Conv{axes}d")(
        4, 6, 3, stride=2, padding=1, dilation=1, groups=groups, rng=1
    )
    model = nn.Sequential(layer, nn.ReLU()).eval()
    x = RNG.normal(size=(2, 4, *[7] * axes)).astype(np.float32)
    analog, report = nn.convert_to_analog(model, EXACT, report=True, rng=0)
    assert len(analog.analog_tiles()) == groups
    assert report.converted[0].became in (f"AnalogConv{axes}d", "GroupedAnalogConv")
    np.testing.assert_allclose(analog.eval()(x), model(x), atol=1e-5)
    back = nn.convert_to_digital(analog).eval()
    assert type(back[0]) is type(layer)
    np.testing.assert_allclose(back(x), model(x), atol=1e-6)
    np.testing.assert_allclose(back[0].get_weights()[0], layer.get_weights()[0], rtol=1e-6)


def test_recurrent_layers_are_converted_by_their_parts():
    model = nn.RNN(nn.LSTMCell, 3, 4, num_layers=2, bidir=True, rng=1).eval()
    x = RNG.normal(size=(5, 2, 3)).astype(np.float32)
    analog = nn.convert_to_analog(model, EXACT, rng=0).eval()
    assert len(analog.analog_tiles()) == 8
    np.testing.assert_allclose(analog(x)[0], model(x)[0], atol=1e-5)
    np.testing.assert_allclose(nn.convert_to_digital(analog).eval()(x)[0], model(x)[0], atol=1e-6)


def test_a_convolution_that_was_trained_in_place_is_taken_over():
    layer = nn.AnalogConv2d(1, 2, 3, rpu_config=rs.SoftBoundsDevice(), rng=1)
    model = nn.to_inference(nn.Sequential(layer), EXACT)
    np.testing.assert_allclose(
        model[0].get_weights()[0], layer.get_weights()[0], rtol=1e-5, atol=1e-7
    )
    model.drift_analog_weights(3600.0)
    assert model[0].tile.is_programmed


def test_the_summary_of_a_network_of_lenets_size():
    model = lenet(rs.RPUConfig(mapping=dict(max_input_size=256, max_output_size=256)))
    rows = {row["name"]: row for row in nn.summary_table(model, (1, 1, 28, 28))}
    shapes = {name: rows[name] for name in "0379"}
    assert [row["products"] for row in shapes.values()] == [576, 64, 1, 1]
    assert len(model.analog_tiles()) == 6
    assert len(model.analog_layers()) == 4
    sizes = [[tile.crossbar.shape for tile in _tiles(layer)] for layer in model.analog_layers()]
    assert sizes == [[(16, 25)], [(32, 200)] * 2, [(128, 256)] * 2, [(10, 128)]]
    text = model.summary((1, 1, 28, 28))
    assert "2 of 32 x 200" in text
    assert "1 x 32 x 8 x 8" in text


def _tiles(layer):
    tile = layer.tile
    return list(tile.named_tiles().values()) if isinstance(tile, rs.TileGrid) else [tile]


def test_a_network_for_images_learns():
    x = RNG.normal(size=(24, 1, 28, 28)).astype(np.float32)
    t = np.arange(24) % 3
    x += 2.0 * np.eye(28, dtype=np.float32)[None, None] * t[:, None, None, None]
    model = lenet(rs.RPUConfig(device=rs.ConstantStepDevice(dw_min=1e-4)))
    optimizer, losses = optim.AnalogSGD(model.parameters(), lr=0.05), []
    for _ in range(15):
        loss, grad = nn.cross_entropy(model(x), t)
        model.backward(grad)
        optimizer.step()
        losses.append(loss)
    assert losses[-1] < 0.5 * losses[0]
