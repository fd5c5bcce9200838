"""The predictor and its exact risks on one draw of features and data.

Everything is solved on the smallest of the three sides (samples, features, modes), in x-space,
where the risk is a weighted squared norm over modes.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from scalinglab.models.linear_solve import Method, solve_normal, solve_ridge
from scalinglab.models.spectra import truncated_sums

from .config import Config


class Problem(NamedTuple):
    """The scalars of a lane in the simulation's dtype, and its eigenvalues and teacher."""

    eigenvalues: Float[Array, " modes"]
    coefficients: Float[Array, " modes"]
    ridge: Float[Array, ""]
    noise_variance: Float[Array, ""]
    tail: tuple[Float[Array, ""], ...] | None  # over i > M: lambda, lambda^2, v2, lambda v2


def problem_of(config: Config) -> Problem:
    def cast(value: float | Shaped[Array, ""]) -> Array:
        return jnp.asarray(value).astype(config.dtype)

    a, b = cast(config.eigenvalue_decay), cast(config.target_decay)
    log_index = jnp.log(jnp.arange(1, config.dimension + 1, dtype=config.dtype))
    averaged = config.tail == "averaged"
    return Problem(
        eigenvalues=jnp.exp(-a * log_index),
        coefficients=jnp.exp((a - b) / 2 * log_index),
        ridge=cast(config.ridge),
        noise_variance=cast(config.noise_variance),
        tail=truncated_sums(a, b, config.dimension) if averaged else None,
    )


class Fit(NamedTuple):
    """A trained predictor of the columns of `targets`: beta = left @ solution.

    `left` is None for the identity; `residual` is targets - prediction on the training set.
    """

    left: Float[Array, "modes cols"] | None
    solution: Float[Array, "cols targets"]
    residual: Float[Array, "samples targets"]
    headroom: Float[Array, ""]

    @property
    def predictor(self) -> Float[Array, "modes targets"]:
        return self.solution if self.left is None else self.left @ self.solution


def _feature_map(features: Array | None, modes: int) -> Array | None:
    """F / sqrt(N), or a square factor with the same kernel when that is smaller.

    The predictor depends on the features only through F^T F / N, so N > M features are replaced
    by the M rows of the R factor, and infinitely many by the identity (None).
    """
    if features is None:
        return None
    scaled = features / math.sqrt(features.shape[0])
    return jnp.linalg.qr(scaled, mode="r") if features.shape[0] > modes else scaled


def _method(rows: int, cols: int) -> Method:
    """QR where the design is nearly square: there the squared condition number costs digits."""
    return "qr" if abs(rows - cols) < 0.2 * max(rows, cols) else "cholesky"


def scale_inputs(problem: Problem, inputs: Array) -> Array:
    return inputs * jnp.sqrt(problem.eigenvalues)[None, :]


def fit_samples(
    problem: Problem, features: Array | None, inputs: Array, targets: Float[Array, "samples rhs"]
) -> Fit:
    """Training on finite data, solved on the smaller side of (samples, features)."""
    feature_map = _feature_map(features, problem.eigenvalues.size)
    data = scale_inputs(problem, inputs)
    design = data if feature_map is None else data @ feature_map.T
    samples, cols = design.shape
    method = _method(samples, cols)
    penalty = samples * problem.ridge
    if samples <= cols:
        # The tail's features add T1 to the kernel of every sample with itself.
        shift = penalty if problem.tail is None else penalty + problem.tail[0]
        solution, headroom = solve_normal(design.T, shift, targets, method=method)
        left = design.T if feature_map is None else feature_map.T @ design.T
        # y - K alpha = D rho alpha holds exactly, without the cancellation of a subtraction.
        return Fit(left, solution, penalty * solution, headroom)
    solution, headroom = solve_ridge(design, penalty, targets, method=method)
    left = None if feature_map is None else feature_map.T
    return Fit(left, solution, targets - design @ solution, headroom)


def _teachers(problem: Problem, *, averaged: bool) -> Float[Array, "modes teachers"]:
    """The teacher as a column, or one column a mode, over which squared errors then add up."""
    w = problem.coefficients
    return jnp.diag(w) if averaged else w[:, None]


def squared_norm(problem: Problem, columns: Float[Array, "modes columns"]) -> Float[Array, ""]:
    """The sum over columns of sum_i lambda_i column_i^2: a population mean square."""
    return jnp.sum(problem.eigenvalues[:, None] * columns**2)


