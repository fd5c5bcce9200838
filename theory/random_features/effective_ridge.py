"""The one self-consistent equation of random-feature ridge regression.

    ridge = kappa (1 - df1(kappa)/D) (1 - df1(kappa)/N),   df1(kappa) <= min(N, D)           (E1)
    df1(kappa) = sum lambda/(lambda + kappa),  df2(kappa) = sum (lambda/(lambda + kappa))^2

kappa is the ridge renormalised by both data and features. The right side increases on the allowed
branch, so the root is unique; at ridge 0 it is df1(kappa) = min(N, D). N = infinity is kernel ridge
regression.

| here | symbol | Simon 2311.14646 | Atanasov 2405.00592 | Maloney 2210.16859 |
|---|---|---|---|---|
| effective ridge kappa | kappa | gamma | kappa_2 | Delta |
| degrees_of_freedom z | df1 | sum lambda/(lambda + gamma) | df_1 | - |
| squared_degrees_of_freedom q | df2 | q | df_2 | - |

Sizes are real numbers and may be infinite; nothing about them is static.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from scalinglab.models.spectra import Spectrum

Scalar = Float[Array, ""]

# Each step halves an interval of log kappa that is at most about 100 wide.
_BISECTIONS = 80


class SelfConsistent(NamedTuple):
    """The solution of (E1) and what the risks need of it, each without cancellation.

    `kappa`; `freedom`, z = df1(kappa); `unresolved`, s = (z - q)/z in [0, 1] for q = df2(kappa);
    `sample_slack`, 1 - z/D; `feature_slack`, 1 - z/N; `inverse_samples`, 1/D; `inverse_features`.
    """

    kappa: Scalar
    freedom: Scalar
    unresolved: Scalar
    sample_slack: Scalar
    feature_slack: Scalar
    inverse_samples: Scalar
    inverse_features: Scalar


def degrees_of_freedom(spectrum: Spectrum, kappa: Scalar) -> Scalar:
    """df1(kappa) = sum over modes of lambda/(lambda + kappa)."""
    eigenvalues = spectrum.eigenvalues
    return jnp.sum(spectrum.multiplicities * (eigenvalues / (eigenvalues + kappa)))


def squared_degrees_of_freedom(spectrum: Spectrum, kappa: Scalar) -> Scalar:
    """df2(kappa) = sum over modes of (lambda/(lambda + kappa))^2."""
    eigenvalues = spectrum.eigenvalues
    return jnp.sum(spectrum.multiplicities * (eigenvalues / (eigenvalues + kappa)) ** 2)


def effective_ridge(
    spectrum: Spectrum, num_samples: Scalar, num_features: Scalar, ridge: Scalar
) -> Scalar:
    """kappa, the root of (E1).

    **Arguments:** `spectrum`; `num_samples` D > 0 and `num_features` N > 0, real or infinite;
    `ridge` >= 0 in the (1/D) normalisation.

    **Returns:** kappa >= 0; 0 at ridge 0 where the spectrum has no more modes than min(N, D).
    Differentiable to any order in every number (by the implicit function theorem).

    **Source:** Simon 2311.14646, eigenframework; Atanasov 2405.00592, eq. for kappa_2.
    """
    lower, upper = jax.lax.stop_gradient(_bracket(spectrum, num_samples, num_features, ridge))
    inverse_samples, inverse_features = 1.0 / num_samples, 1.0 / num_features
    inverse_smaller = jnp.maximum(inverse_samples, inverse_features)
    # No root above zero: the modes are all resolved, or there is nothing to resolve them against.
    exhausted = (lower <= 0) | ~jnp.isfinite(upper)

    def residual(log_kappa: Scalar) -> Scalar:
        kappa = jnp.exp(log_kappa)
        z = degrees_of_freedom(spectrum, kappa)
        return (1 - z * inverse_samples) * (1 - z * inverse_features) - ridge / kappa

    def bisect(_function: object, _guess: Scalar) -> Scalar:
        def above_root(log_kappa: Scalar) -> Array:
            kappa = jnp.exp(log_kappa)
            allowed = degrees_of_freedom(spectrum, kappa) * inverse_smaller <= 1
            return allowed & (residual(log_kappa) >= 0)

        def halve(_: Int[Array, ""], interval: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
            low, high = interval
            middle = (low + high) / 2
            above = above_root(middle)
            return jnp.where(above, low, middle), jnp.where(above, middle, high)

        safe = jnp.log(jnp.where(exhausted, 1.0, lower)), jnp.log(jnp.where(exhausted, 1.0, upper))
        low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, safe)
        return (low + high) / 2

    root = jax.lax.custom_root(
        residual, jnp.zeros(()), bisect, lambda linear, value: value / linear(jnp.ones(()))
    )
    return jnp.where(exhausted, 0.0, jnp.exp(root))


def _bracket(
    spectrum: Spectrum, num_samples: Scalar, num_features: Scalar, ridge: Scalar
) -> tuple[Scalar, Scalar]:
    """Rigorous bounds on kappa.

    With n_j modes at or above lambda_j, df1(kappa) >= n_j lambda_j / (lambda_j + kappa), which is m
    at lambda_j (n_j - m)/m; and df1(kappa) <= trace/kappa. The root of (E1) lies between the
    ridgeless one (and the ridge itself) and ridge + trace (1/D + 1/N).
    """
    smaller = jnp.minimum(num_samples, num_features)
    finite = jnp.isfinite(smaller)
    # The difference is taken first: where the modes are just as many as m it is exactly zero.
    excess = jnp.where(finite, spectrum.counts - jnp.where(finite, smaller, 0.0), -1.0)
    ridgeless = jnp.max(spectrum.eigenvalues * excess) / jnp.where(finite, smaller, 1.0)
    upper = ridge + spectrum.trace * (1.0 / num_samples + 1.0 / num_features)
    return jnp.maximum(ridge, ridgeless), upper


def self_consistent(
    spectrum: Spectrum, num_samples: Scalar, num_features: Scalar, ridge: Scalar
) -> SelfConsistent:
    """Solve (E1) and evaluate what the risks need; arguments as `effective_ridge`."""
    kappa = effective_ridge(spectrum, num_samples, num_features, ridge)
    state = at_kappa(spectrum, num_samples, num_features, kappa)
    # At ridge 0, z = min(N, D) exactly: rounding must not leave the smaller slack at 1e-16, while
    # derivatives stay those of the sum.
    ridgeless = (ridge == 0) & (kappa > 0)
    inverse_smaller = jnp.maximum(state.inverse_samples, state.inverse_features)

    def snap(slack: Scalar, inverse_size: Scalar) -> Scalar:
        exact = 1 - inverse_size / inverse_smaller
        return slack + jax.lax.stop_gradient(jnp.where(ridgeless, exact - slack, 0.0))

    return state._replace(
        sample_slack=snap(state.sample_slack, state.inverse_samples),
        feature_slack=snap(state.feature_slack, state.inverse_features),
    )


def at_kappa(
    spectrum: Spectrum, num_samples: Scalar, num_features: Scalar, kappa: Scalar
) -> SelfConsistent:
    """The quantities of `SelfConsistent` at a given effective ridge, not solving for it."""
    eigenvalues = spectrum.eigenvalues
    freedom = degrees_of_freedom(spectrum, kappa)
    difference = jnp.sum(spectrum.multiplicities * kappa * eigenvalues / (eigenvalues + kappa) ** 2)
    inverse_samples, inverse_features = 1.0 / num_samples, 1.0 / num_features
    return SelfConsistent(
        kappa=kappa,
        freedom=freedom,
        unresolved=difference / freedom,
        sample_slack=1 - freedom * inverse_samples,
        feature_slack=1 - freedom * inverse_features,
        inverse_samples=inverse_samples,
        inverse_features=inverse_features,
    )


def ridge_at(state: SelfConsistent) -> Scalar:
    """The ridge for which `state` solves (E1)."""
    return state.kappa * state.sample_slack * state.feature_slack
