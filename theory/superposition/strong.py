"""The prefactor of the 1/m law of random frames, without a fitted number.

Symbols: n features of equal probability E/n, m dimensions, b = -beta/sqrt(m); S squared activity;
H(t) = (1 + t^2) Phi(-t) - t phi(t) = E ReLU(z - t)^2.

For n >> m >> c the loss (S) with kappa^2 = 1/m is c(n, E)/m. An active feature is above threshold
and costs b^2 + sigma^2; a silent one costs sigma^2 H(beta/sqrt(S)):

    c(n, E) = min_beta { E (g beta^2 + 4E/3) + n E_S[S H(beta/sqrt(S))] },                     (C)

g = 1 for unit rows. A free common gain a = 1 + 3/4 beta/sqrt(m) cancels the mean of the shift and
leaves g = 1/4. c grows like log n and faster than E. The formula is asymptotic in m; at finite m
use `core_frame` or `random_frame`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from .activity import flat, squared_activity
from .minimum import least


class StrongConstant(NamedTuple):
    """c(n, E), m times the loss, and the minimising `threshold` beta = -b sqrt(m)."""

    constant: float
    threshold: float


def gaussian_excess(threshold: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """H(t) = E ReLU(z - t)^2 for standard normal z."""
    density = np.exp(-(threshold**2) / 2) / np.sqrt(2 * np.pi)
    return (1 + threshold**2) * ndtr(-threshold) - threshold * density


def strong_constant(
    num_features: int, activation_density: float = 1.0, *, free_gain: bool = False
) -> StrongConstant:
    """Equation (C): the limit of m L for random frames, n >> m >> c.

    **Arguments:** `num_features` n; `activation_density` E; `free_gain`, whether the common row
    norm is optimised or 1.
    """
    law = squared_activity(flat(float(num_features), activation_density))
    values, weights = law.values[1:], law.weights[1:]
    shift = 0.25 if free_gain else 1.0

    def scaled_loss(threshold: float) -> float:
        silent = num_features * weights @ (values * gaussian_excess(threshold / np.sqrt(values)))
        return activation_density * (shift * threshold**2 + 4 / 3 * activation_density) + float(
            silent
        )

    # H <= exp(-t^2/2), so that beta need not exceed sqrt(2 log n) times the largest sqrt(S).
    high = float(np.sqrt(2 * np.log(num_features + 1) * values.max()))
    found = least(scaled_loss, (0.0, high), 1e-9)
    return StrongConstant(found.value, found.at)
