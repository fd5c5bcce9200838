"""Dimension from neighbours: manifolds, estimates by brute force, exact means; label sharpness."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.integrate
from scipy.spatial import KDTree

from scalinglab.models import Status, manifolds
from scalinglab.models import intrinsic_dimension as model
from scalinglab.models import label_sharpness as sharpness
from scalinglab.theory import intrinsic_dimension as theory
from scalinglab.theory import label_sharpness as sharpness_theory

EPS = np.finfo(np.float64).eps
SMALL = model.MODEL.smallest


def lanes(of, config, seeds, first=0):
    keys = jr.split(jr.key(first), seeds)
    found = jax.jit(jax.vmap(lambda key: of.simulate(config, key=key)))(keys)
    return {name: np.asarray(values) for name, values in found.items()}


def points_of(manifold, dimension, count=400):
    return np.asarray(
        manifolds.draw_points(manifold, dimension, count, "float64", key=jr.key(dimension))
    )


def test_points_lie_on_their_manifolds():
    np.testing.assert_allclose(np.linalg.norm(points_of("sphere", 3), axis=1), 1, rtol=10 * EPS)
    torus = points_of("torus", 3)
    circles = np.hypot(torus[:, :3], torus[:, 3:])
    np.testing.assert_allclose(circles, 1 / (2 * math.pi), rtol=10 * EPS)
    roll = points_of("swiss-roll", 3)
    assert roll.shape == (400, 4)
    radius = np.hypot(roll[:, 0], roll[:, 1])
    np.testing.assert_allclose(roll[:, 0], radius * np.cos(radius), atol=1e3 * EPS)
    assert 0 <= roll[:, 2:].min() < roll[:, 2:].max() <= 10
    for manifold in manifolds.MANIFOLDS:
        assert points_of(manifold, 2).shape[1] == manifolds.local_dimension(manifold, 2)


def test_the_spiral_is_uniform_in_its_length():
    """Kolmogorov's distance of 2000 lengths, by quadrature, from a uniform law; 1e-4 by chance."""
    roll = points_of("swiss-roll", 2, 2000)
    radius = np.sort(np.hypot(roll[:, 0], roll[:, 1]))
    grid = np.linspace(1.5 * np.pi, 4.5 * np.pi, 4001)
    lengths = scipy.integrate.cumulative_simpson(np.sqrt(1 + grid**2), x=grid, initial=0)
    share = np.interp(radius, grid, lengths / lengths[-1])
    assert np.abs(share - (np.arange(2000) + 0.5) / 2000).max() < 2.23 / math.sqrt(2000)


def test_embedding_is_an_isometry_and_noise_has_its_size():
    config = dataclasses.replace(SMALL, manifold="sphere", ambient_dimension=7)
    flat = dataclasses.replace(config, ambient_dimension=None)
    one, other = (np.asarray(model.draw(c, key=jr.key(1))) for c in (config, flat))
    assert one.shape[1] == 7
    np.testing.assert_allclose(one @ one.T, other @ other.T, atol=100 * EPS)
    assert np.linalg.matrix_rank(one) == 3
    noisy = np.asarray(model.draw(dataclasses.replace(config, noise=0.1), key=jr.key(1)))
    # 896 normal numbers: 4 standard errors of a standard deviation.
    assert np.std(noisy - one) == pytest.approx(0.1, rel=4 / math.sqrt(2 * 896))


