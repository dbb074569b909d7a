"""Errors against pulses: what they are, when they are noted, and on what they depend."""

import importlib
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

import rpusim as rs
from rpusim.errors import ConfigError, DataError
from tests.naive.tolerance import Z

study = importlib.import_module("rpusim.studies.programming_budget")
programming_budget = study.programming_budget

STEP = 0.01
FLAT = dict(dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0)
EQUAL = rs.ConstantStepDevice(dw_min=STEP, dw_min_std=0.0, **FLAT)
QUIET = rs.RPUConfig(device=EQUAL, forward=rs.IOParameters(is_perfect=True))
BUDGETS = (3, 8, 40)
SIZE = math.prod(study.SHAPE)


@pytest.fixture(scope="module")
def found():
    """The default device, few budgets."""
    return programming_budget(budgets=BUDGETS, replicas=3)


def test_all_methods_end_nearer_than_they_were(found):
    assert found.methods == ("write_verify", "gradient", "fixed_inputs")
    for errors in (found.weight_error, found.product_error):
        assert errors.shape == (3, 3, 3)
        assert (np.diff(errors, axis=1) < 0.0).all()
        assert (errors[:, 0] > 0.6).all()
        assert (errors[:, -1] < 0.25).all()
    assert (found.pulses[1:, :, :] >= np.array(BUDGETS)[:, None]).all()
    assert (found.reads > 0.0).all()


def test_what_remains_is_what_was_noted_when_the_budget_was_spent():
    """Equal steps without noise: after k rounds a device has made k steps, or is right."""
    most = 20
    options = {"write_verify": {"tolerance": 0.5 * STEP}}
    found = programming_budget(QUIET, (5, most), ["write_verify"], 2, options=options, rng=7)
    for replica in range(2):
        source = np.random.SeedSequence(7, spawn_key=(replica,))
        target = np.random.default_rng(source).uniform(-0.3, 0.3, study.SHAPE)
        needed = np.ceil(np.abs(target) / STEP - 0.5)
        for k, budget in enumerate((5, most)):
            rounds = np.arange(1 + int(needed.max()))
            means = np.array([np.minimum(needed, r).mean() for r in rounds])
            done = int(np.argmax(means >= budget)) if means[-1] >= budget else rounds[-1]
            made = np.minimum(needed, done)
            assert found.pulses[0, k, replica] == pytest.approx(made.mean())
            left = np.linalg.norm(STEP * made * np.sign(target) - target) / np.linalg.norm(target)
            assert found.weight_error[0, k, replica] == pytest.approx(left, rel=1e-4)
        assert means[-1] < most  # it stopped before
        assert found.reads[0, replica] == pytest.approx(study.AVERAGED * (1.0 + needed.mean()))
    # errors of weights and of products with independent inputs have the same relative size
    ratio = found.product_error / found.weight_error
    inputs = Z / math.sqrt(2.0 * study.SHAPE[0])  # the error of each row is one direction
    assert np.abs(ratio - 1.0).max() < inputs


def test_reads_are_those_of_programming_alone():
    options = {"gradient": {"batch": 10, "max_iter": 3}, "fixed_inputs": {"max_iter": 4}}
    found = programming_budget(QUIET, (1, 1e9), ["gradient", "fixed_inputs"], 1, options=options)
    # after a failure the noise is measured with two reads more
    assert found.reads[:, 0].tolist() == [10 * 4 + 2 * 10, 32 * 5 + 2 * 32]


def test_the_noise_of_reads_is_that_of_outputs_unless_it_is_given():
    noisy = QUIET.replace(forward=rs.IOParameters(out_noise=0.1))
    ends = []
    for config, noise in ((noisy, None), (QUIET, 0.1), (QUIET, None)):
        found = programming_budget(config, (200,), ["write_verify"], 1, read_noise=noise)
        ends.append(found.weight_error[0, 0, 0])
    assert ends[0] == ends[1] > 2.0 * ends[2]


def test_methods_see_the_same_replicas_whatever_else_is_asked(found):
    alone = programming_budget(budgets=BUDGETS, methods="gradient", replicas=1)
    np.testing.assert_array_equal(alone.weight_error[0, :, 0], found.weight_error[1, :, 0])
    other = programming_budget(budgets=BUDGETS, methods="gradient", replicas=1, rng=1)
    assert (other.weight_error != alone.weight_error).all()
    assert programming_budget(budgets=(3,), replicas=1, rng=None).seed > 0


def test_the_table_has_a_row_for_every_number(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=dict))
    table = found.to_pandas()
    names = ["method", "budget", "replica", "pulses", "weight_error", "product_error"]
    assert {name: len(column) for name, column in table.items()} == dict.fromkeys(names, 27)
    row = (table["method"] == "gradient") & (table["budget"] == 8) & (table["replica"] == 2)
    assert table["product_error"][row].tolist() == [found.product_error[1, 1, 2]]
    assert table["pulses"][row].tolist() == [found.pulses[1, 1, 2]]


def test_the_picture_shows_weights_and_products_of_every_method(found):
    ax = found.plot(Figure().subplots())
    lines = ax.get_lines()
    assert len(lines) == 7  # the last one is a key
    rms = np.sqrt(np.square(found.product_error[2]).mean(axis=-1))
    np.testing.assert_allclose(lines[5].get_ydata(), rms)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [*found.methods, "products"]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (dict(methods=["gradent"]), ConfigError, "did you mean 'gradient'"),
        (dict(methods=[]), ConfigError, "methods must be some of fixed_inputs, write_verify"),
        (dict(budgets=(5, 2)), ConfigError, "budgets must be > 0 and growing"),
        (dict(budgets=(0, 2)), ConfigError, "budgets must be > 0 and growing"),
        (dict(budgets=(1, np.nan)), ConfigError, "budgets must be > 0 and growing"),
        (dict(budgets="many"), ConfigError, "budgets must be a list of numbers, got 'many'"),
        (dict(replicas=0), ConfigError, "replicas must be a positive integer, got 0"),
        (dict(device=rs.IdealDevice()), ConfigError, "IdealDevice takes no pulses"),
        (dict(read_noise=-1.0), DataError, "read_noise must be a number >= 0, got -1.0"),
        (dict(options={"gradent": {}}), ConfigError, "did you mean 'gradient'"),
        (dict(options={"gradient": {"batch": 0}}), ConfigError, "batch must be a positive integer"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        programming_budget(**{"budgets": (3,), "replicas": 1, **arguments})
