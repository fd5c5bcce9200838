"""Interpolation without training: simplices against scipy, phases, and the laws of both losses."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.integrate
import scipy.interpolate
from scipy.spatial import KDTree

from scalinglab.experiments.engine import run_sweep
from scalinglab.experiments.teacher_student import interpolation as experiment
from scalinglab.models import Status
from scalinglab.models import interpolation as model
from scalinglab.models.delaunay import containing_simplex
from scalinglab.paper_figs.bahri2021_interpolation import draw_interpolation
from scalinglab.paper_figs.figure import table_text
from scalinglab.theory import delaunay_cells as cells
from scalinglab.theory import interpolation as theory

EPS = np.finfo(np.float64).eps
SMALL = model.MODEL.smallest


def simplices(samples, points):
    found = jax.jit(jax.vmap(containing_simplex, (None, 0)))(samples, points)
    return jax.tree.map(np.asarray, found)


def lanes(config, seeds, first=0):
    keys = jr.split(jr.key(first), seeds)
    found = jax.jit(jax.vmap(lambda key: model.simulate(config, key=key)))(keys)
    return {name: np.asarray(values) for name, values in found.items()}


def condition(samples, found):
    corners = samples[found.vertices]
    ones = np.ones((*corners.shape[:2], 1))
    return np.linalg.cond(np.concatenate([ones, corners], axis=2))


@pytest.mark.parametrize(("dimension", "count"), [(2, 300), (3, 300), (4, 200), (2, 3), (3, 4)])
def test_linear_pieces_are_those_of_qhull(dimension, count):
    """Inside to roundings times the condition of the simplex; outside are the same points."""
    rng = np.random.default_rng(dimension)
    samples, points = rng.random((count, dimension)), rng.random((400, dimension))
    labels = np.sin(4 * samples).sum(axis=1)
    expected = scipy.interpolate.LinearNDInterpolator(samples, labels)(points)
    found = simplices(samples, points)
    assert np.all(found.converged)
    np.testing.assert_array_equal(found.outside, np.isnan(expected))
    inside = ~found.outside
    assert inside.sum() > 0
    values = (found.weights * labels[found.vertices]).sum(axis=1)
    allowed = 100 * EPS * condition(samples, found) * np.abs(labels).max()
    assert np.all(np.abs(values - expected)[inside] < allowed[inside])


@pytest.mark.parametrize("dimension", [1, 2, 5, 8])
def test_spheres_are_empty_and_weights_are_barycentric(dimension):
    """In any dimension: no sample is inside of the circumscribed sphere, by dense solves."""
    rng = np.random.default_rng(10 + dimension)
    samples, points = rng.random((400, dimension)), 0.35 + 0.3 * rng.random((60, dimension))
    found = simplices(samples, points)
    assert np.all(found.converged)
    inside = ~found.outside
    corners = samples[found.vertices]
    np.testing.assert_allclose(
        np.einsum("pi,pij->pj", found.weights, corners)[inside], points[inside], atol=1e-10
    )
    assert found.weights[inside].min() > -1e-10
    # Of z = x_i - x: R^2 = |z - c|^2 makes |z|^2 linear in (R^2 - |c|^2, c).
    around = corners[inside] - points[inside][:, None]
    system = np.concatenate([np.ones((*around.shape[:2], 1)), 2 * around], axis=2)
    solved = np.linalg.solve(system, (around**2).sum(axis=2)[..., None])[..., 0]
    centre = solved[:, 1:]
    squared = solved[:, 0] + (centre**2).sum(axis=1)
    centred = samples[None] - points[inside][:, None] - centre[:, None]
    # Circumcentres are found to the condition of their simplex, here below 1e6.
    np.testing.assert_allclose((centred**2).sum(axis=2).min(axis=1), squared, rtol=1e6 * EPS)


def test_a_point_at_a_sample_and_one_outside():
    rng = np.random.default_rng(5)
    samples = rng.random((50, 3))
    found = simplices(samples, np.stack([samples[7], np.full(3, 0.999), samples[7] + 1e-13]))
    assert np.all(found.converged)
    at = found.vertices[0] == 7
    assert found.weights[0][at] == pytest.approx([1], abs=1e-12)
    assert np.abs(found.weights[0][~at]).max() < 1e-12
    assert found.outside.tolist() == [False, True, False]
    assert found.weights[2][found.vertices[2] == 7] == pytest.approx([1], abs=1e-9)


def test_a_step_limit_is_a_status(monkeypatch):
    monkeypatch.setattr("scalinglab.models.delaunay._STEPS_PER_DIMENSION", 1)
    found = model.simulate(SMALL, key=jr.key(0))
    assert found["status"] == Status.NOT_CONVERGED
    assert np.isnan(found["linear_loss"])
    assert np.isnan(found["nearest_loss"])


def test_a_lane_with_every_point_outside_is_no_number():
    config = model.Config(dimension=8, num_samples=9, num_tests=2, margin=0.0)
    found = lanes(config, 3)
    assert found["status"].tolist() == [Status.NOT_FINITE] * 3
    assert np.isnan(found["linear_loss"]).all()


@pytest.mark.parametrize("dimension", [2, 3])
def test_losses_are_averages_over_phases(dimension):
    """Five equal steps of a phase integrate products of two sines exactly; scipy interpolates."""
    config = dataclasses.replace(SMALL, dimension=dimension, num_samples=150, frequency=4.0)
    drawn = model.draw(config, key=jr.key(2))
    samples, tests = np.asarray(drawn.samples), np.asarray(drawn.tests)
    distance, nearest = KDTree(samples).query(tests)
    squares = {"nearest_loss": [], "linear_loss": []}
    for phases in itertools.product(2 * np.pi * np.arange(5) / 5, repeat=dimension):
        labels, values = (
            np.asarray(model.target(jnp.float64(4.0), jnp.asarray(x), jnp.asarray(phases)))
            for x in (samples, tests)
        )
        linear = scipy.interpolate.LinearNDInterpolator(samples, labels)(tests)
        squares["nearest_loss"].append(np.mean((values - labels[nearest]) ** 2))
        squares["linear_loss"].append(np.mean((values - linear) ** 2))
    found = model.simulate(config, key=jr.key(2))
    for name, each in squares.items():
        # Labels of order one carry a few roundings into errors of the size of the loss's root.
        expected = np.mean(each)
        assert float(found[name]) == pytest.approx(expected, rel=100 * EPS / math.sqrt(expected))
    assert float(found["nearest_distance"]) == pytest.approx(distance.mean(), rel=100 * EPS)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"dimension": 0}, "dimension: 0"),
        ({"dimension": 9, "num_samples": 100}, "dimension: 9"),
        ({"num_samples": 2}, "num_samples: 2 make no simplex"),
        ({"num_tests": True}, "num_tests: True"),
        ({"frequency": 0.0}, r"frequency: 0\.0"),
        ({"margin": 0.5}, r"margin: 0\.5"),
    ],
)
def test_bad_fields_are_named(fields, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(SMALL, **fields)


def central(powers):
    terms = cells.CENTRAL[powers[0]]
    for power in powers[1:]:
        terms = cells.times(terms, cells.CENTRAL[power])
    return terms


@pytest.mark.parametrize("powers", [(2,), (2, 2), (3, 3), (2, 4)])
def test_moments_on_an_interval(powers):
    """d = 1: ends at -1 and 1, a uniform weight, by quadrature."""

    def integrand(w):
        mean = 2 * w - 1
        return math.prod(w * (1 - mean) ** k + (1 - w) * (-1 - mean) ** k for k in powers)

    expected = scipy.integrate.quad(integrand, 0, 1)[0]
    assert cells.mean_of(central(powers), 1) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("powers", [(2, 2), (3, 3), (2, 4)])
@pytest.mark.parametrize("dimension", [2, 3, 5])
def test_moments_of_weighted_simplices(dimension, powers):
    """Directions weighted by det^2 as numbers: within 4 standard errors (6e-5 by chance each)."""
    rng = np.random.default_rng(dimension)
    count, corners = 200_000, dimension + 1
    u = rng.standard_normal((count, corners, dimension))
    u /= np.linalg.norm(u, axis=2, keepdims=True)
    weight = np.linalg.det(np.concatenate([np.ones((count, corners, 1)), u], axis=2)) ** 2
    w = rng.dirichlet(np.ones(corners), count)
    a = u[:, :, 0] - (w * u[:, :, 0]).sum(axis=1, keepdims=True)
    values = np.prod([(w * a**k).sum(axis=1) for k in powers], axis=0)
    mean = np.average(values, weights=weight)
    error = np.std(weight * (values - mean)) / weight.mean() / math.sqrt(count)
    assert abs(cells.mean_of(central(powers), dimension) - mean) < 4 * error


def test_the_law_of_neighbours_is_its_power_series():
    """2 (1 - 0F1) term by term, with moments of a Beta variable, in 40 digits."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(40):
        for dimension, count, frequency in ((1, 10, 3.0), (2, 128, 3.1), (3, 5, 1.0), (8, 900, 6)):
            half = mpmath.mpf(dimension) / 2
            volume = mpmath.pi**half / mpmath.gamma(1 + half)
            total = mpmath.mpf(0)
            for k in range(1, 120):
                s = 2 * mpmath.mpf(k) / dimension
                moment = count * mpmath.beta(1 + s, count) * volume**-s
                square = (mpmath.mpf(frequency) / 2) ** (2 * k)
                total -= 2 * (-1) ** k * square * moment / mpmath.factorial(k) / mpmath.rf(half, k)
            found = theory.neighbour_law(dimension, count, float(frequency))
            assert found.loss == pytest.approx(float(total), rel=1e-8)


