"""`scalinglab fit` and `scalinglab laws`: what they tell, write, and refuse."""

import csv
import json
import math
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest
import scipy.optimize

from scalinglab.__main__ import main
from scalinglab.commands.fit_allocation import compute_optimal
from scalinglab.theory.fitting import Data, Fit, Huber, Law, Parameter, fit
from scalinglab.theory.fitting.bootstrap import bootstrap
from scalinglab.theory.fitting.compare import extrapolate
from scalinglab.theory.fitting.diagnostics import diagnose
from scalinglab.theory.fitting.laws import LAWS, find_law
from scalinglab.theory.fitting.laws.joint import CHINCHILLA
from scalinglab.theory.fitting.profile import profile

TRUTH = {"A": 400.0, "B": 2000.0, "E": 1.8, "alpha": 0.34, "beta": 0.37}
COLUMNS = ["--loss-column", "loss", "--inputs", "N=params", "D=tokens"]

pytestmark = pytest.mark.usefixtures("store")


def strict_json(text):
    def refuse(name):
        raise AssertionError(f"{name} in JSON")

    return json.loads(text, parse_constant=refuse)


def table(noise=0.01, sizes=7, seed=0):
    """Rows (run, params, tokens, loss) of a grid; a run is all tokens of one size."""
    random = np.random.default_rng(seed)
    rows = []
    for run, size in enumerate(np.geomspace(1e7, 1e10, sizes)):
        for tokens in np.geomspace(3e8, 5e11, 6):
            loss = TRUTH["E"] + TRUTH["A"] * size ** -TRUTH["alpha"]
            loss += TRUTH["B"] * tokens ** -TRUTH["beta"]
            rows.append((f"run{run}", size, tokens, loss * np.exp(noise * random.normal())))
    return rows


def write(path, rows, header=("run", "params", "tokens", "loss")):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([[str(cell) for cell in row] for row in rows])
    return str(path)


@pytest.fixture
def runs(tmp_path):
    return write(tmp_path / "runs.csv", table())


def answer(capsys, *arguments):
    assert main(["fit", *arguments, "--json"]) == 0
    return strict_json(capsys.readouterr().out)


def test_the_json_is_the_fit_and_what_was_found(capsys, runs):
    found = answer(capsys, runs, "--law", "chinchilla", *COLUMNS)
    one = Fit.from_dict(found)
    direct = fit(CHINCHILLA, one.data)
    assert one.parameters == direct.parameters
    assert one.objective == direct.objective
    report = found["report"]
    assert report["columns"] == {"L": "loss", "N": "params", "D": "tokens"}
    assert report["method"] == "profile likelihood"
    for name, told in report["parameters"].items():
        # Four standard errors miss a parameter once in 16000 seeds.
        assert abs(told["value"] - TRUTH[name]) < 4 * told["standard_error"]
        assert told["low"] < told["value"] < told["high"]
    expected = profile(one, "alpha")
    told = report["parameters"]["alpha"]
    assert (told["low"], told["high"]) == (expected.low, expected.high)
    beyond = extrapolate(CHINCHILLA, one.data)
    assert [cut["rmsle"] for cut in report["extrapolation"]["cuts"]] == beyond.rmsle.tolist()
    assert report["extrapolation"]["score"] == beyond.score
    assert report["warnings"] == list(diagnose(one).warnings)


def test_the_text_ends_with_the_answer(capsys, runs):
    assert main(["fit", runs, "--law", "chinchilla", *COLUMNS, "--cut", "0.5"]) == 0
    found = capsys.readouterr()
    lines = found.out.strip().splitlines()
    assert lines[0] == "chinchilla: L = E + A N^-alpha + B D^-beta"
    assert "N (params) 1e+07 to 1e+10" in lines[1]
    rows = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert "exponent of size" in rows["alpha"]
    assert "±" in rows["alpha"]
    assert rows["0.5"].split()[2:4] == ["21", "21"]
    assert lines[-1].startswith("chinchilla describes 42 points to ")
    assert "fitted to the 21 smallest, predicts the other 21 to " in lines[-1]
    assert found.err.startswith("fit: chinchilla to 42 points\n")


