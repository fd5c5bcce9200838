"""The max-margin solver against quadprog, enumeration of supports, and its own certificate."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quadprog

from scalinglab.models import Status
from scalinglab.models.max_margin import max_margin

EPS = float(np.finfo(np.float64).eps)
SOLVE = jax.jit(jax.vmap(max_margin))
ROWS, DIM = 160, 50


def separable(generator, rows, dim):
    """Gaussian rows on one side of a random hyperplane."""
    teacher = generator.normal(size=dim)
    points = generator.normal(size=(rows, dim))
    return points * np.sign(points @ teacher)[:, None]


def kept_hard(generator, pool, rows, dim):
    """The rows of the pool that are nearest to the teacher's plane."""
    points = generator.normal(size=(pool, dim))
    nearest = np.argsort(np.abs(points[:, 0]))[:rows]
    return points[nearest] * np.sign(points[nearest, :1])


def stacked(problems, rows, dtype=np.float64):
    """Problems of different sizes as one batch, padded with zeros."""
    dim = problems[0].shape[1]
    batch, valid = (
        np.zeros((len(problems), rows, dim), dtype),
        np.zeros((len(problems), rows), bool),
    )
    for place, points in enumerate(problems):
        batch[place, : len(points)], valid[place, : len(points)] = points, True
    return batch, valid


def by_quadprog(points):
    count, dim = points.shape
    return quadprog.solve_qp(np.eye(dim), np.zeros(dim), points.T.copy(), np.ones(count))[0]


def by_enumeration(points):
    """The shortest feasible w = A_S^T lambda with A_S w = 1, lambda >= 0, over all supports S."""
    count, dim = points.shape
    best = None
    for size in range(1, min(count, dim) + 1):
        for support in itertools.combinations(range(count), size):
            chosen = points[list(support)]
            multipliers = np.linalg.lstsq(chosen @ chosen.T, np.ones(size), rcond=None)[0]
            w = chosen.T @ multipliers
            meets = np.all(multipliers >= 0) and np.all(points @ w >= 1 - 1e-9)
            if meets and (best is None or w @ w < best @ best):
                best = w
    return best


def error(weights, expected):
    return float(np.linalg.norm(weights - expected) / np.linalg.norm(expected))


def families():
    generator = np.random.default_rng(5)
    yield from (separable(generator, 150, DIM) for _ in range(12))
    for rows in (1, 2, 10, 30, 49, 50, 51, 75):
        yield from (separable(generator, rows, DIM) for _ in range(3))
    yield from (kept_hard(generator, pool, 150, DIM) for pool in (300, 600, 1500))
    yield from (kept_hard(generator, 3000, rows, DIM) for rows in (60, 100, 120))
    for scale in (1e-6, 1e6):
        yield scale * separable(generator, 150, DIM)
    # Rows in pairs that differ by 1e-9 and by nothing.
    points = separable(generator, 60, DIM)
    yield np.concatenate([points, points[:10] + 1e-9 * generator.normal(size=(10, DIM))])
    yield np.concatenate([points, points[:10]])


@pytest.fixture(scope="module")
def solved():
    problems = list(families())
    found = jax.tree.map(np.asarray, SOLVE(*stacked(problems, ROWS)))
    return problems, found


def test_weights_are_those_of_quadprog(solved):
    """1e-6 is what the issue asks; the gap bounds the error, of quadprog's own 1e-12 and less."""
    problems, found = solved
    assert np.all(found.status == Status.OK)
    for points, weights, gap in zip(problems, found.weights, found.gap, strict=True):
        distance = error(weights, by_quadprog(points))
        assert distance < 1e-6
        assert distance <= np.sqrt(gap) + 1e-8
        assert gap <= EPS * (450 + 16 * rms(points) * np.linalg.norm(weights))


def rms(points):
    return float(np.sqrt(np.sum(points**2) / len(points)))


def test_the_optimality_conditions_hold_to_rounding(solved):
    """A w >= 1, lambda >= 0, lambda (A w - 1) = 0 and w = A^T lambda.

    Margins are sums of N terms of size |a| |w| in all, so that 16 eps |a| |w| is their rounding,
    and w = A^T lambda holds to that of the sum of lambda_i |a_i|.
    """
    problems, found = solved
    for points, weights, duals in zip(problems, found.weights, found.duals, strict=True):
        margins, multipliers = points @ weights, duals[: len(points)]
        size = np.linalg.norm(points, axis=1)
        rounding = 64 * EPS * (1 + size.max() * np.linalg.norm(weights))
        assert margins.min() >= 1 - rounding
        assert multipliers.min() >= 0
        assert np.all(duals[len(points) :] == 0)
        assert np.abs(margins[multipliers > 0] - 1).max() <= 2 * rounding
        misfit = np.linalg.norm(points.T @ multipliers - weights)
        assert misfit <= 1e3 * EPS * (multipliers @ size + np.linalg.norm(weights))


