"""The sampled version space: exact conditionals, rejection sampling as oracle, limits, refusals."""

import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.special
import scipy.stats

from scalinglab.models import Status
from scalinglab.models import version_space as model
from scalinglab.models.cone_sampler import cone, effective_draws, sweep, truncated_normal
from scalinglab.theory import version_space as theory

EPS = float(np.finfo(np.float64).eps)


@jax.jit
def chain(columns, start, keys):
    """The direction after each sweep."""
    within = cone(columns)

    def step(weights, key):
        weights = sweep(within, weights, key=key)
        return weights, weights / jnp.linalg.norm(weights)

    return jax.lax.scan(step, start, keys)[1]


def teacher_columns(dimension, count, seed):
    """Constraints that the first axis satisfies."""
    columns = np.random.default_rng(seed).normal(size=(dimension, count))
    columns[0] = np.abs(columns[0])
    return columns


def start_of(dimension):
    return jnp.zeros(dimension).at[0].set(1.0)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (3.0, 3.01), (-8.0, -7.5), (-np.inf, 0.3)])
def test_quantiles_of_a_truncated_normal(low, high):
    shares = np.array([1e-9, 0.2, 0.7, 0.999])
    found = jax.vmap(truncated_normal, (None, None, 0))(
        jnp.asarray(low), jnp.asarray(high), jnp.asarray(shares)
    )
    # Reflected to the tail where its distribution function is small, scipy's is as precise.
    expected = scipy.stats.truncnorm.ppf(shares, low, high)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert np.all((found >= low) & (found <= high))


def test_two_dimensions_are_an_arc():
    """The directions between the two closest constraints, uniform in the angle."""
    columns = teacher_columns(2, 9, 3)
    normals = np.arctan2(columns[1], columns[0])
    low, high = normals.max() - math.pi / 2, normals.min() + math.pi / 2
    units = np.asarray(chain(jnp.asarray(columns), start_of(2), jr.split(jr.key(0), 20_000)))
    angles = np.arctan2(units[:, 1], units[:, 0])
    assert angles.min() >= low - 10 * EPS
    assert angles.max() <= high + 10 * EPS
    # Every fortieth sweep is as good as independent: p below 1e-4 by chance in one of 1e4.
    share = (angles[::40] - low) / (high - low)
    assert scipy.stats.kstest(share, "uniform").pvalue > 1e-4
    # The test can fail: a standard normal weight on the arc would be seen.
    assert scipy.stats.kstest(share**1.3, "uniform").pvalue < 1e-2


def by_rejection(columns, draws, seed):
    """Directions of the normal vectors that happen to lie in the cone."""
    vectors = np.random.default_rng(seed).normal(size=(draws, columns.shape[0]))
    inside = vectors[np.all(vectors @ columns >= 0, axis=1)]
    return inside / np.linalg.norm(inside, axis=1, keepdims=True)


def test_the_chain_against_rejection_sampling():
    """Six dimensions, seven constraints: means, second moments, and the longest correlations."""
    columns = teacher_columns(6, 7, 11)
    exact = by_rejection(columns, 1_500_000, 0)
    assert len(exact) > 4000
    found = np.asarray(chain(jnp.asarray(columns), start_of(6), jr.split(jr.key(1), 60_000)))
    # Means of 100 stretches are independent; 27 numbers within 4.2 errors, 7e-4 by chance.
    pairs = np.triu_indices(6)

    def moments(units):
        products = units[:, :, None] * units[:, None, :]
        return np.concatenate([units, products[:, pairs[0], pairs[1]]], axis=1)

    stretches = moments(found).reshape(100, 600, 27).mean(axis=1)
    error = np.hypot(
        stretches.std(axis=0, ddof=1) / 10, moments(exact).std(axis=0) / math.sqrt(len(exact))
    )
    difference = stretches.mean(axis=0) - moments(exact).mean(axis=0)
    assert np.all(np.abs(difference) < 4.2 * error)
    assert error.max() < 0.01


def test_columns_of_zeros_constrain_nothing():
    columns = teacher_columns(5, 6, 2)
    padded = np.hstack([columns, np.zeros((5, 10))])
    keys = jr.split(jr.key(4), 50)
    one = chain(jnp.asarray(columns), start_of(5), keys)
    other = chain(jnp.asarray(padded), start_of(5), keys)
    # Rounding of sums of another length, carried through 50 sweeps.
    np.testing.assert_allclose(one, other, atol=1e5 * EPS)