def test_groups_are_resampled_whole(capsys, runs):
    more = ["--group", "run", "--bootstrap", "200", "--seed", "7"]
    found = answer(capsys, runs, "--law", "chinchilla", *COLUMNS, *more)
    report = found["report"]
    method = "cluster bootstrap over 7 groups, 200 resamples, percentiles, seed 7"
    assert report["method"] == method
    assert any("7 groups: the cluster bootstrap of so few" in one for one in report["warnings"])
    assert Fit.from_dict(found).data.group.tolist() == [i // 6 for i in range(42)]
    again = answer(capsys, runs, "--law", "chinchilla", *COLUMNS, *more)
    assert again == found
    other = answer(capsys, runs, "--law", "chinchilla", *COLUMNS, *more[:-1], "8")
    assert other["report"]["parameters"] != report["parameters"]
    assert other["parameters"] == found["parameters"]


def test_losses_fixed_and_tied_parameters_and_weights(capsys, tmp_path):
    rows = [(*row, 1 + i % 3) for i, row in enumerate(table())]
    path = write(tmp_path / "runs.csv", rows, ("run", "params", "tokens", "loss", "times"))
    more = ["--loss", "huber:1e-3", "--tie", "alpha=beta", "--fix", "E=1.8"]
    found = answer(capsys, path, "--law", "chinchilla", *COLUMNS, *more, "--weight-column", "times")
    assert found["law"] == "chinchilla[alpha=beta]"
    assert found["parameters"]["E"] == 1.8
    assert found["report"]["parameters"]["E"]["standard_error"] is None
    assert "alpha" not in found["parameters"]
    one = Fit.from_dict(found)
    assert one.loss == Huber(1e-3)
    assert one.data.weight.tolist() == [1 + i % 3 for i in range(42)]
    again = fit(CHINCHILLA, one.data, loss=Huber(1e-3), tie={"alpha": "beta"}, fix={"E": 1.8})
    assert again.objective == one.objective


def test_repeated_rows_are_named_and_left_out_when_asked(capsys, tmp_path):
    rows = table()
    path = write(tmp_path / "runs.csv", [*rows, rows[4], rows[0], rows[4]])
    kept = answer(capsys, path, "--law", "chinchilla", *COLUMNS)
    assert kept["report"]["warnings"][0] == (
        "3 rows repeat an earlier one (lines 44, 45, 46): each counts twice; "
        "--drop-duplicates leaves them out"
    )
    assert len(kept["data"]["y"]) == 45
    dropped = answer(capsys, path, "--law", "chinchilla", *COLUMNS, "--drop-duplicates")
    assert dropped["report"]["warnings"][0].endswith("(lines 44, 45, 46): left out")
    clean = answer(capsys, write(tmp_path / "clean.csv", rows), "--law", "chinchilla", *COLUMNS)
    assert dropped["parameters"] == clean["parameters"]


@pytest.mark.parametrize("name", ["chinchilla", "kaplan"])
def test_the_compute_optimum_is_the_lowest_point_of_the_law(name):
    _, size, tokens, losses = (np.array(values) for values in zip(*table(), strict=True))
    one = fit(find_law(name), Data({"N": size, "D": tokens}, losses))
    found = compute_optimal(one, None, 0.95)
    assert found is not None
    largest = 6 * (size * tokens).max()
    assert [row.compute / largest for row in found.rows] == pytest.approx([1, 10, 100])
    for row in found.rows:

        def loss(log_size, compute=row.compute):
            size = np.exp(log_size)
            return one.predict({"N": np.array([size]), "D": np.array([compute / 6 / size])})[0]

        best = scipy.optimize.minimize_scalar(loss, bracket=np.log([1e9, 1e11]), tol=1e-9)
        # A search by values of the loss finds the place of its minimum to the root of 1e-16 only.
        assert math.log(row.size[0]) == pytest.approx(best.x, abs=1e-6)
        assert row.loss[0] == pytest.approx(best.fun, rel=1e-12)
        assert 6 * row.size[0] * row.data[0] == pytest.approx(row.compute)
        assert row.ratio[0] == pytest.approx(row.data[0] / row.size[0])
        assert row.size[1] < row.size[0] < row.size[2]
    slope = math.log10(found.rows[1].size[0] / found.rows[0].size[0])
    assert found.size_exponent[0] == pytest.approx(slope, rel=1e-9)
    assert found.size_exponent[0] + found.data_exponent[0] == pytest.approx(1.0)
    assert found.method == "delta method"


def test_the_allocation_of_resamples_is_that_of_their_parameters(capsys, runs):
    more = ["--bootstrap", "300", "--seed", "5"]
    found = answer(capsys, runs, "--law", "chinchilla", *COLUMNS, *more)
    draws = bootstrap(Fit.from_dict(found), count=300, key=jax.random.key(5))
    alpha, beta = draws.values("alpha"), draws.values("beta")
    told = found["report"]["compute_optimal"]["size_exponent"]
    expected = np.quantile(beta / (alpha + beta), [0.025, 0.975])
    assert [told["low"], told["high"]] == pytest.approx(expected.tolist(), rel=1e-9)
    # TRUTH is hit unless the seed is one of the 5 % outside.
    assert told["low"] < TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"]) < told["high"]


def test_a_law_without_an_optimum_has_none(capsys, tmp_path):
    x = np.geomspace(1e3, 1e6, 10)
    rows = list(zip(x, 0.5 + 30 * x**-0.45 + 1e-3 * (-1.0) ** np.arange(10), strict=True))
    path = write(tmp_path / "curve.csv", rows, ("x", "loss"))
    found = answer(capsys, path, "--law", "power-law-constant", "--loss-column", "loss")
    assert found["report"]["compute_optimal"] is None


def numbers(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_the_files_hold_what_was_found(capsys, runs, tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr("scalinglab.commands.drawing.save", _keeping(drawn))
    out = tmp_path / "new" / "out"
    found = answer(capsys, runs, "--law", "chinchilla", *COLUMNS, "--cut", "0.5", "--out", str(out))
    names = {path.name for path in out.iterdir()}
    stems = ("residuals", "extrapolation")
    assert names == {"fit.json"} | {f"{s}.{end}" for s in stems for end in ("csv", "pdf", "png")}
    assert strict_json((out / "fit.json").read_text()) == found
    one = Fit.from_dict(strict_json((out / "fit.json").read_text()))

    rows = numbers(out / "residuals.csv")
    deviation = 100 * (one.data.y / one.predict(one.data.x) - 1)
    assert [int(row["line"]) for row in rows] == list(range(2, 44))
    # Twelve digits are written, of a difference that is a hundredth of its terms.
    np.testing.assert_allclose(column(rows, "deviation"), deviation, rtol=0, atol=1e-10)
    for axes, name in zip(drawn["residuals"].figure.axes, ("N", "D"), strict=True):
        (points,) = [line for line in axes.lines if line.get_marker() == "o"]
        np.testing.assert_allclose(points.get_xdata(), column(rows, name), rtol=1e-11)
        np.testing.assert_allclose(points.get_ydata(), column(rows, "deviation"), atol=1e-10)

    rows = numbers(out / "extrapolation.csv")
    beyond = extrapolate(CHINCHILLA, one.data, cuts=(0.5,))
    late = [row for row in rows if row["kind"] == "beyond"]
    errors = np.log(column(late, "law") / column(late, "measured"))
    assert math.sqrt(np.mean(errors**2)) == pytest.approx(beyond.rmsle[0], rel=1e-9)
    assert all(float(row["low"]) < float(row["law"]) < float(row["high"]) for row in late)
    left, right = drawn["extrapolation"].figure.axes
    for axes, x, y in ((left, "law", "measured"), (right, "order", "deviation")):
        (points,) = [line for line in axes.lines if line.get_marker() == "s"]
        np.testing.assert_allclose(points.get_xdata(), column(late, x), rtol=1e-11)
        np.testing.assert_allclose(points.get_ydata(), column(late, y), rtol=1e-11, atol=1e-10)


def column(rows, name):
    return np.array([float(row[name]) for row in rows])


def _keeping(drawn):
    from scalinglab.commands import drawing

    save = drawing.save

    def keep(made, folder, name):
        drawn[name] = made
        return save(made, folder, name)

    return keep


def test_a_file_is_not_replaced_in_silence(capsys, tmp_path):
    x = np.geomspace(1e3, 1e6, 10)
    rows = list(zip(x, 0.5 + 30 * x**-0.45 + 1e-3 * (-1.0) ** np.arange(10), strict=True))
    path = write(tmp_path / "curve.csv", rows, ("x", "loss"))
    arguments = ["fit", path, "--law", "power-law-constant", "--loss-column", "loss"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "fit.json").write_text("mine")
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"replaced {tmp_path}/out/fit.json" in lines
    assert f"wrote {tmp_path}/out/residuals.png" in lines
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name[0] == "."] == []
    rows = numbers(tmp_path / "out" / "extrapolation.csv")
    assert {row["kind"] for row in rows} == {"fitted", "beyond", "curve"}
    curve = [row for row in rows if row["kind"] == "curve"]
    assert [float(curve[0]["x"]), float(curve[-1]["x"])] == pytest.approx([1e3, 1e6], rel=1e-11)


def test_cuts_that_leave_too_little_are_told(capsys, tmp_path):
    x = np.geomspace(1e3, 1e6, 6)
    rows = list(zip(x, 0.5 + 30 * x**-0.45 + 1e-3 * (-1.0) ** np.arange(6), strict=True))
    path = write(tmp_path / "curve.csv", rows, ("x", "loss"))
    found = answer(capsys, path, "--law", "power-law-constant", "--loss-column", "loss")["report"]
    assert [cut["cut"] for cut in found["extrapolation"]["cuts"]] == [0.5, 0.75]
    (why,) = found["skipped_cuts"]
    assert why.startswith("cuts: the fit up to the cut at 0.25 fails: y: 1 points")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--law", "chinchila"], "law: 'chinchila' is unknown; did you mean chinchilla"),
        ([], "--law: missing: give a law that scalinglab laws lists"),
        (["--law", "chinchilla", "--loss", "hubber"], "--loss: 'hubber' is unknown: give one of"),
        (["--law", "chinchilla", "--loss", "huber:x"], "delta: 'x' is no number"),
        (["--law", "chinchilla", "--fix", "alpha"], "--fix: 'alpha': give NAME=VALUE"),
        (["--law", "chinchilla", "--fix", "alpha=x"], "--fix: 'x': give a number"),
        (["--law", "chinchilla", "--fix", "gamma=1"], "fix: 'gamma' is no parameter"),
        (["--law", "chinchilla", "--fix", "alpha=-1"], "fix: alpha = -1.0 is outside"),
        (["--law", "chinchilla", "--tie", "A=B"], "tie: A = B has different constraints"),
        (["--law", "chinchilla", "--cut", "1"], "--cut: '1': give a fraction between 0 and 1"),
        (["--law", "chinchilla", "--cut", "0.01"], "cuts: the fit up to the cut at 0.01 fails"),
        (["--law", "chinchilla", "--bootstrap", "5"], "--bootstrap: '5': give an integer of at"),
        (["--law", "chinchilla", "--grup", "run"], "--grup: unknown option"),
        (["--law", "chinchilla", "--out", __file__], "is a file: give a folder"),
        (["--law", "chinchilla", "more"], "'more': one argument too many"),
    ],
)
def test_bad_options_are_one_line(capsys, runs, more, message):
    status = main(["fit", runs, *more, *COLUMNS])
    found = capsys.readouterr()
    assert status == 2
    assert found.out == ""
    (line,) = [one for one in found.err.splitlines() if one.startswith("scalinglab: ")]
    assert message in line


