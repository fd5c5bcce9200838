"""The decomposition: its estimator by plain loops, what the theory says of the peak, the run."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scalinglab.experiments.engine import run_sweep
from scalinglab.experiments.random_features import variance_decomposition as experiment
from scalinglab.models import Status
from scalinglab.models import random_features as model
from scalinglab.models.spectra import power_law
from scalinglab.paper_figs.bahri2021_decomposition import draw_decomposition
from scalinglab.paper_figs.figure import table_text
from scalinglab.theory import random_features as theory

EPS = float(np.finfo(np.float64).eps)


def lines(features, ridge, modes=500, noise=0.1):
    base = {
        "eigenvalue_decay": 1.5,
        "target_decay": 2.0,
        "dimension": modes,
        "num_samples": 120,
        "noise_variance": noise,
    }
    found = experiment.theory_lines(base, features=np.array(features), ridge=np.array(ridge))
    return {name: np.asarray(values) for name, values in found.items()}


@pytest.mark.parametrize(("samples", "features"), [(10, 16), (16, 10)])
def test_the_estimator_is_that_of_plain_loops_over_pairs(samples, features):
    """Means of <f x, f' x'> over pairs that share both, one or none, from numpy's predictors."""
    config = model.Config(
        num_samples=samples,
        num_features=features,
        eigenvalue_decay=1.5,
        target_decay=2.2,
        dimension=24,
        ridge=1e-2,
        noise_variance=0.3,
        replicates=3,
    )
    key = jr.key(5)
    found = jax.jit(lambda key: model.simulate(config, key=key))(key)
    sample = model.draw(config, key=key)
    lam = np.arange(1, 25.0) ** -1.5
    w = np.sqrt(np.arange(1, 25.0) ** -2.2 / lam)
    maps = {}
    for f, x in itertools.product(range(3), repeat=2):
        weights = np.asarray(sample.features[f]) / math.sqrt(features)
        data = np.asarray(sample.inputs[x]) * np.sqrt(lam)
        phi = data @ weights.T
        inner = np.linalg.solve(phi.T @ phi + samples * 1e-2 * np.eye(features), phi.T)
        maps[f, x] = weights.T @ inner, w - weights.T @ inner @ data @ w

    def mean(which, product):
        pairs = [
            product(maps[p], maps[q])
            for p, q in itertools.product(maps, repeat=2)
            if (p[0] == q[0], p[1] == q[1]) == which
        ]
        return np.mean(pairs)

    def signal(one, other):
        return np.sum(lam * one[1] * other[1])

    def noise(one, other):
        return 0.3 * np.sum(lam[:, None] * one[0] * other[0])

    both, by_features, by_data, neither = (
        mean(which, signal)
        for which in ((True, True), (True, False), (False, True), (False, False))
    )
    noise_both, noise_data = mean((True, True), noise), mean((False, True), noise)
    expected = {
        "test_risk": both + noise_both + 0.3,
        "bias_squared": neither,
        "variance_features": by_features - neither,
        "variance_data": by_data - neither,
        "variance_noise": noise_data,
        "variance_interaction": both - by_features - by_data + neither + noise_both - noise_data,
    }
    for name, value in expected.items():
        # Sums of at most 81 products, through a solve of condition below 1e4, of numbers of order
        # one of which the terms are differences.
        np.testing.assert_allclose(found[name], value, atol=1e5 * EPS, err_msg=name)


def test_only_the_interaction_diverges_at_the_peak():
    """From ridge 1e-8 to 1e-10 at N = D, on the infinite spectrum of the theory."""
    found = lines([120.0, 120.0], [1e-8, 1e-10], modes=None)
    growth = {name: values[1] / values[0] for name, values in found.items()}
    # ridge^-1/2, with corrections of relative order 1 - z/N = sqrt(ridge/kappa) = 2e-3.
    assert growth["variance_interaction"] == pytest.approx(10, rel=0.02)
    for name in ("bias_squared", "variance_features", "variance_data", "variance_noise"):
        assert growth[name] == pytest.approx(1, abs=0.02), name


def test_the_average_over_feature_sets_has_no_peak():
    sizes = np.geomspace(20, 2000, 200)
    found = lines(sizes, np.full(200, 1e-6))
    ensemble = sum(found[name] for name in experiment.ENSEMBLE)
    total = found["test_risk"]
    assert np.sum(np.diff(np.sign(np.diff(total))) < 0) == 1
    assert np.argmax(total) == pytest.approx(np.searchsorted(sizes, 120), abs=3)
    # The average over features of random-feature regression is kernel ridge regression at the ridge
    # ridge/(1 - z/N): its risk is (B2 + sigma^2)/(1 - q/D) at the shared kappa.
    spectrum = power_law(1.5, 2.0, 500)
    features, ridge = jnp.asarray(300.0), jnp.asarray(1e-3)
    samples, noise = jnp.asarray(120.0), jnp.asarray(0.1)
    kappa = theory.effective_ridge(spectrum, samples, features, ridge)
    freedom = theory.degrees_of_freedom(spectrum, kappa)
    kernel = theory.test_risk(
        spectrum, samples, jnp.asarray(jnp.inf), ridge / (1 - freedom / features), noise
    )
    at = lines([300.0], [1e-3])
    average = 0.1 + sum(at[name][0] for name in experiment.ENSEMBLE)
    # Eighty bisections of log kappa twice over.
    assert average == pytest.approx(float(kernel), rel=1e-10)
    assert np.max(ensemble) < 0.2 * np.max(total)


def test_the_variance_over_features_is_variance_limited():
    sizes = [1e4, 2e4, 4e4]
    found = lines(sizes, [1e-3] * 3)
    values = found["variance_features"]
    slope = np.polyfit(np.log(sizes), np.log(values), 1)[0]
    # Corrections of relative order z/N < 120/1e4.
    assert slope == pytest.approx(-1, abs=0.02)


@pytest.mark.slow
def test_the_experiment_runs_and_is_drawn():
    small = {
        name: dataclasses.replace(sweep, seeds=2)
        for name, sweep in experiment.EXPERIMENT.sweeps("smoke").items()
    }
    # A program is compiled a size: the peak and both sides of it.
    small["scan"] = dataclasses.replace(small["scan"], crossed={"num_features": (16, 32, 64)})
    datasets = {name: run_sweep(sweep) for name, sweep in small.items()}
    for dataset in datasets.values():
        assert np.all(dataset["status"].values == Status.OK)
    claims = experiment.EXPERIMENT.analyse(datasets)
    # Five terms and their points, at two sizes; two ratios; one exponent.
    assert len(claims) == 2 * 6 + 2 + 1
    assert {claim.kind for claim in claims} == {"deterministic_equivalent"}
    assert len({(claim.quantity, claim.window) for claim in claims}) == len(claims)
    assert all(math.isfinite(claim.measured) for claim in claims)
    drawing = draw_decomposition({"variance-decomposition": datasets})
    assert len({tuple(row) for row in drawing.table}) == 1
    assert "nan" not in table_text(drawing.table)


def test_the_sizes_of_the_default_are_those_of_the_claims():
    scale = experiment.sweeps("default")
    assert scale["scan"].base.num_samples in scale["scan"].crossed["num_features"]
    assert (
        min(min(point.num_samples, point.num_features) for point in scale["large"].points()) >= 240
    )
