"""The digits: preprocessing, the averaged risk against drawn teachers, the heuristic, the run."""

import builtins
import dataclasses
import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scalinglab.experiments.engine import run_sweep
from scalinglab.experiments.random_features import digits as experiment
from scalinglab.models import Status
from scalinglab.models import digits as model
from scalinglab.paper_figs.bahri2021_digits import draw_digits
from scalinglab.paper_figs.figure import table_text
from scalinglab.theory import digits as theory

EPS = float(np.finfo(np.float64).eps)


def features_of(weights, inputs):
    return np.sqrt(2 / len(weights)) * np.maximum(np.asarray(inputs) @ np.asarray(weights).T, 0)


def test_pooling_by_hand():
    image = np.arange(16.0).reshape(1, 4, 4)
    # Blocks of two rows and two columns: 0 1 4 5, 2 3 6 7, 8 9 12 13, 10 11 14 15.
    assert model.pooled(image, 2).tolist() == [[2.5, 4.5, 10.5, 12.5]]
    assert model.pooled(image, 4).tolist() == [[7.5]]
    assert model.pooled(image, 1).tolist() == [list(range(16))]


@pytest.mark.parametrize("pool", model.POOLS)
def test_the_images_are_all_there_once_at_unit_norm(pool):
    inputs = model.images(pool)
    assert inputs.shape == (1797, (8 // pool) ** 2)
    assert (model.IMAGES, model.TRAIN + model.TEST) == (1797, 1797)
    # A norm of at most 64 squares, and a square root: below 64 roundings.
    np.testing.assert_allclose(np.linalg.norm(inputs, axis=1), 1, atol=64 * EPS)
    assert len(np.unique(inputs, axis=0)) == 1797
    with pytest.raises(ValueError, match="read-only"):
        inputs[0] = 0


def test_the_kernel_is_the_mean_of_relu_features():
    inputs = model.images(2)[:6]
    kernel = np.asarray(model.relu_kernel(jnp.asarray(inputs), jnp.asarray(inputs)))
    weights = np.random.default_rng(1).normal(size=(200_000, inputs.shape[1]))
    hidden = np.maximum(inputs @ weights.T, 0)
    products = 2 * hidden[:, None, :] * hidden[None, :, :]
    error = products.std(axis=2) / math.sqrt(len(weights))
    # 21 distinct means: four standard errors, exceeded by one of them once in 700.
    assert np.all(np.abs(products.mean(axis=2) - kernel) <= 4 * error)
    # 1 - cos has one rounding a product of 16, and the kernel's slope in the cosine is 1 there.
    np.testing.assert_allclose(np.diagonal(kernel), 1, atol=32 * EPS)


@pytest.mark.parametrize(
    ("samples", "features", "ridge"),
    [(12, None, 0.0), (12, None, 1e-2), (24, 6, 0.0), (24, 6, 1e-2), (6, 24, 1e-3), (20, 20, 1e-2)],
)
def test_the_averaged_risk_is_that_of_drawn_teachers(samples, features, ridge):
    """Teachers drawn jointly on training and test images, and a plain ridge regression of each."""
    config = model.Config(pool=1, num_samples=samples, num_features=features, ridge=ridge)
    key = jr.key(3)
    found = jax.jit(lambda key: model.simulate(config, key=key))(key)
    assert int(found["status"]) == Status.OK
    sample = model.draw(config, key=key)
    inputs = model.images(1)
    rows = np.concatenate([np.asarray(sample.subset), np.arange(model.TRAIN, model.IMAGES)])
    chosen = jnp.asarray(inputs[rows])
    kernel = np.asarray(model.relu_kernel(chosen, chosen))
    values, vectors = np.linalg.eigh(kernel)
    root = vectors * np.sqrt(np.maximum(values, 0))
    teachers = root @ np.random.default_rng(2).normal(size=(len(rows), 2000))
    seen, unseen = teachers[:samples], teachers[samples:]
    if features is None:
        learner = kernel
    else:
        phi = features_of(sample.weights, chosen)
        learner = phi @ phi.T
    # lstsq, so that features fewer than samples give the minimum-norm solution at ridge 0.
    system = learner[:samples, :samples] + samples * ridge * np.eye(samples)
    dual = np.linalg.lstsq(system, seen, rcond=1e-12)[0]
    errors = np.mean((unseen - learner[samples:, :samples] @ dual) ** 2, axis=0)
    stderr = errors.std(ddof=1) / math.sqrt(len(errors))
    assert abs(errors.mean() - float(found["test_risk"])) <= 4 * stderr


def test_all_images_are_one_training_set():
    config = model.Config(pool=4, num_samples=None, num_features=None)
    first, second = (float(model.simulate(config, key=jr.key(s))["test_risk"]) for s in (0, 1))
    assert first == second
    assert 0 < first < 1e-4
    assert model.draw(config, key=jr.key(0)).subset is None


def test_many_features_learn_as_their_kernel():
    """At N = 5000 features and D = 30 the two risks share the training set."""
    kernel = model.Config(pool=4, num_samples=30, ridge=1e-4)
    wide = dataclasses.replace(kernel, num_features=5_000)
    limit = float(model.simulate(kernel, key=jr.key(0))["test_risk"])
    risk = float(model.simulate(wide, key=jr.key(0))["test_risk"])
    # The excess over N = infinity is of order z/N (section 2.3), z <= D; thrice that for one draw.
    assert abs(risk / limit - 1) <= 3 * 30 / 5_000


def test_a_singular_design_is_reported():
    """Without a ridge, features that are zero on all images leave nothing to solve."""
    config = model.Config(pool=4, num_samples=None, num_features=80, ridge=0.0)
    found = model.simulate(config, key=jr.key(0))
    assert int(found["status"]) == Status.ILL_CONDITIONED
    assert math.isnan(float(found["test_risk"]))


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("pool", 3, "1, 2 or 4"),
        ("pool", True, "1, 2 or 4"),
        ("num_samples", 0, "1..1300"),
        ("num_samples", 1301, "1..1300"),
        ("num_features", 0, "at least 1"),
        ("ridge", -1.0, "at least 0"),
        ("ridge", math.nan, "finite"),
    ],
)
def test_bad_fields_are_named(field, value, remedy):
    with pytest.raises(ValueError, match=rf"^{field}: .*{remedy}"):
        model.Config(**{field: value})


