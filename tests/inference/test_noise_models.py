"""The contract of noise models: laws, randomness, options, and what is refused."""

import dataclasses

import numpy as np
import pytest
from scipy.special import ndtr

import rpusim as rs
from rpusim.errors import ConfigError, DataError
from rpusim.inference import ProgrammedDevices
from rpusim.inference.noise_models import polynomial
from rpusim.kernels.backend import get_num_threads, set_num_threads
from rpusim.kernels.device_arrays import host
from tests.inference.programmed import ALL, DAY, YEAR, Leaky, columns, devices, model, tile_of
from tests.naive import programmed as naive
from tests.naive.tolerance import (
    FLOAT32,
    Z,
    check_correlation,
    check_mean,
    check_proportion,
    check_std,
    check_variance,
)

SHAPE = (7, 9)
W = np.random.default_rng(0).uniform(-1.0, 1.0, SHAPE).astype(np.float32)
TIMES = {"wan": (1.0, DAY)}


class Everything(rs.BaseNoiseModel):
    """All four laws, with a converter of two pairs."""

    coeffs: tuple = rs.param((0.1, 0.2), doc="programming error, polynomial in g")

    def _own_converter(self):
        return rs.DualPairConductanceConverter(f_lst=[1, 3], g_max=4.0)

    def at(self, t):
        return {"now": t}

    @staticmethod
    def program(g, model, z):
        return g + polynomial(model.coeffs, g) * z

    @staticmethod
    def coefficient(g, model, z, z_program):
        return 1.0 + 0.5 * z + 0.25 * z_program

    @staticmethod
    def drift(g, target, c, model):
        return g - 0.125 * c * model.now * target

    @staticmethod
    def read(g, programmed, target, model, z):
        return g + 0.0625 * programmed * z + 0.03125 * target


OWN = {"leaky": Leaky(), "everything": Everything()}
MODELS = {name: model(name) for name in ALL} | OWN
MODELS |= {
    "wan, fresh": model("wan", fresh_relaxation=True, interpolate=True),
    "cmo, fresh": model("cmo", fresh_relaxation=True),
    "custom drift": rs.CustomDriftPCMLikeNoiseModel(),
    "two pairs": rs.PCMLikeNoiseModel(g_converter=rs.DualPairConductanceConverter(f_lst=[1, 3])),
    "columns": rs.PCMLikeNoiseModel(g_converter=rs.SinglePairConductanceConverter(columnwise=True)),
    "fusion": rs.PCMLikeNoiseModel(g_converter=rs.FusionConductanceConverter()),
}


def seen(made, times):
    """Return all that devices show: what they hold, and reads at some times."""
    shown = [*made.hidden_parameters().values(), made.weights()]
    for t in times:
        made.relax()
        shown += [made.weights(t), made.conductances(t), made.coefficients.copy()]
    return shown


# ---------------------------------------------------------------- randomness


