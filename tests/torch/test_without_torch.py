"""Torch is optional: nobody imports it unasked, and its absence is said plainly. Item 13."""

import subprocess
import sys

import pytest

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Blocked())
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_rpusim_imports_no_torch():
    code = "import sys, rpusim, rpusim.nn, rpusim.optim, rpusim.studies, rpusim.cli\n"
    done = run(code + "raise SystemExit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr


def test_without_torch_the_error_names_the_extra():
    done = run(BLOCKED + "import rpusim.torch")
    assert done.returncode == 1
    assert 'needs the package torch: pip install "rpusim[torch]"' in done.stderr


def test_without_torch_it_is_an_import_error():
    code = "try:\n    import rpusim.torch\nexcept ImportError:\n    raise SystemExit(7)\n"
    assert run(BLOCKED + code).returncode == 7


def test_without_torch_everything_else_works():
    code = "import rpusim as rs\nrs.AnalogTile(2, 3, rng=0).forward([1.0, 2.0, 3.0])\n"
    done = run(BLOCKED + code)
    assert done.returncode == 0, done.stderr


def test_with_torch_the_adapter_leaves_its_settings_alone():
    torch = pytest.importorskip("torch", reason='needs torch: pip install "rpusim[torch]"')
    assert torch.get_default_dtype() == torch.float32
    code = "import torch\nbefore = torch.get_rng_state()\nimport rpusim.torch\n"
    code += "raise SystemExit(not torch.equal(before, torch.get_rng_state()))"
    assert run(code).returncode == 0
