"""Convolutions for torch: shapes, patches in parts, what is refused."""

import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')

import rpusim as rs  # noqa: E402
from rpusim.errors import ConfigError, ShapeError  # noqa: E402
from rpusim.nn import patches  # noqa: E402
from rpusim.tiles import TileGrid  # noqa: E402
from rpusim.torch import (  # noqa: E402
    AnalogConv1d,
    AnalogConv1dMapped,
    AnalogConv2d,
    AnalogConv2dMapped,
    AnalogConv3d,
    AnalogConv3dMapped,
    AnalogOptimizer,
)

PULSED = rs.RPUConfig(device=rs.SoftBoundsDevice())


@pytest.mark.parametrize(
    ("kind", "axes"),
    [
        (AnalogConv1d, 1),
        (AnalogConv2d, 2),
        (AnalogConv3d, 3),
        (AnalogConv1dMapped, 1),
        (AnalogConv2dMapped, 2),
        (AnalogConv3dMapped, 3),
    ],
)
def test_batches_and_single_images_have_the_shapes_of_torch(kind, axes):
    made = kind(2, 3, 2, padding=1, rpu_config=PULSED, rng=0)
    digital = getattr(torch.nn, f"Conv{axes}d")(2, 3, 2, padding=1)
    batch = torch.ones(4, 2, *[5] * axes)
    assert made(batch).shape == digital(batch).shape
    assert made(batch[0]).shape == digital(batch[0]).shape
    assert made.weight.shape == digital.weight.shape
    assert isinstance(made.tile, TileGrid) == kind.__name__.endswith("Mapped")


@pytest.mark.parametrize("config", [rs.FloatingPointRPUConfig(), rs.InferenceRPUConfig()])
def test_patches_in_parts_learn_what_all_at_once_learn(config, monkeypatch):
    found = []
    for buffer in (patches.BUFFER, 100):
        monkeypatch.setattr(patches, "BUFFER", buffer)
        made = AnalogConv2d(2, 3, 3, rpu_config=config, rng=0)
        optimizer = AnalogOptimizer(torch.optim.SGD(made.parameters(), lr=0.1))
        x = torch.ones(4, 2, 6, 6, requires_grad=True)
        made(x).square().sum().backward()
        optimizer.step()
        found.append((x.grad, *made.get_weights()))
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_a_wrong_shape_after_a_right_one_is_refused():
    made = AnalogConv1d(4, 2, 3, rng=0)
    made(torch.ones(1, 4, 6))
    with pytest.raises(ShapeError, match=r"must have shape \(batch, 4, width\) or \(4, width\)"):
        made(torch.ones(1, 6, 4))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"groups": 2}, "AnalogConv2d.groups must be 1, got 2"),
        ({"padding_mode": "circular"}, "padding_mode must be 'zeros', got 'circular'"),
        ({"stride": 0}, "AnalogConv2d.stride must be an integer >= 1"),
    ],
)
def test_what_tiles_cannot_do_is_refused(options, match):
    with pytest.raises(ConfigError, match=match):
        AnalogConv2d(2, 2, 3, **options)
