"""Superposition without training: overlaps, weak regime, Gaussian interference, core and frame."""

import math

import numpy as np
import pytest
from scipy import integrate, optimize, special

from scalinglab.theory import superposition as theory
from scalinglab.theory.superposition.activity import Features
from scalinglab.theory.superposition.core_frame import gaussian_frame

EPS = np.finfo(np.float64).eps


def power_law(num_features, decay, activity=1.0):
    weights = np.arange(1, num_features + 1.0) ** -decay
    return activity * weights / weights.sum()


def unit_rows(count, width, seed):
    rows = np.random.default_rng(seed).standard_normal((count, width))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def overlaps_of(rows):
    return (rows @ rows.T)[~np.eye(len(rows), dtype=bool)]


def icosahedron():
    """Its six diagonals: the largest equiangular set of lines in three dimensions."""
    golden = (1 + math.sqrt(5)) / 2
    rows = np.array([(0, 1, s * golden) for s in (1, -1)])
    rows = np.concatenate([np.roll(rows, shift, axis=1) for shift in range(3)])
    return rows / np.linalg.norm(rows[0])


@pytest.mark.parametrize("width", [1, 2, 3, 10, 400])
def test_random_overlap_moments(width):
    law, stated = theory.random_overlap_law(width), theory.random_overlap(width)
    square = law.weights @ law.overlaps**2
    np.testing.assert_allclose(square, stated.mean_square, rtol=100 * EPS)
    variance = law.weights @ (law.overlaps**2 - square) ** 2
    # The Gauss rule is exact for the fourth power; at m = 1 the variance is a difference to 0.
    np.testing.assert_allclose(variance, stated.variance_of_square, rtol=1e-11, atol=100 * EPS)
    if width > 1:

        def density(angle):
            at = np.array([math.sin(angle)])
            return theory.random_overlap_density(width, at)[0] * math.cos(angle)

        ends = 0, math.pi / 2 - 1e-9
        assert 2 * integrate.quad(density, *ends)[0] == pytest.approx(1, abs=1e-7)
        mean = 2 * integrate.quad(lambda t: math.sin(t) * density(t), *ends)[0]
        assert mean == pytest.approx(stated.mean_absolute, rel=1e-7)


def test_gegenbauer_against_scipy_and_chebyshev():
    at = np.linspace(-1, 1, 41)
    for width in (3, 7, 50):
        index = (width - 2) / 2
        for k, row in enumerate(theory.gegenbauer(width, 6, at), 1):
            expected = special.eval_gegenbauer(k, index, at) / special.eval_gegenbauer(k, index, 1)
            np.testing.assert_allclose(row, expected, atol=1e-13)
    rows = theory.gegenbauer(2, 6, at)
    np.testing.assert_allclose(rows, np.cos(np.arange(1, 7)[:, None] * np.arccos(at)), atol=1e-12)


@pytest.mark.parametrize(("count", "width"), [(5, 2), (9, 3), (40, 8)])
def test_every_frame_obeys_the_sum_rules(count, width):
    """(G), and its form for Schur powers, on frames nobody designed."""
    least = theory.least_mean_overlap(count)
    for seed in range(20):
        overlap = overlaps_of(unit_rows(count, width, seed))
        assert (theory.gegenbauer(width, 8, overlap).mean(axis=1) >= least - 1e-12).all()
        assert (overlap**3).mean() >= least - 1e-12
        assert (overlap**2).mean() >= theory.welch_mean_square(count, width) - 1e-12


def test_equality_for_designed_frames():
    lines = icosahedron()
    overlap = overlaps_of(lines)
    np.testing.assert_allclose(overlap**2, theory.welch_mean_square(6, 3), rtol=1e-13)
    assert theory.gerzon_number(100, 3) == 6
    assert theory.gerzon_number(5, 3) == 5
    # A tight frame with every vector's opposite is balanced, and all its odd sums vanish.
    for half in (np.eye(4), lines):
        both = np.concatenate([half, -half])
        overlap = overlaps_of(both)
        skew = ((overlap - overlap.mean()) ** 3).mean() / overlap.std() ** 3
        assert skew == pytest.approx(theory.least_skewness(*both.shape), rel=1e-12)
    # K much above m, to terms of relative order m/K.
    limit = -0.97 * 100**1.5 / 10**6
    assert theory.least_skewness(10**6, 100) == pytest.approx(limit, rel=3e-4)


