"""Every law of tier A: its formula, its units, its linear columns, and that fits recover it."""

import functools
import importlib

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.stats import norm, qmc
from scipy.stats import t as student

from scalinglab.theory.fitting import LEAST_SQUARES, Data, fit_many
from scalinglab.theory.fitting.coordinates import working
from scalinglab.theory.fitting.law import power_of
from scalinglab.theory.fitting.laws.broken import sorted_breaks

MODULES = ("power", "joint", "batch", "broken", "m4", "annealing", "links", "routing")
LAWS = {
    law.name: law
    for module in MODULES
    for law in importlib.import_module(f"scalinglab.theory.fitting.laws.{module}").LAWS
}
POINTS = 64
NOISE = 0.01
FACTOR = 1e6
each_law = pytest.mark.parametrize(
    "name",
    # Twelve parameters take ten seconds to compile on a busy machine.
    [pytest.param(name, marks=pytest.mark.slow) if name == "bnsl-3" else name for name in LAWS],
)


def logistic(u):
    return 1 / (1 + np.exp(-u))


def broken(t, x, breaks):
    value = t["b"] * x ** -t["c0"]
    for i in range(1, breaks + 1):
        c, d, f = (t[f"{letter}{i}"] for letter in "cdf")
        value = value * (1 + (x / d) ** (1 / f)) ** (-c * f)
    return t["a"] + value


def data_constrained(t, N, D, U):
    G = (t["alpha"] * t["A"] / (t["beta"] * t["B"])) ** (1 / (t["alpha"] + t["beta"]))
    U_N = np.minimum(N, G * (U * G) ** (t["beta"] / t["alpha"]))
    U_D = np.minimum(D, U)
    n = U_N + U_N * t["R_N"] * (1 - np.exp(-(N / U_N - 1) / t["R_N"]))
    d = U_D + U_D * t["R_D"] * (1 - np.exp(-(D / U_D - 1) / t["R_D"]))
    return t["E"] + t["A"] / n ** t["alpha"] + t["B"] / d ** t["beta"]


def m4(t, x):
    """By bisection in 30 digits, point by point."""
    low, top = mpmath.mpf(t["E"]), mpmath.mpf(t["E"]) + mpmath.mpf(t["span"])

    def one(right):
        def gap(w):
            excess, rest = w * (top - low), (1 - w) * (top - low)
            return mpmath.log(excess) - t["alpha"] * mpmath.log(rest) - mpmath.log(right)

        w = mpmath.findroot(gap, (mpmath.mpf("1e-30"), 1 - mpmath.mpf("1e-28")), solver="anderson")
        return float(low + w * (top - low))

    with mpmath.workdps(30):
        return np.array([one(t["beta"] * mpmath.mpf(v) ** -t["c"]) for v in x])


def over_training(t, N, D):
    M, C = D / N, 6 * N * D
    return t["E"] + (t["a"] * M ** t["eta"] + t["b"] * M ** -t["eta"]) * C ** -t["eta"]


def routed(t, N, E):
    seen = 1 / (1 / (E - 1 + 1 / (1 / t["E_start"] - 1 / t["E_max"])) + 1 / t["E_max"])
    log_n, log_e = np.log10(N), np.log10(seen)
    return 10 ** (t["a"] * log_n + t["b"] * log_e + t["c"] * log_n * log_e + t["d"])


def kaplan(t, N, D):
    inner = (t["N_c"] / N) ** (t["alpha_N"] / t["alpha_D"]) + t["D_c"] / D
    return inner ** t["alpha_D"]


