"""Programmed devices, modified copies and limits of weights on "cuda", against the CPU.

In Numba's simulator, where floats are rounded as on the CPU. What differs is where a scale comes
from: on the GPU it is float32, on the CPU double. With a scale that is given all bits are equal.
"""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import rpusim as rs
from rpusim.errors import DataError
from rpusim.inference import ProgrammedDevices
from rpusim.inference.limits import clip_limit, remapped
from rpusim.inference.modify import modified
from rpusim.kernels.device_arrays import host, is_device_array, place
from rpusim.kernels.simulated_arrays import SimulatedArray
from rpusim.kernels.streams import Purpose, Streams
from rpusim.tiles.programmed_matrix import ProgrammedMatrix
from tests.inference import test_conductance_converters as converters
from tests.inference.modifiers import KEY, weights
from tests.inference.programmed import DAY, model
from tests.inference.test_modifiers import KINDS
from tests.inference.test_noise_models import MODELS, TIMES
from tests.naive.tolerance import FLOAT32

W = weights((3, 5))
SCALED = {
    name: rs.PCMLikeNoiseModel(g_converter=converter)
    for name, converter in {
        "given scale": rs.SinglePairConductanceConverter(w_max=0.4),
        "two pairs": rs.DualPairConductanceConverter(f_lst=[1, 3], w_max=0.4, g_min=1.0),
        "tables": rs.CustomPairConductanceConverter(w_max=0.4),
        "one device": rs.SingleDeviceConductanceConverter(w_max=0.4, g_max=25.0, g_min=1.0),
    }.items()
}
CONVERTERS = {name: case[0] for name, case in converters.ORACLES.items()} | {
    "fusion": rs.FusionConductanceConverter(),
    "pair, columns": rs.SinglePairConductanceConverter(columnwise=True, g_min=0.5),
    "two pairs, columns": rs.DualPairConductanceConverter(columnwise=True),
    "tables, columns": rs.CustomPairConductanceConverter(columnwise=True),
    "one device, columns": rs.SingleDeviceConductanceConverter(columnwise=True),
    "pair, given": rs.SinglePairConductanceConverter(w_max=0.2),
    "one device, given": rs.SingleDeviceConductanceConverter(w_max=0.2),
}


def there(array):
    return place(np.asarray(array), "cuda")


def check_close(mine, theirs, roundings):
    """Compare with the CPU: up to some roundings of the largest number."""
    mine, theirs = np.asarray(mine, np.float64), np.asarray(host(theirs), np.float64)
    assert mine.shape == theirs.shape
    atol = roundings * FLOAT32 * max(np.abs(mine).max(initial=0.0), 1e-30)
    np.testing.assert_allclose(theirs, mine, rtol=0, atol=atol)


def seen(made, times):
    """Return all that devices show: what they hold, and reads at some times."""
    shown = [*made.hidden_parameters().values(), made.weights()]
    for t in times:
        made.relax()
        shown += [made.weights(t), made.conductances(t), made.conductances(t, read=False)]
        shown += [made.coefficients.copy()]
    return [host(array) for array in shown]


def both(noise_model, w=W, **options):
    """Return the same devices here and there."""
    here = ProgrammedDevices(noise_model, w, 5, "cpu", **options)
    return here, ProgrammedDevices(noise_model, there(w), 5, "cuda", **options)


def refuse_to_wait(patch):
    """Refuse whatever would wait for the GPU."""

    def refuse(*args):
        raise AssertionError("this waits for the GPU")

    for name in ("get", "item", "__bool__", "__int__", "__float__"):
        patch.setattr(SimulatedArray, name, refuse)


@pytest.fixture
def no_waiting(monkeypatch):
    refuse_to_wait(monkeypatch)


# ---------------------------------------------------------------- programmed devices


@pytest.mark.parametrize("name", MODELS)
def test_devices_are_those_of_the_cpu(name):
    here, gpu = both(MODELS[name])
    for array in (gpu.target, gpu.programmed, gpu.coefficients, gpu.weights()):
        assert is_device_array(array)
    times = TIMES.get(name, (0.0, 1.0, DAY))
    # two roundings of the scale, which laws pass on with slopes of a few
    for mine, theirs in zip(seen(here, times), seen(gpu, times), strict=True):
        check_close(mine, theirs, 16)
    assert (here.streams.steps == gpu.streams.steps).all()


@pytest.mark.parametrize("name", SCALED)
def test_with_a_given_scale_all_bits_are_equal(name):
    here, gpu = both(SCALED[name])
    for mine, theirs in zip(seen(here, (0.0, DAY)), seen(gpu, (0.0, DAY)), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 13)])
def test_any_number_of_columns_will_do(shape):
    for one in (MODELS["everything"], SCALED["given scale"]):
        here, gpu = both(one, weights(shape))
        for mine, theirs in zip(seen(here, (DAY,)), seen(gpu, (DAY,)), strict=True):
            check_close(mine, theirs, 16)


