"""The commands other than `try`: what they print, their exit statuses, and what they import."""

import dataclasses
import json
import pathlib
import subprocess
import sys
import textwrap

import pytest

from scalinglab import registry
from scalinglab.__main__ import main

_HERE = pathlib.Path(__file__).parent


pytestmark = pytest.mark.usefixtures("store")


def test_the_first_stage_imports_nothing_heavy():
    code = textwrap.dedent(
        """
        import sys
        from scalinglab.__main__ import main
        calls = [["--help"], ["list"], ["run", "--help"], ["try", "--help"], ["nope"],
                 ["show", "x"], ["try", "x"], ["run", "x"], ["run", "duality", "--size", "x"],
                 ["try"], ["check"], ["run", "duality", "--executor", "dask"], ["figs", "x"],
                 ["status", "--stre"], ["--version"]]
        print([main(call) for call in calls])
        heavy = {"jax", "xarray", "tyro", "numpy", "scipy", "matplotlib", "rich", "equinox"}
        print(sorted(heavy & set(sys.modules)))
        """
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *_, statuses, heavy = found.stdout.strip().splitlines()
    assert json.loads(statuses) == [0, 0, 0, 0, *[2] * 10, 0]
    assert heavy == "[]"
    assert "Traceback" not in found.stderr


def test_python_m_and_the_help():
    found = subprocess.run(
        [sys.executable, "-m", "scalinglab"], capture_output=True, text=True, check=True
    )
    for command in ("list", "show", "try", "run", "status", "figs", "check"):
        assert f"\n  {command} " in found.stdout


def test_list_names_everything(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for kind in ("model", "experiment", "figure"):
        for entry in registry.table(kind):
            assert entry.name in out
            assert entry.paper in out


def test_list_says_what_is_stored(capsys, store):
    name = registry.EXPERIMENTS[0].name
    (store / "experiments" / name).mkdir(parents=True)
    (store / "experiments" / name / "smoke.json").touch()
    assert main(["list"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if f"  {name} " in line)
    assert line.endswith("smoke")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lst"], "command: 'lst' is unknown: did you mean 'list'?"),
        (["show"], "MODEL: missing"),
        (["show", "random-feature"], "did you mean 'random-features'?"),
        (["show", "random-features", "more"], "'more': one argument too many"),
        (["run", "dualty"], "did you mean 'duality'?"),
        (["run", "duality", "--size", "big"], "--size: 'big' is unknown: give one of smoke"),
        (["run", "duality", "--sise", "smoke"], "--sise: unknown option"),
        (["run", "duality", "--executor", "dask"], "executor: dask: is not built yet"),
        (["run", "duality", "--store"], "--store: expected one argument"),
        (["figs", "fig9"], "figure: 'fig9' is unknown"),
        (["figs", "--check", "--out", "x"], "out: x: --check writes nothing"),
        (["status", "dualty"], "did you mean 'duality'?"),
        (["check", "nothing:MODEL"], "no module named 'nothing'"),
        (["check", f"{_HERE / 'example_model.py'}:MODE"], "did you mean 'MODEL'?"),
        (["check", f"{_HERE / 'example_model.py'}:Config"], "give a scalinglab.models.Model"),
    ],
)
def test_bad_input_is_one_line(refusal, arguments, message):
    assert message in refusal(*arguments)


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("scalinglab.commands.list_.store_folder", lambda _: json.loads("{"))
    with pytest.raises(ValueError, match="Expecting"):
        main(["list"])


def test_a_module_that_fails_to_import_is_one_line(refusal, tmp_path):
    (tmp_path / "broken.py").write_text("x = 1\ny = undefined\n")
    message = refusal("check", f"{tmp_path / 'broken.py'}:MODEL")
    assert "line 2" in message
    assert "undefined" in message


@pytest.mark.parametrize("entry", registry.MODELS, ids=lambda entry: entry.name)
def test_show_prints_the_page_of_a_model(capsys, entry):
    model, theories = registry.load_model(entry.name)
    assert main(["show", entry.name]) == 0
    out = capsys.readouterr().out
    for name in (*model.observables, *model.symbols, *model.sources):
        assert name in out
    for field in (field for field in dataclasses.fields(model.Config) if field.init):
        assert "--" + field.name.replace("_", "-") in out
    for theory in theories:
        assert f"{theory.name} ({theory.kind})" in out


@pytest.mark.parametrize("entry", registry.MODELS, ids=lambda entry: entry.name)
def test_show_bibtex_prints_entries_only(capsys, entry):
    assert main(["show", entry.name, "--bibtex"]) == 0
    out = capsys.readouterr().out.strip()
    assert out.startswith("@")
    assert out.endswith("}")
    assert out.count("{") == out.count("}")


def test_check_runs_the_laws_on_a_model_outside_the_repository(capsys, monkeypatch, tmp_path):
    (tmp_path / "my_module.py").write_text((_HERE / "example_model.py").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["check", "my_module:MODEL"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("every law is obeyed\n")
    assert "FAIL" not in out


def test_check_fails_on_a_broken_model(capsys, monkeypatch, tmp_path):
    text = (_HERE / "example_model.py").read_text()
    (tmp_path / "own_model.py").write_text(text.replace("- config.dimension - 1)", "+ 100)"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["check", "own_model:MODEL", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    (broken,) = [law for law in found["laws"] if not law["passed"]]
    assert broken["law"] == "theories agree with the simulation"
    assert "is allowed" in broken["reason"]


@pytest.mark.parametrize("entry", registry.EXPERIMENTS, ids=lambda entry: entry.name)
def test_the_registry_repeats_what_an_experiment_says(entry):
    if entry.name == "digits":
        pytest.importorskip("sklearn")
    experiment = registry.load_experiment(entry.name)
    known = (experiment.name, experiment.summary, experiment.paper, experiment.cost["default"])
    assert known == (entry.name, entry.summary, entry.paper, entry.cost)


@pytest.mark.parametrize("entry", registry.FIGURES, ids=lambda entry: entry.name)
def test_the_registry_knows_what_a_figure_draws(entry):
    figure = registry.load_figure(entry.name)
    assert figure.name == entry.name
    assert figure.experiments == entry.experiments
