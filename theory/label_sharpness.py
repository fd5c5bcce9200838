"""The error of the nearest neighbour on a flat torus: exact as N grows, and the bound K_F E r.

With r the distance to the nearest of N - 1 others and u its direction, uniform on the sphere,

    E |F(x) - F(x')| -> E|grad F . u| E r,   E r = Gamma(1 + 1/d) Gamma(N)/Gamma(N + 1/d) V_d^(-1/d)
    E|grad F . u| = 2 pi m sqrt(2/d) E|c| E|u_1|,   c_j = cos(theta_j), theta_j uniform
    E|c| = pi^(-1/2) int_0^inf (1 - M(s^2)^d)/s^2 ds,   M(t) = E exp(-t cos^2) = e^(-t/2) I_0(t/2)
    E|u_1| = Gamma(d/2)/(sqrt(pi) Gamma((d + 1)/2))

    error <= K_F E r,   K_F <= max |grad F| = 2 sqrt(2) pi m

so that the bound has the right power of N, and is too large by sqrt(d)/(E|c| E|u_1|): pi/2 for d =
1, and growing as sqrt(pi d) since the steepest slope is rare and seldom along u.

| here | symbol | arXiv 2401.08865 |
|---|---|---|
| sharpness | K_F | K_F |
| num_samples, intrinsic_dimension | N, d | N, d_data |
| periods | m | |
"""

import functools
import math
from typing import Any

import scipy.integrate
import scipy.special
from jaxtyping import PRNGKeyArray

from scalinglab.models.label_sharpness import Config
from scalinglab.theory.delaunay_cells import ball_volume, beta_moment
from scalinglab.theory.intrinsic_dimension import wrapped_share
from scalinglab.theory.prediction import Prediction, Theory, predict_from

_SOURCE = "theory.label_sharpness, after arXiv 2401.08865"


def largest_slope(periods: int) -> float:
    """max |grad F| = 2 sqrt(2) pi m, at every d.

    **Arguments:** `periods` m of the target along each side.
    """
    return 2 * math.sqrt(2) * math.pi * periods


@functools.lru_cache(maxsize=64)
def mean_directional_slope(dimension: int) -> float:
    """E|grad F . u| over the largest slope, E|c| E|u_1|/sqrt(d).

    **Arguments:** `dimension` d >= 1.

    **Limits:** 2/pi for d = 1, 1/sqrt(pi d) as d grows.
    """

    def integrand(s: float) -> float:
        # -expm1(d log M) keeps the digits of 1 - M^d at small s.
        return -math.expm1(dimension * math.log(scipy.special.ive(0, s * s / 2))) / (s * s)

    parts = (scipy.integrate.quad(integrand, *ends, epsabs=1e-12)[0] for ends in _HALVES)
    cosines = sum(parts, 0.0) / math.sqrt(math.pi)
    half = dimension / 2
    component = math.exp(math.lgamma(half) - math.lgamma(half + 0.5)) / math.sqrt(math.pi)
    return float(cosines * component / math.sqrt(dimension))


_HALVES = ((0.0, 1.0), (1.0, math.inf))


def nearest_distance(dimension: int, num_samples: int) -> float:
    """E r, exact where no ball is wider than the torus.

    **Arguments:** `dimension` d; `num_samples` N, of which N - 1 are others.
    """
    moment = beta_moment(1 / dimension, 1.0, float(num_samples - 1))
    return moment * ball_volume(dimension) ** (-1 / dimension)


def _amplitude(config: Config) -> Prediction:
    """The stated error: the next order of sin(pi m r_j)/(pi m r_j), E r_j^2 = r^2/d; balls wider
    than the torus; and what the sharpest pair of N points lacks, of the order of r^2 too."""
    d, samples, periods = config.intrinsic_dimension, config.num_samples, int(config.periods)
    distance = nearest_distance(d, samples)
    slope = largest_slope(periods)
    share = mean_directional_slope(d)
    observables = {
        "sharpness": slope,
        "neighbour_error": slope * share * distance,
        "nearest_distance": distance,
        "slack": 1 / share,
    }
    error = (math.pi * periods * distance) ** 2 / 2 + wrapped_share(d, samples, 1) * math.sqrt(d)
    return Prediction(observables, "mean-slope", "asymptotic", error, _SOURCE)


def _bound(config: Config) -> Prediction:
    d, samples = config.intrinsic_dimension, config.num_samples
    largest = largest_slope(int(config.periods)) * nearest_distance(d, samples)
    error = wrapped_share(d, samples, 1) * math.sqrt(d)
    return Prediction({"neighbour_error": largest}, "sharpness-bound", "bound", error, _SOURCE)


THEORIES = (
    Theory(
        "mean-slope",
        "asymptotic",
        ("sharpness", "neighbour_error", "nearest_distance", "slack"),
        lambda config: True,
        _amplitude,
        _SOURCE,
    ),
    Theory("sharpness-bound", "bound", ("neighbour_error",), lambda config: True, _bound, _SOURCE),
)


def predict(config: Config, theory: str | None = None, *, key: PRNGKeyArray | None = None) -> Any:
    """The `Prediction` for labels on a torus, or for `theory='all'` a dict of all that apply.

    **Raises:** `ValueError` for an unknown theory; `RuntimeError` without float64.
    """
    return predict_from(THEORIES, config, theory, key=key)