PLAIN = {
    "power-law": lambda t, x: t["A"] * x ** -t["alpha"],
    "power-law-constant": lambda t, x: t["E"] + t["A"] * x ** -t["alpha"],
    "shifted-power-law": lambda t, x: t["E"] + t["A"] * (x + t["x1"]) ** -t["alpha"],
    "corrected-power-law": lambda t, x: (
        t["E"] + t["A"] * x ** -t["alpha"] * (1 + t["c"] * x ** -t["omega"])
    ),
    "rectified": lambda t, D: t["B"] / (t["D_l"] + D ** t["beta"]) + t["E"],
    "chinchilla": lambda t, N, D: t["E"] + t["A"] * N ** -t["alpha"] + t["B"] * D ** -t["beta"],
    "kaplan": kaplan,
    "kaplan-size": lambda t, N: (t["N_c"] / N) ** t["alpha_N"],
    "kaplan-data": lambda t, D: (t["D_c"] / D) ** t["alpha_D"],
    "kaplan-steps": lambda t, N, S: (t["N_c"] / N) ** t["alpha_N"] + (t["S_c"] / S) ** t["alpha_S"],
    "over-training": over_training,
    "data-constrained": data_constrained,
    "critical-batch": lambda t, B: t["S_min"] * (1 + t["B_crit"] / B),
    "critical-batch-examples": lambda t, B: t["E_min"] * (1 + B / t["B_crit"]),
    "critical-batch-loss": lambda t, L: t["B_star"] * L ** (-1 / t["alpha_B"]),
    "bnsl-1": lambda t, x: broken(t, x, 1),
    "bnsl-2": lambda t, x: broken(t, x, 2),
    "bnsl-3": lambda t, x: broken(t, x, 3),
    "m3": lambda t, x: t["A"] * (1 / x + t["gamma"]) ** t["c"],
    "m4": m4,
    "annealing": lambda t, S1, S2: t["L0"] + t["A"] * S1 ** -t["alpha"] - t["C"] * S2,
    "downstream-exponential": lambda t, L: t["epsilon"] - t["k"] * np.exp(-t["gamma"] * L),
    "sigmoid-link": lambda t, z: (
        t["low"] + (t["high"] - t["low"]) * logistic(t["k"] * (z - t["z0"]))
    ),
    "routed-bilinear": routed,
}


def truth(law):
    return {name: float(law.example[name]) for name in law.names}


@functools.cache
def points(name):
    """A Sobol design in the ranges of the example, and the exact output of the plain formula."""
    law = LAWS[name]
    unit = qmc.Sobol(len(law.inputs), rng=np.random.default_rng(3)).random(POINTS)
    x = {}
    for column, one in zip(unit.T, law.inputs, strict=True):
        low, high = law.example[one]
        x[one] = low * (high / low) ** column
    return x, PLAIN[name](truth(law), **x)


def log_predicted(law, theta, x):
    given = {k: jnp.asarray(v) for k, v in x.items()}
    given |= {f"log {k}": jnp.log(v) for k, v in given.items()}
    return np.asarray(jax.vmap(lambda one: law.log_predict(theta, one))(given))


@functools.cache
def fits(name):
    """Of exact data, of noisy data, and of noisy data with one unit after another scaled."""
    law = LAWS[name]
    x, y = points(name)
    draws = np.random.default_rng(1).standard_normal(POINTS)
    noisy = y * np.exp(NOISE * draws) if law.space == "log" else y + NOISE * y.mean() * draws
    datas = [Data(x, y), Data(x, noisy)]
    for unit in law.scaled:
        scaled = {k: v * (FACTOR if law.unit_of(k) == unit else 1.0) for k, v in x.items()}
        datas.append(Data(scaled, noisy * (FACTOR if unit == law.output else 1.0)))
    return fit_many(law, datas, loss=LEAST_SQUARES, starts=8)


def in_order(name, parameters):
    return sorted_breaks(parameters) if name.startswith("bnsl") else dict(parameters)


@each_law
def test_log_predict_is_the_formula(name):
    # The exponentials of log x lose |exponent log x| eps, at most 50 eps over these ranges; the
    # plain powers, and the sums of terms of one sign, a few more. Differences of terms (annealing,
    # downstream error, negative correction) are at most ten times smaller than their terms.
    law = LAWS[name]
    x, y = points(name)
    np.testing.assert_allclose(log_predicted(law, truth(law), x), np.log(y), rtol=0, atol=2e-13)