def test_the_estimate_of_minus_log_p_has_the_stated_mean():
    """psi(n+1) - psi(k+1), k binomial: sum_{j<=n} (1-p)^j/j, an identity."""
    for p, n in ((0.3, 10), (0.02, 40), (0.9, 7)):
        k = np.arange(n + 1)
        weights = scipy.stats.binom.pmf(k, n, p)
        mean = weights @ (scipy.special.digamma(n + 1) - scipy.special.digamma(k + 1))
        series = np.sum((1 - p) ** np.arange(1, n + 1) / np.arange(1, n + 1))
        assert mean == pytest.approx(series, rel=1e-12)


def test_effective_draws_of_independent_and_of_repeated_vectors():
    generator = np.random.default_rng(8)
    units = generator.normal(size=(32, 50, 20)) + 1.0
    units /= np.linalg.norm(units, axis=2, keepdims=True)
    found = float(effective_draws(jnp.asarray(units.mean(axis=1)), 1e9))
    # The variance of stretches has 31 * 20 degrees of freedom: 4 sqrt(2/620) of 1600.
    assert found == pytest.approx(1600, rel=0.23)
    repeated = np.repeat(units[:, :5], 10, axis=1).mean(axis=1)
    assert float(effective_draws(jnp.asarray(repeated), 1e9)) == pytest.approx(160, rel=0.23)
    assert float(effective_draws(jnp.asarray(units.mean(axis=1)), 100.0)) == 100.0


def lanes(config, seeds, seed=1):
    keys = jr.split(jr.key(seed), seeds)
    found = jax.jit(jax.vmap(lambda key: model.simulate(config, key=key)))(keys)
    return {name: np.asarray(values) for name, values in found.items()}, keys


def test_a_simulation_against_rejection_sampling():
    """All observables of the same eight data sets, from independent draws."""
    config = model.Config(
        kept_per_dimension=1.0, keep_fraction=0.5, dimension=6, sweeps=16_384, new_examples=64
    )
    found, keys = lanes(config, 8)
    assert np.all(found["status"] == Status.OK)
    gaps = []
    for lane, key in enumerate(keys):
        sample = model.draw(config, key=key)
        units = by_rejection(np.asarray(sample.examples)[:, :6], 400_000, lane)
        new = np.array(sample.new)
        fraction = (units @ new > 0).mean(axis=0)
        new[0] = float(sample.edge)
        at_edge = (units @ new > 0).mean(axis=0)
        mean = units.mean(axis=0)
        expected = {
            "information": -np.log(fraction).mean(),
            "selection_gain": (np.log(at_edge) - np.log(fraction)).mean(),
            "teacher_overlap": mean[0],
            "replica_overlap": mean @ mean,
            "gibbs_error": np.arccos(units[:, 0]).mean() / np.pi,
            "vote_error": np.arctan2(np.linalg.norm(mean[1:]), mean[0]) / np.pi,
            "believed_vote_error": np.arccos(np.linalg.norm(mean)) / np.pi,
        }
        gaps.append([found[name][lane] - value for name, value in expected.items()])
    error = np.std(gaps, axis=0, ddof=1) / math.sqrt(8)
    # 4.5 standard errors of eight differences: Student's t exceeds that in 3e-3, seven times.
    assert np.all(np.abs(np.mean(gaps, axis=0)) < 4.5 * error)
    # The differences are those of sampling, a few per cent of what varies over data sets.
    assert error.max() < 0.01


def test_without_pruning_the_teacher_is_one_more_student():
    """Exact at any N: the overlap with the teacher is that of two students, and labels have at
    most a bit."""
    config = model.Config(
        kept_per_dimension=1.0, rule="random", dimension=8, sweeps=512, new_examples=64
    )
    found, _ = lanes(config, 128)
    gap = found["teacher_overlap"] - found["replica_overlap"]
    # 4 standard errors, 6e-5 by chance.
    assert abs(gap.mean()) < 4 * gap.std(ddof=1) / math.sqrt(128)
    assert "selection_gain" not in found
    assert found["information"].mean() < math.log(2)


