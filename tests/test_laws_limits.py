"""Limits, identities and traps of the laws of tier A."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from scalinglab.theory.fitting import LEAST_SQUARES, Data, Huber, Loss, fit
from scalinglab.theory.fitting.laws.annealing import (
    DECAYS,
    LR_ANNEALING,
    annealing_areas,
    fit_decay,
)
from scalinglab.theory.fitting.laws.batch import minimum_compute, minimum_steps
from scalinglab.theory.fitting.laws.broken import LAWS as BROKEN
from scalinglab.theory.fitting.laws.broken import sorted_breaks
from scalinglab.theory.fitting.laws.joint import LAWS as JOINT
from scalinglab.theory.fitting.laws.links import SIGMOID_LINK
from scalinglab.theory.fitting.laws.m4 import M4, logit_excess
from scalinglab.theory.fitting.laws.power import LAWS as POWER

LAWS = {law.name: law for law in (*JOINT, *POWER, *BROKEN, M4, SIGMOID_LINK)}
X = np.geomspace(10.0, 1e7, 13)


def value(name, theta, **x):
    given = {k: jnp.asarray(v) for k, v in x.items()}
    given |= {f"log {k}": jnp.log(v) for k, v in given.items()}
    return np.exp(np.asarray(jax.vmap(lambda one: LAWS[name].log_predict(theta, one))(given)))


LINE = {"A": 3.0, "alpha": 0.3}
CURVE = {**LINE, "E": 0.4}


@pytest.mark.parametrize(
    ("name", "theta", "simple"),
    [
        ("power-law-constant", {**LINE, "E": 0.0}, ("power-law", LINE)),
        ("shifted-power-law", {**CURVE, "x1": 0.0}, ("power-law-constant", CURVE)),
        ("corrected-power-law", {**CURVE, "c": 0.0, "omega": 1.0}, ("power-law-constant", CURVE)),
        (
            "bnsl-1",
            {"a": 0.4, "b": 3.0, "c0": 0.3, "c1": 0.0, "d1": 1e3, "f1": 0.2},
            ("power-law-constant", CURVE),
        ),
    ],
)
def test_a_law_without_its_extra_term_is_the_simpler_one(name, theta, simple):
    other, fewer = simple
    np.testing.assert_allclose(value(name, theta, x=X), value(other, fewer, x=X), rtol=1e-13)


def test_kaplan_has_its_limits_of_one_input():
    theta = {"N_c": 9e13, "D_c": 5e13, "alpha_N": 0.076, "alpha_D": 0.095}
    # The other term is 1e-40, or 1e-40^(0.8) of this one.
    both = value("kaplan", theta, N=X, D=np.full(13, 1e60))
    np.testing.assert_allclose(both, value("kaplan-size", theta, N=X), rtol=1e-13)
    both = value("kaplan", theta, N=np.full(13, 1e60), D=X)
    np.testing.assert_allclose(both, value("kaplan-data", theta, D=X), rtol=1e-13)


def test_over_training_is_chinchilla_with_one_exponent():
    eta, a, b = 0.12, 141.0, 190.0
    theta = {"E": 1.5, "alpha": 2 * eta, "beta": 2 * eta, "A": a / 6**eta, "B": b / 6**eta}
    both = {"N": X, "D": X[::-1]}
    ours = value("over-training", {"a": a, "b": b, "E": 1.5, "eta": eta}, **both)
    np.testing.assert_allclose(ours, value("chinchilla", theta, **both), rtol=1e-13)


MUENNIGHOFF = {
    "A": np.exp(6.255414),
    "B": np.exp(7.3049974),
    "E": np.exp(0.6254804),
    "alpha": 0.3526596,
    "beta": 0.3526596,
    "R_D": 15.387756,
    "R_N": 5.309743,
}


def test_repeated_data_has_the_published_losses():
    # The two models of the README of the paper's repository, to all its digits; powers of 1e11
    # lose a few units of 1e-16.
    x = {"N": [6.34e9, 8.67e9], "D": [242e9, 178e9], "U": [25e9, 25e9]}
    found = value("data-constrained", MUENNIGHOFF, **{k: np.array(v) for k, v in x.items()})
    np.testing.assert_allclose(found, [2.2256440889984477, 2.2269634075087867], rtol=1e-14)


def test_one_epoch_of_a_small_model_is_chinchilla():
    tokens = np.geomspace(1e9, 1e12, 13)
    x = {"N": tokens / 100, "D": tokens}
    plain = value("chinchilla", MUENNIGHOFF, **x)
    np.testing.assert_allclose(value("data-constrained", MUENNIGHOFF, **x, U=tokens), plain, 1e-13)


def test_steps_and_examples_are_one_trade():
    # (S/S_min - 1)(E/E_min - 1) = 1, arXiv 1812.06162; E = B S, E_min = B_crit S_min.
    batch, steps, critical = np.geomspace(1.0, 1e6, 9), 4000.0, 500.0
    s = steps * (1 + critical / batch)
    product = (s / steps - 1) * (batch * s / (critical * steps) - 1)
    np.testing.assert_allclose(product, 1.0, rtol=1e-9)
    np.testing.assert_allclose(minimum_steps(s, batch, critical), steps, rtol=1e-14)
    compute = 6e9 * batch * s
    least = 6e9 * critical * steps
    np.testing.assert_allclose(minimum_compute(compute, batch, critical), least, rtol=1e-14)


def test_breaks_are_put_in_order_without_changing_the_curve():
    law = BROKEN[2]
    theta = {name: float(law.example[name]) for name in law.names}
    mixed = dict(theta)
    for old, new in ((1, 3), (2, 1), (3, 2)):
        mixed |= {f"{letter}{new}": theta[f"{letter}{old}"] for letter in "cdf"}
    assert mixed != theta
    assert sorted_breaks(mixed) == theta
    same = value("bnsl-3", mixed, x=X), value("bnsl-3", theta, x=X)
    np.testing.assert_allclose(*same, rtol=1e-13)


@pytest.mark.parametrize("alpha", [1e-4, 1e-2, 0.7, 1.0, 10.0])
def test_the_root_of_m4_is_exact(alpha):
    rights = np.concatenate([np.linspace(-80.0, 80.0, 41), [-0.1, -1e-3, 1e-3, 0.1]])
    found = np.asarray(jax.vmap(logit_excess, (0, None))(jnp.asarray(rights), jnp.asarray(alpha)))
    slope_u, slope_alpha = (
        np.asarray(jax.vmap(jax.grad(logit_excess, one), (0, None))(rights, jnp.asarray(alpha)))
        for one in (0, 1)
    )
    with mpmath.workdps(30):
        for right, u, by_right, by_alpha in zip(rights, found, slope_u, slope_alpha, strict=True):
            q = mpmath.mpf(float(u))
            soft = mpmath.log1p(mpmath.exp(q))
            share = 1 / (1 + mpmath.exp(-q))
            slope = (1 - share) + mpmath.mpf(alpha) * share
            gap = q + (mpmath.mpf(alpha) - 1) * soft - mpmath.mpf(float(right))
            # The terms are as large as the larger of r and u, and cancel to the slope.
            size = 1.0 + abs(float(right)) / float(slope) + abs(float(u))
            assert abs(float(gap / slope)) < 1e-15 * 8 * size
            assert by_right == pytest.approx(float(1 / slope), rel=1e-12)
            assert by_alpha == pytest.approx(float(-soft / slope), rel=1e-12)


def test_m4_with_a_small_alpha_is_a_power_law_until_it_reaches_guessing():
    # (L - E)/(E0 - L)^alpha: alpha = 1e-4 turns the power into 1 + 1e-4 log(E0 - L), so that the
    # excess is off by at most 1e-4 (|log 0.45| + ...) < 3e-4 where it is below half of the span.
    theta = {"E": 0.1, "span": 0.9, "beta": 1.0, "c": 0.4, "alpha": 1e-4}
    excess = value("m4", theta, x=X[1:]) - 0.1
    np.testing.assert_allclose(excess, X[1:] ** -0.4, rtol=3e-4)
    assert value("m4", theta, x=np.array([1e-6]))[0] == pytest.approx(1.0, rel=1e-12)


def by_steps(rates, decay, warmup):
    """The definition, step by step, in Python floats."""
    first = second = momentum = 0.0
    areas = []
    for i, rate in enumerate(rates):
        fall = rates[i - 1] - rate if i > warmup else 0.0
        momentum = decay * momentum + fall
        first, second = first + rate, second + momentum
        areas.append((first, second))
    return np.array(areas).T


@pytest.mark.parametrize("decay", DECAYS)
def test_areas_are_the_sums_that_define_them(decay):
    warmup = np.linspace(0.0, 3e-4, 41)
    cosine = 1.65e-4 + 1.35e-4 * np.cos(np.linspace(0.0, np.pi, 500))
    rates = np.concatenate([warmup, cosine])
    s1, s2 = annealing_areas(rates, decay=decay, warmup=41)
    expected = by_steps(rates.tolist(), decay, 41)
    # Sums of 500 terms in another order: 500 eps.
    np.testing.assert_allclose([s1, s2], expected, rtol=2e-13, atol=1e-18)


def test_warmup_counts_in_the_first_area_only():
    # T10. A constant rate after a warm-up: S2 is zero, S1 has the triangle of the warm-up.
    rates = np.concatenate([np.linspace(0.0, 1.0, 101)[:-1], np.ones(50)])
    s1, s2 = annealing_areas(rates, decay=0.995, warmup=100)
    assert np.all(np.asarray(s2) == 0.0)
    assert float(s1[-1]) == pytest.approx(49.5 + 50.0, rel=1e-13)
    # Counted as annealing, its rise of 1 would give -1/(1 - decay) in the end.
    _, wrong = annealing_areas(rates, decay=0.995)
    assert float(wrong[-1]) < -30.0


def schedules(decay):
    """Areas of three runs: constant, cosine and a late linear decay."""
    warmup, steps = np.linspace(0.0, 3e-4, 201)[:-1], 4000
    late = np.minimum(1.0, (steps - np.arange(steps)) / 800)
    shapes = (np.ones(steps), 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, steps)), late)
    areas = [
        annealing_areas(np.concatenate([warmup, 3e-4 * one]), decay=decay, warmup=200)
        for one in shapes
    ]
    return tuple(np.concatenate([np.asarray(a[k])[400::60] for a in areas]) for k in (0, 1))


def test_the_decay_of_the_data_is_found():
    s1, s2 = schedules(0.995)
    y = 2.6 + 0.6 * s1**-0.5 - 3.0 * s2
    datas = {}
    for decay in DECAYS:
        first, second = schedules(decay)
        datas[decay] = Data({"S1": first, "S2": second}, y)
    best, fits = fit_decay(datas, starts=4)
    assert best == 0.995
    assert fits[best].law is LR_ANNEALING
    # Exact data: the objective is rounding, against misfits elsewhere of the size of C S2.
    assert fits[best].objective < 1e-20 < fits[0.99].objective
    for name, expected in {"L0": 2.6, "A": 0.6, "C": 3.0, "alpha": 0.5}.items():
        assert fits[best].parameters[name] == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match=r"loss: huber:auto has another scale at each decay"):
        fit_decay(datas, loss=Huber())
    assert isinstance(fits[best].loss, Loss)


@functools.cache
def pushed_to_zero():
    """A curve that bends down in log-log coordinates, so that no constant helps."""
    return fit(
        LAWS["power-law-constant"],
        Data({"x": X}, X**-0.3 * np.exp(-0.01 * np.log(X) ** 2)),
        loss=LEAST_SQUARES,
        starts=4,
    )


def test_a_constant_that_the_data_push_to_zero_is_reported():
    # T6: a published width-depth fit has log E = -4555; here the fit says so instead.
    found = pushed_to_zero()
    assert found.hit_bound == ("E",)
    assert found.parameters["E"] < 1e-20
    slope = np.polyfit(np.log(X), np.log(found.data.y), 1)[0]
    assert found.parameters["alpha"] == pytest.approx(-slope, rel=1e-9)


def test_levels_of_a_sigmoid_are_in_order():
    theta = {"low": 0.9, "high": 0.2, "k": 1.0, "z0": 1.0}
    assert np.isnan(value("sigmoid-link", theta, z=np.array([1.0]))).all()
