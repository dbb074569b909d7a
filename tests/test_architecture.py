"""The house rules, as tests: floors, where packages may be imported, docstrings, file length.

A rule yields its breaches, one line each: where, what, what to do. The last test breaks every rule
in a small tree of its own.
"""

import ast
import dataclasses
import importlib
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST_FILE = 300

FLOORS = [
    {"arrays", "errors", "config", "config_fields", "config_files", "kernels"}
    | {"later", "optional", "result"},
    {"devices", "pulses", "periphery", "inference"},
    {"tiles", "presets"},
    {"nn", "optim"},
    {"studies", "training"},
    {"__init__"},  # the public names: above what they name, below what is optional
    {"cli", "__main__", "testing", "sklearn", "torch", "aihwkit"},
]
UPPER = FLOORS[4] | FLOORS[6]
FLOOR = {unit: number for number, units in enumerate(FLOORS) for unit in units}

# Imports on one floor, or upwards, that are allowed: (who, what) -> why.
SIDEWAYS = {
    ("arrays", "rpusim.errors"): "what is no array of numbers raises DataError",
    ("config", "rpusim.errors"): "configurations raise ConfigError",
    ("config", "rpusim.config_fields"): "a configuration is made of fields, split off by idea",
    ("config_fields", "rpusim.errors"): "numbers out of range raise ConfigError",
    ("config_files", "rpusim.errors"): "reading a file raises ConfigError",
    ("config_files", "rpusim.config"): "reading and writing configurations, split off by idea",
    ("kernels", "rpusim.errors"): "a missing backend raises BackendError",
    ("optional", "rpusim.errors"): "a missing package raises an error of rpusim",
    ("result", "rpusim.optional"): "tables and pictures of results need optional packages",
    ("periphery", "rpusim.devices.spread"): "lines differ by the same laws as devices do",
    ("presets", "rpusim.tiles"): "a preset is a filled-in configuration of a tile",
    ("optim", "rpusim.nn.parameter"): "an optimizer steps what layers hold",
    ("__init__", "rpusim.testing"): "rs.testing.check_device is public",
    ("__main__", "rpusim.cli"): "python -m rpusim is the command line",
}

# Where optional packages may be imported, inside functions only.
OPTIONAL = {
    "matplotlib": {"studies", "cli"},
    "tqdm": UPPER,
    "sklearn": UPPER,
    "pandas": UPPER,
    "torch": {"torch"},
    "aihwkit": {"aihwkit"},
    "cupy": {"kernels"},
}
ADAPTERS = {"torch", "sklearn"}  # subclass their package's classes, so import it at the top
PRINTING = {"cli"}
STATELESS = re.compile(r"[A-Z]\w*|default_rng|get_state")  # of np.random; get_state only looks
LEGACY = {"RandomState"}


def library(root):
    return sorted((root / "rpusim").rglob("*.py"))


def python_files(root):
    own = [p for name in ("tests", "examples") for p in sorted((root / name).rglob("*.py"))]
    return library(root) + own


@cache
def tree(path):
    return ast.parse(path.read_text(), str(path))


def unit(path, root):
    """Name the folder or file directly below rpusim/ that holds a module."""
    return path.relative_to(root / "rpusim").parts[0].removesuffix(".py")


def unit_named(name):
    """Name the unit of a dotted name: rpusim.tiles.analog -> tiles, rpusim.AnalogTile -> root."""
    part = (name.split(".") + [""])[1]
    return part if part in FLOOR else "__init__"


def at(path, root, line=1):
    return f"{path.relative_to(root)}:{line}"


def imports(path, root):
    """Yield (line, absolute dotted name, imported when the module is imported)."""
    package = path.relative_to(root).parent.parts

    def walk(node, early):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((child.lineno, alias.name, early) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else ()
                prefix = ".".join([*base, *filter(None, [child.module])])
                yield from ((child.lineno, f"{prefix}.{a.name}", early) for a in child.names)
            else:
                function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
                typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                yield from walk(child, early and not function and not typing)

    yield from walk(tree(path), True)


def within(name, prefix):
    return name == prefix or name.startswith(prefix + ".")


def exports(path):
    """Return the names in `__all__`, or None without one."""
    for node in tree(path).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
            return {n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant)}
    return None


