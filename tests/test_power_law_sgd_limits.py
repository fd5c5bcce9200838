"""Batch sizes, rounded weights and heavy tails: what SGD does beyond its mean risk."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import integrate, stats

from scalinglab.models.power_law_sgd import Config, Modes, simulate
from scalinglab.models.power_law_sgd.quantize import rounded
from scalinglab.theory import power_law_sgd as theory
from scalinglab.theory.power_law_sgd.predict import _ROUNDING_ERROR as STATED


@pytest.mark.parametrize(("batch", "steps"), [(4, 77.1), (16, 20.9), (64, 6.7), (256, 2.9)])
def test_isotropic_steps_are_those_of_the_moments(batch, steps):
    """A printed table at D = 64 to 1 %; the best of a grid of rates by the closed form."""
    expected = theory.isotropic_steps(64, batch, 0.01)
    assert round(expected, 1) == steps
    modes = Modes(jnp.ones(64), jnp.full(64, 1 / 8), jnp.zeros(()), None)
    best = theory.isotropic_optimum(64, batch).rate / batch
    rates = jnp.asarray(best * np.array([0.9, 1.0, 1.1, 3.0]))
    found = theory.steps_to_target(modes, rates, batch, jnp.asarray(0.01), longest=jnp.asarray(1e4))
    assert float(found[1]) == pytest.approx(expected, rel=1e-9)
    assert float(found[0]) > found[1]
    assert float(found[2]) > found[1]
    assert np.isinf(float(found[3]))


def test_the_hyperbola_is_the_limit_of_small_batches():
    critical = theory.isotropic_optimum(10_000, 1).critical
    # -ln(1 - eta) = eta + eta^2/2, with eta = B/(D + 1) = 1e-3.
    for batch in (1, 10):
        hyperbola = (1 + critical / batch) * math.log(100)
        assert theory.isotropic_steps(10_000, batch, 0.01) == pytest.approx(hyperbola, rel=6e-4)
    with pytest.raises(ValueError, match="share"):
        theory.isotropic_steps(5, 1, 1.0)
    with pytest.raises(ValueError, match="dimension, batch_size"):
        theory.isotropic_optimum(0, 1)


def test_a_target_below_the_floor_is_never_reached():
    modes = Modes(jnp.ones(8), jnp.ones(8), jnp.asarray(0.5), None)
    rates = jnp.asarray([0.05, 0.01])
    floors = [0.5 / (1 - 8 * r / (2 - 2 * r)) for r in (0.05, 0.01)]
    assert floors[0] > 0.6 > floors[1]
    found = theory.steps_to_target(modes, rates, 1, jnp.asarray(0.6), longest=jnp.asarray(1e6))
    assert np.isinf(float(found[0]))
    assert 1 < float(found[1]) < 1e4


def test_padded_modes_do_not_change_the_steps_to_a_target():
    """Three zero eigenvalues beside five others; one rate of three is unstable."""
    values = jnp.arange(1.0, 6) ** -1.5
    modes = Modes(values, jnp.sqrt(values), jnp.zeros(()), None)
    padded = Modes(jnp.pad(values, (0, 3)), jnp.pad(jnp.sqrt(values), (0, 3)), jnp.zeros(()), None)
    rates, target = jnp.asarray([0.1, 0.3, 1.2]), jnp.asarray(0.05)
    found, same = (
        np.asarray(theory.steps_to_target(one, rates, 1, target, longest=jnp.asarray(1e4)))
        for one in (modes, padded)
    )
    # Two eigendecompositions, eps l_max/l_min = 2e-15 in the rates, and the last bisection.
    np.testing.assert_allclose(found, same, rtol=1e-12)
    assert np.isinf(found[2])
    for rate, steps in zip(rates[:2], found[:2], strict=True):
        last = math.ceil(steps)
        risks = theory.risk_by_recursion(modes, lambda _, rate=rate: rate, last, 1)
        assert risks[last] <= target < risks[last - 1]


@pytest.mark.parametrize("target", [0.0, -1.0, math.nan, math.inf])
def test_a_target_that_is_no_risk_is_refused(target):
    modes = Modes(jnp.ones(2), jnp.ones(2), jnp.zeros(()), None)
    with pytest.raises(ValueError, match="target"):
        theory.steps_to_target(
            modes, jnp.ones(1) / 9, 1, jnp.asarray(target), longest=jnp.asarray(9.0)
        )


@pytest.mark.parametrize(
    ("rate", "index"), [(0.2, 8.303), (0.4, 3.806), (2 / 3, 2.0), (0.9, 1.294)]
)
def test_the_index_of_one_mode(rate, index):
    """Published numbers, and E|1 - g x^2|^kappa = 1 by another quadrature."""
    found = theory.kesten_index(rate)
    assert found.index == pytest.approx(index, abs=6e-4)

    def moment(x: float) -> Any:
        return abs(1 - rate * x**2) ** found.index * stats.norm.pdf(x)

    kink = 1 / math.sqrt(rate)
    parts = [integrate.quad(moment, *ends, epsrel=1e-11)[0] for ends in ((0, kink), (kink, 30))]
    assert 2 * sum(parts) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize(("batch", "dimension"), [(1, 1), (4, 1), (1, 5), (3, 8)])
def test_the_second_moment_ends_where_the_kernel_norm_is_one(batch, dimension):
    found = theory.kesten_index(2 / (batch + dimension + 1), batch_size=batch, dimension=dimension)
    assert found.index == pytest.approx(2, abs=1e-9)
    assert found.log_mean_square == pytest.approx(0, abs=1e-10)
    assert found.mean_log_square < 0


def test_the_factor_is_that_of_sampled_steps():
    """2e5 products (1 - g Z'Z) u, B = 2 and D = 3: three moments within 4 standard errors."""
    rate, batch, dimension, count = 0.25, 2, 3, 200_000
    found = theory.kesten_index(rate, batch_size=batch, dimension=dimension)
    z = np.random.default_rng(0).normal(size=(count, batch, dimension))
    u = np.array([1.0, 0.0, 0.0])
    moved = u - rate * np.einsum("nbi,nbj,j->ni", z, z, u)
    square = np.sum(moved**2, axis=1)
    for sample, expected in (
        (square, math.exp(found.log_mean_square)),
        (np.log(square), found.mean_log_square),
        (square ** (found.index / 2), 1.0),
    ):
        error = sample.std(ddof=1) / math.sqrt(count)
        assert abs(sample.mean() - expected) < 4 * error
        assert error < 0.03


def test_the_stationary_tail_has_the_index():
    """Hill's estimate over 4000 chains of u <- (1 - g x^2) u + x noise, kappa = 2 at g = 2/3.

    The 1000 largest of 4000 x 25 values 40 steps apart, which are independent (a typical square
    shrinks by e^-39 between): relative error 1/sqrt(1000) = 3 %, and a bias of the same size.
    """
    generator = np.random.default_rng(1)
    u, kept = np.zeros(4000), []
    for step in range(1000):
        x, noise = generator.normal(size=(2, 4000))
        u = (1 - 2 / 3 * x**2) * u + 2 / 3 * x * noise
        if step % 40 == 39:
            kept.append(np.abs(u))
    top = np.sort(np.concatenate(kept))[-1001:]
    hill = 1 / np.mean(np.log(top[1:] / top[0]))
    assert hill == pytest.approx(2, rel=0.12)


def test_indices_outside_their_range():
    assert math.isnan(theory.kesten_index(3.0).index)
    assert math.isinf(theory.kesten_index(0.01).index)
    with pytest.raises(ValueError, match="rate"):
        theory.kesten_index(0.0)


def curves(a, tail, bits, times, modes=3000):
    """Risk of rounded mean weights: by the penalty, and by rounding them, at eta = 1."""
    index = np.arange(1, modes + 1.0)
    values, weights = index**-a, index ** ((a - 1 - tail) / 2)
    # Just below 1, where the first mode is learnt in one step.
    progress = theory.mean_progress(
        jnp.asarray(values), jnp.asarray(1 - 1e-9), jnp.asarray(times, jnp.float64)
    )
    theta = np.asarray(progress) * weights
    plain = ((theta - weights) ** 2) @ values
    penalty = theory.rounding_penalty(jnp.asarray(values), jnp.asarray(weights), progress, bits)
    exact = ((np.asarray(rounded(jnp.asarray(theta), bits)) - weights) ** 2) @ values
    return plain, plain + np.asarray(penalty), exact


def test_the_critical_number_of_steps_grows_by_three_bits_a_bit():
    """a = 3, b_s = .3: published t* = 1.1e4, 1.0e6, 7.1e7 at 4, 6, 8 bits, two digits each."""
    times = np.logspace(1, 8.5, 601)
    best = []
    for bits, published in ((4, 1.1e4), (6, 1.0e6), (8, 7.1e7)):
        plain, found, exact = curves(3.0, 0.3, bits, times)
        best.append(times[np.argmin(found)])
        # Off by 5, 0 and 6 %: half of a digit is 5 % of the first two, half a step of the grid
        # 1.5 %; that of the published numbers is not known, and the minimum is flat.
        assert best[-1] == pytest.approx(published, rel=0.08)
        # Rounding itself: within the error that the prediction states, on average a fifth of it.
        # Its minimum is then only where the prediction is below (1 + .5)/(1 - .5) of the least: at
        # 4 bits 1.5 powers of two earlier, at 8 bits .6 later.
        off = np.abs(found / exact - 1)
        assert off.max() < STATED
        assert off.mean() < STATED / 5
        assert -2 < np.log2(times[np.argmin(exact)] / best[-1]) < 1
        assert found[-1] > 1.2 * found.min() or bits == 8
        assert np.all(np.diff(plain) < 0)
    slopes = np.diff(np.log2(best)) / 2
    # log2 1.08 of one end, over two bits.
    np.testing.assert_allclose(slopes, [3.24, 3.07], atol=np.log2(1.08) / 2 + 0.005)
    assert theory.critical_steps_exponent(1.5, -0.85) == pytest.approx(3.0)


def test_the_prediction_of_rounded_weights_is_that_of_simulated_ones():
    """16 runs with noise of the gradient, 2 bits, growing weights: within the stated error."""
    config = Config(
        alpha=1.5,
        beta=-0.85,
        num_parameters=100,
        ambient_dimension=101,
        features="identity",
        gamma0=0.4,
        num_steps=5000,
        records=12,
        runs=16,
        quantize_bits=2,
    )
    made = theory.predict(config, "rounding-noise")
    found = jax.jit(lambda key: simulate(config, key=key))(jr.key(0))
    ratio = np.asarray(found["rounded_risk"] / made.observables["rounded_risk"])
    assert np.max(np.abs(ratio - 1)) < made.relative_error
    # The penalty is seen: without it the prediction would be worse.
    plain = np.asarray(theory.predict(config).observables["test_risk"])
    without = np.asarray(found["rounded_risk"]) / plain
    assert np.max(np.abs(ratio - 1)) < np.max(without - 1) / 2


def test_mean_weights_beyond_the_turning_rate():
    steps = np.array([0.0, 1.0, 2.0, 3.0])
    values = np.array([1.0, 0.5, 0.0])
    found = theory.mean_progress(*(jnp.asarray(x) for x in (values, 1.6, steps)))
    expected = 1 - (1 - 1.6 * values[None, :]) ** steps[:, None]
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_without_growing_weights_there_is_no_critical_number_of_steps():
    """a = 1.2 < 1 + b_s: at times that learn no mode beyond the last the risk only falls."""
    times = np.logspace(1, 5, 81)
    for bits in (4, 6):
        _, found, _ = curves(1.2, 0.3, bits, times, modes=20_000)
        assert np.argmin(found) == times.size - 1
    assert math.isnan(theory.critical_steps_exponent(0.6, 0.05))
    with pytest.raises(ValueError, match="alpha, beta"):
        theory.critical_steps_exponent(0.5, 0.1)


def test_many_bits_cost_nothing():
    times = np.logspace(1, 4, 7)
    penalties = [
        curves(1.5, 0.5, bits, times, modes=300)[1] - curves(1.5, 0.5, bits, times, modes=300)[0]
        for bits in (16, 20)
    ]
    # Every weight is above half a level: s^2 alone. The difference of risks of order 1 is 4e-13.
    ratio = ((2**19 - 1) / (2**15 - 1)) ** 2
    np.testing.assert_allclose(penalties[0] / penalties[1], ratio, rtol=1e-3)
    with pytest.raises(ValueError, match="bits"):
        theory.rounding_penalty(jnp.ones(2), jnp.ones(2), jnp.ones((1, 2)), 1)