class Risks(NamedTuple):
    test: Float[Array, ""]
    train: Float[Array, ""] | None
    headroom: Float[Array, ""]


def risks(
    problem: Problem, features: Array | None, inputs: Array | None, noise: Array | None
) -> Risks:
    """Test and train risk on one draw; `noise` None averages over teacher and noise instead."""
    averaged = noise is None
    if inputs is None:
        return population_risks(problem, features, averaged=averaged)
    data = scale_inputs(problem, inputs)
    samples = data.shape[0]
    if noise is not None:
        noise = jnp.sqrt(problem.noise_variance) * noise[:samples]
        targets = data @ problem.coefficients + noise
        fit = fit_samples(problem, features, inputs, targets[:, None])
        error = squared_norm(problem, problem.coefficients[:, None] - fit.predictor)
        test = error + problem.noise_variance
        return Risks(test, jnp.mean(fit.residual**2), fit.headroom)
    # E over independent zero-mean w_i and noise of a squared linear form is the sum of its squared
    # coefficients: one column of targets a mode, then one a sample's noise.
    signal = data * problem.coefficients[None, :]
    # The target's power beyond M reaches the labels as noise.
    variance = problem.noise_variance + (0.0 if problem.tail is None else problem.tail[2])
    deviation = jnp.sqrt(variance)
    unit = deviation * jnp.eye(samples, dtype=data.dtype)
    fit = fit_samples(problem, features, inputs, jnp.concatenate([signal, unit], axis=1))
    predictor, modes = fit.predictor, problem.eigenvalues.size
    bias = jnp.diag(problem.coefficients) - predictor[:, :modes]
    test = (
        squared_norm(problem, bias)
        + squared_norm(problem, predictor[:, modes:])
        + problem.noise_variance
    )
    if problem.tail is not None:
        # Modes beyond M: their target is lost (v2) but for its part in alpha (lambda v2, twice the
        # trace of K^-1), and the predictor's weight on them, x_tail^T alpha, adds
        # sum lambda^2 |alpha|^2.
        _, square_tail, target_tail, cross_tail = problem.tail
        inverse_trace = jnp.trace(fit.solution[:, modes:]) / deviation
        test = test + target_tail + square_tail * jnp.sum(fit.solution**2)
        test = test - 2 * cross_tail * inverse_trace
    return Risks(test, jnp.sum(fit.residual**2) / samples, fit.headroom)


def population_risks(problem: Problem, features: Array | None, *, averaged: bool) -> Risks:
    """The limit of infinitely many samples; there is no training set to have a risk on."""
    eigenvalues, w = problem.eigenvalues, problem.coefficients
    if features is None:
        bias = eigenvalues * (w * problem.ridge / (eigenvalues + problem.ridge)) ** 2
        return Risks(
            jnp.sum(bias) + problem.noise_variance, None, jnp.full((), jnp.inf, eigenvalues.dtype)
        )
    scaled = _feature_map(features, eigenvalues.size)
    assert scaled is not None
    root = jnp.sqrt(eigenvalues)[:, None]
    design = root * scaled.T
    teachers = _teachers(problem, averaged=averaged)
    count = features.shape[0]
    # The tail of F Lambda F^T / N is sum lambda / N on the diagonal, on the mean.
    shift = problem.ridge if problem.tail is None else problem.ridge + problem.tail[0] / count
    right = jnp.concatenate(
        [design.T @ (root * teachers), jnp.eye(design.shape[1], dtype=design.dtype)], axis=1
    )
    solution, headroom = solve_normal(design, shift, right, method=_method(*design.shape))
    theta, inverse = solution[:, : teachers.shape[1]], solution[:, teachers.shape[1] :]
    error = squared_norm(problem, teachers - scaled.T @ theta)
    if problem.tail is not None:
        # Beyond M: the lost target v2, the predictor's variance lambda |theta|^2 / N, and the
        # tail's part of the projections, with covariance (lambda v2 / N) I. That one enters theta
        # as noise: cross (tr V A V - 2 tr V) with A = F Lambda F^T / N and V = (A + ridge)^-1.
        lambda_tail, _, target_tail, cross_tail = problem.tail
        trace, square = jnp.trace(inverse), jnp.sum(inverse**2)
        error = error + target_tail + lambda_tail / count * jnp.sum(theta**2)
        error = error - cross_tail / count * (trace + problem.ridge * square)
    return Risks(error + problem.noise_variance, None, headroom)
