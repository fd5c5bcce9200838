"""Toy geometry: exact losses against quadrature and samples, the phase boundary, polygons."""

import math

import numpy as np
import pytest
from scipy import optimize

from scalinglab.theory import superposition as theory


def composite_rule(panels, order=4):
    nodes, weights = np.polynomial.legendre.leggauss(order)
    starts = np.arange(panels) / panels
    at = (starts[:, None] + (nodes + 1) / (2 * panels)).ravel()
    return at, np.tile(weights / (2 * panels), panels)


def quadrature_parts(parameters, s, panels=24):
    """Both features' losses for n = 2, m = 1, by composite Gauss rules on the line and square."""
    w, b = parameters[:2], parameters[2:]
    x, dx = composite_rule(panels)
    first, second = x[:, None], x[None, :]
    square = dx[:, None] * dx[None, :]
    losses = []
    for i, j in ((0, 1), (1, 0)):
        own, other = w[i] ** 2, w[i] * w[j]
        none = max(b[i], 0) ** 2
        alone = dx @ (x - np.maximum(own * x + b[i], 0)) ** 2
        disturbed = dx @ np.maximum(other * x + b[i], 0) ** 2
        both = (square * (first - np.maximum(own * first + other * second + b[i], 0)) ** 2).sum()
        losses.append((1 - s) ** 2 * none + s * (1 - s) * (alone + disturbed) + s * s * both)
    return losses


@pytest.mark.parametrize("s", [0.05, 0.4])
def test_loss_of_two_against_quadrature(s):
    rng = np.random.default_rng(0)
    for _ in range(5):
        parameters = rng.normal(size=4) * (1, 1, 0.3, 0.3)
        expected = quadrature_parts(parameters, s, 200)
        for i in range(2):
            found = theory.toy_loss(parameters[:2, None], parameters[2:], s, np.eye(2)[i])
            # Kinks inside panels of width 1/200 leave errors of the panel's cube.
            assert found == pytest.approx(expected[i], rel=1e-6)


@pytest.mark.parametrize("n", [3, 5, 6])
def test_loss_against_samples(n):
    """A row of nearly no length among them; 5 standard errors at a fixed seed."""
    rng = np.random.default_rng(n)
    weights, biases = rng.normal(size=(n, 2)) * 0.6, rng.normal(size=n) * 0.2
    weights[0] *= 0.02
    importance = 0.8 ** np.arange(n)
    values = (rng.random((400_000, n)) < 0.4) * rng.random((400_000, n))
    outputs = np.maximum(values @ weights @ weights.T + biases, 0)
    losses = (outputs - values) ** 2 @ importance
    found = theory.toy_loss(weights, biases, 0.4, importance)
    assert abs(losses.mean() - found) < 5 * losses.std() / math.sqrt(len(losses))


def test_small_slopes_lose_no_digits():
    """The difference formula and the Gauss rule meet: the loss is smooth as a row shrinks."""
    weights, biases = np.array([[1.0], [-0.7], [0.9]]), np.array([0.05, 0.1, -0.2])
    scales = 10.0 ** -np.arange(1, 7)
    losses = [theory.toy_loss(weights * [[1], [c], [1]], biases, 0.5) for c in scales]
    end = theory.toy_loss(weights * [[1], [0], [1]], biases, 0.5)
    # The slope settles, up to the curvature: 0.16 times the scale here.
    slopes = (np.array(losses) - end) / scales
    np.testing.assert_allclose(slopes[2:], slopes[-1], rtol=20 * scales[2:].max())
    np.testing.assert_allclose(slopes[4:], slopes[-1], rtol=20 * scales[4:].max())


@pytest.mark.parametrize(
    ("s", "prototype"), [(0.03, 0.01329), (0.1, 0.0487), (0.3, 0.2047), (0.5, 0.536)]
)
def test_phase_boundary_against_quadrature(s, prototype):
    """Asked: 1%. A third of a per cent to either side, quadrature and another search disagree."""
    boundary = theory.phase_boundary(s)
    assert boundary == pytest.approx(prototype, rel=1e-3)
    assert boundary < theory.fixed_form_boundary(s)
    ignored = s / 3 - s * s / 4
    for ratio, sign in ((boundary * 1.003, -1), (boundary / 1.003, 1)):

        def loss(parameters, ratio=ratio):
            first, second = quadrature_parts(parameters, s)
            return (first + ratio * second) / (ratio * ignored)

        # The transition is of first order: the search stays with the pair on both sides.
        found = optimize.minimize(loss, (1.0, -0.65, 0.0, s / 3), method="BFGS", tol=1e-5)
        assert found.x[1] < -0.5
        assert sign * (found.fun - 1) > 0


