"""Published fits of joint laws, reproduced from the published measurements.

The files are not part of the project: SCALINGLAB_DATA names their folder.
"""

import csv
import json
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares

from scalinglab.models import Status
from scalinglab.theory.fitting import L1, LEAST_SQUARES, Data, Huber, Law, Parameter, fit
from scalinglab.theory.fitting.laws.joint import CHINCHILLA, OVER_TRAINING

# Hoffmann et al., arXiv 2203.15556: the numbers printed, and those in the source of the paper.
ROUNDED = {"A": 406.4, "B": 410.7, "E": 1.69, "alpha": 0.34, "beta": 0.28}
UNROUNDED = {
    "A": np.exp(6.0073404),
    "B": np.exp(6.0179186),
    "E": np.exp(0.5267228),
    "alpha": 0.33917084,
    "beta": 0.2849083,
}


def data_file(name):
    folder = os.environ.get("SCALINGLAB_DATA")
    if not folder:
        pytest.skip("SCALINGLAB_DATA is not set: it names the folder of published measurements")
    path = Path(folder) / name
    if not path.is_file():
        pytest.skip(f"{name} is not in the folder that SCALINGLAB_DATA names")
    return path


def read(name):
    with data_file(name).open(newline="") as lines:
        return list(csv.DictReader(lines))


def column(rows, name):
    return np.array([float(row[name]) for row in rows])


def rounds_to(value, printed):
    """Whether a number agrees with a printed one to every digit that is printed."""
    _, _, decimals = printed.partition(".")
    return abs(value - float(printed)) <= 0.5 * 10.0 ** -len(decimals) * (1.0 + 1e-9)


def huber_objective(parameters, data, delta=1e-3):
    """Written again in numpy: the sum over points of Huber's loss of log residuals."""
    t, n, d = parameters, data.x["N"], data.x["D"]
    law = t["E"] + t["A"] * n ** -t["alpha"] + t["B"] * d ** -t["beta"]
    size = np.abs(np.log(law) - np.log(data.y))
    return np.sum(np.where(size <= delta, size**2 / 2, delta * (size - delta / 2)))


@pytest.fixture(scope="module")
def chinchilla():
    """The 240 points of Besiroglu et al.: all but the five largest losses, D = C / (6 N)."""
    rows = read("chinchilla_besiroglu.csv")
    size, compute, loss = (column(rows, k) for k in ("Model Size", "Training FLOP", "loss"))
    kept = np.sort(np.argsort(loss)[:-5])
    return Data({"N": size[kept], "D": (compute / (6 * size))[kept]}, loss[kept])


@pytest.fixture(scope="module")
def huber_fit(chinchilla):
    return fit(CHINCHILLA, chinchilla, loss=Huber(1e-3))


def test_chinchilla_points_give_the_corrected_law(chinchilla, huber_fit):
    # arXiv 2404.10102; the notebook's best objective is 1.018274061e-3.
    assert chinchilla.num_points == 240
    assert huber_fit.objective == pytest.approx(1.0182740178e-3, rel=1e-6)
    assert huber_fit.objective == pytest.approx(
        huber_objective(huber_fit.parameters, chinchilla), rel=1e-12
    )
    printed = {
        "A": "477.826",
        "B": "2143.42",
        "E": "1.817218",
        "alpha": "0.347310",
        "beta": "0.367172",
    }
    for name, text in printed.items():
        assert rounds_to(huber_fit.parameters[name], text), name
    assert huber_fit.share_of_starts == 1.0
    assert huber_fit.status == Status.OK
    # delta = 1e-3 is in effect L1: one residual in six is inside it.
    assert rounds_to(np.mean(np.abs(huber_fit.residuals) < 1e-3), "0.16")


def test_hoffmann_parameters_are_above_the_optimum(chinchilla, huber_fit):
    unrounded = huber_objective(UNROUNDED, chinchilla)
    rounded = huber_objective(ROUNDED, chinchilla)
    assert rounds_to(1e3 * unrounded, "1.2312")
    assert rounds_to(1e3 * rounded, "4.12")
    assert rounds_to(unrounded / huber_fit.objective - 1, "0.21")
    assert rounds_to(rounded / huber_fit.objective - 1, "3.05")


def test_a_fit_that_starts_at_hoffmann_ends_at_the_optimum(chinchilla, huber_fit):
    found = fit(CHINCHILLA, chinchilla, loss=Huber(1e-3), start=ROUNDED, starts=0)
    assert found.objective == pytest.approx(huber_fit.objective, rel=1e-12)


def test_the_printed_besiroglu_law_mixes_two_fits(chinchilla, huber_fit):
    # T2 and T3. Their fit with an estimated scale ended at sigma = e^-12.27, so that Huber's delta
    # was 5e-9 in log L: exact least absolute deviations. The printed A, B and exponents are its,
    # the printed E = 1.8172 is the one of delta = 1e-3. Beta = .365854 is printed as .3658, cut
    # and not rounded; with one more digit it is what is below.
    absolute = fit(CHINCHILLA, chinchilla, loss=L1)
    printed = {"A": "482.01", "B": "2085.43", "alpha": "0.3478", "beta": "0.36585"}
    for name, text in printed.items():
        assert rounds_to(absolute.parameters[name], text), name
        assert not rounds_to(huber_fit.parameters[name], text), name
    assert rounds_to(huber_fit.parameters["E"], "1.8172")
    assert not rounds_to(absolute.parameters["E"], "1.8172")
    # Least absolute deviations with five parameters pass through five points; the next is two
    # orders further than these, which the last Huber stage leaves within delta.
    size = np.sort(np.abs(absolute.residuals))
    assert size[4] < 1e-8
    assert size[5] > 1e-6
    # Their delta again, now in units of the residuals.
    again = fit(CHINCHILLA, chinchilla, loss=Huber(5e-9), start=absolute.parameters, starts=0)
    for name, text in printed.items():
        assert rounds_to(again.parameters[name], text), name


