import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rpusim as rs
from rpusim import cli, presets

ROOT = Path(__file__).resolve().parents[1]
PNG = b"\x89PNG\r\n"


def start(*arguments, **options):
    """Start the command line in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "rpusim", *arguments]
    options = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(command, env=environment, **options)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Run the short demo into a folder that holds something already; return folder and output."""
    folder = tmp_path_factory.mktemp("demo") / "report"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    (folder / "report.md").write_text("old")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(["demo", "--short", "--seed", "3", "--out", str(folder)])
    assert status == 0, err.getvalue()
    return folder, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def results(demo):
    return json.loads((demo[0] / "results.json").read_text())


# ---------------------------------------------------------------- demo


def test_the_demo_prints_a_table_and_where_the_report_is(demo):
    folder, out, _ = demo
    assert re.search(r"system +test accuracy +seconds +pulses sent", out)
    assert re.search(r"floating point +\d+\.\d % +\d+\.\d +none", out)
    assert re.search(r"ideal device, real periphery +\d+\.\d % +\d+\.\d +none", out)
    assert re.search(r"ECRAM device, real periphery +\d+\.\d % +\d+\.\d +[\d,]{6,}", out)
    assert str(folder / "report.md") in out


def test_the_demo_shows_its_progress(demo):
    assert "6/6" in demo[2]
    assert "compiling" in demo[2]


def test_the_report_explains_pictures_that_exist(demo):
    folder = demo[0]
    text = (folder / "report.md").read_text()
    pictures = re.findall(r"\]\((\w+\.png)\)", text)
    assert pictures == ["learning_curves.png", "device_response.png", "weight_histograms.png"]
    assert all((folder / name).read_bytes().startswith(PNG) for name in pictures)
    assert "rpusim demo --epochs 2 --seed 3" in text
    assert f"rpusim {rs.__version__}" in text
    assert "{" not in text.replace("](", "")


def test_the_report_replaces_its_own_files_and_touches_no_others(demo):
    names = {path.name for path in demo[0].iterdir()}
    pictures = {"learning_curves.png", "device_response.png", "weight_histograms.png"}
    assert names == pictures | {"report.md", "results.json", "mine.txt"}
    assert (demo[0] / "mine.txt").read_text() == "mine"


def test_the_results_give_the_configurations_back(results):
    configs = [rs.Config.from_dict(system["config"]) for system in results["systems"]]
    real = presets.EcRamPreset()
    assert configs == [presets.FloatingPoint(), real.replace(device=rs.IdealDevice()), real]
    assert rs.Config.from_dict(results["device_response"]["device"]) == real.device


def test_the_results_hold_every_number(results):
    for system in results["systems"]:
        assert len(system["accuracy"]) == len(system["loss"]) == system["epochs"] == 2
        assert system["seed"] == 3
        shapes = [np.shape(w) for w in system["weights_after"]]
        assert shapes == [(32, 64), (10, 32)]
    assert [system["pulses"] > 0 for system in results["systems"]] == [False, False, True]
    curve = results["device_response"]
    assert len(curve["pulse"]) == len(curve["mean"]) == len(curve["std"]) == 2001


