"""What is measured on a superposition autoencoder: the loss by enumeration, geometry by hand."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats

from scalinglab.models import superposition
from scalinglab.models.superposition import data, evaluate, metrics, train
from scalinglab.models.superposition.lm_head import row_overlaps
from scalinglab.models.superposition.threefry import words_of

EPS = float(np.finfo(np.float64).eps)
SMALL = superposition.MODEL.smallest


def changed(**fields):
    return dataclasses.replace(SMALL, **fields)


def enumerated_loss(weights, bias, probability, importance, top, nodes):
    """sum over active sets of its probability times the mean loss, by Gauss-Legendre rules."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    x, w = top * (x + 1) / 2, w / 2
    total = 0.0
    for active in itertools.product((False, True), repeat=len(bias)):
        chosen = np.flatnonzero(active)
        grid = np.meshgrid(*[x] * len(chosen), indexing="ij")
        values = np.zeros((len(bias), nodes ** len(chosen)))
        values[chosen] = np.reshape(grid, (len(chosen), nodes ** len(chosen)))
        mass = np.ones(1)
        for _ in chosen:
            mass = np.multiply.outer(mass, w).ravel()
        output = np.maximum(weights @ (weights.T @ values) + bias[:, None], 0)
        chance = np.prod(np.where(active, probability, 1 - probability))
        total += chance * mass @ (importance @ (values - output) ** 2)
    return total


@pytest.mark.parametrize("value", ["uniform02", "uniform01"])
def test_the_loss_is_unbiased_and_its_error_is_its_scatter(value):
    """64 evaluations of one network: mean within 4 standard errors, once in 16000 by chance.

    The squared errors that the evaluations state have the mean of their scatter: a chi-squared of
    63 degrees of freedom over 63 has a standard deviation of .18, and 4 of them are allowed.
    """
    config = changed(
        num_features=4,
        width=2,
        frequency_decay=0.7,
        activation_density=1.3,
        importance_decay=0.8,
        value=value,
        evaluation_samples=4096,
    )
    generator = np.random.default_rng(0)
    weights, bias = generator.normal(size=(4, 2)) * 0.7, np.array([0.2, -0.3, 0.1, -0.05])
    parameters = train.Parameters(jnp.asarray(weights), jnp.asarray(bias))
    one = jax.jit(jax.vmap(lambda key: evaluate.evaluate(config, parameters, key=key)))
    found = one(jr.split(jr.key(0), 64))
    law = (np.array(superposition.frequencies(config)), 0.8 ** np.arange(4.0))
    top = superposition.largest_value(config)
    coarse, fine = (enumerated_loss(weights, bias, *law, top, nodes) for nodes in (24, 32))
    mean, scatter = float(np.mean(found.mean)), float(np.std(found.mean, ddof=1))
    # The kinks of ReLU limit the rule.
    assert abs(fine - coarse) < 0.1 * scatter / 8
    assert abs(mean - fine) < 4 * scatter / 8
    assert abs(np.mean(np.asarray(found.error) ** 2) / scatter**2 - 1) < 4 * 0.18


def test_stratified_samples_agree_with_plain_ones():
    """64 features, most of them rare: both means within 4 standard errors of their difference."""
    config = changed(frequency_decay=1.5, evaluation_samples=16384, importance_decay=1.0)
    parameters = train.start(config, key=jr.key(7)).parameters
    parameters = parameters._replace(bias=parameters.bias - 0.1)
    stratified = jax.jit(lambda key: evaluate.evaluate(config, parameters, key=key))(jr.key(1))
    shape = data.batch_shape(config, 512)
    law, words = data.feature_law(config, shape), words_of(jr.key(2))

    def plain(number):
        batch = data.draw_batch(law, shape, words, number)
        return evaluate.sample_losses(parameters, batch, jnp.ones(64, jnp.float64))

    losses = np.asarray(jax.jit(jax.vmap(plain))(jnp.arange(400))).ravel()
    error = losses.std() / math.sqrt(losses.size)
    assert shape.slots > 0
    assert abs(losses.mean() - stratified.mean) < 4 * math.hypot(error, stratified.error)


