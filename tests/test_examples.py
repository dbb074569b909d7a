"""Every example runs, in its short form, in an empty folder, and leaves what it says it writes."""

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_and_ends_in_a_number_or_a_picture(path, tmp_path, monkeypatch, capfd):
    if path.stem.startswith("torch_"):
        pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RPUSIM_SHORT", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for processes that it starts
    monkeypatch.setattr(sys, "argv", [str(path)])
    namespace = runpy.run_path(str(path), run_name="__main__")
    out, err = capfd.readouterr()
    assert re.search(r"\d|\.png", out.splitlines()[-1])
    assert "Traceback" not in err
    for name in re.findall(r"\w+\.(?:png|npz)", namespace["__doc__"]):
        assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short_and_says_what_it_shows(path):
    text = path.read_text()
    assert len(text.splitlines()) < 100
    assert text.startswith('"""')
    assert "RPUSIM_SHORT" in text


@pytest.mark.parametrize(
    "path", [p for p in EXAMPLES if p.stem.startswith("torch_")], ids=lambda path: path.stem
)
def test_without_torch_its_examples_end_with_a_line_that_says_so(path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)  # an import of it fails
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(path), run_name="__main__")
    assert end.value.code == 0
    assert 'This example needs torch: pip install "rpusim[torch]"' in capsys.readouterr().out


def test_there_are_examples():
    assert len(EXAMPLES) >= 4
