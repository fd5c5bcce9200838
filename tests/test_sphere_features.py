"""The sphere: zonal functions, the exact risk against drawn teachers, duality, bound, heuristic."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import jax.random as jr
import mpmath
import numpy as np
import pytest
from scipy import integrate, special

from scalinglab.experiments.engine import run_sweep
from scalinglab.experiments.sphere_features import sphere_features as experiment
from scalinglab.models import Status, sphere_kernels
from scalinglab.models import sphere_features as model
from scalinglab.paper_figs.bahri2021_sphere import draw_sphere_amplitude, draw_sphere_features
from scalinglab.paper_figs.figure import table_text
from scalinglab.theory import sphere_features as theory

EPS = float(np.finfo(np.float64).eps)
COSINES = (-1.0, -0.7, -0.1, 0.0, 0.3, 0.95, 1.0)


def uniform(rng, count, q):
    points = rng.normal(size=(count, q + 1))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def lanes_of(config, count, *, seed):
    simulate = jax.jit(jax.vmap(lambda key: model.simulate(config, key=key)))
    found = simulate(jr.split(jr.key(seed), count))
    return {name: np.asarray(values) for name, values in found.items()}


def kernel_of(cosine, q):
    """The arc-cosine kernel written another way: in the angle of atan2, for one cosine."""
    angle = math.atan2(math.sqrt(max(0.0, 1 - cosine**2)), cosine)
    value = math.sin(angle) + (math.pi - angle) * math.cos(angle)
    return value / (2 * math.pi * (q + 1))


@pytest.mark.parametrize("q", [2, 5])
def test_the_kernel_is_the_mean_of_features_with_unit_weights(q):
    rng = np.random.default_rng(q)
    points, weights = uniform(rng, 5, q), uniform(rng, 200_000, q)
    hidden = np.maximum(points @ weights.T, 0)
    products = hidden[:, None, :] * hidden[None, :, :]
    error = products.std(axis=2) / math.sqrt(len(weights))
    found = np.asarray(sphere_kernels.kernel(jnp.asarray(points), jnp.asarray(points)))
    # 15 distinct means: four standard errors, exceeded by one of them once in 1000.
    assert np.all(np.abs(products.mean(axis=2) - found) <= 4 * error)
    np.testing.assert_allclose(np.diagonal(found), 1 / (2 * (q + 1)), rtol=32 * EPS)


@functools.cache
def funk_hecke(q, degrees):
    """a_k of relu with 30 digits: by Rodrigues, the derivatives of (1 - t^2)^(k + q/2 - 1) at 0."""
    with mpmath.workdps(30):
        half = mpmath.mpf(q) / 2
        surface = mpmath.gamma(half + 0.5) / mpmath.gamma(half) / mpmath.sqrt(mpmath.pi)
        found = [surface / q, mpmath.mpf(1) / (2 * (q + 1))]
        for k in range(2, degrees + 1):
            # Its binomial series has one term of power k - 2, for even k.
            power = (-1) ** (k // 2 - 1) * mpmath.binomial(k + half - 1, k // 2 - 1)
            a = surface * mpmath.factorial(k - 2) * power * mpmath.gamma(half)
            found.append(0 if k % 2 else a / 2**k / mpmath.gamma(k + half))
        return found


def series_by_mpmath(q, power, cosine, degrees):
    """sum_k a_k^power m_k P_k(t) with 30 digits, by the recurrence in the degree."""
    with mpmath.workdps(30):
        t = mpmath.mpf(cosine)
        before, now, total = mpmath.mpf(0), mpmath.mpf(1), mpmath.mpf(0)
        for k, a in enumerate(funk_hecke(q, degrees)):
            harmonics = mpmath.binomial(k + q, q) - (mpmath.binomial(k + q - 2, q) if k > 1 else 0)
            total += a**power * harmonics * now
            before, now = now, ((2 * k + q - 1) * t * now - k * before) / (k + q - 1)
        return float(total)


@pytest.mark.parametrize("q", [2, 3, 6])
def test_zonal_series_against_mpmath(q):
    at = np.array(COSINES)
    for zonal, power, dropped in (
        (sphere_kernels.iterated_kernel(q), 4, 1e-18),
        (sphere_kernels.feature_mean(q), 3, 1e-12),
    ):
        found = np.asarray(zonal(jnp.asarray(at)))
        expected = [series_by_mpmath(q, power, t, 400) for t in COSINES]
        # What is dropped, relative to the value at t = 1, and a rounding at each of up to 100 steps
        # of Clenshaw's recurrence; the oracle's own rest beyond degree 400 is far below the former.
        np.testing.assert_allclose(found, expected, rtol=0, atol=(dropped + 100 * EPS) * found[-1])


@pytest.mark.parametrize("q", [2, 4])
@pytest.mark.parametrize("cosine", [-0.8, 0.0, 0.4, 0.97])
def test_the_zonal_series_are_means_over_the_sphere(q, cosine):
    """E_z g(z . x) K(z . x') by quadrature over the two cosines, g = relu and K."""
    # With s = z . x and v the cosine of the rest of z against the rest of x', uniform on S^(q-1):
    # z . x' = s t + sqrt(1-s^2) sqrt(1-t^2) v.
    norm = 1 / (special.beta(0.5, q / 2) * special.beta(0.5, (q - 1) / 2))

    def integrand(phi, chi, function):
        s, v = math.cos(phi), math.cos(chi)
        other = s * cosine + math.sin(phi) * math.sqrt(1 - cosine**2) * v
        weight = math.sin(phi) ** (q - 1) * math.sin(chi) ** (q - 2)
        return function(s) * kernel_of(min(1.0, max(-1.0, other)), q) * weight

    def mean(function, last):
        options = {"epsabs": 1e-12, "epsrel": 1e-10}
        value, _ = integrate.dblquad(integrand, 0, math.pi, 0, last, args=(function,), **options)
        return norm * value

    at = jnp.asarray([cosine])
    # Ten times what is asked of the quadrature, which estimates its error.
    found = mean(lambda s: max(s, 0.0), math.pi / 2)
    assert float(sphere_kernels.feature_mean(q)(at)[0]) == pytest.approx(found, rel=1e-9)
    if cosine > 0:
        found = mean(lambda s: kernel_of(s, q), math.pi)
        assert float(sphere_kernels.iterated_kernel(q)(at)[0]) == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize(
    ("samples", "features", "ridge"),
    [(12, None, 0.0), (12, None, 1e-3), (24, 6, 0.0), (6, 24, 1e-3)],
)
def test_the_exact_risk_is_that_of_drawn_teachers_on_fresh_points(samples, features, ridge):
    """Teachers drawn on training and test points, and a plain ridge regression of each."""
    q, tests, teachers = 3, 400, 400
    config = model.Config(
        sphere_dimension=q, num_samples=samples, num_features=features, ridge=ridge
    )
    key = jr.key(3)
    found = jax.jit(lambda key: model.simulate(config, key=key))(key)
    assert int(found["status"]) == Status.OK
    sample = model.draw(config, key=key)
    rng = np.random.default_rng(5)
    chosen = np.concatenate([np.asarray(sample.points), uniform(rng, tests, q)])
    kernel = np.vectorize(kernel_of)(np.clip(chosen @ chosen.T, -1, 1), q)
    values, vectors = np.linalg.eigh(kernel)
    drawn = vectors * np.sqrt(np.maximum(values, 0)) @ rng.normal(size=(len(chosen), teachers))
    if features is None:
        learner = kernel
    else:
        phi = np.maximum(chosen @ np.asarray(sample.weights).T, 0) / math.sqrt(features)
        learner = phi @ phi.T
    system = learner[:samples, :samples] + samples * ridge * np.eye(samples)
    dual = np.linalg.lstsq(system, drawn[:samples], rcond=1e-12)[0]
    errors = (drawn[samples:] - learner[samples:, :samples] @ dual) ** 2
    # Test points and teachers both vary: the errors of the means over either, added, are at least
    # the error of the whole.
    over_teachers, over_points = errors.mean(axis=0), errors.mean(axis=1)
    stderr = over_teachers.std(ddof=1) / math.sqrt(teachers)
    stderr += over_points.std(ddof=1) / math.sqrt(tests)
    assert abs(errors.mean() - float(found["test_risk"])) <= 4 * stderr


def test_with_unlimited_data_the_risk_is_that_of_a_large_training_set():
    """D = infinity by the formula, and by least squares on 20000 points with exact Gram limits."""
    config = model.Config(sphere_dimension=3, num_samples=None, num_features=8, ridge=1e-3)
    found = float(model.simulate(config, key=jr.key(1))["test_risk"])
    weights = np.asarray(model.draw(config, key=jr.key(1)).weights)
    rng = np.random.default_rng(0)
    estimates = []
    for _ in range(20):
        points = uniform(rng, 1000, 3)
        phi = np.maximum(points @ weights.T, 0) / math.sqrt(8)
        kernel = np.asarray(sphere_kernels.kernel(jnp.asarray(points), jnp.asarray(points)))
        estimates.append((phi.T @ phi / 1000, phi.T @ (kernel @ phi) / 1000**2))
    # K(x, x) on the diagonal of the double mean is 1/1000 of it, and is what a bias comes from.
    gram = np.mean([one for one, _ in estimates], axis=0)
    cross = np.mean([other for _, other in estimates], axis=0)
    cross = (cross - gram * sphere_kernels.power(3) / 1000) / (1 - 1 / 1000)
    solve = np.linalg.inv(gram + 1e-3 * np.eye(8))
    risk = sphere_kernels.power(3)
    risk += -2 * np.trace(solve @ cross) + np.trace(solve @ gram @ solve @ cross)
    parts = []
    for one, other in estimates:
        fixed = (other - one * sphere_kernels.power(3) / 1000) / (1 - 1 / 1000)
        inner = np.linalg.inv(one + 1e-3 * np.eye(8))
        parts.append(-2 * np.trace(inner @ fixed) + np.trace(inner @ one @ inner @ fixed))
    # The spread over the twenty sets, four standard errors.
    assert abs(risk - found) <= 4 * np.std(parts, ddof=1) / math.sqrt(20)


def test_one_point_and_two_points_by_quadrature():
    q = 2
    spectrum = theory.spectrum(q)
    values, counts = np.asarray(spectrum.eigenvalues), np.asarray(spectrum.multiplicities)
    trace, square = 1 / 6, float(np.sum(counts * values**2))
    one = model.Config(sphere_dimension=q, num_samples=1)
    found = float(model.simulate(one, key=jr.key(0))["test_risk"])
    # K(1) - K2(1)/K(1) for any single point: a dozen roundings of K(1), and the rest has its size.
    assert found == pytest.approx(trace - square / trace, rel=100 * EPS)
    two = dataclasses.replace(one, num_samples=2)
    risks = lanes_of(two, 4000, seed=1)["test_risk"]
    iterated = sphere_kernels.iterated_kernel(q)

    # The cosine of two points of S^2 is uniform. At t = 1 the integrand has a root's singularity,
    # of which 200 nodes miss 200^-3.
    nodes, weights = np.polynomial.legendre.leggauss(200)
    k = np.vectorize(kernel_of)(nodes, q)
    k2 = np.asarray(iterated(jnp.asarray(nodes)))
    expected = trace - weights @ ((trace * square - k * k2) / (trace**2 - k**2))
    assert abs(risks.mean() - expected) <= 4 * risks.std(ddof=1) / math.sqrt(4000)


@pytest.mark.parametrize(("q", "ridge"), [(2, 0.0), (4, 1e-3)])
def test_exchange_leaves_every_risk_unchanged(q, ridge):
    config = model.Config(
        sphere_dimension=q, num_samples=90, num_features=30, ridge=ridge, paired="swapped"
    )
    found = lanes_of(config, 8, seed=2)
    assert np.all(found["status"] == Status.OK)
    # eps K(1)/L, at most 300 eps, times the condition number of the features' Gram matrix, 1e6.
    assert np.max(np.abs(found["excess_risk"] / found["test_risk"])) <= 300 * 1e6 * EPS


def test_the_infinite_limits_share_one_expression():
    """Weights as points and points as weights: the same m vectors have the same risk."""
    rng, ridge = np.random.default_rng(8), 1e-4
    points = jnp.asarray(uniform(rng, 20, 3))
    limit = float(model._one_sided(points, jnp.asarray(ridge)).value)
    many = jnp.asarray(uniform(rng, 2000, 3))
    # At 2000 of the other the excess is of order z/N = 1e-2, thrice that for one draw.
    for found in (
        model._two_sided(points, many, jnp.asarray(ridge)),
        model._two_sided(many, points, jnp.asarray(ridge)),
    ):
        assert float(found.value) == pytest.approx(limit, rel=3e-2)


def test_lost_digits_are_reported():
    config = model.Config(sphere_dimension=2, num_samples=200, dtype="float32")
    found = jax.jit(lambda key: model.simulate(config, key=key))(jr.key(0))
    assert int(found["status"]) == Status.ILL_CONDITIONED
    assert math.isnan(float(found["test_risk"]))
    # Where it reports a number, it has two digits: that is what the headroom asks for.
    few = dataclasses.replace(config, num_samples=20, sphere_dimension=4)
    sample = model.draw(few, key=jr.key(0))
    double = model._one_sided(jnp.asarray(sample.points, jnp.float64), jnp.zeros(()))
    single = jax.jit(lambda key: model.simulate(few, key=key))(jr.key(0))
    assert int(single["status"]) == Status.OK
    assert float(single["test_risk"]) == pytest.approx(float(double.value), rel=1e-2)


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ({"sphere_dimension": 1}, "sphere_dimension: 1; .*at least 2"),
        ({"num_samples": 0}, "num_samples: 0; .*at least 1"),
        ({"num_features": True}, "num_features: True; .*integer"),
        ({"ridge": -1.0}, "ridge: -1.0; .*at least 0"),
        ({"ridge": math.inf}, "ridge: inf; .*finite"),
        ({"paired": "swapped"}, "paired: 'swapped' needs both"),
        ({"num_samples": None}, "num_samples: None with num_features None"),
        ({"num_features": 100}, "ridge: 0 .*infinite"),
    ],
)
def test_bad_fields_are_named(fields, remedy):
    with pytest.raises(ValueError, match=f"^{remedy}"):
        model.Config(**fields)