@pytest.mark.parametrize("name", MODELS)
def test_machine_code_and_python_give_the_same_bits(name):
    times = TIMES.get(name, (0.0, 1.0, DAY))
    shown = [
        seen(ProgrammedDevices(MODELS[name], W, 5, backend), times) for backend in ("cpu", "python")
    ]
    for mine, theirs in zip(*shown, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", ["pcm", "cmo", "everything"])
def test_threads_change_nothing_and_a_seed_repeats_everything(name):
    w, times, before = columns([0.0, 0.3, -1.0, 0.7], 30000), (1.0, DAY), get_num_threads()
    shown = []
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            shown.append(seen(ProgrammedDevices(MODELS[name], w, 5), times))
    finally:
        set_num_threads(before)
    for other in shown[1:]:
        for mine, theirs in zip(shown[0], other, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    other = ProgrammedDevices(MODELS[name], w, 6)
    assert not np.array_equal(other.weights(), shown[0][len(other.hidden_parameters())])


@pytest.mark.parametrize("name", MODELS)
def test_a_read_can_be_seen_again_and_is_what_conductances_make(name):
    made, t = ProgrammedDevices(MODELS[name], W, 3), 1.0
    first, second = made.weights(t, step=0), made.weights(t, step=1)
    np.testing.assert_array_equal(made.weights(t, step=0), first)
    assert np.array_equal(first, second) != MODELS[name].has("read")
    g = made.conductances(t, step=1)
    back = MODELS[name].converter.convert_back_to_weights(g, made.params)
    # a weight is a sum over devices of conductances of up to 88 uS, 40 uS for a weight of 1
    assert np.abs(back - second).max() <= 16 * FLOAT32 * 3.0
    quiet = made.conductances(t, read=False)
    assert np.array_equal(quiet, made.conductances(t, step=0)) != MODELS[name].has("read")


def test_errors_exponents_and_reads_are_independent_of_each_other():
    made = devices("pcm", [0.5, 1.0], 20000)
    error = made.programmed[0] - made.target[0]
    nu, quiet = made.coefficients[0], made.conductances(DAY, read=False)[0]
    read, again = (made.conductances(DAY)[0] / quiet for _ in range(2))
    for a, b in ((error, nu), (error, read), (nu, read), (read, again)):
        for column in range(2):
            check_correlation(a[:, column], b[:, column], 0.0)
    check_correlation(made.programmed[0, :, 0], made.programmed[1, :, 0], 0.0)
    check_correlation(error[:, 0], error[:, 1], 0.0)


# ---------------------------------------------------------------- models of one's own


def test_the_laws_of_a_model_of_ones_own_are_followed():
    made, t = ProgrammedDevices(OWN["everything"], columns([0.2, -0.5, 1.0], 20000), 2), 3.0
    g, target = made.programmed.astype(float), made.target.astype(float)
    np.testing.assert_allclose(target[0, 0], [3.2, 0.0, 4.0], rtol=1e-6)
    np.testing.assert_allclose(target[3, 0], [0.0, 4 / 3, 0.0], rtol=1e-6)
    z = (g - target) / (0.1 + 0.2 * target)
    check_mean(z.reshape(4, -1).T, 0.0, 1.0)
    check_std(z.reshape(4, -1).T, 1.0)
    own = (made.coefficients - 1.0 - 0.25 * z) / 0.5
    check_std(own.reshape(4, -1).T, 1.0)
    check_correlation(own, z, 0.0)
    drifted = g - 0.125 * made.coefficients * t * target
    np.testing.assert_allclose(made.conductances(t, read=False), drifted, rtol=0, atol=2e-5)
    noise = made.conductances(t) - drifted - 0.03125 * target
    check_variance(noise[0, :, 2] / (0.0625 * g[0, :, 2]), 1.0, floor=1e-3)


@pytest.mark.parametrize("name", OWN)
def test_a_model_of_ones_own_works_in_a_tile(name):
    tile = tile_of(W, OWN[name], compensation=rs.GlobalDriftCompensation())
    tile.drift_weights(100.0)
    held = tile.crossbar.devices
    expected = host(held.weights(100.0, step=0))
    np.testing.assert_array_equal(tile.get_weights(False)[0], expected)
    y = tile.forward(np.eye(9), is_test=True)
    np.testing.assert_allclose(y.T, expected * tile.alpha[:, None], rtol=2e-6, atol=1e-7)
    if name == "leaky":  # devices lose a hundredth, and get it back
        np.testing.assert_allclose(tile.alpha, 1.01, rtol=1e-5)


def refused_models():
    factor = 0.3

    class Closed(rs.BaseNoiseModel):
        @staticmethod
        def program(g, model, z):
            return g + factor * z

    class Misspelt(Leaky):
        @staticmethod
        def drift(g, target, c, model):
            return g * model.lost

    return {
        "closure": (Closed, r"Closed\.program must not use variables of an enclosing .*factor"),
        "misspelt": (Misspelt, r"Misspelt\.drift reads a number that the model does not.*'lost'"),
    }


@pytest.mark.parametrize("case", refused_models())
def test_laws_that_cannot_become_machine_code_are_refused_and_change_nothing(case):
    kind, message = refused_models()[case]
    with pytest.raises(ConfigError, match=message):
        ProgrammedDevices(kind(), W, 1)
    tile = tile_of(W, compensation=rs.GlobalDriftCompensation())
    tile.drift_weights(DAY)
    before, config = tile.state_dict(), tile.rpu_config
    with pytest.raises(ConfigError, match=message):
        tile.program_weights(noise_model=kind())
    assert tile.rpu_config == config
    for part, value in tile.state_dict().items():
        np.testing.assert_array_equal(value, before[part], err_msg=part)


def test_a_model_is_a_configuration():
    for name in ALL:
        own = model(name)
        assert own == model(name)
        assert rs.BaseNoiseModel.from_dict(own.to_dict()) == own
        assert eval(repr(own), vars(rs)) == own
        assert own != own.replace(read_noise="PER_CALL")
        with pytest.raises((ConfigError, dataclasses.FrozenInstanceError)):
            own.g_max = 1.0


# ---------------------------------------------------------------- constants

KAPPA = {  # printed by hand from the equation, t = 0, 1, 20, 3600, 86400, 31536000 s
    "pcm": (4.1838, 4.1897, 4.2659, 4.7648, 5.0868, 5.6370),
    "hermes2": (4.4154, 4.4158, 4.4227, 4.6969, 5.0162, 5.5730),
    "hermes1": (4.3692, 4.3698, 4.3801, 4.6941, 5.0161, 5.5730),
}
U = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
ERRORS = {  # uS
    "pcm": (0.26348, 0.44825, 0.68141, 0.95271, 1.07736, 1.05538),
    "hermes1": (0.15782, 0.36932, 0.61449, 0.86531, 0.97483, 1.00757),
    "hermes2": (0.16603, 0.55772, 0.88876, 0.99101, 0.91244, 1.0927),
}
RELATIVE = {
    "pcm": (0.2, 0.03931, 0.02167, 0.01381, 0.01061, 0.0088),
    "hermes1": (0.04, 0.02176, 0.02059, 0.0217, 0.01836, 0.0168),
    "hermes2": (0.04, 0.02004, 0.01593, 0.01671, 0.01529, 0.0123),
}
LAST = 0.5e-5 + 4 * FLOAT32  # half a unit of the last digit


@pytest.mark.parametrize("name", KAPPA)
def test_tabulated_constants_are_met(name):
    own = model(name)
    top = own.converter.g_max
    for t, kappa in zip((0.0, 1.0, 20.0, 3600.0, DAY, YEAR), KAPPA[name], strict=True):
        assert own.at(t)["spectrum"] == pytest.approx(kappa, abs=0.5e-4)
        assert naive.kappa(name, t) == pytest.approx(kappa, abs=0.5e-4)
    law = dict(own.packed(0.0)[0])
    values, found, place = own.packed(0.0)[1], {}, 0
    for field, length in law.items():
        found[field] = values[place : place + max(length, 1)]
        place += max(length, 1)
    for u, error, q in zip(U, ERRORS[name], RELATIVE[name], strict=True):
        assert sum(c * u**k for k, c in enumerate(found["prog_coeff"])) == pytest.approx(
            error, abs=LAST
        )
        assert naive.programming_error(name, u) * top == pytest.approx(error, abs=LAST)
        assert float(naive.read_noise(name, u)) == pytest.approx(q, abs=LAST)


# ---------------------------------------------------------------- references of polynomials


@pytest.mark.parametrize(
    ("name", "options", "factor"),
    [
        ("pcm", dict(g_max=50.0), 2.0),
        ("pcm", dict(g_max=50.0, prog_coeff_g_max_reference=20.0), 2.5),
        ("pcm", dict(g_max=50.0, prog_coeff=[0.26348, 1.965, -1.1731]), 1.0),
        (
            "pcm",
            dict(g_max=50.0, prog_coeff=[0.26348, 1.965, -1.1731], prog_coeff_g_max_reference=20.0),
            2.5,
        ),
        ("hermes2", dict(g_max=10.35), 0.5),
        ("hermes2", dict(g_max=10.35, prog_coeff_g_max_reference=41.4), 0.25),
        ("state", dict(g_max=50.0), 1.0),
        ("wan", dict(), 25.0 / 40.0),
        ("wan", dict(g_max=20.0, coeff_g_max_reference=10.0), 2.0),
    ],
)
def test_the_conductance_at_which_a_polynomial_was_measured_is_kept(name, options, factor):
    """The reference forgets one that is given, and has another one for Wan than it says."""
    own, field = model(name, **options), "prog_sigma" if name == "wan" else "prog_coeff"
    default = {"pcm": 0.26348, "hermes2": 0.16603222, "state": 0.2, "wan": 0.348}[name]
    assert own.numbers()[field][0] == pytest.approx(factor * default, rel=1e-12)
    held = ProgrammedDevices(own, columns([0.0, 1.0], 20000), 1)
    errors = held.programmed[0, :, 1] - held.target[0, :, 1]
    check_std(errors, sum(own.numbers()[field]))


def test_factors_scale_errors_exponents_and_reads():
    quiet = model("pcm", prog_noise_scale=0.0, drift_scale=0.0, read_noise_scale=0.0)
    made = ProgrammedDevices(quiet, W, 1)
    np.testing.assert_array_equal(made.weights(DAY), made.weights())
    assert np.abs(made.weights(DAY) - W).max() <= 4 * FLOAT32
    for t in (0.0, 3600.0):
        one = devices("pcm", [1.0, 0.5], 20000, prog_noise_scale=0.0, drift_scale=0.0)
        two = devices(
            "pcm", [1.0, 0.5], 20000, prog_noise_scale=0.0, drift_scale=0.0, read_noise_scale=3.0
        )
        levels = np.array([1.0, 0.5])
        q = naive.kappa("pcm", t) * naive.read_noise("pcm", levels)
        for scale, held in ((1.0, one), (3.0, two)):
            check_std(held.conductances(t)[0] / (25.0 * levels), scale * q)


@pytest.mark.parametrize("name", ["pcm", "state", "hermes1", "hermes2"])
def test_conductances_are_never_negative(name):
    """Neither as programmed, where half of those for 0 would be, nor as read."""
    made = devices(name, [0.0, 1.0], 20000, read_noise_scale=5.0)
    low = made.programmed[0, :, 0]
    check_proportion(low == 0.0, 0.5)
    read = made.conductances(DAY)[0, :, 0]
    assert low.min() == read.min() == 0.0
    r = 5.0 * naive.kappa(name, DAY) * naive.read_noise(name, low / made.model.converter.g_max)
    held = low > 0.0
    expected = ndtr(-1.0 / r[held])  # of the reads of positive conductances
    off = (read[held] == 0.0).mean() - expected.mean()
    assert abs(off) <= Z * np.sqrt((expected * (1.0 - expected)).sum()) / held.sum()
    assert expected.mean() > 0.1


@pytest.mark.parametrize("name", ["pcm", "hermes2"])
@pytest.mark.parametrize("from_target", [False, True])
def test_read_noise_may_follow_the_target(name, from_target):
    """At a tenth, programming spreads conductances by a fifth, and with them their noise."""
    t, u = 3600.0, 0.1
    made = devices(name, [u, 1.0], 200000, drift_scale=0.0, read_noise_from_target=from_target)
    g, top = made.programmed[0, :, 0].astype(float), made.model.converter.g_max
    held = g > 0.3 * u * top
    read, g = made.conductances(t)[0, held, 0], g[held]
    own, other = (
        (read / g - 1.0) / naive.kappa(name, t) / naive.read_noise(name, base)
        for base in ((u, g / top) if from_target else (g / top, u))
    )
    large = g > np.median(g)
    for part in (large, ~large):  # 1 whatever was programmed, if the base is right
        check_variance(own[part], 1.0)
    ratio = other[large].var() / other[~large].var()
    assert (ratio > 1.1) if from_target else (ratio < 0.9)


def test_state_independent_noise_has_a_factor_of_its_own():
    made = devices("state", [1.0], 20000, prog_noise_scale=0.0, drift_scale=0.0, read_q=0.01)
    g = made.conductances(3600.0)[0, :, 0]
    check_std(g / 25.0, 0.01 * naive.kappa("state", 3600.0))


# ---------------------------------------------------------------- exponents from a table

TABLE = {"g_lst": [0, 5, 25], "nu_mean_lst": [0.1, 0.06, 0.02], "nu_std_lst": [0.02, 0.01, 0.0]}


def test_exponents_follow_a_table():
    own = rs.CustomDriftPCMLikeNoiseModel(custom_drift_model=TABLE)
    made = ProgrammedDevices(own, columns([0.1, 0.2, 0.6, 1.0], 20000), 1)
    mean, std = (np.interp([2.5, 5, 15, 25], TABLE["g_lst"], TABLE[n]) for n in list(TABLE)[1:])
    check_mean(made.coefficients[0], mean, std, floor=FLOAT32)
    check_variance(made.coefficients[0], std**2, floor=1e-14)
    scaled = ProgrammedDevices(own.replace(drift_scale=2.0), columns([0.1, 1.0], 100), 1)
    assert (scaled.coefficients[0, :, 1] == np.float32(0.04)).all()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"g_lst": [0, 25, 5]}, "g_lst must be >= 0 and ascend"),
        ({"g_lst": [0, 0, 25]}, "g_lst must be >= 0 and ascend"),
        ({"g_lst": [-1, 5, 25]}, "g_lst must be >= 0 and ascend"),
        ({"g_lst": [0, 5, 20]}, "must reach over all conductances of the converter, 0 to 25 uS"),
        ({"g_lst": [1, 5, 25]}, "must reach over all conductances of the converter, 0 to 25 uS"),
        ({"g_lst": [0, 25]}, "must hold lists of one length, at least 2, got {'g_lst': 2"),
        ({"g_lst": [0], "nu_mean_lst": [1], "nu_std_lst": [1]}, "one length, at least 2"),
        ({"nu_std_lst": [0.1, -0.1, 0.1]}, "nu_std_lst must be >= 0"),
        ({"nu_mean_lst": 0.1}, "nu_mean_lst must be a list of numbers, got 0.1"),
        ({"nu_mean_lst": ["a", "b", "c"]}, "nu_mean_lst must be a list of numbers"),
        ({"nu_std_lst": None}, "must hold g_lst, nu_mean_lst, nu_std_lst, got g_lst, nu_mean_lst"),
        ({"nu_k": [1, 2, 3]}, "must hold g_lst, nu_mean_lst, nu_std_lst, got .*nu_k"),
    ],
    ids=str,
)
def test_tables_of_exponents_that_do_not_fit_are_refused(changes, text):
    table = {k: v for k, v in {**TABLE, **changes}.items() if v is not None}
    with pytest.raises(ConfigError, match=rf"CustomDrift\w*\.custom_drift_model.*{text}"):
        rs.CustomDriftPCMLikeNoiseModel(custom_drift_model=table)


