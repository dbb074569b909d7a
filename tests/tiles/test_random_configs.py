"""Any configuration that can be made computes: finite, repeatable, one bit pattern for all ways."""

import contextlib
import dataclasses
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rpusim as rs
from rpusim.kernels import backend
from rpusim.tiles import build_tile
from tests.backends import ALL

pytestmark = [
    pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning"),
    pytest.mark.filterwarnings("ignore::rpusim.ModelRangeWarning"),
]


class Rising(rs.ReadNoise):
    """Read noise that grows with the weight."""

    strength: float = rs.param(0.02, low=0.0, doc="std at w = 1")

    @staticmethod
    def sigma(w, model):
        """Return the standard deviation."""
        return model.strength * abs(w) ** 0.5


def names(enumeration, *left_out):
    return [member.name for member in enumeration if member.name not in left_out]


#: Values of every option; the first is its default, towards which examples shrink.
IO = {
    "is_perfect": [False, False, False, False, True],
    "mv_type": ["ONE_PASS", *names(rs.AnalogMVType, "ONE_PASS")],
    "inp_bound": [1.0, 0.7, 0.0, float("inf")],
    "inp_noise": [0.0, 0.05],
    "inp_res": [1 / 126, 14.0, 0.0, -1.0],
    "inp_sto_round": [False, True],
    "inp_asymmetry": [0.0, 0.1, -0.1],
    "out_bound": [12.0, 0.5, 0.0, float("inf")],
    "out_noise": [0.06, 0.0],
    "out_noise_std": [0.0, 0.2],
    "out_noise_law": names(rs.SpreadLaw),
    "out_res": [1 / 510, 1 / 62, 0.0],
    "out_sto_round": [False, True],
    "out_scale": [1.0, 0.5],
    "out_asymmetry": [0.0, 0.1, -0.1],
    "bound_management": ["ITERATIVE", *names(rs.BoundManagementType, "ITERATIVE")],
    "noise_management": ["ABS_MAX", *names(rs.NoiseManagementType, "ABS_MAX")],
    "w_noise": [0.0, 0.02],
    "w_noise_type": names(rs.WeightNoiseType),
    "read_noise": [None, Rising()],
    "ir_drop": [0.0, 1.0],
    "ir_drop_g_ratio": [1 / 0.35 / 5e-6, 50.0],
    "ir_drop_far_first": [False, True],
    "out_nonlinearity": [0.0, 0.3],
    "out_nonlinearity_std": [0.0, 0.2],
    "slope_calibration": [0.0, 0.5],
    "v_offset_std": [0.0, 0.05],
    "v_offset_law": names(rs.OffsetLaw),
    "v_offset_w_min": [-1.0, 0.0],
    "r_series": [0.0, 0.05],
    "r_series_max_total": [float("inf"), 0.1],
    "w_read_asymmetry_dtod": [0.0, 0.1],
    "max_bm_factor": [1000, 1, 3],
    "max_bm_res": [0.25, 10.0],
    "bm_test_negative_bound": [True, False],
    "nm_thres": [0.0, 0.5, -1.0],
    "nm_assumed_wmax": [0.6, 2.0],
    "nm_decay": [1e-3, 1.0],
    "zero_input_shortcut": [True, False],
    "on_nonfinite": names(rs.NonFinite),
    "split_mode_bit_shift": [3, 1, 2],
    "slice_adc": names(rs.SliceADC),
}