def test_infinite_means_are_refused():
    with pytest.raises(ValueError, match=r"ridge: 0 .*infinite"):
        model.Config(num_samples=50, num_features=50, ridge=0.0)
    with pytest.raises(ValueError, match=r"ridge: 0 .*infinite"):
        model.check_simulation(model.Config(num_samples=50, num_features=51, ridge=0.0))
    model.check_simulation(model.Config(num_samples=50, num_features=51))


def test_without_scikit_learn_the_remedy_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *rest, **kwargs):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    model._pixels.cache_clear()
    model.images.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"pip install scalinglab\[data\]"):
            model.check_simulation(model.Config())
    finally:
        model._pixels.cache_clear()
        model.images.cache_clear()


@pytest.mark.parametrize("pool", model.POOLS)
def test_the_spectrum_is_that_of_a_kernel_with_unit_trace(pool):
    spectrum = theory.spectrum(pool)
    values = np.asarray(spectrum.eigenvalues)
    # The sum of 1797 eigenvalues, each to n eps of the largest, of a diagonal of ones to 32 eps.
    np.testing.assert_allclose(values.sum(), 1, atol=1797**2 * EPS)
    assert np.all(np.diff(values) <= 0)
    assert np.all(values > 0)


def test_coarser_pooling_has_a_steeper_spectrum():
    # Section 5.3 of the derivation, to its two decimals and those of another split.
    found = [theory.alpha_k(pool) for pool in model.POOLS]
    np.testing.assert_allclose(found, [1.16, 1.35, 1.47], atol=0.01)


@pytest.mark.parametrize("pool", model.POOLS)
def test_the_heuristic_is_finite_and_falls(pool):
    kernel = [model.Config(pool=pool, num_samples=n) for n in (20, 80, 320)]
    features = [model.Config(pool=pool, num_samples=None, num_features=n) for n in (20, 80, 320)]
    for configs in (kernel, features):
        made = [theory.predict(config) for config in configs]
        risks = np.array([prediction.observables["test_risk"] for prediction in made])
        assert np.all(np.isfinite(risks))
        assert np.all(np.diff(risks) < 0)
        assert np.all(risks > 0)
        assert {prediction.kind for prediction in made} == {"heuristic"}


def test_the_heuristic_declines_where_its_error_was_not_measured():
    for samples, features in ((None, None), (640, None), (100, 60), (400, 330)):
        config = model.Config(num_samples=samples, num_features=features)
        with pytest.raises(ValueError, match="none of empirical-spectrum applies"):
            theory.predict(config)


@pytest.mark.parametrize(("samples", "features"), [(40, None), (None, 40), (160, 40)])
def test_the_simulation_lies_within_the_stated_error(samples, features):
    config = model.Config(pool=1, num_samples=samples, num_features=features)
    made = theory.predict(config)
    lanes = jax.jit(jax.vmap(lambda key: model.simulate(config, key=key)["test_risk"]))
    risks = np.asarray(lanes(jr.split(jr.key(0), 8)))
    stderr = risks.std(ddof=1) / math.sqrt(len(risks))
    predicted = made.observables["test_risk"]
    assert abs(risks.mean() - predicted) <= 3.5 * stderr + made.relative_error * predicted


def test_the_experiment_runs_and_is_drawn():
    datasets = {
        name: run_sweep(sweep) for name, sweep in experiment.EXPERIMENT.sweeps("smoke").items()
    }
    for dataset in datasets.values():
        assert np.all(dataset["status"].values == Status.OK)
    claims = experiment.EXPERIMENT.analyse(datasets)
    # Three poolings, two curves: heuristic exponent, amplitude, limit; and two steps of each curve.
    assert len(claims) == 3 * 2 * 3 + 2 * 2
    assert {claim.kind for claim in claims} == {"heuristic", "asymptotic"}
    assert len({(claim.quantity, claim.kind) for claim in claims}) == len(claims)
    assert all(math.isfinite(claim.measured) for claim in claims)
    drawing = draw_digits({"digits": datasets})
    assert len({tuple(row) for row in drawing.table}) == 1
    assert "nan" not in table_text(drawing.table)