def public_definitions(path):
    names = exports(path) or set()
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [n for n in tree(path).body if isinstance(n, kinds) and n.name in names]


def documented_parameters(docstring):
    """List the names in a numpydoc Parameters section."""
    section = re.search(
        r"^Parameters\n-{3,}\n(.*?)(?=\n\n?[A-Z][\w ]+\n-{3,}|\Z)",
        inspect.cleandoc(docstring or ""),
        re.MULTILINE | re.DOTALL,
    )
    heads = re.findall(r"^(\S[^:\n]*)", section[1], re.MULTILINE) if section else []
    return [name.strip().lstrip("*") for head in heads for name in head.split(",")]


def rule(check):
    """Make a test of a generator of breaches; called with another root, it judges that tree."""

    def test(root=ROOT):
        breaches = list(check(root))
        assert not breaches, "\n" + "\n".join(breaches)

    test.__name__ = check.__name__
    return test


@rule
def test_modules_import_from_lower_floors_only(root):
    for path in library(root):
        here = unit(path, root)
        if here not in FLOOR:
            yield f"{at(path, root)}: '{here}' has no floor; give it one in FLOORS"
            continue
        for line, name, _ in imports(path, root):
            there = unit_named(name)
            allowed = any(here == who and within(name, what) for who, what in SIDEWAYS)
            if within(name, "rpusim") and there != here and not allowed:
                if FLOOR[there] >= FLOOR[here]:
                    yield (
                        f"{at(path, root, line)}: {here} imports {name}, which is on no lower "
                        "floor; pass it in, or move what is needed down"
                    )


@rule
def test_numba_is_imported_only_in_kernels(root):
    for path in library(root):
        for line, name, _ in imports(path, root):
            if unit(path, root) != "kernels" and name.split(".")[0] in {"numba", "llvmlite"}:
                yield f"{at(path, root, line)}: imports {name}; go through rpusim.kernels"


@rule
def test_naive_references_do_not_use_the_library(root):
    for path in sorted((root / "tests" / "naive").rglob("*.py")):
        for line, name, _ in imports(path, root):
            if within(name, "rpusim"):
                yield f"{at(path, root, line)}: imports {name}; write the formula out"


@rule
def test_the_word_cuda_stays_in_kernels(root):
    fields = ("id", "attr", "arg", "name", "asname", "module")
    for path in library(root):
        if unit(path, root) != "kernels":
            for node in ast.walk(tree(path)):
                words = [getattr(node, field, None) for field in fields]
                if any(isinstance(word, str) and "cuda" in word.lower() for word in words):
                    yield (
                        f"{at(path, root, getattr(node, 'lineno', 1))}: 'cuda' in code; "
                        'move it to rpusim/kernels (the string backend="cuda" is fine)'
                    )


@rule
def test_optional_packages_are_imported_inside_functions(root):
    for path in library(root):
        here = unit(path, root)
        for line, name, early in imports(path, root):
            package = name.split(".")[0]
            if package not in OPTIONAL or here == package in ADAPTERS:
                continue
            if here not in OPTIONAL[package]:
                places = ", ".join(sorted(OPTIONAL[package]))
                yield f"{at(path, root, line)}: {package} is optional; import it only in {places}"
            elif early:
                yield f"{at(path, root, line)}: {package} is optional; import it in the function"


@rule
def test_files_are_short(root):
    for path in library(root):
        lines = len(path.read_text().splitlines())
        if lines > LONGEST_FILE and path != root / "rpusim" / "__init__.py":  # an index
            yield f"{at(path, root, lines)}: {lines} > {LONGEST_FILE} lines; split it by idea"