def settled(io):
    """Return options, changed where a configuration would refuse them together."""
    io = dict(io)
    unscaled = io["noise_management"] == "NONE"
    sliced = io["mv_type"] in ("SPLIT_MODE", "BIT_WISE")
    unlimited = not 0.0 < io["out_bound"] < np.inf
    if not unscaled or (sliced and not 0.0 < io["inp_bound"] < np.inf):
        io["inp_bound"] = 1.0
    if sliced and io["inp_res"] <= 0.0:
        io["inp_res"] = 1 / 126
    if io["inp_res"] == 14.0:
        io["split_mode_bit_shift"] = min(io["split_mode_bit_shift"], 2)
    if unscaled and io["bound_management"] == "ITERATIVE_WORST_CASE":
        io["bound_management"] = "ITERATIVE"
    if unlimited and io["bound_management"] == "SHIFT":
        io["bound_management"] = "NONE"
    pos_neg = io["mv_type"].startswith("POS_NEG")
    for name, needed in (
        ("w_noise", io["w_noise_type"] != "NONE"),
        ("out_noise_std", io["out_noise"] > 0.0),
        ("out_nonlinearity_std", io["out_nonlinearity"] > 0.0),
        ("slope_calibration", io["out_nonlinearity"] + io["r_series"] > 0.0),
        ("w_read_asymmetry_dtod", pos_neg),
    ):
        if not needed:
            io[name] = 0.0
    return io


def options(**values):
    return st.fixed_dictionaries({name: st.sampled_from(pool) for name, pool in values.items()})


FORWARD = options(**IO).map(settled)
BACKWARD = FORWARD.map(lambda io: io | dict(bound_management="NONE"))
MAPPING = options(
    digital_bias=[True, False],
    weight_scaling_omega=[0.0, 0.6],
    weight_scaling_columnwise=[False, True],
    weight_scaling_lr_compensation=[False, True],
    learn_out_scaling=[False, True],
    out_scaling_columnwise=[False, True],
).map(lambda m: m | dict(out_scaling_columnwise=m["learn_out_scaling"] and m["out_scaling_columnwise"]))  # fmt: skip  # noqa: E501
RANGE = options(
    enable=[False, True],
    learn_input_range=[True, False],
    init_value=[3.0, 0.4],
    init_from_data=[100, 0, 1],
    decay=[1e-3, 0.5],
    gradient_relative=[True, False],
    exact_gradient=[False, True],
)
QUANT = options(
    n_bits=[0, 4, 8],
    symmetric=[True, False],
    learn_quant_params=[False, True],
    init_learning_after=[100, 1],
    log_scales=[False, True],
).map(lambda q: q | dict(log_scales=q["log_scales"] and q["n_bits"] > 0))
GRADIENT = options(
    backward_mode=names(rs.BackwardMode), mask_inputs=[True, False], quantised_inputs=[False, True]
)
MODIFIER = options(
    type=names(rs.WeightModifierType),
    std_dev=[0.1, 0.0],
    per_batch_sample=[False, True],
    res=[0.0, 0.1],
    sto_round=[False, True],
    pdrop=[0.2, 0.0],
    enable_during_test=[False, True],
    rel_to_actual_wmax=[True, False],
    copy_last_column=[False, True],
    pcm_t_inference=[0.0, 3600.0],
)
AFTER = options(
    clip=["NONE", "FIXED_VALUE", "LAYER_GAUSSIAN", "AVERAGE_CHANNEL_MAX"],
    remap=["NONE", "LAYERWISE_SYMMETRIC", "CHANNELWISE_SYMMETRIC"],
    lifetime=[0.0, 20.0],
    diffusion=[0.0, 0.01],
)
DEVICES = [
    rs.ConstantStepDevice(),
    rs.SoftBoundsDevice(write_noise_std=1.0, lifetime=30.0),
    rs.IdealDevice(),
]


