"""Characteristic functions of the interference that features exert on each other.

Symbols: rho overlap, v ~ U(0, 2) active value, x the time in units of 1/gain. One active feature
contributes gain * rho * v, a silent one nothing; features are active independently, and each row's
overlaps are drawn independently from one law, so that

    phi(t) = prod_j (1 + p_j u(x)),   u(x) = E exp(i x rho v) - 1.                             (F)

For a frame of independent uniform rows this holds exactly, given a row. The compound Poisson form
exp(E u) is its limit for rare features.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float
from scipy.special import erf

from .activity import Features
from .overlaps import OverlapLaw

Times = Float[np.ndarray, " times"]
Transform = Complex[np.ndarray, " times"]


def value_transform(x: Float[np.ndarray, "..."]) -> Complex[np.ndarray, "..."]:
    """E exp(i x v) = exp(ix) sin(x)/x for v ~ U(0, 2)."""
    sine = np.sin(x)
    ratio = np.divide(sine, x, out=np.ones_like(x), where=x != 0)
    return ratio * np.cos(x) + 1j * (ratio * sine)


def law_transform(law: OverlapLaw, x: Times) -> Transform:
    """u(x) of a law with atoms."""
    return law.weights @ value_transform(law.overlaps[:, None] * x) - 1


def gaussian_transform(mean_square: float, x: Times) -> Transform:
    """u(x) for rho ~ N(0, kappa^2): sqrt(pi)/2 erf(z)/z - 1 with z = sqrt(2) kappa x."""
    z = np.maximum(np.sqrt(2 * mean_square) * np.abs(x), 1e-8)
    return (np.sqrt(np.pi) / 2 * erf(z) / z - 1).astype(complex)


class Interference(NamedTuple):
    """What each group receives: phi at some times, and the chance that nobody else is active.

    **Fields:** `characteristic` phi of (F); `alone` q = prod (1 - p_j) over the others.
    """

    characteristic: Complex[np.ndarray, "groups times"]
    alone: Float[np.ndarray, " groups"]


def interference(features: Features, transform: Transform) -> Interference:
    """Equation (F) for a feature of each group, itself left out.

    **Arguments:** `features`, who share one law of overlaps; `transform` u at the times.
    """
    logarithms = np.log1p(features.probabilities[:, None] * transform)
    characteristic = np.exp(features.counts @ logarithms - logarithms)
    return Interference(characteristic, silent_chance((features,), features))


def silent_chance(everyone: Iterable[Features], features: Features) -> Float[np.ndarray, " groups"]:
    """The chance that none but a feature of each group of `features` is active."""
    logarithm = sum(float(f.counts @ _log_silent(f.probabilities)) for f in everyone)
    return np.exp(logarithm - _log_silent(features.probabilities))


def _log_silent(probabilities: Float[np.ndarray, " groups"]) -> Float[np.ndarray, " groups"]:
    # The densest frequencies have p_1 = 1; a floor keeps infinity minus infinity out.
    return np.log(np.maximum(1 - probabilities, 1e-15))


def reach(gain: float, mean_square: float, activity: float) -> float:
    """A bound in practice on |eta|: 6 (1 + sqrt(E)) standard deviations of one active feature.

    **Arguments:** `gain` a; `mean_square` kappa^2; `activity` E.
    """
    return 6 * gain * float(np.sqrt(mean_square)) * (1 + float(np.sqrt(max(activity, 1))))
