"""The documentation is true: its code runs, its links lead somewhere, its doctests hold."""

import doctest
import importlib
import re
import sys
import textwrap
import types
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,}) *(?P<language>\w*)")
NOT_RUN = re.compile(r"<!-- not run: \S.*-->")
DOCTEST = re.compile(r"^ *>>> ", re.MULTILINE)

NEEDS_TORCH = 'needs torch: pip install "rpusim[torch]"'


class Block(NamedTuple):
    """A fenced block: its language, the line it starts on, its text, whether a page runs it."""

    language: str
    line: int
    code: str
    run: bool

    @property
    def is_python(self):
        return self.language in ("python", "py", "pycon")

    @property
    def is_doctest(self):
        return DOCTEST.search(self.code) is not None


def blocks(text):
    """List the fenced blocks of a Markdown text."""
    found, fence, before = [], None, ""
    for number, line in enumerate(text.splitlines(), 1):
        if fence is None:
            fence = FENCE.match(line)
            start, code = number + 1, []
            if fence is None and line.strip():
                before = line.strip()
        elif line.strip() == fence["ticks"]:
            run = NOT_RUN.fullmatch(before) is None
            found.append(Block(fence["language"], start, textwrap.dedent("\n".join(code)), run))
            fence, before = None, ""
        else:
            code.append(line)
    return found


def syntax_errors(text):
    """Yield (line, message) of python that does not compile, in blocks run or not."""
    for block in blocks(text):
        parts = [(block.line, block.code)] if block.is_python else []
        if parts and block.is_doctest:
            examples = doctest.DocTestParser().get_examples(block.code)
            parts = [(block.line + example.lineno, example.source) for example in examples]
        for line, code in parts:
            try:
                compile(code, "page", "exec")
            except SyntaxError as error:
                yield line, error.msg


def dead_links(page):
    """Yield (line, target) of relative links to files that do not exist; code is not read."""
    text = page.read_text()
    lines = text.splitlines()
    for block in blocks(text):
        count = block.code.count("\n") + 1
        lines[block.line - 1 : block.line - 1 + count] = [""] * count
    for number, line in enumerate(lines, 1):
        prose = re.sub(r"`[^`]*`", "", line)
        for groups in re.findall(r"\]\(<?([^)\s>]+)|(?:src|href)=\"([^\"]+)", prose):
            target = "".join(groups).split("#")[0]
            elsewhere = not target or re.match(r"[a-z]+:", target)
            if not elsewhere and not (page.parent / target).exists():
                yield number, target


def run_doctest(test):
    """Run one doctest; return how many examples it had, fail with its own report."""
    report = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(
        test, out=report.append, clear_globs=False
    )
    assert not result.failed, "\n" + "".join(report)
    return result.attempted


def run_page(text, script):
    """Run a page's blocks in order in one namespace, as the module whose source is `script`.

    Every block keeps its line numbers, so that tracebacks point into the page; the source lies
    on disk, where a kernel looks for the text of a law.
    """
    todo = [block for block in blocks(text) if block.is_python and block.run]
    lines = [""] * (text.count("\n") + 1)
    for block in todo:
        if not block.is_doctest:
            code = block.code.splitlines()
            lines[block.line - 1 : block.line - 1 + len(code)] = code
    script.write_text("\n".join(lines))
    module = sys.modules[script.stem] = types.ModuleType(script.stem)
    module.__file__ = str(script)
    try:
        for block in todo:
            before = block.line - 1
            if block.is_doctest:
                parse = doctest.DocTestParser().get_doctest
                test = parse(block.code, {}, script.name, str(script), before)
                test.globs = module.__dict__
                run_doctest(test)
            else:
                exec(compile("\n" * before + block.code, str(script), "exec"), module.__dict__)
    finally:
        del sys.modules[script.stem]


def modules_with_doctests():
    """List modules whose text holds a doctest."""
    names = []
    for path in sorted((ROOT / "rpusim").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if DOCTEST.search(path.read_text()):
            names.append(".".join(parts).removesuffix(".__init__"))
    return names


PAGES = [p for p in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))] if p.is_file()]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


@each_page
def test_code_blocks_of_a_page_run_from_top_to_bottom(page, tmp_path, monkeypatch):
    if re.search(r"^ *(import|from) torch\b", page.read_text(), re.MULTILINE):
        pytest.importorskip("torch", reason=NEEDS_TORCH)
    monkeypatch.chdir(tmp_path)
    name = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix("")))
    run_page(page.read_text(), tmp_path / f"page_{name}.py")


@each_page
def test_python_blocks_of_a_page_compile(page):
    assert list(syntax_errors(page.read_text())) == []


@each_page
def test_relative_links_of_a_page_lead_somewhere(page):
    assert list(dead_links(page)) == []


@pytest.mark.parametrize("name", modules_with_doctests())
def test_examples_in_docstrings_are_true(name, tmp_path, monkeypatch):
    if name.startswith("rpusim.torch"):
        pytest.importorskip("torch", reason=NEEDS_TORCH)
    monkeypatch.chdir(tmp_path)
    tests = doctest.DocTestFinder().find(importlib.import_module(name))
    attempted = sum(run_doctest(test) for test in tests)
    assert attempted, f"{name} holds '>>>' that no doctest reaches; move it into a docstring"


PAGE = """
```python
a = 1
```

```text
ignored = 1 / 0
```

<!-- not run: needs a GPU -->

```python
raise RuntimeError
```

```python
>>> a + 1
2
```
"""


def test_a_page_keeps_its_namespace_and_skips_what_it_says_it_skips(tmp_path):
    run_page(PAGE, tmp_path / "page.py")


def test_a_wrong_doctest_in_a_page_fails(tmp_path):
    with pytest.raises(AssertionError, match=r"page.py.*line 17(?s:.*)Expected:\s+3\s+Got:\s+2"):
        run_page(PAGE.replace("\n2\n", "\n3\n"), tmp_path / "page.py")


def test_a_block_is_skipped_only_for_a_stated_reason(tmp_path):
    with pytest.raises(RuntimeError):
        run_page(PAGE.replace("not run: needs a GPU", "not run"), tmp_path / "page.py")


@pytest.mark.parametrize("code", ["1 +", ">>> a = 1\n>>> 1 +"])
def test_python_that_does_not_compile_is_seen(code):
    text = f"<!-- not run: a sketch -->\n```python\n{code}\n```\n"
    assert list(syntax_errors(text)) == [(3 + code.count("\n"), "invalid syntax")]


def test_a_dead_link_is_seen_and_code_is_no_link(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("[a](page.md#top) `[b](b)`\n```\n[c](c)\n```\n[d](d/e.md) [f](https://f.g/h)\n")
    assert list(dead_links(page)) == [(5, "d/e.md")]