def test_what_this_machine_gives_is_placed():
    mine, theirs = (ProgrammedDevices(model("pcm"), W.tolist(), 5, b) for b in ("cpu", "cuda"))
    check_close(mine.weights(DAY), theirs.weights(DAY), 16)


def test_a_read_of_a_number_is_repeated():
    _, gpu = both(model("pcm"))
    first = host(gpu.weights(DAY))
    assert gpu.streams.peek(Purpose.READ) == 1
    again = host(gpu.weights(DAY, step=0))
    assert gpu.streams.peek(Purpose.READ) == 1
    np.testing.assert_array_equal(first, again)
    assert (first != host(gpu.weights(DAY))).any()


@pytest.mark.parametrize("options", [dict(exact=True), dict(reconvert=True)])
def test_options_do_what_they_do_on_the_cpu(options):
    here, gpu = both(model("pcm"), **options)
    for mine, theirs in zip(seen(here, (DAY,)), seen(gpu, (DAY,)), strict=True):
        check_close(mine, theirs, 16)


def test_memory_is_used_again_where_it_is():
    old, new = both(model("pcm"))[1], both(model("pcm"))
    reused = ProgrammedDevices(model("pcm"), there(W), 5, "cuda", reuse=old)
    assert reused.programmed is old.programmed
    other = ProgrammedDevices(model("pcm"), there(W), 5, "cuda", reuse=new[0])
    assert is_device_array(other.programmed)
    np.testing.assert_array_equal(host(other.weights()), host(reused.weights()))


@pytest.mark.parametrize("name", ["pcm", "cmo", "everything", "fusion"])
def test_devices_are_restored_from_numpy_arrays(name):
    here, gpu = both(MODELS[name])
    for made in (here, gpu):
        arrays = (host(made.programmed), host(made.coefficients))
        back = ProgrammedDevices.restored(made.model, there(W), *arrays, gpu.streams, "cuda")
        mine, theirs = gpu.weights(DAY, step=3), back.weights(DAY, step=3)
        check_close(host(mine), theirs, 0 if made is gpu else 16)


class Broken(rs.BaseNoiseModel):
    """A law that gives no number once it drifts."""

    def at(self, t):
        return {"gain": np.nan if t > 0.0 else 1.0}

    @staticmethod
    def drift(g, target, c, model):
        return g * model.gain


def test_laws_that_give_no_numbers_are_refused_where_the_gpu_is_waited_for():
    _, gpu = both(Broken())
    with pytest.raises(DataError, match="must give finite numbers, got NaN"):
        gpu.weights(1.0)
    assert np.isnan(host(gpu.weights(1.0, waits=False))).all()


@pytest.mark.parametrize("name", ["pcm", "columns", "everything", "cmo", "fusion"])
def test_a_read_for_a_product_waits_for_nothing(name):
    _, gpu = both(MODELS[name])
    with pytest.MonkeyPatch.context() as patch:
        refuse_to_wait(patch)
        gpu.weights(DAY, step=0, waits=False)


# ---------------------------------------------------------------- a matrix of them


def matrices():
    """Return the same matrix of targets here and there."""
    made = [ProgrammedMatrix(W.shape, rs.IdealDevice(), Streams(3), b) for b in ("cpu", "cuda")]
    for one in made:
        one.set_weights(W)
    return made


def check_same_life(here, gpu, roundings=16):
    """Compare what products see, what devices carry, and the states."""
    assert is_device_array(gpu.weights)
    assert here.version == gpu.version
    check_close(here.weights, gpu.weights, roundings)
    for show in (ProgrammedMatrix.hidden_parameters, ProgrammedMatrix.state):
        mine, theirs = show(here), show(gpu)
        assert mine.keys() == theirs.keys()
        for name, array in mine.items():
            assert isinstance(theirs[name], np.ndarray)
            check_close(array, theirs[name], roundings)


@pytest.mark.parametrize("name", ["pcm", "hermes2", "cmo", "fusion", "everything"])
def test_the_life_of_devices_is_that_of_the_cpu(name):
    noise_model = MODELS[name]
    here, gpu = matrices()
    check_same_life(here, gpu)
    for made in (here, gpu):
        made.program(noise_model)
    check_same_life(here, gpu)
    for t in (1.0, DAY):
        for made in (here, gpu):
            made.drift_to(t)
        check_same_life(here, gpu)
    check_close(here.conductances()[0], gpu.conductances()[0], 16)
    for made in (here, gpu):
        made.restore_targets()
    check_same_life(here, gpu)
    np.testing.assert_array_equal(host(gpu.weights), W)


