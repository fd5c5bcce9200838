"""Derivatives of the max-margin theory, its limits, the best keep fraction and the crossover."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scalinglab.models.data_pruning import Config
from scalinglab.theory import data_pruning as theory
from scalinglab.theory.data_pruning import asymptotics

RULES = ("abs_hard", "abs_easy", "signed_hard", "signed_easy")


def f64(value):
    return jnp.asarray(value, jnp.float64)


# alpha, f, theta in degrees. The third has the student along the probe to 1e-17, where the kept set
# is bounded orthogonally to it and derivatives in the angle live in a layer of that width.
SETTINGS = np.array(
    [(3, 0.3, 20), (20, 0.05, 5), (2, 0.1, 10), (1, 0.9, 80), (300, 0.4, 60), (0.3, 0.6, 30)]
)
NAMES = ("test_error", "margin", "support_fraction", "probe_overlap", "teacher_overlap")


def _numbers(at, rule):
    found = theory.saddle_point(at[0], at[1], at[2], rule=rule)
    return jnp.stack([getattr(found, name) for name in NAMES])


@pytest.mark.parametrize("rule", RULES)
def test_gradients_against_central_differences(rule):
    """In alpha, f and theta, of every observable, under vmap."""
    numbers = functools.partial(_numbers, rule=rule)
    values = jax.jit(jax.vmap(numbers))
    at = SETTINGS * [1, 1, np.pi / 180]
    found = np.asarray(jax.jit(jax.vmap(jax.jacfwd(numbers)))(f64(at)))
    for axis in range(3):
        step = 1e-4 * at * np.eye(3)[axis]
        near = np.asarray(values(f64(at + step)) - values(f64(at - step)))
        far = np.asarray(values(f64(at + 2 * step)) - values(f64(at - 2 * step)))
        expected = (8 * near - far) / (12 * step.sum(axis=1))[:, None]
        # Truncation (1e-4)^4, rounding 1e-13/1e-4, of numbers of order one and their derivatives.
        np.testing.assert_allclose(found[:, :, axis], expected, rtol=1e-6, atol=1e-8)


def test_gradient_without_pruning():
    """At f = 1 keep-hard removes only what supports nothing: eps depends on alpha/f alone."""
    for angle in (None, f64(0.5)):
        slope = jax.jit(
            jax.grad(
                lambda alpha, f, angle=angle: (
                    theory.saddle_point(alpha, f, angle, rule="abs_hard").test_error
                ),
                argnums=(0, 1),
            )
        )
        by_alpha, by_fraction = slope(f64(2.0), f64(1.0))
        assert float(by_fraction) == pytest.approx(-2 * float(by_alpha), rel=1e-6)


def test_second_derivatives_on_the_line():
    def log_error(log_fraction):
        fraction = jnp.exp(log_fraction)
        return jnp.log(theory.saddle_point(f64(2.0), fraction, None, rule="abs_hard").test_error)

    slope = jax.jit(jax.grad(log_error))
    found = float(jax.jit(jax.grad(jax.grad(log_error)))(f64(-1.0)))
    expected = float(slope(f64(-1 + 1e-4)) - slope(f64(-1 - 1e-4))) / 2e-4
    assert found == pytest.approx(expected, rel=1e-6)


def test_constants_of_many_examples():
    assert pytest.approx(0.638833, abs=5e-7) == theory.MARGIN_CONSTANT
    assert pytest.approx(0.500489, abs=5e-7) == theory.MAX_MARGIN_CONSTANT
    # The margin of unpruned data times alpha.
    margin = theory.many_examples_margin(f64(1e3), f64(1.0), None, rule="random")
    assert float(margin) * 1e3 == pytest.approx(1.0045, abs=5e-5)


# rule, f, theta in degrees (None: along the teacher), eps alpha_tot in the limit as given.
CONSTANTS = [
    ("random", 1.0, None, 0.5005, 300.0),
    ("abs_hard", 0.3, None, 0.5005, 300.0),
    ("abs_easy", 0.5, None, 0.6283, 1e5),
    ("abs_easy", 0.2, None, 1.1377, 1e5),
    ("abs_hard", 0.3, 20.0, 0.6763, 3e3),
    ("abs_hard", 0.6, 40.0, 0.6182, 3e3),
    ("abs_easy", 0.8, 45.0, None, 3e4),
]


@pytest.mark.parametrize(("rule", "fraction", "degrees", "stated", "alpha"), CONSTANTS)
def test_limit_of_many_examples(rule, fraction, degrees, stated, alpha):
    """The full theory reaches the leading order to 1e-3 within the stated correction."""
    angle = None if degrees is None else f64(np.deg2rad(degrees))
    at = f64(alpha), f64(fraction), angle
    lead = float(theory.many_examples_error(*at, rule=rule))
    if stated is not None:
        assert lead * alpha / fraction == pytest.approx(stated, abs=5.01e-5)
    full = jax.jit(functools.partial(theory.saddle_point, rule=rule))(*at)
    correction = float(theory.many_examples_correction(*at, rule=rule))
    assert float(full.test_error) == pytest.approx(lead, rel=1e-3)
    assert abs(float(full.test_error) / lead - 1) < correction
    margin = float(theory.many_examples_margin(*at, rule=rule))
    assert float(full.margin) == pytest.approx(margin, rel=max(1e-3, correction))
    assert float(full.support_fraction) * alpha == pytest.approx(1, rel=1e-3)


def test_signed_rules_at_an_angle_have_another_limit():
    """They keep one side of the probe near the teacher's plane: 14 % off at alpha = 3e4."""
    angle = f64(np.deg2rad(20.0))
    with pytest.raises(ValueError, match="rule: 'signed_hard'"):
        theory.many_examples_error(f64(3e4), f64(0.3), angle, rule="signed_hard")
    every = theory.predict(Config(3e4, 0.3, 20.0, rule="signed_hard", dimension=None), "all")
    assert set(every) == {"saddle_point"}
    along = theory.many_examples_error(f64(300.0), f64(0.3), None, rule="signed_hard")
    assert float(along) * 1000 == pytest.approx(0.500489, abs=1e-6)


