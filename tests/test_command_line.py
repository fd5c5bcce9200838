"""The commands other than `try`: what they print, their exit statuses, and what they import."""

import csv
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
import types

import pytest

from scalinglab import registry
from scalinglab.__main__ import main
from scalinglab.commands import csv_check, figs, progress, runtime, verdicts
from scalinglab.experiments import Progress, claim

_HERE = pathlib.Path(__file__).parent


@pytest.fixture(autouse=True)
def store(monkeypatch, tmp_path):
    """JAX is configured by conftest; the store is a folder of the test."""
    folder = tmp_path / "store"
    monkeypatch.setattr(runtime, "start", lambda: None)
    monkeypatch.setenv("SCALINGLAB_STORE", str(folder))
    return folder


def refusal(capsys, *arguments):
    assert main(arguments) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.count("\n") == 1
    assert found.err.startswith("scalinglab: ")
    return found.err.strip()


EXPERIMENT = textwrap.dedent(
    """
    import sys
    import time
    sys.path.insert(0, {folder!r})
    import example_model
    import jax
    import jax.numpy as jnp
    from dataclasses import replace
    from scalinglab.experiments import Experiment, Sweep, claim

    def slow(config, *, key):
        # A compiled loop, so that only the process, not its Python code, can be interrupted.
        # XLA cannot drop it, since the risk depends on it.
        zero = jax.lax.fori_loop(0, {steps}, lambda i, x: jnp.sin(x), jnp.zeros(()))
        found = example_model.simulate(config, key=key)
        return {{**found, "excess_risk": found["excess_risk"] + zero}}

    MODEL = replace(example_model.MODEL, simulate=slow)

    def sweeps(size):
        count = dict(smoke=4, default=8, paper=16)[size]
        return {{"risk": Sweep(MODEL, MODEL.smallest, {{"num_samples": [20, 40]}}, seeds=count)}}

    def analyse(datasets):
        risk = float(datasets["risk"]["excess_risk"].mean())
        return (
            claim("risk is itself", "nobody, Fig. 1", "risk", risk, 1e-3, risk + {off}, "{kind}",
                  "num_samples 20 to 40", margin=0.1),
        )

    EXPERIMENT = Experiment("toy", "a toy", "nobody", dict(smoke="1 s", default="2 s", paper="3 s"),
                            sweeps, analyse)
    """
)


@pytest.fixture
def toy(tmp_path):
    def write(*, off=0.0, kind="exact", steps=1, name="toy.py"):
        path = tmp_path / name
        path.write_text(EXPERIMENT.format(folder=str(_HERE), off=off, kind=kind, steps=steps))
        return f"{path}:EXPERIMENT"

    return write


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
        (["show", "random"], "did you mean 'random-features'?"),
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
def test_bad_input_is_one_line(capsys, arguments, message):
    assert message in refusal(capsys, *arguments)


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("scalinglab.commands.list_.store_folder", lambda _: json.loads("{"))
    with pytest.raises(ValueError, match="Expecting"):
        main(["list"])


def test_a_module_that_fails_to_import_is_one_line(capsys, tmp_path):
    (tmp_path / "broken.py").write_text("x = 1\ny = undefined\n")
    message = refusal(capsys, "check", f"{tmp_path / 'broken.py'}:MODEL")
    assert "line 2" in message
    assert "undefined" in message


@pytest.mark.parametrize("entry", registry.MODELS, ids=lambda entry: entry.name)
def test_show_prints_the_page_of_a_model(capsys, entry):
    model, theories = registry.load_model(entry.name)
    assert main(["show", entry.name]) == 0
    out = capsys.readouterr().out
    for name in (*model.observables, *model.symbols, *model.sources):
        assert name in out
    for field in dataclasses.fields(model.Config):
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


def test_run_reports_and_answers_again_from_the_store(capsys, store, toy):
    arguments = ["run", toy(), "--size", "smoke"]
    assert main(arguments) == 0
    first = capsys.readouterr()
    head, *_ = first.out.splitlines()
    assert head == f"toy at size smoke: a toy (1 s); nothing stored in {store}"
    assert "1 claim: 1 agrees" in first.out
    assert "num_samples 20 to 40" in first.out
    assert "8 of 8 simulations" in first.err
    assert main(arguments) == 0
    second = capsys.readouterr()
    assert second.out.splitlines()[0].endswith(f"stored in {store}")
    assert second.out.splitlines()[1:] == first.out.splitlines()[1:]
    assert main(["status"]) == 0
    out = capsys.readouterr().out
    assert "toy" in out
    assert "done" in out


