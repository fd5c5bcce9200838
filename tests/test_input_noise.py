"""Noisy inputs: the simulation by brute force, the mapping as an identity, the run."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scalinglab.experiments.engine import run_sweep
from scalinglab.experiments.random_features import input_noise as experiment
from scalinglab.models import Status
from scalinglab.models import noisy_inputs as model
from scalinglab.models import random_features as clean_model
from scalinglab.models.spectra import power_law
from scalinglab.paper_figs.bahri2021_input_noise import draw_input_noise
from scalinglab.paper_figs.figure import table_text
from scalinglab.theory import noisy_inputs as theory
from scalinglab.theory import random_features as clean_theory

EPS = float(np.finfo(np.float64).eps)


def one_lane(config, seed):
    return jax.jit(lambda key: model.simulate(config, key=key))(jr.key(seed))


def lanes(config, seeds):
    keys = jr.split(jr.key(1), seeds)
    return jax.jit(jax.vmap(lambda key: model.simulate(config, key=key)))(keys)


def brute_predictor(config, key):
    """The map from labels to beta by numpy's least squares, and the clean and noisy inputs."""
    sample = model.draw(config, key=key)
    lam = np.arange(1, config.dimension + 1.0) ** -config.eigenvalue_decay
    clean = np.asarray(sample.inputs) * np.sqrt(lam)
    noisy = clean + math.sqrt(config.input_noise) * np.asarray(sample.input_noise)
    weights = np.eye(config.dimension)
    if sample.features is not None:
        weights = np.asarray(sample.features) / math.sqrt(config.num_features)
    design = noisy @ weights.T
    count = config.num_samples
    stacked = np.vstack([design, math.sqrt(count * config.ridge) * np.eye(design.shape[1])])
    padded = np.vstack([np.eye(count), np.zeros((design.shape[1], count))])
    return weights.T @ np.linalg.lstsq(stacked, padded, rcond=None)[0], clean, noisy


SETTINGS = [
    (12, None, 40, 0.0),
    (12, None, 40, 1e-2),
    (60, None, 20, 0.0),
    (20, 8, 30, 0.0),
    (8, 20, 30, 1e-3),
    (15, 15, 30, 1e-2),
    (40, 50, 20, 0.0),
]


@pytest.mark.parametrize(("samples", "features", "modes", "ridge"), SETTINGS)
def test_one_draw_is_the_mean_over_drawn_teachers(samples, features, modes, ridge):
    """The quadratic form of the risk, evaluated mode by mode instead of by traces."""
    config = model.Config(
        num_samples=samples,
        num_features=features,
        dimension=modes,
        target_decay=2.0,
        input_noise=0.03,
        ridge=ridge,
        noise_variance=0.2,
    )
    found = one_lane(config, 4)
    assert int(found["status"]) == Status.OK
    predictor, clean, noisy = brute_predictor(config, jr.key(4))
    lam = np.arange(1, modes + 1.0) ** -1.5
    w = np.sqrt(np.arange(1, modes + 1.0) ** -2.0 / lam)
    test, train = 0.2, 0.0
    # The mean over independent signs of a square of a linear form is the sum over modes.
    for i in range(modes):
        teacher = np.where(np.arange(modes) == i, w, 0.0)
        beta = predictor @ (clean @ teacher)
        test += np.sum(lam * (teacher - beta) ** 2) + 0.03 * np.sum(beta**2)
        train += np.sum((clean @ teacher - noisy @ beta) ** 2)
    test += 0.2 * np.sum((lam + 0.03)[:, None] * predictor**2)
    train += 0.2 * np.sum((np.eye(samples) - noisy @ predictor) ** 2)
    # eps times the squared condition number of the design, below 1e6 here.
    np.testing.assert_allclose(found["test_risk"], test, rtol=1e6 * EPS)
    np.testing.assert_allclose(found["train_risk"], train / samples, rtol=1e6 * EPS, atol=1e-20)


def test_the_population_risk_is_that_of_fresh_noisy_inputs():
    """400 000 test inputs, noise and all, for one predictor and teacher: 4 s.e. (6e-5)."""
    config = model.Config(num_samples=12, dimension=20, input_noise=0.05)
    predictor, clean, _ = brute_predictor(config, jr.key(2))
    lam = np.arange(1, 21.0) ** -1.5
    beta = predictor @ clean.sum(axis=1)
    population = np.sum(lam * (1 - beta) ** 2) + 0.05 * np.sum(beta**2)
    generator = np.random.default_rng(3)
    fresh = generator.normal(size=(400_000, 20)) * np.sqrt(lam)
    seen = fresh + math.sqrt(0.05) * generator.normal(size=fresh.shape)
    errors = (fresh.sum(axis=1) - seen @ beta) ** 2
    assert abs(errors.mean() - population) < 4 * errors.std() / math.sqrt(errors.size)


def test_without_noise_it_is_random_features():
    """The same streams of random numbers: the same draw, and the risk to rounding."""
    sizes = {"num_samples": 30, "num_features": 12, "dimension": 50, "ridge": 1e-3}
    noisy = one_lane(model.Config(**sizes, input_noise=0.0), 0)
    config = clean_model.Config(**sizes, teacher="isotropic")
    clean = jax.jit(lambda key: clean_model.simulate(config, key=key))(jr.key(0))
    # eps times the condition number of the Gram matrix, below 1e5 here.
    for name in ("test_risk", "train_risk"):
        np.testing.assert_allclose(noisy[name], clean[name], rtol=1e5 * EPS)