def test_weak_loss_is_that_of_the_best_constant():
    probabilities = power_law(30, 1.3)
    represented = np.arange(30) < 4

    def constant_loss(p):
        def loss(b):
            return p * integrate.quad(lambda v: (v - b) ** 2 / 2, 0, 2)[0] + (1 - p) * b * b

        return optimize.minimize_scalar(loss, bounds=(0, 1), method="bounded").fun

    expected = sum(constant_loss(p) for p in probabilities[4:])
    assert theory.weak_loss(probabilities, represented) == pytest.approx(expected, rel=1e-9)
    assert theory.weak_loss_at_width(probabilities, 4) == pytest.approx(expected, rel=1e-9)
    importance = 0.25 ** np.arange(30)
    weighted = theory.weak_loss(probabilities, represented, importance)
    assert weighted == pytest.approx(theory.weak_loss_at_width(probabilities, 4, importance))
    # Unimportant features are given up first, however frequent.
    reverse = theory.weak_loss_at_width(probabilities, 29, importance[::-1])
    assert reverse == pytest.approx(importance[-1] * theory.dead_loss(probabilities)[0])


def test_weak_curves_against_the_published_ideal():
    """The ideal curves of the published weak runs (n = 10240), to the digits they are known to."""
    widths = [2**k for k in range(3, 11)]
    power = [theory.weak_loss_at_width(power_law(10240, 1.2), m) for m in widths]
    expected = [0.684, 0.573, 0.473, 0.384, 0.307, 0.239, 0.180, 0.128]
    np.testing.assert_allclose(power, expected, atol=6e-4)
    decay = np.exp(-np.arange(1, 10241) / 400)
    exponential = [theory.weak_loss_at_width(decay / decay.sum(), m) for m in widths]
    expected = [1.31, 1.28, 1.23, 1.14, 0.97, 0.70, 0.37, 0.10]
    np.testing.assert_allclose(exponential, expected, atol=6e-3)


def test_weak_exponents_are_those_of_finite_n():
    widths = [10, 15, 25, 39, 63, 100]
    assert theory.weak_exponent(power_law(1000, 1.5), widths) == pytest.approx(0.606, abs=5e-4)
    # The asymptote: with n = 1e6 the tail beyond n and the -p^2 are below 2% at m = 300.
    exact = theory.weak_loss_at_width(power_law(10**6, 2.0), 300)
    assert theory.weak_asymptote(2.0, 300) == pytest.approx(exact, rel=0.02)
    with pytest.raises(ValueError, match=r"frequency_decay: 1.0; give more than 1"):
        theory.weak_asymptote(1.0, 10)


def test_squared_activity_has_the_exact_moments():
    features = Features(np.array([0.3, 0.01]), np.array([2.0, 150.0]))
    law = theory.squared_activity(features)
    p, count = features
    mean = count @ p * 4 / 3
    # Var of Bernoulli times v^2: p E v^4 - p^2 (E v^2)^2. Linear interpolation adds h^2/6 a jump.
    variance = count @ (p * 16 / 5 - p**2 * 16 / 9)
    assert law.weights @ law.values == pytest.approx(mean, rel=1e-9)
    found = law.weights @ (law.values - mean) ** 2
    assert 0 < found - variance < features.activity / 128**2
    # The atom holds P(no activity) and the part of v^2 below one step that falls to 0.
    assert law.weights[0] == pytest.approx(np.prod((1 - p) ** count), rel=0.1)


