"""The deterministic equivalent of power-law SGD against independent routes to the same numbers."""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import power_law_newton
import pytest
from scipy import integrate, optimize, special

from scalinglab.models import Status
from scalinglab.models.power_law_sgd import Config, draw, modes_of
from scalinglab.theory import power_law_sgd as theory

EPS = np.finfo(np.float64).eps
INF = np.inf
DEFAULT = theory.Shape()


def f64(*values):
    return [jnp.asarray(value, jnp.float64) for value in values]


@functools.partial(jax.jit, static_argnames="shape")
def equivalent(alpha, beta, d, v, gamma0, batch=1.0, noise=0.0, shape=DEFAULT):
    problem = theory.power_law_problem(
        alpha, beta, d, v, gamma0=gamma0, batch_size=batch, noise_variance=noise
    )
    return problem, theory.deterministic_equivalent(problem, shape)


@functools.partial(jax.jit, static_argnames="shape")
def batched(lanes, shape=DEFAULT):
    def one(lane):
        problem = theory.power_law_problem(*lane[:4], gamma0=lane[4], batch_size=lane[5])
        return problem, theory.deterministic_equivalent(problem, shape)

    return jax.vmap(one)(lanes)


# alpha, beta, d, v, gamma0, B: every phase, both sides of alpha = 1/2, the flat spectrum, v barely
# above d, d up to 1e10, infinite v, rates near the stability limit, a large batch.
LANES = np.array(
    [
        (0.75, 0.25, 1000, 4000, 0.5, 1),
        (1.0, 0.3, 1e8, 4e8, 0.5, 1),
        (0.45, 0.33, 1e4, 4e4, 0.5, 1),
        (0.2, 0.45, 1e5, 4e5, 0.5, 4),
        (0.15, 1.5, 1000, 4000, 0.5, 1),
        (0.15, 1.5, 1e9, 4e9, 0.5, 1),
        (1.25, 0.75, 800, 8000, 0.75, 1),
        (1.25, 0.75, 1e8, INF, 0.5, 1),
        (0.55, 0.6, 500, INF, 0.5, 1),
        (1.0, 2.0, 1e6, 4e6, 0.9, 1),
        (0.4, 1.0, 32, 128, 0.5, 1),
        (0.27, 0.8, 1e10, 4e10, 0.5, 1),
        (0.0, 0.8, 50, 200, 0.5, 1),
        (0.1, 0.8, 50, 55, 0.5, 1),
        (3.0, 0.8, 50, 200, 0.6, 1),
        (1.0, -0.3, 300, 1200, 0.5, 16),
    ]
)


@pytest.mark.parametrize(
    ("alpha", "beta", "d", "v"),
    [(0.4, 1.0, 5000, 20000), (1.25, 0.75, 3000, 30000), (0.15, 1.5, 1000, 1025), (0.0, 1, 30, 90)],
)
def test_sums_over_nodes_are_sums_over_modes(alpha, beta, d, v):
    """Against every mode by itself, at points as the contour has them: 0.7 rad off the axis."""
    spectrum = theory.data_spectrum(*f64(alpha, beta, d, v))
    count, value, power = (
        np.asarray(x)
        for x in (spectrum.multiplicities, spectrum.eigenvalues, spectrum.target_power)
    )
    index = np.arange(1.0, v + 1)
    values, target = index ** (-2 * alpha), index ** (-2 * (alpha + beta))
    edge = values[min(d, v - 1)]
    for w in [-edge, 0.3j * edge, (1 + 0.84j) * edge, (0.1 + 0.084j), -0.05 + 0.3j]:
        for ours, full in (
            (count * value / (value - w), values / (values - w)),
            (count * (value / (value - w)) ** 2, (values / (values - w)) ** 2),
            (count * power / (value - w), target / (values - w)),
        ):
            # What the end corrections leave is n^-4 = 1e-12, the panels at this angle 1e-10 of the
            # sum of absolute values.
            assert abs(ours.sum() - full.sum()) <= 1e-9 * np.sum(np.abs(full))


@pytest.mark.parametrize(("alpha", "beta"), [(0.51, 0.3), (0.75, -0.1), (1.5, 2.0)])
def test_infinitely_many_modes_sum_to_zeta_functions(alpha, beta):
    spectrum = theory.data_spectrum(*f64(alpha, beta, 1e4, INF))
    assert float(spectrum.trace) == pytest.approx(special.zeta(2 * alpha), rel=1e-11)
    total = special.zeta(2 * (alpha + beta))
    assert float(spectrum.total_power) == pytest.approx(total, rel=1e-11)


def steps_before_the_end(edges, problem, count=60):
    """Times from 0 to where the slowest mode has decayed to e^-3."""
    last = 1.5 / np.asarray(problem.rate * problem.batch_size * edges[:, 0])
    later = np.geomspace(np.ones_like(last), last, count, axis=1)
    return jnp.asarray(np.concatenate([np.zeros_like(later[:, :1]), later], axis=1))