@pytest.mark.parametrize("manifold", ["flat-torus", "sphere", "gaussian"])
def test_estimates_by_brute_force(manifold):
    """Distances by scipy's tree, sums and the regression through the origin by numpy."""
    config = dataclasses.replace(SMALL, manifold=manifold, num_samples=300, neighbours=5)
    points = np.asarray(model.draw(config, key=jr.key(3)))
    tree = KDTree(points, boxsize=1.0 if manifold == "flat-torus" else None)
    distances = tree.query(points, k=6)[0][:, 1:]
    ratio = np.log(distances[:, 4:] / distances[:, :4])
    mu = np.sort(distances[:, 1] / distances[:, 0])[:270]
    law = -np.log(1 - np.arange(1, 271) / 300)
    expected = {
        "dimension": 1 / ratio.mean(),
        "mean_log_ratio": ratio.mean(),
        "levina_bickel": np.mean(1 / ratio.mean(axis=1)),
        "two_nn": np.linalg.lstsq(np.log(mu)[:, None], law, rcond=None)[0][0],
        "nearest_distance": distances[:, 0].mean(),
    }
    found = model.simulate(config, key=jr.key(3))
    assert found["status"] == Status.OK
    for name, value in expected.items():
        # The closest pair is some 1e-3 apart, and the smallest mean of logarithms some 1e-2.
        assert float(found[name]) == pytest.approx(value, rel=1e5 * EPS), name


def test_digits_are_images_without_replacement():
    pytest.importorskip("sklearn")
    config = model.Config(manifold="digits", num_samples=model.DIGITS)
    points = np.asarray(model.draw(config, key=jr.key(0)))
    assert points.shape == (1797, 64)
    assert len(np.unique(points, axis=0)) == 1797
    assert points.min() == 0
    assert points.max() == 1


def test_samples_in_one_place_are_a_status(monkeypatch):
    monkeypatch.setattr(model, "draw", lambda config, *, key: jnp.zeros((20, 2)))
    found = model.simulate(dataclasses.replace(SMALL, num_samples=20), key=jr.key(0))
    assert found["status"] == Status.NOT_FINITE
    assert np.isnan(found["dimension"])


@pytest.mark.parametrize("dimension", [1, 2, 5])
@pytest.mark.parametrize("manifold", ["flat-torus", "sphere"])
def test_exact_means_on_homogeneous_manifolds(manifold, dimension):
    """Few samples, many draws: 3.5 standard errors (5e-4 by chance) and the stated error."""
    config = model.Config(manifold=manifold, intrinsic_dimension=dimension, num_samples=100)
    found = lanes(model, config, 256, first=dimension)
    made = theory.predict(config)
    assert made.kind == "exact"
    for name, expected in made.observables.items():
        error = found[name].std(ddof=1) / 16
        assert abs(found[name].mean() - expected) < 3.5 * error + made.relative_error * expected
        assert error < 0.02 * expected


def test_curvature_is_seen_and_vanishes():
    """On S^2 the area inside a chord is pi T^2, as on a plane; on S^6 (R) has a correction
    N^(-2/d), halved where N grows by 2^(d/2)."""
    plane = theory.sphere_moments(2, 50, 4)[0] - theory.sphere_moments(2, 50, 1)[0]
    assert plane == pytest.approx((1 + 1 / 2 + 1 / 3) / 2, rel=1e-8)
    gaps = []
    for samples in (10_000, 80_000):
        made = theory.predict(
            model.Config(manifold="sphere", intrinsic_dimension=6, num_samples=samples)
        )
        gaps.append(6 * made.observables["mean_log_ratio"] - 1)
    # The next order is N^(-2/d) of the first, .05 here, times a constant of order one.
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)


