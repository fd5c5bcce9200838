"""`scalinglab try`: both sides, their JSON, sweeps, and bad input in one line."""

import csv
import json
import math
import pathlib
import textwrap

import numpy as np
import pytest

from scalinglab.__main__ import main
from scalinglab.commands import runtime, terminal_plot

_HERE = pathlib.Path(__file__).parent
EXAMPLE = f"{_HERE / 'example_model.py'}:MODEL"
SMALL = ["--num-samples", "24", "--num-features", "8", "--dimension", "48", "--ridge", "0.01"]


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch, tmp_path):
    """JAX is configured by conftest; files go to a folder of the test."""
    monkeypatch.setattr(runtime, "start", lambda: None)
    monkeypatch.setenv("SCALINGLAB_STORE", str(tmp_path / "store"))


def strict_json(text):
    def refuse(name):
        raise AssertionError(f"{name} in JSON")

    return json.loads(text, parse_constant=refuse)


def answer(capsys, *arguments):
    assert main(["try", *arguments, "--json"]) == 0
    return strict_json(capsys.readouterr().out)


def refusal(capsys, *arguments):
    assert main(["try", *arguments]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("scalinglab: ")
    assert found.err.count("\n") == 1
    return found.err.strip().removeprefix("scalinglab: ")


def test_the_two_sides_of_a_user_model(capsys):
    found = answer(capsys, EXAMPLE, "--num-samples", "30", "--seeds", "8")
    assert found["config"] == {"num_samples": 30, "dimension": 10, "noise_variance": 1.0}
    predicted, simulated = found["predicted"], found["simulated"]["excess_risk"]
    assert predicted["excess_risk"] == 10 / 19
    assert (predicted["theory"], predicted["kind"]) == ("inverse-wishart", "exact")
    assert predicted["relative_error"] == 0.0
    assert simulated["seeds"] == 8
    difference = simulated["mean"] - predicted["excess_risk"]
    # Two floating operations in another order: a few roundings.
    assert found["z"]["excess_risk"] == pytest.approx(difference / simulated["stderr"], rel=1e-12)
    assert found["within"]["excess_risk"] == (abs(difference) <= 3 * simulated["stderr"])
    assert found["alternatives"] == {}
    assert "failed" not in found


def test_random_features_has_the_flat_theory_and_its_alternatives(capsys):
    sizes = ["--num-samples", "24", "--num-features", "8", "--dimension", "48", "--ridge", "0"]
    found = answer(capsys, "random-features", *sizes, "--noise-variance", "0.1", "--seeds", "6")
    predicted = found["predicted"]
    parts = [name for name in predicted if name.startswith(("bias", "variance"))]
    assert len(parts) == 5
    # The sum of six doubles, each below 1: roundings of 1e-16, and c = 1e3 of them.
    total = sum(predicted[name] for name in parts) + 0.1
    assert predicted["test_risk"] == pytest.approx(total, rel=1e-12)
    assert set(found["z"]) == set(found["within"]) == {"test_risk", "train_risk"}
    assert {"kind", "theory", "relative_error", "source"} < set(predicted)
    # A theory conditional on the draw is averaged over the simulated draws.
    assert "given-features" in found["alternatives"]
    assert math.isfinite(found["alternatives"]["given-features"]["test_risk"])


def test_a_named_theory_becomes_the_prediction(capsys):
    sizes = ["--num-samples", "24", "--num-features", "8", "--dimension", "48", "--ridge", "0"]
    arguments = ["random-features", *sizes, "--noise-variance", "0.1", "--seeds", "4"]
    default = answer(capsys, *arguments)
    named = answer(capsys, *arguments, "--theory", "given-features")
    assert named["predicted"] == default["alternatives"]["given-features"]
    assert named["alternatives"]["deterministic-equivalent"] == default["predicted"]
    assert named["simulated"] == default["simulated"]
    assert set(named["z"]) == {"test_risk"}


def test_no_seeds_is_the_theory_alone(capsys):
    arguments = ["random-features", "--dimension", "None", "--ridge", "0.01", "--seeds", "0"]
    found = answer(capsys, *arguments)
    assert found["config"]["dimension"] is None
    assert found["simulated"] == found["z"] == found["within"] == {}
    assert 0 < found["predicted"]["test_risk"] < 10
    assert main(["try", *arguments]) == 0
    assert "--seeds 32 simulates as well" in capsys.readouterr().out


def test_one_seed_has_no_standard_error(capsys):
    found = answer(capsys, EXAMPLE, "--seeds", "1")
    assert found["simulated"]["excess_risk"]["stderr"] is None
    assert found["z"]["excess_risk"] is None
    assert found["within"]["excess_risk"] is None
    assert main(["try", EXAMPLE, "--seeds", "1"]) == 0
    assert "no standard error" in capsys.readouterr().out


def test_the_key_sets_the_draws(capsys):
    first, again, other = (
        answer(capsys, EXAMPLE, "--seeds", "3", "--key", key)["simulated"] for key in "001"
    )
    assert first == again
    assert first != other


def test_the_table_of_a_point(capsys):
    assert main(["try", EXAMPLE, "--seeds", "16"]) == 0
    out = capsys.readouterr().out
    assert "predicted: inverse-wishart (exact" in out
    assert "excess_risk" in out
    assert "16 seeds" in out
    assert out.strip().splitlines()[-1].startswith("Simulation and theory agree in excess_risk")


def test_a_sweep_fits_and_draws(capsys, tmp_path):
    values = ["--num-samples", "32", "64", "128", "256", "--dimension", "4"]
    assert main(["try", EXAMPLE, *values, "--seeds", "64", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "both axes logarithmic" in out
    assert "exponent of" in out
    table, _, png = sorted(tmp_path.iterdir(), key=lambda path: path.suffix)
    assert str(png) in out
    assert png.read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["num_samples"] for row in rows] == ["32", "64", "128", "256"]
    # Twelve digits are written.
    assert float(rows[0]["predicted"]) == pytest.approx(4 / 27, rel=1e-11)
    assert all(float(row["stderr"]) > 0 for row in rows)


def test_the_exponents_of_a_sweep_share_window_and_weights(capsys):
    values = ["--num-samples", "32", "64", "128", "256", "--dimension", "4"]
    found = answer(capsys, EXAMPLE, *values, "--seeds", "64", "--window", "60", "300")
    assert found["config"]["num_samples"] == [32, 64, 128, 256]
    assert [point["config"]["num_samples"] for point in found["points"]] == [32, 64, 128, 256]
    (exponent,) = found["exponents"]
    assert exponent["window"] == [60.0, 300.0]
    assert exponent["points"] == 3
    # Any weights give an exponent between the local ones of 4 / (D - 5).
    local = [math.log2((2 * size - 5) / (size - 5)) for size in (64, 128)]
    assert min(local) <= exponent["predicted"] <= max(local)
    assert abs(exponent["measured"] - exponent["predicted"]) < 4 * exponent["standard_error"]


def test_a_sweep_without_seeds_has_the_theory_exponent(capsys):
    found = answer(capsys, EXAMPLE, "--num-samples", "64", "128", "--seeds", "0")
    (exponent,) = found["exponents"]
    # Two points: the slope between them, exact but for roundings.
    assert exponent["predicted"] == pytest.approx(math.log2(117 / 53), rel=1e-12)
    assert exponent["measured"] is None


def test_several_fields_give_a_curve_each(capsys):
    values = ["--num-samples", "32", "64", "--noise-variance", "0.5", "1"]
    found = answer(capsys, EXAMPLE, *values, "--seeds", "0")
    assert len(found["points"]) == 4
    assert [one["at"] for one in found["exponents"]] == [
        {"noise_variance": 0.5},
        {"noise_variance": 1.0},
    ]
    assert {one["along"] for one in found["exponents"]} == {"num_samples"}


def test_a_single_curve_point_says_why_there_is_no_exponent(capsys):
    values = ["--num-samples", "32", "64", "128", "--window", "100", "200"]
    found = answer(capsys, EXAMPLE, *values, "--seeds", "0")
    assert found["exponents"][0]["reason"] == "1 points in the window, 2 are needed"


FAILING = textwrap.dedent(
    """
    import equinox as eqx
    import jax.numpy as jnp
    import jax.random as jr
    from scalinglab.models import Model, Observable, Status

    class Config(eqx.Module):
        num_steps: int = eqx.field(default=4, static=True)
        often: float = 0.5

    def simulate(config, *, key):
        failed = jr.uniform(key, (), jnp.float64) < config.often
        curve = jnp.where(failed, jnp.nan, jnp.arange(float(config.num_steps)))
        status = jnp.where(failed, int(Status.NOT_CONVERGED), int(Status.OK))
        return {"value": jnp.where(failed, jnp.nan, 1.0), "curve": curve, "status": status}

    MODEL = Model("failing", "fails at times", 1, Config, simulate,
                  {"value": Observable("one"), "curve": Observable("a ramp", axes=("step",)),
                   "status": Observable("outcome")}, Config())
    """
)


@pytest.fixture
def failing(tmp_path):
    path = tmp_path / "failing.py"
    path.write_text(FAILING)
    return f"{path}:MODEL"


def test_failed_seeds_are_counted_and_left_out(capsys, failing):
    found = answer(capsys, failing, "--seeds", "12")
    ((sentence, failed),) = found["failed"].items()
    assert "step limit" in sentence
    assert found["simulated"]["value"] == {"mean": 1.0, "stderr": 0.0, "seeds": 12 - failed}
    assert found["simulated"]["curve"]["mean"] == [0.0, 1.0, 2.0, 3.0]
    assert found["predicted"] is None
    assert main(["try", failing, "--seeds", "12"]) == 0
    assert f"{failed} seeds failed" in capsys.readouterr().out


def test_no_number_is_null_in_json(capsys, failing):
    found = answer(capsys, failing, "--seeds", "3", "--often", "1")
    assert found["simulated"]["value"] == {"mean": None, "stderr": None, "seeds": 0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "MODEL: missing"),
        (["random-feature"], "did you mean 'random-features'?"),
        (["random-features", "--num-sample", "3"], "num_sample: no such field.*--num-samples"),
        (["random-features", "--num-samples", "x"], "num_samples: 'x': give an integer or None"),
        (["random-features", "--num-samples", "2.5"], "num_samples: '2.5': give an integer"),
        (["random-features", "--ridge", "big"], "ridge: 'big': give a number"),
        (["random-features", "--teacher", "old"], "teacher: 'old': give one of fixed, isotropic"),
        (["random-features", "--ridge"], "ridge: no value: give a number"),
        (["random-features", "--ridge", "1", "--ridge", "2"], "ridge: given twice"),
        (["random-features", "--ridge", "1", "1"], "ridge: 1 is given twice"),
        (["random-features", "7"], "'7': a value without a field"),
        (["random-features", "--ridge", "-1"], "ridge: -1"),
        (["random-features", "--ridge", "nan"], "ridge: nan"),
        (["random-features", "--num-samples", "0"], "num_samples: 0"),
        (["random-features", "--num-samples", "-4"], "num_samples: -4"),
        (["random-features", "--dimension", "None", "--ridge", "1"], "dimension: None"),
        (
            ["random-features", "--num-samples", "80", "--num-features", "80", "--seeds", "0"],
            "ridge: 0.*infinite",
        ),
        (
            ["random-features", "--num-samples", "80", "--num-features", "81"],
            "ridge: 0.*infinite",
        ),
        (["random-features", "--seeds", "-1"], "--seeds: '-1': give an integer of at least 0"),
        (["random-features", "--seeds", "few"], "--seeds: 'few'"),
        (["random-features", "--theory", "best", "--seeds", "0"], "theory: 'best' is unknown"),
        (
            [
                "random-features",
                *["--num-samples", "24", "--num-features", "8", "--seeds", "0"],
                *["--theory", "given-features"],
            ],
            "seeds: 0: theory 'given-features' needs the draws",
        ),
        (["random-features", "--window", "1", "2"], "window:.*several values"),
        (["random-features", "--ridge", "1", "2", "--window", "2", "1"], "window: 2 1: give LOW"),
        (["random-features", "--teacher", "fixed", "isotropic"], "teacher: several values"),
        (["no_such_module:MODEL"], "model: no_such_module: no module named"),
        (["no_such_file.py:MODEL"], "model: no_such_file.py: no such file"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, message):
    import re

    assert re.search(message, refusal(capsys, *arguments))


def test_sizes_one_apart_have_a_prediction_without_a_ridge(capsys):
    sizes = ["--num-samples", "80", "--num-features", "81", "--seeds", "0"]
    assert answer(capsys, "random-features", *sizes)["predicted"]["test_risk"] > 0


def test_a_folder_that_cannot_be_written_is_one_line(capsys, tmp_path):
    file = tmp_path / "file"
    file.touch()
    values = [EXAMPLE, "--num-samples", "32", "64", "--seeds", "0", "--json", "--out", str(file)]
    assert main(["try", *values]) == 2
    assert "out: " in capsys.readouterr().err


def test_values_may_follow_an_equals_sign_or_underscores(capsys):
    one = answer(capsys, EXAMPLE, "--num_samples=30", "--seeds=0")
    other = answer(capsys, EXAMPLE, "--num-samples", "30", "--seeds", "0")
    assert one == other


def test_help_names_the_fields(capsys):
    assert main(["try", "random-features", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--eigenvalue-decay" in out
    assert "--window" in out


def test_the_plot_puts_a_power_law_on_a_line():
    x = [1.0, 10.0, 100.0]
    y = [1.0, 0.1, 0.01]
    text = terminal_plot.draw([terminal_plot.Series("", x, y, y)], "size", "risk")
    rows = [line.partition("|")[2] for line in text.splitlines() if "|" in line]
    places = [(row, line.index("o")) for row, line in enumerate(rows) if "o" in line]
    assert places[0] == (0, 0)
    assert places[-1] == (terminal_plot.HEIGHT - 1, terminal_plot.WIDTH - 1)
    # The middle of a straight line, to half a character.
    middle = np.subtract(places[1], np.asarray(places[-1]) / 2)
    assert np.all(np.abs(middle) <= 0.5)
    assert terminal_plot.draw([terminal_plot.Series("", x, [-1.0] * 3, None)], "a", "b") == ""