@pytest.mark.parametrize("wrong", [[1, 2], "abc", 3.0, None])
def test_a_table_of_exponents_is_a_dict(wrong):
    with pytest.raises(ConfigError, match=r"CustomDriftPCMLikeNoiseModel\.custom_drift_model must"):
        rs.CustomDriftPCMLikeNoiseModel(custom_drift_model=wrong)


# ---------------------------------------------------------------- largest conductances


@pytest.mark.parametrize(("devices_per_side", "most"), [(1, 10.35), (2, 20.7)])
def test_the_chip_has_no_larger_conductances(devices_per_side, most):
    assert rs.HermesNoiseModel(num_devices=devices_per_side).converter.g_max == most
    for options in (
        dict(g_max=most + 0.1),
        dict(g_converter=rs.SinglePairConductanceConverter(g_max=40.0)),
    ):
        with pytest.raises(
            ConfigError, match=rf"g_max must be at most {most:g} uS with num_devices"
        ):
            rs.HermesNoiseModel(num_devices=devices_per_side, **options)
    with pytest.raises(ConfigError, match=r"HermesNoiseModel\.num_devices must be in 1\.\.2"):
        rs.HermesNoiseModel(num_devices=3)


def test_a_converter_and_another_largest_conductance_are_refused():
    converter = rs.SinglePairConductanceConverter(g_max=15.0)
    assert rs.PCMLikeNoiseModel(g_converter=converter, g_max=15.0).converter is converter
    with pytest.raises(ConfigError, match=r"g_max is 25\.0 but g_converter has 15\.0: give one"):
        rs.PCMLikeNoiseModel(g_converter=converter, g_max=25.0)


