"""Local exponents of the test risk, by automatic differentiation in real-valued sizes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scalinglab.models.spectra import Spectrum

from .risk import test_risk

Scalar = Float[Array, ""]


def local_exponents(
    spectrum: Spectrum,
    num_samples: Scalar,
    num_features: Scalar,
    ridge: Scalar,
    noise_variance: Scalar,
) -> tuple[Scalar, Scalar]:
    """-d log L/d log D and -d log L/d log N at the given sizes.

    **Arguments:** as `test_risk`; an infinite size has exponent 0 by definition.

    **Returns:** (data exponent, feature exponent), positive where the risk falls.
    """

    def log_risk(log_samples: Scalar, log_features: Scalar) -> Scalar:
        sizes = jnp.exp(log_samples), jnp.exp(log_features)
        return jnp.log(test_risk(spectrum, *sizes, ridge, noise_variance))

    logs = jnp.log(num_samples), jnp.log(num_features)
    slopes = jax.grad(log_risk, argnums=(0, 1))(*logs)
    data, features = (
        jnp.where(jnp.isfinite(log), -slope, 0.0) for log, slope in zip(logs, slopes, strict=True)
    )
    return data, features
