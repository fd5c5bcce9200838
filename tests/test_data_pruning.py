"""The pruned perceptron: the solver against quadprog, the theory against published numbers."""

import jax
import numpy as np
import pytest
import quadprog

from scalinglab.models import Status
from scalinglab.models.data_pruning import Config
from scalinglab.models.max_margin import max_margin
from scalinglab.theory.data_pruning import predict


@pytest.mark.parametrize(("dim", "rows"), [(50, 150), (50, 30), (20, 160), (2, 40)])
def test_the_solver_is_quadprog(dim, rows):
    draws = np.random.default_rng(0).normal(size=(12, rows, dim))
    signed = draws * np.sign(draws[:, :, :1])
    padded = np.concatenate([signed, np.zeros((12, 7, dim))], axis=1)
    valid = np.broadcast_to(np.arange(rows + 7) < rows, padded.shape[:2])
    found = jax.jit(jax.vmap(max_margin))(padded, valid)
    assert np.all(np.asarray(found.status) == Status.OK)
    for lane, weights in zip(signed, np.asarray(found.weights), strict=True):
        exact = quadprog.solve_qp(np.eye(dim), np.zeros(dim), lane.T.copy(), np.ones(rows))[0]
        # The gap that is accepted bounds the relative error by its root, below 1e-6.
        assert np.linalg.norm(weights - exact) <= 1e-6 * np.linalg.norm(exact)


@pytest.mark.parametrize(
    ("rule", "pool", "fraction", "angle", "error"),
    [
        ("random", 4.0, 1.0, 0.0, 0.11366),
        ("abs_hard", 10.0, 0.3, 0.0, 0.05114),
        ("abs_easy", 10.0, 0.3, 0.0, 0.06955),
        ("abs_hard", 10.0, 0.3, 20.0, 0.14303),
        ("signed_hard", 10.0, 0.3, 20.0, 0.19351),
    ],
)
def test_the_theory_has_the_numbers_of_an_independent_code(rule, pool, fraction, angle, error):
    config = Config(
        samples_per_dimension=pool,
        keep_fraction=fraction,
        probe_angle_degrees=angle,
        rule=rule,
        dimension=None,
    )
    # The numbers were printed to five decimals.
    assert abs(float(predict(config).observables["test_error"]) - error) <= 6e-6