def test_the_mean_of_inverses_is_biased():
    """Levina and Bickel's estimate: d (k - 1)/(k - 2), at k = 5 with a finite variance."""
    config = model.Config(intrinsic_dimension=3, num_samples=400, neighbours=5)
    found = lanes(model, config, 64)["levina_bickel"]
    made = theory.predict(config, "levina-bickel-bias")
    assert made.observables["levina_bickel"] == 4.0
    assert abs(found.mean() - 4) < 3.5 * found.std(ddof=1) / 8 + 4 * made.relative_error
    assert found.mean() > 3.8


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"intrinsic_dimension": 0}, "intrinsic_dimension: 0"),
        ({"manifold": "swiss-roll", "intrinsic_dimension": 1}, "intrinsic_dimension: 1; a swiss"),
        ({"neighbours": 1}, "neighbours: 1"),
        ({"num_samples": 4}, "num_samples: 4"),
        ({"manifold": "digits", "num_samples": 1798}, "num_samples: 1798"),
        ({"ambient_dimension": 5}, "ambient_dimension: 5; flat-torus is not embedded"),
        ({"manifold": "torus", "ambient_dimension": 3}, "ambient_dimension: 3"),
        ({"noise": -0.1}, "noise: -0.1"),
    ],
)
def test_bad_fields_are_named(fields, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(SMALL, **fields)


def test_sharpness_by_brute_force():
    config = dataclasses.replace(sharpness.MODEL.smallest, periods=2)
    found = sharpness.simulate(config, key=jr.key(4))
    points = np.asarray(jr.uniform(jr.fold_in(jr.key(4), 1), (64, 2), jnp.float64))
    phases = 2 * np.pi * np.asarray(jr.uniform(jr.fold_in(jr.key(4), 2), (2,), jnp.float64))
    labels = np.sin(4 * np.pi * points + phases).sum(axis=1)
    gap = np.abs(points[:, None] - points[None])
    distance = np.linalg.norm(np.minimum(gap, 1 - gap), axis=2) + np.diag(np.full(64, np.inf))
    difference = np.abs(labels[:, None] - labels[None])
    nearest = distance.argmin(axis=1)
    expected = {
        "sharpness": (difference / distance).max(),
        "neighbour_error": difference[np.arange(64), nearest].mean(),
        "nearest_distance": distance.min(axis=1).mean(),
    }
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, rel=1e3 * EPS), name
    slack = expected["sharpness"] * expected["nearest_distance"] / expected["neighbour_error"]
    assert float(found["slack"]) == pytest.approx(slack, rel=1e4 * EPS)
    assert slack > 1


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_the_mean_slope_by_quadrature(dimension):
    """d = 1: the mean of |cos|; else a grid of angles for c, and |c . u| = |c| |u_1| by hand."""
    angles = (np.arange(64) + 0.5) * np.pi / 64
    squares = np.stack(np.meshgrid(*[np.cos(angles) ** 2] * dimension)).sum(axis=0)
    component = {1: 1.0, 2: 2 / math.pi, 3: 0.5}[dimension]
    expected = np.sqrt(squares).mean() * component / math.sqrt(dimension)
    # The midpoint rule errs by its step squared where |c| has a corner, here (pi/64)^2/12 at most.
    found = sharpness_theory.mean_directional_slope(dimension)
    assert found == pytest.approx(expected, rel=(math.pi / 64) ** 2)


@pytest.mark.parametrize(("dimension", "samples"), [(1, 100), (2, 400), (4, 800)])
def test_the_error_has_its_amplitude_and_its_bound(dimension, samples):
    config = sharpness.Config(intrinsic_dimension=dimension, num_samples=samples)
    found = lanes(sharpness, config, 32, first=7)
    assert np.all(found["slack"] >= 1)
    made = sharpness_theory.predict(config)
    for name in ("neighbour_error", "nearest_distance", "slack"):
        expected = made.observables[name]
        error = found[name].std(ddof=1) / math.sqrt(32)
        assert abs(found[name].mean() - expected) < 3.5 * error + made.relative_error * expected
    # No pair is steeper than the function.
    assert np.all(found["sharpness"] <= made.observables["sharpness"] * (1 + 1e3 * EPS))
    bound = sharpness_theory.predict(config, "sharpness-bound").observables["neighbour_error"]
    assert found["neighbour_error"].mean() < bound


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"intrinsic_dimension": 17}, "intrinsic_dimension: 17"),
        ({"num_samples": 2}, "num_samples: 2"),
        ({"periods": 0}, "periods: 0"),
    ],
)
def test_bad_fields_of_labels_are_named(fields, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(sharpness.MODEL.smallest, **fields)
