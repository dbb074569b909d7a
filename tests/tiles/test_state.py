"""States and files: a restored tile continues bit for bit; what does not fit changes nothing."""

import json
import os
import pickle
import warnings

import numpy as np
import pytest

import rpusim as rs
from rpusim import nn, optim
from rpusim.config import Config
from rpusim.errors import DataError, RpusimError, ShapeError, StateError

pytestmark = pytest.mark.filterwarnings("ignore::rpusim.errors.ClippedWeightsWarning")

OUT, IN = 3, 4
ALIVE = {"lifetime": 50.0, "diffusion": 0.01, "dw_min": 0.01}
DRIFT = ALIVE | {"drift": {"nu": 0.1, "nu_dtod": 0.2, "nu_std": 0.2, "w_noise_std": 0.01}}
MAPPED = {"weight_scaling_omega": 0.5, "weight_scaling_columnwise": True}
ANALOG = {**MAPPED, "digital_bias": False}
OWN = [
    kind
    for kind in Config.registry.values()
    if issubclass(kind, rs.PulsedDevice) and kind.__module__.startswith("rpusim.devices.")
    if hasattr(kind, "pulse")
]
CASES = {kind.__name__: (kind(), {}, False) for kind in OWN} | {
    "ideal": (rs.IdealDevice(lifetime=50.0, diffusion=0.01), {}, False),
    "digital, drift": (rs.FloatingPointDevice(drift={"nu": 0.1}, lifetime=9.0), {}, False),
    "write noise": (rs.SoftBoundsDevice(write_noise_std=2.0, **ALIVE), {}, False),
    "write noise, drift": (
        rs.LinearStepDevice(write_noise_std=2, mult_noise=False, **DRIFT),
        {},
        False,
    ),
    "constant step, drift, counts": (rs.ConstantStepDevice(count_pulses=True, **DRIFT), {}, False),
    "scales, digital bias": (rs.SoftBoundsDevice(), MAPPED, True),
    "scales, analog bias": (rs.ConstantStepDevice(perfect_bias=True), ANALOG, True),
}


def made(case, rng=1):
    device, mapping, bias = CASES[case]
    config = rs.RPUConfig(device=device, mapping=rs.MappingParameter(**mapping))
    return rs.AnalogTile(OUT, IN, config, bias, rng=rng)


def arrays(shape, seed):
    return np.random.default_rng(seed).normal(0.0, 0.3, shape)


def reset(tile):
    if not isinstance(tile.rpu_config.device, rs.FloatingPointDevice):
        tile.reset_columns(1, 2, 0.5)


LIFE = [
    lambda t: t.forward(arrays((5, IN), 1)),
    lambda t: t.update(arrays((6, IN), 2), arrays((6, OUT), 3), learning_rate=0.1),
    lambda t: t.post_update_step(),
    lambda t: t.drift_weights(7.0),
    lambda t: t.backward(arrays((5, OUT), 4)),
    lambda t: t.set_weights(arrays((OUT, IN), 5), arrays(OUT, 6) if t.has_bias else None),
    lambda t: t.update(arrays((6, IN), 7), arrays((6, OUT), 8), learning_rate=0.1),
    lambda t: t.post_update_step(),
    reset,
    lambda t: t.drift_weights(30.0),
    lambda t: t.forward(arrays((5, IN), 9)),
]


def live(tile, begin=0, end=None):
    return [result for act in LIFE[begin:end] if (result := act(tile)) is not None]


