"""Exact moments of SGD given the features, against dense oracles that know no eigenbasis."""

import dataclasses
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from scalinglab.models import Status
from scalinglab.models import power_law_sgd as model
from scalinglab.models.power_law_sgd.config import Config
from scalinglab.models.power_law_sgd.direct import regression_of
from scalinglab.models.power_law_sgd.schedules import Update
from scalinglab.models.power_law_sgd.stability import (
    kernel_norm,
    momentum_kernel_norm,
    momentum_matrices,
)
from scalinglab.theory.power_law_sgd.given_features import (
    mean_risk,
    modes_given,
    predict_given_features,
)
from scalinglab.theory.power_law_sgd.moments import risk_by_recursion, risk_in_closed_form
from scalinglab.theory.power_law_sgd.momentum import risk_with_momentum

EPS = float(np.finfo(np.float64).eps)
KEY = jr.key(5)
TINY = Config(
    alpha=0.8,
    beta=0.4,
    num_parameters=3,
    ambient_dimension=6,
    gamma0=0.4,
    num_steps=60,
    records=60,
    noise_variance=0.2,
)
# Compiled, since operation by operation a lane's modes take seconds.
modes_at = jax.jit(modes_given)
risk_at = jax.jit(mean_risk, static_argnames="closed")


# One point of each phase of 2405.15074.
PHASES = {
    "Ia": (0.75, 0.25),
    "Ib": (0.45, 0.33),
    "Ic": (0.15, 1.5),
    "II": (1.25, 0.75),
    "III": (1.0, 2.0),
    "IVa": (0.4, 1.0),
    "IVb": (0.27, 0.8),
}


def fourth_moment(variances):
    """E x x x x of independent normal x, by the three-point rule, exact up to the fifth degree."""
    points = np.array(list(itertools.product((-math.sqrt(3), 0.0, math.sqrt(3)), repeat=6 + 1)))
    weights = np.prod(np.where(points == 0, 2 / 3, 1 / 6), axis=1)
    x = points * np.sqrt(variances)
    return np.einsum("p,pa,pb,pc,pd->abcd", weights, x, x, x, x, optimize=True)


def dense_risks(config, updates, key=KEY):
    """The mean risk by the whole second moment of (parameters, momentum, 1) in v dimensions.

    The label noise is one more coordinate of the data, with target 1 and no feature.
    """
    regression = jax.jit(regression_of)(config, key=key)
    size = config.num_parameters
    variances = np.append(np.asarray(regression.scales) ** 2, config.noise_variance)
    features = np.vstack([np.asarray(regression.features), np.zeros(size)])
    target = np.append(np.asarray(regression.target), 1.0)
    diagonal, fourth = np.diag(variances), fourth_moment(variances)
    error = np.hstack([features, np.zeros_like(features), -target[:, None]])
    moment = np.zeros((2 * size + 1, 2 * size + 1))
    moment[-1, -1] = 1.0
    batch, identity, risks = config.batch_size, np.eye(size), []
    for step in range(config.num_steps + 1):
        spread = error @ moment @ error.T
        risks.append(np.trace(diagonal @ spread))
        direct, lookback, forget = (float(x) for x in updates(jnp.asarray(step)))
        still = np.eye(2 * size + 1)
        still[size : 2 * size, size : 2 * size] *= 1 - forget
        still[:size, size : 2 * size] = -lookback * (1 - forget) * identity
        push = np.vstack([-(direct + lookback) * features.T, features.T, np.zeros(7)[None]])
        one = np.einsum("abcd,bc->ad", fourth, spread)
        pairs = batch * one + batch * (batch - 1) * diagonal @ spread @ diagonal
        cross = batch * still @ moment @ error.T @ diagonal @ push.T
        moment = still @ moment @ still.T + cross + cross.T + push @ pairs @ push.T
    return np.array(risks)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_recursion_is_that_of_the_dense_covariance(batch_size, schedule):
    config = dataclasses.replace(TINY, batch_size=batch_size, schedule=schedule)
    update = model.update_of(config, jnp.dtype("float64"))
    found = risk_by_recursion(
        modes_at(config, key=KEY), lambda t: update(t).direct, config.num_steps, batch_size
    )
    np.testing.assert_allclose(found, dense_risks(config, update), rtol=1e-12)