# ---------------------------------------------------------------- relaxation


def relaxed(made, t):
    return (made.conductances(t) - made.target)[0, :, 0]


@pytest.mark.parametrize("fresh", [False, True])
def test_a_relaxing_device_has_one_error_for_all_times_unless_fresh(fresh):
    made = devices("wan", [0.5, 1.0], 20000, fresh_relaxation=fresh)
    found = [relaxed(made, t) for t in (0.0, 1.0) if made.relax() is None]
    made.relax()
    found += [relaxed(made, DAY)]
    made.relax()
    found += [relaxed(made, 2 * DAY)]
    programmed = (made.programmed - made.target)[0, :, 0]
    for k, own in enumerate(found):
        for other in [*found[:k], programmed]:
            if fresh:
                check_correlation(own, other, 0.0)
            else:
                assert np.corrcoef(own, other)[0, 1] > 1.0 - 1e-5
    for t, own in zip((1.0, DAY, 2 * DAY), found[1:], strict=True):
        check_std(own, sum(c * 0.5**k for k, c in enumerate(naive.WAN[t])) * 25.0 / 40.0)


def test_between_measured_times_errors_are_interpolated_in_the_logarithm():
    plain, own = model("wan"), model("wan", interpolate=True)
    for t in (0.5, 3600.0, 1e6):
        with pytest.raises(DataError, match="knows the times 1, 86400, 172800 s, got"):
            plain.at(t)
    known = {t: np.array(plain.at(t)["sigma"]) for t in (1.0, DAY, 2 * DAY)}
    for t, coeffs in known.items():
        np.testing.assert_array_equal(own.at(t)["sigma"], coeffs)
    half = own.at(DAY**0.5)["sigma"]
    np.testing.assert_allclose(half, 0.5 * (known[1.0] + known[DAY]), rtol=1e-12)
    np.testing.assert_array_equal(own.at(0.01)["sigma"], known[1.0])
    np.testing.assert_allclose(own.at(1e9)["sigma"], known[2 * DAY], rtol=1e-15)
    np.testing.assert_array_equal(plain.at(0.0)["sigma"], known[1.0])


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({-1.0: [1.0]}, "times must be > 0"),
        ({1.0: [1.0], 2.0: [1.0, 2.0]}, r"polynomials of one length, got \[1, 2\]"),
        ({"day": [1.0]}, "must map times to lists of numbers"),
        ({1.0: ["a"]}, "must be one or more numbers"),
        ({1.0: []}, "must be one or more numbers"),
        ([1.0, 2.0], "must map times to lists of numbers"),
    ],
)
def test_tables_of_relaxation_that_do_not_fit_are_refused(table, text):
    with pytest.raises(ConfigError, match=rf"ReRamWan2022NoiseModel\.coeff_dic.*{text}"):
        rs.ReRamWan2022NoiseModel(coeff_dic=table)