@pytest.mark.parametrize("source", ["cpu", "cuda"])
def test_a_state_of_either_goes_on_there(source):
    noise_model = model("pcm")
    made = matrices()
    for one in made:
        one.program(noise_model)
        one.drift_to(DAY)
    old, new = (
        made[source == "cuda"],
        ProgrammedMatrix(W.shape, rs.IdealDevice(), Streams(3), "cuda"),
    )
    new.streams.restore(old.streams.state())
    new.restore(old.state())
    new.restore_devices(old.state() | dict.fromkeys(EXTRA, np.zeros(1)), noise_model)
    check_close(host(old.weights), new.weights, 0 if source == "cuda" else 16)
    for one in (old, new):
        one.drift_to(2.0 * DAY)
    check_close(host(old.weights), new.weights, 0 if source == "cuda" else 16)


EXTRA = ("drift_alpha", "drift_offset", "drift_baseline")  # what a tile keeps beside a matrix


def test_reads_of_every_product_wait_for_nothing():
    noise_model = model("pcm", read_noise="PER_CALL")
    here, gpu = matrices()
    for made in (here, gpu):
        made.program(noise_model)
        made.drift_to(DAY)
    for _ in range(2):
        mine = here.read()
        with pytest.MonkeyPatch.context() as patch:
            refuse_to_wait(patch)
            theirs = gpu.read()
        assert mine[1] == theirs[1]
        check_close(mine[0], theirs[0], 16)
        for made in (here, gpu):
            made.finish_read()


# ---------------------------------------------------------------- converters


@pytest.mark.parametrize("name", CONVERTERS)
def test_converters_work_on_arrays_of_a_gpu(name):
    converter = CONVERTERS[name]
    g, params = converter.convert_to_conductances(W)
    g_gpu, params_gpu = converter.convert_to_conductances(there(W))
    assert is_device_array(g_gpu)
    assert g_gpu.dtype == np.float32
    check_close(g, g_gpu, 4)
    back = converter.convert_back_to_weights(g_gpu, params_gpu)
    check_close(converter.convert_back_to_weights(g, params), back, 8)
    zero, _ = converter.convert_to_conductances(there(0.0 * W))
    check_close(converter.convert_to_conductances(0.0 * W)[0], zero, 4)


def test_weights_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="weights must be finite"):
        rs.SinglePairConductanceConverter().convert_to_conductances(there(np.nan * W))


# ---------------------------------------------------------------- modified copies


def copy_on(backend, w, bias=False, sample=None, step=0, noise_model=None, **settings):
    settings = rs.WeightModifierParameter(**settings)
    w = place(w, backend)
    return modified(w, settings, KEY, step, backend, bias, sample, noise_model)


DRAWS = [dict(), dict(bias=True, sample=7, step=(1 << 33) + 5), dict(rel_to_actual_wmax=False)]


@pytest.mark.parametrize("draw", DRAWS, ids=["plain", "bias", "assumed"])
@pytest.mark.parametrize("name", KINDS)
def test_copies_are_those_of_the_cpu(name, draw):
    settings = {**KINDS[name], **draw}
    for w in (W, weights((2, 1)), 0.0 * W):
        mine, theirs = (copy_on(backend, w, **settings) for backend in ("cpu", "cuda"))
        assert is_device_array(theirs)
        check_close(mine, theirs, 0)  # the scale is double here, too


@pytest.mark.parametrize("name", KINDS)
def test_copies_wait_for_nothing(name, no_waiting):
    copy_on("cuda", W, **KINDS[name])


@pytest.mark.parametrize("t", [0.0, 3600.0])
@pytest.mark.parametrize("bias", [False, True])
def test_copies_by_a_noise_model_are_those_of_the_cpu(t, bias):
    settings = dict(type="NOISE_MODEL", std_dev=0.5, pcm_t_inference=t, pdrop=0.2, bias=bias)
    for w in (W, 0.0 * W, np.concatenate([0.0 * W[:, 1:], W[:, :1]], axis=1)):
        noise_model = rs.PCMLikeNoiseModel()
        mine, theirs = (
            copy_on(backend, w, noise_model=noise_model, **settings) for backend in ("cpu", "cuda")
        )
        check_close(mine, theirs, 16)


def test_a_copy_needs_an_array_of_the_gpu_or_places_one():
    settings = rs.WeightModifierParameter(type="ADD_NORMAL", std_dev=0.1)
    np.testing.assert_array_equal(
        host(modified(W, settings, KEY, 0, "cuda")), modified(W, settings, KEY, 0, "cpu")
    )


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize(
    "settings",
    [
        dict(type="FIXED_VALUE", fixed_value=0.3),
        dict(type="LAYER_GAUSSIAN", sigma=1.5),
        dict(type="LAYER_GAUSSIAN", fixed_value=0.1),
        dict(type="AVERAGE_CHANNEL_MAX"),
        dict(type="AVERAGE_CHANNEL_MAX", fixed_value=0.1),
        dict(type="NONE"),
    ],
    ids=str,
)
def test_limits_are_those_of_the_cpu(settings, monkeypatch):
    settings = rs.WeightClipParameter(**settings)
    for w in (W, 0.0 * W, np.ones((3, 4), np.float32), W[:1, :1]):
        mine, theirs = clip_limit(w, settings), clip_limit(there(w), settings)
        if is_device_array(theirs):
            theirs = None if np.isinf(host(theirs)) else float(theirs)
        assert theirs == (mine if mine is None else pytest.approx(mine, rel=FLOAT32))