def contour_constant(num_features, activity, shift):
    """min over beta of (C) by Laplace transforms: E exp(s eta) of eta ~ N(0, S) is elementary."""

    def excess(beta):
        def integrand(y):
            s = 1.0 + 1j * y
            # E exp(s^2 v^2/2) for v on (0, 2).
            mean = (
                math.sqrt(math.pi)
                / 2
                * special.erf(1j * math.sqrt(2) * s)
                / (1j * math.sqrt(2) * s)
            )
            moment = (1 + activity / num_features * (mean - 1)) ** num_features
            return (moment * np.exp(-s * beta) * 2 / s**3).real

        return integrate.quad(integrand, 0, 400, limit=4000)[0] / math.pi

    def scaled(beta):
        return activity * (shift * beta**2 + 4 / 3 * activity) + num_features * excess(beta)

    return optimize.minimize_scalar(scaled, bounds=(0.5, 12), method="bounded").fun


@pytest.mark.parametrize(("n", "unit", "free"), [(100, 12.6, 6.0), (1000, 26.4, 10.4)])
def test_strong_constant_against_contour_integrals(n, unit, free):
    for shift, digits in ((1.0, unit), (0.25, free)):
        found = theory.strong_constant(n, free_gain=shift < 1).constant
        # The integral is cut where 2/s^3 leaves n/400^2; the atoms of S cost 1e-4 more.
        assert found == pytest.approx(contour_constant(n, 1.0, shift), rel=1e-3)
        assert found == pytest.approx(digits, abs=0.051)


def test_strong_constants_at_published_sizes():
    """The prototype's table; its activity was sampled, and it stands to 0.2% at the largest n."""
    table = {200: (16.1, 7.2), 10240: (46.4, 16.3), 50257: (63.6, 21.2), 10**6: (103.5, 32.3)}
    for n, (unit, free) in table.items():
        assert theory.strong_constant(n).constant == pytest.approx(unit, rel=3e-3)
        assert theory.strong_constant(n, free_gain=True).constant == pytest.approx(free, rel=5e-3)
    dense = [theory.strong_constant(1000, 7.485, free_gain=f).constant for f in (False, True)]
    np.testing.assert_allclose(dense, [490, 231], rtol=3e-3)


def test_rectified_moments_against_quadrature():
    mean, deviation = np.array([-1.2, 0.0, 0.7, 0.7, -0.3]), np.array([0.5, 0.8, 0.3, 0.0, 0.0])
    found = theory.rectified_moments(mean, deviation)
    for k, column in enumerate(found, 1):
        for mu, sigma, value in zip(mean, deviation, column, strict=True):
            if sigma == 0:
                assert value == max(mu, 0) ** k
                continue

            def integrand(z, mu=mu, sigma=sigma, k=k):
                return (mu + sigma * z) ** k * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

            expected = integrate.quad(integrand, -mu / sigma, 12, epsabs=1e-14)[0]
            assert value == pytest.approx(expected, rel=1e-9)


def test_interference_loss_against_samples():
    """Overlaps drawn anew, Gaussian: 5 standard errors at a fixed seed, 1e-6 to fail by chance."""
    rng = np.random.default_rng(3)
    samples, others, p, a, b, square = 400_000, 12, 0.1, 1.2, -0.3, 0.09
    active = rng.random((samples, others)) < p
    squares = (active * rng.random((samples, others)) ** 2 * 4).sum(axis=1)
    noise = a * np.sqrt(square * squares) * rng.standard_normal(samples)
    value = (rng.random(samples) < p) * rng.random(samples) * 2
    errors = (np.maximum(a * value + b + noise, 0) - value) ** 2
    law = theory.squared_activity(theory.flat(float(others), others * p))
    found = theory.interference_loss(p, b, a, law, square)
    assert abs(errors.mean() - found) < 5 * errors.std() / math.sqrt(samples)


@pytest.mark.parametrize(("n", "m", "gain"), [(1000, 100, 1.3), (200, 20, 1.6), (50, 10, 1.0)])
def test_fourier_table_against_closed_form(n, m, gain):
    """The best bias by characteristic functions and by the law of S: no line of code in common."""
    square = theory.welch_mean_square(n, m)
    others = theory.squared_activity(theory.flat(n - 1.0, (n - 1) / n))
    expected = theory.best_bias(1 / n, gain, others, square)
    found = gaussian_frame(theory.flat(float(n), 1.0), square, gain)
    # The atoms of S interpolate its jumps: 1e-5; the Fourier series is finer.
    assert found.losses[0] == pytest.approx(expected.loss, rel=3e-5)
    assert found.biases[0] == pytest.approx(expected.bias, abs=1e-3)