def test_unlimited_pool_above_the_transition():
    alphas = f64([2.2, 3.0, 4.0, 8.0])
    found = jax.jit(jax.vmap(theory.unlimited_pool_slope))(alphas)
    np.testing.assert_allclose(found, [0.3735, 0.1764, 0.12575, 0.06256], rtol=0, atol=5.01e-5)
    fraction = f64(1e-4)
    full = theory.saddle_path(alphas, fraction, None, rule="abs_hard").test_error
    # The next order is f^2: from alpha <g1 t>, of order g^2.
    np.testing.assert_allclose(full / fraction, found, rtol=1e-5)
    # C/alpha for many, and the divergence at 2.
    assert float(theory.unlimited_pool_slope(f64(100.0))) * 100 == pytest.approx(0.500489, abs=1e-6)
    near = float(theory.unlimited_pool_slope(f64(2.001)))
    assert near == pytest.approx(1 / np.sqrt(12 * np.pi * 0.001), rel=0.01)
    assert float(theory.unlimited_pool_slope(f64(2.0))) == np.inf
    slope = float(jax.grad(theory.unlimited_pool_slope)(f64(3.0)))
    values = [float(theory.unlimited_pool_slope(f64(3.0 + h))) for h in (-1e-4, 1e-4)]
    assert slope == pytest.approx((values[1] - values[0]) / 2e-4, rel=1e-6)


def test_unlimited_pool_at_and_below_the_transition():
    fractions = f64([1e-1, 1e-2, 1e-3, 1e-4])
    solver = jax.jit(
        jax.vmap(
            lambda alpha, f: theory.saddle_point(alpha, f, None, rule="abs_hard").test_error,
            in_axes=(None, 0),
        )
    )
    found = solver(f64(2.0), fractions)
    np.testing.assert_allclose(found[:3], [0.0763, 0.0350, 0.0162], rtol=0, atol=5.01e-5)
    limit = jax.vmap(theory.transition_error)(fractions)
    # The correction is of the order of the error itself.
    assert np.all(np.abs(found / limit - 1) < np.asarray(limit))
    np.testing.assert_allclose(found[-1], limit[-1], rtol=1e-3)
    below = solver(f64(1.9), fractions)
    assert np.all(np.diff(below) > 0)
    assert float(below[-1]) < 0.5


# Keep |z| small: theta, then alpha_prune: best f of the grid, eps alpha_prune as given.
GRID = (1, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05, 0.03)
BEST = [
    (20.0, 1, 1, 0.266),
    (20.0, 2, 0.7, 0.335),
    (20.0, 4, 0.35, 0.278),
    (20.0, 8, 0.25, 0.223),
    (20.0, 16, 0.18, 0.200),
    (20.0, 64, 0.12, 0.180),
    (20.0, 256, 0.08, 0.174),
    (5.0, 2, 0.35, 0.255),
    (5.0, 4, 0.12, 0.0816),
    (5.0, 8, 0.08, 0.0593),
    (5.0, 16, 0.05, 0.0516),
    (5.0, 64, 0.03, 0.0462),
    (5.0, 256, 0.03, 0.0450),
]


def test_best_keep_fraction_of_a_grid():
    alphas = f64(sorted({alpha for _, alpha, _, _ in BEST}))
    path = functools.partial(theory.saddle_path, rule="abs_hard")
    both = jax.jit(jax.vmap(jax.vmap(path, (None, 0, None)), (None, None, 0)))
    found = both(alphas, f64(GRID), f64(np.deg2rad([20.0, 5.0]))).test_error
    for degrees, alpha, fraction, scaled in BEST:
        errors = np.asarray(found[0 if degrees == 20 else 1, :, list(alphas).index(alpha)])
        assert GRID[int(np.argmin(errors))] == fraction
        unit = 1e-3 if scaled >= 0.1 else 1e-4
        assert errors.min() * alpha == pytest.approx(scaled, abs=0.501 * unit)


