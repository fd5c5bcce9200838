"""The max-margin theory of pruned data against an oracle, published numbers and identities."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pruning_oracle import TABLE, edge_of, kept_points, max_margin_student
from scipy import integrate, optimize, special, stats

from scalinglab.models import Status
from scalinglab.models.data_pruning import Config
from scalinglab.theory import data_pruning as theory
from scalinglab.theory.data_pruning import fields, kept, window

RULES = ("abs_hard", "abs_easy", "signed_hard", "signed_easy")


def f64(value):
    return jnp.asarray(value, jnp.float64)


@functools.partial(jax.jit, static_argnames=("rule", "along"))
def _solve(alpha, fraction, angle, *, rule, along):
    return theory.saddle_path(alpha, fraction, None if along else angle, rule=rule)


def solve(rule, alpha, fraction, degrees):
    """The saddle point at alpha_prune, on the one-dimensional equations at angle 0.

    Five alphas a call, whatever is asked, so that each rule is compiled once.
    """
    alpha = np.atleast_1d(np.asarray(alpha, float))
    padded = np.concatenate([alpha, np.repeat(alpha[-1:], 5 - len(alpha))])
    along = degrees == 0 or rule == "random"
    found = _solve(f64(padded), f64(fraction), f64(np.deg2rad(degrees)), rule=rule, along=along)
    return theory.SaddlePoint(*(np.asarray(value)[: len(alpha)] for value in found))


@pytest.mark.parametrize(("rule", "pool", "fraction", "degrees", "expected"), TABLE)
def test_errors_of_an_earlier_independent_code(rule, pool, fraction, degrees, expected):
    found = solve(rule, pool * fraction, fraction, degrees)
    # Half a unit of the last digit given.
    assert float(found.test_error[0]) == pytest.approx(expected, abs=5.01e-6)
    assert found.status[0] == Status.OK


# theta = 0: errors at alpha_prune = .5, 1, 2, 4, 8, and the unit of the last digit.
LADDER = [
    ("abs_hard", 1, (0.32885, 0.26571, 0.18848, 0.11366, 0.06090), 1e-5),
    ("abs_hard", 0.5, (0.4057, 0.3210, 0.1361, 0.0610, 0.0311), 1e-4),
    ("abs_hard", 0.2, (0.4616, 0.4177, 0.0971, 0.0250, 0.0125), 1e-4),
    ("abs_hard", 0.1, (0.4807, 0.4579, 0.0763, 0.01256, 0.00625), 1e-4),
    ("abs_easy", 0.5, (0.2502, 0.1818, 0.1173, 0.0679, 0.0366), 1e-4),
    ("abs_easy", 0.1, (0.1709, 0.1151, 0.0711, 0.0407, 0.0221), 1e-4),
]


@pytest.mark.parametrize(("rule", "fraction", "expected", "unit"), LADDER)
def test_ladder_of_keep_fractions_at_angle_zero(rule, fraction, expected, unit):
    found = solve(rule, [0.5, 1, 2, 4, 8], fraction, 0)
    np.testing.assert_allclose(found.test_error, expected, rtol=0, atol=0.501 * unit)


ORACLE = [
    ("abs_hard", 1.0, 0.5, 0),
    ("abs_easy", 3.0, 0.3, 0),
    ("abs_hard", 3.0, 0.3, 20),
    ("abs_hard", 2.0, 0.1, 10),
    ("abs_easy", 2.0, 0.5, 10),
    ("signed_hard", 3.0, 0.3, 20),
    ("signed_easy", 0.7, 0.2, 45),
    ("signed_hard", 6.0, 0.6, 80),
]


@pytest.mark.parametrize(("rule", "alpha", "fraction", "degrees"), ORACLE)
def test_against_quadrature_and_maximisation(rule, alpha, fraction, degrees):
    """Errors are quadratic in the oracle's maximiser for the margin, linear for the others."""
    error, margin, support = max_margin_student(rule, alpha, fraction, np.deg2rad(degrees))
    found = solve(rule, alpha, fraction, degrees)
    assert float(found.test_error[0]) == pytest.approx(error, abs=1e-6)
    assert float(found.margin[0]) == pytest.approx(margin, abs=1e-9)
    assert float(found.support_fraction[0]) == pytest.approx(support, abs=1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("degrees", [5.0, 40.0, 85.0])
def test_averages_against_two_dimensional_quadrature(rule, degrees):
    """Everything that the equations are made of, at a student off every symmetry."""
    angle, fraction, student = np.deg2rad(degrees), 0.35, (1.3, -0.6, 0.9)
    t, u, weights = kept_points(rule, fraction, angle)
    h = student[2] - student[0] * t - student[1] * u
    normal, bell = special.ndtr(h), stats.norm.pdf(h)
    ramp = h * normal + bell
    values = np.stack([normal + h * ramp, ramp, normal, bell]) * weights
    found = window.averages_in_window(
        window.window(rule, f64(fraction), f64(angle)), *map(f64, student)
    )
    x = np.stack([t, u])
    np.testing.assert_allclose(weights.sum(), 1, atol=1e-12)
    np.testing.assert_allclose(found.zeroth, values.sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(found.first, values @ x.T, atol=1e-12)
    np.testing.assert_allclose(found.second, np.einsum("gn,in,jn->gij", values, x, x), atol=1e-12)


@pytest.mark.parametrize("rule", ["random", "abs_hard", "abs_easy"])
@pytest.mark.parametrize("fraction", [1e-3, 0.2, 0.9, 1.0])
def test_nodes_of_the_kept_half_normal(rule, fraction):
    t, weights = kept.half_normal_nodes(rule, f64(fraction))
    low = edge_of("abs_easy", fraction, 0) if rule == "abs_easy" else 0.0
    high = edge_of("abs_hard", fraction, 0) if rule == "abs_hard" else np.inf
    mass = stats.norm.cdf(high) - stats.norm.cdf(low)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-14)
    # A sharp step at the lower end, as support vectors make at alpha = 1e3, and a smooth average.
    for function, width in ((lambda x: special.ndtr(-1e3 * (x - low)), 0.02), (np.square, 9.0)):
        expected, _ = integrate.quad(
            lambda x, f=function: f(x) * stats.norm.pdf(x),
            low,
            min(high, low + width),
            epsabs=0,
            epsrel=1e-12,
            limit=200,
        )
        got = float(weights @ function(np.asarray(t)))
        assert got == pytest.approx(expected / mass, rel=1e-10)


@pytest.mark.parametrize("keep_hard", [True, False])
@pytest.mark.parametrize("degrees", [1.0, 30.0, 90.0])
@pytest.mark.parametrize("fraction", [1e-3, 0.3, 0.95])
def test_edge_of_the_signed_rules(keep_hard, degrees, fraction):
    angle = np.deg2rad(degrees)
    found = float(kept.signed_edge(f64(fraction), f64(angle), keep_hard=keep_hard))
    expected = edge_of("signed_hard" if keep_hard else "signed_easy", fraction, angle)
    # Owen's T loses digits to cancellation in the tail: eps over the mass, times the slope.
    assert found == pytest.approx(expected, abs=1e-11 / min(fraction, 1 - fraction))


@pytest.mark.parametrize("rule", RULES)
def test_without_pruning_rule_and_angle_drop_out(rule):
    alphas = [0.1, 1, 10, 100, 1e4]
    plain = solve("random", alphas, 1.0, 0)
    for degrees in (0.0, 30.0, 90.0):
        found = solve(rule, alphas, 1.0, degrees)
        # f is scaled by 1 - 1e-14; the errors that this admits to signed_easy cost up to 3e-9.
        np.testing.assert_allclose(found.test_error, plain.test_error, rtol=1e-8)
        np.testing.assert_allclose(found.margin, plain.margin, rtol=1e-8)
    # With no information in the probe its overlap is the teacher's times cos(theta).
    at = np.cos(np.deg2rad(30.0)) * plain.teacher_overlap
    np.testing.assert_allclose(solve(rule, alphas, 1.0, 30.0).probe_overlap, at, rtol=1e-7)


@pytest.mark.parametrize("rule", RULES)
def test_small_angles_lead_to_the_one_dimensional_equations(rule):
    """The general averages with lines at angles of 0 and 1e-7 degrees to each other."""
    alphas = [0.1, 1, 3, 10, 30]
    line = solve(rule, alphas, 0.3, 0)
    for radians, tolerance in ((0.0, 1e-9), (1e-9, 1e-8)):
        found = _solve(f64(alphas), f64(0.3), f64(radians), rule=rule, along=False)
        for one, other in zip(found[:4], line[:4], strict=True):
            np.testing.assert_allclose(one, other, rtol=tolerance)


def _stationary(point, rule, alpha, fraction, angle):
    """(E1)-(E3) at any (r, p, k), k < 0 included, from the oracle's nodes."""
    r, p, k = point
    t, u, weights = kept_points(rule, fraction, angle)
    h = k - r * t - p * u
    normal, bell = special.ndtr(h), stats.norm.pdf(h)
    ramp = h * normal + bell
    slack = 1 - alpha * weights @ normal
    return [
        alpha * weights @ (normal + h * ramp) - 1,
        r * slack - alpha * weights @ (ramp * t),
        p * slack - alpha * weights @ (ramp * u),
    ]


def test_stationary_points_of_negative_margin_are_never_returned():
    """They exist, converge to rounding, and have an error above one half."""
    setting = "abs_hard", 10.0, 0.3, np.deg2rad(20.0)
    found = [
        optimize.root(_stationary, start, args=setting, tol=1e-13)
        for start in ([-0.7, 1.9, -1.0], [-0.5, 1.5, -0.5])
    ]
    wrong = [one.x for one in found if one.x[2] < 0 and np.max(np.abs(one.fun)) < 1e-9]
    assert wrong
    for r, p, _ in wrong:
        assert np.arctan2(np.hypot(1, p), r) / np.pi > 0.5
    angles, fractions = np.deg2rad([1.0, 10.0, 45.0, 80.0]), [0.02, 0.1, 0.4, 0.9]
    alphas = f64([0.1, 1.0, 3.0, 10.0, 100.0])
    for rule in RULES:
        for angle in angles:
            for fraction in fractions:
                at = _solve(alphas, f64(fraction), f64(angle), rule=rule, along=False)
                assert np.all(np.asarray(at.status) == Status.OK)
                assert np.all(np.asarray(at.margin) > 0)
                assert np.all(np.asarray(at.teacher_overlap) > 0)
                # More support vectors than inputs are impossible.
                assert np.all(np.asarray(at.support_fraction * alphas) <= 1 + 1e-9)


def test_margin_falls_with_more_examples_and_error_of_random_ones():
    alphas = np.geomspace(0.01, 1e3, 5)
    found = solve("random", alphas, 1.0, 0)
    assert np.all(np.diff(found.margin) < 0)
    assert np.all(np.diff(found.test_error) < 0)


def test_over_pruning_is_worse_than_no_probe_and_may_turn_against_it():
    """0.419 against .19 for as many random examples; probe overlap -.44."""
    ruined, random = solve("abs_hard", 2, 0.1, 10), solve("random", 2, 0.1, 10)
    assert float(ruined.test_error[0]) == pytest.approx(0.419, abs=5e-4)
    assert float(random.test_error[0]) == pytest.approx(0.18848, abs=5e-6)
    against = solve("signed_hard", 4 * 0.2, 0.2, 45)
    found = solve("signed_hard", 4, 0.2, 45)
    overlaps = float(against.probe_overlap[0]), float(found.probe_overlap[0])
    assert min(abs(overlap + 0.44) for overlap in overlaps) < 5e-3


def test_a_failed_lane_is_nan_with_a_status_and_spoils_no_other():
    """Alpha of 1e-300 starts where nothing is finite."""
    solver = jax.jit(
        jax.vmap(lambda alpha: theory.saddle_point(alpha, f64(1.0), None, rule="random"))
    )
    found = solver(f64([1.0, 1e-320, 4.0]))
    assert found.status.tolist() == [Status.OK, Status.NOT_CONVERGED, Status.OK]
    assert np.isnan(np.asarray(found.test_error)).tolist() == [False, True, False]
    np.testing.assert_allclose(found.test_error[jnp.array([0, 2])], [0.26571, 0.11366], atol=5e-6)


def test_predictions_use_the_sizes_as_rounded():
    config = Config(samples_per_dimension=3.33, keep_fraction=0.31, dimension=50, rule="abs_hard")
    found = theory.predict(config)
    # P_tot = 166, P = 51.
    expected = solve("abs_hard", 51 / 50, 51 / 166, 0)
    assert found.observables["test_error"] == pytest.approx(float(expected.test_error[0]), rel=1e-9)
    assert found.kind == "deterministic_equivalent"
    # And what a scatter of alpha by N^(-1/2) adds.
    around = solve("abs_hard", 51 / 50 * np.exp(50**-0.5 * np.array([-1.0, 0.0, 1.0])), 51 / 166, 0)
    added = abs((around.test_error[0] + around.test_error[2]) / (2 * around.test_error[1]) - 1)
    assert found.relative_error == pytest.approx(2 / 50 + added, abs=1e-9)
    infinite = theory.predict(
        Config(samples_per_dimension=3.33, keep_fraction=0.31, dimension=None)
    )
    assert infinite.relative_error == 0
    exact = solve("abs_hard", 3.33 * 0.31, 0.31, 0)
    assert infinite.observables["test_error"] == pytest.approx(float(exact.test_error[0]), rel=1e-9)


def test_table_of_theories():
    config = Config(
        samples_per_dimension=400.0, keep_fraction=0.5, probe_angle_degrees=20.0, dimension=None
    )
    every = theory.predict(config, "all")
    assert {name: one.kind for name, one in every.items()} == {
        "saddle_point": "deterministic_equivalent",
        "many_examples": "asymptotic",
    }
    strict, lead = every["saddle_point"], every["many_examples"]
    for name, value in lead.observables.items():
        assert value == pytest.approx(strict.observables[name], rel=lead.relative_error), name
    few = Config(samples_per_dimension=2.0, keep_fraction=0.5, probe_angle_degrees=20.0)
    assert set(theory.predict(few, "all")) == {"saddle_point"}
    random = Config(rule="random", probe_angle_degrees=60.0, dimension=None)
    at = theory.predict(random).observables
    assert at["probe_overlap"] == pytest.approx(at["teacher_overlap"] / 2, rel=1e-12)
    with pytest.raises(ValueError, match="nonsense"):
        theory.predict(config, "nonsense")


def test_predict_needs_float64():
    with jax.enable_x64(new_val=False), pytest.raises(RuntimeError, match="jax_enable_x64"):
        theory.predict(Config())


def test_fields_on_the_line_are_those_of_the_plane_at_angle_zero():
    """(E3) included: u is a standard normal that pruning does not see."""
    for rule in RULES:
        line = fields.averages_on_line(fields.line(rule, f64(0.4)), f64(1.7), f64(0.8))
        plane = window.averages_in_window(
            window.window(rule, f64(0.4), f64(0.0)), f64(1.7), f64(0.0), f64(0.8)
        )
        for one, other in zip(line, plane, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-11)