@st.composite
def configs(draw):
    """Return a configuration of either family."""
    forward, gradient = draw(FORWARD), draw(GRADIENT)
    analog = gradient["backward_mode"] == "ANALOG"
    if analog or forward["inp_sto_round"]:
        gradient["quantised_inputs"] = False
    pre_post = dict(input_range=draw(RANGE), periph_quant=draw(QUANT))
    parts = dict(
        forward=rs.IOParameters(**forward),
        mapping=draw(MAPPING),
        gradient=gradient,
        pre_post=rs.PrePostProcessingParameterQuant(**pre_post),
    )
    if analog:
        parts["backward"] = rs.IOParameters(**draw(BACKWARD))
    if draw(st.booleans()):
        return rs.RPUConfig(device=draw(st.sampled_from(DEVICES)), **parts)
    modifier, after = draw(MODIFIER), draw(AFTER)
    if modifier["type"] == "NONE":
        modifier["pdrop"] = 0.0
    elif modifier["type"] == "DROP_CONNECT":
        modifier["pdrop"] = 0.2
    fixed = dict(fixed_value=0.5) if after["clip"] == "FIXED_VALUE" else {}
    return rs.InferenceRPUConfig(
        device=rs.IdealDevice(lifetime=after["lifetime"], diffusion=after["diffusion"]),
        modifier=modifier,
        clip=dict(type=after["clip"]) | fixed,
        remap=dict(type=after["remap"]),
        **parts,
    )


SHAPES = st.sampled_from([(3, 5), (1, 1), (1, 7), (6, 1), (2, 18), (19, 4)])
LEADS = st.sampled_from([(4,), (1,), (0,), (17,), (), (2, 3), (3, 0)])
VECTORS = st.sampled_from(["normal", "zeros between", "all negative", "small", "large"])


def vectors(kind, lead, size, seed):
    a = np.random.default_rng(seed).normal(size=(*lead, size)).astype(np.float32)
    if kind == "zeros between":
        a.reshape(-1, size)[::2] = 0.0
    elif kind == "all negative":
        a = -np.abs(a)
    return a * np.float32({"small": 1e-6, "large": 1e4}.get(kind, 1.0))


@dataclasses.dataclass
class Example:
    """A tile's configuration and what it is given."""

    config: object
    shape: tuple
    lead: tuple
    kind: str
    bias: bool

    def tile(self, rng=3, **changes):
        tile = build_tile(*self.shape, self.config, self.bias, rng=rng, **changes)
        w = np.random.default_rng(5).normal(size=self.shape) * 0.3
        tile.set_weights(w, np.full(self.shape[0], 0.1) if self.bias else None)
        return tile

    @property
    def rate(self):
        """A learning rate with which no weight runs away."""
        return 1e-8 if self.kind == "large" else 0.01

    def batch(self, step):
        x = vectors(self.kind, self.lead, self.shape[1], 2 * step)
        return x, vectors("normal", self.lead, self.shape[0], 2 * step + 1)


EXAMPLES = st.builds(Example, configs(), SHAPES, LEADS, VECTORS, st.booleans())


def step(tile, x, d, rate):
    """Take a step of training and look at the result; return all that was said."""
    said = [tile.forward(x)]
    said.append(tile.backward(d))
    gradients = tile.gradients(d)
    said += [gradients.input, *gradients.pair]
    parameters = tile.digital_parameters()
    for name, array in parameters.items():
        said.append(getattr(gradients, name))
        array -= np.float32(0.01) * np.tanh(said[-1])
    tile.project_digital_parameters()
    tile.update(*gradients.pair, learning_rate=rate)
    tile.post_update_step()
    context = tile.last_forward
    said += [context.alpha, context.reduction, np.array([context.inputs_clipped])]
    said += [np.array([context.outputs_clipped]), tile.get_weights()[0]]
    return [*said, tile.forward(x, is_test=True)]


def live(tile, example, steps=2):
    return [array for k in range(steps) for array in step(tile, *example.batch(k), example.rate)]


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a, b)


def assert_same_state(one, other):
    a, b = one.state_dict(), other.state_dict()
    for name in a:
        assert np.array_equal(a[name], b[name]), name


@contextlib.contextmanager
def threads(count):
    """Let every product, however small, be shared by so many threads."""
    worth, before = backend.WORTH_A_THREAD, rs.get_num_threads()
    backend.WORTH_A_THREAD = 1e-9
    rs.set_num_threads(count)
    try:
        yield
    finally:
        backend.WORTH_A_THREAD = worth
        rs.set_num_threads(before)