def test_the_mapping_is_an_identity_of_gaussian_moments():
    """E[y | x'] and its residual from the joint covariance of (x', y), not from the formulas."""
    tau, modes = 0.02, 15
    spectrum = power_law(1.5, 2.3, modes)
    lam, power = np.asarray(spectrum.eigenvalues), np.asarray(spectrum.target_power)
    w = np.sqrt(power / lam)
    # Coordinates (x, g, eps) of unit variance; x' and y are linear in them.
    seen = np.hstack([np.diag(np.sqrt(lam)), math.sqrt(tau) * np.eye(modes), np.zeros((modes, 1))])
    label = np.concatenate([w * np.sqrt(lam), np.zeros(modes), [math.sqrt(0.1)]])
    covariance = seen @ seen.T
    coefficients = np.linalg.solve(covariance, seen @ label)
    residual = label @ label - (seen @ label) @ coefficients
    mapped, noise = clean_theory.with_input_noise(spectrum, jnp.asarray(tau), jnp.asarray(0.1))
    np.testing.assert_allclose(mapped.eigenvalues, np.diag(covariance), rtol=10 * EPS)
    np.testing.assert_allclose(
        mapped.target_power, np.diag(covariance) * coefficients**2, rtol=100 * EPS
    )
    np.testing.assert_allclose(noise, residual, rtol=1000 * EPS)


@pytest.mark.parametrize(
    ("samples", "features", "ridge"), [(60, None, 0.0), (60, 240, 0.0), (90, 60, 1e-3)]
)
def test_the_simulated_noise_is_the_mapped_problem(samples, features, ridge):
    config = model.Config(
        num_samples=samples,
        num_features=features,
        dimension=400,
        target_decay=2.0,
        input_noise=1e-2,
        ridge=ridge,
        noise_variance=0.05,
    )
    predicted = theory.predict(config)
    found = lanes(config, 40)
    assert np.all(found["status"] == Status.OK)
    risks = np.asarray(found["test_risk"])
    error = risks.std(ddof=1) / math.sqrt(risks.size)
    expected = predicted.observables["test_risk"]
    # 3.5 standard errors (5e-4 by chance) and the stated finite-size error.
    assert abs(risks.mean() - expected) < 3.5 * error + predicted.relative_error * expected
    # The bound is not idle: without the noise on the inputs the theory is far outside of it.
    other = theory.predict(dataclasses.replace(config, input_noise=0.0)).observables["test_risk"]
    assert abs(risks.mean() - other) > 3.5 * error + predicted.relative_error * expected


def test_noise_lowers_the_exponent_and_the_floor_does_the_first_part_of_it():
    sizes = jnp.asarray([32.0, 64.0, 128.0, 256.0])
    slopes = []
    for tau in experiment.NOISES:
        config = model.Config(dimension=2000, input_noise=tau)
        risk, floor = (np.asarray(values) for values in theory.learning_curve(config, sizes))
        assert floor[0] == pytest.approx(theory.irreducible_risk(config), rel=1e-12)
        slopes.append(
            [-np.polyfit(np.log(sizes), np.log(values), 1)[0] for values in (risk, risk - floor)]
        )
    # Recomputed at this spectrum by an independent script, to its three decimals.
    expected = [[0.610, 0.610], [0.499, 0.626], [0.347, 0.557], [0.272, 0.502], [0.149, 0.315]]
    np.testing.assert_allclose(slopes, expected, atol=6e-4)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"num_samples": 0}, "num_samples: 0"),
        ({"num_features": True}, "num_features: True"),
        ({"dimension": 0}, "dimension: 0"),
        ({"input_noise": -1.0}, "input_noise: -1.0"),
        ({"ridge": math.nan}, "ridge: nan"),
        ({"target_decay": 1.0}, "target_decay: 1.0"),
    ],
)
def test_bad_fields_are_named(fields, text):
    with pytest.raises(ValueError, match=text):
        model.Config(**fields)


@pytest.mark.parametrize(
    "sizes",
    [
        {"num_features": 51, "dimension": 80},
        {"dimension": 50},
        {"num_features": 70, "dimension": 49},
    ],
)
def test_infinite_means_are_refused(sizes):
    config = model.Config(num_samples=50, **sizes)
    with pytest.raises(ValueError, match=r"ridge: 0 .*infinite"):
        model.check_simulation(config)
    model.check_simulation(dataclasses.replace(config, ridge=1e-3))


@pytest.mark.slow
def test_the_experiment_runs_and_is_drawn():
    small = experiment.EXPERIMENT.sweeps("smoke")
    datasets = {name: run_sweep(sweep) for name, sweep in small.items()}
    for dataset in datasets.values():
        assert np.all(dataset["status"].values == Status.OK)
    claims = experiment.EXPERIMENT.analyse(datasets)
    # Two settings; five curves; their exponents, twice but without noise; four falls.
    assert len(claims) == 2 + 5 + 9 + 4
    assert {claim.kind for claim in claims} == {"deterministic_equivalent"}
    assert len({(claim.quantity, claim.window) for claim in claims}) == len(claims)
    assert all(math.isfinite(claim.measured) for claim in claims)
    drawing = draw_input_noise({"input-noise": datasets})
    assert len({tuple(row) for row in drawing.table}) == 1
    assert "nan" not in table_text(drawing.table)