def test_stratification_finds_the_rare_features():
    """Five features kept whole, the others lost: exactly 4/3 of the sum of their frequencies.

    The mean of 16 evaluations is within 4 standard errors of it, and theirs are below those of as
    many plain samples, whose variance is exact too: sum p E[v^4] - (p E[v^2])^2.
    """
    config = changed(frequency_decay=2.0, importance_decay=1.0, evaluation_samples=2048)
    weights = jnp.zeros((64, 6), jnp.float64).at[jnp.arange(5), jnp.arange(5)].set(1.0)
    parameters = train.Parameters(weights, jnp.zeros(64, jnp.float64))
    one = jax.jit(jax.vmap(lambda key: evaluate.evaluate(config, parameters, key=key)))
    found = one(jr.split(jr.key(0), 16))
    lost = np.array(superposition.frequencies(config))[5:]
    error = math.sqrt(np.mean(np.asarray(found.error) ** 2))
    assert abs(np.mean(found.mean) - 4 / 3 * lost.sum()) < 4 * error / 4
    plain = math.sqrt(np.sum(lost * 16 / 5 - (lost * 4 / 3) ** 2) / 2048)
    assert error < 0.8 * plain


@pytest.mark.parametrize(("features", "width"), [(40, 7), (300, 9), (5, 1)])
def test_overlaps_are_moments_over_pairs(features, width):
    generator = np.random.default_rng(1)
    weights = generator.normal(size=(features, width)) * np.linspace(0.2, 3, features)[:, None]
    live = generator.uniform(size=features) < 0.7
    live[:2] = True
    sets = np.stack([np.ones(features, bool), live])
    found = metrics.overlaps(jnp.asarray(weights), jnp.asarray(sets))
    unit = weights / np.linalg.norm(weights, axis=1)[:, None]
    for index, chosen in enumerate(sets):
        rows = unit[chosen]
        rho = (rows @ rows.T)[~np.eye(len(rows), dtype=bool)]
        square = rho**2
        expected = [rho.mean(), scipy.stats.skew(rho), square.mean(), square.var()]
        expected += [scipy.stats.skew(square) if width > 1 else 0.0, np.abs(rho).max()]
        values = [float(value[index]) for value in found]
        # Raw moments of at most 9e4 pairs; the skewness divides by the variance to the power 3/2.
        np.testing.assert_allclose(values, expected, rtol=1e5 * EPS, atol=1e5 * EPS)


def test_fewer_than_two_rows_have_no_overlap():
    sets = jnp.array([[True, False, False], [False, False, False]])
    found = metrics.overlaps(jnp.eye(3, dtype=jnp.float64), sets)
    assert not np.any(np.asarray(found))


def antiprism():
    height, angle = 0.5, np.arange(8) * np.pi / 4
    rows = np.stack([np.cos(angle), np.sin(angle), height * (-1.0) ** np.arange(8)], axis=1)
    # Equal moments along the three axes make it a tight frame.
    return rows * np.array([1, 1, 1 / height / math.sqrt(2)])


SHAPES = [
    (np.eye(3), 1),
    (np.array([[1.0, 0], [-1, 0], [0, 2], [0, -2]]), 1 / 2),
    (np.array([[math.cos(a), math.sin(a)] for a in 2 * np.pi / 5 * np.arange(5)]), 2 / 5),
    (np.array([[math.cos(a), math.sin(a)] for a in 2 * np.pi / 3 * np.arange(3)]), 2 / 3),
    (np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]), 3 / 4),
    (antiprism(), 3 / 8),
]


@pytest.mark.parametrize(("rows", "share"), SHAPES)
def test_the_dimensionality_of_polytopes(rows, share):
    found = metrics.feature_dimensionality(jnp.asarray(0.8 * rows))
    np.testing.assert_allclose(found, share, rtol=100 * EPS)


def test_dimensionality_is_shared_out():
    generator = np.random.default_rng(2)
    weights = generator.normal(size=(30, 6))
    weights[4] = 0
    found = np.asarray(metrics.feature_dimensionality(jnp.asarray(weights)))
    overlap = weights @ weights.T
    norms = np.delete(np.diag(overlap), 4)
    brute = norms / np.sum(np.delete(np.delete(overlap, 4, 0), 4, 1) ** 2 / norms[:, None], axis=1)
    np.testing.assert_allclose(np.delete(found, 4), brute, rtol=1e3 * EPS)
    assert found[4] == 0
    assert found.sum() < 6