@rule
def test_modules_have_a_docstring_and_list_their_names(root):
    for path in library(root):
        private = path.stem.startswith("_") and path.stem != "__init__"
        empty = len(tree(path).body) <= 1  # a package that is only described
        if not ast.get_docstring(tree(path)):
            yield f"{at(path, root)}: no module docstring; say what is here, what it rests on"
        if not private and not empty and exports(path) is None:
            yield f"{at(path, root)}: no __all__; list the public names in reading order"


@rule
def test_public_names_have_docstrings(root):
    for path in library(root):
        for node in public_definitions(path):
            if not ast.get_docstring(node):
                yield f"{at(path, root, node.lineno)}: {node.name} is public; give it a docstring"


@rule
def test_functions_take_the_parameters_they_document(root):
    for path in library(root):
        for public in public_definitions(path):
            for node in [public, *(public.body if isinstance(public, ast.ClassDef) else [])]:
                if isinstance(node, ast.FunctionDef):
                    real = {n.arg for n in ast.walk(node.args) if isinstance(n, ast.arg)}
                    for name in documented_parameters(ast.get_docstring(node)):
                        if name not in real:
                            yield (
                                f"{at(path, root, node.lineno)}: {node.name} documents "
                                f"'{name}', which it does not take; mend the Parameters section"
                            )


@rule
def test_only_the_command_line_prints(root):
    for path in library(root):
        for node in ast.walk(tree(path)):
            printing = isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
            if printing and unit(path, root) not in PRINTING:
                yield f"{at(path, root, node.lineno)}: print; return the text instead"


@rule
def test_nothing_touches_numpys_global_random_state(root):
    for path in python_files(root):
        used = [(line, name) for line, name, _ in imports(path, root)]
        nodes = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)]
        used += [(node.lineno, re.sub(r"^np\.", "numpy.", ast.unparse(node))) for node in nodes]
        for line, name in used:
            match = re.fullmatch(r"numpy\.random\.(\w+)", name)
            if match and (not STATELESS.fullmatch(match[1]) or match[1] in LEGACY):
                yield f"{at(path, root, line)}: {name} uses global state; take an rng argument"


@rule
def test_no_file_names_a_path_of_one_machine(root):
    outside = re.compile(r"(?<![\w.~*$}/-])/(work|tmp|root|opt|farm|home)\b|\.\./shared\b")
    files = list(root.glob("*"))
    for folder in (".ci", "rpusim", "tests", "examples", "docs"):
        files += sorted((root / folder).rglob("*"))
    for path in files:
        if path.suffix in {".py", ".md", ".toml", ".cfg"} or path == root / ".ci" / "run":
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if match := outside.search(line):
                    yield f"{at(path, root, number)}: {match[0]} is not everywhere; mend the path"


@rule
def test_no_file_reads_what_lies_outside_the_project(root):
    for path in python_files(root):
        for line, name, _ in imports(path, root):
            if re.match(r"shared\.", name):
                yield f"{at(path, root, line)}: imports {name}; copy what is needed into tests"
        for node in ast.walk(tree(path)):
            value = node.value if isinstance(node, ast.Constant) else None
            if isinstance(value, str) and re.match(r"(\.\./|\./)*shared(/|$)", value):
                yield f"{at(path, root, node.lineno)}: reads {value!r}; copy it into tests/golden"


def misnamed_parameters(cls):
    """List what a class documents as parameters but does not take."""
    documented = documented_parameters(cls.__doc__)
    if dataclasses.is_dataclass(cls):
        taken = {field.name for field in dataclasses.fields(cls)}
    else:
        taken = set(inspect.signature(cls).parameters) if documented else set()
    return [name for name in documented if name not in taken]


def public_classes():
    """List (dotted module, class) of the library's public classes."""
    found = []
    for path in library(ROOT):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        nodes = [node for node in public_definitions(path) if isinstance(node, ast.ClassDef)]
        found += [(module, node.name) for node in nodes]
    return found