def test_linear_pieces_on_an_interval():
    """d = 1 by quadrature over the cell and the place in it, to the first term left out."""
    count, frequency = 60, 5.0

    def integrand(w, length):
        pair = np.array([[(1 - w) * length], [-w * length]])
        angles = frequency * pair[:, 0]
        value = 1 - w * np.exp(1j * angles[0]) - (1 - w) * np.exp(1j * angles[1])
        density = count * (count - 1) * length * (1 - length) ** (count - 2)
        return abs(value) ** 2 * density

    expected = scipy.integrate.dblquad(integrand, 0, 1, 0, 1, epsrel=1e-7)[0]
    found = theory.linear_law(1, count, frequency)
    assert found.loss == pytest.approx(expected, rel=found.correction**2)
    assert abs(found.leading / expected - 1) > found.correction**2


@pytest.mark.parametrize("dimension", [1, 2, 3, 4, 6])
def test_the_laws_have_their_limits(dimension):
    law = theory.neighbour_law(dimension, 10**7, 0.3)
    limit = theory.neighbour_asymptote(dimension, 10**7, 0.3)
    # The next terms: (omega r)^2/(d + 2) of the series, and 1/D of the Beta variable.
    small = (0.3 * limit.distance) ** 2 + 1e-6
    assert law.loss == pytest.approx(limit.loss, rel=small)
    assert law.distance == pytest.approx(limit.distance, rel=1e-6)
    one, other = (theory.linear_law(dimension, size, 0.3).leading for size in (10**6, 10**7))
    assert math.log10(one / other) == pytest.approx(4 / dimension, rel=1e-4)