def test_core_frame_is_the_minimum_over_every_split():
    probabilities = power_law(30, 1.5)
    width = 5
    best = math.inf
    for private in range(width):
        for count in range(width + 1, 31):
            shared = Features(probabilities[private:count], np.ones(count - private))
            square = theory.welch_mean_square(count - private, width - private)
            dead = theory.dead_loss(probabilities[count:]).sum()
            losses = [
                shared.counts @ gaussian_frame(shared, square, gain).losses
                for gain in (0.8, 1.0, 1.2, 1.4, 1.7)
            ]
            best = min(best, min(losses) + dead)
    found = theory.core_frame(probabilities, width)
    # Groups of ranks and the steps of K cost up to 1% above; gains off the grid win up to 1%.
    assert found.loss == pytest.approx(best, rel=0.01)
    assert found.loss <= theory.weak_loss_at_width(probabilities, width)


@pytest.mark.parametrize(
    ("decay", "prototype"),
    [(0.0, (1.237, 0.775, 0.255, 0.138)), (2.0, (0.073, 0.0238, 0.0033, 0.0013))],
)
def test_core_frame_against_the_prototype(decay, prototype):
    """n = 1000, m = 10, 25, 63, 100. The prototype's minimum over the gain was coarse.

    At its gain (1.26 at m = 63 and 100, alpha = 0) the two agree; the minimum is up to 15% lower.
    """
    probabilities = power_law(1000, decay)
    found = [theory.core_frame(probabilities, m) for m in (10, 25, 63, 100)]
    losses = np.array([frame.loss for frame in found])
    assert (losses < 1.09 * np.array(prototype)).all()
    assert (losses > 0.84 * np.array(prototype)).all()
    if decay == 0:
        fixed = [theory.core_frame(probabilities, m, gain=1.26).loss for m in (63, 100)]
        np.testing.assert_allclose(fixed, prototype[2:], rtol=0.012)
        assert all(frame.private == 0 for frame in found)


def test_core_frame_tends_to_the_constant():
    """m L tends to c(n) for n >> m >> c; kappa^2 = (1 - m/n)/m is divided out.

    Active values below the threshold beta/sqrt(m), which (C) counts as above it, are a share
    beta/(2 sqrt m) of all, and each is overcharged: the excess falls at least like m^-1/2.
    """
    n = 10**6
    limit = theory.strong_constant(n).constant
    excess = []
    for m in (2000, 20_000):
        found = m * theory.core_frame(np.full(n, 1 / n), m, gain=1.0).loss / (1 - m / n)
        excess.append(1 - found / limit)
    assert 0 < excess[1] < excess[0] / math.sqrt(10)
    assert excess[1] < 0.02


def test_published_exponent():
    assert [theory.published_exponent(decay) for decay in (0.0, 1.4, 2.0)] == [1.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.random_overlap(0), "width: 0; give at least 1"),
        (lambda: theory.welch_mean_square(1, 2), "count: 1; give at least 2"),
        (lambda: theory.least_skewness(4, 3), "count: 4; give more than width"),
        (lambda: theory.flat(10.0, 11.0), "activation_density: 11.0; give a number above 0"),
        (lambda: theory.weak_loss_at_width(np.ones(3), 4), "width: 4; give 0 to 3"),
        (lambda: theory.weak_exponent(np.ones(3), [1, 3]), "widths: "),
        (lambda: theory.grouped(np.ones(3), 2, 2), "first, last: 2, 2"),
        (
            lambda: theory.interference_loss(
                0.1, 0.0, 0.0, theory.squared_activity(theory.flat(5.0, 1.0)), 0.1
            ),
            "gain: 0.0; give a squared row norm above 0",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
