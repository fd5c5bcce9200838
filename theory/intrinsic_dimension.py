"""Estimates of dimension on homogeneous manifolds, exact at every number of samples.

Where every point has the same surroundings, the shares v_1 < .. < v_k of the volume that lie inside
its neighbours' distances are the lowest of N - 1 uniform numbers, v_j ~ Beta(j, N - j), whatever
the other points do. With the distance T(v) at which a share v lies inside,

    E mean_log_ratio = 1/(k - 1) sum_{j<k} (E log T(v_k) - E log T(v_j))                       (R)

    flat torus   T = (v/V_d)^(1/d) below 1/2, so that (R) is 1/d and E levina_bickel = d (k-1)/(k-2)
    sphere       v = I_{T^2/4}(d/2, d/2), for the chord T; (R) differs from 1/d by the curvature

On other manifolds the estimates tend to d, and what boundary, density and curvature change at a
finite number is measured.

| here | symbol |
|---|---|
| intrinsic_dimension | d |
| num_samples, neighbours | N, k |
"""

import functools
import math
from typing import Any

import numpy as np
import scipy.integrate
import scipy.special
from jaxtyping import PRNGKeyArray

from scalinglab.models.intrinsic_dimension import Config
from scalinglab.theory.delaunay_cells import ball_volume, beta_moment
from scalinglab.theory.prediction import Prediction, Theory, predict_from

_SOURCE = "equation (R) of theory.intrinsic_dimension; Levina and Bickel 2004"
_LARGEST_ERROR = 0.02


def wrapped_share(dimension: int, num_samples: int, neighbours: int) -> float:
    """The probability that a ball up to the k-th neighbour is wider than the flat torus.

    **Arguments:** `dimension` d; `num_samples` N; `neighbours` k.
    """
    if dimension == 1:
        return 0.0
    inside = ball_volume(dimension) / 2**dimension
    return float(scipy.special.betaincc(neighbours, num_samples - neighbours, inside))


@functools.lru_cache(maxsize=4096)
def sphere_moments(dimension: int, num_samples: int, rank: int) -> tuple[float, float]:
    """E log T and E T of the chord to the j-th nearest of N - 1 points on the unit sphere S^d.

    **Arguments:** `dimension` d; `num_samples` N; `rank` j >= 1.

    **Limits:** the flat values as N grows, the area of S^d being 2 pi^((d+1)/2)/Gamma((d+1)/2).
    """
    half = dimension / 2

    def chord(chance: float) -> float:
        share = scipy.special.betaincinv(rank, num_samples - rank, chance)
        return 2 * math.sqrt(float(scipy.special.betaincinv(half, half, share)))

    options = {"limit": 200, "epsabs": 1e-11, "epsrel": 1e-9}
    logarithm = scipy.integrate.quad(lambda u: math.log(chord(u)), 0, 1, **options)[0]
    return float(logarithm), float(scipy.integrate.quad(chord, 0, 1, **options)[0])


def _flat(config: Config) -> Prediction:
    """The stated error: distances beyond 1/2 lie below sqrt(d)/2, which changes a logarithm by at
    most log(d)/2, where 1/d is its mean."""
    d, samples, neighbours = config.intrinsic_dimension, config.num_samples, config.neighbours
    moment = beta_moment(1 / d, 1.0, float(samples - 1))
    observables = {
        "mean_log_ratio": 1 / d,
        "nearest_distance": moment * ball_volume(d) ** (-1 / d),
    }
    error = wrapped_share(d, samples, neighbours) * d * math.log(d)
    return Prediction(observables, "flat-ratios", "exact", error, _SOURCE)


def _flat_bias(config: Config) -> Prediction:
    d, neighbours = config.intrinsic_dimension, config.neighbours
    observables = {"levina_bickel": d * (neighbours - 1) / (neighbours - 2)}
    error = wrapped_share(d, config.num_samples, neighbours) * d * math.log(d)
    return Prediction(observables, "levina-bickel-bias", "exact", error, _SOURCE)


def _sphere(config: Config) -> Prediction:
    d, samples, neighbours = config.intrinsic_dimension, config.num_samples, config.neighbours
    logs = [sphere_moments(d, samples, rank)[0] for rank in range(1, neighbours + 1)]
    observables = {
        "mean_log_ratio": logs[-1] - float(np.mean(logs[:-1])),
        "nearest_distance": sphere_moments(d, samples, 1)[1],
    }
    return Prediction(observables, "sphere-ratios", "exact", 0.0, _SOURCE)


def _truth(config: Config) -> Prediction:
    """The stated error is the size of a neighbourhood over that of the manifold, the order of what
    a boundary changes, and the noise of N (k - 1) logarithms."""
    d, samples = config.intrinsic_dimension, config.num_samples
    error = samples ** (-1 / d) + 1 / math.sqrt(samples * (config.neighbours - 1))
    observables = {"dimension": float(d), "two_nn": float(d)}
    return Prediction(observables, "true-dimension", "asymptotic", error, _SOURCE)


def _is_flat(config: Config) -> bool:
    d = config.intrinsic_dimension
    wrapped = wrapped_share(d, config.num_samples, config.neighbours) * d * math.log(d)
    return config.manifold == "flat-torus" and float(config.noise) == 0 and wrapped < _LARGEST_ERROR


def _is_sphere(config: Config) -> bool:
    return config.manifold == "sphere" and float(config.noise) == 0


THEORIES = (
    Theory(
        "flat-ratios",
        "exact",
        ("mean_log_ratio", "nearest_distance"),
        _is_flat,
        _flat,
        _SOURCE,
    ),
    Theory(
        "sphere-ratios",
        "exact",
        ("mean_log_ratio", "nearest_distance"),
        _is_sphere,
        _sphere,
        _SOURCE,
    ),
    Theory(
        "levina-bickel-bias",
        "exact",
        ("levina_bickel",),
        # At k = 3 the mean is finite and the variance is not, at k = 2 neither.
        lambda config: _is_flat(config) and config.neighbours >= 4,
        _flat_bias,
        _SOURCE,
    ),
    Theory(
        "true-dimension",
        "asymptotic",
        ("dimension", "two_nn"),
        lambda config: config.manifold != "digits" and float(config.noise) == 0,
        _truth,
        _SOURCE,
    ),
)


def predict(config: Config, theory: str | None = None, *, key: PRNGKeyArray | None = None) -> Any:
    """The `Prediction` for estimates of dimension, or for `theory='all'` a dict of all that apply.

    **Raises:** `ValueError` for an unknown theory and one that does not apply; `RuntimeError`
    without float64.
    """
    return predict_from(THEORIES, config, theory, key=key)
