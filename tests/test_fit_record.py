"""A fit to JSON and back, bit for bit, and the reporting card."""

import json
import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from scalinglab import __version__
from scalinglab.models import Status
from scalinglab.theory.fitting import (
    L1,
    LEAST_SQUARES,
    Cauchy,
    Data,
    Fit,
    Huber,
    Law,
    Parameter,
    fit,
)
from scalinglab.theory.fitting.card import card
from scalinglab.theory.fitting.covariance import standard_errors
from scalinglab.theory.fitting.laws.joint import CHINCHILLA
from scalinglab.theory.fitting.profile import profile

OWN = Law(
    "own-law",
    (Parameter("A", unit={"L": 1, "x": "p"}), Parameter("p")),
    ("x",),
    lambda t, x: jnp.log(t["A"]) - t["p"] * x["log x"],
    space="linear",
)


def points(**more):
    random = np.random.default_rng(5)
    size = np.repeat(np.geomspace(1e7, 1e10, 7), 6)
    tokens = np.tile(np.geomspace(1e9, 1e12, 6), 7)
    loss = 1.8 + 400 * size**-0.34 + 2000 * tokens**-0.37
    return Data({"N": size, "D": tokens}, loss * np.exp(0.01 * random.standard_normal(42)), **more)


def through_json(one):
    return json.loads(json.dumps(one.to_dict(), allow_nan=False))


CASES = {
    "automatic": ({}, {}),
    "huber": ({}, {"loss": Huber(1e-3)}),
    "least squares": ({}, {"loss": LEAST_SQUARES}),
    "l1": ({}, {"loss": L1}),
    "cauchy": ({}, {"loss": Cauchy(0.1 + 0.2)}),
    "tied": ({}, {"tie": {"alpha": "beta"}}),
    "fixed": ({}, {"fix": {"alpha": 1 / 3}}),
    "weights": ({"weight": np.arange(42) / 7}, {}),
    "deviations": ({"sd": np.linspace(0.01, 0.03, 42)}, {}),
    "groups": ({"group": [f"run {i % 4}" for i in range(42)]}, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fit_comes_back_bit_for_bit(name):
    data, how = CASES[name]
    one = fit(CHINCHILLA, points(**data), **how)
    again = Fit.from_dict(through_json(one))
    if name == "tied":
        assert again.law.name == "chinchilla[alpha=beta]"
        assert again.law.names == ("A", "B", "E", "beta")
    assert eqx.tree_equal(one, again) is True
    assert again.loss == one.loss
    x = {"N": np.array([3e10]), "D": np.array([2e12])}
    assert again.predict(x)[0] == one.predict(x)[0]


def test_a_record_can_be_used_like_the_fit():
    one = fit(CHINCHILLA, points(group=np.arange(42) % 5))
    again = Fit.from_dict(through_json(one))
    assert standard_errors(again) == standard_errors(one)
    first, second = (profile(each, "alpha") for each in (one, again))
    assert (first.low, first.high) == (second.low, second.high)


def test_the_order_of_fields_and_further_ones_do_not_matter():
    one = fit(CHINCHILLA, points())
    text = json.dumps({**one.to_dict(), "report": {"remark": "mine"}}, sort_keys=True)
    again = Fit.from_dict(json.loads(text))
    assert list(again.parameters) == list(CHINCHILLA.names)
    assert again.parameters == one.parameters


def test_a_law_of_the_users_own():
    x = np.geomspace(1.0, 100.0, 8)
    one = fit(OWN, Data({"x": x}, 3.0 * x**-0.5 + 0.01 * (-1.0) ** np.arange(8)))
    record = through_json(one)
    with pytest.raises(ValueError, match="law: 'own-law' is unknown"):
        Fit.from_dict(record)
    assert eqx.tree_equal(one, Fit.from_dict(record, law=OWN)) is True
    with pytest.raises(ValueError, match="law: 'own-law' is recorded, not 'chinchilla'"):
        Fit.from_dict(record, law=CHINCHILLA)


def test_a_fit_that_failed_comes_back():
    broken = Law("broken", (Parameter("A", unit={"L": 1}),), ("x",), lambda t, x: t["A"] * math.nan)
    one = fit(broken, Data({"x": [1.0, 2.0]}, [1.0, 2.0]))
    record = through_json(one)
    assert one.status == Status.NOT_FINITE
    assert record["status"] == "NOT_FINITE"
    assert record["objective"] == "nan"
    again = Fit.from_dict(record, law=broken)
    assert math.isnan(again.objective)
    assert np.isnan(again.residuals).all()


@pytest.fixture(scope="module")
def record():
    return through_json(fit(CHINCHILLA, points()))


FIELDS = [
    *("law", "loss", "space", "fixed", "parameters", "status", "delta", "objective", "gradient"),
    *("share_of_starts", "iterations", "num_starts", "phi", "residuals", "columns", "data"),
]


@pytest.mark.parametrize("name", FIELDS)
def test_a_missing_field_is_named(record, name):
    with pytest.raises(ValueError, match=f"^{name}: missing"):
        Fit.from_dict({key: value for key, value in record.items() if key != name})


@pytest.mark.parametrize("name", ["x", "y", "weight", "sd", "group"])
def test_a_missing_column_is_named(record, name):
    data = {key: value for key, value in record["data"].items() if key != name}
    with pytest.raises(ValueError, match=f"^{name}: missing"):
        Fit.from_dict({**record, "data": data})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "else"}, "format: 'else', version 1 is not 'scalinglab fit', version 1"),
        ({"version": 2}, "format: 'scalinglab fit', version 2 is not"),
        ({"law": "chinchila"}, "law: 'chinchila' is unknown; did you mean chinchilla"),
        ({"law": "chinchilla[alpha=gamma]"}, "tie: 'gamma' is no parameter"),
        ({"law": "chinchilla[alpha=beta]"}, "parameters: A, B, E, alpha, beta are recorded"),
        ({"loss": "huber:wide"}, "delta: 'wide' is no number"),
        ({"space": "square"}, "space: 'square'; give one of log, linear"),
        ({"status": "GOOD"}, "status: 'GOOD'; give one of OK"),
        ({"objective": "much"}, "objective: 'much' is no number"),
        ({"parameters": [1.0]}, "parameters: .* is no mapping"),
        ({"phi": [1.0]}, "phi: shape .* the record is damaged"),
        ({"residuals": ["a"]}, "residuals: holds something that is no number"),
        ({"data": []}, "data: .* is no mapping"),
    ],
)
def test_a_damaged_record_is_refused(record, change, message):
    with pytest.raises(ValueError, match="^" + message):
        Fit.from_dict({**record, **change})


