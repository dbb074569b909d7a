"""The support matrix: the page in the docs is what trying every option gives now."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rpusim as rs
from rpusim import cli
from rpusim.config import Choice
from rpusim.studies import support
from rpusim.studies.support import support_matrix
from rpusim.studies.support_cases import FIELDS, GROUPS, WIRES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "support-matrix.md"
COMMAND = "rpusim support > docs/support-matrix.md"
PLACES = 5


@pytest.fixture(scope="module")
def page():
    return support_matrix()


@pytest.fixture(scope="module")
def rows(page):
    """Return the rows of all tables as lists of cells."""
    lines = [line for line in page.splitlines() if re.match(r"\| [^|]+ \| [^`]", line)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def cells(rows, *first):
    """Return what follows the column "with" in the rows that start with these cells."""
    return [row[3:] for row in rows if row[: len(first)] == list(first)]


def test_the_page_in_the_docs_is_up_to_date(page):
    text = PAGE.read_text()
    assert text == page, f"an option works elsewhere than the page says: run {COMMAND}"
    assert COMMAND in text[: text.index("##")]


def test_the_command_line_prints_the_page(page, capsys):
    assert cli.main(["support"]) == 0
    assert capsys.readouterr().out == page


def test_another_process_with_another_hash_seed_prints_the_same(page):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-W", "error", "-m", "rpusim", "support"]
    assert subprocess.check_output(command, env=environment, text=True) == page


@pytest.mark.parametrize("kind", [rs.IOParameters, rs.IOParametersIRDropT])
def test_every_field_of_a_product_and_every_member_of_its_enumerations_has_a_row(kind, rows):
    for field in dataclasses.fields(kind):
        tried = [row[1].removesuffix(" *") for row in rows if row[0] == f"`{field.name}`"]
        assert tried, field.name
        if isinstance(field.default, Choice):
            assert {member.name for member in type(field.default)} <= set(tried), field.name


def test_fields_are_grouped_in_the_order_of_the_class():
    grouped = [name for names in GROUPS.values() for name in names]
    fields = [f.name for f in dataclasses.fields(rs.IOParameters)]
    assert sorted(grouped) == sorted(FIELDS) == sorted(fields)
    own = [f.name for f in dataclasses.fields(rs.IOParametersIRDropT) if f.name not in fields]
    assert list(WIRES) == own


def test_every_option_acts_on_the_forward_product_of_a_training_and_of_an_inference_tile(rows):
    """No dead option: a field that nothing reads would say "no effect" or be refused."""
    ignored = [
        row[:4]
        for row in rows
        if row[0].strip("`") in FIELDS and (row[3], row[5]) != ("yes", "yes")
    ]
    assert [row[:2] for row in ignored] == [["`on_nonfinite`", "RAISE *"]]
    assert ignored[0][3] == "refused: input must be finite"


def test_what_is_not_there_backward_says_so(rows):
    for member in ("NONE", "ITERATIVE *"):
        assert cells(rows, "`bound_management`", member)[0][1] == "no effect"
    reason = "backward.bound_management must be NONE or ITERATIVE (ignored): errors go back once"
    for member in ("SHIFT", "ITERATIVE_WORST_CASE"):
        assert cells(rows, "`bound_management`", member)[0][1] == f"refused: {reason}"


def test_what_wires_exclude_is_refused_with_the_reason(rows):
    reason = (
        "ir_drop_g_ratio must be left alone: ir_drop_rs and ir_drop_segments describe the wires"
    )
    assert cells(rows, "`ir_drop_g_ratio`")[0][3] == f"refused: {reason}"


def test_a_cell_is_yes_refused_or_without_effect(rows):
    tried = [c for row in rows if row[0].strip("`") in FIELDS for c in row[3:]]
    assert len(tried) % PLACES == 0
    assert all(re.fullmatch(r"yes|no effect|refused: \S.*[^.]", cell) for cell in tried)


def test_the_law_that_is_tried_is_no_configuration_of_the_library():
    with pytest.raises(rs.ConfigError, match="no configuration is called 'HalfPowerNoise'"):
        rs.Config.from_dict({"type": "HalfPowerNoise"})


# ---------------------------------------------------------------- how a cell is found


def test_an_option_that_nothing_reads_has_no_effect():
    def tried(settings, x):
        return [x]

    assert support._cell(tried, {"a": 1}, {}, np.ones(2)) == "no effect"
    assert support._cell(tried, {"a": 1}, None, np.ones(2)) == "yes"


def test_a_result_that_is_not_finite_is_an_error_and_no_cell():
    def tried(settings, x):
        return [x * np.nan]

    with pytest.raises(rs.ConfigError, match=r"results must be finite, got NaN with \{'a': 1\}"):
        support._cell(tried, {"a": 1}, {}, np.ones(2))


def test_an_option_without_which_nothing_runs_works():
    def tried(settings, x):
        if not settings:
            raise rs.ConfigError("Some.a must be given.")
        return [x]

    assert support._cell(tried, {"a": 1}, {}, np.ones(2)) == "yes"
    assert support._cell(tried, {}, {"a": 1}, np.ones(2)) == "refused: a must be given"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("IOParameters.inp_res must be 1 / 2, got 3.5.", "inp_res must be 1 / 2"),
        ("RPUConfig.backward.mode must be A, got B: why.", "backward.mode must be A: why"),
        ("AnalogTile.forward: the input must be finite, got NaN.", "input must be finite"),
        ("product_moments: SHIFT has no form.", "SHIFT has no form"),
        ("RPUConfig has no parameter 'clip'", "RPUConfig has no parameter 'clip'"),
    ],
)
def test_reasons_are_messages_without_class_and_value(message, reason):
    assert support._refused(rs.ConfigError(message)) == f"refused: {reason}"
