"""The loss of one feature under Gaussian interference, given how active the others are.

Symbols: a squared row norm (`gain`), b bias, kappa^2 mean squared overlap, S squared activity of
the other features, sigma^2 = a^2 kappa^2 S. With overlaps taken as Gaussian and drawn anew for
every sample (annealed), the interference eta on a feature is N(0, sigma^2) given S, and

    l(p, b, a) = p E (ReLU(a v + b + eta) - v)^2 + (1 - p) E ReLU(b + eta)^2,    v ~ U(0, 2).   (S)

Write M_k(mu) = E ReLU(mu + eta)^k, so that M_k' = k M_(k-1). The mean over v is then closed:

    E_v M_2(av + b)   = [M_3]/(6a),   E_v 2 v M_1(av + b) = M_2(2a + b)/a - [M_3]/(6a^2),

with [M_3] = M_3(2a + b) - M_3(b). The atom of S at 0 is the limit M_k = ReLU^k.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from .activity import SquaredActivity
from .minimum import least
from .weak import dead_loss

Floats = Float[np.ndarray, "..."]


class BestBias(NamedTuple):
    """The least loss of one feature and the `bias` that gives it."""

    loss: float
    bias: float


def rectified_moments(mean: Floats, deviation: Floats) -> tuple[Floats, Floats, Floats]:
    """E ReLU(mu + sigma z)^k, k = 1, 2, 3, for standard normal z.

    With t = mu/sigma: sigma (t Phi + phi), sigma^2 ((t^2+1) Phi + t phi),
    sigma^3 ((t^3+3t) Phi + (t^2+2) phi).

    **Arguments:** `mean` mu; `deviation` sigma >= 0, of the same shape.
    """
    spread = np.where(deviation > 0, deviation, 1)
    t = mean / spread
    upper = ndtr(t)
    density = np.exp(-t * t / 2) / np.sqrt(2 * np.pi)
    factors = (
        t * upper + density,
        (t * t + 1) * upper + t * density,
        (t**3 + 3 * t) * upper + (t * t + 2) * density,
    )
    positive = np.maximum(mean, 0)
    first, second, third = (
        np.where(deviation > 0, spread**k * factor, positive**k)
        for k, factor in enumerate(factors, 1)
    )
    return first, second, third


def interference_loss(
    probability: float,
    bias: float,
    gain: float,
    activity: SquaredActivity,
    mean_square_overlap: float,
) -> float:
    """l(p, b, a) of equation (S), exact in v, a finite sum over S.

    **Arguments:** `probability` p in [0, 1]; `bias` b; `gain` a > 0; `activity`, the law of S of
    the other features; `mean_square_overlap` kappa^2 >= 0.
    """
    if not gain > 0:
        raise ValueError(f"gain: {gain}; give a squared row norm above 0")
    deviation = gain * np.sqrt(mean_square_overlap * activity.values)
    _, second, third = rectified_moments(np.full_like(deviation, 2 * gain + bias), deviation)
    _, silent, low = rectified_moments(np.full_like(deviation, bias), deviation)
    rise = (third - low) / (6 * gain)
    active = rise - second / gain + rise / gain + 4 / 3
    return float(activity.weights @ (probability * active + (1 - probability) * silent))


def best_bias(
    probability: float, gain: float, activity: SquaredActivity, mean_square_overlap: float
) -> BestBias:
    """min over b of `interference_loss`, capped at the loss of a dead feature, 4/3 p - p^2.

    A capped feature has no row and the bias p.
    """

    def loss(bias: float) -> float:
        return interference_loss(probability, bias, gain, activity, mean_square_overlap)

    # Below -2a the feature is silent. The loss may have two minima: scan, then refine the lowest.
    scan = np.linspace(-2 * gain, gain / 2, 60)
    lowest = int(np.argmin([loss(float(bias)) for bias in scan]))
    low, high = max(lowest - 1, 0), min(lowest + 1, len(scan) - 1)
    found = least(loss, (float(scan[low]), float(scan[high])), 1e-9)
    dead = float(dead_loss(np.array([probability]))[0])
    if found.value > dead:
        return BestBias(dead, probability)
    return BestBias(found.value, found.at)
