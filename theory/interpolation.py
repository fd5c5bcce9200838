"""Losses of the nearest neighbour and of piecewise-linear interpolation, with their amplitudes.

Nearest neighbour, exact where its ball lies inside the cube: v = V_d r^d ~ Beta(1, D), and the
direction is uniform. Averaged over the phases of the target (equation (A) of the model),

    L = 2 E[1 - Lambda_d(omega r)],  Lambda_d(k) = 0F1(d/2; -k^2/4)                            (N)
      -> (omega^2/d) Gamma(1 + 2/d) (D V_d)^(-2/d),      E r -> Gamma(1 + 1/d) (D V_d)^(-1/d)

Piecewise linear: with the moments of the simplex around a point (`theory.delaunay_cells`), m_k =
sum_i w_i (a_i - sum_j w_j a_j)^k over its vertices, in units of its circumradius R,

    L = (omega^4/4) E R^4 E m_2^2 - omega^6 E R^6 (E m_2 m_4/24 - E m_3^2/36) + O(omega^8)      (P)
      -> (omega^4/4) E m_2^2 [Gamma(d + 1 + 4/d)/d!] (D V_d)^(-4/d)

from |1 - sum_i w_i exp(i theta_i)|^2 in powers of the angles, whose weighted mean is zero.

Theorem 2 of the paper: L = O(K_L max(K_f, K_F) D^(-1/d)) for Lipschitz loss, fit and target. For
the nearest neighbour (f - F)^2 <= max|f - F| K_F r, with K_F <= sqrt(2) omega and
max|f - F| <= 2 sqrt(2 d).

| here | symbol | arXiv 2102.06701 |
|---|---|---|
| dimension, num_samples | d, D | d, D |
| nearest_loss | L | 2/d, n = 2 |
| linear_loss | L | 4/d, n = 4 |
| Lipschitz constant of the target | K_F | K_F |
"""

import functools
import math
from typing import Any, NamedTuple

import scipy.integrate
import scipy.special
from jaxtyping import PRNGKeyArray

from scalinglab.models.interpolation import Config
from scalinglab.theory.delaunay_cells import CENTRAL, ball_volume, beta_moment, mean_of, times
from scalinglab.theory.prediction import Prediction, Theory, predict_from

_PAPER = "arXiv 2102.06701, Theorem 2 and the estimate after it"
_NEIGHBOUR = "equation (N) of theory.interpolation"
_CELLS = "equation (P) of theory.interpolation"
# Beyond this the faces of the cube matter, and (N) does not hold.
_LARGEST_ERROR = 0.05


class Neighbour(NamedTuple):
    """The mean distance to the nearest sample, and the mean squared error of its label."""

    distance: float
    loss: float


@functools.lru_cache(maxsize=4096)
def neighbour_law(dimension: int, num_samples: int, frequency: float) -> Neighbour:
    """Equation (N), without faces.

    **Arguments:** `dimension` d >= 1; `num_samples` D >= 1; `frequency` omega > 0, in radians.

    **Limits:** `neighbour_asymptote` as D grows; a loss of 2 at high frequency, where labels of
    neighbours are independent.
    """
    volume = ball_volume(dimension)

    def mean_loss(chance: float) -> float:
        inside = -math.expm1(math.log1p(-chance) / num_samples)
        radius = (inside / volume) ** (1 / dimension)
        angle = frequency * radius / 2
        # 1 - 0F1 loses the digits of a small argument; two terms are then enough.
        if angle < 1e-3:
            return 4 * angle**2 / dimension * (1 - angle**2 / (dimension + 2))
        return 2 - 2 * float(scipy.special.hyp0f1(dimension / 2, -(angle**2)))

    loss = scipy.integrate.quad(mean_loss, 0, 1, limit=200, epsabs=0, epsrel=1e-9)[0]
    distance = beta_moment(1 / dimension, 1.0, float(num_samples)) * volume ** (-1 / dimension)
    return Neighbour(distance, float(loss))


def neighbour_asymptote(dimension: int, num_samples: int | float, frequency: float) -> Neighbour:
    """The limit of (N) as D grows: D^(-1/d) for the distance, D^(-2/d) for the loss.

    **Arguments:** as `neighbour_law`; `num_samples` may be any positive number.
    """
    density = num_samples * ball_volume(dimension)
    distance = math.gamma(1 + 1 / dimension) * density ** (-1 / dimension)
    square = math.gamma(1 + 2 / dimension) * density ** (-2 / dimension)
    return Neighbour(distance, frequency**2 * square / dimension)


class Linear(NamedTuple):
    """The loss of piecewise-linear interpolation: (P), its first term, the second over it."""

    loss: float
    leading: float
    correction: float


