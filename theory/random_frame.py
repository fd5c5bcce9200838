"""Frozen random frames: the mean over frames is exact, the best gain and bias are its minimum.

    L(a, b) = n { p E A(b + eta) + (1 - p) E B(b + eta) },   p = E/n,

with A, B and the law of the interference eta of `theory.superposition.random_frame`, equation (RF):
given a row, its overlaps with the others are independent, rho^2 ~ Beta(1/2, (m-1)/2), so that L is
the mean over frames and data at every n and m. The simulation takes the best a and b of each frame
where the theory takes those of the mean.

The stated error is one standard deviation between frames. To leading order a frame changes the
loss through the empirical law of its overlaps, of which n(n-1)/2 are pairwise independent. With
g(rho) the derivative of L with respect to the weight of rho in that law,

    sd(L) = sqrt(2 Var g(rho) / (n(n-1))),                                                      (V)

2/n to 4/n of L for n = 200..4000 and m/n from 0.1 to 0.4. Measured at n = 60: 1.01 of (V) at m =
24, 1.3 to 1.4 at m = 6, where higher orders matter. What tuning to one frame gains is O(1/n^2). The
samples' error comes on top: `loss_error`.

| here | symbol | arXiv 2505.10465 |
|---|---|---|
| num_features, width | n, m | n, m |
| activation_density | E | E |
| gain | a | squared norm of a row |
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import PRNGKeyArray

from scalinglab.models.random_frame import Config
from scalinglab.theory.prediction import Prediction, Theory, predict_from
from scalinglab.theory.superposition.activity import flat
from scalinglab.theory.superposition.frame_classes import FrameClasses, frame_gradient
from scalinglab.theory.superposition.minimum import least
from scalinglab.theory.superposition.overlaps import random_overlap_law
from scalinglab.theory.superposition.random_frame import random_frame_bias, random_frame_losses
from scalinglab.theory.superposition.strong import strong_constant
from scalinglab.theory.superposition.weak import dead_loss

_SOURCE = "equation (RF) of theory.superposition; the strong regime of arXiv 2505.10465, frozen"
_LIMIT = "equation (C) of theory.superposition"
_GAINS = math.log(0.2), math.log(4.0)
_ATOMS = 128
_NUMERICAL = 1e-4


class FrozenFrame(NamedTuple):
    """The mean loss over frames at its best `gain` and `bias`, common to all outputs."""

    loss: float
    gain: float
    bias: float


@functools.lru_cache(maxsize=4096)
def frozen_frame(
    num_features: int, width: int, activation_density: float = 1.0, gain: float | None = None
) -> FrozenFrame:
    """The least mean loss of n random unit rows, scaled, with one bias.

    **Arguments:** `num_features` n; `width` m; `activation_density` E <= n; `gain` a, if not to be
    optimised.

    **Limits:** c(n, E)/m for n >> m >> c; 4E/3 - E^2/n at small m with the gain free, which is 0.
    """
    features = flat(float(num_features), activation_density)

    def at(gain: float) -> FrozenFrame:
        bias = random_frame_bias(features, width, gain)
        loss = random_frame_losses(features, width, gain, bias)
        return FrozenFrame(float(features.counts @ loss), gain, float(bias[0]))

    if gain is not None:
        return at(gain)
    found = at(math.exp(least(lambda log: at(math.exp(log)).loss, _GAINS, 1e-3).at))
    constant = float(features.counts @ dead_loss(features.probabilities))
    if found.loss > constant:
        return FrozenFrame(constant, 0.0, activation_density / num_features)
    return found


def spread_between_frames(
    num_features: int, width: int, activation_density: float, gain: float
) -> float:
    """Equation (V): the standard deviation of the loss between frames at the best bias.

    **Arguments:** as `frozen_frame`; `gain` a > 0.
    """
    features = flat(float(num_features), activation_density)
    law = random_overlap_law(width, _ATOMS)
    frame = FrameClasses((features,), width, 1024)
    _, (slope,) = frame_gradient(frame, (law,), np.array([gain]), (law.overlaps,))
    mean = law.weights @ slope
    variance = float(law.weights @ (slope - mean) ** 2)
    return math.sqrt(2 * variance / (num_features * (num_features - 1)))


def _exact(config: Config) -> Prediction:
    sizes = config.num_features, config.width, float(config.activation_density)
    best, unit = frozen_frame(*sizes), frozen_frame(*sizes, 1.0)
    observables = {
        "loss": best.loss,
        "unit_loss": unit.loss,
        "mean_squared_overlap": 1 / config.width,
    }
    spreads = [
        spread_between_frames(*sizes, frame.gain) / frame.loss
        for frame in (best, unit)
        if frame.gain > 0
    ]
    error = max(spreads) + _NUMERICAL
    return Prediction(observables, "mean-over-frames", "deterministic_equivalent", error, _SOURCE)


def _inverse_width(config: Config) -> Prediction:
    sizes = config.num_features, float(config.activation_density)
    best, unit = strong_constant(*sizes, free_gain=True), strong_constant(*sizes)
    observables = {"loss": best.constant / config.width, "unit_loss": unit.constant / config.width}
    error = unit.constant / config.width + config.width / config.num_features
    return Prediction(observables, "inverse-width", "asymptotic", error, _LIMIT)


def _is_wide(config: Config) -> bool:
    """n > m > c: on the side of the crossover where 1/m can hold."""
    density = float(config.activation_density)
    return config.width < config.num_features and (
        config.width > strong_constant(config.num_features, density).constant
    )


THEORIES = (
    Theory(
        "mean-over-frames",
        "deterministic_equivalent",
        ("loss", "unit_loss", "mean_squared_overlap"),
        lambda config: True,
        _exact,
        _SOURCE,
    ),
    Theory(
        "inverse-width",
        "asymptotic",
        ("loss", "unit_loss"),
        _is_wide,
        _inverse_width,
        _LIMIT,
    ),
)


def predict(config: Config, theory: str | None = None, *, key: PRNGKeyArray | None = None) -> Any:
    """The `Prediction` for a frozen frame, or for `theory='all'` a dict of all that apply.

    **Raises:** `ValueError` for an unknown theory and one that does not apply; `RuntimeError`
    without float64.
    """
    return predict_from(THEORIES, config, theory, key=key)
