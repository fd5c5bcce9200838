"""Which law extrapolates best, information criteria, and the fit without each group."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats

from scalinglab.theory.fitting import (
    L1,
    LEAST_SQUARES,
    Cauchy,
    Data,
    Huber,
    Law,
    Parameter,
    fit,
)
from scalinglab.theory.fitting.compare import compare, extrapolate
from scalinglab.theory.fitting.covariance import standard_errors
from scalinglab.theory.fitting.information import information
from scalinglab.theory.fitting.laws import find_law
from scalinglab.theory.fitting.laws.joint import CHINCHILLA
from scalinglab.theory.fitting.leave_out import leave_group_out

NOISE = 0.01
TRUTH = {"A": 400.0, "B": 2000.0, "E": 1.8, "alpha": 0.34, "beta": 0.37}


def points(noise=NOISE, seed=0, **more):
    """Runs on a grid of sizes and tokens that no two share in compute but by design."""
    random = np.random.default_rng(seed)
    size = np.repeat(np.geomspace(1e7, 1e10, 7), 6)
    tokens = np.tile(np.geomspace(3e8, 5e11, 6), 7)
    loss = TRUTH["E"] + TRUTH["A"] * size ** -TRUTH["alpha"] + TRUTH["B"] * tokens ** -TRUTH["beta"]
    loss = loss * np.exp(noise * random.standard_normal(len(size)))
    return Data({"N": size, "D": tokens}, loss, **more)


def curve(points=16, constant=0.5, seed=1):
    random = np.random.default_rng(seed)
    x = np.geomspace(1e3, 1e6, points)
    y = (constant + 30.0 * x**-0.45) * np.exp(NOISE * random.standard_normal(points))
    return Data({"x": x}, y)


def test_the_score_is_that_of_a_loop():
    data = points()
    found = extrapolate(CHINCHILLA, data, cuts=(0.6, 0.7), loss=Huber(0.01))
    compute = data.x["N"] * data.x["D"]
    for i, cut in enumerate((0.6, 0.7)):
        smallest = np.argsort(compute)[: round(cut * len(compute))]
        mask = np.isin(np.arange(len(compute)), smallest)
        np.testing.assert_array_equal(found.trained[i], mask)
        one = fit(CHINCHILLA, data.take(mask), loss=Huber(0.01))
        errors = np.log(one.predict(data.x))[~mask] - np.log(data.y)[~mask]
        # Both are solved to a relative decrement of 1e-24: parameters to eps times the condition
        # number, below 1e4 here.
        assert found.rmsle[i] == pytest.approx(math.sqrt(np.mean(errors**2)), rel=1e-9)
        assert found.x_cut[i] == pytest.approx(compute[mask].max(), rel=1e-9)
        assert (found.num_train[i], found.num_test[i]) == (mask.sum(), (~mask).sum())
        assert found.fits[i].objective == pytest.approx(one.objective, rel=1e-10)
    assert found.score == pytest.approx(found.rmsle.mean(), rel=1e-15)
    assert found.along == ("N", "D")


def test_runs_of_one_budget_stay_together():
    """D = C / 6N: the products differ in their last digits only."""
    budgets = np.repeat(np.array([1e18, 1e19, 1e20, 1e21]), 5)
    size = np.tile(np.geomspace(1e7, 1e10, 5), 4)
    tokens = budgets / (6.0 * size)
    assert len(np.unique(size * tokens)) > 4
    data = Data({"N": size, "D": tokens}, 1.8 + 400 * size**-0.34 + 2000 * tokens**-0.37)
    # 6, 10, 12, 18 of 20 points; a border is at 5, 10 and 15.
    for cut, border in ((0.3, 5), (0.5, 10), (0.6, 10), (0.9, 15)):
        found = extrapolate(CHINCHILLA, data, cuts=(cut,))
        assert found.num_train.tolist() == [border]
        assert len({*budgets[found.trained[0]]} & {*budgets[~found.trained[0]]}) == 0


def test_points_without_weight_count_on_neither_side():
    data = points()
    junk = {name: np.concatenate([column, [1e5, 1e13]]) for name, column in data.x.items()}
    more = Data(
        junk, np.concatenate([data.y, [50.0, 0.01]]), weight=np.r_[np.ones(len(data.y)), 0.0, 0.0]
    )
    first = extrapolate(CHINCHILLA, data, cuts=(0.6,))
    second = extrapolate(CHINCHILLA, more, cuts=(0.6,))
    assert second.num_train[0] + second.num_test[0] == len(data.y)
    assert second.rmsle[0] == pytest.approx(first.rmsle[0], rel=1e-9)


def test_weights_enter_the_score():
    data = points()
    weight = np.where(data.x["N"] > 5e9, 3.0, 1.0)
    found = extrapolate(CHINCHILLA, points(weight=weight), cuts=(0.6,), along="D")
    left = ~found.trained[0]
    squares = (found.log_ratio[0] ** 2)[left]
    expected = math.sqrt(np.sum(weight[left] * squares) / np.sum(weight[left]))
    assert found.rmsle[0] == pytest.approx(expected, rel=1e-14)
    assert data.x["D"][found.trained[0]].max() < data.x["D"][left].min()


def test_the_true_law_wins_over_one_without_a_constant():
    laws = [find_law("power-law"), find_law("power-law-constant")]
    found = compare(laws, curve(), cuts=(0.5,))
    assert found.names == ("power-law-constant", "power-law")
    right, wrong = found.rows
    # Beyond the cut at 1/2 the power law misses a constant that makes up most of the loss.
    assert wrong.extrapolation.score > 0.1
    assert right.extrapolation.score < 10 * NOISE
    assert right.information.aicc < wrong.information.aicc
    assert right.information.bic < wrong.information.bic
    header, first, *_ = found.text.splitlines()
    assert header.split()[:3] == ["law", "k", "RMSLE"]
    assert first.split()[:2] == ["power-law-constant", "4"]
    assert first.split()[-2:] == ["0", "0"]


def test_a_law_that_cannot_be_fitted_comes_last():
    broken = Law("broken", (Parameter("A", unit={"L": 1}),), ("x",), lambda t, x: t["A"] * math.nan)
    found = compare([broken, find_law("power-law")], curve(), cuts=(0.5,))
    assert found.names == ("power-law", "broken")
    assert math.isnan(found.rows[1].extrapolation.score)
    assert math.isnan(found.rows[1].information.aicc)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cuts": (1.0,)}, "cuts: 1.0; give a fraction"),
        ({"cuts": (0.05,)}, "cuts: the fit up to the cut at 0.05 fails: y: 2 points"),
        ({"along": "C"}, "along: 'C' is no column; give one of N, D"),
        ({"fix": {"gamma": 1.0}}, "fix: 'gamma' is no parameter"),
    ],
)
def test_what_cannot_be_extrapolated(options, message):
    with pytest.raises(ValueError, match="^" + message.replace("(", "\\(")):
        extrapolate(CHINCHILLA, points(), **options)


def test_a_single_scale_cannot_be_extrapolated():
    data = points()
    same = Data({"N": data.x["N"], "D": data.x["D"], "lr": np.ones(len(data.y))}, data.y)
    with pytest.raises(ValueError, match="along: every point has the same lr, a single scale"):
        extrapolate(CHINCHILLA, same, along="lr")


def test_laws_are_compared_once_each():
    with pytest.raises(ValueError, match="laws: none"):
        compare([], curve())
    with pytest.raises(ValueError, match="repeat a name"):
        compare([CHINCHILLA, CHINCHILLA], points())


def criteria(log_likelihood, k, n):
    aicc = -2 * log_likelihood + 2 * k + 2 * k * (k + 1) / (n - k - 1)
    return aicc, -2 * log_likelihood + k * math.log(n)


def check(found, log_likelihood, k, n, rel=1e-12):
    assert (found.num_parameters, found.num_points) == (k, n)
    assert found.log_likelihood == pytest.approx(log_likelihood, rel=rel)
    assert (found.aicc, found.bic) == pytest.approx(criteria(log_likelihood, k, n), rel=rel)


def test_information_of_least_squares_is_that_of_lognormal_outputs():
    data = points()
    one = fit(CHINCHILLA, data, loss=LEAST_SQUARES)
    predicted = one.predict(data.x)
    sigma = math.sqrt(np.mean(np.log(predicted / data.y) ** 2))
    direct = scipy.stats.lognorm.logpdf(data.y, s=sigma, scale=predicted).sum()
    check(information(one), direct, 6, 42)
    assert information(one).scale == pytest.approx(sigma, rel=1e-12)


def test_information_in_linear_space_and_with_a_fixed_parameter():
    data = points()
    one = fit(CHINCHILLA, data, loss=LEAST_SQUARES, space="linear", fix={"E": 1.8})
    sigma = math.sqrt(np.mean((one.predict(data.x) - data.y) ** 2))
    direct = scipy.stats.norm.logpdf(data.y, one.predict(data.x), sigma).sum()
    check(information(one), direct, 5, 42)


def test_information_of_l1_is_that_of_laplace_residuals():
    data = points()
    one = fit(CHINCHILLA, data, loss=L1)
    residuals = np.log(one.predict(data.x) / data.y)
    mean = np.mean(np.abs(residuals))
    direct = scipy.stats.laplace.logpdf(residuals, scale=mean).sum() - np.log(data.y).sum()
    # The fit ends at a Huber loss that differs from L1 by 1e-6 of a residual, at an optimum.
    check(information(one), direct, 6, 42, rel=1e-9)


@pytest.mark.parametrize("loss", [Huber(1e-3), Huber(0.012), Huber(0.5), Cauchy(0.02), Cauchy(0.2)])
def test_information_of_a_robust_loss_by_quadrature(loss):
    """Z by quadrature and the scale by a search: the module has both in closed form."""
    data = points()
    one = fit(CHINCHILLA, data, loss=loss)
    z, delta = one.residuals, loss.delta

    def rho(r):
        size = np.abs(r)
        if loss.kind == "cauchy":
            return 0.5 * delta**2 * np.log1p((r / delta) ** 2)
        return np.where(size <= delta, 0.5 * r**2, delta * (size - 0.5 * delta))

    def cost(log_sigma):
        variance = math.exp(2 * log_sigma)
        parts = [
            scipy.integrate.quad(
                lambda r: math.exp(-float(rho(r)) / variance), *ends, epsabs=0, epsrel=1e-11
            )[0]
            for ends in ((0, delta), (delta, 20 * delta), (20 * delta, np.inf))
        ]
        return math.log(2 * sum(parts)) + np.mean(rho(z)) / variance

    found = information(one)
    best = scipy.optimize.minimize_scalar(
        cost, bounds=(math.log(found.scale) - 1, math.log(found.scale) + 1), method="bounded"
    )
    direct = -42 * best.fun - np.log(data.y).sum()
    # At its minimum the cost is flat, so that the search costs the square of its 1e-5 only.
    check(found, direct, 6, 42, rel=1e-8)
    assert found.scale == pytest.approx(math.exp(best.x), rel=1e-4)


def test_a_wide_huber_loss_has_the_criteria_of_least_squares():
    wide, square = (fit(CHINCHILLA, points(), loss=loss) for loss in (Huber(5.0), LEAST_SQUARES))
    assert information(wide).aicc == pytest.approx(information(square).aicc, rel=1e-10)


def test_information_knows_weights_and_deviations():
    plain, double = (
        information(fit(CHINCHILLA, points(weight=np.full(42, w)), loss=Huber(0.01)))
        for w in (1.0, 2.0)
    )
    assert double.aicc == pytest.approx(plain.aicc, rel=1e-10)
    # Deviations proportional to the loss are the same model as none, in log space.
    data = points()
    scaled = fit(CHINCHILLA, points(sd=0.03 * data.y), loss=LEAST_SQUARES)
    alone = information(fit(CHINCHILLA, data, loss=LEAST_SQUARES))
    assert information(scaled).log_likelihood == pytest.approx(alone.log_likelihood, rel=1e-10)
    assert information(scaled).scale == pytest.approx(alone.scale / 0.03, rel=1e-8)


def test_too_few_points_have_no_correction():
    data = points().take(np.arange(0, 42, 6))
    assert data.num_points == 7
    one = fit(CHINCHILLA, data, loss=LEAST_SQUARES, fix={"beta": 0.37, "B": 2000.0})
    assert math.isfinite(information(one).aicc)
    full = fit(CHINCHILLA, points().take(np.arange(0, 42, 7)), loss=LEAST_SQUARES)
    assert information(full).aicc == math.inf


def test_leaving_a_group_out_is_fitting_the_others():
    labels = np.repeat(np.arange(7), 6)
    data = points(group=labels)
    whole = fit(CHINCHILLA, data, loss=Huber(0.01))
    found = leave_group_out(whole)
    errors = standard_errors(whole)
    assert found.groups.tolist() == list(range(7))
    assert found.num_points.tolist() == [6] * 7
    for i in range(7):
        one = fit(CHINCHILLA, data.take(labels != i), loss=Huber(0.01))
        for name in CHINCHILLA.names:
            # resolve stops at a relative decrement of 1e-13, in units of the covariance
            # sqrt(1e-13 n) = 2e-6 standard errors.
            assert abs(found.parameters[name][i] - one.parameters[name]) < 1e-5 * errors[name]
            shift = (one.parameters[name] - whole.parameters[name]) / errors[name]
            assert found.shift[name][i] == pytest.approx(shift, abs=1e-4)
    group, name, shift = found.worst
    assert abs(shift) == max(np.abs(values).max() for values in found.shift.values())
    assert found.shift[name][int(group)] == shift
    ratio = found.derived(lambda p: p["beta"] / (p["alpha"] + p["beta"]))
    assert ratio.shape == (7,)
    assert found.text.splitlines()[0].split() == ["group", "points", *CHINCHILLA.names, "shift"]


def test_the_fit_without_spoilt_runs_is_the_truth():
    data = points(noise=0.002)
    y = data.y.copy()
    bad = data.x["D"] == data.x["D"].max()
    y[bad] *= 1.15
    found = leave_group_out(fit(CHINCHILLA, Data(data.x, y), loss=LEAST_SQUARES), by="D")
    assert found.groups[-1] == data.x["D"].max()
    clean = fit(CHINCHILLA, data.take(~bad), loss=LEAST_SQUARES)
    # 5 standard errors fail once in a million; every other group leaves the spoilt runs in.
    missed = np.abs(found.parameters["E"] - TRUTH["E"]) / standard_errors(clean)["E"]
    assert missed[-1] < 5
    assert missed[:-1].min() > 10


@pytest.mark.parametrize(
    ("data", "by", "message"),
    [
        ({}, None, "by: the data have no groups"),
        ({}, "C", "by: 'C' is no column"),
        ({"group": np.zeros(42)}, None, "by: every point has group = 0"),
        ({"group": np.arange(42) < 3}, None, "by: without group = 0 there are 3 points"),
    ],
)
def test_groups_that_cannot_be_left_out(data, by, message):
    with pytest.raises(ValueError, match=message):
        leave_group_out(fit(CHINCHILLA, points(**data)), by=by)