def test_run_json_is_one_object(capsys, toy):
    assert main(["run", toy(), "--size", "smoke", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["experiment"] == "toy"
    assert found["claims"][0]["verdict"] == "agrees"
    assert found["units"]["recomputed"] > 0
    assert found["figures"] == []


def test_a_strict_disagreement_fails_a_run(capsys, toy):
    assert main(["run", toy(off=9.0), "--size", "smoke"]) == 1
    assert "1 claim: 1 disagrees" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "status"),
    [("exact", 1), ("deterministic_equivalent", 1), ("asymptotic", 0), ("heuristic", 0)],
)
def test_a_finding_is_no_error(kind, status):
    found = claim("a", "b", "c", 1.0, 1e-3, 9.0, kind, "d", margin=0.1)
    assert found.verdict == "disagrees"
    assert verdicts.exit_status([found], {"risk": {"out of luck": 3}}) == (status or 3)
    assert verdicts.exit_status([found], {}) == status


def test_a_failed_lane_fails_a_run():
    assert verdicts.exit_status([], {"risk": {"out of luck": 3}}) == 3
    assert verdicts.exit_status([], {"risk": {}}) == 0
    assert "sweep risk: 3 simulations failed: out of luck" in verdicts.counts_text(
        [], {"risk": {"out of luck": 3}}
    )


def test_a_store_that_cannot_be_written_is_one_line(capsys, toy, tmp_path):
    file = tmp_path / "file"
    file.touch()
    arguments = ["run", toy(), "--size", "smoke", "--store", str(file / "below"), "--json"]
    assert main(arguments) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("scalinglab: store: ")


def test_a_store_of_a_newer_format_is_one_line(capsys, toy, store):
    store.mkdir()
    (store / "FORMAT").write_text("999\n")
    assert "format '999'" in refusal(capsys, "run", toy(), "--size", "smoke")
    assert "format '999'" in refusal(capsys, "status")


def test_an_interrupt_says_how_to_go_on(capsys, toy, monkeypatch):
    from scalinglab import experiments

    def interrupted(*_, **__):
        raise experiments.Interrupted(3, 8)

    monkeypatch.setattr(experiments, "run_experiment", interrupted)
    name = toy()
    assert main(["run", name, "--size", "smoke"]) == 130
    assert capsys.readouterr().err.strip() == (
        f"scalinglab: interrupted: 3 of 8 simulations stored; "
        f"go on with `scalinglab run {name} --size smoke`"
    )


def test_a_running_computation_does_not_hold_an_interrupted_process(toy, tmp_path):
    # Hours of sine in one compiled loop: only the end of the process stops it.
    command = [sys.executable, "-m", "scalinglab", "run", toy(steps=10**12), "--size", "smoke"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert "toy at size smoke" in process.stdout.readline()
        time.sleep(5)
        process.send_signal(signal.SIGINT)
        # The limit is for a hang; the process ends a fraction of a second after the signal.
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.strip().splitlines()[-1].startswith("scalinglab: interrupted: 0 of 8 simulations")


def test_progress_counts_all_sweeps_and_not_the_reused_ones():
    now = [0.0]
    counter = progress.Counter(100, clock=lambda: now[0])
    assert counter.text == "0 of 100 simulations"
    counter.take(Progress("a", 20, 40, 20))
    assert counter.text == "20 of 100 simulations"
    now[0] = 10.0
    counter.take(Progress("b", 30, 60, 0))
    assert counter.text == "50 of 100 simulations, 3 per s, 17 s left"


def test_progress_lines_are_seldom(capsys):
    now = [0.0]
    counter = progress.Counter(100, clock=lambda: now[0])
    lines = progress.Lines("toy", counter, clock=lambda: now[0])
    for second in range(1, 11):
        now[0] = float(second)
        lines(Progress("a", 10 * second, 100, 0, "compiling 1 of 2"))
    lines(Progress("a", 100, 100, 0, "store: damaged"))
    told = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in told if "simulations" in line] == [
        "toy: 50 of 100 simulations",
        "toy: 100 of 100 simulations",
        "toy: 100 of 100 simulations",
    ]
    assert "toy: store: damaged" in told