def test_nothing_depends_on_the_contour():
    """F - F_0 and K, relative to themselves, on another ray, another height, other panels."""
    problem, first = batched(jnp.asarray(LANES))
    _, second = batched(jnp.asarray(LANES), theory.Shape(1.05, 0.25, (48, 14, 16)))
    assert np.all(np.asarray(first.status) == Status.OK)
    assert np.all(np.asarray(second.status) == Status.OK)
    times = steps_before_the_end(first.edges, problem)
    for function in (theory.forcing, theory.kernel):
        one, two = (jax.vmap(function)(made.sums, times) for made in (first, second))
        floor = 0.0 if function is theory.kernel else first.sums.least_risk[:, None]
        assert np.max(np.abs(np.asarray((one - two) / (two - floor)))) < 1e-8


def test_moments_of_the_spectrum_are_those_of_wishart_matrices():
    """F(0), F(1) and K(0) are polynomials in the first two moments, known exactly.

    E u'Au = sum t l, and to leading order in d (the equivalent's own order)
    E u'A^2u = sum t l^2 + tr(l) sum t l/d, E tr A^2 = sum l^2 + tr(l)^2/d.
    """
    problem, made = batched(jnp.asarray(LANES))
    s = problem.spectrum
    value, power, d = s.eigenvalues, s.target_power, problem.num_parameters

    def total(values):
        return jnp.sum(s.multiplicities * values, axis=1)

    drift = problem.rate * problem.batch_size
    square = problem.rate**2 * problem.batch_size * (problem.batch_size + 1)
    first = total(power * value)
    second = total(power * value**2) + total(value) * first / d
    expected = jnp.stack([total(power), total(power) - 2 * drift * first + square * second], axis=1)
    found = jax.vmap(lambda sums: theory.forcing(sums, jnp.arange(2.0)))(made.sums)
    # Rounding over 800 terms of size 1; the worst lane has 25 decades on one contour.
    np.testing.assert_allclose(found, expected, rtol=2e-12)
    kernel = jax.vmap(lambda sums: theory.kernel(sums, jnp.zeros(1)))(made.sums)[:, 0]
    trace = total(value**2) + total(value) ** 2 / d
    np.testing.assert_allclose(kernel, problem.rate**2 * problem.batch_size * trace, rtol=2e-12)


@pytest.mark.parametrize(
    ("alpha", "beta", "d"), [(0.75, 0.25, 200), (1.0, 2.0, 200), (0.15, 1.5, 400)]
)
def test_the_equivalent_against_newton_in_the_z_plane(alpha, beta, d):
    steps, v, gamma0 = 3000, 4 * d, 0.5
    forcing, kernel, risk = power_law_newton.equivalent(alpha, beta, d, v, gamma0, steps)
    _, made = equivalent(*f64(alpha, beta, d, v, gamma0))
    times = jnp.arange(steps + 1.0)
    # Two contours with the same resolvent, each at rounding times a condition of about 1e3.
    np.testing.assert_allclose(theory.forcing(made.sums, times), forcing, rtol=1e-11)
    np.testing.assert_allclose(
        theory.kernel(made.sums, times[:-1]), kernel, rtol=1e-11, atol=1e-12 * kernel[0]
    )
    grid = theory.time_grid([steps])
    # The parabola over a step of 4 % leaves (.04)^3 P'''/P, at most 2e-5 here.
    np.testing.assert_allclose(theory.solve(made.sums, grid), risk[grid], rtol=3e-5)


def test_the_flat_spectrum_is_marchenko_and_pastur():
    """alpha = 0: edges (1 -+ sqrt(v/d))^2, the density of the law, integrated by scipy."""
    d, v, gamma0 = 50, 200, 0.5
    _, made = equivalent(*f64(0.0, 0.8, d, v, gamma0))
    low, high = (1 - np.sqrt(v / d)) ** 2, (1 + np.sqrt(v / d)) ** 2
    np.testing.assert_allclose(made.edges, [low, high], rtol=1e-12)
    g = gamma0 / v

    def mean(function):
        def integrand(angle):
            z = (low + high) / 2 + (high - low) / 2 * np.cos(angle)
            density = np.sqrt((z - low) * (high - z)) / (2 * np.pi * z) * d / v
            return function(z) * density * (high - low) / 2 * np.sin(angle)

        return integrate.quad(integrand, 0, np.pi, epsabs=0, epsrel=1e-12)[0]

    power = np.sum(np.arange(1.0, v + 1) ** -1.6)
    for r in (0, 1, 30, 1000):
        decay = functools.partial(lambda z, r: (1 - 2 * g * z + 2 * g**2 * z**2) ** r, r=r)
        weighted = functools.partial(lambda z, f: z**2 * f(z), f=decay)
        at = jnp.asarray([1.0 * r])
        expected = power * (1 - d / v + mean(decay))
        assert float(theory.forcing(made.sums, at)[0]) == pytest.approx(expected, rel=1e-11)
        expected = v * g**2 * mean(weighted)
        assert float(theory.kernel(made.sums, at)[0]) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize(("alpha", "beta", "d", "v"), [(0.4, 1.0, 300, 1200), (1, 0.3, 100, 5000)])
