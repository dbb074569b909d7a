"""From a scalar law to machine code: literals, refusals, marks, and a cache that is never stale."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rpusim.errors import ConfigError
from rpusim.kernels.bind import bind, kernel, mark
from rpusim.periphery.mvm import pass_panels

ROOT = Path(__file__).resolve().parents[2]
GAIN = 0.1
NODES = (0.25, 0.5)


def gap(w):
    return 1.0 - w / 3.0


def law(w, sign):
    """Return something of all kinds of constants."""
    return w + sign * GAIN * gap(w) * (NODES[0] + 0.7)


def with_default(w, sign=1.0):
    return w + sign


def with_default_keyword(w, *, sign=1.0):
    return w + sign


def fill(out, w):
    for i in range(out.size):
        out[i] = step(w[i])


def step(w):
    return w


def twice(w):
    return 2.0 * w


def thrice(w):
    return 3.0 * w


def made(source):
    """Return the function `law` of a piece of source text."""
    space = {"__name__": "made"}
    exec(source, space)
    return space["law"]


# ---------------------------------------------------------------- binding


@pytest.mark.parametrize("target", ["cpu", "python"])
def test_constants_do_not_turn_single_into_double_precision(target):
    bound = bind(law, target, entry=True, cache=False)
    result = bound(np.float32(0.3), np.float32(1.0))
    if target == "cpu":
        assert str(bound.nopython_signatures[0].return_type) == "float32"
    else:
        assert type(result) is np.float32


def test_plain_python_and_machine_code_give_the_same_bits():
    fast, plain = (bind(law, t, entry=True, cache=False) for t in ("cpu", "python"))
    w, down = np.linspace(-2.0, 2.0, 501, dtype=np.float32), np.float32(-1.0)
    assert all(fast(v, down) == plain(v, down) for v in w)


@pytest.mark.parametrize("target", ["cpu", "python"])
def test_a_free_name_becomes_what_it_is_bound_to(target):
    w, results = np.arange(4, dtype=np.float32), []
    for inner in (twice, thrice):
        out = np.empty_like(w)
        kernel(fill, target, step=inner)(out, w)
        results.append(out / np.maximum(w, 1.0))
    np.testing.assert_array_equal(results, [[0, 2, 2, 2], [0, 3, 3, 3]])


def test_the_function_itself_stays_as_it_was():
    bind(law, "python")
    assert type(law(0.3, 1.0)) is float
    assert all(type(c) is not np.float32 for c in law.__code__.co_consts)


def test_a_closure_is_refused_with_the_way_out():
    strength = 2.0

    def pulse(w):
        return strength * w

    text = r"pulse must not use variables of an enclosing function, got strength\. Make them fields"
    with pytest.raises(ConfigError, match=text):
        bind(pulse)


@pytest.mark.parametrize("function", [with_default, with_default_keyword])
def test_default_arguments_are_refused(function):
    with pytest.raises(
        ConfigError, match=rf"{function.__name__} must not have default arguments\."
    ):
        bind(function)


@pytest.mark.parametrize("thing", [np.sqrt, max, np.float32, 3])
def test_what_is_no_plain_function_is_refused(thing):
    with pytest.raises(ConfigError, match="must be a plain Python function to become a kernel"):
        bind(thing)


# ---------------------------------------------------------------- marks

BASE = '''
import numpy as np
RATE = 0.5
TABLE = (1.0, 2.0)
NODES = np.array([1.0, 2.0])
def inner(w):
    return w * w
def helper(w):
    return 0.1 * inner(w)
def law(w):
    """Fade."""
    return 1.0 - helper(w) * RATE * TABLE[0] * NODES[1]
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.0 - helper", "1.5 - helper"),
        ("1.0 - helper", "1.0 + helper"),
        ("0.1 * inner", "0.2 * inner"),
        ("w * w", "w + w"),
        ("RATE = 0.5", "RATE = 0.25"),
        ("(1.0, 2.0)", "(1.0, 3.0)"),
        ("[1.0, 2.0]", "[1.0, 3.0]"),
    ],
)
def test_the_mark_changes_with_law_helpers_and_constants(old, new):
    assert BASE.count(old) == 1
    assert mark(made(BASE)) != mark(made(BASE.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Fade."""', '"""Grow."""'),
        ("    return w", "    # why\n    return w"),
        ("RATE =", "\nRATE ="),
    ],
)
def test_the_mark_does_not_change_with_words_about_the_law(old, new):
    assert BASE.count(old) == 1
    assert mark(made(BASE)) == mark(made(BASE.replace(old, new)))