@pytest.mark.parametrize(("module", "name"), public_classes())
def test_classes_take_the_parameters_they_document(module, name):
    if unit_named(module) in ADAPTERS:
        pytest.importorskip(unit_named(module))
    cls = getattr(importlib.import_module(module), name)
    assert misnamed_parameters(cls) == [], "mend the Parameters section"


def test_a_class_that_documents_what_it_does_not_take_is_seen():
    class Config:
        """A configuration.

        Parameters
        ----------
        a, b : float
            Two numbers.

        Notes
        -----
        c : not a parameter.
        """

        def __init__(self, a):
            pass

    assert misnamed_parameters(Config) == ["b"]


DOCUMENTED = '''
__all__ = ["f"]
def f(x):
    """Do it.

    Parameters
    ----------
    y : float
    """
'''

BREACHES = [
    (test_modules_import_from_lower_floors_only, "pulses/a.py", "from rpusim.tiles import x"),
    (test_modules_import_from_lower_floors_only, "pulses/a.py", "import rpusim.devices.base"),
    (test_modules_import_from_lower_floors_only, "config.py", "from .kernels import x"),
    (test_modules_import_from_lower_floors_only, "devices/a.py", "from rpusim import AnalogTile"),
    (test_modules_import_from_lower_floors_only, "optim/a.py", "from ..nn import linear"),
    (test_modules_import_from_lower_floors_only, "__init__.py", "from rpusim import cli"),
    (test_modules_import_from_lower_floors_only, "odds_and_ends.py", ""),
    (test_numba_is_imported_only_in_kernels, "tiles/a.py", "def f():\n    from numba import njit"),
    (test_naive_references_do_not_use_the_library, "../tests/naive/a.py", "import rpusim as rs"),
    (test_the_word_cuda_stays_in_kernels, "tiles/a.py", "x = use_cuda"),
    (test_the_word_cuda_stays_in_kernels, "tiles/a.py", "f(x).cuda()"),
    (test_the_word_cuda_stays_in_kernels, "tiles/a.py", "from rpusim.kernels import cuda_array"),
    (test_optional_packages_are_imported_inside_functions, "studies/a.py", "import matplotlib"),
    (test_optional_packages_are_imported_inside_functions, "nn/a.py", "def f():\n    import tqdm"),
    (test_files_are_short, "tiles/a.py", "\n" * (LONGEST_FILE + 1)),
    (test_modules_have_a_docstring_and_list_their_names, "nn/a.py", "__all__ = []"),
    (test_modules_have_a_docstring_and_list_their_names, "nn/a.py", '"""Doc."""\na = 1'),
    (test_public_names_have_docstrings, "nn/a.py", "__all__ = ['A']\nclass A: pass"),
    (test_functions_take_the_parameters_they_document, "nn/a.py", DOCUMENTED),
    (test_only_the_command_line_prints, "studies/a.py", "print(1)"),
    (test_nothing_touches_numpys_global_random_state, "../tests/test_a.py", "np.random.seed(0)"),
    (test_nothing_touches_numpys_global_random_state, "a.py", "from numpy.random import normal"),
    (test_no_file_names_a_path_of_one_machine, "../.ci/run", "cd /" + "opt/x"),
    (test_no_file_names_a_path_of_one_machine, "../examples/a.py", "open('/" + "tmp/x')"),
    (test_no_file_reads_what_lies_outside_the_project, "../tests/a.py", "import shared.checks"),
    (test_no_file_reads_what_lies_outside_the_project, "../tests/a.py", "ROOT / 'sha" + "red'"),
]


@pytest.mark.parametrize(("test", "name", "text"), BREACHES)
def test_every_rule_sees_a_breach(test, name, text, tmp_path):
    path = (tmp_path / "rpusim" / name).resolve()
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(AssertionError, match=path.name):
        test(tmp_path)