def test_least_risk_and_ridge_against_scipy(alpha, beta, d, v):
    index = np.arange(1.0, v + 1)
    values, target = index ** (-2 * alpha), index ** (-2 * (alpha + beta))
    log_tau = optimize.root_scalar(
        lambda x: np.sum(values * np.exp(x) / (1 + values * np.exp(x))) - d,
        bracket=(-5, 60),
        xtol=1e-14,
    ).root
    _, made = equivalent(*f64(alpha, beta, d, v, 0.5, 1.0, 0.02))
    assert float(made.effective_ridge) == pytest.approx(np.exp(-log_tau), rel=1e-11)
    expected = np.sum(target / (1 + values * np.exp(log_tau))) + 0.02
    assert float(made.sums.least_risk) == pytest.approx(expected, rel=1e-11)


def risk_at(alpha, beta, gamma0, d):
    problem = theory.power_law_problem(alpha, beta, d, 4 * 200, gamma0=gamma0)
    grid = theory.time_grid([2000], points_per_decade=10)
    return jnp.log(theory.solve(theory.deterministic_equivalent(problem).sums, grid)[-1])


def test_the_risk_is_differentiable_in_every_number():
    arguments = f64(0.7, 0.4, 0.5, 200.0)
    value = jax.jit(risk_at)
    found = jax.jit(jax.grad(risk_at, argnums=(0, 1, 2, 3)))(*arguments)
    for place, slope in enumerate(found):
        step = 1e-4 * float(arguments[place])
        ends = [
            float(value(*[x + sign * step * (i == place) for i, x in enumerate(arguments)]))
            for sign in (1, -1)
        ]
        # (h/x)^2 of truncation: 1e-8 times the third derivative, at most 1e2 of the slope here.
        assert float(slope) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6)


def test_lanes_are_those_of_a_loop_and_a_bad_one_spoils_no_other():
    lanes = np.array(LANES[[0, 10, 0, 3]])
    lanes[2, 4] = 40.0
    _, together = batched(jnp.asarray(lanes))
    assert list(np.asarray(together.status)) == [0, 0, Status.INFINITE_MEAN, 0]
    for row in (0, 1, 3):
        _, alone = equivalent(*f64(*lanes[row]))
        # The two programs differ in the order of their sums.
        np.testing.assert_allclose(
            together.sums.kernel_norm[row], alone.sums.kernel_norm, rtol=1e-12
        )
        np.testing.assert_allclose(together.edges[row], alone.edges, rtol=1e-10)


def test_time_grids_hold_what_was_asked():
    grid = theory.time_grid([0, 7, 1000, 1001, 123456])
    assert np.all(np.diff(grid) > 0)
    assert {0, 7, 1000, 1001, 123456} <= set(grid.tolist())
    assert np.max(np.diff(grid)[50:] / grid[50:-1]) < 1.5 * (10 ** (1 / 60) - 1)
    for steps, match in (([], "steps"), ([-1], "steps"), ([2**62], "steps")):
        with pytest.raises(ValueError, match=match):
            theory.time_grid(steps)
    with pytest.raises(ValueError, match="points_per_decade"):
        theory.time_grid([5], points_per_decade=1)


@functools.partial(jax.jit, static_argnames="decade")
def on_grid(sums, decade):
    return theory.solve(sums, theory.time_grid([3000], points_per_decade=decade))


def test_the_grid_in_time_is_of_third_order():
    """|K| = .8, where its error is largest, against the equation summed term by term."""
    _, made = equivalent(*f64(1.0, 2.0, 300, 1200, 0.9))
    times = jnp.arange(3001.0)
    forcing, kernel = (np.asarray(f(made.sums, times)) for f in (theory.forcing, theory.kernel))
    risk = power_law_newton.direct(forcing, kernel)
    errors = [
        np.max(
            np.abs(on_grid(made.sums, n) / risk[theory.time_grid([3000], points_per_decade=n)] - 1)
        )
        for n in (30, 60, 120)
    ]
    # 2^3 a halving, to leading order; whole numbers of steps spread it.
    assert errors[0] > 5 * errors[1] > 25 * errors[2]
    assert errors[1] < 3e-4
    exact = theory.solve(made.sums, np.arange(200))
    np.testing.assert_allclose(exact, risk[:200], rtol=1e-12)


def test_the_grid_serves_given_features_too():
    """The same solver over the eigenvalues of one draw, against the closed form."""
    config = Config(alpha=0.8, beta=0.6, num_parameters=40, ambient_dimension=160)
    modes = modes_of(config, draw(config, key=jr.key(0)))
    rate = jnp.asarray(0.5 / float(np.sum(np.arange(1.0, 161) ** -1.6)))
    grid = theory.time_grid([10**7])
    found = theory.solve(theory.sums_of_modes(modes, rate, 1), grid)
    exact = theory.risk_in_closed_form(modes, rate, 1).at(jnp.asarray(grid, jnp.float64))
    # As measured above at this kernel norm; 3e-6 by its third power at norm .3.
    np.testing.assert_allclose(found, exact, rtol=2e-5)