def test_infinite_means_are_refused():
    with pytest.raises(ValueError, match=r"ridge: 0 .*infinite"):
        model.check_simulation(model.Config(num_samples=50, num_features=51))
    model.check_simulation(model.Config(num_samples=50, num_features=51, ridge=1e-6))
    model.check_simulation(model.Config(num_samples=50))


def test_the_bound_counts_harmonics_and_holds_for_every_draw():
    # All four harmonics of degree at most one on S^2 leave 1/6 - 1/16 - 3/36 = 1/48.
    assert theory.best_rank_risk(2, 4) == pytest.approx(1 / 48, rel=100 * EPS)
    assert theory.best_rank_risk(2, 0) == pytest.approx(1 / 6, rel=EPS)
    for samples, features in ((10, None), (10, 40)):
        config = model.Config(sphere_dimension=2, num_samples=samples, num_features=features)
        bound = theory.predict(config, "best-rank").observables["test_risk"]
        risks = lanes_of(config, 32, seed=4)["test_risk"]
        assert np.min(risks) > bound


@pytest.mark.parametrize("q", [2, 3, 6])
def test_the_exponent_of_the_theory_tends_to_three_over_q(q):
    assert theory.alpha_k(q) == 3 / q
    sizes = np.geomspace(1e3, 1e6, 200) ** (1 if q < 6 else 1.5)
    risks = theory.learning_curve(q, sizes[[0, -1]], np.full(2, np.inf), 0.0)
    slope = -np.log(risks[1] / risks[0]) / np.log(sizes[-1] / sizes[0])
    # The count of modes up to degree k is k^q (1 + O(q^2/k)), k = (D q!)^(1/q) at its least.
    least = (sizes[0] * math.factorial(q)) ** (1 / q)
    assert abs(slope / (3 / q) - 1) <= q**2 / least / np.log(sizes[-1] / sizes[0])


