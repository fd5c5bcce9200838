"""Scores and selection: formulas by hand, loops in Python, scikit-learn's k-means."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from scalinglab.models import pruning_scores as scores

EPS = float(np.finfo(np.float64).eps)


def test_el2n_and_margin_by_hand():
    # Probabilities (1/2, 1/4, 1/4) and (1/10, 8/10, 1/10).
    logits = jnp.log(jnp.asarray([[2.0, 1.0, 1.0], [1.0, 8.0, 1.0]]))
    labels = jnp.asarray([0, 2])
    found = scores.el2n(logits, labels)
    expected = [np.sqrt(0.25 + 2 / 16), np.sqrt(0.01 + 0.64 + 0.81)]
    np.testing.assert_allclose(found, expected, rtol=20 * EPS)
    margin = scores.negative_margin(logits, labels)
    np.testing.assert_allclose(margin, [0.25 - 0.5, 0.8 - 0.1], rtol=20 * EPS)


def test_el2n_and_margin_agree_with_numpy_on_random_logits():
    generator = np.random.default_rng(0)
    logits, labels = 4 * generator.normal(size=(200, 10)), generator.integers(10, size=200)
    probability = scipy.special.softmax(logits, axis=1)
    norm = np.linalg.norm(probability - np.eye(10)[labels], axis=1)
    given = jnp.asarray(logits), jnp.asarray(labels)
    # A norm below 1e-3 is a difference of probabilities near 1: rounding is absolute.
    np.testing.assert_allclose(scores.el2n(*given), norm, rtol=0, atol=50 * EPS)
    for row, label, found in zip(probability, labels, scores.negative_margin(*given), strict=True):
        expected = np.delete(row, label).max() - row[label]
        assert float(found) == pytest.approx(expected, abs=50 * EPS)


def test_forgetting_counts_turns_from_right_to_wrong():
    history = np.random.default_rng(1).random((9, 300)) < np.linspace(0, 1, 300)
    expected = [
        sum(bool(a and not b) for a, b in itertools.pairwise(row)) if row.any() else 9
        for row in history.T
    ]
    assert scores.forgetting(jnp.asarray(history)).tolist() == expected
    assert expected[0] == 9
    assert max(expected[1:]) > 1
    assert expected[-1] == 0


def test_prototypes_are_those_of_scikit_learn():
    """Same members, same centroids to begin with, Lloyd's iteration to its end."""
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA

    inputs = load_digits().data / 16
    generator = np.random.default_rng(2)
    member = generator.random(len(inputs)) < 0.2
    first = generator.choice(np.flatnonzero(member), scores.CENTROIDS, replace=False)
    reduced = PCA(scores.COMPONENTS, svd_solver="full").fit(inputs[member])
    means = KMeans(
        scores.CENTROIDS,
        init=reduced.transform(inputs[first]),
        n_init=1,
        max_iter=scores.LLOYD_STEPS,
        tol=0,
        algorithm="lloyd",
    ).fit(reduced.transform(inputs[member]))
    # Converged before the limit, so that both are at the fixed point.
    assert means.n_iter_ < scores.LLOYD_STEPS
    rows, centroids = reduced.transform(inputs), means.cluster_centers_
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rows, centroids)]
    expected = 1 - (unit[0] @ unit[1].T).max(axis=1)
    found = jax.jit(scores.prototypes)(
        jnp.asarray(inputs), jnp.asarray(member), jnp.asarray(first, jnp.int32)
    )
    distance = scores.prototype_distance(found, jnp.asarray(inputs))
    # Eigenvectors of a covariance are good to eps over the relative gap of the eigenvalue cut off,
    # a hundredth or more.
    np.testing.assert_allclose(distance, expected, rtol=0, atol=1e5 * EPS)


def kept_by_loops(hardness, in_pool, labels, kept, guaranteed):
    """The promised of each class, hardest first, then the hardest of the rest."""
    queue = sorted(np.flatnonzero(in_pool), key=lambda i: (-hardness[i], i))
    chosen = []
    for label, promised in enumerate(guaranteed):
        chosen += [i for i in queue if labels[i] == label][:promised]
    rest = [i for i in queue if i not in chosen]
    return set(chosen) | set(rest[: kept - len(chosen)])


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_what_is_kept_is_what_loops_keep(balance):
    generator = np.random.default_rng(3)
    keep = jax.jit(scores.keep)
    for trial in range(20):
        rows = 60
        # Few values, so that ties are met: the earlier row goes first.
        hardness = generator.integers(12, size=rows) / 4.0
        labels = generator.integers(4, size=rows)
        in_pool = np.arange(rows) < 20 + 2 * trial
        kept = int(generator.integers(1, in_pool.sum() + 1))
        members = np.bincount(labels[in_pool], minlength=4)
        promised = np.floor(balance * kept / in_pool.sum() * members + 1e-9).astype(np.int32)
        found = keep(
            jnp.asarray(hardness),
            jnp.asarray(in_pool),
            jnp.asarray(labels[:, None] == np.arange(4)),
            jnp.int32(kept),
            jnp.asarray(promised),
        )
        expected = kept_by_loops(hardness, in_pool, labels, kept, promised)
        assert set(np.flatnonzero(found).tolist()) == expected
        assert len(expected) == kept