def test_a_law_that_cannot_be_fitted_ends_with_its_status(capsys, runs, tmp_path, monkeypatch):
    terms = (Parameter("A", unit={"L": 1}),)
    broken = Law("broken", terms, ("N", "D"), lambda t, x: t["A"] * math.nan, formula="L = A")
    monkeypatch.setitem(LAWS, "broken", broken)
    assert main(["fit", runs, "--law", "broken", *COLUMNS, "--out", str(tmp_path / "out")]) == 3
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[-1].startswith("broken could not be fitted: the result is not a finite number")
    assert not (tmp_path / "out").exists()


def test_an_input_of_zero_can_be_fitted_and_drawn(capsys, tmp_path):
    x = np.r_[0.0, np.geomspace(10, 1e5, 11)]
    loss = 0.5 + 3 * (x + 5) ** -0.4 * (1 + 0.003 * (-1.0) ** np.arange(12))
    path = write(tmp_path / "curve.csv", list(zip(x, loss, strict=True)), ("x", "loss"))
    arguments = [path, "--law", "shifted-power-law", "--loss-column", "loss", "--cut", "0.6"]
    found = answer(capsys, *arguments, "--out", str(tmp_path / "out"))
    (cut,) = found["report"]["extrapolation"]["cuts"]
    assert (cut["fitted"], cut["predicted"]) == (7, 5)
    kinds = [row["kind"] for row in numbers(tmp_path / "out" / "extrapolation.csv")]
    assert kinds.count("curve") > 100