def linear_law(dimension: int, num_samples: int, frequency: float) -> Linear:
    """Equation (P), without faces.

    **Arguments:** as `neighbour_law`, with D > d.

    **Limits:** omega^4/D^4 for d = 1, and proportional to D^(-4/d).
    """
    first, second = dimension + 1.0, float(num_samples - dimension)
    scale = frequency * ball_volume(dimension) ** (-1 / dimension)
    square, sixth = _shape_moments(dimension)
    leading = scale**4 / 4 * beta_moment(4 / dimension, first, second) * square
    correction = scale**6 * beta_moment(6 / dimension, first, second) * sixth / leading
    return Linear(leading * (1 + correction), leading, correction)


@functools.lru_cache(maxsize=64)
def _shape_moments(dimension: int) -> tuple[float, float]:
    """E m_2^2, and E m_3^2/36 - E m_2 m_4/24."""
    second, third, fourth = (CENTRAL[k] for k in (2, 3, 4))
    return (
        mean_of(times(second, second), dimension),
        mean_of(times(third, third), dimension) / 36
        - mean_of(times(second, fourth), dimension) / 24,
    )


def _face_error(config: Config) -> float:
    """How much the faces can change (N), relative to it.

    A nearest sample farther than the margin has the probability (1 - V_d margin^d)^D. It is then
    at most sqrt(d) (1 - margin) away, where the loss is at most 4 and at most omega^2 r^2/d.
    """
    d, margin = config.dimension, float(config.margin)
    inside = ball_volume(d) * margin**d
    chance = math.exp(config.num_samples * math.log1p(-inside)) if inside < 1 else 0.0
    found = neighbour_law(d, config.num_samples, float(config.frequency))
    largest = min(4.0, (float(config.frequency) * (1 - margin)) ** 2)
    farthest = math.sqrt(d) * (1 - margin)
    return chance * max(largest / found.loss, farthest / found.distance)


def _neighbour(config: Config) -> Prediction:
    found = neighbour_law(config.dimension, config.num_samples, float(config.frequency))
    observables = {"nearest_loss": found.loss, "nearest_distance": found.distance}
    return Prediction(observables, "neighbour-law", "exact", _face_error(config), _NEIGHBOUR)


def _asymptote(config: Config) -> Prediction:
    sizes = config.dimension, config.num_samples, float(config.frequency)
    found, exact = neighbour_asymptote(*sizes), neighbour_law(*sizes)
    observables = {"nearest_loss": found.loss, "nearest_distance": found.distance}
    error = max(abs(found.loss / exact.loss - 1), abs(found.distance / exact.distance - 1))
    error += _face_error(config)
    return Prediction(observables, "neighbour-asymptote", "asymptotic", error, _PAPER)


def _linear(config: Config) -> Prediction:
    """The stated error estimates what the series leaves out, as the square of its second term,
    and the faces, as the share of (P) from circumscribed balls of a radius above the margin."""
    d, samples = config.dimension, config.num_samples
    found = linear_law(d, samples, float(config.frequency))
    reach = min(1.0, ball_volume(d) * float(config.margin) ** d)
    share = float(scipy.special.betaincc(d + 1 + 4 / d, samples - d, reach))
    error = found.correction**2 + share
    return Prediction({"linear_loss": found.loss}, "cell-law", "asymptotic", error, _CELLS)


def _bound(config: Config) -> Prediction:
    d, frequency = config.dimension, float(config.frequency)
    distance = neighbour_law(d, config.num_samples, frequency).distance
    largest = 2 * math.sqrt(2 * d) * math.sqrt(2) * frequency * distance
    error = _face_error(config)
    return Prediction({"nearest_loss": largest}, "lipschitz-bound", "bound", error, _PAPER)


def _is_inside(config: Config) -> bool:
    return _face_error(config) <= _LARGEST_ERROR


THEORIES = (
    Theory(
        "neighbour-law",
        "exact",
        ("nearest_loss", "nearest_distance"),
        _is_inside,
        _neighbour,
        _NEIGHBOUR,
    ),
    Theory(
        "neighbour-asymptote",
        "asymptotic",
        ("nearest_loss", "nearest_distance"),
        lambda config: True,
        _asymptote,
        _PAPER,
    ),
    Theory("cell-law", "asymptotic", ("linear_loss",), lambda config: True, _linear, _CELLS),
    Theory("lipschitz-bound", "bound", ("nearest_loss",), _is_inside, _bound, _PAPER),
)


def predict(config: Config, theory: str | None = None, *, key: PRNGKeyArray | None = None) -> Any:
    """The `Prediction` for interpolation, or for `theory='all'` a dict of all that apply.

    **Raises:** `ValueError` for an unknown theory and one that does not apply; `RuntimeError`
    without float64.
    """
    return predict_from(THEORIES, config, theory, key=key)