def assert_equal_states(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_a_restored_tile_continues_bit_for_bit_at_any_moment(case):
    for moment in range(len(LIFE) + 1):
        tile, other = made(case), made(case, rng=99)
        live(tile, 0, moment)
        live(other, 0, 4)
        other.load_state_dict(tile.state_dict())
        assert_equal_states(other.state_dict(), tile.state_dict())
        for mine, theirs in zip(live(tile, moment), live(other, moment), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert_equal_states(other.state_dict(), tile.state_dict())
        assert other.seed == tile.seed == 1


@pytest.mark.parametrize("case", CASES)
def test_a_loaded_tile_continues_bit_for_bit(case, tmp_path):
    tile = made(case)
    live(tile, 0, 7)
    rs.save(tmp_path / "tile.npz", tile)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = rs.load(tmp_path / "tile.npz")
    assert repr(again) == repr(tile)
    assert again.stats.state().tolist() == tile.stats.state().tolist()
    for mine, theirs in zip(live(tile, 7), live(again, 7), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert_equal_states(again.state_dict(), tile.state_dict())


def test_kind_and_backend_of_a_tile_are_saved(tmp_path):
    for tile in (
        rs.FloatingPointTile(2, 3, bias=True, rng=1),
        rs.AnalogTile(2, 3, rs.IdealDevice(), rng=1, backend="python"),
    ):
        rs.save(tmp_path / "tile.npz", tile)
        again = rs.load(tmp_path / "tile.npz")
        assert (type(again), again.backend, again.has_bias) == (
            type(tile),
            tile.backend,
            tile.has_bias,
        )


def test_a_state_is_a_copy():
    tile = made("scales, digital bias")
    state, before = tile.state_dict(), tile.state_dict()
    live(tile)
    assert_equal_states(state, before)
    for value in state.values():
        value[...] = 0
    assert tile.get_weights()[0].any()


# ---------------------------------------------------------------- states that do not fit


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"ledger": None}, StateError, "another kind of tile; missing: ledger"),
        ({"extra": 1}, StateError, "another kind of tile; unknown: extra"),
        (
            {"plane_max_bound": np.zeros((2, 2))},
            ShapeError,
            r"plane_max_bound must .* got \(2, 2\)",
        ),
        ({"rng_steps": np.zeros(3, int)}, ShapeError, r"rng_steps must have shape .* got \(3,\)"),
        ({"visible_weights": np.ones((3, 4), complex)}, DataError, "visible_weights .* complex128"),
        ({"persistent_weights": np.full((3, 4), "a")}, DataError, "must be float32, got <U1"),
        ({"persistent_weights": np.full((3, 4), np.nan)}, RpusimError, "persistent_weights"),
        ({"version": np.array(2)}, StateError, "has version 2, this rpusim reads up to 1"),
        ({"version": np.array([1, 1])}, RpusimError, "version"),
        ({"version": np.array("1.0.3")}, RpusimError, "version"),
    ],
    ids=lambda v: str(v) if isinstance(v, dict) else "",
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(changes, error, text):
    tile = made("write noise, drift")
    live(tile)
    before = tile.state_dict()
    state = {**made("write noise, drift", rng=5).state_dict(), **changes}
    with pytest.raises(error, match=text):
        tile.load_state_dict({k: v for k, v in state.items() if v is not None})
    assert_equal_states(tile.state_dict(), before)


def test_the_state_of_another_tile_is_refused():
    tile = made("SoftBoundsDevice")
    with pytest.raises(
        StateError, match="another kind of tile; missing: plane_slope_down, plane_slope_up"
    ):
        tile.load_state_dict(made("ConstantStepDevice").state_dict())
    with pytest.raises(StateError, match="unknown: bias"):
        tile.load_state_dict(made("scales, digital bias").state_dict())
    with pytest.raises(ShapeError, match=r"must have shape \(3, 4\), got \(4, 3\)"):
        tile.load_state_dict(rs.AnalogTile(IN, OUT, rs.SoftBoundsDevice(), rng=1).state_dict())


# ---------------------------------------------------------------- files


@pytest.fixture
def saved(tmp_path):
    tile = made("SoftBoundsDevice")
    rs.save(tmp_path / "tile.npz", tile)
    return tmp_path / "tile.npz", tile


def test_a_damaged_file_is_refused_or_harmless(saved):
    path, tile = saved
    whole = path.read_bytes()
    for place in range(0, len(whole), 19):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            again = rs.load(path)
        except StateError:
            continue
        assert_equal_states(again.state_dict(), tile.state_dict())


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(saved, part):
    path, _ = saved
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(StateError, match=r"tile\.npz' is not a complete file of rpusim\.save: "):
        rs.load(path)


def write_foreign(path, kind):
    if kind == "npy":
        np.save(path.open("wb"), np.ones(3))
    elif kind == "npz":
        np.savez(path.open("wb"), weights=np.ones((3, 4)))
    elif kind == "objects":
        np.savez(path.open("wb"), header=np.array([{"format": "rpusim"}], object))
    else:
        path.write_bytes(pickle.dumps({"weights": 1}) if kind == "pickle" else b"[tile]\nsize = 3")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("npy", "it is an .npy file, of one array, and not an .npz file"),
        ("npz", "it is an .npz file of weights, without the header that tells what was saved"),
        ("objects", "it holds objects"),
        ("pickle", "an .npz file begins with PK, this one with b'"),
        ("text", r"an .npz file begins with PK, this one with b'\[tile\]'"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, kind, what):
    write_foreign(tmp_path / "tile.npz", kind)
    message = rf"tile\.npz' is not a complete file of rpusim\.save: {what}"
    with pytest.raises(StateError, match=message) as error:
        rs.load(tmp_path / "tile.npz")
    assert "allow_pickle" not in str(error.value)
    with pytest.raises(FileNotFoundError):
        rs.load(tmp_path / "none.npz")


def with_header(path, **changes):
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    header = {**json.loads(content.pop("header").tobytes()), **changes}
    header = {k: v for k, v in header.items() if v is not None}
    np.savez(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **content)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"version": 2}, "has version 2, this rpusim reads up to 1"),
        ({"format": "other"}, "is not a complete file"),
        ({"version": None}, "version|complete"),
        ({"version": "1"}, "version|complete"),
        ({"out_size": None}, "out_size|complete"),
        ({"kind": "Nothing"}, "Nothing|complete"),
        ({"rpu_config": {"type": "Nothing"}}, "no configuration is called 'Nothing'"),
        ({"out_size": 5}, r"must have shape \(5, 4\), got \(3, 4\)"),
    ],
    ids=str,
)
def test_a_file_with_another_header_is_refused(saved, changes, text):
    with_header(saved[0], **changes)
    with pytest.raises(RpusimError, match=text):
        rs.load(saved[0])