def test_a_folder_that_cannot_be_written_is_refused_before_the_training(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    assert cli.main(["demo", "--out", str(file)]) == 2
    assert capsys.readouterr().err.endswith("file': it is a file.\n")
    assert cli.main(["demo", "--out", str(file / "below")]) == 2
    assert "the report cannot go to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "package"),
    [("tqdm", "tqdm"), ("matplotlib", "matplotlib"), ("sklearn", "scikit-learn")],
)
def test_a_missing_package_is_one_line_that_names_the_extra(
    module, package, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    assert cli.main(["demo", "--short"]) == 2
    message = capsys.readouterr().err
    assert f"needs the package {package}: pip install" in message
    assert message.count("\n") == 1


def test_an_interrupt_is_one_line(tmp_path, monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "train_classifier", interrupt)
    assert cli.main(["demo", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.endswith("\rrpusim: interrupted.\n")


@pytest.mark.parametrize("epochs", ["0", "-1", "2.5", "many", "\u0663"])
def test_epochs_must_be_a_positive_integer(epochs, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["demo", "--epochs", epochs])
    assert f"argument --epochs: must be an integer >= 1, got {epochs!r}" in capsys.readouterr().err


# ---------------------------------------------------------------- presets, describe


def test_every_preset_is_listed_with_what_it_is(capsys):
    assert cli.main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == presets.preset_names()
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("name", [*presets.preset_names(), "RPUConfig", "SoftBoundsDevice"])
def test_everything_named_is_described(name, capsys):
    assert cli.main(["describe", name]) == 0
    made = getattr(presets, name, None) or getattr(rs, name)
    assert made().describe() in capsys.readouterr().out


def test_a_preset_is_described_with_its_source(capsys):
    assert cli.main(["describe", "EcRamPresetDevice"]) == 0
    assert "Source: Tang et al." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("short", "name"),
    [
        ("ReRamSB", "ReRamSBPresetDevice"),
        ("ReRamArrayOM", "ReRamArrayOMPresetDevice"),
        ("SoftBounds", "SoftBoundsDevice"),
        ("StandardIOParameters", "StandardIOParameters"),
        ("FloatingPoint", "FloatingPoint"),
    ],
)
def test_the_ending_of_a_name_may_be_left_out(short, name, capsys):
    assert cli.main(["describe", short]) == cli.main(["describe", name]) == 0
    out = capsys.readouterr().out
    assert out[: len(out) // 2] == out[len(out) // 2 :]


def test_a_device_is_described_with_what_its_fields_come_to(capsys):
    assert cli.main(["describe", "ReRamSBPreset"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"write_noise +0\.112  ", out)
    assert re.search(r"symmetry_point +0  ", out)
    assert cli.main(["describe", "IOParameters"]) == 0
    assert "symmetry_point" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("EcRamPrest", "; did you mean 'EcRamPreset'?"),
        ("softboundsdevice", "; did you mean 'SoftBoundsDevice'?"),
        ("q", ". 'rpusim presets' lists"),
    ],
)
@pytest.mark.parametrize("command", ["describe", "response"])
def test_a_typo_is_answered_with_the_nearest_name(command, name, hint, capsys):
    assert cli.main([command, name]) == 2
    message = capsys.readouterr().err
    assert message.startswith("rpusim: no preset or configuration is called")
    assert hint in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("name", ["Config", "Device", "PulsedDevice"])
def test_what_is_only_a_base_has_no_description(name):
    assert cli.main(["describe", name]) == 2


# ---------------------------------------------------------------- response


def test_a_response_is_printed_and_drawn(tmp_path, capsys):
    picture = tmp_path / "curve.png"
    arguments = ["response", "EcRamPreset", "--pulses", "20", "--devices", "30"]
    assert cli.main([*arguments, "--plot", str(picture)]) == 0
    out = capsys.readouterr().out
    assert picture.read_bytes().startswith(PNG)
    assert str(picture) in out
    rows = [line.split() for line in out.splitlines()[1:12]]
    assert [int(row[0]) for row in rows] == list(range(0, 41, 4))
    assert float(rows[5][1]) > float(rows[0][1])


def test_a_device_is_drawn_by_its_short_name_in_the_quality_of_print(tmp_path, capsys):
    from PIL import Image

    picture = tmp_path / "out.png"
    arguments = ["response", "ReRamSB", "--pulses", "20", "--devices", "30"]
    assert cli.main([*arguments, "--plot", str(picture)]) == 0
    with Image.open(picture) as image:
        assert image.size[0] >= 7.2 * 300  # two columns of a paper


def test_the_response_of_a_cell_is_drawn(tmp_path, capsys):
    picture = tmp_path / "cell.png"
    arguments = ["response", "Capacitor2", "--pulses", "5", "--devices", "4"]
    assert cli.main([*arguments, "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(PNG)


def test_what_takes_no_pulses_has_no_response(capsys):
    assert cli.main(["response", "FloatingPoint"]) == 2
    assert "FloatingPointDevice takes no pulses" in capsys.readouterr().err


def test_a_picture_of_an_unknown_kind_or_place_is_refused(tmp_path, capsys):
    arguments = ["response", "EcRamPreset", "--pulses", "2", "--devices", "2", "--plot"]
    assert cli.main([*arguments, str(tmp_path / "curve.xyz")]) == 2
    assert "Format 'xyz' is not supported" in capsys.readouterr().err
    assert cli.main([*arguments, str(tmp_path / "none" / "curve.png")]) == 2
    assert capsys.readouterr().err.startswith("rpusim: No such file or directory: ")


# ---------------------------------------------------------------- the process


def test_it_runs_as_a_module():
    out, err = start("--version").communicate()
    assert (out, err) == (f"rpusim {rs.__version__}\n", "")


def test_no_command_is_an_error(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main([])
    assert "COMMAND" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error():
    process = start("describe", "EcRamPreset")
    process.stdout.close()
    _, err = process.communicate()
    assert (process.returncode, err) == (0, "")