def test_best_keep_fraction_from_the_gradient():
    """Against brute force: 401 fractions about it."""
    best = jax.jit(
        functools.partial(theory.best_keep_fraction, rule="abs_hard", fixed="kept"),
    )
    angle = f64(np.deg2rad(20.0))
    found = best(f64(8.0), angle)
    assert int(found.end) == 0
    fractions = jnp.exp(jnp.linspace(-0.2, 0.2, 401)) * found.keep_fraction
    errors = jax.jit(
        jax.vmap(lambda f: theory.saddle_point(f64(8.0), f, angle, rule="abs_hard").test_error)
    )(fractions)
    # One step of the grid, 1e-3.
    assert abs(int(np.argmin(errors)) - 200) <= 1
    assert float(found.test_error) <= float(errors.min()) * (1 + 1e-12)
    # At alpha_prune = 1 almost nothing is gained by pruning: .2648 against .2657.
    whole = best(f64(1.0), angle)
    assert int(whole.end) == 0
    assert 0.95 < float(whole.keep_fraction) < 1
    assert 0.264 < float(whole.test_error) < 0.26571


def test_best_keep_fraction_along_the_teacher():
    """Above alpha_prune = 2 the lowest f; for a given pool an inner one that costs little."""
    kept = jax.jit(lambda n: theory.best_keep_fraction(n, None, rule="abs_hard", fixed="kept"))
    lowest = kept(f64(4.0))
    assert int(lowest.end) == -1
    assert float(lowest.keep_fraction) == pytest.approx(1e-3, rel=1e-5)
    assert float(lowest.test_error) == pytest.approx(0.12575e-3, rel=1e-3)
    assert int(kept(f64(1.5)).end) == 0
    easy = jax.jit(
        jax.value_and_grad(
            lambda n: theory.best_keep_fraction(n, None, rule="abs_easy", fixed="pool").test_error
        )
    )
    # Envelope theorem: the derivative of the best error is the partial one.
    _, slope = easy(f64(3.0))
    values = [float(easy(f64(3.0 + h))[0]) for h in (-1e-3, 1e-3)]
    assert float(slope) == pytest.approx((values[1] - values[0]) / 2e-3, rel=1e-5)


def test_bad_input_to_the_best_keep_fraction():
    with pytest.raises(ValueError, match="rule: 'random'"):
        theory.best_keep_fraction(f64(2.0), None, rule="random", fixed="kept")
    with pytest.raises(ValueError, match=r"lowest: 1\.5"):
        theory.best_keep_fraction(f64(2.0), None, rule="abs_hard", fixed="kept", lowest=1.5)


def test_frontier_of_an_imperfect_probe():
    """eps_best alpha -> C sin(theta) from above."""
    angle = f64(np.deg2rad(20.0))
    best = jax.jit(
        lambda n: theory.best_keep_fraction(n, angle, rule="abs_hard", fixed="kept").test_error
    )
    ratios = [
        float(best(f64(n)) / asymptotics.envelope_error(f64(n), angle)) for n in (16, 256, 1e4)
    ]
    assert float(asymptotics.envelope_error(f64(1.0), angle)) == pytest.approx(0.1712, abs=5e-5)
    assert np.all(np.diff(ratios) < 0)
    assert ratios[-1] == pytest.approx(1, abs=2e-3)


def test_crossover_of_easy_and_hard():
    pools = jax.jit(jax.vmap(lambda f: theory.crossover(f, None)))
    found = pools(f64([0.2, 0.4, 0.6, 0.8]))
    np.testing.assert_allclose(found, [10.341, 5.755, 4.933, 9.665], rtol=0, atol=5.01e-4)
    slope = jax.jit(jax.grad(lambda f: theory.crossover(f, None)))
    values = pools(f64([0.4 - 1e-4, 0.4 + 1e-4, 0.4, 0.4]))
    assert float(slope(f64(0.4))) == pytest.approx(float(values[1] - values[0]) / 2e-4, rel=1e-5)


@pytest.mark.slow
def test_crossover_moves_out_with_the_angle():
    at = jax.jit(lambda f, angle: theory.crossover(f, angle))
    found = [float(at(f64(0.4), f64(np.deg2rad(degrees)))) for degrees in (0.0, 10.0, 20.0, 60.0)]
    assert found[0] == pytest.approx(5.755, abs=1e-3)
    assert found[0] < found[1] < found[2] <= found[3]


@pytest.mark.slow
@pytest.mark.parametrize("degrees", [None, 20.0])
def test_a_map_has_no_failed_setting(degrees):
    """40 x 40 settings of (alpha_tot, f); benchmarks/data_pruning.py has its cost."""
    pools, fractions = f64(np.geomspace(0.5, 100, 40)), f64(np.geomspace(0.02, 1, 40))
    angle = None if degrees is None else f64(np.deg2rad(degrees))

    def row(fraction):
        return theory.saddle_path(pools * fraction, fraction, angle, rule="abs_hard")

    found = jax.jit(jax.vmap(row))(fractions)
    assert np.all(np.asarray(found.status) == 0)
    assert np.all(np.isfinite(found.test_error))
