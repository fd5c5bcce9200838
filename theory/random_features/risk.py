"""Test risk, train risk and the variance decomposition (E2, E3).

With z = df1(kappa), q = df2(kappa), and x = z/N, y = z/D, s = (z - q)/z:

    B2  = sum v2 (kappa/(lambda + kappa))^2
    A   = sum v2 kappa lambda/(lambda + kappa)^2
    V_F = A (z - q)/(N - q)
    gamma = [q (N - 2z) + z^2] / [D (N - q)]
    test risk  = (B2 + V_F + sigma^2)/(1 - gamma)                                            (E2)
    train risk = (1 - z/D)^2 test risk                                                       (E3)

(E2) is evaluated without cancellation near the interpolation peak through

    1 - q/N = (1 - x) + s x,
    (1 - gamma)(1 - q/N) = (1 - x)(1 - y) + s [x (1 - y) + y (1 - x)],

in which every term is positive; both follow by substituting q = z (1 - s).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from scalinglab.models.spectra import Spectrum

from .effective_ridge import SelfConsistent, at_kappa, self_consistent

Scalar = Float[Array, ""]


class Risks(NamedTuple):
    """Test and train risk, and the terms whose sum with the noise variance is the test risk."""

    test_risk: Scalar
    train_risk: Scalar
    bias_squared: Scalar
    variance_features: Scalar
    variance_data: Scalar
    variance_noise: Scalar
    variance_interaction: Scalar


def test_risk(
    spectrum: Spectrum,
    num_samples: Scalar,
    num_features: Scalar,
    ridge: Scalar,
    noise_variance: Scalar,
) -> Scalar:
    """The test risk (E2), label noise included: deterministic equivalent.

    **Arguments:** `spectrum`; real sizes > 0 or infinite; `ridge` >= 0 in the (1/D)
    normalisation; `noise_variance` >= 0.

    **Returns:** the risk; infinite or NaN at ridge 0 and num_samples = num_features.

    **Source:** Simon 2311.14646, RF eigenframework; Atanasov 2405.00592.

    **Limits:** num_features infinite: kernel ridge regression, (B2 + sigma^2)/(1 - q/D);
    num_samples infinite: sum v2 kappa/(lambda + kappa) + sigma^2 at ridge 0.
    """
    return risks(spectrum, num_samples, num_features, ridge, noise_variance).test_risk


# The name is the field's; pytest must not collect it.
test_risk.__test__ = False  # type: ignore[attr-defined]


def risks(
    spectrum: Spectrum,
    num_samples: Scalar,
    num_features: Scalar,
    ridge: Scalar,
    noise_variance: Scalar,
) -> Risks:
    """All of (E2), (E3) and the decomposition; arguments as `test_risk`."""
    state = self_consistent(spectrum, num_samples, num_features, ridge)
    return risks_of(spectrum, state, noise_variance)


def risk_at_kappa(
    spectrum: Spectrum,
    num_samples: Scalar,
    num_features: Scalar,
    kappa: Scalar,
    noise_variance: Scalar,
) -> Scalar:
    """The test risk as a function of the effective ridge: explicit, with no equation to solve."""
    state = at_kappa(spectrum, num_samples, num_features, kappa)
    return risks_of(spectrum, state, noise_variance).test_risk


def risks_of(spectrum: Spectrum, state: SelfConsistent, noise_variance: Scalar) -> Risks:
    """The risks at a solution of (E1)."""
    bias, resolved = _bias_and_resolved(spectrum, state.kappa)
    s = state.unresolved
    x, y = 1 - state.feature_slack, 1 - state.sample_slack
    # Where all modes are resolved (kappa = 0) both terms vanish if N or D equals their number;
    # features then cost nothing, and the ratio is that of infinitely many.
    full_features = (state.feature_slack <= 0) & (s <= 0)
    feature_gap = jnp.where(full_features, 1.0, state.feature_slack + s * x)
    data_gap = state.sample_slack + s * y
    variance_features = resolved * s * x / feature_gap
    numerator = (bias + variance_features + noise_variance) * feature_gap
    denominator = state.feature_slack * state.sample_slack + s * (
        x * state.sample_slack + y * state.feature_slack
    )
    risk = numerator / jnp.where(full_features, state.sample_slack, denominator)
    amplification = y * (1 - s) / data_gap
    variance_data = bias * amplification
    variance_noise = noise_variance * amplification
    explained = noise_variance + bias + variance_features + variance_data + variance_noise
    return Risks(
        test_risk=risk,
        train_risk=state.sample_slack**2 * risk,
        bias_squared=bias,
        variance_features=variance_features,
        variance_data=variance_data,
        variance_noise=variance_noise,
        variance_interaction=risk - explained,
    )


def _bias_and_resolved(spectrum: Spectrum, kappa: Scalar) -> tuple[Scalar, Scalar]:
    """B2 and A, whose sum is sum v2 kappa/(lambda + kappa)."""
    eigenvalues = spectrum.eigenvalues
    filtered = spectrum.multiplicities * spectrum.target_power * kappa / (eigenvalues + kappa) ** 2
    return jnp.sum(filtered * kappa), jnp.sum(filtered * eigenvalues)


def with_input_noise(
    spectrum: Spectrum, input_noise: Scalar, noise_variance: Scalar
) -> tuple[Spectrum, Scalar]:
    """The problem without input noise that has the same risks: an exact mapping.

    Training and testing on x' = x + sqrt(tau) g, with the labels those of x, is the same problem
    with

        lambda' = lambda + tau,  v2' = lambda^2 w^2/(lambda + tau) = lambda v2/(lambda + tau),
        sigma'^2 = sigma^2 + sum tau lambda w^2/(lambda + tau) = sigma^2 + sum tau v2/(lambda + tau)

    since y regressed on x' has coefficients w lambda/(lambda + tau), and an independent residual.

    **Arguments:** `spectrum`, finite (with tau > 0 an infinite one has no trace);
    `input_noise` tau >= 0; `noise_variance`.

    **Returns:** the spectrum and the noise variance to use in every other function here.
    """
    eigenvalues, power = spectrum.eigenvalues, spectrum.target_power
    shifted = eigenvalues + input_noise
    lost = jnp.sum(spectrum.multiplicities * input_noise * power / shifted)
    power = eigenvalues * power / shifted
    mapped = Spectrum(shifted, spectrum.multiplicities, power, spectrum.counts)
    return mapped, noise_variance + lost