def test_an_error_table_of_ones_own_is_for_the_converters_conductance():
    own = rs.ReRamWan2022NoiseModel(coeff_dic={5.0: [0.5], 2.0: [0.25]}, g_max=10.0)
    assert own.at(0.0)["sigma"] == own.at(2.0)["sigma"] == own.numbers()["prog_sigma"] == (0.25,)
    assert own.at(5.0)["sigma"] == (0.5,)


def test_metal_oxide_knows_zero_and_times_from_a_second_on():
    own = model("cmo")
    for t in (1e-9, 0.5, 0.999):
        with pytest.raises(DataError, match="describes times from 1 s on"):
            own.at(t)
    made = ProgrammedDevices(own, W, 1)
    np.testing.assert_array_equal(made.conductances(0.0), made.programmed)
    for t in (1.0, DAY, 10 * YEAR):
        shift, spread, noise = naive.cmo_device(t)
        found = own.at(t)
        assert found["mean"] == pytest.approx(shift, rel=1e-12)
        assert found["std"] == pytest.approx(spread, rel=1e-12)
        assert found["noise"] * np.log(10.0) == pytest.approx(noise, rel=1e-8)
    g = made.conductances(10 * YEAR)
    assert g.min() >= np.float32(9.0)
    assert g.max() <= np.float32(88.2)