def test_the_strategy_knows_every_option():
    assert set(IO) == {field.name for field in dataclasses.fields(rs.IOParameters)}
    for name, pool in IO.items():
        assert rs.IOParameters(**{name: pool[0]}) == rs.IOParameters()


@settings(max_examples=150)
@given(EXAMPLES)
def test_everything_a_tile_says_is_finite_and_of_its_shape(example):
    tile, (x, d) = example.tile(), example.batch(0)
    for array in live(tile, example):
        assert np.isfinite(array).all()
        assert array.dtype in (np.float32, np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rs.ModelRangeWarning)
        assert tile.forward(x).shape == (*example.lead, example.shape[0])
    assert tile.backward(d).shape == (*example.lead, example.shape[1])
    assert tile.gradients(d).input.shape == (*example.lead, example.shape[1])
    context = tile.last_forward
    assert 0.0 <= context.inputs_clipped <= 1.0
    assert 0.0 <= context.outputs_clipped <= 1.0
    assert (context.rounds >= 1).all()


@settings(max_examples=100)
@given(EXAMPLES)
def test_the_number_of_threads_changes_no_bit(example):
    results, tiles = [], []
    for count in (1, 3):
        with threads(count):
            tiles.append(example.tile())
            results.append(live(tiles[-1], example))
    assert_same(*results)
    assert_same_state(*tiles)


@settings(max_examples=60)
@given(EXAMPLES)
def test_the_same_seed_and_calls_give_the_same_bits(example):
    one, other = example.tile(), example.tile()
    assert_same(live(one, example), live(other, example))
    assert_same_state(one, other)


@settings(max_examples=100)
@given(EXAMPLES)
def test_a_restored_state_continues_bit_for_bit(example):
    tile, other = example.tile(), example.tile(rng=77)
    step(tile, *example.batch(0), example.rate)
    tile.forward(example.batch(1)[0])  # within a step
    step(other, *example.batch(4), example.rate)
    other.load_state_dict(tile.state_dict())
    assert_same_state(tile, other)
    assert_same(live(tile, example), live(other, example))
    assert_same_state(tile, other)


def by_parts(tile, x, d, rate, cuts):
    """Take a step whose batch is cut; return outputs, gradients of inputs, pairs and weights."""
    said, pairs = [], []
    for cut in cuts:
        said.append(tile.forward(x[cut]))
        gradients = tile.gradients(d[cut])
        pairs.append((*gradients.pair, gradients.input))
    y, parts = np.concatenate(said), [np.concatenate(part) for part in zip(*pairs, strict=True)]
    tile.update(parts[0], parts[1], learning_rate=rate)
    return [y, *parts, tile.get_weights()[0]]


@settings(max_examples=100)
@given(EXAMPLES, st.sampled_from([1, 2, 5, 16]))
def test_a_batch_is_its_vectors_however_it_is_cut(example, first):
    example.lead = (17,)
    ranges = dict(input_range=dict(init_from_data=0))  # which batches do set
    example.config = example.config.replace(pre_post=ranges)
    results = []
    for cuts in ([slice(None)], [slice(0, first), slice(first, 17)]):
        tile, said = example.tile(), []
        for k in range(2):
            said += by_parts(tile, *example.batch(k), example.rate, cuts)
        results.append(said)
    assert_same(*results)


@settings(max_examples=40)
@given(EXAMPLES, st.sampled_from([(3, 5), (1, 1), (5, 2)]), st.sampled_from([(2,), (), (0,)]))
def test_all_backends_give_the_same_bits(example, shape, lead):
    example.shape, example.lead = shape, lead
    tiles = [example.tile(backend=backend) for backend in ALL]
    results = [live(tile, example, steps=1) for tile in tiles]
    for other, result in zip(tiles[1:], results[1:], strict=True):
        assert_same(results[0], result)
        assert_same_state(tiles[0], other)