def test_a_file_that_does_not_fit_leaves_the_object_alone(saved):
    tile = made("ConstantStepDevice")
    before = tile.state_dict()
    with pytest.raises(StateError, match="another kind of tile"):
        rs.load(saved[0], into=tile)
    assert_equal_states(tile.state_dict(), before)


def test_what_is_no_tile_is_loaded_into_its_like(tmp_path):
    model, other = (nn.Sequential(nn.Linear(2, 3, rng=seed)) for seed in (1, 2))
    rs.save(tmp_path / "model.npz", model)
    with pytest.raises(StateError, match=r"holds a Sequential; load it with load\(path, into="):
        rs.load(tmp_path / "model.npz")
    assert rs.load(tmp_path / "model.npz", into=other) is other
    np.testing.assert_array_equal(other(np.ones(2)), model(np.ones(2)))


def test_a_write_that_fails_leaves_the_old_file(saved, monkeypatch):
    path, tile = saved
    whole = path.read_bytes()

    def fail(file, **_):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        rs.save(path, tile)
    assert path.read_bytes() == whole
    assert [p.name for p in path.parent.iterdir()] == ["tile.npz"]


def test_a_file_holds_plain_arrays_under_ordinary_permissions(saved, tmp_path):
    with np.load(saved[0], allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "fiub" for name in file.files)
        config = json.loads(file["header"].tobytes())["rpu_config"]
    assert Config.from_dict(config) == saved[1].rpu_config
    (tmp_path / "plain").write_text("")
    assert os.stat(saved[0]).st_mode == os.stat(tmp_path / "plain").st_mode


def test_draws_from_another_seed_leave_no_trace():
    tile = made("SoftBoundsDevice")
    before = tile.state_dict()
    results = []
    for seed in (7, 7, 8):
        with tile.seeded(seed):
            results.append(tile.forward(arrays((5, IN), 1)))
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
    after = tile.state_dict()
    np.testing.assert_array_equal(after["rng_steps"], before["rng_steps"])
    assert tile.seed == 1


# ---------------------------------------------------------------- several objects in one file


def several(rng):
    model = nn.Sequential(nn.AnalogLinear(IN, OUT, rpu_config=rs.SoftBoundsDevice(), rng=rng))
    optimizer = optim.AnalogSGD(model.parameters(), lr=0.1 * rng, momentum=0.5, analog_mode="sgd")
    return {"model": model, "optimizer": optimizer, "tile": made("ideal", rng)}


def states(objects):
    return {f"{n}/{k}": a for n, o in objects.items() for k, a in o.state_dict().items()}


def test_several_objects_share_a_file(tmp_path):
    objects, others = several(1), several(2)
    rs.save(tmp_path / "all.npz", objects)
    assert rs.load(tmp_path / "all.npz", into=others) is others
    assert_equal_states(states(others), states(objects))
    one = several(3)
    before = states({"optimizer": one["optimizer"]})
    rs.load(tmp_path / "all.npz", into={"model": one["model"]})
    assert_equal_states(one["model"].state_dict(), objects["model"].state_dict())
    assert_equal_states(states({"optimizer": one["optimizer"]}), before)


def test_equal_states_make_equal_files(tmp_path):
    for name in ("a", "b"):
        rs.save(tmp_path / name, several(1))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_objects_that_do_not_fit_leave_all_alone(tmp_path):
    path, objects = tmp_path / "all.npz", several(1)
    rs.save(path, objects)
    other = several(2)
    before = states(other)
    kinds = r"holds model \(Sequential\), optimizer \(AnalogSGD\), tile \(AnalogTile\), not "
    for into, text in [
        (other["model"], kinds + "Sequential"),
        ({"model": other["model"], "opt": other["optimizer"]}, kinds + "model, opt;"),
        ({"model": 3}, "load: into: model must be a tile or a model, .* got 3"),
        ({}, "load: into must name at least one object"),
    ]:
        with pytest.raises(StateError, match=text):
            rs.load(path, into=into)
        assert_equal_states(states(other), before)
    wrong = {**other, "tile": made("scales, digital bias")}  # refused when others are loaded
    with pytest.raises(StateError, match=r"tile: AnalogTile\.load_state_dict: .* Nothing was load"):
        rs.load(path, into=wrong)
    assert_equal_states(states(other), before)
    rs.save(path, objects["model"])
    with pytest.raises(StateError, match=r"holds one object, not model, optimizer, tile; load it"):
        rs.load(path, into=other)
    with pytest.raises(StateError, match=r"names must be strings without '/', got 'a/b'"):
        rs.save(path, {"a/b": objects["model"]})