def test_the_acceptance_range_is_a_key():
    """The default of the reference is none, and stands for its smallest key."""
    assert model("cmo").acceptance_range == 0.2
    assert model("cmo").numbers()["error"] == (0.00081107, 0.00106879)
    assert model("cmo", acceptance_range=2.0).numbers()["error"] == (0.0112185391, 0.01129027418)
    with pytest.raises(
        ConfigError, match=r"must be one of those in coeff_dict, 0\.2, 2\.0, got 0\.02"
    ):
        model("cmo", acceptance_range=0.02)
    own = model("cmo", coeff_dict={5.0: [0.5, 0.0]}, acceptance_range=5.0)
    held = ProgrammedDevices(own, columns([-1.0, 1.0], 20000), 1)
    check_std(held.programmed[0] - held.target[0], 0.5)


@pytest.mark.parametrize("fresh", [False, True])
def test_the_relaxation_of_metal_oxide_is_one_for_all_times_unless_fresh(fresh):
    made = devices("cmo", [0.0, -1.0, 1.0], 20000, fresh_relaxation=fresh)
    first = (made.conductances(1.0, read=False) - made.programmed)[0, :, 0]
    made.relax()
    later = (made.conductances(YEAR, read=False) - made.programmed)[0, :, 0]
    if fresh:
        check_correlation(first, later, 0.0)
    else:
        assert np.corrcoef(first, later)[0, 1] > 1.0 - 1e-5
    shift, spread, _ = naive.cmo_device(YEAR)
    check_mean(later, shift, spread, floor=1e-5)
    check_std(later, spread)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (dict(coeff_dict={0.2: []}), r"coeff_dict\[0\.2\] must be one or more numbers"),
        (dict(coeff_dict={0.2: "ab"}), r"coeff_dict\[0\.2\] must be"),
        (dict(coeff_dict=[1.0]), "coeff_dict must be a dict"),
        (dict(decay_dict={"mean": [1.0]}), "decay_dict.*std"),
        (dict(decay_dict={"mean": [1.0], "std": [1.0]}), r"decay_dict\['std'\] must hold 2"),
        (dict(read_dict={"K": 1.0}), "read_dict.*t_read"),
        (dict(read_dict={"K": -1.0, "t_read": 1e-6}), r"read_dict\['K'\] must be a number > 0"),
        (dict(g_min=90.0), "g_min must be below g_max"),
    ],
    ids=str,
)
def test_tables_of_metal_oxide_that_do_not_fit_are_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        ProgrammedDevices(rs.ReRamCMONoiseModel(**options), W, 1)