@pytest.mark.parametrize("momentum", ["constant", "dana_constant", "dana_decaying"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_moments_of_momentum_are_those_of_the_dense_covariance(momentum, batch_size):
    config = dataclasses.replace(
        TINY, momentum=momentum, batch_size=batch_size, gamma0=0.2, momentum_coefficient=0.6
    )
    update = model.update_of(config, jnp.dtype("float64"))
    modes = modes_at(config, key=KEY)
    found = risk_with_momentum(modes, update, config.num_steps, batch_size)
    np.testing.assert_allclose(found, dense_risks(config, update), rtol=1e-12)


def test_momentum_without_lookback_or_memory_is_sgd():
    config = dataclasses.replace(TINY, num_steps=300, records=30, batch_size=2)
    modes = modes_at(config, key=KEY)
    heavy = dataclasses.replace(config, momentum="constant", momentum_coefficient=0.0)
    plain = risk_at(config, modes, closed=True)
    np.testing.assert_allclose(risk_at(heavy, modes, closed=False), plain, rtol=1e-12)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_closed_form_is_the_recursion(phase, batch_size):
    alpha, beta = PHASES[phase]
    config = Config(
        alpha=alpha,
        beta=beta,
        num_parameters=60,
        ambient_dimension=240,
        batch_size=batch_size,
        num_steps=20_000,
        noise_variance=1e-3,
    )
    modes = modes_at(config, key=KEY)
    closed = risk_at(config, modes, closed=True)
    # 20000 additions, and eps times the ratio of eigenvalues, 3e4 at alpha 1.25.
    np.testing.assert_allclose(closed, risk_at(config, modes, closed=False), rtol=1e-11)


def test_modes_that_hardly_move_are_not_lost_to_rounding():
    """Eigenvalues down to 2e-10: after 1e9 steps a rate formed as 1 - q would be off by 1e-3."""
    index = np.arange(1, 41.0)
    modes = model.Modes(jnp.asarray(index**-6.0), jnp.asarray(index**-1.0), jnp.asarray(1e-3), None)
    curve = risk_in_closed_form(modes, jnp.asarray(0.3), 1)
    # A long step of the recursion by squaring its matrix, in the unsymmetric form.
    rate = 0.3
    deficit = 2 * rate * index**-6.0 - 2 * rate**2 * index**-12.0
    source = rate**2 * index**-12.0
    generator = np.zeros((41, 41))
    generator[:40, :40] = source[:, None] - np.diag(deficit)
    generator[:40, 40] = source * 1e-3
    change, start = generator, np.append(index**-2.0, 1.0)
    for power in range(1, 31):
        # (1 + N)^2 = 1 + (2 N + N^2): the identity is never added.
        change = 2 * change + change @ change
        if power in (10, 20, 30):
            expected = 1e-3 + np.sum((start + change @ start)[:40])
            found = curve.at(jnp.asarray([2.0**power]))[0]
            # eps times the ratio of eigenvalues, 4e9.
            np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_limit_is_the_least_risk_over_one_minus_the_kernel_norm():
    config = dataclasses.replace(TINY, batch_size=3)
    modes = modes_at(config, key=KEY)
    rate = jnp.asarray(model.learning_rate(config))
    late = risk_by_recursion(modes, lambda _: rate, 3000, 3)[-1]
    norm, stable = kernel_norm(modes.eigenvalues, rate, 3)
    assert bool(stable)
    np.testing.assert_allclose(late, modes.least_risk / (1 - norm), rtol=1e-10)
    # The excess in terms of eta = g B: sigma^2 S / (1 - S).
    eta, values = float(rate) * 3, np.asarray(modes.eigenvalues)
    share = np.sum(eta * values / (3 * (2 - eta * values * (1 + 1 / 3))))
    floor = float(modes.least_risk) * share / (1 - share)
    np.testing.assert_allclose(late - modes.least_risk, floor, rtol=1e-9)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9])
def test_stability_is_a_spectral_radius_below_one(batch_size, keep):
    """The whole recursion as one matrix, over rates on both sides of its limit."""
    eigenvalues = jnp.asarray(np.arange(1, 9.0) ** -1.2)
    matrices_at, norm_at = jax.jit(momentum_matrices), jax.jit(momentum_kernel_norm)
    verdicts = []
    for rate in np.geomspace(0.01, 1.0, 41) * (1 - keep):
        update = Update(jnp.zeros(()), jnp.asarray(rate), jnp.asarray(1 - keep))
        matrices, sources = matrices_at(eigenvalues, update, batch_size)
        whole = np.zeros((24, 24))
        for j in range(8):
            whole[3 * j : 3 * j + 3, 3 * j : 3 * j + 3] = matrices[j]
        whole[:, ::3] += np.asarray(sources).ravel()[:, None]
        stable = np.max(np.abs(np.linalg.eigvals(whole))) < 1
        norm, verdict = norm_at(eigenvalues, update, batch_size)
        verdicts.append(stable)
        assert bool(verdict) == stable
        if keep == 0:
            plain, plain_verdict = kernel_norm(eigenvalues, jnp.asarray(rate), batch_size)
            assert bool(plain_verdict) == stable
            if stable:
                np.testing.assert_allclose(norm, plain, rtol=1e-10)
    assert set(verdicts) == {True, False}