def test_the_mark_changes_with_what_a_name_is_bound_to():
    assert len({mark(fill), mark(fill, {"step": twice}), mark(fill, {"step": thrice})}) == 3


def test_the_mark_of_a_kernel_is_the_same_in_every_process():
    code = (
        "from rpusim.kernels.bind import mark; from rpusim.periphery.mvm import pass_panels as p\n"
    )
    code += "import sys; sys.stdout.write(mark(p))"
    marks = {run([code], hashseed=str(n)) for n in range(2)}
    assert marks == {mark(pass_panels)}


# ---------------------------------------------------------------- the cache on disk

MODULE = """
import rpusim as rs

def gap(w, bound):
    return 1.0 - w / bound

class Mine(rs.PulsedDevice):
    strength: float = rs.per_device(1.0, dtod=0.1)
    @staticmethod
    def pulse(w, sign, dev, model, z):
        bound = dev.max_bound if sign > 0.0 else dev.min_bound
        return w + sign * dev.strength * dev.dwmin_up * gap(w, bound) * (1.0 + 0.3 * z)
"""

TRAIN = """
import json, sys, time
import numpy as np, rpusim as rs

def weights(kind, backend):
    tile = rs.AnalogTile(3, 4, kind(w_min_dtod=0.0, w_max_dtod=0.0), rng=1, backend=backend)
    start = time.perf_counter()
    tile.update(np.ones((2, 4)), -np.ones((2, 3)), learning_rate=0.01)
    seconds = time.perf_counter() - start
    return tile.get_weights()[0].tobytes().hex(), seconds

def report(kind):
    (fast, seconds), (plain, _) = weights(kind, "cpu"), weights(kind, "python")
    return {"fast": fast, "plain": plain, "seconds": seconds}
"""

BARE = """
class Bare(PulsedDevice):
    @staticmethod
    def pulse(w, sign, dev, model, z):
        return w + sign * dev.dwmin_up * (1.0 - 0.5 * w) * (1.0 + 0.3 * z)
"""


def run(args, cache=None, hashseed="0"):
    """Run Python: a script and its arguments, or code."""
    args = args if args[0].endswith(".py") else ["-c", *args]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hashseed}
    if cache is not None:
        env["NUMBA_CACHE_DIR"] = str(cache)
    done = subprocess.run([sys.executable, *args], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("laws")


def train(folder, module):
    """Update with the device of a module; return a report and the files of the cache."""
    (folder / "user_law.py").write_text(module)
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n{TRAIN}\nfrom user_law import Mine\n"
    result = json.loads(run([code + "print(json.dumps(report(Mine)))"], folder / "cache"))
    return result, {p.name for p in (folder / "cache").rglob("*.nb?")}


@pytest.fixture(scope="module")
def first(folder):
    return train(folder, MODULE)


def test_a_law_of_a_users_module_runs_as_machine_code_and_as_python(first):
    result, files = first
    assert result["fast"] == result["plain"]
    assert any(name.endswith(".nbc") for name in files)


def test_an_unchanged_law_comes_from_the_cache(folder, first):
    again, files = train(folder, MODULE)
    assert files == first[1]
    assert again["fast"] == first[0]["fast"]
    assert again["seconds"] < 0.5 * first[0]["seconds"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sign * dev.strength *", "2.0 * sign * dev.strength *"),
        ("1.0 - w / bound", "1.5 - w / bound"),
    ],
    ids=["law", "helper"],
)
def test_an_edited_law_takes_effect_although_the_old_one_is_cached(folder, first, old, new):
    time.sleep(0.01)  # another time stamp
    result, _ = train(folder, MODULE.replace(old, new))
    assert result["fast"] == result["plain"]
    assert result["fast"] != first[0]["fast"]


def test_laws_of_a_script_and_of_a_bare_namespace_run_cached_or_not(folder):
    script = folder / "script.py"
    script.write_text(
        TRAIN + MODULE + f"space = {{'PulsedDevice': rs.PulsedDevice}}\nexec({BARE!r}, space)\n"
        "print(json.dumps([report(Mine), report(space['Bare'])]))"
    )
    for _ in range(2):
        for result in json.loads(run([str(script)], folder / "cache")):
            assert result["fast"] == result["plain"]
