"""The predictions for one configuration, and the table of theories."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scalinglab.models import Status
from scalinglab.models.data_pruning.config import Config, Rule, kept_size, pool_size
from scalinglab.theory.prediction import Prediction, Theory, predict_from

from .asymptotics import many_examples_correction, many_examples_error, many_examples_margin
from .saddle import SaddlePoint, saddle_path

SOURCE = "equations (E1)-(E3) of theory.data_pruning, after arXiv 2206.14486"
ASYMPTOTIC_SOURCE = "leading order in alpha_prune at fixed f; asymptotics.many_examples_error"
FINITE_SIZE = 2.0
# The leading order is offered where what it neglects is estimated below this.
_ASYMPTOTIC = 0.25


def settings(config: Config) -> tuple[float, float]:
    """alpha_prune and f as they are kept: P/N and P/P_tot of the rounded sizes, where N is
    finite."""
    if config.dimension is None:
        return config.samples_per_dimension * config.keep_fraction, config.keep_fraction
    kept = kept_size(config)
    return kept / config.dimension, kept / pool_size(config)


def _arguments(config: Config) -> tuple[tuple[Array, Array, Array], dict[str, Any]]:
    kept, fraction = settings(config)
    angle = math.radians(config.probe_angle_degrees)
    # At f = 1 every rule keeps all.
    rule = "random" if fraction == 1 else config.rule
    return tuple(map(jnp.asarray, (kept, fraction, angle))), {
        "rule": rule,
        "along": angle == 0 or rule == "random",
    }


@functools.partial(jax.jit, static_argnames=("rule", "along"))
def _solve(
    kept: Array, fraction: Array, angle: Array, spread: Array, *, rule: Rule, along: bool
) -> SaddlePoint:
    """The saddle point at alpha_prune and at exp(-spread) and exp(spread) times that."""
    three = kept * jnp.exp(spread * jnp.asarray([0.0, -1.0, 1.0]))
    return saddle_path(three, fraction, None if along else angle, rule=rule)


@functools.partial(jax.jit, static_argnames=("rule", "along"))
def _lead(
    kept: Array, fraction: Array, angle: Array, *, rule: Rule, along: bool
) -> dict[str, Array]:
    at = kept, fraction, None if along else angle
    return {
        "test_error": many_examples_error(*at, rule=rule),
        "margin": many_examples_margin(*at, rule=rule),
        "support_fraction": 1 / kept,
        "correction": many_examples_correction(*at, rule=rule),
    }


def _finite_size(errors: Array, dimension: int | None) -> float:
    """The stated error at finite N, relative: 2/N and what a scatter of alpha adds to the mean.

        2/N + |(eps(alpha e^-d) + eps(alpha e^d))/(2 eps(alpha)) - 1|,   d = N^(-1/2)

    A sample of N inputs acts as one of another alpha. The second term matters where eps is steep:
    near alpha_prune = 2 at small f. Against measurements: docs/data_pruning.md, section 3.
    """
    if dimension is None:
        return 0.0
    at, below, above = (float(error) for error in errors)
    return FINITE_SIZE / dimension + abs((below + above) / (2 * at) - 1)


def saddle_prediction(config: Config) -> Prediction:
    """The max-margin student of `saddle_point` at the sizes of a configuration."""
    numbers, choices = _arguments(config)
    spread = 0.0 if config.dimension is None else config.dimension**-0.5
    found = _solve(*numbers, jnp.asarray(spread), **choices)
    observables = {name: value[0] for name, value in found._asdict().items()}
    status = Status(int(observables.pop("status")))
    if choices["rule"] == "random":
        # No probe takes part, and the student's overlap with it is that of the teacher.
        observables["probe_overlap"] = observables["teacher_overlap"] * jnp.cos(numbers[2])
    return Prediction(
        {name: float(value) for name, value in observables.items()},
        "saddle_point",
        "deterministic_equivalent",
        _finite_size(found.test_error, config.dimension),
        SOURCE,
        status,
    )


def _many_examples_apply(config: Config) -> bool:
    numbers, choices = _arguments(config)
    if choices["rule"].startswith("signed") and not choices["along"]:
        return False
    return float(_lead(*numbers, **choices)["correction"]) < _ASYMPTOTIC


def _many_examples(config: Config) -> Prediction:
    numbers, choices = _arguments(config)
    found = {name: float(value) for name, value in _lead(*numbers, **choices).items()}
    # At a slope of -1 a scatter of alpha adds 1/(2N).
    size = 0.0 if config.dimension is None else 1.25 * FINITE_SIZE / config.dimension
    error = found.pop("correction") + size
    return Prediction(found, "many_examples", "asymptotic", error, ASYMPTOTIC_SOURCE)


THEORIES = (
    Theory(
        "saddle_point",
        "deterministic_equivalent",
        ("test_error", "margin", "support_fraction", "probe_overlap", "teacher_overlap"),
        lambda config: True,
        saddle_prediction,
        SOURCE,
    ),
    Theory(
        "many_examples",
        "asymptotic",
        ("test_error", "margin", "support_fraction"),
        _many_examples_apply,
        _many_examples,
        ASYMPTOTIC_SOURCE,
    ),
)


def predict(config: Config, theory: str | None = None, *, key: Any = None) -> Any:
    """The `Prediction` of the saddle point, of the named theory, or a dict for `'all'`.

    **Arguments:** `config`; `theory`, a name of `THEORIES` or `'all'`; `key`, unused.

    **Raises:** `ValueError` for an unknown or inapplicable theory; `RuntimeError` without float64.
    """
    return predict_from(THEORIES, config, theory, key=key)