@each_law
def test_columns_are_the_derivatives_in_the_linear_parameters(name):
    # L is linear in them, so that doubling one adds its column times it, exactly. Both values of L
    # carry errors of at most 1e-13, by the test above and exp.
    law = LAWS[name]
    if law.columns is None:
        assert not any(one.linear for one in law.parameters)
        return
    x, y = points(name)
    theta = truth(law)
    linear = [one.name for one in law.parameters if one.linear]
    given = {k: jnp.asarray(v) for k, v in x.items()}
    given |= {f"log {k}": jnp.log(v) for k, v in given.items()}
    columns = jax.vmap(lambda one: tuple(jnp.asarray(c) for c in law.columns(theta, one)))(given)
    assert len(columns) == len(linear)
    for one, column in zip(linear, columns, strict=True):
        doubled = PLAIN[name]({**theta, one: 2 * theta[one]}, **x)
        np.testing.assert_allclose(
            np.broadcast_to(column, POINTS) * theta[one], doubled - y, rtol=0, atol=4e-13 * y.max()
        )


@each_law
def test_exact_data_give_the_parameters_back(name):
    # Residuals of 1e-15 times the largest standard error per unit noise, about 50, is 1e-13; 1e-6
    # is what the issue asks.
    law, found = LAWS[name], fits(name)[0]
    parameters = in_order(name, found.parameters)
    for one, value in truth(law).items():
        assert parameters[one] == pytest.approx(value, rel=1e-6), one
    assert not found.hit_bound


def bound(dof):
    """How many standard errors: over all laws 0.04 parameters lie beyond by chance."""
    total = sum(len(law.parameters) for law in LAWS.values())
    return student.isf(0.02 / total, dof)


@each_law
def test_noisy_data_give_the_parameters_back(name):
    law, found = LAWS[name], fits(name)[1]
    inverse = np.linalg.inv(found.columns @ found.columns.T)
    variance = found.residuals @ found.residuals / found.dof
    errors = np.sqrt(variance * np.diag(inverse))
    shift = {key: values[0] for key, values in found.table.shift.items()}
    # By label: an optimum of a broken law is found in any order of its breaks.
    phi = working(law, in_order(name, found.parameters), found.free, shift)
    order = list(law.names)
    if name.startswith("bnsl"):
        place = np.argsort([found.parameters[n] for n in order if n.startswith("d")])
        order = [n if n in ("a", "b", "c0") else f"{n[0]}{place[int(n[1]) - 1] + 1}" for n in order]
    errors = errors[[law.names.index(one) for one in order]]
    z = (phi - working(law, truth(law), found.free, shift)) / errors
    assert np.abs(z).max() < bound(found.dof), dict(zip(law.names, z, strict=True))


@each_law
def test_noisy_data_have_the_noise_that_was_put_in(name):
    # chi-squared with n - p degrees of freedom; 25 laws, two-sided at 1e-3 each: 0.025 by chance.
    law, found = LAWS[name], fits(name)[1]
    unit = NOISE * (1.0 if law.space == "log" else points(name)[1].mean())
    deviate = (2 * (found.residuals @ found.residuals) / unit**2) ** 0.5 - (
        2 * found.dof - 1
    ) ** 0.5
    assert abs(deviate) < norm.isf(5e-4)


@each_law
def test_a_unit_changes_only_the_parameters_that_have_it(name):
    # Centring leaves the same numbers to a few eps of log x, about 1e-14; parameters differ by that
    # times the largest standard error per unit noise, 50. The issue asks for 1e-10.
    law, (_, noisy, *scaled) = LAWS[name], fits(name)
    before = in_order(name, noisy.parameters)
    for unit, found in zip(law.scaled, scaled, strict=True):
        gain = FACTOR**2 if law.space == "linear" and unit == law.output else 1.0
        assert found.objective == pytest.approx(noisy.objective * gain, rel=1e-12)
        after = in_order(name, found.parameters)
        for one in law.parameters:
            power = power_of(one.unit[unit], before) if unit in one.unit else 0.0
            assert after[one.name] == pytest.approx(before[one.name] * FACTOR**power, rel=1e-10)


def test_every_law_has_a_plain_formula_and_says_where_it_is_from():
    assert set(PLAIN) == set(LAWS)
    for law in LAWS.values():
        assert law.formula
        assert law.source
        assert set(law.example) == {*law.names, *law.inputs}