def test_pruned_data_break_that():
    config = model.Config(
        kept_per_dimension=1.0, keep_fraction=0.2, dimension=8, sweeps=2048, new_examples=64
    )
    found, _ = lanes(config, 64)
    gap = found["replica_overlap"] - found["teacher_overlap"]
    assert gap.mean() > 10 * gap.std(ddof=1) / 8
    assert found["information"].mean() > math.log(2)


def test_single_precision():
    """The same law: 4 standard errors of both, six observables (4e-4 by chance)."""
    sizes = {"kept_per_dimension": 4.0, "dimension": 8, "sweeps": 512, "new_examples": 64}
    one, _ = lanes(model.Config(**sizes), 64, seed=2)
    other, _ = lanes(model.Config(**sizes, dtype="float32"), 64, seed=3)
    for name in set(one) - {"status", "effective_draws", "uncounted"}:
        assert other[name].dtype == np.float32
        pair = one[name][one["status"] == 0], other[name][other["status"] == 0]
        error = math.hypot(*(v.std(ddof=1) / math.sqrt(v.size) for v in pair))
        assert abs(pair[0].mean() - pair[1].mean()) < 4 * error, name


def test_short_chains_say_so():
    config = model.Config(kept_per_dimension=8.0, dimension=24, sweeps=64, new_examples=4)
    found, _ = lanes(config, 2)
    assert np.all(found["status"] == Status.NOT_CONVERGED)
    assert np.all(np.isnan(found["information"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "fraction", "kept"),
    [("abs_hard", 0.5, 1.0), ("abs_hard", 0.2, 4.0), ("abs_easy", 0.2, 2.0)],
)
def test_the_theory_is_the_limit_of_large_sizes(rule, fraction, kept):
    """2 X(24) - X(12) has no term of order 1/N: 3.5 errors and 15/24^2 of the next order."""
    means, errors = [], []
    for dimension in (12, 24):
        config = model.Config(
            kept_per_dimension=kept, keep_fraction=fraction, rule=rule, dimension=dimension
        )
        found, _ = lanes(config, 96)
        assert np.all(found["status"] == Status.OK)
        means.append({n: v.mean() for n, v in found.items()})
        errors.append({n: v.std(ddof=1) / math.sqrt(96) for n, v in found.items()})
        predicted = theory.predict(config)
        for name, value in predicted.observables.items():
            # The stated error holds at each size.
            gap = abs(means[-1][name] - value)
            assert gap < 3.5 * errors[-1][name] + predicted.relative_error * value, name
    for name, value in predicted.observables.items():
        limit = 2 * means[1][name] - means[0][name]
        error = math.hypot(2 * errors[1][name], errors[0][name])
        assert abs(limit - value) < 3.5 * error + 15 / 24**2 * value, name


def test_the_infinite_perceptron_has_a_theory_only():
    config = model.Config(dimension=None)
    with pytest.raises(ValueError, match="dimension: None"):
        model.check_simulation(config)
    predicted = theory.predict(config)
    assert predicted.relative_error == 0
    assert predicted.observables["information"] == pytest.approx(1.2048, abs=5e-5)
    gain = theory.predict(config, "selection-gain")
    assert set(gain.observables) == {"selection_gain"}
    with pytest.raises(ValueError, match="does not apply"):
        theory.predict(model.Config(rule="random"), "selection-gain")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"kept_per_dimension": 0.0}, "kept_per_dimension: 0.0"),
        ({"kept_per_dimension": 1e-3}, "keeps no example"),
        ({"kept_per_dimension": 1e7}, "MiB"),
        ({"keep_fraction": 1.5}, "keep_fraction: 1.5"),
        ({"keep_fraction": True}, "keep_fraction: True"),
        ({"dimension": 1}, "dimension: 1"),
        ({"sweeps": 100}, "sweeps: 100"),
        ({"sweeps": 0}, "sweeps: 0"),
        ({"new_examples": 0}, "new_examples: 0"),
        ({"rule": "signed_hard"}, "rule: 'signed_hard'"),
        ({"dtype": "float16"}, "dtype: 'float16'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_fields_are_named(fields, text):
    with pytest.raises(ValueError, match=text):
        model.Config(**fields)