@pytest.mark.parametrize(
    ("dimension", "samples", "margin"), [(1, 40, 0.3), (2, 256, 0.3), (3, 512, 0.3), (4, 1024, 0.3)]
)
def test_the_simulation_has_the_amplitudes(dimension, samples, margin):
    """Within 3.5 standard errors (5e-4 by chance) and the error that the theory states."""
    config = model.Config(
        dimension=dimension, num_samples=samples, num_tests=32, margin=margin, frequency=2.0
    )
    found = lanes(config, 64, first=dimension)
    assert np.all(found["status"] == Status.OK)
    for name in ("neighbour-law", "cell-law"):
        made = theory.predict(config, name)
        for observable, expected in made.observables.items():
            values = found[observable]
            error = values.std(ddof=1) / 8
            allowed = 3.5 * error + made.relative_error * expected
            assert abs(values.mean() - expected) < allowed, (name, observable)
            # The bound is not idle: a tenth more would be seen, in these and in their sum.
            assert allowed < 0.35 * expected
    assert np.all(
        found["nearest_loss"]
        < theory.predict(config, "lipschitz-bound").observables["nearest_loss"]
    )


@pytest.mark.slow
def test_the_experiment_runs_and_is_drawn():
    small = experiment.EXPERIMENT.sweeps("smoke")
    datasets = {name: run_sweep(sweep) for name, sweep in small.items()}
    for dataset in datasets.values():
        assert np.all(dataset["status"].values == Status.OK)
    claims = experiment.EXPERIMENT.analyse(datasets)
    # Two dimensions; two methods with two exponents and an amplitude each, and the bound.
    assert len(claims) == 2 * (2 * 3 + 1)
    assert len({(claim.quantity, claim.kind, claim.predicted) for claim in claims}) == len(claims)
    assert all(math.isfinite(claim.measured) for claim in claims)
    # Eight draws: nothing contradicts, which at 5 % a claim would happen by chance now and then.
    assert not [claim for claim in claims if claim.verdict == "disagrees"]
    drawing = draw_interpolation({"interpolation": datasets})
    assert len({tuple(row) for row in drawing.table}) == 1
    assert "nan" not in table_text(drawing.table)