# ---------------------------------------------------------------- when reads draw


def test_noise_per_call_has_its_closed_form_and_noise_per_drift_stays():
    t, calls = 3600.0, 4000
    x = np.random.default_rng(1).uniform(-1.0, 1.0, (1, 9)).astype(np.float32)
    kept = tile_of(W, rng=4)
    kept.drift_weights(t)
    first = kept.forward(x, is_test=True)
    assert all(np.array_equal(kept.forward(x, is_test=True), first) for _ in range(3))
    tile = tile_of(W, rs.PCMLikeNoiseModel(read_noise="PER_CALL"), rng=4)
    tile.drift_weights(t)
    y = np.array([tile.forward(x, is_test=True)[0] for _ in range(calls)])
    held = tile.crossbar.devices
    quiet = host(held.conductances(t, read=False)).astype(float)
    r = naive.kappa("pcm", t) * naive.read_noise("pcm", host(held.programmed) / 25.0)
    raw = naive.rectified(1.0, r)
    scale = host(held.params["scale_ratio"])
    mean = quiet * raw[0] / scale
    variance = (quiet / scale) ** 2 * (raw[1] - raw[0] ** 2)
    expected = (mean[0] - mean[1]) @ x[0]
    check_mean(y, expected, np.sqrt(variance.sum(axis=0) @ x[0] ** 2), floor=1e-5)
    check_variance(y, variance.sum(axis=0) @ x[0] ** 2, floor=1e-9)
    with pytest.raises(ConfigError, match="moments: read_noise PER_CALL has no closed form"):
        tile.moments(x)


