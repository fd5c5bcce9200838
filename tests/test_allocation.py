"""Compute-optimal allocation, and chains of two fits."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from scalinglab.theory.fitting import LEAST_SQUARES, Data, fit
from scalinglab.theory.fitting.allocation import compute_optimal, optimal_size, separable
from scalinglab.theory.fitting.bootstrap import bootstrap
from scalinglab.theory.fitting.chains import Chain, fit_chain
from scalinglab.theory.fitting.covariance import covariance
from scalinglab.theory.fitting.derive import derive
from scalinglab.theory.fitting.law import tied
from scalinglab.theory.fitting.laws.joint import (
    CHINCHILLA,
    DATA_CONSTRAINED,
    KAPLAN,
    OVER_TRAINING,
)
from scalinglab.theory.fitting.laws.links import DOWNSTREAM_EXPONENTIAL, SIGMOID_LINK

# The optimum of Huber's loss on the points of arXiv 2203.15556, and that paper's own parameters.
CORRECTED = {"A": 477.826, "B": 2143.42, "E": 1.817218, "alpha": 0.347310, "beta": 0.367172}
HOFFMANN = {
    "A": np.exp(6.0073404),
    "B": np.exp(6.0179186),
    "E": np.exp(0.5267228),
    "alpha": 0.33917084,
    "beta": 0.2849083,
}
CHINCHILLA_COMPUTE = 5.88e23


def loss_of(t, n, d):
    return t["E"] + t["A"] * n ** -t["alpha"] + t["B"] * d ** -t["beta"]


@pytest.mark.parametrize(("parameters", "ratio"), [(CORRECTED, 17.9), (HOFFMANN, 59)])
def test_tokens_a_parameter_of_the_published_laws(parameters, ratio):
    # T8, at the compute of Chinchilla: printed to three and to two digits.
    best = compute_optimal(parameters, CHINCHILLA_COMPUTE)
    assert float(best.D / best.N) == pytest.approx(ratio, abs=0.05 if ratio < 20 else 0.5)


@pytest.mark.parametrize("flops", [6.0, 2.5])
def test_the_closed_form_is_the_minimum(flops):
    compute = 1e22
    best = compute_optimal(CORRECTED, compute, flops=flops)
    n, d = float(best.N), float(best.D)
    assert flops * n * d == pytest.approx(compute, rel=1e-13)
    # The first-order condition, to rounding of powers of numbers about e^25.
    left = CORRECTED["alpha"] * CORRECTED["A"] * n ** -CORRECTED["alpha"]
    right = CORRECTED["beta"] * CORRECTED["B"] * d ** -CORRECTED["beta"]
    assert left == pytest.approx(right, rel=1e-12)
    # scipy finds a quadratic minimum to the square root of eps, about 1e-8 in log N over its bend.
    found = minimize_scalar(
        lambda log_n: loss_of(CORRECTED, np.exp(log_n), compute / flops / np.exp(log_n)),
        bounds=(15, 32),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert np.log(n) == pytest.approx(found.x, abs=1e-6)
    assert float(best.loss) == pytest.approx(found.fun, rel=1e-14)


def test_the_exponents_are_those_of_the_frontier():
    compute = np.array([1e18, 1e25])
    best = compute_optimal(CORRECTED, compute)
    step = np.diff(np.log(compute))[0]

    def slope(values):
        return np.diff(np.log(np.asarray(values)))[0] / step

    assert slope(best.N) == pytest.approx(float(best.size_exponent[0]), rel=1e-12)
    assert slope(best.D) == pytest.approx(float(best.data_exponent[0]), rel=1e-12)
    # L* - E cancels two digits.
    excess = np.asarray(best.loss) - CORRECTED["E"]
    assert slope(excess) == pytest.approx(-float(best.loss_exponent[0]), rel=1e-11)


def test_every_draw_is_its_own_problem():
    rng = np.random.default_rng(0)
    draws = {k: v * np.exp(0.1 * rng.standard_normal(7)) for k, v in CORRECTED.items()}
    together = compute_optimal(draws, CHINCHILLA_COMPUTE)
    for i in range(7):
        alone = compute_optimal({k: v[i] for k, v in draws.items()}, CHINCHILLA_COMPUTE)
        for field, value in zip(together._fields, alone, strict=True):
            assert float(getattr(together, field)[i]) == pytest.approx(float(value), rel=1e-14)


@pytest.fixture(scope="module")
def noisy():
    rng = np.random.default_rng(5)
    n = np.exp(rng.uniform(np.log(1e7), np.log(1e10), 80))
    d = np.exp(rng.uniform(np.log(1e9), np.log(1e12), 80))
    y = loss_of(CORRECTED, n, d) * np.exp(0.005 * rng.standard_normal(80))
    return fit(CHINCHILLA, Data({"N": n, "D": d}, y), loss=LEAST_SQUARES)


def test_errors_of_the_optimum_by_the_delta_method_and_by_draws(noisy):
    def log_size(theta):
        return jnp.log(compute_optimal(theta, CHINCHILLA_COMPUTE).N)

    found = derive(noisy, log_size)
    # The delta method again, by central differences in the working coordinates. Their errors are
    # h^2/6 times a third derivative of at most about 50, and eps/h: 1e-6 relative in the total.
    h, gradient = 1e-5, []
    for i in range(5):
        step = np.zeros(5)
        step[i] = h
        ends = [noisy.naturals((noisy.phi + sign * step)[:, None]) for sign in (1, -1)]
        up, down = (float(log_size({k: v[0] for k, v in one.items()})) for one in ends)
        gradient.append((up - down) / (2 * h))
    error = np.sqrt(np.array(gradient) @ covariance(noisy) @ np.array(gradient))
    assert found.standard_error == pytest.approx(error, rel=1e-5)
    assert found.value == pytest.approx(
        np.log(float(compute_optimal(noisy.parameters, CHINCHILLA_COMPUTE).N)), rel=1e-13
    )
    # 400 draws know a standard deviation to 3.5 %; the curvature of the map adds to it. Five such
    # errors are 18 %.
    draws = bootstrap(noisy, count=400, kind="parametric", key=jr.key(1))
    assert np.std(draws.derived(log_size)) == pytest.approx(error, rel=0.18)


@pytest.mark.parametrize("law", [CHINCHILLA, OVER_TRAINING, tied(CHINCHILLA, {"alpha": "beta"})])
def test_the_search_finds_the_closed_form(law):
    theta = {name: float(law.example[name]) for name in law.names}
    best = compute_optimal(separable(law, theta), CHINCHILLA_COMPUTE)
    n, d, loss = optimal_size(law, theta, CHINCHILLA_COMPUTE, sizes=(1e8, 1e13))
    # Newton steps end at rounding of the slope over the curvature, about 1e-16 / 0.02.
    assert float(n) == pytest.approx(float(best.N), rel=1e-12)
    assert float(d) == pytest.approx(float(best.D), rel=1e-12)
    assert float(loss) == pytest.approx(float(best.loss), rel=1e-14)


def test_derivatives_go_through_the_search():
    def searched(alpha):
        theta = {**CORRECTED, "alpha": alpha}
        return jnp.log(optimal_size(CHINCHILLA, theta, CHINCHILLA_COMPUTE, sizes=(1e8, 1e13))[0])

    def closed(alpha):
        return jnp.log(compute_optimal({**CORRECTED, "alpha": alpha}, CHINCHILLA_COMPUTE).N)

    assert float(jax.grad(searched)(0.347)) == pytest.approx(
        float(jax.grad(closed)(0.347)), rel=1e-11
    )


def test_the_optimum_of_kaplan_is_known():
    # (N_c/N)^p + D_c f N / C with p = alpha_N/alpha_D is lowest at N^(p+1) = p N_c^p C / (f D_c).
    theta = {name: float(KAPLAN.example[name]) for name in KAPLAN.names}
    compute = 1e20
    p = theta["alpha_N"] / theta["alpha_D"]
    expected = (p * theta["N_c"] ** p * compute / (6 * theta["D_c"])) ** (1 / (p + 1))
    n, _, _ = optimal_size(KAPLAN, theta, compute, sizes=(1e5, 1e12))
    assert float(n) == pytest.approx(expected, rel=1e-12)


def test_the_published_optimum_with_repeated_data():
    # arXiv 2305.16264 and its repository: 25 billion unique tokens at the compute of 8.67e9
    # parameters and 178e9 tokens are best spent on 6.8e9 parameters and 227e9 tokens. Theirs is a
    # grid whose steps are 0.4 %, and the last digits printed are worth 0.7 and 0.2 %.
    logs = {"A": 6.255414, "B": 7.3049974, "E": 0.6254804}
    theta = {name: np.exp(value) for name, value in logs.items()}
    theta |= {"alpha": 0.3526596, "beta": 0.3526596, "R_D": 15.387756, "R_N": 5.309743}
    n, d, _ = optimal_size(
        DATA_CONSTRAINED, theta, 6 * 8.67e9 * 178e9, sizes=(1e9, 1e11), more={"U": 25e9}
    )
    assert float(n) == pytest.approx(6.8e9, rel=0.011)
    assert float(d) == pytest.approx(227e9, rel=0.006)


def test_an_optimum_beyond_the_sizes_is_at_their_end():
    theta = CORRECTED
    best = float(compute_optimal(theta, 1e22).N)
    low, _, _ = optimal_size(CHINCHILLA, theta, 1e22, sizes=(best * 10, best * 1e3))
    high, _, _ = optimal_size(CHINCHILLA, theta, 1e22, sizes=(best / 1e3, best / 10))
    assert float(low) == pytest.approx(best * 10, rel=1e-13)
    assert float(high) == pytest.approx(best / 10, rel=1e-13)


def test_what_an_allocation_refuses():
    with pytest.raises(ValueError, match=r"kaplan is no sum.*optimal_size"):
        separable(KAPLAN, {})
    with pytest.raises(ValueError, match=r"sizes: \(2\.0, 1\.0\)"):
        optimal_size(KAPLAN, {}, 1e20, sizes=(2.0, 1.0))
    with pytest.raises(ValueError, match=r"inputs \('z',\); give a law of N and D"):
        optimal_size(SIGMOID_LINK, {}, 1e20, sizes=(1.0, 2.0))


ACCURACY = {"low": 0.25, "high": 0.9, "k": -4.0, "z0": 2.4}


def accuracy_of(t, z):
    return t["low"] + (t["high"] - t["low"]) / (1 + np.exp(-t["k"] * (z - t["z0"])))


@pytest.fixture(scope="module")
def ladder():
    rng = np.random.default_rng(9)
    n, d = np.meshgrid(np.geomspace(1e7, 1e9, 7), np.geomspace(1e9, 1e11, 6))
    x = {"N": n.ravel(), "D": d.ravel()}
    loss = loss_of(CORRECTED, **{k.lower(): v for k, v in x.items()})
    loss = loss * np.exp(0.003 * rng.standard_normal(42))
    outcome = accuracy_of(ACCURACY, loss) + 0.004 * rng.standard_normal(42)
    data = Data(x, loss)
    return fit_chain(
        CHINCHILLA, SIGMOID_LINK, data, outcome, loss=LEAST_SQUARES, link_loss=LEAST_SQUARES
    )


def test_a_chain_predicts_a_larger_model(ladder):
    target = {"N": np.array([7e9]), "D": np.array([1e12])}
    truth = accuracy_of(ACCURACY, loss_of(CORRECTED, 7e9, 1e12))
    plain = accuracy_of(ladder.link.parameters, loss_of(ladder.scale.parameters, 7e9, 1e12))
    found = ladder.predict(target)
    # Parameters in natural units lose the digits of N^alpha, about 1e-14, before the link.
    np.testing.assert_allclose(found, [plain], rtol=1e-11)
    scale = bootstrap(ladder.scale, count=200, kind="pairs", key=jr.key(0))
    link = bootstrap(ladder.link, count=180, kind="pairs", key=jr.key(0))
    draws = ladder.draws(target, scale, link)
    assert draws.shape == (1, min(scale.phi.shape[1], link.phi.shape[1]))
    theta, level = ladder.scale.naturals(scale.phi), ladder.link.naturals(link.phi)
    for j in (0, 7, 150):
        t, u = ({k: v[j] for k, v in one.items()} for one in (theta, level))
        assert draws[0, j] == pytest.approx(accuracy_of(u, loss_of(t, 7e9, 1e12)), rel=1e-10)
    low, high = ladder.band(target, scale, link)
    np.testing.assert_allclose(low, np.quantile(draws[0], 0.025), rtol=1e-12)
    # Three standard deviations of a normal are missed in 0.3 % of seeds.
    assert abs(found[0] - truth) < 3 * draws.std()
    assert low[0] < found[0] < high[0]


def test_what_a_chain_refuses(ladder):
    with pytest.raises(ValueError, match=r"link: law chinchilla has inputs"):
        Chain(ladder.scale, ladder.scale)
    with pytest.raises(ValueError, match=r"link: law chinchilla has inputs"):
        fit_chain(CHINCHILLA, CHINCHILLA, ladder.scale.data, np.ones(42))
    with pytest.raises(ValueError, match=r"outcome: shape \(3,\); give one for each of 42"):
        fit_chain(CHINCHILLA, DOWNSTREAM_EXPONENTIAL, ladder.scale.data, [0.5, 0.4, 0.3])
    other = bootstrap(ladder.link, count=8, kind="pairs", key=jr.key(0))
    with pytest.raises(ValueError, match=r"scale: a bootstrap of another fit"):
        ladder.draws({}, other, other)