@pytest.mark.parametrize("dim", [2, 3])
def test_small_problems_by_enumeration(dim):
    """Every subset of at most N rows as the support: an oracle without an optimiser."""
    generator = np.random.default_rng(dim)
    problems = [separable(generator, 1 + place % 12, dim) for place in range(48)]
    found = SOLVE(*stacked(problems, 12))
    assert np.all(found.status == Status.OK)
    for points, weights in zip(problems, np.asarray(found.weights), strict=True):
        # Angles between supporting rows of 1e-3 and condition numbers of 1e6 occur.
        assert error(weights, by_enumeration(points)) < 1e-9


def test_padding_changes_rounding_alone():
    points = [separable(np.random.default_rng(2), 30, 12) for _ in range(2)]
    plain, padded = SOLVE(*stacked(points, 30)), SOLVE(*stacked(points, 67))
    assert np.all(np.asarray(plain.status) == Status.OK)
    np.testing.assert_allclose(plain.weights, padded.weights, rtol=1e-10)
    np.testing.assert_allclose(plain.duals, padded.duals[:, :30], rtol=1e-9, atol=1e-12)


def test_a_batch_of_batches_is_a_loop():
    generator = np.random.default_rng(3)
    problems = [separable(generator, 20, 6) for _ in range(6)]
    batch, valid = map(jnp.asarray, stacked(problems, 24))
    nested = jax.jit(jax.vmap(jax.vmap(max_margin)))(
        batch.reshape(2, 3, 24, 6), valid.reshape(2, 3, 24)
    )
    one = jax.jit(max_margin)
    for place, weights in enumerate(np.asarray(nested.weights).reshape(6, 6)):
        np.testing.assert_allclose(weights, one(batch[place], valid[place]).weights, rtol=1e-12)
    shared = jax.vmap(max_margin, in_axes=(0, None))(batch, valid[0])
    np.testing.assert_allclose(shared.weights, np.asarray(nested.weights).reshape(6, 6), rtol=1e-12)


def bad_lanes():
    """Problems that cannot be solved, with their statuses; then one that can."""
    generator = np.random.default_rng(4)
    good = separable(generator, 150, DIM)
    opposite = np.concatenate([good[:9], -good[:1]])
    # Hull of the rows 1e-9 from the origin: separable by 1e-9, which double precision cannot say.
    close = np.concatenate([good[:1], 1e-9 * good[1:2] - good[:1]])
    infinite, unknown = good.copy(), good.copy()
    infinite[3, 2], unknown[3, 2] = np.inf, np.nan
    yield generator.normal(size=(150, DIM)), Status.NOT_SEPARABLE
    yield opposite, Status.NOT_SEPARABLE
    yield close, Status.NOT_SEPARABLE
    yield infinite, Status.NOT_FINITE
    yield unknown, Status.NOT_FINITE
    yield good, Status.OK


def test_what_cannot_be_solved_says_why_and_spoils_no_neighbour():
    problems, statuses = zip(*bad_lanes(), strict=True)
    found = SOLVE(*stacked(list(problems), ROWS))
    assert np.asarray(found.status).tolist() == list(statuses)
    assert error(np.asarray(found.weights[-1]), by_quadprog(problems[-1])) < 1e-10


def test_single_precision_is_right_or_says_so():
    """The certificate holds in float32, and errors are as docs/data_pruning.md states them.

    Margins of r/22 and r/57 on unselected rows; of r/200 on those nearest to the teacher's plane,
    where |v|^2 is eps(float32) 200 and most problems cannot be told from inseparable ones.
    """
    generator = np.random.default_rng(0)
    families = {
        "wide": [separable(generator, 150, DIM) for _ in range(24)],
        "narrow": [separable(generator, 400, DIM) for _ in range(24)],
        "hard": [kept_hard(generator, 1500, 150, DIM) for _ in range(24)],
    }
    solved = {}
    for name, problems in families.items():
        rows, valid = stacked(problems, 400)
        exact, found = SOLVE(rows, valid), SOLVE(rows.astype(np.float32), valid)
        errors = np.array(
            [
                error(np.asarray(w, float), e)
                for w, e in zip(found.weights, exact.weights, strict=True)
            ]
        )
        ok = np.asarray(found.status) == Status.OK
        assert np.all(errors[ok] <= np.sqrt(np.asarray(found.gap)[ok]) + 1e-5)
        solved[name] = ok.mean(), errors[ok].max(initial=0.0)
    assert solved["wide"][0] == 1
    assert solved["wide"][1] < 1e-5
    assert solved["narrow"][0] > 0.6
    assert solved["narrow"][1] < 1e-2