def test_limits_wait_for_nothing(no_waiting):
    w = there(W)
    for kind in ("LAYER_GAUSSIAN", "AVERAGE_CHANNEL_MAX"):
        limit = clip_limit(w, rs.WeightClipParameter(type=kind))
        np.clip(w, -limit, limit, out=w)


@pytest.mark.parametrize(
    "settings",
    [
        dict(type="LAYERWISE_SYMMETRIC"),
        dict(type="LAYERWISE_SYMMETRIC", remapped_wmax=0.6),
        dict(type="CHANNELWISE_SYMMETRIC"),
        dict(type="CHANNELWISE_SYMMETRIC", max_scale_range=1.5, max_scale_ref=0.1),
        dict(type="NONE"),
    ],
    ids=str,
)
def test_remapping_is_that_of_the_cpu(settings):
    settings, scales = rs.WeightRemapParameter(**settings), np.array([0.5, 1.0, 2.0])
    for w in (W, np.array([[0.0] * 5, [1.0] * 5, [0.1] * 5], np.float32)):
        mine, theirs = remapped(w, scales, settings), remapped(there(w), there(scales), settings)
        assert is_device_array(theirs[0])
        np.testing.assert_array_equal(host(theirs[0]), mine[0])
        np.testing.assert_array_equal(theirs[1], mine[1])


# ---------------------------------------------------------------- compensation


@pytest.mark.parametrize(
    "kind",
    [rs.GlobalDriftCompensation, rs.PerColumnDriftCompensation, rs.AffineDriftCompensation],
)
def test_read_outs_come_back(kind):
    for probe in ("one_hot", "ones", "random_signs"):
        compensation = kind(probe=probe, repeats=2)
        read = [compensation.read(f, W.shape[1], 3) for f in (lambda x: x @ W.T, on_gpu)]
        assert isinstance(read[1], np.ndarray)
        np.testing.assert_array_equal(*read)


def on_gpu(x):
    return there(x @ W.T)


# ---------------------------------------------------------------- machine code

COMPILE = """
    import numpy as np
    from rpusim.inference import device_rows as devices
    from rpusim.inference.modify_rows import drop_team, noisy_team
    from rpusim.inference.pcm_noise import pcm_team
    from rpusim.kernels.bind import kernel
    from rpusim.kernels.cuda import ptx_of_launch
    from tests.inference.test_noise_models import MODELS

    def zeros(*shape):
        return np.zeros(shape, np.float32)

    def compiled(what, rows, *args, **names):
        text = ptx_of_launch(kernel(rows, "cuda", **names), *args, 0, 1, 2)
        assert ".f64" not in text, f"{what}: double precision"
        assert ".local" not in text, f"{what}: memory of each thread"

    try:
        compiled("drop", drop_team, zeros(3, 5), zeros(2), 0)
    except AssertionError:
        raise
    except Exception as error:
        print(f"no compiler: {type(error).__name__}")
        raise SystemExit
    compiled("noise", noisy_team, zeros(3, 5), zeros(3, 5), zeros(3), zeros(4), 0)
    compiled("pcm", pcm_team, zeros(3, 5), zeros(3, 5), zeros(3), zeros(8), 0)
    g, back = zeros(6, 5), (zeros(2, 3), zeros(3), zeros(3, 5))
    for name, model in MODELS.items():
        fields, numbers = model.packed(1.0)
        numbers, names = numbers.astype("f4"), model.bound(fields)
        compiled(name, devices.program_team, g, g, g, numbers, **names)
        compiled(name, devices.coefficient_team, g, g, numbers, **names)
        compiled(name, devices.conductance_team, g, g, g, numbers, True, g, **names)
        compiled(name, devices.weight_team, g, g, g, numbers, *back, **names)
    print("compiled")
"""


def test_all_kernels_compile_to_ptx_without_double_precision():
    pytest.importorskip("numba_cuda", reason="PTX needs the package numba-cuda[cu13]")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(COMPILE)],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "0", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.stdout.startswith("no compiler"):
        pytest.skip(f"no compiler for PTX is installed (numba-cuda[cu13]): {done.stdout.strip()}")
    assert done.stdout.strip() == "compiled", done.stderr[-2000:]
