"""Errors and intervals of fits, against textbook formulas, scipy, brute force and coverage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from scalinglab.theory.fitting import (
    LEAST_SQUARES,
    Data,
    Huber,
    bootstrap,
    conformal_band,
    covariance,
    derive,
    diagnose,
    fit,
    fit_many,
    profile,
    profile_many,
    standard_errors,
    wald_interval,
)
from scalinglab.theory.fitting.laws import find_law

close = np.testing.assert_allclose
LINE = find_law("power-law")
CURVE = find_law("power-law-constant")
CHINCHILLA = find_law("chinchilla")
X = np.geomspace(1.0, 1e4, 12)
TRUTH = {"A": 2.0, "alpha": 0.5, "E": 0.3}


def _clean(x):
    return TRUTH["E"] + TRUTH["A"] * x ** -TRUTH["alpha"]


def _curve(seed=0, noise=0.01, x=X):
    random = np.random.default_rng(seed)
    return Data({"x": x}, _clean(x) * np.exp(noise * random.standard_normal(len(x))))


def _line(seed=0, count=40):
    """A straight line in log-log coordinates, with noise that grows along it, and its design."""
    random = np.random.default_rng(seed)
    x = np.geomspace(1.0, 1e4, count)
    noise = 0.02 * (1.0 + np.linspace(0.0, 4.0, count)) * random.standard_normal(count)
    return Data({"x": x}, 3.0 * x**-0.4 * np.exp(noise)), np.column_stack(
        [np.ones(count), -np.log(x)]
    )


def test_wald_and_sandwich_of_a_line_are_the_textbooks():
    """log A and alpha are linear, so that ordinary least squares is exact: s^2 (X'X)^-1 and HC3.

    The optimum and its residuals agree to 1e-12; the design has condition 10.
    """
    data, design = _line()
    found = fit(LINE, data, loss=LEAST_SQUARES)
    gram = np.linalg.inv(design.T @ design)
    residual = design @ (gram @ design.T @ np.log(data.y)) - np.log(data.y)
    leverage = np.einsum("ij,jk,ik->i", design, gram, design)
    wald = residual @ residual / 38 * gram
    meat = design.T @ (design * ((residual / (1 - leverage)) ** 2)[:, None])
    a = found.parameters["A"]
    for kind, expected in (("wald", wald), ("sandwich", gram @ meat @ gram)):
        errors = standard_errors(found, kind=kind)
        deviation = np.sqrt(np.diagonal(expected))
        close([errors["A"] / a, errors["alpha"]], deviation, rtol=1e-9)
    low, high = wald_interval(found, "alpha", level=0.9)
    half = scipy.stats.t(38).ppf(0.95) * np.sqrt(wald[1, 1])
    close([low, high], [found.parameters["alpha"] - half, found.parameters["alpha"] + half])
    # The profile of a linear problem is a parabola: the same interval, to the solver's 1e-5.
    ends = profile(found, "alpha", level=0.9)
    close([ends.low, ends.high], [low, high], rtol=0, atol=2e-5 * half)


@pytest.mark.parametrize("absolute", [False, True])
def test_covariance_is_that_of_curve_fit(absolute):
    """sd is absolute, as with absolute_sigma; a weight is relative, and rescaled by chi squared.

    curve_fit differences its Jacobian: 1e-6 relative in the covariance.
    """
    data = _curve(seed=3)
    sd = data.y * np.linspace(0.005, 0.02, 12)
    given = (
        Data(data.x, data.y, sd=sd) if absolute else Data(data.x, data.y, weight=(1.0 / sd) ** 2)
    )
    found = fit(CURVE, given, loss=LEAST_SQUARES, space="linear")
    _, expected = scipy.optimize.curve_fit(
        lambda x, a, alpha, e: e + a * x**-alpha,
        X,
        data.y,
        p0=[2.0, 0.5, 0.3],
        sigma=sd,
        absolute_sigma=absolute,
        ftol=1e-14,
        xtol=1e-14,
    )
    errors = standard_errors(found)
    deviation = np.sqrt(np.diagonal(expected))
    close([errors[name] for name in ("A", "alpha", "E")], deviation, rtol=1e-5)


def test_huber_errors_are_those_of_repeated_experiments():
    """Standard errors of alpha over 400 experiments: their spread is known to 1/sqrt(800) = 3.5 %.

    The mean Wald error and the spread may then differ by three such errors and a bias of O(1/n).
    """
    random = np.random.default_rng(8)
    x = np.geomspace(1.0, 1e4, 60)
    sets = [Data({"x": x}, _clean(x) * np.exp(0.01 * random.standard_t(4, 60))) for _ in range(400)]
    fits = fit_many(CURVE, sets, starts=2)
    spread = np.std([one.parameters["alpha"] for one in fits])
    mean = np.sqrt(np.mean([standard_errors(one)["alpha"] ** 2 for one in fits]))
    assert abs(mean / spread - 1.0) < 3 * 0.035 + 3 / 60


def test_profile_equals_brute_force():
    """Held at each end, scipy's best over the other parameters is at the cut of the F test."""
    data = _curve(seed=1)
    found = fit(CURVE, data, loss=LEAST_SQUARES)

    def squares(free, alpha):
        model = np.exp(free[0]) + np.exp(free[1]) * X**-alpha
        return np.log(model) - np.log(data.y)

    variance = np.sum(found.residuals**2) / 9
    for level in (0.68, 0.95):
        ends = profile(found, "alpha", level=level)
        assert ends.low < found.parameters["alpha"] < ends.high
        for alpha in (ends.low, ends.high):
            best = scipy.optimize.least_squares(
                squares, [np.log(0.3), np.log(2.0)], args=(alpha,), ftol=1e-15, xtol=1e-15
            )
            excess = (2 * best.cost - np.sum(found.residuals**2)) / variance
            close(excess, scipy.stats.f(1, 9).ppf(level), rtol=1e-4)
    assert (ends.low_open, ends.high_open, ends.lower_objective) == (False, False, False)
    assert (np.diff(ends.values) > 0).all()


def test_profile_of_an_amplitude_is_in_the_users_units():
    """A is held in the units of the data while its exponent moves."""
    data = Data({"x": 1e6 * X}, _curve(seed=2).y)
    found = fit(CURVE, data, loss=LEAST_SQUARES)
    ends = profile(found, "A")

    def squares(free, a):
        return np.log(np.exp(free[0]) + a * (1e6 * X) ** -free[1]) - np.log(data.y)

    start = [np.log(found.parameters["E"]), found.parameters["alpha"]]
    variance = np.sum(found.residuals**2) / 9
    for a in (ends.low, ends.high):
        best = scipy.optimize.least_squares(squares, start, args=(a,), ftol=1e-15, xtol=1e-15)
        excess = (2 * best.cost - np.sum(found.residuals**2)) / variance
        close(excess, scipy.stats.f(1, 9).ppf(0.95), rtol=1e-3)


def test_a_constant_that_may_be_zero_has_an_open_profile():
    """Short curves do not hold E: the interval reaches 0, and the diagnosis says so."""
    x = np.geomspace(1.0, 30.0, 12)
    random = np.random.default_rng(4)
    data = Data({"x": x}, (0.01 + x**-0.5) * np.exp(0.03 * random.standard_normal(12)))
    found = fit(CURVE, data)
    ends = profile(found, "E")
    assert ends.low_open
    assert ends.low == 0.0
    assert any("E = 0 fits the data as well" in text for text in diagnose(found).warnings)


def test_coverage_of_profile_intervals():
    """95 % intervals of alpha, n = 12, 1 % noise, 1000 data sets: 95 ± 3 %.

    The binomial error of 1000 is 0.7 %; the profile is approximate at n = 12, by about 1 %.
    """
    sets = [_curve(seed) for seed in range(1000)]
    fits = fit_many(CURVE, sets, loss=LEAST_SQUARES, starts=4)
    ends = profile_many(fits, "alpha")
    covered = np.array([one.low <= TRUTH["alpha"] <= one.high for one in ends])
    assert 0.92 <= covered.mean() <= 0.98
    assert not any(one.lower_objective for one in ends)
    # The Wald interval with t quantiles covers about as much; with the normal quantile and the
    # maximum-likelihood variance, s^2 (n - p) / n, far less: what many notebooks report.
    alpha = np.array([one.parameters["alpha"] for one in fits])
    error = np.array([standard_errors(one)["alpha"] for one in fits])
    wald = np.abs(alpha - TRUTH["alpha"]) <= scipy.stats.t(9).ppf(0.975) * error
    naive = np.abs(alpha - TRUTH["alpha"]) <= 1.96 * np.sqrt(9 / 12) * error
    assert 0.92 <= wald.mean() <= 0.98
    assert naive.mean() < 0.92


@pytest.mark.parametrize("kind", ["pairs", "bayes", "cluster", "wild", "parametric"])
def test_bootstrap_spread_is_the_standard_error(kind):
    """On many points of equal noise every bootstrap's spread is the Wald error.

    The spread of 1000 draws is known to 2.2 %, and that of the residuals of 200 points to 5 %;
    sandwich-like kinds estimate a variance from 200 squares, to 10 %: together 3 x 12 %.
    """
    random = np.random.default_rng(9)
    x = np.geomspace(1.0, 1e4, 200)
    y = _clean(x) * np.exp(0.01 * random.standard_normal(200))
    data = Data({"x": x}, y, group=np.arange(200) % 100 if kind == "cluster" else None)
    found = fit(CURVE, data, loss=LEAST_SQUARES)
    draws = bootstrap(found, count=1000, kind=kind, key=jax.random.key(1))
    assert draws.failed == 0
    assert draws.other_optimum == 0.0
    assert draws.warnings == ()
    ratio = draws.values("alpha").std() / standard_errors(found)["alpha"]
    assert abs(ratio - 1.0) < 0.36


def test_cluster_bootstrap_sees_what_runs_share():
    """Ten runs of twenty points with a shared offset: errors five times those of pairs.

    An offset of sd 1 % over points of sd 0.2 %: the mean of a run is known to 1 %, not to
    0.2 / sqrt(20) = 0.04 %; that of ten runs is estimated from ten, within a factor of two.
    """
    random = np.random.default_rng(10)
    run = np.repeat(np.arange(10), 20)
    x = np.tile(np.geomspace(1.0, 1e4, 20), 10)
    noise = 0.01 * random.standard_normal(10)[run] + 0.002 * random.standard_normal(200)
    found = fit(LINE, Data({"x": x}, 2.0 * x**-0.5 * np.exp(noise), group=run))
    spread = {
        kind: bootstrap(found, count=500, kind=kind, key=jax.random.key(2)).derived(
            lambda t: np.log(t["A"]) - t["alpha"] * np.log(100.0)
        )
        for kind in ("pairs", "cluster")
    }
    close(spread["cluster"].std(), 0.01 / np.sqrt(10), rtol=1.0)
    assert spread["cluster"].std() > 2 * spread["pairs"].std()


def test_bca_is_that_of_scipy():
    """On a law with one parameter, y = A / x: BCa of A against scipy.stats.bootstrap.

    Each end is a quantile of 8000 draws: its error is sqrt(.025 * .975 / 8000) in probability,
    over the density of a normal at 1.96, 0.058: 0.03 deviations. Two runs, four of them: 0.17.
    """
    random = np.random.default_rng(11)
    x = np.geomspace(1.0, 10.0, 30)
    y = np.exp(0.3 * random.exponential(size=30)) / x
    found = fit(LINE, Data({"x": x}, y), loss=LEAST_SQUARES, fix={"alpha": 1.0})
    draws = bootstrap(found, count=8000, kind="pairs", key=jax.random.key(3))
    ours = np.log(draws.interval("A", method="bca"))
    theirs = scipy.stats.bootstrap(
        (np.log(y * x),), np.mean, n_resamples=8000, method="BCa", rng=np.random.default_rng(0)
    )
    deviation = np.std(np.log(y * x)) / np.sqrt(30)
    close(ours, theirs.confidence_interval, rtol=0, atol=0.17 * deviation)
    assert draws.interval("A")[0] < draws.interval("A", method="bca")[0]  # skewed to the right


def test_derived_quantity_by_delta_and_by_draws():
    data = _curve(seed=5)
    found = fit(CURVE, data, loss=LEAST_SQUARES)

    def at_million(t):
        return t["E"] + t["A"] * 1e6 ** -t["alpha"]

    both = derive(found, at_million)
    # By hand, in log coordinates: gradient of log A, alpha, log E.
    p = found.parameters
    tail = p["A"] * 1e6 ** -p["alpha"]
    design = found.columns  # of the centred coordinates
    jacobian = np.column_stack(
        [p["A"] * X ** -p["alpha"], -np.log(X) * p["A"] * X ** -p["alpha"], np.full(12, p["E"])]
    ) / (p["E"] + p["A"] * X ** -p["alpha"])[:, None]  # fmt: skip
    variance = np.sum(found.residuals**2) / 9
    full = variance * np.linalg.inv(jacobian.T @ jacobian)
    gradient = np.array([tail, -np.log(1e6) * tail, p["E"]])
    close(both.value, at_million(p), rtol=1e-14)
    # The inverse of the normal equations, of condition about 1e5, formed in two ways.
    close(both.standard_error, np.sqrt(gradient @ full @ gradient), rtol=1e-8)
    assert design.shape == (3, 12)
    draws = bootstrap(found, count=2000, kind="parametric", key=jax.random.key(4))
    # 1.6 % for 2000 draws, three of them, and the curvature of the law at 1 % noise.
    close(draws.derived(at_million).std(), both.standard_error, rtol=0.1)
    low, high = draws.band({"x": [1e6]})
    assert low[0] < both.value < high[0]


def test_fixed_parameters_have_no_error():
    found = fit(CURVE, _curve(), loss=LEAST_SQUARES, fix={"E": 0.3})
    errors = standard_errors(found)
    assert errors["E"] == 0.0
    assert errors["alpha"] > 0.0
    assert covariance(found)[2].tolist() == [0.0] * 3


@pytest.mark.parametrize("method", ["split", "jackknife+"])
def test_conformal_bands_cover(method):
    """80 % bands at a new point of the largest scales, over 300 data sets with t(3) noise.

    Binomial error 2.3 %: three of them, plus 1/(m+1) = 5 % for 19 calibration points of a finite
    sample and a drift of the band across the calibration scales.
    """
    random = np.random.default_rng(12)
    covered = []
    for _ in range(300):
        x = np.sort(np.exp(random.uniform(0.0, 9.0, 77)))
        y = _clean(x) * np.exp(0.01 * random.standard_t(3, 77))
        new = np.exp(random.uniform(np.log(x[57]), 9.0))
        found = fit(CURVE, Data({"x": x}, y), starts=0)
        low, high = conformal_band(found, {"x": [new]}, level=0.8, method=method)
        covered.append(low[0] <= _clean(new) * np.exp(0.01 * random.standard_t(3)) <= high[0])
    assert abs(np.mean(covered) - 0.8) < 3 * 0.023 + 0.05


def test_diagnosis_of_a_ray():
    """D = 20 N with equal exponents: the two terms are one, and no interval can tell them apart."""
    n = np.geomspace(1e7, 1e10, 30)
    d = 20.0 * n
    noise = np.random.default_rng(13).standard_normal(30)
    loss = (1.8 + 480 * n**-0.35 + 2100 * d**-0.36) * np.exp(0.003 * noise)
    found = diagnose(fit(CHINCHILLA, Data({"N": n, "D": d}, loss)))
    assert found.spread_of_design < 1e-6
    assert any("ray" in text or "condition number" in text for text in found.warnings)
    # A design across compute has none of this.
    random = np.random.default_rng(14)
    n2, d2 = np.exp(random.uniform(16, 23, 60)), np.exp(random.uniform(20, 27, 60))
    y2 = (1.8 + 480 * n2**-0.35 + 2100 * d2**-0.36) * np.exp(0.003 * random.standard_normal(60))
    well = diagnose(fit(CHINCHILLA, Data({"N": n2, "D": d2}, y2)))
    assert well.warnings == ()
    close(np.diagonal(well.correlations), 1.0)


def test_a_naive_exponent_is_biased_by_a_constant():
    """Spec: a pure power law on E = .1 + x^-.5 gives .250; an E off by 10 % gives .435."""
    x = np.geomspace(1.0, 1e4, 25)
    y = 0.1 + x**-0.5
    naive = fit(LINE, Data({"x": x}, y), loss=LEAST_SQUARES).parameters["alpha"]
    slope = -np.polyfit(np.log(x), np.log(y), 1)[0]
    close(naive, slope, rtol=1e-10)
    assert naive < 0.3
    free = fit(CURVE, Data({"x": x}, y), loss=LEAST_SQUARES).parameters
    close([free["alpha"], free["E"]], [0.5, 0.1], rtol=1e-8)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda f: profile(f, "beta"), "name: 'beta'"),
        (lambda f: profile(f, "alpha", level=1.0), "level: 1.0"),
        (lambda f: wald_interval(f, "E"), "name: E was fixed"),
        (lambda f: bootstrap(f, count=0, key=jax.random.key(0)), "count: 0"),
        (lambda f: bootstrap(f, kind="cluster", key=jax.random.key(0)), "two groups"),
        (lambda f: bootstrap(f, count=2, key=jax.random.key(0)).interval("gamma"), "'gamma'"),
        (lambda f: derive(f, lambda t: jnp.ones(3)), "function: returned the shape"),
        (lambda f: conformal_band(f, {"x": [1.0]}, level=0.99), "calibration: 3 points"),
        (lambda f: conformal_band(f, {"x": [1.0]}, along="N"), "along: 'N'"),
        (lambda f: conformal_band(f, {"x": [1.0]}, calibration=2.0), "calibration: 2.0"),
        (lambda f: f.predict({"y": [1.0]}), "x: x is missing"),
    ],
)
def test_bad_input_is_named(call, words):
    found = fit(CURVE, _curve(), loss=Huber(0.01), fix={"E": 0.3})
    with pytest.raises(ValueError, match=words):
        call(found)