def test_the_card_is_the_checklist():
    data = points(group=np.arange(42) % 5, weight=np.where(np.arange(42) < 3, 2.0, 1.0))
    one = fit(CHINCHILLA, data, loss=Huber(1e-3), fix={"E": 1.8})
    text = one.card()
    assert len(text.splitlines()) <= 40
    assert max(len(line) for line in text.splitlines()) <= 100
    told = [
        CHINCHILLA.formula,
        "2203.15556",
        "verified",
        "42 points; 5 groups; weights 1 to 2",
        "N 1e+07 to 1e+10; D 1e+09 to 1e+12",
        "huber:0.001 of residuals of log L",
        f"{one.num_starts} (variable projection, Sobol sequence)",
        f"{100 * one.share_of_starts:.0f} % ended",
        f"objective {one.objective:.10g}",
        "95 %, profile likelihood",
        f"scalinglab {__version__}",
    ]
    for part in told:
        assert part in text
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.split()}
    found = profile(one, "alpha")
    assert [float(cell) for cell in rows["alpha"][1:]] == pytest.approx(
        [one.parameters["alpha"], standard_errors(one)["alpha"], found.low, found.high],
        rel=5e-3,  # three digits are printed of the error
    )
    assert rows["E"] == ["E", "1.8", "fixed"]


def test_the_card_takes_intervals_and_warnings_of_others():
    one = fit(CHINCHILLA, points())
    intervals = dict.fromkeys(CHINCHILLA.names, (1.25, 2.5))
    warnings = [f"number {i}: " + "a long sentence about it " * 9 for i in range(30)]
    text = card(one, intervals=intervals, method="pairs bootstrap, seed 3", warnings=warnings)
    assert "95 %, pairs bootstrap, seed 3" in text
    assert text.count("1.25") == 5
    assert "number 0" in text
    assert "more in diagnose(fit).warnings" in text
    assert len(text.splitlines()) <= 40
    with pytest.raises(ValueError, match="intervals: alpha is missing"):
        card(one, intervals={"A": (0.0, 1.0), "B": (0.0, 1.0), "E": (0.0, 1.0)})
