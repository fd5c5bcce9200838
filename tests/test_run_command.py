"""`scalinglab run`, `status` and `figs`: a toy experiment from the command to its figure."""

import csv
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
from scalinglab.commands import csv_check, figs, progress, verdicts
from scalinglab.experiments import Progress, claim

_HERE = pathlib.Path(__file__).parent


pytestmark = pytest.mark.usefixtures("store")


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


def test_a_store_of_a_newer_format_is_one_line(refusal, toy, store):
    store.mkdir()
    (store / "FORMAT").write_text("999\n")
    assert "format '999'" in refusal("run", toy(), "--size", "smoke")
    assert "format '999'" in refusal("status")


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


def test_a_figure_folder_that_cannot_be_written_is_one_line(
    refusal, capsys, tmp_path, toy, toy_figure
):
    assert main(["run", toy(), "--size", "smoke", "--no-figures"]) == 0
    capsys.readouterr()
    file = tmp_path / "file"
    file.touch()
    assert "out: " in refusal("figs", "--size", "smoke", "--out", str(file))
