"""The steps that a batch size takes to a target, at the best learning rate of each.

With D equal eigenvalues 1 and no noise a step of eta = g B multiplies the mean risk by

    (1 - eta)^2 + eta^2 (D + 1)/B,   least, 1 - eta, at eta = 1/(1 + (D + 1)/B),

so that S steps to a share epsilon of the start are ln(1/epsilon)/(-ln(1 - eta)), which for
B << D + 1 is the hyperbola (1 + (D + 1)/B) ln(1/epsilon): the critical batch size is D + 1. Other
spectra and label noise keep the hyperbola only roughly; `steps_to_target` gives their S(B).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float

from scalinglab.models.power_law_sgd.eigenbasis import Modes
from scalinglab.models.power_law_sgd.stability import kernel_norm
from scalinglab.theory.prediction import require_float64

from .moments import Count, risk_in_closed_form

_BISECTIONS = 100


class Isotropic(NamedTuple):
    """Equal eigenvalues 1 without noise: the best `rate` eta = g B, the `factor` of the risk a
    step, and the critical batch size `critical`."""

    rate: float
    factor: float
    critical: float


def isotropic_optimum(dimension: int, batch_size: int) -> Isotropic:
    """The best rate for D equal eigenvalues, and how fast it is.

        eta = 1/(1 + (D + 1)/B),  risk -> (1 - eta) risk,  B_c = D + 1

    **Arguments:** `dimension` D >= 1; `batch_size` B >= 1.

    **Returns:** `Isotropic`, exact for Gaussian data.

    **Raises:** `ValueError` for sizes below 1.
    """
    if dimension < 1 or batch_size < 1:
        raise ValueError(
            f"dimension, batch_size: {dimension}, {batch_size}; give at least 1 of each"
        )
    rate = 1 / (1 + (dimension + 1) / batch_size)
    return Isotropic(rate, 1 - rate, dimension + 1.0)


def isotropic_steps(dimension: int, batch_size: int, share: float) -> float:
    """Steps to `share` of the risk at the start, ln(1/share)/(-ln(1 - eta)), not rounded up.

    **Arguments:** as of `isotropic_optimum`; `share` in (0, 1).

    **Raises:** `ValueError` outside those ranges.

    **Limits:** (1 + B_c/B) ln(1/share) for B << D + 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share: {share!r}; give a number in (0, 1)")
    return math.log(share) / math.log(isotropic_optimum(dimension, batch_size).factor)


def steps_to_target(
    modes: Modes,
    rates: Float[Array, " rates"],
    batch_size: Count,
    target: Float[Array, ""],
    *,
    longest: Float[Array, ""],
) -> Float[Array, " rates"]:
    """Steps at a constant rate until the mean risk is at the target, for each rate.

    **Arguments:** `modes`, with the label noise in `least_risk`, of which padded ones have the
    eigenvalue 0; `rates` g of the summed gradient; `batch_size` B; `target` > 0, a risk below that
    at the start; `longest`, the most steps.

    **Returns:** real numbers by bisection of the closed form (exact second moments), infinite where
    the risk at `longest` is above the target or the rate is not stable. The least over rates is
    S(B).

    **Raises:** `ValueError` for a target that is not finite and positive.

    **Limits:** equal eigenvalues without noise are `isotropic_steps`.
    """
    require_float64()
    if not isinstance(target, Tracer) and not 0 < float(target) < math.inf:
        raise ValueError(f"target: {float(target)!r}; give a finite risk above 0")

    def one(rate: Array) -> Array:
        curve = risk_in_closed_form(modes, rate, batch_size)
        # Padded modes neither grow nor decay, and have no part in the verdict.
        _, stable = kernel_norm(modes.eigenvalues, rate, batch_size)

        def above(step: Array) -> Array:
            return curve.at(step[None])[0] > target

        def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = ends
            middle = (low + high) / 2
            late = above(middle)
            return jnp.where(late, middle, low), jnp.where(late, high, middle)

        low, high = lax.fori_loop(0, _BISECTIONS, halve, (jnp.zeros_like(longest), longest))
        return jnp.where(stable & ~above(longest), (low + high) / 2, jnp.inf)

    return jax.vmap(one)(rates)