@pytest.mark.parametrize("value", ["uniform02", "uniform01"])
def test_the_unrepresented_loss_is_that_of_the_best_constant(value):
    config = changed(num_features=6, width=2, frequency_decay=1.3, value=value)
    norms = np.array([0.9, 0.4, 0.1, 0.6, 0.2, 0.0])
    found = metrics.unrepresented_loss(config, jnp.asarray(norms))
    top = superposition.largest_value(config)
    expected = 0.0
    for i, probability in enumerate(superposition.frequencies(config)):

        def loss(b, p=probability):
            square = scipy.integrate.quad(lambda v: (v - b) ** 2 / top, 0, top)[0]
            return p * square + (1 - p) * b**2

        if norms[i] < 0.5:
            best = scipy.optimize.minimize_scalar(loss, bounds=(0, top), method="bounded")
            expected += 0.95**i * best.fun
    # The minimum is flat: an error of 1e-6 in the constant is one of 1e-12 in the loss.
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_observables_of_the_weights():
    config = changed(num_features=20, width=2)
    weights = np.zeros((20, 3))
    weights[:, :2] = np.random.default_rng(3).normal(size=(20, 2))
    bias = np.linspace(-4, 1, 20)
    parameters = train.Parameters(jnp.asarray(weights), jnp.asarray(bias))
    found = superposition.simulate.geometry(config, parameters)
    norms = np.linalg.norm(weights, axis=1)
    live = 2 * norms**2 + bias > 0
    assert 2 < live.sum() < 20
    for name, expected in {
        "live_fraction": live.mean(),
        "represented_fraction": np.mean(norms > 0.5),
        "strongly_represented_fraction": np.mean(norms > 1),
        "dimensions_per_feature": 2 / np.sum(norms**2),
    }.items():
        assert float(found[name]) == pytest.approx(expected, rel=100 * EPS)
    np.testing.assert_allclose(found["gram"], weights @ weights.T, rtol=0, atol=100 * EPS)
    unit = (weights / norms[:, None])[live]
    rho = (unit @ unit.T)[~np.eye(len(unit), dtype=bool)]
    assert float(found["mean_squared_overlap_live"]) == pytest.approx(np.mean(rho**2), rel=1e-12)
    assert "gram" not in superposition.simulate.geometry(
        SMALL, train.start(SMALL, key=jr.key(0))[0]
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_overlaps_of_an_unembedding(dtype, monkeypatch, tmp_path):
    monkeypatch.setattr("scalinglab.models.superposition.lm_head._BLOCK_ENTRIES", 24 * 70)
    matrix = np.random.default_rng(4).normal(size=(501, 24)).astype(dtype)
    matrix[3] = 0
    matrix[4] *= 50
    np.save(tmp_path / "head.npy", matrix)
    found = row_overlaps(np.load(tmp_path / "head.npy", mmap_mode="r"))
    assert (found.rows, found.zero_rows, found.width) == (500, 1, 24)
    rows = np.delete(matrix, 3, 0).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1)[:, None]
    rho = (rows @ rows.T)[~np.eye(500, dtype=bool)]
    # Norms and sums of a block are in the precision of the block.
    eps = EPS if dtype == np.float64 else float(np.finfo(np.float32).eps)
    assert found.mean_squared_overlap == pytest.approx(np.mean(rho**2), rel=100 * eps)
    assert found.mean_overlap == pytest.approx(np.mean(rho), abs=100 * eps)
    # Random directions: squared overlaps of different pairs are uncorrelated, variance
    # 2 (m - 1)/(m^2 (m + 2)); 4 standard errors.
    error = math.sqrt(2 * 23 / (24**2 * 26) * 2 / (500 * 499))
    assert abs(found.mean_squared_overlap - found.random_mean_squared_overlap) < 4 * error
    assert found.mean_squared_overlap > found.welch_bound


def test_a_simplex_meets_the_bound():
    # The unit vectors less their mean span 5 dimensions of 6.
    simplex = np.eye(6) - 1 / 6
    basis = np.linalg.svd(simplex)[0][:, :5]
    found = row_overlaps(simplex @ basis)
    assert found.mean_squared_overlap == pytest.approx(1 / 25, rel=100 * EPS)
    assert found.welch_bound == pytest.approx(1 / 25, rel=100 * EPS)
    assert found.mean_overlap == pytest.approx(-1 / 5, rel=100 * EPS)


@pytest.mark.parametrize(
    ("matrix", "text"),
    [
        (np.ones(3), r"matrix: shape \(3,\)"),
        (np.zeros((4, 2)), "matrix: 0 rows"),
        (np.array([[1.0, 2.0], [3.0, np.nan]]), "matrix: row 1"),
    ],
)
def test_bad_matrices_are_named(matrix, text):
    with pytest.raises(ValueError, match=text):
        row_overlaps(matrix)
