"""Convolutions on tiles: against loops in double precision, and what tiles add to them."""

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from rpusim.errors import ConfigError, ShapeError
from rpusim.nn import patches
from tests.naive import conv as naive

EXACT = rs.FloatingPointRPUConfig()
RNG = np.random.default_rng(3)
LAYERS = {1: nn.AnalogConv1d, 2: nn.AnalogConv2d, 3: nn.AnalogConv3d}
MAPPED = {1: nn.AnalogConv1dMapped, 2: nn.AnalogConv2dMapped, 3: nn.AnalogConv3dMapped}
CASES = {
    "plain": (2, dict(kernel_size=3), (7, 6)),
    "one axis": (1, dict(kernel_size=4, stride=2, padding=1), (11,)),
    "three axes": (3, dict(kernel_size=(1, 2, 3), padding=(0, 1, 1)), (3, 4, 5)),
    "stride": (2, dict(kernel_size=(3, 2), stride=(2, 1)), (8, 7)),
    "dilation": (2, dict(kernel_size=2, dilation=(2, 3), padding=2), (6, 7)),
    "one-sided padding": (2, dict(kernel_size=3, padding=((2, 0), (0, 1))), (5, 6)),
    "same": (2, dict(kernel_size=(3, 4), padding="same"), (5, 6)),
    "same, dilated": (1, dict(kernel_size=3, padding="same", dilation=2), (9,)),
    "valid": (3, dict(kernel_size=2, padding="valid"), (3, 3, 4)),
    "kernel as large as the image": (2, dict(kernel_size=(5, 4)), (5, 4)),
    "one pixel": (2, dict(kernel_size=1), (4, 3)),
    "all": (
        2,
        dict(kernel_size=(3, 2), stride=(2, 3), padding=((1, 2), (0, 3)), dilation=(1, 2)),
        (9, 8),
    ),
}  # fmt: skip


