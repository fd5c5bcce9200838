"""Closed forms for a power-law spectrum: the continuum limit of the self-consistent equations.

With lambda_i = i^-a and 1 << z, df1(kappa) = C kappa^(-1/a) - 1/2 + ... and df2 = (1 - 1/a) df1,
C = (pi/a)/sin(pi/a). For an isotropic noiseless teacher (b = a, sigma = 0) the joint law is then
an explicit curve in the parameter z = df1 in (0, min(N, D)):

    ridge(z) = (C/z)^a (1 - z/N)(1 - z/D)
    L(z)     = (C/z)^a (z/a) N D / [N D - (1 - 1/a) z (N + D) + (1 - 2/a) z^2]               (E5)

symmetric in N and D. Minimising over the ridge, z* is the root in (0, min(N, D)) of

    ((a + 1)(a - 2)/a) z^2 - (a - 1)(N + D) z + (a - 1) N D = 0                              (E6)

At a = 2 (alpha_K = 1) it is z* = N D/(N + D), and L* = (pi^2/4)(1/N + 1/D): the additive form is
exact. All sizes are real, positive, and may be infinite: the code divides by N D throughout.

| here | symbol | Bahri 2102.06701 |
|---|---|---|
| eigenvalue_decay | a | 1 + alpha_K |
| target_decay | b | - |
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

Scalar = Float[Array, ""]


def spectral_constant(eigenvalue_decay: Scalar) -> Scalar:
    """C = (pi/a)/sin(pi/a), the integral of 1/(1 + t^a) over t > 0."""
    angle = jnp.pi / eigenvalue_decay
    return angle / jnp.sin(angle)


def ridgeless_kappa(eigenvalue_decay: Scalar, size: Scalar) -> Scalar:
    """kappa = [C/(m + 1/2)]^a, where df1(kappa) = m on the infinite spectrum.

    The leading relative error is a kappa |zeta(-a)|/(m + 1/2), zero at a = 2.

    **Arguments:** `eigenvalue_decay` a > 1; `size` m = min(N, D) >= 1.
    """
    return (spectral_constant(eigenvalue_decay) / (size + 0.5)) ** eigenvalue_decay


def joint_risk(
    eigenvalue_decay: Scalar, num_samples: Scalar, num_features: Scalar, freedom: Scalar
) -> tuple[Scalar, Scalar]:
    """(E5): the ridge and the test risk at `freedom` z degrees of freedom; asymptotic.

    **Arguments:** `eigenvalue_decay` a > 1; sizes > 0 or infinite; `freedom` z in
    (0, min(N, D)]. At z = min(N, D) the ridge is zero.

    **Returns:** (ridge, test_risk) for b = a and no noise.
    """
    a = eigenvalue_decay
    x, y = freedom / num_features, freedom / num_samples
    kappa = (spectral_constant(a) / freedom) ** a
    ridge = kappa * (1 - x) * (1 - y)
    risk = kappa * freedom / a / (1 - (1 - 1 / a) * (x + y) + (1 - 2 / a) * x * y)
    return ridge, risk


def optimal_freedom(eigenvalue_decay: Scalar, num_samples: Scalar, num_features: Scalar) -> Scalar:
    """(E6): the degrees of freedom z* at the optimal ridge, b = a and no noise; asymptotic.

    In t = z/min(N, D) and r = min/max, (E6) is (a+1)(a-2)/a r t^2 - (a-1)(1 + r) t + (a-1) = 0,
    whose root in (0, 1) is taken in the form that has no cancellation and holds at a = 2 and r = 0.
    """
    a = eigenvalue_decay
    smaller = jnp.minimum(num_samples, num_features)
    ratio = smaller * jnp.minimum(1.0 / num_samples, 1.0 / num_features)
    quadratic = (a + 1) * (a - 2) / a * ratio
    linear, constant = (a - 1) * (1 + ratio), a - 1
    discriminant = jnp.sqrt(linear**2 - 4 * quadratic * constant)
    return smaller * 2 * constant / (linear + discriminant)


def optimal_joint_risk(
    eigenvalue_decay: Scalar, num_samples: Scalar, num_features: Scalar
) -> tuple[Scalar, Scalar]:
    """The optimal ridge and its test risk L*(N, D), b = a and no noise; asymptotic."""
    freedom = optimal_freedom(eigenvalue_decay, num_samples, num_features)
    return joint_risk(eigenvalue_decay, num_samples, num_features, freedom)


def additive_risk(eigenvalue_decay: Scalar, num_samples: Scalar, num_features: Scalar) -> Scalar:
    """A (N^-(a-1) + D^-(a-1)) with A = C^a, the sum of the two single-size limits of L*.

    Each limit of (E6) is the ridgeless one: z* = min(N, D), L* = C^a m^(1-a).
    """
    a = eigenvalue_decay
    amplitude = spectral_constant(a) ** a
    return amplitude * (num_samples ** (1 - a) + num_features ** (1 - a))


class Exponents(NamedTuple):
    """The exponents of the four regimes, positive for a risk that falls."""

    resolution_data: Scalar
    resolution_features: Scalar
    variance_data: Scalar
    variance_features: Scalar


def asymptotic_exponents(eigenvalue_decay: Scalar, target_decay: Scalar) -> Exponents:
    """The exponents of L in each regime, without noise and ridge; asymptotic.

    resolution_data (N infinite): min(b - 1, 2a); resolution_features (D infinite): min(b - 1, a);
    both variance-limited ones 1. For b = a the first two are alpha_K = a - 1: duality, which breaks
    where b - 1 > a.

    **Source:** Bahri 2102.06701, section 2.4, for b = a; the spectral bias sum v2 kappa^2/(...)^2
    against sum v2 kappa/(...) for the rest.
    """
    a, b = jnp.asarray(eigenvalue_decay), jnp.asarray(target_decay)
    one = jnp.ones_like(a)
    return Exponents(jnp.minimum(b - 1, 2 * a), jnp.minimum(b - 1, a), one, one)
