"""The simulation of SGD: its law against the direct one and the exact mean, and what it refuses."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from scipy.special import zeta
from scipy.stats import ks_2samp
from test_power_law_sgd_moments import PHASES

from scalinglab.models import Status
from scalinglab.models import power_law_sgd as model
from scalinglab.models.power_law_sgd import Config, simulate, simulate_directly, steps
from scalinglab.models.power_law_sgd.direct import regression_of, risk_of
from scalinglab.models.power_law_sgd.eigenbasis import data_vectors
from scalinglab.models.power_law_sgd.quantize import rounded, rounded_errors
from scalinglab.models.power_law_sgd.simulate import advance, start
from scalinglab.models.power_law_sgd.spectrum import data_trace, mean_kernel_bound, mode_sum
from scalinglab.theory.power_law_sgd.given_features import modes_given, predict_given_features

KEY = jr.key(3)
SMALL = Config(
    alpha=0.8,
    beta=0.4,
    num_parameters=6,
    ambient_dimension=15,
    gamma0=0.3,
    num_steps=40,
    records=6,
    runs=4096,
    noise_variance=0.05,
)

# Compiled, since operation by operation a lane's modes take seconds.
modes_at = jax.jit(modes_given)


def exact_risk(config, key=KEY):
    return np.asarray(predict_given_features(config, key=key).observables["test_risk"])


def lane(config, key=KEY, **options):
    return jax.jit(lambda key: simulate(config, key=key, **options))(key)


def rounded_of_each_run(config):
    """Rounded risks at each record of each run, of which a lane has the mean."""

    def stage(number, state):
        return advance(config, state, number, key=KEY)

    def run():
        return jax.lax.fori_loop(jnp.int32(0), count, stage, start(config, key=KEY)).records.rounded

    count = jnp.int32(steps.stage_shape(config.num_steps)[0])
    return jax.jit(run)()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"batch_size": 3, "schedule": "wsd", "warmup_fraction": 0.1},
        {"batch_size": 50, "gamma0": 0.6},
        {"momentum": "constant", "momentum_coefficient": 0.5, "gamma0": 0.1},
        {"momentum": "dana_decaying", "schedule": "step_decay"},
        {"features": "identity", "quantize_bits": 3},
        {"quantize_bits": 4, "pad_to": 8, "dtype": "float32"},
    ],
    ids=lambda fields: "-".join(fields) or "plain",
)
def test_the_law_is_that_of_the_direct_simulation(fields):
    """4096 runs on the same features by both: the mean at six times within 3.5 standard errors (2
    in 100 root seeds have one of the 42 beyond by chance), and the distribution at the first and
    last by Kolmogorov-Smirnov at 1 in 1000 each."""
    config = dataclasses.replace(SMALL, **fields)
    ours = lane(config)
    theirs = jax.jit(lambda key: simulate_directly(config, key=key))(KEY)
    assert int(ours["status"]) == Status.OK
    one, other = (np.asarray(found["run_risk"], np.float64) for found in (ours, theirs))
    error = np.sqrt((one.var(axis=0) + other.var(axis=0)) / config.runs)
    assert np.max(np.abs(one.mean(axis=0) - other.mean(axis=0)) / error) < 3.5
    for record in (0, -1):
        apart: Any = ks_2samp(one[:, record], other[:, record])
        assert apart.pvalue > 1e-3
    if "quantize_bits" in fields:
        # Both are means over runs; the spread of ours stands for both (12 numbers).
        copies = np.asarray(rounded_of_each_run(config), np.float64)
        np.testing.assert_allclose(copies.mean(axis=1), ours["rounded_risk"], rtol=1e-5)
        gap = np.asarray(ours["rounded_risk"] - theirs["rounded_risk"], np.float64)
        error = np.sqrt(2 * copies.var(axis=1) / config.runs)
        assert np.max(np.abs(gap) / error) < 3.5


def test_the_law_of_one_step_is_that_of_direct_sampling():
    """The mean and the covariance of the gradient, from 2e5 of each, within 4.5 standard errors (27
    numbers: 2 in 10^4 by chance)."""
    modes = modes_at(SMALL, key=KEY)
    start = jnp.asarray([0.5, -0.3, 0.2, 0.0, 0.1, -0.05])
    runs, batch = 200_000, 2
    iterate = steps.Iterate(jnp.broadcast_to(start, (runs, 6)), None)
    update = model.Update(*(jnp.asarray(x) for x in (1.0, 0.0, 1.0)))
    moved, _ = steps.step(modes, iterate, update, batch_size=batch, key=KEY)
    ours = np.asarray(start[None, :] - moved.errors) / np.asarray(modes.eigenvalues)
    generator = np.random.default_rng(0)
    z = generator.normal(size=(runs, batch, 6))
    noise = math.sqrt(float(modes.least_risk)) * generator.normal(size=(runs, batch))
    theirs = np.einsum("rij,ri->rj", z, z @ np.asarray(start) - noise)
    pairs = [(i, j) for i in range(6) for j in range(i + 1)]
    for power in ([(i,) for i in range(6)], pairs):
        one, other = (
            np.stack([np.prod(found[:, list(index)], axis=1) for index in power], axis=1)
            for found in (ours, theirs)
        )
        error = np.sqrt((one.var(axis=0) + other.var(axis=0)) / runs)
        assert np.max(np.abs(one.mean(axis=0) - other.mean(axis=0)) / error) < 4.5


@pytest.fixture(scope="module")
def phase_lanes():
    """256 runs of SGD in each phase on its own features, all in one program."""
    configs = [
        Config(
            alpha=alpha,
            beta=beta,
            num_parameters=32,
            ambient_dimension=128,
            gamma0=0.3,
            num_steps=400,
            records=12,
            runs=256,
        )
        for alpha, beta in PHASES.values()
    ]
    stacked = jax.tree.map(lambda *leaves: jnp.asarray(leaves), *configs)
    keys = jr.split(jr.key(2405), len(configs))
    found = jax.jit(jax.vmap(lambda config, key: simulate(config, key=key)))(stacked, keys)
    risks = np.asarray(found["run_risk"])
    exact = [exact_risk(c, k) for c, k in zip(configs, keys, strict=True)]
    return dict(zip(PHASES, zip(risks, np.asarray(exact), strict=True), strict=True))


@pytest.mark.parametrize("phase", PHASES)
def test_sgd_in_each_phase_has_the_exact_mean_of_its_features(phase, phase_lanes):
    """Three recorded times; bootstrap errors over 256 runs. |z| < 3.5: of the 21 numbers one in a
    hundred such files by chance, were they normal."""
    risks, exact = phase_lanes[phase]
    generator = np.random.default_rng(1)
    chosen = generator.integers(len(risks), size=(1000, len(risks)))
    for record in (4, 8, 11):
        values = risks[:, record]
        error = values[chosen].mean(axis=1).std(ddof=1)
        assert abs(values.mean() - exact[record]) < 3.5 * error


def test_the_modes_are_those_of_the_feature_kernel():
    for alpha, beta in PHASES.values():
        config = Config(
            alpha=alpha, beta=beta, num_parameters=40, ambient_dimension=160, gamma0=0.3
        )
        modes = modes_at(config, key=KEY)
        scales, target = (np.asarray(x) for x in data_vectors(config))
        design = scales[:, None] * np.asarray(model.draw(config, key=KEY).features)
        singular = np.linalg.svd(design, compute_uv=False)
        np.testing.assert_allclose(modes.eigenvalues, singular**2, rtol=1e-12)
        residual = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
        np.testing.assert_allclose(modes.least_risk, np.sum(residual**2), rtol=1e-10)
        solution = modes.rotation @ (modes.targets / jnp.sqrt(modes.eigenvalues))
        # eps times the condition number of the design, 2e2, and of the solution's length.
        np.testing.assert_allclose(design @ np.asarray(solution), target - residual, atol=1e-12)


def test_padding_adds_nothing_to_the_problem():
    config = dataclasses.replace(SMALL, num_parameters=12, ambient_dimension=48)
    padded = dataclasses.replace(config, pad_to=16)
    modes = modes_at(padded, key=KEY)
    features = np.asarray(model.draw(padded, key=KEY).features)
    assert features.shape == (64, 16)
    assert not features[48:].any()
    assert not features[:, 12:].any()
    for values in (modes.eigenvalues, modes.targets):
        assert not np.asarray(values[12:]).any()
    scales, target = (np.asarray(x) for x in data_vectors(config))
    singular = np.linalg.svd(scales[:, None] * features[:48, :12], compute_uv=False)
    np.testing.assert_allclose(modes.eigenvalues[:12], singular**2, rtol=1e-12)
    explained = float(jnp.sum(modes.targets**2) + modes.least_risk) - config.noise_variance
    assert explained == pytest.approx(np.sum(target**2), rel=1e-13)


def test_columns_of_the_features_are_nested():
    few, many = (
        dataclasses.replace(SMALL, num_parameters=d, ambient_dimension=64) for d in (5, 20)
    )
    one, other = (np.asarray(model.draw(config, key=KEY).features) for config in (few, many))
    np.testing.assert_allclose(one * math.sqrt(5), other[:, :5] * math.sqrt(20), rtol=1e-14)


def test_a_run_does_not_depend_on_where_it_is_cut(monkeypatch):
    whole = lane(SMALL)
    monkeypatch.setattr(steps, "STAGE", 7)
    assert steps.stage_shape(SMALL.num_steps) == (6, 7)
    cut = lane(SMALL)
    np.testing.assert_array_equal(whole["run_risk"], cut["run_risk"])


@pytest.mark.parametrize("num_steps", [1, 7, 4096, 4097, 100_000])
def test_stages_cover_every_recorded_step(num_steps):
    count, length = steps.stage_shape(num_steps)
    assert (count - 1) * length < num_steps + 1 <= count * length < num_steps + 1 + count
    records = min(num_steps, 40)
    grid = model.record_steps(
        dataclasses.replace(SMALL, num_steps=num_steps, records=records, runs=1)
    )
    assert len(grid) == records
    assert grid[-1] == num_steps
    assert np.all(np.diff(grid) > 0)


def test_a_schedule_from_optax_is_followed():
    """A schedule that stops is the run of so many steps."""
    stop = optax.piecewise_constant_schedule(1.0, {20: 0.0})
    found = lane(SMALL, schedule=stop)
    times = np.asarray(found["step"])
    late = np.asarray(found["run_risk"])[:, times > 20]
    np.testing.assert_array_equal(late, late[:, :1] * np.ones(late.shape[1]))
    np.testing.assert_array_equal(
        np.asarray(found["run_risk"])[:, times <= 20],
        np.asarray(lane(SMALL)["run_risk"])[:, times <= 20],
    )


@pytest.mark.parametrize("momentum", ["none", "constant"])
def test_the_peak_of_a_schedule_is_held_to_the_stability_limit(momentum):
    """A schedule that peaks at 2 in the middle has the norm of twice the rate, and one of 100 is
    refused, or by a lane where the configuration is traced."""
    config = dataclasses.replace(SMALL, momentum=momentum, gamma0=0.05)
    peaked: Any = optax.piecewise_constant_schedule(1.0, {9: 2.0, 13: 0.5})
    found = lane(config, schedule=peaked)
    twice = lane(dataclasses.replace(config, gamma0=0.1))
    np.testing.assert_allclose(found["kernel_norm"], twice["kernel_norm"], rtol=1e-12)
    steep: Any = optax.piecewise_constant_schedule(1.0, {9: 100.0})
    if momentum == "none":
        with pytest.raises(ValueError, match="schedule: its largest value is 100"):
            lane(config, schedule=steep)
        with pytest.raises(ValueError, match="schedule: its largest value is nan"):
            lane(config, schedule=lambda step: jnp.nan * step)
    traced = jax.jit(lambda config, key: simulate(config, key=key, schedule=steep))
    assert int(traced(config, KEY)["status"]) == Status.INFINITE_MEAN


def test_rounding_is_to_the_nearest_level():
    weights = np.random.default_rng(0).normal(size=(3, 50))
    found = np.asarray(rounded(jnp.asarray(weights), 4))
    for row, kept in zip(weights, found, strict=True):
        levels = np.max(np.abs(row)) / 7 * np.arange(-7, 8)
        nearest = levels[np.argmin(np.abs(row[:, None] - levels), axis=1)]
        np.testing.assert_allclose(kept, nearest, rtol=1e-14, atol=1e-15)
    assert np.all(np.asarray(rounded(jnp.zeros((1, 4)), 3)) == 0)


@pytest.mark.parametrize("features", ["random", "identity"])
def test_the_risk_of_rounded_weights_is_that_in_the_data_space(features):
    config = dataclasses.replace(SMALL, features=features, noise_variance=0.0)
    modes = modes_at(config, key=KEY)
    regression = jax.jit(regression_of)(config, key=KEY)
    theta = jnp.asarray(np.random.default_rng(0).normal(size=6))
    rotated = theta if modes.rotation is None else modes.rotation.T @ theta
    errors = (jnp.sqrt(modes.eigenvalues) * rotated - modes.targets)[None, :]
    ours = jnp.sum(rounded_errors(errors, modes, 3) ** 2) + modes.least_risk
    np.testing.assert_allclose(ours, risk_of(regression, rounded(theta, 3)), rtol=1e-12)


def test_the_sums_over_modes_need_not_be_made_one_by_one():
    index = np.arange(1, 300_001.0)
    for decay in (0.3, 1.0, 2.5):
        found = mode_sum(lambda j, decay=decay: j**-decay, 300_000)
        assert found == pytest.approx(np.sum(index**-decay), rel=1e-8)
    assert data_trace(1.25, None) == pytest.approx(zeta(2.5), rel=1e-15)
    assert data_trace(1.25, 10**12) == pytest.approx(zeta(2.5), rel=1e-10)
    assert data_trace(0.5, None) == math.inf


def test_the_mean_kernel_norm_is_at_least_that_of_the_mean_kernel():
    """Jensen's bound, over 300 draws, with a margin that is seen: the test could fail."""
    config = Config(alpha=0.4, num_parameters=20, ambient_dimension=60, gamma0=1.0, num_steps=40)
    keys = jr.split(KEY, 300)

    def norm(key):
        modes = model.modes_of(config, model.draw(config, key=key))
        return model.stability_of(config, modes.eigenvalues)[0]

    norms = np.asarray(jax.jit(jax.vmap(norm))(keys))
    assert np.isfinite(norms).all()
    bound = mean_kernel_bound(config)
    assert bound < norms.mean() - 3.5 * norms.std() / math.sqrt(300)
    rate = model.learning_rate(config)
    variances = np.arange(1, 61.0) ** -0.8
    assert bound == pytest.approx(np.sum(rate * variances / (2 - 2 * rate * variances)), rel=1e-12)


