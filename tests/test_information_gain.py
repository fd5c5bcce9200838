"""Information of pruned data: the saddle point by independent integrals, exact cones, the run."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats

from scalinglab.models import Status
from scalinglab.theory.data_pruning import gibbs, references
from scalinglab.theory.data_pruning.gibbs_fields import (
    edge_information,
    field_moments,
    inverse_mills,
    kept_interval,
)

EPS = float(np.finfo(np.float64).eps)


@functools.partial(jax.jit, static_argnames="rule")
def path(kept, fraction, *, rule="abs_hard"):
    return gibbs.gibbs_path(kept, fraction, rule=rule)


def students(kept, fraction, rule="abs_hard"):
    """Lists padded to one length, so that all of these tests share one program a rule."""
    numbers = np.full(12, kept[-1], np.float64)
    numbers[: len(kept)] = kept
    found = path(jnp.asarray(numbers), jnp.asarray(float(fraction)), rule=rule)
    return gibbs.GibbsStudent(*(np.asarray(values)[: len(kept)] for values in found))


def test_the_published_numbers():
    """Information in nats, from an independent code with two-dimensional integrals, four digits."""
    whole = students([1, 2, 4, 8, 20], 1.0)
    np.testing.assert_allclose(
        whole.information, [0.5066, 0.3718, 0.2268, 0.1217, 0.0498], atol=5.1e-5
    )
    pruned = students([0.5, 1, 2, 3, 4, 8], 0.2)
    np.testing.assert_allclose(
        pruned.information, [0.8215, 1.0606, 1.2048, 0.3787, 0.2546, 0.1249], atol=5.1e-5
    )
    assert pruned.teacher_overlap[2] == pytest.approx(0.886, abs=5.1e-4)
    assert pruned.replica_overlap[2] == pytest.approx(0.951, abs=5.1e-4)


def brute_free_entropy(a, c, alpha, low, high):
    """(G1) by adaptive integrals over eta, where ln Phi has its knee, inside one over t."""
    density = scipy.stats.norm.pdf
    mass = scipy.stats.norm.cdf(high) - scipy.stats.norm.cdf(low)

    def over_eta(t):
        def integrand(eta):
            return density(eta) * scipy.stats.norm.logcdf(a * t + c * eta)

        knee = -a * t / c
        ends = sorted(
            {-10.0, 10.0, *(x for x in (knee - 3 / c, knee, knee + 3 / c) if abs(x) < 10)}
        )
        return sum(
            scipy.integrate.quad(integrand, *pair, epsabs=1e-13, epsrel=1e-12)[0]
            for pair in itertools.pairwise(ends)
        )

    # Sixty nodes over the window: the inner result is entire in t.
    nodes, weights = np.polynomial.legendre.leggauss(60)
    t = low + (high - low) * (nodes + 1) / 2
    scale = (high - low) / 2 * weights * density(t) / mass
    average = sum(w * over_eta(x) for w, x in zip(scale, t, strict=True))
    return c**2 / 2 - math.log1p(a**2 + c**2) / 2 + alpha * average


SADDLES = [
    ("abs_hard", 1.0, 2.0, 0.0, 9.0),
    ("abs_hard", 0.2, 1.5, 0.0, None),
    ("abs_hard", 0.01, 3.0, 0.0, None),
    ("abs_easy", 0.3, 4.0, None, 9.0),
]


@pytest.mark.parametrize(("rule", "fraction", "alpha", "low", "high"), SADDLES)
def test_the_solution_is_stationary_in_an_independent_free_entropy(
    rule, fraction, alpha, low, high
):
    found = students([alpha], fraction, rule)
    low = -scipy.stats.norm.ppf(fraction / 2) if low is None else low
    high = scipy.stats.norm.ppf((1 + fraction) / 2) if high is None else high
    overlap, replica = float(found.teacher_overlap[0]), float(found.replica_overlap[0])
    a, c = overlap / math.sqrt(1 - replica), math.sqrt((replica - overlap**2) / (1 - replica))

    def entropy(log_a, log_c):
        return brute_free_entropy(a * math.exp(log_a), c * math.exp(log_c), alpha, low, high)

    middle = entropy(0.0, 0.0)
    # Both integrals are good to 1e-10; the sum over t of an easy set is cut at t = 9.
    assert middle == pytest.approx(float(found.entropy[0]), abs=1e-8)
    step = 1e-3
    for shift in ((step, 0.0), (0.0, step)):
        ahead, behind = entropy(*shift), entropy(-shift[0], -shift[1])
        # A central difference: h^2 S'''/6 with third derivatives below 10, and 1e-9/h of rounding.
        assert abs(ahead - behind) / (2 * step) < 10 * step**2 / 6 + 1e-6
        # The test can fail: a curvature of 1e-4 gives a point off by a tenth a slope of 1e-5.
        assert abs(ahead + behind - 2 * middle) > 1e-4 * step**2


def test_information_is_the_derivative_of_the_free_entropy():
    """By automatic differentiation of the implicit solution, in alpha and in f."""
    rules = [("abs_hard", 0.2, 1.5), ("abs_hard", 0.01, 2.2), ("abs_easy", 0.2, 5.0)]
    for rule, fraction, alpha in rules:

        def entropy(alpha, fraction, rule=rule):
            return gibbs.gibbs_student(alpha, fraction, rule=rule).entropy

        slopes = jax.jit(jax.grad(entropy, (0, 1)))(jnp.asarray(alpha), jnp.asarray(fraction))
        at = students([alpha], fraction, rule)
        # The quadrature is good to ten digits, relative to I of order one.
        np.testing.assert_allclose(-slopes[0], at.information[0], rtol=1e-9)
        np.testing.assert_allclose(fraction * slopes[1], at.selection_gain[0], rtol=1e-8)


def test_continuation_holds_for_all_fractions_and_examples():
    kept = np.geomspace(1e-3, 1e3, 12)
    for rule in ("random", "abs_hard", "abs_easy"):
        for fraction in (1.0, 0.1, 0.01, 1e-3):
            found = students(kept, fraction, rule)
            assert np.all(found.status == Status.OK)
            # One branch: information accumulates, and students come closer to each other.
            assert np.all(np.diff(found.entropy) < 0)
            assert np.all(np.diff(found.replica_overlap) > 0)
            assert np.all(np.diff(found.gibbs_error) < 0)
            if rule == "abs_hard":
                # I -> 1/alpha and the error of the whole pool, with corrections of order 1/alpha^2.
                assert found.information[-1] * 1e3 == pytest.approx(1, abs=1e-5)
                error = found.gibbs_error[-1] * 1e3 / fraction
                assert error == pytest.approx(references.GIBBS_CONSTANT, rel=1e-5)
    easy = students(kept, 0.2, "abs_easy")
    assert easy.information[-1] * 1e3 < 0.1


def test_small_fractions():
    """Below alpha = 2 random labels, more than a bit; beyond it each e-fold of f brings a nat."""
    found = students([1.0, 1.9, 3.0, 4.0], 1e-4)
    halved = students([1.0, 1.9, 3.0, 4.0], 5e-5)
    assert found.teacher_overlap[0] < 2e-4
    assert found.information[0] > 1.6 * math.log(2)
    np.testing.assert_allclose(found.entropy[2:] - halved.entropy[2:], math.log(2), atol=1e-4)
    np.testing.assert_allclose(found.selection_gain[2:], 1.0, atol=1e-4)


def test_the_pool_is_what_a_pruned_set_knows():
    """At alpha = 8 the hardest fifth tells what all 40 alpha tell, to what is left of I."""
    part, whole = students([8.0], 0.2), students([40.0], 1.0)
    assert part.entropy[0] == pytest.approx(float(whole.entropy[0]), abs=2e-3)


def test_settings_that_cannot_be_solved_have_a_status():
    found = path(jnp.asarray([math.nan] * 12), jnp.asarray(0.5))
    assert np.all(np.asarray(found.status) == Status.NOT_CONVERGED)
    assert np.all(np.isnan(found.information))


def test_the_unpruned_reference_is_the_gibbs_student_at_f_one():
    """One equation with r(sqrt(R) x) against two with t: no code in common but erfcx."""
    kept = np.array([1e-3, 0.1, 1.0, 4.0, 20.0, 1e3])
    found = students(kept, 1.0, "random")
    other = jax.jit(jax.vmap(references.unpruned_reference))(jnp.asarray(kept))
    for mine, its in (
        (found.teacher_overlap, other.overlap),
        (found.replica_overlap, other.overlap),
        (found.gibbs_error, other.gibbs_error),
        (found.vote_error, other.bayes_error),
        (found.believed_vote_error, other.bayes_error),
        (found.information, other.information),
    ):
        np.testing.assert_allclose(mine, its, rtol=1e-9)
    slope = jax.jit(jax.grad(lambda alpha: references.unpruned_reference(alpha).gibbs_error))
    ends = (
        references.unpruned_reference(jnp.asarray(4.001)),
        references.unpruned_reference(jnp.asarray(3.999)),
    )
    numeric = float(ends[0].gibbs_error - ends[1].gibbs_error) / 0.002
    # h^2 times the third derivative, relative to the first.
    np.testing.assert_allclose(slope(jnp.asarray(4.0)), numeric, rtol=1e-6)


def test_the_constants_of_the_references():
    with mpmath.workdps(20):
        mean = mpmath.quad(lambda x: mpmath.npdf(x) ** 2 / mpmath.ncdf(x), range(-30, 31, 3))
        constant = 1 / (mpmath.sqrt(mpmath.pi) * mean)
    assert pytest.approx(float(constant), rel=1e-13) == references.GIBBS_CONSTANT
    # The published two digits.
    assert pytest.approx(0.625, abs=5e-4) == references.GIBBS_CONSTANT
    assert pytest.approx(0.442, abs=5e-4) == references.BAYES_CONSTANT


def test_fields_against_high_precision():
    fields = [-1e4, -300.0, -20.5, -19.5, -3.0, 0.0, 2.0, 20.0]
    ratio, gap = inverse_mills(jnp.asarray(fields))
    with mpmath.workdps(40):
        exact = [
            mpmath.npdf(v) / (mpmath.erfc(-v / mpmath.sqrt(2)) / 2) for v in map(mpmath.mpf, fields)
        ]
        sums = [float(v + r) for v, r in zip(fields, exact, strict=True)]
    # exp(-v^2/2) has the condition number v^2, 400 at v = 20.
    np.testing.assert_allclose(ratio, [float(r) for r in exact], rtol=410 * EPS)
    # v + r cancels v^2-fold until -20, where the other form takes over.
    np.testing.assert_allclose(gap, sums, rtol=2 * 400 * EPS)


@pytest.mark.parametrize("rule", ["random", "abs_hard", "abs_easy"])
def test_averages_over_a_random_sample(rule):
    """A million kept examples: 4 standard errors (6e-5 by chance, each of 12)."""
    generator = np.random.default_rng(5)
    fraction, a, c = 0.15, 2.3, 0.8
    share = generator.random(10**6)
    t = {
        "random": scipy.stats.norm.isf(share / 2),
        "abs_hard": scipy.stats.norm.ppf((1 + fraction * share) / 2),
        "abs_easy": scipy.stats.norm.isf(fraction * share / 2),
    }[rule]
    eta = generator.normal(size=t.size)
    kept = kept_interval(jnp.asarray(fraction), rule=rule)
    v = a * t + c * eta
    r = np.exp(scipy.stats.norm.logpdf(v) - scipy.stats.norm.logcdf(v))
    found = field_moments(jnp.asarray(a), jnp.asarray(c), kept)
    pairs = [(found.pull, t * r), (found.stiffness, r * (v + r))]
    pairs.append((found.information, -scipy.stats.norm.logcdf(v)))
    if rule != "random":
        at = a * float(kept.edge) + c * eta
        edge = edge_information(jnp.asarray(a), jnp.asarray(c), kept)
        pairs.append((edge, -scipy.stats.norm.logcdf(at)))
    for value, samples in pairs:
        assert abs(float(value) - samples.mean()) < 4 * samples.std() / 1000
