"""The predictor and its exact risks on one draw of features and data.

Everything is solved on the smallest of the three sides (samples, features, modes), in x-space,
where the risk is a weighted squared norm over modes.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from scalinglab.models.linear_solve import inverse_factor
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
    """A trained predictor as beta = readout @ whitener @ targets, through min(D, N) dimensions.

    `whitener` (cols, samples) and `readout` (modes, cols) share the inverse factor V of the system,
    V^T V = (gram + penalty)^-1, evenly: both stay of the size of their data, where the dual
    coefficients themselves grow with the condition number. `penalty` is D ridge where the system
    is the samples' and None where it is the features'.
    """

    readout: Float[Array, "modes cols"]
    whitener: Float[Array, "cols samples"]
    penalty: Float[Array, ""] | None
    headroom: Float[Array, ""]

    def predictor(self, targets: Float[Array, "samples rhs"]) -> Float[Array, "modes rhs"]:
        """beta of each column of targets."""
        return self.readout @ (self.whitener @ targets)

    def residual(self, targets: Float[Array, "samples rhs"]) -> Float[Array, "samples rhs"]:
        """targets - prediction on the training set."""
        projected = self.whitener.T @ (self.whitener @ targets)
        # On the samples' side y - K alpha = D rho alpha, without the cancellation of a subtraction.
        return targets - projected if self.penalty is None else self.penalty * projected

    def residual_norm(self) -> Float[Array, ""]:
        """The squared Frobenius norm of the map from targets to residuals."""
        cols, samples = self.whitener.shape
        hat = self.whitener @ self.whitener.T
        if self.penalty is not None:
            return self.penalty**2 * jnp.sum(hat**2)
        return (samples - cols) + jnp.sum((jnp.eye(cols, dtype=hat.dtype) - hat) ** 2)


def _feature_map(features: Array | None, samples: int | None, modes: int) -> Array | None:
    """F / sqrt(N), or a square factor with the same kernel where the modes are the smallest side.

    The predictor depends on the features only through F^T F / N, so that N > M features may be
    replaced by the M rows of the R factor (needed where D > M too: the Gram matrix is singular
    otherwise), and infinitely many by the identity (None).
    """
    if features is None:
        return None
    scaled = features / math.sqrt(features.shape[0])
    smallest = features.shape[0] > modes and (samples is None or samples > modes)
    return jnp.linalg.qr(scaled, mode="r") if smallest else scaled


def scale_inputs(problem: Problem, inputs: Array) -> Array:
    """The data x = sqrt(lambda) z, one sample a row."""
    return inputs * jnp.sqrt(problem.eigenvalues)[None, :]


def fit_samples(problem: Problem, features: Array | None, inputs: Array) -> Fit:
    """Training on finite data, solved on the smaller side of (samples, features)."""
    feature_map = _feature_map(features, inputs.shape[0], problem.eigenvalues.size)
    data = scale_inputs(problem, inputs)
    design = data if feature_map is None else data @ feature_map.T
    samples, cols = design.shape
    penalty = samples * problem.ridge
    if samples <= cols:
        # The tail's features add sum lambda to the kernel of every sample with itself.
        shift = penalty if problem.tail is None else penalty + problem.tail[0]
        factor, headroom = inverse_factor(design.T, shift)
        half = factor @ design
        readout = half if feature_map is None else half @ feature_map
        return Fit(readout.T, factor, penalty, headroom)
    factor, headroom = inverse_factor(design, penalty)
    readout = factor if feature_map is None else factor @ feature_map
    return Fit(readout.T, factor @ design.T, None, headroom)


def squared_norm(problem: Problem, columns: Float[Array, "modes columns"]) -> Float[Array, ""]:
    """The sum over columns of sum_i lambda_i column_i^2: a population mean square."""
    return jnp.sum(problem.eigenvalues[:, None] * columns**2)


def _mean_error(
    problem: Problem,
    readout: Float[Array, "modes cols"],
    signal: Float[Array, "cols modes"],
    noise: Float[Array, "cols some"] | None,
) -> Float[Array, ""]:
    """|Lambda^1/2 (diag(w) - readout signal)|^2 + |Lambda^1/2 readout noise|^2.

    The mean over independent signs of w_i and over the noise of a squared linear form is the sum of
    its squared coefficients. Expanded, it costs modes * cols^2 and no matrix of modes^2. The
    subtraction leaves a relative error of eps * sum v2 / error: 1e-9 in float64 at an error of
    1e-7; in float32 every digit is gone where the error is 1e-7 of the target's power.
    """
    eigenvalues, w = problem.eigenvalues, problem.coefficients
    overlap = jnp.sum(readout * signal.T, axis=1)
    gram = readout.T @ (eigenvalues[:, None] * readout)
    covariance = signal @ signal.T
    if noise is not None:
        covariance = covariance + noise @ noise.T
    return jnp.sum(eigenvalues * w * (w - 2 * overlap)) + jnp.sum(gram * covariance)


class Risks(NamedTuple):
    """Test and train risk of one draw, and the headroom of its linear system."""

    test: Float[Array, ""]
    train: Float[Array, ""] | None
    headroom: Float[Array, ""]


def risks(problem: Problem, features: Array | None, inputs: Array, noise: Array | None) -> Risks:
    """Test and train risk on one draw; `noise` None averages over teacher and noise instead."""
    data = scale_inputs(problem, inputs)
    samples = data.shape[0]
    fit = fit_samples(problem, features, inputs)
    if noise is not None:
        noise = jnp.sqrt(problem.noise_variance) * noise[:samples]
        targets = (data @ problem.coefficients + noise)[:, None]
        error = squared_norm(problem, problem.coefficients[:, None] - fit.predictor(targets))
        train = jnp.mean(fit.residual(targets) ** 2)
        return Risks(error + problem.noise_variance, train, fit.headroom)
    signal = data * problem.coefficients[None, :]
    # The target's power beyond M reaches the labels as noise.
    variance = problem.noise_variance + (0.0 if problem.tail is None else problem.tail[2])
    whitened = fit.whitener @ signal
    test = _mean_error(problem, fit.readout, whitened, jnp.sqrt(variance) * fit.whitener)
    train = (jnp.sum(fit.residual(signal) ** 2) + variance * fit.residual_norm()) / samples
    if problem.tail is not None and fit.penalty is not None:
        # Modes beyond M: their target is lost (v2) but for its part in the dual coefficients
        # alpha = V^T V y (lambda v2, twice the trace of the inverse kernel), and the predictor's
        # weight on them, x_tail^T alpha, adds sum lambda^2 |alpha|^2.
        _, square_tail, target_tail, cross_tail = problem.tail
        alpha_signal = fit.whitener.T @ whitened
        inverse = fit.whitener.T @ fit.whitener
        alpha = jnp.sum(alpha_signal**2) + variance * jnp.sum(inverse**2)
        test = test + target_tail + square_tail * alpha - 2 * cross_tail * jnp.trace(inverse)
    return Risks(test + problem.noise_variance, train, fit.headroom)


def population_risks(problem: Problem, features: Array | None, *, averaged: bool) -> Risks:
    """The limit of infinitely many samples; there is no training set to have a risk on."""
    eigenvalues, w = problem.eigenvalues, problem.coefficients
    feature_map = _feature_map(features, None, eigenvalues.size)
    if features is None or feature_map is None:
        bias = eigenvalues * (w * problem.ridge / (eigenvalues + problem.ridge)) ** 2
        return Risks(
            jnp.sum(bias) + problem.noise_variance,
            None,
            jnp.full((), jnp.inf, eigenvalues.dtype),
        )
    root = jnp.sqrt(eigenvalues)
    design = root[:, None] * feature_map.T
    count = features.shape[0]
    # The tail of F Lambda F^T / N is sum lambda / N on the diagonal, on the mean.
    shift = problem.ridge if problem.tail is None else problem.ridge + problem.tail[0] / count
    factor, headroom = inverse_factor(design, shift)
    readout = (factor @ feature_map).T
    signal = (factor @ design.T) * (root * w)[None, :]
    if averaged:
        error = _mean_error(problem, readout, signal, None)
    else:
        theta = jnp.sum(signal, axis=1, keepdims=True)
        error = squared_norm(problem, w[:, None] - readout @ theta)
    if problem.tail is not None:
        # Beyond M: the lost target v2, the predictor's variance lambda |theta|^2 / N, and the
        # tail's part of the projections, with covariance (lambda v2 / N) I. That one enters theta
        # as noise: cross (tr V A V - 2 tr V) with A = F Lambda F^T / N and V = (A + ridge)^-1.
        lambda_tail, _, target_tail, cross_tail = problem.tail
        inverse = factor.T @ factor
        trace, square = jnp.trace(inverse), jnp.sum(inverse**2)
        error = error + target_tail + lambda_tail / count * jnp.sum((factor.T @ signal) ** 2)
        error = error - cross_tail / count * (trace + problem.ridge * square)
    return Risks(error + problem.noise_variance, None, headroom)
