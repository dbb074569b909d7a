"""Same seed, same calls, same bits: in machine code and plain Python, for any number of threads."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import rpusim as rs
from rpusim.kernels import backend
from tests.backends import OTHERS
from tests.devices.pulsed import WalkedConstantStep
from tests.naive.tolerance import check_correlation

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.ClippedWeightsWarning")

TROUBLE = dict(
    dw_min=0.01, dw_min_std=0.5, w_max=0.2, w_min=-0.2, lifetime=30.0, diffusion=0.01,
    reset_dtod=0.05, drift=dict(nu=0.1, nu_std=0.2), corrupt_devices_prob=0.1, count_pulses=True,
)  # fmt: skip
PULSED = {
    "constant": rs.ConstantStepDevice(**TROUBLE),
    "constant, quiet": rs.ConstantStepDevice(**{**TROUBLE, "dw_min_std": 0.0}),
    "constant, walked": WalkedConstantStep(**TROUBLE),
    "linear": rs.LinearStepDevice(gamma_up=0.5, **TROUBLE),
    "linear, additive": rs.LinearStepDevice(gamma_up=0.5, mult_noise=False, **TROUBLE),
    "linear, write noise": rs.LinearStepDevice(write_noise_std=1.0, **TROUBLE),
    "soft bounds": rs.SoftBoundsDevice(**TROUBLE),
    "soft bounds, write noise": rs.SoftBoundsDevice(write_noise_std=1.0, **TROUBLE),
}
EXACT = {
    "ideal": rs.IdealDevice(diffusion=0.01, lifetime=30.0),
    "floating point": rs.FloatingPointDevice(diffusion=0.01, drift=dict(nu=0.1)),
}
DEVICES = {**PULSED, **EXACT}
KINDS = [kind.name for kind in rs.PulseType]
MAPPING = dict(
    digital_bias=False, weight_scaling_omega=0.15, weight_scaling_columnwise=True,
    weight_scaling_lr_compensation=True,
)  # fmt: skip


def config_of(device, **update):
    """Return a configuration with analog bias, mapping scales and default noisy products."""
    return rs.RPUConfig(device=device, update=rs.UpdateParameters(**update), mapping=MAPPING)


def make(config, shape=(3, 5), rng=4, **options):
    tile = rs.AnalogTile(*shape, config, bias=True, rng=rng, **options)
    seed = np.random.default_rng(rng)
    tile.set_weights(seed.normal(size=shape), seed.normal(size=shape[0]))
    return tile


def live(tile, rounds=2, batch=4):
    """Let a tile do everything it can; return all it answered."""
    rng, answers = np.random.default_rng(8), []
    for _ in range(rounds):
        x = rng.normal(size=(batch, tile.in_size)).astype(np.float32)
        d = rng.normal(size=(batch, tile.out_size)).astype(np.float32)
        answers += [tile.forward(x), tile.backward(d)]
        tile.update(x, d, learning_rate=0.02)
        tile.post_update_step()
        tile.drift_weights(5.0)
    if not isinstance(tile.rpu_config.device, rs.FloatingPointDevice):
        tile.reset_columns(start=1, count=2, prob=0.5)
    return answers


def assert_same(a, b):
    """Compare states and answers bit by bit."""
    (state_a, answers_a), (state_b, answers_b) = a, b
    for name in state_a:
        assert np.array_equal(state_a[name], state_b[name]), name
    for one, other in zip(answers_a, answers_b, strict=True):
        assert np.array_equal(one, other)


def run(config, shape=(3, 5), rounds=2, batch=4, **options):
    """Return (state, answers) of a tile after some life."""
    tile = make(config, shape, **options)
    answers = live(tile, rounds, batch)
    return tile.state_dict(), answers


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", DEVICES)
def test_backends_agree_for_every_device(name, other):
    config = config_of(DEVICES[name], desired_bl=7)
    assert_same(run(config), run(config, backend=other))


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["constant", "linear, write noise"])
def test_backends_agree_for_every_pulse_type(name, kind, other):
    config = config_of(DEVICES[name], pulse_type=kind, desired_bl=9)
    assert_same(run(config), run(config, backend=other))


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("bits", [dict(sto_round=True, res=0.1), dict(desired_bl=130)], ids=str)
def test_backends_agree_for_bins_and_long_trains(bits, other):
    unmanaged = dict(update_management=False, update_bl_management=False)
    config = config_of(DEVICES["soft bounds"], **bits, **unmanaged)
    assert_same(run(config, rounds=1), run(config, rounds=1, backend=other))


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", ["constant", "soft bounds, write noise"])
def test_backends_agree_for_what_happens_without_pulses(name, other):
    results = []
    for target in ("cpu", other):
        tile = make(config_of(DEVICES[name]), shape=(20, 23), backend=target)
        for _ in range(3):
            tile.post_update_step()
            tile.drift_weights(5.0)
            tile.reset_columns(start=3, count=9, prob=0.5)
        results.append((tile.state_dict(), []))
    assert_same(*results)


@pytest.fixture
def threads(monkeypatch):
    """Return a setter of the number of threads and the list of jobs; all work is worth a thread."""
    used, submit = [], ThreadPoolExecutor.submit
    monkeypatch.setattr(backend, "WORTH_A_THREAD", 1)

    def counted(pool, *args, **kwargs):
        used.append(1)
        return submit(pool, *args, **kwargs)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", counted)
    before = rs.get_num_threads()
    yield rs.set_num_threads, used
    rs.set_num_threads(before)


@pytest.mark.parametrize("name", DEVICES)
def test_the_number_of_threads_changes_no_bit(name, threads):
    set_threads, used = threads
    results = []
    for count in (1, 2, 3):
        used.clear()
        set_threads(count)
        results.append(run(config_of(DEVICES[name]), shape=(37, 41), batch=9))
        assert (len(used) > 0) == (count > 1), "the work was not split as this test wants"
    for result in results[1:]:
        assert_same(results[0], result)


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_threads_changes_no_bit_of_any_pulse_type(kind, threads):
    set_threads, _ = threads
    results = []
    for count in (1, 3):
        set_threads(count)
        config = config_of(DEVICES["soft bounds, write noise"], pulse_type=kind)
        results.append(run(config, shape=(37, 41), batch=9))
    assert_same(*results)


@pytest.mark.parametrize("name", ["constant", "soft bounds, write noise", "ideal"])
def test_a_batch_reads_as_its_parts_do(name):
    config = config_of(DEVICES[name])
    whole, parts = make(config), make(config)
    x, d = np.random.default_rng(1).normal(size=(2, 10, 5)).astype(np.float32)
    y, g = whole.forward(x), whole.backward(d[:, :3])
    cuts = (slice(0, 5), slice(5, 6), slice(6, 10))
    assert np.array_equal(y, np.concatenate([parts.forward(x[cut]) for cut in cuts]))
    assert np.array_equal(g, np.concatenate([parts.backward(d[cut, :3]) for cut in cuts]))
    assert whole.stats.reads_forward == parts.stats.reads_forward == 10


@pytest.mark.parametrize("name", ["constant, quiet", "soft bounds"])
def test_reading_in_between_changes_no_pulse(name):
    tiles = [make(config_of(DEVICES[name])) for _ in range(2)]
    x, d = np.ones((2, 5), np.float32), np.ones((2, 3), np.float32)
    for _ in range(3):
        tiles[0].forward(x)
        tiles[0].backward(d)
        for tile in tiles:
            tile.update(x, d, 0.02)
    assert np.array_equal(tiles[0].get_weights()[0], tiles[1].get_weights()[0])


def test_a_seed_and_its_sources_mean_the_same_tile():
    device = rs.SoftBoundsDevice()
    first = rs.AnalogTile(3, 5, device)
    again = rs.AnalogTile(3, 5, device, rng=first.seed)
    assert np.array_equal(first.get_weights()[0], again.get_weights()[0])
    for source in (np.random.SeedSequence, np.random.default_rng):
        one, other = (rs.AnalogTile(3, 5, device, rng=source(3)) for _ in range(2))
        assert one.seed == other.seed
        assert_same((one.state_dict(), []), (other.state_dict(), []))


def test_nothing_touches_numpys_global_state():
    legacy = np.random.get_state()[1].copy()  # noqa: NPY002
    run(config_of(DEVICES["soft bounds, write noise"]))
    assert np.array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002


def test_tiles_of_different_seeds_share_no_noise():
    config = rs.RPUConfig(device=rs.SoftBoundsDevice(dw_min_std=1.0, write_noise_std=5.0))
    shape, changes = (100, 100), []
    for rng in (1, 2, 3):
        tile = rs.AnalogTile(*shape, config, rng=rng)
        before = tile.get_weights()[0]
        y = tile.forward(np.ones((100, 100)))
        tile.update(np.ones((5, 100)), np.ones((5, 100)), 0.01)
        changes.append([before, tile.get_weights()[0] - before, y - y.mean(axis=0)])
    for a, b in itertools.combinations(changes, 2):
        for one, other in zip(a, b, strict=True):
            check_correlation(one, other, 0.0)


@pytest.mark.parametrize("name", ["constant", "linear, write noise", "ideal"])
def test_two_tiles_in_two_python_threads_do_what_they_do_alone(name, threads):
    set_threads, used = threads
    set_threads(2)
    config = config_of(DEVICES[name])

    def work(rng):
        return run(config, shape=(37, 41), rounds=4, batch=9, rng=rng)

    alone = [work(rng) for rng in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, range(4)))
    assert used
    for one, other in zip(alone, together, strict=True):
        assert_same(one, other)
