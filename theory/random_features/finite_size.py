"""What is exact at finite size: identities of Gaussian data and inverse Wishart matrices."""

import jax.numpy as jnp
from jaxtyping import Array, Float

Scalar = Float[Array, ""]


def finite_size_factor(num_samples: Scalar, num_features: Scalar) -> Scalar:
    """The factor from (E2) to the mean over the larger side's Gaussian matrix, at ridge 0.

        (X - 1)(X - m) / (X (X - m - 1)),   X = max(N, D), m = min(N, D)

    Given the features, N < D - 1, the mean over the data is exactly
    (D - 1)/(D - N - 1) (L(N; F) + sigma^2), where (E2) has D/(D - N). What remains is the mean of
    L(N; F) over the features, of relative order 1/m.

    **Arguments:** real sizes that differ by more than one; the larger may be infinite (factor 1).

    **Source:** mean of an inverse Wishart matrix; compare Maloney 2210.16859.
    """
    larger = jnp.maximum(num_samples, num_features)
    smaller = jnp.minimum(num_samples, num_features)
    inverse = 1.0 / larger
    return (1 - inverse) * (1 - smaller * inverse) / (1 - (smaller + 1) * inverse)


def mean_over_data(
    limit_risk: Float[Array, "..."], num_samples: int, num_features: int
) -> Float[Array, "..."]:
    """The exact mean over Gaussian data of the ridgeless test risk, given the features.

        E_X L = (D - 1)/(D - N - 1) L(N; F),   L(N; F) = the risk at infinitely many samples

    both with the noise variance included.

    **Arguments:** `limit_risk`, L(N; F) of one or more feature matrices; sizes with N < D - 1.

    **Raises:** `ValueError` when N >= D - 1, where the mean is infinite or of another form.
    """
    if num_features >= num_samples - 1:
        raise ValueError(
            f"num_features: {num_features} with num_samples {num_samples}; the identity needs "
            "num_features < num_samples - 1"
        )
    return limit_risk * (num_samples - 1) / (num_samples - num_features - 1)


def stated_error(num_samples: float, num_features: float, ridge: float, freedom: float) -> float:
    """The finite-size error of the deterministic equivalent, relative to the risk.

    1/(m (1 - z/m)) with a ridge, m = min(N, D) and z the degrees of freedom; without one
    1/min(m, |N - D|). Measured over 23 settings (docs/random_features.md, 3.1) the deviation
    never exceeded it.
    """
    smaller = min(num_samples, num_features)
    if smaller == float("inf"):
        return 0.0
    gap = smaller - freedom if ridge > 0 else abs(num_samples - num_features)
    return 1.0 / max(min(smaller, gap), 1e-300)