@pytest.mark.parametrize(("batch", "steps"), [(4, 77.1), (16, 20.9), (64, 6.7), (256, 2.9)])
def test_an_isotropic_problem_contracts_by_one_minus_its_best_rate(batch, steps):
    """With D equal eigenvalues and no noise R is multiplied by (1 - eta)^2 + eta^2 (D+1)/B, which
    is 1 - eta at the best eta = 1/(1 + (D+1)/B); steps to 1 % of it from a printed table."""
    best = 1 / (1 + 65 / batch)
    config = Config(
        alpha=0.0,
        beta=0.2,
        num_parameters=64,
        ambient_dimension=64,
        features="identity",
        batch_size=batch,
        gamma0=None,
        learning_rate=best / batch,
        num_steps=10,
        records=10,
    )
    risks = np.asarray(risk_at(config, modes_at(config, key=KEY), closed=True))
    start = np.sum(np.arange(1, 65.0) ** -0.4)
    np.testing.assert_allclose(risks, start * (1 - best) ** np.arange(1, 11), rtol=1e-11)
    assert round(math.log(0.01) / math.log(risks[0] / start), 1) == steps


def test_without_noise_of_the_gradient_only_the_sum_of_rates_counts():
    """A large batch at a fixed g B is gradient descent; at a small rate its bias is a function of
    the sum of the rates: exp(-2 l S), to a relative error of the sum of (2 l g B)^2."""
    config = Config(
        alpha=1.0,
        beta=0.3,
        num_parameters=30,
        ambient_dimension=31,
        features="identity",
        batch_size=10**9,
        gamma0=None,
        learning_rate=1e-12,
        num_steps=2000,
        records=1,
    )
    modes = modes_at(config, key=KEY)
    rates = model.multiplier(dataclasses.replace(config, schedule="cosine"), jnp.dtype("float64"))
    cosine = risk_by_recursion(modes, lambda t: 1e-12 * rates(t), 2000, 10**9)[-1]
    total = 1e-3 * float(jnp.sum(rates(jnp.arange(2000))))
    squares = np.asarray(modes.targets**2 * jnp.exp(-2 * modes.eigenvalues * total))
    expected = np.sum(squares) + float(modes.least_risk)
    np.testing.assert_allclose(cosine, expected, rtol=2000 * (2e-3) ** 2)


def test_an_optax_schedule_stands_for_that_of_the_configuration():
    config = dataclasses.replace(TINY, schedule="cosine", final_fraction=0.3)
    ours = model.multiplier(config, jnp.dtype("float64"))
    theirs: Any = optax.cosine_decay_schedule(1.0, config.num_steps, alpha=0.3)
    steps = jnp.arange(config.num_steps)
    with jax.numpy_dtype_promotion("standard"):
        expected = jax.vmap(theirs)(steps)
    np.testing.assert_allclose(ours(steps), expected, rtol=10 * EPS)
    given = model.update_of(config, jnp.dtype("float64"), theirs)
    modes = modes_at(config, key=KEY)
    found = risk_by_recursion(modes, lambda t: given(t).direct, config.num_steps, 1)
    np.testing.assert_allclose(found[1:], risk_at(config, modes, closed=False), rtol=1e-12)


def test_the_prediction_is_of_the_lane_and_says_when_the_mean_is_infinite():
    config = dataclasses.replace(TINY, momentum="dana_decaying")
    assert "kernel_norm" not in predict_given_features(config, key=KEY).observables
    prediction = predict_given_features(TINY, key=KEY)
    assert prediction.status == Status.OK
    lane = jax.jit(lambda key: model.simulate(TINY, key=key))(KEY)
    for name in ("least_risk", "kernel_norm", "step"):
        np.testing.assert_allclose(lane[name], prediction.observables[name], rtol=1e-12)
    edge = dataclasses.replace(TINY, gamma0=1.0)
    found = {seed: predict_given_features(edge, key=jr.key(seed)) for seed in range(20)}
    unstable = [one for one in found.values() if one.status == Status.INFINITE_MEAN]
    assert unstable
    assert np.isnan(unstable[0].observables["test_risk"]).all()