@pytest.mark.parametrize("name", ["hot", "slim_chinchilla", "cool_begin"])
def test_gemstones_objective_is_the_published_one(name):
    # arXiv 2502.06857. T6: published parameters lie on a flat valley about the optimum, so that
    # objectives are compared; the published parameters are no better, and close.
    lines = data_file(f"gemstones_{name}.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    published = json.loads(data_file(f"gemstones_{name}_published.json").read_text())
    x = {"N": column(rows, "params_active_precise"), "D": column(rows, "tokens")}
    found = fit(CHINCHILLA, Data(x, column(rows, "final_loss")), loss=Huber(1e-3))
    assert found.objective == pytest.approx(published["loss"]["0"], rel=5e-6)
    theirs = dict(zip(("alpha", "beta"), published["exponents"]["0"], strict=True))
    logs = dict(zip("AB", published["coefficients"]["0"], strict=True))
    logs["E"] = published["irreducible_error"]["0"]
    theirs |= {key: np.exp(value) for key, value in logs.items()}
    at_theirs = huber_objective(theirs, found.data)
    assert found.objective <= at_theirs <= found.objective * (1 + 1e-5)
    for key in CHINCHILLA.names:
        # Their amplitudes are logarithms: a difference of 0.02 in the exponents and in these.
        ours = found.parameters[key]
        difference = ours - theirs[key] if key in ("alpha", "beta") else np.log(ours / theirs[key])
        assert abs(difference) < 0.02, key


GADRE = {
    "c4_original": {"E": "1.51", "a": "141", "b": "190", "eta": "0.121"},
    "rpj": {"E": "1.84", "a": "212", "b": "367", "eta": "0.136"},
    "rw_original": {"E": "1.73", "a": "157", "b": "246", "eta": "0.127"},
}
SMALL = ("d=96_l=8_h=4", "d=512_l=8_h=4", "d=576_l=24_h=8", "d=1024_l=24_h=8")


@pytest.mark.parametrize("dataset", GADRE)
def test_five_points_give_the_over_training_law(dataset):
    # arXiv 2403.08540, Table 2: the four smallest models at 20 tokens a parameter and the smallest
    # at 320, losses on C4, least squares of the loss itself.
    rows = [row for row in read("gadre_104.csv") if row["dataset"] == dataset]
    rows = [
        row
        for row in rows
        if (row["arch"] in SMALL and float(row["M"]) == 20.0)
        or (row["arch"] == SMALL[0] and float(row["M"]) == 320.0)
    ]
    assert len(rows) == 5
    size, tokens, loss = (column(rows, name) for name in ("N", "D", "c4_val"))
    data = Data({"N": size, "D": tokens}, loss)
    found = fit(OVER_TRAINING, data, loss=LEAST_SQUARES, space="linear")
    for name, text in GADRE[dataset].items():
        assert rounds_to(found.parameters[name], text), name

    def residuals(p):
        # As in the paper's code: alpha N^b + beta 6^(b/2) (M N)^b + E, with b = -2 eta.
        alpha, beta, power, constant = np.exp(p[0]), np.exp(p[1]), -2 * p[2], p[3]
        ratio = tokens / size
        return (
            alpha * size**power
            + beta * 6 ** (power / 2) * (ratio * size) ** power
            + constant
            - loss
        )

    options = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "x_scale": "jac", "max_nfev": 4000}
    alpha, beta, eta, constant = least_squares(residuals, [4.6, 5.5, 0.15, 1.0], **options).x
    # One dof: the difference quotients of this route leave seven digits.
    theirs = {"a": np.exp(alpha) * 6**eta, "b": np.exp(beta), "E": constant, "eta": eta}
    for name, value in theirs.items():
        assert found.parameters[name] == pytest.approx(value, rel=1e-5), name


def test_parallel_scaling_law_as_a_law_of_the_user():
    # arXiv 2505.10475, the Stack column, Huber 1e-3; a user's own law in ten lines.
    law = Law(
        name="parallel",
        parameters=(
            Parameter("E", unit={"L": 1}),
            Parameter("A", unit={"N": 1, "L": lambda t: 1 / t["alpha"]}, start=(1e-4, 1e4)),
            Parameter("k"),
            Parameter("alpha"),
        ),
        inputs=("N", "P"),
        log_predict=lambda t, x: jnp.log(
            t["E"] + (t["A"] / (x["N"] * (t["k"] * x["log P"] + 1))) ** t["alpha"]
        ),
    )
    rows = read("parscale.csv")
    x = {"N": column(rows, "params"), "P": column(rows, "P")}
    found = fit(law, Data(x, column(rows, "stack_loss")), loss=Huber(1e-3))
    assert len(rows) == 24
    for name, text in {"E": "0.69121", "k": "0.39346", "alpha": "0.18936"}.items():
        assert rounds_to(found.parameters[name], text), name
    assert rounds_to(found.parameters["A"] / 1e7, "1.1307")
    y = found.data.y
    share = 1 - np.sum((found.predict(x) - y) ** 2) / np.sum((y - y.mean()) ** 2)
    assert rounds_to(share, "0.99783")