def test_an_unstable_draw_says_so_and_spoils_no_neighbour():
    config = dataclasses.replace(SMALL, gamma0=1.0, runs=2)
    keys = jr.split(jr.key(0), 24)
    found = jax.jit(jax.vmap(lambda key: simulate(config, key=key)))(keys)
    status = np.asarray(found["status"])
    assert set(status.tolist()) == {Status.OK, Status.INFINITE_MEAN}
    for name, values in found.items():
        if name != "status":
            finite = np.isfinite(np.asarray(values)).reshape(24, -1).all(axis=1)
            np.testing.assert_array_equal(finite, status == Status.OK)
    assert np.all(np.asarray(found["kernel_norm"])[status == Status.OK] < 1)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"alpha": -0.1}, "alpha: -0.1"),
        ({"beta": math.inf}, "beta: inf"),
        ({"num_parameters": 0}, "num_parameters: 0"),
        ({"ambient_dimension": 100}, "ambient_dimension: 100 .*at least 101"),
        ({"ambient_dimension": None, "alpha": 0.4}, "ambient_dimension: None with alpha 0.4"),
        ({"batch_size": 0}, "batch_size: 0"),
        ({"gamma0": None}, "both are None"),
        ({"learning_rate": 0.1}, "both are given"),
        ({"learning_rate": math.nan, "gamma0": None}, "learning_rate: nan"),
        ({"gamma0": 2.0}, r"gamma0: 2.0 .*g \(B \+ 1\)"),
        ({"gamma0": 3.0, "alpha": 0.3}, "gamma0: 3.0 .*kernel norm"),
        ({"records": 20, "num_steps": 10}, "records: 20"),
        ({"warmup_fraction": 1.0}, "warmup_fraction: 1.0"),
        ({"final_fraction": 0.0}, "final_fraction: 0.0"),
        ({"momentum_coefficient": 1.0}, "momentum_coefficient: 1.0"),
        ({"quantize_bits": 1}, "quantize_bits: 1"),
        ({"pad_to": 50}, "pad_to: 50"),
        ({"momentum": "dana_decaying", "alpha": 0.0, "gamma0": 0.01}, "dana_decay: None"),
        ({"noise_variance": -1.0}, "noise_variance: -1.0"),
    ],
)
def test_bad_fields_are_named(fields, text):
    with pytest.raises(ValueError, match=text):
        Config(**fields)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"ambient_dimension": None}, "ambient_dimension: None"),
        ({"num_parameters": 10**5, "ambient_dimension": 4 * 10**5}, "num_parameters: .* MiB"),
        ({"num_steps": 2**31}, "num_steps: 2147483648"),
    ],
)
def test_what_has_a_prediction_but_no_simulation_is_refused(fields, text):
    with pytest.raises(ValueError, match=text):
        model.check_simulation(Config(**fields))