def test_noise_per_call_differs_between_calls_not_between_vectors():
    tile = tile_of(W, rs.PCMLikeNoiseModel(read_noise="PER_CALL"))
    tile.drift_weights(DAY)
    y = tile.forward(np.ones((5, 9)), is_test=True)
    assert (y == y[0]).all()
    assert not np.array_equal(tile.forward(np.ones((5, 9)), is_test=True), y)
    before = tile.get_weights()[0]
    tile.forward(np.ones((5, 9)))
    np.testing.assert_array_equal(tile.get_weights()[0], before)  # as they were read at the drift


def test_errors_go_back_through_the_read_of_their_forward():
    tile = tile_of(W, rs.PCMLikeNoiseModel(read_noise="PER_CALL"))
    tile.drift_weights(DAY)
    y = tile.forward(np.eye(9))
    context = tile.last_forward
    tile.forward(np.ones((2, 9)))
    g = tile.backward(np.eye(9, 7), context)
    np.testing.assert_allclose(g[:7], y.T, rtol=0, atol=1e-6)
    other = tile.transposed(np.eye(7))
    assert not np.array_equal(other, tile.transposed(np.eye(7)))


def test_a_refused_call_takes_no_read():
    tile = tile_of(W, rs.PCMLikeNoiseModel(read_noise="PER_CALL"))
    tile.drift_weights(DAY)
    before = tile.state_dict()
    with pytest.raises(DataError, match="must be finite"):
        tile.forward(np.full((2, 9), np.nan))
    for name, value in tile.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_noise_per_call_reaches_through_wires():
    wires = rs.IOParametersIRDropT(out_noise=0.0, adc_quantization=False)
    tile = tile_of(W, rs.PCMLikeNoiseModel(read_noise="PER_CALL"), forward=wires)
    tile.drift_weights(DAY)
    x = np.ones((1, 9))
    assert not np.array_equal(tile.forward(x, is_test=True), tile.forward(x, is_test=True))