def test_phase_boundary_of_sparse_features():
    """r*/s tends to (2 + sqrt 2)/8, linearly in s: .432, the prototype's number, is s = .01."""
    found = optimize.minimize_scalar(
        lambda q: (1 - q / 2) / (2 - q * q), bounds=(0, 1), method="bounded"
    )
    assert pytest.approx(found.fun, rel=1e-9) == theory.SPARSE_BOUNDARY
    ratios = [theory.phase_boundary(s) / s for s in (0.01, 0.001)]
    assert ratios[0] == pytest.approx(0.432, abs=5e-4)
    excess = np.array(ratios) - theory.SPARSE_BOUNDARY
    assert excess[0] / excess[1] == pytest.approx(10, rel=0.1)


def test_fixed_forms():
    """Antipodal unit weights: (1 + r) s^2/6; the boundary where ignoring costs the same."""
    s, r = 0.2, 0.3
    pair = theory.toy_loss(np.array([[1.0], [-1.0]]), np.zeros(2), s, np.array([1, r]))
    assert pair == pytest.approx((1 + r) * s * s / 6, rel=1e-12)
    edge = theory.fixed_form_boundary(s)
    assert (1 + edge) * s * s / 6 == pytest.approx(edge * (s / 3 - s * s / 4), rel=1e-12)


@pytest.mark.parametrize(("s", "loss"), [(0.1, 0.003320), (0.3, 0.029310), (0.5, 0.076284)])
def test_equal_importance(s, loss):
    found = theory.best_pair(s, 1.0)
    assert found.loss == pytest.approx(loss, rel=2e-4)
    assert found.loss < s * s / 3


@pytest.mark.parametrize(
    ("s", "pentagon", "digons"), [(0.02, 0.0023, 0.0068), (0.1, 0.0259, 0.0377)]
)
def test_polygons(s, pentagon, digons):
    """The prototype's optima were sampled: 5%. The loss at ours is checked by samples."""
    found = theory.best_polygon(5, s)
    assert found.loss == pytest.approx(pentagon, rel=0.05)
    assert theory.digons_loss(s) == pytest.approx(digons, rel=0.01)
    gain, bias = float((found.weights[0] ** 2).sum()), float(found.biases[0])
    assert theory.toy_loss(found.weights, found.biases, s) == pytest.approx(found.loss, rel=1e-7)
    for scale, shift in ((1.05, 0), (1 / 1.05, 0), (1, 0.03), (1, -0.03)):
        assert theory.polygon_loss(5, s, gain * scale, bias + shift) > found.loss
    rng = np.random.default_rng(5)
    values = (rng.random((500_000, 5)) < s) * rng.random((500_000, 5))
    outputs = np.maximum(values @ found.weights @ found.weights.T + found.biases, 0)
    losses = ((outputs - values) ** 2).sum(axis=1)
    assert abs(losses.mean() - found.loss) < 5 * losses.std() / math.sqrt(len(losses))


@pytest.mark.slow
def test_pentagon_crossover():
    edge = theory.pentagon_crossover()
    assert edge == pytest.approx(0.2249, abs=1e-3)
    for s, sign in ((edge - 0.02, -1), (edge + 0.02, 1)):
        assert sign * (theory.best_polygon(5, s).loss - theory.digons_loss(s)) > 0


def test_refusals():
    with pytest.raises(ValueError, match="weights: 7 features; give at most 6"):
        theory.toy_loss(np.ones((7, 2)), np.zeros(7), 0.1)
    with pytest.raises(ValueError, match=r"activation: 1.5; give a probability"):
        theory.toy_loss(np.ones((2, 1)), np.zeros(2), 1.5)
    with pytest.raises(ValueError, match=r"activation: 0.0; give a probability in \(0, 0.9\]"):
        theory.phase_boundary(0.0)
