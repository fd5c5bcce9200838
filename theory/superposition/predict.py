"""Predictions for a `Config` of the model: the table of theories."""

import functools
import math
from typing import Any

import numpy as np
from jaxtyping import Float, PRNGKeyArray

from scalinglab.models.superposition.config import Config, frequencies
from scalinglab.theory.prediction import Kind, Prediction, Theory, predict_from

from .core_frame import core_frame
from .graded import graded_bracket, graded_programme, graded_random_frame
from .overlaps import least_skewness, welch_mean_square
from .random_frame import random_frame
from .strong import strong_constant
from .trained import bracket, programme_frame
from .weak import weak_loss_at_width

_SOURCE = "scalinglab.theory.superposition; the model of arXiv 2505.10465"
# The sizes of the trained networks on which the interpolation was chosen and tested.
_LARGEST = 1000
# |trained/predicted - 1| at its largest over m/n <= 0.2, alpha <= 2 (docs/superposition.md).
_INTERPOLATION_ERROR, _PROGRAMME_ERROR, _CORE_ERROR = 0.15, 0.6, 0.9
# Better trained networks represent up to three times as many features as dimensions.
_WEAK_ERROR = 0.6
_NUMERICAL = 1e-3
# Welch's bound holds for as many rows as are live; biases from zero leave nearly all of them so.
_TIGHT_ERROR = 0.1


@functools.lru_cache(maxsize=4096)
def _loss(theory: str, probabilities: tuple[float, ...], width: int) -> float:
    p = np.array(probabilities)
    is_flat = probabilities[0] == probabilities[-1]
    if theory == "interpolation":
        return (bracket if is_flat else graded_bracket)(p, width).interpolation
    if theory == "graded-programme":
        return graded_programme(p, width).loss
    if theory == "linear-programme":
        return programme_frame(p, width).loss
    if theory == "random-frame":
        return random_frame(p, width).loss if is_flat else graded_random_frame(p, width).loss
    if theory == "core-frame":
        return core_frame(p, width).loss
    found = strong_constant(len(p), math.fsum(probabilities), free_gain=True)
    return found.constant / width


def _values(config: Config) -> float:
    """Losses are quadratic in the values: those of (0, 1) lose a quarter of those of (0, 2)."""
    return 1.0 if config.value == "uniform02" else 0.25


def _prediction(theory: str, kind: Kind, error: float) -> Any:
    def predict(config: Config) -> Prediction:
        loss = _values(config) * _loss(theory, tuple(frequencies(config)), config.width)
        return Prediction({"loss": loss}, theory, kind, error, _SOURCE)

    return predict


def _weak(config: Config) -> Prediction:
    probabilities = np.array(frequencies(config))
    importance: Float[np.ndarray, " features"] = config.importance_decay ** np.arange(
        config.num_features, dtype=float
    )
    loss = _values(config) * weak_loss_at_width(probabilities, config.width, importance)
    observables = {"loss": loss, "represented_fraction": config.width / config.num_features}
    return Prediction(observables, "weak", "heuristic", _WEAK_ERROR, _SOURCE)


def _tight(config: Config) -> Prediction:
    observables = {
        "mean_squared_overlap_live": welch_mean_square(config.num_features, config.width),
        "overlap_skew_live": least_skewness(config.num_features, config.width),
    }
    return Prediction(observables, "tight-frame", "heuristic", _TIGHT_ERROR, _SOURCE)


def _is_strong(config: Config) -> bool:
    """Equal importance, no decay, and enough dimensions for overlaps between -1 and 1."""
    return (
        config.weight_decay <= 0
        and config.importance_decay == 1
        and 2 <= config.width < config.num_features
    )


def _is_tested(config: Config) -> bool:
    """Whether networks like this were trained for the interpolation: see its stated error."""
    steep = config.frequencies != "power" or config.frequency_decay > 1.5
    return (
        config.num_features <= _LARGEST
        and config.width <= 0.2 * config.num_features
        and config.bias_init == "zeros"
        and config.activation_density == 1.0
        and not steep
    )


def _is_flat(config: Config) -> bool:
    probabilities = frequencies(config)
    return probabilities[0] == probabilities[-1]


def _row(theory: str, kind: Kind, error: float, applies: Any = _is_strong) -> Theory:
    return Theory(theory, kind, ("loss",), applies, _prediction(theory, kind, error), _SOURCE)


THEORIES = (
    _row(
        "interpolation",
        "heuristic",
        _INTERPOLATION_ERROR,
        lambda config: _is_strong(config) and _is_tested(config),
    ),
    _row("random-frame", "bound", _NUMERICAL),
    _row("linear-programme", "heuristic", _PROGRAMME_ERROR),
    _row(
        "graded-programme",
        "heuristic",
        _PROGRAMME_ERROR,
        lambda config: _is_strong(config) and not _is_flat(config),
    ),
    _row("core-frame", "heuristic", _CORE_ERROR),
    _row(
        "inverse-width",
        "asymptotic",
        _CORE_ERROR,
        lambda config: _is_strong(config) and _is_flat(config),
    ),
    Theory(
        "tight-frame",
        "heuristic",
        ("mean_squared_overlap_live", "overlap_skew_live"),
        lambda config: (
            _is_strong(config)
            and config.bias_init == "zeros"
            and config.width + 1 < config.num_features
        ),
        _tight,
        _SOURCE,
    ),
    Theory(
        "weak",
        "heuristic",
        ("loss", "represented_fraction"),
        lambda config: config.weight_decay > 0,
        _weak,
        _SOURCE,
    ),
)


def predict(config: Config, theory: str | None = None, *, key: PRNGKeyArray | None = None) -> Any:
    """The `Prediction` for a configuration, or for `theory='all'` a dict of all that apply.

    Without a name: `interpolation` for strong superposition up to n = 1000 and the upper bound of
    random frames beyond, `weak` under weight decay. `interpolation` takes seconds at equal
    frequencies and about 20 s at others; results are kept.

    **Raises:** `ValueError` for an unknown theory, for one that does not apply, and when none does;
    `RuntimeError` without float64.
    """
    return predict_from(THEORIES, config, theory, key=key)