def test_committed_numbers_are_compared_by_column():
    expected = [{"name": "a", "risk": "1.0"}, {"name": "b", "risk": "1000.0"}]
    table = [{"name": "a", "risk": "1.0005"}, {"name": "b", "risk": "1000"}]
    assert csv_check.compare(table, expected) == []
    table[0]["risk"] = "1.01"
    assert csv_check.compare(table, expected) == ["row 1, risk: 1.01, committed 1.0"]
    table[0] = {"name": "c", "risk": "1"}
    assert csv_check.compare(table, expected) == ["row 1, name: c, committed a"]
    assert csv_check.compare(table[:1], expected) == ["1 row, 2 committed"]
    assert csv_check.compare([{"x": "1"}], [{"y": "1"}]) == ["columns x; committed y"]
    assert csv_check.compare([{"x": "nan"}], [{"x": "nan"}]) == []
    assert csv_check.compare([{"x": "nan"}], [{"x": "1.0"}]) != []
    assert csv_check.compare([{"x": "text"}], [{"x": "1.0"}]) != []


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


@pytest.fixture
def toy_figure(monkeypatch):
    """A figure of the toy experiment, registered."""
    from scalinglab.paper_figs.figure import Drawing, Figure, canvas

    def draw(datasets):
        risks = datasets["toy"]["risk"]["excess_risk"].mean("seed")
        with canvas(1, 1, (2.0, 2.0)) as (figure, axes):
            axes[0, 0].plot(risks["num_samples"], risks)
        return Drawing(figure, [{"size": int(r["num_samples"]), "risk": float(r)} for r in risks])

    module = types.ModuleType("toy_figures")
    module.FIGURES = {"toy-figure": Figure("toy-figure", ("toy",), draw)}
    monkeypatch.setitem(sys.modules, "toy_figures", module)
    entry = registry.Entry("toy-figure", "toy_figures", "", "a toy", "nobody", experiments=("toy",))
    monkeypatch.setattr(registry, "FIGURES", (entry,))
    return entry


def test_run_draws_the_figures_of_its_experiment(capsys, store, toy, toy_figure):
    assert main(["figs", "--size", "smoke"]) == 2
    assert capsys.readouterr().err.startswith("scalinglab: figure toy-figure: experiment: 'toy'")
    assert main(["run", toy(), "--size", "smoke"]) == 0
    endings = ("pdf", "png", "csv")
    paths = [store / "figures" / f"toy-figure-smoke.{ending}" for ending in endings]
    assert capsys.readouterr().out.splitlines()[-3:] == [str(path) for path in paths]
    drawn = [path.read_bytes() for path in paths]
    assert main(["figs", "toy-figure", "--size", "smoke"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(path) for path in paths]
    assert [path.read_bytes() for path in paths] == drawn


def test_figs_check_names_row_and_column(capsys, monkeypatch, store, toy, toy_figure):
    assert main(["run", toy(), "--size", "smoke", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [pathlib.Path(path).name for path in found["figures"]][2] == "toy-figure-smoke.csv"
    assert main(["figs", "--check", "--size", "smoke"]) == 2
    assert "no numbers are committed" in capsys.readouterr().err
    text = (store / "figures" / "toy-figure-smoke.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    monkeypatch.setattr(figs, "committed", lambda stem: rows)
    assert main(["figs", "--check", "--size", "smoke"]) == 0
    assert capsys.readouterr().out == "toy-figure: 2 rows as committed\n"
    was = rows[1]["risk"]
    rows[1]["risk"] = "9.5"
    assert main(["figs", "--check", "--size", "smoke"]) == 1
    assert capsys.readouterr().out == f"toy-figure: row 2, risk: {was}, committed 9.5\n"


def test_a_figure_folder_that_cannot_be_written_is_one_line(capsys, tmp_path, toy, toy_figure):
    assert main(["run", toy(), "--size", "smoke", "--no-figures"]) == 0
    capsys.readouterr()
    file = tmp_path / "file"
    file.touch()
    assert "out: " in refusal(capsys, "figs", "--size", "smoke", "--out", str(file))
