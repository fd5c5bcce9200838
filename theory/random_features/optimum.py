"""The optimal ridge, for any spectrum, target and noise."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from scalinglab.models.spectra import Spectrum

from .effective_ridge import at_kappa, effective_ridge, ridge_at
from .risk import risk_at_kappa

Scalar = Float[Array, ""]

_BISECTIONS = 60


def optimal_ridge(
    spectrum: Spectrum, num_samples: Scalar, num_features: Scalar, noise_variance: Scalar
) -> tuple[Scalar, Scalar]:
    """The ridge >= 0 that minimises the test risk (E2), and the risk there.

    The risk is explicit in kappa, so the search is a bisection on the sign of its derivative in
    log kappa, between the ridgeless kappa and the one at which the degrees of freedom have fallen
    below one; the minimum is assumed to be single there, as it is in every case tested. Where the
    risk rises from the ridgeless end at once, the optimal ridge is zero.

    **Arguments:** `spectrum`; real sizes > 0 or infinite (not both); `noise_variance` >= 0.

    **Returns:** (ridge, risk). The risk has exact first derivatives in every number (the envelope
    theorem); the ridge is returned without derivatives.
    """
    zero = jnp.zeros(())
    # A hair inside the allowed branch, since at equal sizes the ridgeless risk itself is infinite.
    start = effective_ridge(spectrum, num_samples, num_features, zero) * (1 + 1e-12)
    smallest = jnp.where(start > 0, start, spectrum.eigenvalues[-1] * 1e-12)
    bounds = jax.lax.stop_gradient((jnp.log(smallest), jnp.log(spectrum.trace)))

    def risk(log_kappa: Scalar) -> Scalar:
        kappa = jnp.exp(log_kappa)
        return risk_at_kappa(spectrum, num_samples, num_features, kappa, noise_variance)

    slope = jax.grad(risk)

    def halve(_: Int[Array, ""], interval: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        low, high = interval
        middle = (low + high) / 2
        rising = slope(middle) > 0
        return jnp.where(rising, low, middle), jnp.where(rising, middle, high)

    low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, bounds)
    best = jax.lax.stop_gradient((low + high) / 2)
    state = at_kappa(spectrum, num_samples, num_features, jnp.exp(best))
    ridge = jnp.maximum(ridge_at(state), 0.0)
    # At the ridgeless end the slack is rounding, not a ridge.
    ridge = jnp.where(best - bounds[0] < 1e-9, 0.0, ridge)
    return jax.lax.stop_gradient(ridge), risk(best)
