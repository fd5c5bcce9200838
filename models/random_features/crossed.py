"""The variance decomposition, measured on feature sets crossed with data sets."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .ridge_regression import Problem, fit_samples, scale_inputs


def crossed(
    problem: Problem,
    features: Float[Array, "replicates features modes"],
    inputs: Float[Array, "replicates samples modes"],
) -> tuple[dict[str, Array], Array]:
    """The variance decomposition over R feature sets crossed with R data sets, without bias.

    With f, f' distinct feature sets and x, x' distinct data sets, and <,> the population inner
    product of errors w - beta, the means over pairs of <f x, f x>, <f x, f x'>, <f x, f' x> and
    <f x, f' x'> are total, B2 + V_F, B2 + V_X and B2. The noise is averaged exactly: it adds
    noise_variance times the squared norm of the map from noise to beta.

    **Arguments:** `features` (R, N, M) and `inputs` (R, D, M), standard normal.

    **Returns:** the observables, whose bias and variances add up to test_risk - noise_variance,
    and the headroom of the worst solve.
    """
    root = jnp.sqrt(problem.eigenvalues)[:, None]
    samples = inputs.shape[1]

    def one_pair(feature_set: Array, data_set: Array) -> tuple[Array, Array, Array, Array]:
        signal = (scale_inputs(problem, data_set) @ problem.coefficients)[:, None]
        fit = fit_samples(problem, feature_set, data_set)
        error = root[:, 0] * (problem.coefficients - fit.predictor(signal)[:, 0])
        noise_map = root * (fit.readout @ fit.whitener)
        residual = jnp.sum(fit.residual(signal) ** 2)
        train = (residual + problem.noise_variance * fit.residual_norm()) / samples
        return error, noise_map, train, fit.headroom

    over_data = jax.vmap(one_pair, in_axes=(None, 0))
    over_both = jax.vmap(over_data, in_axes=(0, None))
    error, noise_map, train, headroom = over_both(features, inputs)
    count = features.shape[0]
    single = jnp.sum(error**2) / count**2
    by_features = _off_diagonal(jnp.sum(error, axis=1), error, count)
    by_data = _off_diagonal(jnp.sum(error, axis=0), error, count)
    everything = jnp.sum(jnp.sum(error, axis=(0, 1)) ** 2)
    same_features = jnp.sum(jnp.sum(error, axis=1) ** 2)
    same_data = jnp.sum(jnp.sum(error, axis=0) ** 2)
    distinct = everything - same_features - same_data + jnp.sum(error**2)
    bias = distinct / (count * (count - 1)) ** 2
    noise_total = problem.noise_variance * jnp.sum(noise_map**2) / count**2
    noise_main = problem.noise_variance * _off_diagonal(
        jnp.sum(noise_map, axis=0), noise_map, count
    )
    main_features, main_data = by_features - bias, by_data - bias
    observables = {
        "test_risk": single + noise_total + problem.noise_variance,
        "train_risk": jnp.mean(train),
        "bias_squared": bias,
        "variance_features": main_features,
        "variance_data": main_data,
        "variance_noise": noise_main,
        "variance_interaction": single - by_features - main_data + noise_total - noise_main,
    }
    return observables, jnp.min(headroom)


def _off_diagonal(total: Array, each: Array, count: int) -> Array:
    """The mean of <u_i, u_j> over ordered pairs i != j, summed over the remaining axis' mean."""
    return (jnp.sum(total**2) - jnp.sum(each**2)) / (count * count * (count - 1))