def geometry(axes, options, size):
    """Return stride, padding and dilation of each axis, as the naive loops take them."""
    each = {}
    for name, usual in (("kernel_size", 1), ("stride", 1), ("dilation", 1)):
        value = options.get(name, usual)
        each[name] = (value,) * axes if isinstance(value, int) else tuple(value)
    padding = options.get("padding", 0)
    if padding == "same":
        widths = [e * (k - 1) for k, e in zip(each["kernel_size"], each["dilation"], strict=True)]
        padding = tuple((w // 2, w - w // 2) for w in widths)
    elif padding == "valid":
        padding = ((0, 0),) * axes
    elif isinstance(padding, int):
        padding = ((padding, padding),) * axes
    elif isinstance(padding[0], int):
        padding = tuple((p, p) for p in padding)
    return each["stride"], padding, each["dilation"]


@pytest.fixture(params=[None, 60], ids=["one part", "many parts"])
def buffer(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(patches, "BUFFER", request.param)
    return request.param


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_those_of_a_loop(case, bias, buffer):
    axes, options, size = CASES[case]
    layer = LAYERS[axes](3, 4, bias=bias, rpu_config=EXACT, rng=1, **options)
    x = RNG.normal(size=(5, 3, *size)).astype(np.float32)
    w, b = layer.get_weights()
    how = geometry(axes, options, size)
    y = layer(x)
    wanted = naive.convolve(x, w.astype(float), b, *how)
    assert y.shape == wanted.shape
    assert y.flags.c_contiguous
    terms = np.prod(w.shape[1:]) + 1
    eps = np.finfo(np.float32).eps
    np.testing.assert_allclose(y, wanted, atol=terms * eps * np.abs(x).max() * np.abs(w).max())
    d = RNG.normal(size=y.shape).astype(np.float32)
    gx, gw = naive.gradients(x, w.astype(float), d.astype(float), *how)
    back = layer.backward(d)
    assert back.shape == x.shape
    np.testing.assert_allclose(back, gx, atol=8 * terms * eps * np.abs(d).max())
    vectors = y[:, 0].size
    np.testing.assert_allclose(
        layer.weight.grad, gw, atol=vectors * eps * np.abs(d).max() * np.abs(x).max()
    )
    assert layer.weight.grad.shape == w.shape == layer.weight.shape
    if bias:
        total = d.sum(axis=(0, *range(2, d.ndim)), dtype=float)
        np.testing.assert_allclose(layer.bias.grad, total, atol=vectors * eps * np.abs(d).max())
    optim.AnalogSGD(layer.parameters(), lr=0.1).step()
    np.testing.assert_allclose(layer.get_weights()[0], w - 0.1 * gw, atol=1e-5)


def test_gradients_are_finite_differences():
    layer = nn.AnalogConv2d(2, 3, 3, stride=2, padding=1, rpu_config=EXACT, rng=1)
    x, d = RNG.normal(size=(2, 2, 5, 5)), RNG.normal(size=(2, 3, 3, 3))
    w, b = (a.astype(float) for a in layer.get_weights())
    layer(x)
    back, step = layer.backward(d), 1e-5

    def loss(x, w):
        return (d * naive.convolve(x, w, b, (2, 2), ((1, 1), (1, 1)), (1, 1))).sum()

    for k in range(10):
        place = np.unravel_index(RNG.integers(x.size), x.shape)
        e = np.zeros(x.shape)
        e[place] = step
        slope = (loss(x + e, w) - loss(x - e, w)) / (2 * step)
        assert back[place] == pytest.approx(slope, abs=1e-5), k
        place = np.unravel_index(RNG.integers(w.size), w.shape)
        e = np.zeros(w.shape)
        e[place] = step
        slope = (loss(x, w + e) - loss(x, w - e)) / (2 * step)
        assert layer.weight.grad[place] == pytest.approx(slope, abs=1e-5), k


def test_an_image_without_a_batch_gives_one_without():
    layer = nn.AnalogConv2d(2, 3, 3, rpu_config=EXACT, rng=1)
    x = RNG.normal(size=(2, 6, 5)).astype(np.float32)
    y = layer(x)
    assert y.shape == (3, 4, 3)
    np.testing.assert_array_equal(y, layer.eval()(x[None])[0])
    assert layer.train().backward(np.ones_like(y)).shape == x.shape


def test_a_batch_of_nothing_gives_nothing():
    layer = nn.AnalogConv2d(2, 3, 3, rpu_config=EXACT, rng=1)
    assert layer(np.empty((0, 2, 6, 5))).shape == (0, 3, 4, 3)
    assert layer.backward(np.empty((0, 3, 4, 3))).shape == (0, 2, 6, 5)


def test_sizes_may_change_from_call_to_call():
    layer = nn.AnalogConv2d(1, 2, 3, rpu_config=EXACT, rng=1)
    shapes = (1, 1, 4, 6), (1, 1, 6, 4)
    xs = [RNG.normal(size=s).astype(np.float32) for s in shapes]
    w, b = layer.get_weights()
    for x in xs:
        wanted = naive.convolve(x, w.astype(float), b, (1, 1), ((0, 0), (0, 0)), (1, 1))
        np.testing.assert_allclose(layer(x), wanted, atol=1e-5)
    for x in xs[::-1]:  # used twice: the last forward goes back first
        assert layer.backward(np.ones((1, 2, x.shape[2] - 2, x.shape[3] - 2))).shape == x.shape


NARROW = rs.IOParameters(
    inp_bound=0.7, out_bound=1.0, noise_management="NONE", bound_management="NONE"
)


@pytest.mark.parametrize(
    "config",
    [
        rs.RPUConfig(device=rs.SoftBoundsDevice()),
        rs.InferenceRPUConfig(forward=NARROW),
        rs.InferenceRPUConfig(pre_post=dict(input_range=dict(enable=True))),
    ],
)
def test_parts_of_a_batch_read_as_the_whole(config, monkeypatch):
    made = []
    x = RNG.normal(size=(6, 2, 6, 5)).astype(np.float32)
    for size in (1 << 22, 200):
        monkeypatch.setattr(patches, "BUFFER", size)
        layer = nn.AnalogConv2d(2, 3, 3, rpu_config=config, rng=1)
        layer.tile.set_input_range(2.0) if "enable=True" in repr(config) else None
        y = layer(x)
        back = layer.backward(np.ones_like(y))
        made.append((y, back, layer.weight.grad))
    np.testing.assert_array_equal(made[0][0], made[1][0])  # draws are counted by vector
    np.testing.assert_array_equal(made[0][1], made[1][1])
    np.testing.assert_allclose(made[0][2], made[1][2], rtol=1e-5, atol=1e-5)


def test_parts_are_made_again_instead_of_kept(monkeypatch):
    monkeypatch.setattr(patches, "BUFFER", 200)
    layer = nn.AnalogConv2d(2, 3, 3, rpu_config=EXACT, rng=1)
    x = RNG.normal(size=(8, 2, 6, 5)).astype(np.float32)
    y = layer(x)
    _, _, _, kept = layer._kept[-1]
    assert len(kept) == 8
    assert all(context.x.size == 0 for _, context in kept)
    layer.backward(np.ones_like(y))
    assert len(layer.weight.pairs) == 8


@pytest.mark.parametrize("config", [EXACT, rs.RPUConfig(device=rs.ConstantStepDevice())])
def test_parts_are_clipped_and_stepped_as_the_whole(config, monkeypatch):
    x, found = RNG.normal(size=(8, 2, 6, 5)).astype(np.float32), []
    for size in (1 << 22, 200):
        monkeypatch.setattr(patches, "BUFFER", size)
        layer = nn.AnalogConv2d(2, 3, 3, rpu_config=config, rng=1)
        y = layer(x)
        layer.backward(np.ones_like(y))
        before = np.linalg.norm(layer.weight.grad)
        norm = optim.clip_grad_norm([layer.weight], 0.5 * before)
        found.append((norm, np.linalg.norm(layer.weight.grad) / before))
        if config is EXACT:
            optim.AnalogAdam(layer.parameters(), lr=0.01).step()
            found[-1] += (layer.get_weights()[0].sum(),)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)
    assert found[0][1] == pytest.approx(0.5, rel=1e-4)


def test_compounds_learn_from_whole_batches(monkeypatch):
    monkeypatch.setattr(patches, "BUFFER", 200)
    x, single = RNG.normal(size=(8, 2, 6, 5)).astype(np.float32), rs.SoftBoundsDevice()
    sizes = []
    for device in (single, rs.VectorUnitCell(unit_cell_devices=[single, single])):
        layer = nn.AnalogConv2d(2, 3, 3, rpu_config=device, rng=1)
        update, seen = layer.tile.update, []

        def counted(x, d, learning_rate, update=update, seen=seen):
            seen.append(len(x))
            update(x, d, learning_rate)

        monkeypatch.setattr(layer.tile, "update", counted)
        layer.backward(np.ones_like(layer(x)))
        optim.AnalogSGD(layer.parameters()).step()
        sizes.append(seen)
    assert sizes == [[12] * 8, [96]]


def test_an_analog_bias_is_a_column_of_devices():
    config = rs.RPUConfig(mapping=dict(digital_bias=False))
    layer = nn.AnalogConv2d(2, 3, 3, rpu_config=config, rng=1)
    assert layer.tile.crossbar.shape == (3, 19)
    assert layer.bias.shape == (3,)
    layer.backward(np.ones_like(layer(np.ones((2, 2, 4, 4)))))
    optim.AnalogSGD(layer.parameters()).step()


def test_a_large_kernel_is_on_a_grid_and_mapped_ones_keep_channels_whole():
    limits = EXACT.replace(mapping=dict(max_input_size=512, max_output_size=512))
    plain = nn.AnalogConv2d(100, 8, 3, rpu_config=limits, rng=1)
    assert plain.tile.layout.in_sizes == [450, 450]
    mapped = nn.AnalogConv2dMapped(100, 8, 3, rpu_config=limits, rng=1)
    assert mapped.tile.layout.in_sizes == [450, 450]
    odd = EXACT.replace(mapping=dict(max_input_size=40, max_output_size=2))
    mapped = nn.AnalogConv2dMapped(7, 3, 3, rpu_config=odd, rng=1)
    assert mapped.tile.layout.in_sizes == [36, 27]  # whole channels of 9
    assert mapped.tile.layout.out_sizes == [2, 1]
    x = RNG.normal(size=(2, 7, 5, 5)).astype(np.float32)
    w, b = mapped.get_weights()
    wanted = naive.convolve(x, w.astype(float), b, (1, 1), ((0, 0), (0, 0)), (1, 1))
    np.testing.assert_allclose(mapped(x), wanted, atol=1e-5)
    with pytest.raises(ConfigError, match="max_input_size must be at least 9"):
        nn.AnalogConv2dMapped(
            7, 3, 3, rpu_config=odd.replace(mapping=dict(max_input_size=8)), rng=1
        )


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_mapped_kinds_are_on_grids_and_come_back_from_files(axes, tmp_path):
    config = rs.RPUConfig(mapping=dict(max_input_size=2 * 2**axes))
    layer = MAPPED[axes](5, 2, 2, rpu_config=config, rng=1)
    assert isinstance(layer.tile, rs.TileGrid)
    assert layer.tile.layout.in_sizes == [2 * 2**axes, 2 * 2**axes, 2**axes]
    rs.save(tmp_path / "layer.npz", layer.tile)
    back = rs.load(tmp_path / "layer.npz")
    assert back.layout.in_sizes == layer.tile.layout.in_sizes
    x = np.ones((3, 5 * 2**axes), np.float32)
    np.testing.assert_array_equal(back.forward(x), layer.tile.forward(x))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_do_not_see_each_other(axes, groups):
    layer = nn.GroupedAnalogConv(axes, 4, 8, 2, groups, padding=1, rpu_config=EXACT, rng=1)
    x = RNG.normal(size=(3, 4, *[5] * axes)).astype(np.float32)
    w, b = layer.get_weights()
    assert w.shape == (8, 4 // groups, *[2] * axes)
    how = (1,) * axes, ((1, 1),) * axes, (1,) * axes
    wanted, d, gx = [], RNG.normal(size=layer(x).shape).astype(np.float32), []
    for g in range(groups):
        own, out = (
            slice(g * 4 // groups, (g + 1) * 4 // groups),
            slice(g * 8 // groups, (g + 1) * 8 // groups),
        )
        wanted.append(naive.convolve(x[:, own], w[out].astype(float), b[out], *how))
        gx.append(
            naive.gradients(x[:, own], w[out].astype(float), d[:, out].astype(float), *how)[0]
        )
    np.testing.assert_allclose(layer.eval()(x), np.concatenate(wanted, axis=1), atol=1e-5)
    np.testing.assert_allclose(layer.train().backward(d), np.concatenate(gx, axis=1), atol=1e-5)
    layer.set_weights(2.0 * w, b)
    np.testing.assert_allclose(layer.get_weights()[0], 2.0 * w, rtol=1e-6)
    assert len(nn.Sequential(layer).analog_layers()) == groups


def test_set_weights_takes_the_kernel_or_its_matrix():
    layer = nn.AnalogConv2d(2, 3, (2, 3), rpu_config=EXACT, rng=1)
    w = RNG.normal(size=(3, 2, 2, 3)).astype(np.float32)
    for given in (w, w.reshape(3, 12)):
        layer.set_weights(given)
        np.testing.assert_array_equal(layer.get_weights()[0], w)
        np.testing.assert_array_equal(layer.get_weights(as_matrix=True)[0], w.reshape(3, 12))
        np.testing.assert_array_equal(np.asarray(layer.weight), w)
    with pytest.raises(ShapeError, match=r"weight must have shape \(3, 2, 2, 3\), or \(3, 12\)"):
        layer.set_weights(w.reshape(2, 18))


def test_the_same_seed_gives_the_same_layer_and_state_continues():
    x = RNG.normal(size=(4, 1, 8, 8)).astype(np.float32)
    layers = [nn.AnalogConv2d(1, 2, 3, rpu_config=rs.SoftBoundsDevice(), rng=5) for _ in "ab"]
    for layer in layers:
        layer.backward(np.ones_like(layer(x)))
        optim.AnalogSGD(layer.parameters()).step()
    np.testing.assert_array_equal(*(layer.get_weights()[0] for layer in layers))
    other = nn.AnalogConv2d(1, 2, 3, rpu_config=rs.SoftBoundsDevice(), rng=9)
    other.load_state_dict(layers[0].state_dict())
    np.testing.assert_array_equal(other(x), layers[0](x))


def test_a_digital_convolution_of_the_same_seed_starts_from_the_same_kernels():
    digital = nn.Conv2d(2, 3, (2, 3), padding=1, stride=2, rng=5)
    analog = nn.AnalogConv2d(2, 3, (2, 3), padding=1, stride=2, rpu_config=EXACT, rng=5)
    np.testing.assert_array_equal(analog.weight, digital.weight)
    x = RNG.normal(size=(2, 2, 6, 5)).astype(np.float32)
    np.testing.assert_allclose(analog(x), digital(x), atol=1e-5)


def test_a_convolution_is_programmed_and_drifts():
    layer = nn.AnalogConv2d(2, 3, 3, rpu_config=rs.InferenceRPUConfig(), rng=1).eval()
    layer.program_analog_weights()
    layer.drift_analog_weights(3600.0)
    assert layer.tile.is_programmed
    layer.train()(np.ones((1, 2, 4, 4)))
    assert not layer.tile.is_programmed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(kernel_size=0), "kernel_size must be an integer >= 1"),
        (dict(kernel_size=(3, 3, 3)), "or 2 of them"),
        (dict(kernel_size=2.5), "kernel_size must be an integer"),
        (dict(kernel_size=3, stride=0), "stride must be an integer >= 1"),
        (dict(kernel_size=3, padding=-1), "padding must be an integer >= 0"),
        (dict(kernel_size=3, padding="equal"), '"same" or "valid"'),
        (dict(kernel_size=3, padding="same", stride=2), "needs stride 1"),
        (dict(kernel_size=3, padding=((1, 1),)), "must hold 2 pairs"),
        (dict(kernel_size=3, dilation=(1, "a")), "dilation must be an integer"),
        (dict(kernel_size=3, groups=2), "GroupedAnalogConv"),
    ],
)
def test_impossible_geometry_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        nn.AnalogConv2d(2, 3, **options)


@pytest.mark.parametrize("shape", [(4, 3, 6, 6), (2, 6), (1, 2, 3, 4, 5), (4, 2, 2, 2)])
def test_images_of_another_shape_are_refused(shape):
    layer = nn.AnalogConv2d(2, 3, 3, rpu_config=EXACT, rng=1)
    with pytest.raises(ShapeError, match="AnalogConv2d"):
        layer(np.ones(shape))
    layer(np.ones((1, 2, 4, 4)))
    with pytest.raises(ShapeError, match="grad must have the shape of the output"):
        layer.backward(np.ones((1, 3, 4, 4)))


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(ConfigError, match="groups must divide"):
        nn.GroupedAnalogConv(2, 4, 6, 3, groups=4)
    layer = nn.GroupedAnalogConv(2, 4, 8, 3, groups=4, rpu_config=EXACT, rng=1)
    with pytest.raises(ShapeError, match=r"\(batch, 4, \*size\)"):
        layer(np.ones((2, 1, 5, 5)))


@pytest.mark.parametrize("case", CASES)
def test_folding_is_the_adjoint_of_unfolding(case):
    axes, options, size = CASES[case]
    p = patches.Patches("test", axes, **options)
    x = RNG.normal(size=(3, 2, *size)).astype(np.float32)
    rows = p.unfold(x)
    g = RNG.normal(size=rows.shape).astype(np.float32)
    forward = (rows.astype(float) * g).sum()
    assert forward == pytest.approx((x.astype(float) * p.fold(g, x.shape)).sum(), rel=1e-4)


def test_threads_change_nothing(monkeypatch):
    from rpusim.kernels import backend

    monkeypatch.setattr(backend, "WORTH_A_THREAD", 1)
    p, x = patches.Patches("test", 2, 3), RNG.normal(size=(9, 2, 7, 7)).astype(np.float32)
    before, found = rs.get_num_threads(), set()
    for threads in (1, 3):
        rs.set_num_threads(threads)
        rows = p.unfold(x)
        found.add((rows.tobytes(), p.fold(rows, x.shape).tobytes()))
    rs.set_num_threads(before)
    assert len(found) == 1