def test_one_group_is_refused(refusal, tmp_path):
    path = write(tmp_path / "runs.csv", [("same", *row[1:]) for row in table()])
    message = refusal("fit", path, "--law", "chinchilla", *COLUMNS, "--group", "run")
    assert "every row has 'same': at least two groups are needed" in message


def test_a_score_needs_positive_outputs(capsys, tmp_path):
    z = np.linspace(1, 5, 14)
    accuracy = -0.02 + 0.6 / (1 + np.exp(3 * (z - 3)))
    path = write(tmp_path / "link.csv", list(zip(z, accuracy, strict=True)), ("z", "accuracy"))
    arguments = ["fit", path, "--law", "sigmoid-link", "--loss-column", "accuracy"]
    first = next(i for i, value in enumerate(accuracy) if value <= 0)
    assert main([*arguments, "--cut", "0.5"]) == 2
    message = f"cut: line {first + 2}, column accuracy: {accuracy[first]:g} is not positive"
    assert message in capsys.readouterr().err


def test_laws_lists_the_catalogue(capsys):
    assert main(["laws"]) == 0
    out = capsys.readouterr().out
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    for law in LAWS.values():
        assert law.formula in lines[law.name]
        assert law.status in lines[law.name].split()
        assert ", ".join(law.inputs) in lines[law.name]
    assert f"{len(LAWS)} laws" in out
    assert main(["laws", "--json"]) == 0
    assert list(strict_json(capsys.readouterr().out)) == list(LAWS)


def test_laws_explains_one(capsys, refusal):
    assert main(["laws", "chinchilla"]) == 0
    out = capsys.readouterr().out
    assert "arXiv 2203.15556" in out
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    for parameter in CHINCHILLA.parameters:
        assert parameter.constraint in rows[parameter.name]
        assert parameter.meaning in rows[parameter.name]
    assert "L N^alpha" in rows["A"]
    assert "did you mean chinchilla" in refusal("laws", "chinchila")


def test_help_and_bad_options_import_nothing_heavy():
    code = textwrap.dedent(
        """
        import sys
        from scalinglab.__main__ import main
        calls = [["fit", "--help"], ["laws", "--help"], ["fit"], ["fit", "x.csv"],
                 ["fit", "x.csv", "--law", "chinchilla", "--loss-column", "loss"]]
        print([main(call) for call in calls])
        print(sorted({"jax", "numpy", "scipy", "matplotlib", "equinox"} & set(sys.modules)))
        """
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *_, statuses, heavy = found.stdout.strip().splitlines()
    assert json.loads(statuses) == [0, 0, 2, 2, 2]
    assert heavy == "[]"