@pytest.mark.parametrize(("q", "samples", "features"), [(2, 80, None), (3, None, 40), (8, 40, 80)])
def test_the_simulation_lies_within_the_stated_error(q, samples, features):
    config = model.Config(sphere_dimension=q, num_samples=samples, num_features=features)
    made = theory.predict(config)
    assert made.kind == "heuristic"
    risks = lanes_of(config, 16, seed=0)["test_risk"]
    stderr = risks.std(ddof=1) / math.sqrt(len(risks))
    predicted = made.observables["test_risk"]
    # Student's t with 15 degrees of freedom exceeds 3.5 once in 300.
    assert abs(risks.mean() - predicted) <= 3.5 * stderr + made.relative_error * predicted


def test_the_heuristic_declines_where_its_error_was_not_measured():
    for samples, features in ((10, None), (60, 75)):
        config = model.Config(num_samples=samples, num_features=features)
        with pytest.raises(ValueError, match="does not apply"):
            theory.predict(config, "gaussian-universality")
        assert theory.predict(config).theory == "best-rank"


@pytest.mark.slow
def test_the_experiment_runs_and_is_drawn():
    datasets = {
        name: run_sweep(sweep) for name, sweep in experiment.EXPERIMENT.sweeps("smoke").items()
    }
    for dataset in datasets.values():
        assert np.all(dataset["status"].values == Status.OK)
    claims = experiment.EXPERIMENT.analyse(datasets)
    # Exchange, bound; one duality; two amplitudes and their trend; three curves, each twice.
    assert len(claims) == 2 + 1 + 2 + 1 + 3 * 2
    assert [claim.verdict for claim in claims[:2]] == ["agrees", "agrees"]
    assert len({(claim.quantity, claim.kind) for claim in claims}) == len(claims)
    assert all(math.isfinite(claim.measured) for claim in claims)
    for draw in (draw_sphere_features, draw_sphere_amplitude):
        drawing = draw({"sphere-features": datasets})
        assert len({tuple(row) for row in drawing.table}) == 1
        assert "nan" not in table_text(drawing.table)
